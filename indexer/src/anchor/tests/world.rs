//! An L2 and the L1 it is posted to, from a seed: every form of posting, noise, withheld blocks, a change of batcher.

use alloy::consensus::{Header, SignableTransaction, TxEip1559, TxEip4844};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::signers::{SignerSync as _, local::PrivateKeySigner};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use async_trait::async_trait;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tributary_devnet::inbox::{
    ChannelForm, PostedBlock, blob, channel, commitment_calldata, frames, payload, sample_blocks, singular_batch,
    span_batch,
};
use tributary_devnet::mint::{Form, Mint};
use tributary_schemas::BlockRef;
use tributary_schemas::eigenda::{Commitment, Mode, Version};

use crate::anchor::l1::CONFIG_UPDATE;
use crate::anchor::{Forks, Found, PayloadSource, Rollup, Unfound};
use crate::inbox::anchor::{L2Block, TxList};
use crate::inbox::batch::Terms;
use crate::{Topics, Trust, TxInfo, VerifiedBlock, VerifiedLog};

const CHAIN: u64 = 1612;
const GENESIS: u64 = 1_700_000_000;
/// L1 origin of the first L2 block.
pub(super) const ORIGIN: u64 = 40;
pub(super) const WINDOW: u64 = 25;

/// Payloads that are not in calldata. Those that are missing are pending until they are put there.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    payloads: Mutex<BTreeMap<Vec<u8>, Result<Found, Unfound>>>,
    blobs: Mutex<BTreeMap<B256, Vec<u8>>>,
    pub(super) hidden: Mutex<BTreeSet<Vec<u8>>>,
}

impl Shelf {
    pub(super) fn has(&self, commitment: &[u8]) -> bool {
        self.payloads.lock().unwrap().contains_key(commitment)
    }
}

#[async_trait]
impl PayloadSource for Shelf {
    async fn payload(&self, commitment: &[u8], _l1: &BlockRef) -> Result<Found, Unfound> {
        if self.hidden.lock().unwrap().contains(commitment) {
            return Err(Unfound::Pending { reason: "nobody has it".to_owned(), answered: true });
        }
        self.payloads.lock().unwrap()[commitment].clone()
    }

    async fn blobs(&self, hashes: &[B256], _l1: &BlockRef) -> Result<Vec<Vec<u8>>, Unfound> {
        let blobs = self.blobs.lock().unwrap();
        Ok(hashes.iter().map(|hash| blobs[hash].clone()).collect())
    }
}

/// A transaction to come: the calldata and the blobs it posts.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) calldata: Bytes,
    pub(super) blob: Option<B256>,
    pub(super) by: Address,
}

/// What is posted in an L1 block, and who posts from it on when that changes.
#[derive(Debug, Clone, Default)]
pub(super) struct L1Draft {
    pub(super) transactions: Vec<Draft>,
    pub(super) batcher: Option<Address>,
}

/// Both chains.
#[derive(Debug)]
pub(super) struct World {
    pub(super) rollup: Rollup,
    pub(super) l2: Vec<L2Block>,
    /// By number from [`ORIGIN`].
    pub(super) l1: Vec<L1Draft>,
    pub(super) shelf: Arc<Shelf>,
    /// L2 blocks that the batcher never posted.
    pub(super) withheld: BTreeSet<u64>,
    /// The L1 block of the last posting of each other L2 block, and the form.
    pub(super) carried: BTreeMap<u64, (u64, &'static str)>,
    /// Who signs.
    keys: BTreeMap<Address, PrivateKeySigner>,
    mint: Mint,
}

impl World {
    pub(super) fn new(rng: &mut ChaCha8Rng, blocks: usize) -> Self {
        let key = |seed| PrivateKeySigner::from_bytes(&B256::repeat_byte(seed)).unwrap();
        let keys: Vec<PrivateKeySigner> = (1..=3).map(key).collect();
        let [first, second, stranger] = [keys[0].address(), keys[1].address(), keys[2].address()];
        let rollup = Rollup {
            inbox: Address::repeat_byte(0xff),
            batcher: first,
            system_config: Some(Address::repeat_byte(0xcc)),
            sequencing_window: WINDOW,
            forks: Forks::default(),
            terms: Terms { chain_id: Some(CHAIN), genesis_time: Some(GENESIS), block_time: 2 },
        };
        let posted = sample_blocks(rng, CHAIN, blocks, GENESIS + 2, 2, ORIGIN);
        let hash = |number: u64| keccak256([b"l2".as_slice(), &number.to_be_bytes()].concat());
        let l2: Vec<L2Block> = (1_u64..)
            .zip(&posted)
            .map(|(number, block)| L2Block {
                number,
                hash: hash(number),
                parent_hash: hash(number - 1),
                timestamp: block.timestamp,
                l1_origin: block.l1_origin,
                l1_origin_hash: block.l1_origin_hash,
                transactions: TxList::of(block.transactions.iter().map(keccak256)),
            })
            .collect();
        let mut world = Self {
            rollup,
            l2,
            l1: Vec::new(),
            shelf: Arc::default(),
            withheld: BTreeSet::new(),
            carried: BTreeMap::new(),
            keys: keys.into_iter().map(|key| (key.address(), key)).collect(),
            mint: Mint::new(rng.random(), B256::repeat_byte(3)),
        };
        world.post_all(rng, &posted, [first, second, stranger]);
        world
    }

