//! What a vault holds is what nodes agree on, and a proof leads to the block's hash or counts for nothing.

use super::*;
use crate::clock::ManualClock;
use alloy::consensus::Header;
use alloy_trie::{HashBuilder, proof::ProofRetainer};
use std::net::Ipv4Addr;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tributary_devnet::{Devnet, DevnetConfig, Fault};

const VAULT: Address = Address::repeat_byte(0x11);
const BALANCE: u64 = 1_234_567;

/// A block whose state has the vault and a neighbour, and the proof of the vault's account there.
fn proved() -> (B256, String, Value) {
    let account = |balance: u64| Account {
        nonce: 1,
        balance: U256::from(balance),
        storage_root: B256::repeat_byte(2),
        code_hash: B256::repeat_byte(3),
    };
    let accounts = [(VAULT, account(BALANCE)), (Address::repeat_byte(0x22), account(9))];
    let mut leaves: Vec<(Nibbles, Vec<u8>)> = accounts
        .map(|(address, account)| {
            let mut value = Vec::new();
            account.encode(&mut value);
            (Nibbles::unpack(keccak256(address)), value)
        })
        .into();
    leaves.sort();
    let target = Nibbles::unpack(keccak256(VAULT));
    let mut builder = HashBuilder::default().with_proof_retainer(ProofRetainer::new(vec![target]));
    for (key, value) in leaves {
        builder.add_leaf(key, &value);
    }
    let header = Header { state_root: builder.root(), number: 7, ..Header::default() };
    let hash = header.hash_slow();
    let mut json = serde_json::to_value(&header).unwrap();
    json["hash"] = json!(hash);
    let nodes: Vec<Bytes> = builder.take_proof_nodes().into_nodes_sorted().into_iter().map(|(_, node)| node).collect();
    let proof = json!({
        "nonce": "0x1", "balance": U256::from(BALANCE), "storageHash": B256::repeat_byte(2),
        "codeHash": B256::repeat_byte(3), "accountProof": nodes,
    });
    (hash, json.to_string(), proof)
}

#[test]
fn a_proof_that_leads_to_the_block_s_hash_gives_the_balance_and_no_other_does() {
    let (hash, header, proof) = proved();
    let balance =
        |hash, header: &str, account, proof: &Value| balance_of_proof(hash, header, account, &proof.to_string());
    assert_eq!(balance(hash, &header, VAULT, &proof), Ok(U256::from(BALANCE)));
    let refused = |result: Result<U256, String>, words: &str| {
        let reason = result.unwrap_err();
        assert!(reason.contains(words), "{reason}: expected {words:?}");
    };
    for (field, other) in [
        ("balance", json!("0x1")),
        ("nonce", json!("0x2")),
        ("storageHash", json!(B256::ZERO)),
        ("codeHash", json!(B256::ZERO)),
        ("accountProof", json!([])),
    ] {
        let mut altered = proof.clone();
        altered[field] = other;
        refused(balance(hash, &header, VAULT, &altered), "does not lead to state root");
    }
    refused(balance(hash, &header, Address::repeat_byte(0x22), &proof), "does not lead to state root");
    refused(balance(B256::ZERO, &header, VAULT, &proof), "expected 0x0000");
    let other = header.replace(&hash.to_string(), &B256::ZERO.to_string());
    refused(balance(B256::ZERO, &other, VAULT, &proof), "hash of the fields");
    refused(balance(hash, &header, VAULT, &json!({ "balance": "0x1" })), "unreadable");
}

#[test]
fn a_word_is_read_as_a_word_and_nothing_as_nothing() {
    let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
    let (word, quantity) = (|json: &str| word(&raw(json)), |json: &str| quantity(&raw(json)));
    // As the pool says that a call reverted: the contract has no such function.
    assert_eq!(word("{\"reverted\":true}"), Ok(None));
    assert_eq!(word(&json!(B256::with_last_byte(9)).to_string()), Ok(Some(U256::from(9))));
    assert_eq!(word("\"0x\""), Ok(None));
    assert!(word("\"0x01\"").unwrap_err().contains("1 bytes"));
    assert!(word("null").is_err());
    assert_eq!(quantity("\"0xff\""), Ok(Some(U256::from(255))));
    for nothing in ["\"\"", "\"0x\"", "\"255\"", "\"0xfg\"", "null"] {
        assert!(quantity(nothing).is_err(), "{nothing}");
    }
    assert_eq!(selector("balanceOf(address)"), BALANCE_OF);
}

#[test]
fn what_is_beyond_the_largest_amount_stands_as_that() {
    let end = EpochEnd { epoch: 3, number: 40, hash: B256::repeat_byte(1) };
    let known = Known { units: U256::MAX, proved: false, endpoints: 2 };
    let row = row(end, (VAULT, Address::ZERO), known, U256::from(5));
    assert_eq!((row.balance.0, row.stake.0), (10i128.pow(38) - 1, 5));
    assert_eq!((row.known.as_str(), row.endpoints, row.block_number), ("read", 2, 40));
}

