//! Mapping files at the command line, and skeletons for every event signature that we know of foreign systems.

use alloy::dyn_abi::{DynSolType, DynSolValue as V};
use alloy_primitives::{Address, B256, I256, U256, hex, keccak256};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::path::Path;
use tributary_indexer::decode::trace_block;
use tributary_indexer::mapping::{MappingFile, skeleton};
use tributary_indexer::{Contracts, Mapping, Topics, Trust, TxInfo, VerifiedBlock, VerifiedLog};
use tributary_schemas::BlockRef;
use tributary_tests::program;
use tributary_tests::shared::shared;

/// An event as the list has it.
struct Known {
    system: String,
    signature: String,
    topic0: B256,
    indexed: Vec<bool>,
    names: Vec<String>,
}

/// The rows of a CSV whose quoted cells hold commas and no quotes.
fn rows(csv: &str) -> Vec<Known> {
    csv.lines()
        .skip(1)
        .map(|line| {
            let quoted: Vec<&str> = line.split('"').collect();
            let before: Vec<&str> = quoted[0].split(',').collect();
            let after: Vec<&str> = quoted[2].split(',').collect();
            Known {
                system: before[0].to_owned(),
                signature: quoted[1].to_owned(),
                topic0: after[1].parse().unwrap(),
                indexed: after[2].chars().map(|mark| mark == '1').collect(),
                names: quoted.get(3).unwrap_or(&"").split_whitespace().map(str::to_owned).collect(),
            }
        })
        .collect()
}

/// The types between the outer parentheses.
fn types(signature: &str) -> Vec<DynSolType> {
    let (_, list) = signature.split_once('(').unwrap();
    let DynSolType::Tuple(types) = DynSolType::parse(&format!("({list}")).unwrap() else { panic!("{signature}") };
    types
}

/// A type as JSON ABIs write it: components apart.
fn parameter(ty: &DynSolType, name: &str) -> Value {
    let mut arrays = String::new();
    let mut inner = ty;
    loop {
        match inner {
            DynSolType::Array(element) => (arrays, inner) = (format!("[]{arrays}"), element),
            DynSolType::FixedArray(element, count) => (arrays, inner) = (format!("[{count}]{arrays}"), element),
            DynSolType::Tuple(parts) => {
                let parts: Vec<Value> =
                    (0..).zip(parts).map(|(at, part)| parameter(part, &format!("part{at}"))).collect();
                return json!({ "name": name, "type": format!("tuple{arrays}"), "components": parts });
            }
            word => return json!({ "name": name, "type": format!("{word}{arrays}") }),
        }
    }
}

fn abi(known: &Known) -> String {
    let inputs =
        types(&known.signature).into_iter().zip(&known.indexed).zip(&known.names).map(|((ty, indexed), name)| {
            let mut input = parameter(&ty, name);
            input["indexed"] = json!(indexed);
            input
        });
    let name = known.signature.split('(').next().unwrap();
    let inputs: Vec<Value> = inputs.collect();
    json!([{ "type": "event", "name": name, "anonymous": false, "inputs": inputs }]).to_string()
}

fn random(ty: &DynSolType, rng: &mut ChaCha8Rng) -> V {
    match ty {
        DynSolType::Bool => V::Bool(rng.random()),
        DynSolType::Uint(bits) => V::Uint(U256::from_be_bytes(rng.random::<[u8; 32]>()) >> (256 - bits), *bits),
        DynSolType::Int(bits) => V::Int(I256::from_be_bytes(rng.random::<[u8; 32]>()).asr(256 - bits), *bits),
        DynSolType::Address => V::Address(Address::from(rng.random::<[u8; 20]>())),
        DynSolType::FixedBytes(size) => {
            let mut word = rng.random::<[u8; 32]>();
            word[*size..].fill(0);
            V::FixedBytes(word.into(), *size)
        }
        DynSolType::Bytes => V::Bytes((0..rng.random_range(0..70)).map(|_| rng.random()).collect()),
        DynSolType::String => V::String("é\"\n".repeat(rng.random_range(0..30))),
        DynSolType::Array(element) => V::Array((0..rng.random_range(0..4)).map(|_| random(element, rng)).collect()),
        DynSolType::FixedArray(element, count) => V::FixedArray((0..*count).map(|_| random(element, rng)).collect()),
        DynSolType::Tuple(parts) => V::Tuple(parts.iter().map(|part| random(part, rng)).collect()),
        DynSolType::Function => panic!("{ty} is in no signature"),
    }
}