    /// The L1 block with this number.
    fn at(&mut self, number: u64) -> &mut L1Draft {
        let index = usize::try_from(number - ORIGIN).unwrap();
        if self.l1.len() <= index {
            self.l1.resize(index + 1, L1Draft::default());
        }
        &mut self.l1[index]
    }

    fn post_all(&mut self, rng: &mut ChaCha8Rng, posted: &[PostedBlock], who: [Address; 3]) {
        let [mut batcher, second, stranger] = who;
        let (mut next, mut l1) = (0, ORIGIN);
        while next < posted.len() {
            let (from, to) = (next, std::cmp::min(next + rng.random_range(1..12), posted.len()));
            next = to;
            l1 = std::cmp::max(l1, posted[to - 1].l1_origin) + rng.random_range(1..3);
            let withheld = rng.random_bool(0.12);
            if batcher != second && from > posted.len() / 2 {
                batcher = second;
                self.at(l1).batcher = Some(second);
            }
            let by = if withheld { stranger } else { batcher };
            let form = self.post(rng, posted, from..to, by, &mut l1);
            for number in from + 1..=to {
                let number = u64::try_from(number).unwrap();
                if withheld {
                    self.withheld.insert(number);
                } else {
                    self.carried.insert(number, (l1, form));
                }
            }
            if rng.random_bool(0.2) {
                let junk: Vec<u8> = (0..rng.random_range(0..40)).map(|_| rng.random()).collect();
                let form =
                    [vec![0], vec![], vec![1, 1, 0, 2], vec![1, 1, 0x0c], vec![0xed]][rng.random_range(0..5)].clone();
                let calldata = [form, junk].concat().into();
                self.at(l1).transactions.push(Draft { calldata, blob: None, by: batcher });
            }
        }
        // Time for every window to pass.
        self.at(l1 + WINDOW + 8);
    }

    /// Posts a run of blocks as one channel, over several L1 blocks perhaps; how.
    fn post(
        &mut self,
        rng: &mut ChaCha8Rng,
        posted: &[PostedBlock],
        run: std::ops::Range<usize>,
        by: Address,
        l1: &mut u64,
    ) -> &'static str {
        let batches: Vec<Vec<u8>> = if rng.random_bool(0.5) {
            let origin = if run.start == 0 { ORIGIN } else { posted[run.start - 1].l1_origin };
            vec![span_batch((self.l2[run.start].parent_hash, origin), GENESIS, &posted[run]).unwrap()]
        } else {
            run.map(|index| singular_batch(self.l2[index].parent_hash, &posted[index])).collect()
        };
        let form = [ChannelForm::Zlib(1), ChannelForm::ZlibUnfinished, ChannelForm::BrotliStored];
        let data = channel(&batches, form[rng.random_range(0..3)]);
        let form = ["calldata", "keccak", "eigenda", "blob"][rng.random_range(0..4)];
        for frame in frames(rng.random(), &data, rng.random_range(300..3_000)) {
            *l1 += u64::from(rng.random_bool(0.15));
            let draft = self.draft(rng, payload(&[frame]), form, by);
            self.at(*l1).transactions.push(draft);
        }
        form
    }