async fn devnet(faults: &[Fault]) -> Devnet {
    let config = DevnetConfig { faults: faults.iter().copied().collect(), ..DevnetConfig::default() };
    let devnet = Devnet::start(config).await.unwrap();
    devnet.mine_to(150);
    devnet
}

/// Another host of this machine that passes on what a node says, until it is dropped.
struct Host {
    url: String,
    _tasks: JoinSet<()>,
}

impl Host {
    async fn start(number: u8, node: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, number), 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let node = node.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((mut from, _)) = listener.accept().await {
                let node = node.clone();
                passing.spawn(async move {
                    let mut to = TcpStream::connect(node).await?;
                    tokio::io::copy_bidirectional(&mut from, &mut to).await
                });
            }
        });
        Self { url, _tasks: tasks }
    }
}

/// A port where nobody listens.
fn free_port(host: &str) -> u16 {
    std::net::TcpListener::bind((host, 0)).unwrap().local_addr().unwrap().port()
}

fn reader(urls: &[String]) -> VaultReader {
    let urls: Vec<Url> = urls.iter().map(|url| url.parse().unwrap()).collect();
    VaultReader::new(&urls, tributary_devnet::L2_CHAIN_ID, Arc::new(ManualClock::at(0))).unwrap()
}

#[tokio::test]
async fn what_most_hosts_say_counts_and_what_no_majority_says_is_not_read() {
    let (one, other, short) = (devnet(&[]).await, devnet(&[]).await, devnet(&[Fault::ShortVault]).await);
    let (number, hash) = one.head();
    let end = EpochEnd { epoch: 2, number: i64::try_from(number).unwrap(), hash };
    let contracts = one.contracts();
    let vault = contracts.reward_vault;
    let purses = [(vault, Address::ZERO), (vault, contracts.token_6), (vault, contracts.token_18)];

    // Each a host of its own.
    let mut hosts = Vec::new();
    for (number, devnet) in (2..).zip([&one, &other, &short]) {
        hosts.push(Host::start(number, &devnet.l2_http()).await);
    }
    let [first, second, third] = [0, 1, 2].map(|at: usize| hosts[at].url.clone());
    let both = reader(&[first.clone(), second.clone()]).read(end, &purses).await;
    assert_eq!(both.len(), 3, "{both:?}");
    for (row, (_, token)) in both.iter().zip(&purses) {
        assert_eq!((row.token.as_str(), row.known.as_str(), row.endpoints), (hex_text(token).as_str(), "read", 2));
        assert!(row.balance.0 > row.stake.0 && row.block_hash == hex_text(hash), "{row:?}");
        assert_eq!(row.stake.0 > 0, *token == contracts.token_18, "stake is of one token: {row:?}");
    }
    let said = |rows: &[VaultBalanceRow]| rows.iter().map(|row| (row.balance, row.stake)).collect::<Vec<_>>();
    let agreeing = |rows: &[VaultBalanceRow]| rows.iter().map(|row| row.endpoints).collect::<Vec<_>>();
    let less = reader(std::slice::from_ref(&third)).read(end, &purses).await;
    assert_eq!(less.iter().map(|row| row.balance.0).collect::<Vec<_>>(), [0, 1, 2].map(|at| both[at].balance.0 / 10));

    // More than half, whoever is asked first: two of three agree, one of two is not enough.
    for urls in [[&first, &second, &third], [&third, &first, &second]] {
        let most = reader(&urls.map(Clone::clone)).read(end, &purses).await;
        assert_eq!((said(&most), agreeing(&most)), (said(&both), vec![2; 3]));
    }
    assert_eq!(reader(&[first.clone(), third]).read(end, &purses).await, []);
    // Who does not answer counts, and agrees with nobody.
    let silent = format!("http://127.0.0.5:{}", free_port("127.0.0.5"));
    assert_eq!(reader(&[silent.clone(), first.clone()]).read(end, &purses).await, []);
    let with_silent = reader(&[silent.clone(), first, second]).read(end, &purses).await;
    assert_eq!((said(&with_silent), agreeing(&with_silent)), (said(&both), vec![2; 3]));
    // Two endpoints of one host are one vote, and one may answer for the other.
    let twice = reader(&[one.l2_http(), format!("http://127.0.0.1:{}", free_port("127.0.0.1"))]);
    let twice = twice.read(end, &purses).await;
    assert_eq!((said(&twice), agreeing(&twice)), (said(&both), vec![1; 3]));

    // A block that the node does not have, a contract of which it knows nothing, and nobody at all.
    let elsewhere = EpochEnd { hash: B256::repeat_byte(9), ..end };
    assert_eq!(reader(&[one.l2_http()]).read(elsewhere, &purses).await, []);
    assert_eq!(reader(&[one.l2_http()]).read(end, &[(VAULT, Address::ZERO)]).await, []);
    assert_eq!(reader(&[silent]).read(end, &purses).await, []);
}