/// The value as `mapping test` writes it; of an indexed one that takes more than a word, its hash.
fn shown(value: &V) -> String {
    match value {
        V::Bool(truth) => truth.to_string(),
        V::Uint(number, _) => number.to_string(),
        V::Int(number, _) => number.to_string(),
        V::Address(address) => hex::encode_prefixed(address),
        V::FixedBytes(word, size) => hex::encode_prefixed(&word[..*size]),
        V::Bytes(bytes) => hex::encode_prefixed(bytes),
        V::String(text) => json!(text).to_string(),
        V::Array(parts) | V::FixedArray(parts) | V::Tuple(parts) => {
            format!("[{}]", parts.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        V::Function(_) => panic!("{value:?}"),
    }
}

/// A log of the event with random values, and what each argument must be read as.
fn random_log(known: &Known, rng: &mut ChaCha8Rng) -> (Vec<B256>, Vec<u8>, Vec<String>) {
    let (mut topics, mut body, mut expected) = (vec![known.topic0], Vec::new(), Vec::new());
    for (ty, indexed) in types(&known.signature).iter().zip(&known.indexed) {
        let value = random(ty, rng);
        if !indexed {
            expected.push(shown(&value));
            body.push(value);
            continue;
        }
        // Solidity puts the hash of a long value's bytes in its topic.
        let hashed = match &value {
            V::String(text) => Some(keccak256(text)),
            V::Bytes(bytes) => Some(keccak256(bytes)),
            _ => None,
        };
        topics.push(hashed.unwrap_or_else(|| value.as_word().unwrap()));
        expected.push(hashed.map_or_else(|| shown(&value), |hash| hash.to_string()));
    }
    (topics, V::Tuple(body).abi_encode_params(), expected)
}

fn block(topics: &[B256], data: Vec<u8>) -> VerifiedBlock {
    let log = VerifiedLog {
        tx_index: 0,
        log_index: 0,
        address: Address::repeat_byte(1),
        topics: Topics::new(topics).unwrap(),
        data: data.into(),
    };
    let tx = TxInfo {
        hash: B256::repeat_byte(2),
        kind: 2,
        to: None,
        value: U256::ZERO,
        input: Vec::new().into(),
        success: true,
        raw: Vec::new().into(),
    };
    VerifiedBlock {
        block: BlockRef::default(),
        header: alloy::consensus::Header::default(),
        l1_origin: None,
        transactions: vec![tx],
        logs: vec![log],
        trust: Trust::Verified,
        reads: Default::default(),
    }
}

#[test]
fn every_known_signature_has_a_skeleton_that_reads_its_logs() {
    let Some(csv) = shared("event_topics.csv") else { return };
    let (known, mut rng) = (rows(std::str::from_utf8(&csv).unwrap()), ChaCha8Rng::seed_from_u64(1));
    assert!(known.len() > 390, "{}", known.len());
    let mut read = 0;
    for event in &known {
        let what = format!("{} {}", event.system, event.signature);
        if event.names.len() != event.indexed.len() {
            continue;
        }
        let toml = skeleton("known", &abi(event)).unwrap_or_else(|reason| panic!("{what}: {reason}"));
        let file = MappingFile { name: "known.toml".to_owned(), toml, ..MappingFile::default() };
        let mapping = Mapping::check(std::slice::from_ref(&file), 1, &Contracts::default());
        let mapping = mapping.unwrap_or_else(|problems| panic!("{what}: {problems:?}\n{}", file.toml));
        for _ in 0..5 {
            let (topics, data, expected) = random_log(event, &mut rng);
            let traces = trace_block(&mapping, &block(&topics, data));
            let [trace] = traces.as_slice() else { panic!("{what}: {traces:?}") };
            assert_eq!(trace.reason, "", "{what}");
            let (names, told): (Vec<String>, Vec<String>) = trace.arguments.iter().cloned().unzip();
            assert_eq!((&names, &told), (&event.names, &expected), "{what}");
            assert_eq!(trace.facts.len(), 1, "{what}");
        }
        read += 1;
    }
    assert_eq!(read, known.len());
}

/// Runs `tributary mapping` and gives its exit code, output and what it said.
fn mapping(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = program::tributary(&["mapping"]).current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_mapping_is_begun_checked_and_mended_at_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let (code, list, _) = mapping(folder.path(), &["list"]);
    assert_eq!(code, Some(0));
    for name in ["reference", "eas", "erc8004", "erc20-payments"] {
        assert!(list.contains(name), "{list}");
        let (code, text, _) = mapping(folder.path(), &["show", name]);
        assert!(code == Some(0) && text.contains("[[rule]]"), "{name}: {text}");
    }
    let (code, said, _) = mapping(folder.path(), &["check", "reference", "eas", "erc8004", "erc20-payments", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["problems"], json!([]));

    let abi = json!([{ "type": "event", "name": "Sold", "anonymous": false,
        "inputs": [{ "name": "id", "type": "uint256", "indexed": true }] }]);
    std::fs::write(folder.path().join("Shop.json"), abi.to_string()).unwrap();
    let (code, said, _) = mapping(folder.path(), &["init", "--abi", "Shop.json", "--out", "shop.toml"]);
    assert_eq!((code, said.trim()), (Some(0), "shop.toml"));
    let (code, said, _) = mapping(folder.path(), &["check", "shop.toml"]);
    assert!(code == Some(0) && said.starts_with("sound: mapping set 0x"), "{said}");
    let (code, _, told) = mapping(folder.path(), &["init", "--abi", "Shop.json", "--out", "shop.toml"]);
    assert!(code == Some(1) && told.contains("expected a file that is not there"), "{told}");

    let file = folder.path().join("shop.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let line = 1 + text.lines().position(|line| line.starts_with("attester")).unwrap();
    std::fs::write(&file, text.replace("attester =", "attestor =")).unwrap();
    let (code, said, told) = mapping(folder.path(), &["check", "shop.toml"]);
    assert_eq!(code, Some(4), "{told}");
    assert!(said.starts_with(&format!("shop.toml:{line}: rule \"sold\"")), "{said}");
    assert!(said.contains("the nearest is \"attester\""), "{said}");
    let (code, _, told) = mapping(folder.path(), &["check", "shop.tom"]);
    assert!(code == Some(4) && told.contains("reading shop.tom"), "{told}");
}

#[test]
fn rules_are_tried_on_a_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let token = "0x1111111111111111111111111111111111111111";
    let word = |last: &str| format!("0x{last:0>64}");
    let transfer = |address: &str, to: &str| {
        let topic = keccak256("Transfer(address,address,uint256)").to_string();
        json!({ "address": address, "topics": [topic, word("aa"), word(to)], "data": word("2a") })
    };
    let stranger = "0x2222222222222222222222222222222222222222";
    let receipt = json!({ "result": {
        "transactionHash": word("77"), "blockNumber": "0x10", "status": "0x1",
        "logs": [transfer(token, "bb"), transfer(token, "cc"), transfer(stranger, "bb"),
            { "address": stranger, "topics": [word("5")], "data": "0x" }],
        "transaction": { "input": word("99"), "value": "0x0" },
    } });
    std::fs::write(folder.path().join("receipt.json"), receipt.to_string()).unwrap();
    let arguments = [
        "test",
        "erc20-payments",
        "--fixture",
        "receipt.json",
        "--role",
        &format!("payment_token={token}"),
        "--role",
        "escrow=0x00000000000000000000000000000000000000bb",
    ];
    let (code, said, told) = mapping(folder.path(), &arguments);
    assert_eq!(code, Some(0), "{told}");
    let logs: Vec<&str> = said.split("log ").skip(1).collect();
    assert_eq!(logs.len(), 4, "{said}");
    assert!(logs[0].contains("value: 42") && logs[0].contains("-> RevenueReceived"), "{said}");
    assert!(logs[0].contains(&format!("\"subject\":\"{}\"", word("99"))), "{said}");
    assert!(logs[1].contains("because: its conditions do not hold"), "{said}");
    assert!(logs[2].contains("because: UNAUTHORIZED"), "{said}");
    assert!(logs[3].contains("no rule is for its first topic"), "{said}");
    let (_, said, _) = mapping(folder.path(), &[&arguments[..], &["--json"]].concat());
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((said["logs"].as_u64(), said["traces"].as_array().unwrap().len()), (Some(4), 3));
    std::fs::write(folder.path().join("receipt.json"), "{}").unwrap();
    let (code, _, told) = mapping(folder.path(), &arguments);
    assert!(code == Some(1) && told.contains("receipt.json: expected a receipt"), "{told}");
}