    fn draft(&mut self, rng: &mut ChaCha8Rng, payload: Vec<u8>, form: &str, by: Address) -> Draft {
        let commitment = match form {
            "calldata" => return Draft { calldata: payload.into(), blob: None, by },
            "blob" => {
                let hash = keccak256(&payload);
                self.shelf.blobs.lock().unwrap().insert(hash, blob(&payload).unwrap());
                return Draft { calldata: Bytes::new(), blob: Some(hash), by };
            }
            "keccak" => [vec![0], keccak256(&payload).to_vec()].concat(),
            _ => {
                let version = [Version::V2, Version::V3][rng.random_range(0..2)];
                let minted = self.mint.batch(version, Form::Evaluations, 1, std::slice::from_ref(&payload)).unwrap();
                let certificate = minted.into_iter().next().unwrap().certificate;
                Commitment::EigenDa(Box::new(certificate)).encode(Mode::Op).unwrap()
            }
        };
        let found = Found { payload, blob_key: Some(keccak256(&commitment)), ..Found::default() };
        self.shelf.payloads.lock().unwrap().insert(commitment.clone(), Ok(found));
        Draft { calldata: commitment_calldata(&commitment), blob: None, by }
    }

    /// An L1 block over its parent, as following hands it on; `mark` makes another one of the same content.
    pub(super) fn l1_block(&self, draft: &L1Draft, parent: Option<BlockRef>, mark: u8) -> VerifiedBlock {
        let number = parent.map_or(ORIGIN, |parent| parent.number + 1);
        let parent_hash = parent.map_or(B256::ZERO, |parent| parent.hash);
        let transactions: Vec<TxInfo> =
            (0..).zip(&draft.transactions).map(|(nonce, one)| self.sign(one, nonce)).collect();
        let content: Vec<u8> = transactions.iter().flat_map(|transaction| transaction.hash).collect();
        let hash = keccak256([parent_hash.as_slice(), &content, &[mark]].concat());
        let timestamp = GENESIS + (number - ORIGIN) * 12;
        let logs = draft.batcher.map(|batcher| self.update(batcher)).into_iter().collect();
        VerifiedBlock {
            block: BlockRef { number, hash, parent_hash, timestamp },
            header: Header::default(),
            l1_origin: None,
            transactions,
            logs,
            trust: Trust::Verified,
            reads: Default::default(),
        }
    }

    /// The whole L1.
    pub(super) fn l1_chain(&self) -> Vec<VerifiedBlock> {
        let mut chain: Vec<VerifiedBlock> = Vec::new();
        for draft in &self.l1 {
            let parent = chain.last().map(|parent| parent.block);
            chain.push(self.l1_block(draft, parent, 0));
        }
        chain
    }

    fn update(&self, batcher: Address) -> VerifiedLog {
        let words = [B256::with_last_byte(32), B256::with_last_byte(32), batcher.into_word()];
        VerifiedLog {
            tx_index: 0,
            log_index: 0,
            address: self.rollup.system_config.unwrap(),
            topics: Topics::new(&[CONFIG_UPDATE, B256::ZERO, B256::ZERO]).unwrap(),
            data: words.iter().flat_map(|word| word.0).collect::<Vec<u8>>().into(),
        }
    }

    fn sign(&self, draft: &Draft, nonce: u64) -> TxInfo {
        let key = &self.keys[&draft.by];
        let input = draft.calldata.clone();
        let raw = match draft.blob {
            None => {
                let to = TxKind::Call(self.rollup.inbox);
                let tx = TxEip1559 { chain_id: 1, nonce, gas_limit: 21_000, to, input, ..TxEip1559::default() };
                let signature = key.sign_hash_sync(&tx.signature_hash()).unwrap();
                tx.into_signed(signature).encoded_2718()
            }
            Some(hash) => {
                let tx = TxEip4844 {
                    chain_id: 1,
                    nonce,
                    gas_limit: 21_000,
                    max_fee_per_gas: 1,
                    max_priority_fee_per_gas: 1,
                    to: self.rollup.inbox,
                    value: U256::ZERO,
                    access_list: Default::default(),
                    blob_versioned_hashes: vec![hash],
                    max_fee_per_blob_gas: 1,
                    input,
                };
                let signature = key.sign_hash_sync(&tx.signature_hash()).unwrap();
                tx.into_signed(signature).encoded_2718()
            }
        };
        TxInfo::decode(raw.into(), true).unwrap()
    }
}
