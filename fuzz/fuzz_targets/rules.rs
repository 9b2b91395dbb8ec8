//! Logs against every mapping file that ships and a rule for the children of a factory: a byte for the first topic, one for how many follow, one for who emits,
//! two for the length of the log's data, then topics, data, and the transaction's calldata.
#![no_main]

use alloy_primitives::{Address, B256, Bytes, U256};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tributary_indexer::decode::{Unknown, decode_block, trace_block, unread};
use tributary_indexer::mapping::{BUILT_IN, MappingFile};
use tributary_indexer::reads::{Answer, Reply};
use tributary_indexer::{Contracts, Mapping, Topics, Trust, TxInfo, VerifiedBlock, VerifiedLog};
use tributary_schemas::BlockRef;
use tributary_schemas::encoding::{payload_from_json, payload_json};

const KNOWN: Address = Address::repeat_byte(1);
const ESCROW: Address = Address::repeat_byte(2);
const TOKEN: Address = Address::repeat_byte(4);

const CHILDREN: &str = r#"
name = "children"
version = 1
[[rule]]
name = "child-paid-out"
emitter = { factory = "reward_vault", event = "Made((address at, string name)[2] pair, address indexed by)", child = "pair[1].at", children_max = 1 }
authority = true
event = "PayoutSet(address account, address[] payouts)"
emit = "PayoutAddressSet"
each = ["payouts"]
fields = { account = "account", payout = "payouts" }
[[rule]]
name = "owned"
emitter = "any"
event = "Owned(bytes32 indexed id, address where, bytes what)"
emit = "OwnershipTransferred"
[rule.fields]
entity = "id"
from = { state = "owner(bytes what, bytes32 id) returns (address)", of = "where", with = ["what", "id"], on_revert = "nothing", or = "where" }
to = "where"
"#;

static MAPPING: LazyLock<Mapping> = LazyLock::new(|| {
    let mut contracts = Contracts::new();
    for role in ["datanet_registry", "model_registry", "agent_registry", "attribution_hub", "reward_vault"] {
        contracts.insert(role.to_owned(), [KNOWN].into());
    }
    let mut files: Vec<_> = BUILT_IN.iter().map(|file| file.file(&mut contracts)).collect();
    files.push(MappingFile { name: "children.toml".to_owned(), toml: CHILDREN.to_owned(), ..MappingFile::default() });
    for list in contracts.values_mut().filter(|list| list.is_empty()) {
        list.insert(KNOWN);
    }
    contracts.insert("escrow".to_owned(), [ESCROW].into());
    contracts.insert("payment_token".to_owned(), [TOKEN].into());
    Mapping::load(&files, 1, &contracts).expect("what ships is sound")
});

fn block(data: &[u8]) -> Option<VerifiedBlock> {
    let ([first, count, emitter, high, low], rest) = data.split_first_chunk()?;
    let known: Vec<B256> = MAPPING.topics().collect();
    let (words, rest) = rest.split_at_checked(32 * usize::from(count % 4))?;
    let (body, input) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes([*high, *low]))));
    let mut topics = vec![known[usize::from(*first) % known.len()]];
    topics.extend(words.chunks_exact(32).map(B256::from_slice));
    let address = [KNOWN, TOKEN, Address::repeat_byte(9)][usize::from(*emitter) % 3];
    let log =
        VerifiedLog { tx_index: 0, log_index: 0, address, topics: Topics::new(&topics)?, data: body.to_vec().into() };
    let tx = TxInfo {
        hash: B256::repeat_byte(3),
        kind: 2,
        to: Some(KNOWN),
        value: U256::from(input.len()),
        input: input.to_vec().into(),
        success: true,
        raw: input.to_vec().into(),
    };
    Some(VerifiedBlock {
        block: BlockRef { number: 1, ..BlockRef::default() },
        header: Default::default(),
        l1_origin: None,
        transactions: vec![tx],
        logs: vec![log],
        trust: Trust::Unverified,
        reads: Default::default(),
    })
}

fuzz_target!(|data: &[u8]| {
    let Some(mut block) = block(data) else { return };
    // Answered with the transaction's calldata, or by a revert where there is none.
    let reply = |input: &Bytes| if input.is_empty() { Reply::Reverted } else { Reply::Returned(input.clone()) };
    let reply = reply(&block.transactions[0].input);
    let calls = unread(&MAPPING, &block);
    assert!(calls.len() <= 2 && calls.iter().all(|call| call.data.len() <= 4 + 32 * 5 + data.len()));
    block.reads = calls.into_iter().map(|call| (call, Answer { reply: reply.clone(), agreeing: 1 })).collect();
    assert!(unread(&MAPPING, &block).is_empty());
    let decoded = decode_block(&MAPPING, &block, &Unknown);
    // A fact for each rule of the log's topic, or for each element of a list in its data.
    assert!(decoded.len() <= 4 + data.len() / 32, "{decoded:?}");
    for one in &decoded {
        let json = payload_json(&one.payload);
        assert_eq!(payload_from_json(one.payload.kind(), &json).ok().as_ref(), Some(&one.payload), "{json}");
        assert!(one.refused.as_ref().is_none_or(|(_, detail)| !detail.is_empty()));
    }
    let traced: usize = trace_block(&MAPPING, &block).iter().map(|trace| trace.facts.len()).sum();
    assert_eq!(traced, decoded.len());
});
