//! What errors of `eth_call` mean. That the call reverted is an answer: asked again, every node will say so again. That a
//! node has not the state of the block is a refusal: another may have it.
//!
//! Nodes agree on code 3 for a revert and on nothing else, so the words of the others are read: geth, op-geth, Erigon,
//! Nethermind, Besu, reth, Anvil.

use alloy::rpc::json_rpc::ErrorPayload;
use serde_json::value::RawValue;

use super::Failure;

/// The code of a revert (EIP-1474's successors; geth since 1.9.15).
const REVERTED: i64 = 3;

/// What a call is answered with that reverted.
const ANSWER: &str = "{\"reverted\":true}";

/// What executing ends with when a contract fails, in lower case.
const FAILED: [&str; 15] = [
    "revert",
    "out of gas",
    "outofgas",
    "invalid opcode",
    "opcodenotfound",
    "invalid jump",
    "invalidjump",
    "stack underflow",
    "stackunderflow",
    "stack limit reached",
    "stackoverflow",
    "bad instruction",
    "vm execution error",
    "vm exception",
    "return data out of bounds",
];

/// What nodes say that have not the state of a block, or not the block on their chain.
const WITHOUT_STATE: [&str; 12] = [
    "missing trie node",
    "pruned",
    "historical state",
    "state not available",
    "state is not available",
    "state unavailable",
    "no state available",
    "archive",
    "header not found",
    "not found",
    "unknown block",
    "canonical",
];

/// What an error of `eth_call` means; `None` for the same as of any other method.
pub(super) fn judge(payload: &ErrorPayload) -> Option<Result<Box<RawValue>, Failure>> {
    let said = payload.message.to_lowercase();
    let contains = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if contains(&WITHOUT_STATE) && payload.code != REVERTED {
        return Some(Err(Failure::Refused(format!("error {}: {}", payload.code, payload.message))));
    }
    if payload.code == REVERTED || (contains(&FAILED) && !said.contains("timeout")) {
        return RawValue::from_string(ANSWER.to_owned()).ok().map(Ok);
    }
    None
}

/// Whether an answer says that the call reverted.
pub(crate) fn is_reverted(answer: &RawValue) -> bool {
    answer.get() == ANSWER
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(code: i64, message: &str) -> &'static str {
        let payload = ErrorPayload { code, message: message.to_owned().into(), data: None };
        match judge(&payload) {
            Some(Ok(answer)) if is_reverted(&answer) => "answer",
            Some(Err(Failure::Refused(_))) => "refusal",
            None => "error",
            Some(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_revert_is_an_answer_and_a_lack_of_state_is_none() {
        for (code, message, expected) in [
            (3, "execution reverted: not found in archive", "answer"),
            (3, "execution reverted", "answer"),
            (-32000, "execution reverted", "answer"),
            (-32015, "VM execution error.", "answer"),
            (-32000, "out of gas", "answer"),
            (-32000, "invalid opcode: INVALID", "answer"),
            (-32003, "EVM error: OutOfGas(Basic)", "answer"),
            (-32000, "missing trie node 0123 (path ) state 0x12 is not available", "refusal"),
            (-32000, "historical state 0x12 is not available", "refusal"),
            (-32000, "header for hash not found", "refusal"),
            (-32000, "hash 12 is not currently canonical", "refusal"),
            (-32002, "state already discarded: pruned", "refusal"),
            (-32001, "block not found", "refusal"),
            (-32000, "execution aborted (timeout = 5s)", "error"),
            (-32005, "limit exceeded", "error"),
            (-32603, "internal error", "error"),
        ] {
            assert_eq!(judged(code, message), expected, "{code} {message}");
        }
    }
}
