use super::{Inbox, L1Transaction, Refusal};
use crate::inbox::posting::{CommitmentKind, Posting};
use crate::inbox::testing::vector;
use alloy::consensus::{
    BlobTransactionSidecar, SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip4844Variant,
    TxEip4844WithSidecar, TxEip7702, TxEnvelope, TxLegacy,
};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::eips::eip4844::Blob;
use alloy::signers::{SignerSync as _, local::PrivateKeySigner};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, address, b256, keccak256};

const INBOX: Address = address!("0xff00000000000000000000000000000000000042");

fn batcher() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(0x42)).unwrap()
}

fn signed<T: SignableTransaction<Signature>>(tx: T) -> TxEnvelope
where
    TxEnvelope: From<alloy::consensus::Signed<T>>,
{
    let signature = batcher().sign_hash_sync(&tx.signature_hash()).unwrap();
    tx.into_signed(signature).into()
}

fn signed_blobs(tx: TxEip4844Variant) -> TxEnvelope {
    signed(tx)
}

/// One of each type, to the inbox with some calldata.
fn all_types() -> Vec<TxEnvelope> {
    let (to, input, chain_id) = (TxKind::Call(INBOX), Bytes::from_static(b"\0data"), 5);
    vec![
        signed(TxLegacy { to, input: input.clone(), chain_id: None, ..TxLegacy::default() }),
        signed(TxLegacy { to, input: input.clone(), chain_id: Some(chain_id), ..TxLegacy::default() }),
        signed(TxEip2930 { to, input: input.clone(), chain_id, ..TxEip2930::default() }),
        signed(TxEip1559 { to, input: input.clone(), chain_id, ..TxEip1559::default() }),
        signed_blobs(TxEip4844Variant::TxEip4844(blob_transaction(input.clone()))),
        signed(TxEip7702 { to: INBOX, input, chain_id, ..TxEip7702::default() }),
    ]
}

fn blob_transaction(input: Bytes) -> TxEip4844 {
    let blob_versioned_hashes = vec![B256::repeat_byte(1), B256::repeat_byte(2)];
    TxEip4844 { chain_id: 5, to: INBOX, input, blob_versioned_hashes, ..TxEip4844::default() }
}

#[test]
fn every_type_is_read_and_filtered() {
    let inbox = Inbox { address: INBOX, batcher: batcher().address() };
    let elsewhere = Inbox { address: Address::ZERO, ..inbox };
    let stranger = Inbox { batcher: Address::ZERO, ..inbox };
    let kinds = [0, 0, 1, 2, 3, 4];
    let chains = [None, Some(5), Some(5), Some(5), Some(5), Some(5)];
    for ((envelope, kind), chain_id) in all_types().iter().zip(kinds).zip(chains) {
        let raw = envelope.encoded_2718();
        let transaction = L1Transaction::decode(&raw).unwrap();
        assert_eq!((transaction.kind, transaction.chain_id), (kind, chain_id));
        assert_eq!((transaction.hash, transaction.sender), (keccak256(&raw), inbox.batcher));
        assert_eq!((transaction.to, transaction.input.as_ref()), (Some(INBOX), &b"\0data"[..]));
        assert_eq!(elsewhere.admit(&transaction), Err(Refusal::Recipient(Some(INBOX))));
        if kind == 4 {
            assert_eq!(inbox.admit(&transaction), Err(Refusal::Kind(4)));
            continue;
        }
        assert_eq!(stranger.admit(&transaction), Err(Refusal::Sender(inbox.batcher)));
        assert_eq!(inbox.admit(&transaction), Ok(()));
        // The calldata of a blob transaction counts for nothing.
        match Posting::of(&transaction) {
            Posting::Blobs(hashes) => assert_eq!((kind, hashes.len()), (3, 2)),
            posting => assert_eq!(posting, Posting::Payload(b"\0data")),
        }
    }
    let creation = signed(TxLegacy { to: TxKind::Create, ..TxLegacy::default() });
    let creation = L1Transaction::decode(&creation.encoded_2718()).unwrap();
    assert_eq!(inbox.admit(&creation), Err(Refusal::Recipient(None)));
}

#[test]
fn a_sidecar_gives_blobs_and_leaves_the_hash_alone() {
    let tx = blob_transaction(Bytes::new());
    let alone = signed_blobs(TxEip4844Variant::TxEip4844(tx.clone()));
    let sidecar = BlobTransactionSidecar { blobs: vec![Blob::repeat_byte(3)], ..BlobTransactionSidecar::default() };
    let with =
        signed_blobs(TxEip4844Variant::TxEip4844WithSidecar(TxEip4844WithSidecar { tx, sidecar: sidecar.into() }));
    let with = L1Transaction::decode(&with.encoded_2718()).unwrap();
    let alone = L1Transaction::decode(&alone.encoded_2718()).unwrap();
    assert_eq!(with.sidecar, [Bytes::from(vec![3; 131_072])]);
    assert_eq!(L1Transaction { sidecar: vec![], ..with }, alone);
}

#[test]
fn what_is_no_transaction_is_refused() {
    for envelope in all_types() {
        let raw = envelope.encoded_2718();
        for len in 0..raw.len() {
            assert!(L1Transaction::decode(&raw[..len]).is_err(), "{len} bytes");
        }
        assert!(L1Transaction::decode(&[raw.as_slice(), &[0]].concat()).is_err(), "a byte too many");
    }
    assert!(L1Transaction::decode(&[0x7e, 0xc0]).is_err(), "an L1 has no deposits");
}

#[test]
fn the_sepolia_transaction_posts_its_commitment() {
    let (Some(raw), Some(commitment)) =
        (vector("hokulea/sepolia_3.rawtx.hex"), vector("hokulea/sepolia_3.altda_commitment.hex"))
    else {
        return;
    };
    let transaction = L1Transaction::decode(&raw).unwrap();
    assert_eq!((transaction.kind, transaction.chain_id, transaction.nonce), (2, Some(11_155_111), 9_895));
    let inbox = Inbox {
        address: address!("0x000faef0a3d9711c3e9bbc4f3e2730dd75167da3"),
        batcher: address!("0x15f447c49d9eac8eca80ce12c5620278e7f59d2f"),
    };
    assert_eq!(inbox.admit(&transaction), Ok(()));
    let Posting::Commitment(posted) = Posting::of(&transaction) else { panic!("a commitment") };
    assert_eq!((posted.bytes, posted.kind), (commitment.as_slice(), CommitmentKind::EigenDa { version: 2 }));
    assert_eq!(posted.hash(), b256!("0x2aa6d6b8db2e4159cdf1b8694bd2f1bd3ceab64a6f77eaa83a8d8046b4571c51"));
}

#[test]
fn the_mantle_transaction_is_passed_over() {
    let Some(raw) = vector("hokulea/mainnet_non_altda.rawtx.hex") else { return };
    let transaction = L1Transaction::decode(&raw).unwrap();
    assert_eq!(transaction.to, Some(address!("0xffeeddccbbaa0000000000000000000000000000")));
    assert_eq!(Posting::of(&transaction), Posting::Ignored(crate::inbox::posting::Ignored::Mantle));
}
