//! What the tail keeps of a block until it is sealed.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::decode::is_watched;
use crate::fold::{Chronology, Folded, Sight, fold_verified};
use crate::reads::{Answers, StateCall};
use crate::state::StateView;
use crate::{IndexerError, Mapping, Trust, VerifiedBlock, VerifiedLog};

/// What the tail keeps of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Number of the L1 block it was made on.
    pub l1_origin: Option<u64>,
    /// Transactions in it.
    pub tx_count: u32,
    /// Logs in it.
    pub log_count: u32,
    /// What the checks rested on.
    pub trust: Trust,
    /// The transactions that its watched logs and its facts belong to, by index.
    pub txs: BTreeMap<u32, TxBrief>,
    /// Its watched logs.
    pub raw_logs: Vec<RawLog>,
    /// What it comes to.
    pub folded: Folded,
    /// What contracts answered of their state at its end, as far as its facts rest on it.
    #[serde(skip)]
    pub reads: Answers,
}

/// What is kept of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxBrief {
    /// Its hash.
    pub hash: B256,
    /// Its value.
    pub value: U256,
}

/// A watched log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawLog {
    /// Index of its transaction.
    pub tx_index: u32,
    /// Index in the block.
    pub log_index: u32,
    /// Who emitted it.
    pub address: Address,
    /// Its topics.
    pub topics: Vec<B256>,
    /// Its data.
    pub data: Bytes,
}

impl Body {
    /// As bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, IndexerError> {
        let mut bytes = postcard::to_stdvec(self).map_err(|error| broken(&error))?;
        // Behind it, so that a body without them is what it always was.
        if !self.reads.is_empty() {
            bytes = postcard::to_extend(&self.reads, bytes).map_err(|error| broken(&error))?;
        }
        Ok(bytes)
    }

    /// From bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IndexerError> {
        let (mut body, rest) = postcard::take_from_bytes::<Self>(bytes).map_err(|error| broken(&error))?;
        if !rest.is_empty() {
            body.reads = postcard::from_bytes(rest).map_err(|error| broken(&error))?;
        }
        Ok(body)
    }
}

fn broken(error: &postcard::Error) -> IndexerError {
    IndexerError::State { key: "body of a block".to_owned(), reason: error.to_string() }
}

/// Decodes and folds a block: its body; its writes are in `state`.
pub fn ingest_block(
    state: &mut StateView<'_>,
    chronology: &Chronology,
    mapping: &Mapping,
    block: &VerifiedBlock,
) -> Result<Body, IndexerError> {
    let mut folded = fold_verified(state, chronology, mapping, block)?;
    let asked = std::mem::take(&mut folded.reads);
    let answered = |call: StateCall| block.reads.get(&call).cloned().map(|answer| (call, answer));
    let reads: Answers = asked.into_iter().filter_map(answered).collect();
    let watched: Vec<&VerifiedLog> = Sight::through(state, |known| {
        block.logs.iter().filter(|log| is_watched(mapping, block.block.number, log, known)).collect()
    })?;
    // Facts of the value that a transaction carried have no log.
    let of_facts = folded.events.iter().map(|one| one.event.position.tx_index);
    let indices: BTreeSet<u32> = watched.iter().map(|log| log.tx_index).chain(of_facts).collect();
    let brief = |index: u32| {
        let tx = usize::try_from(index).ok().and_then(|index| block.transactions.get(index))?;
        Some((index, TxBrief { hash: tx.hash, value: tx.value }))
    };
    let txs = indices.into_iter().filter_map(brief).collect();
    let raw_logs = watched.into_iter().map(|log| RawLog {
        tx_index: log.tx_index,
        log_index: log.log_index,
        address: log.address,
        topics: log.topics.to_vec(),
        data: log.data.clone(),
    });
    let raw_logs = raw_logs.collect();
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Ok(Body {
        l1_origin: block.l1_origin.map(|origin| origin.number),
        tx_count: count(block.transactions.len()),
        log_count: count(block.logs.len()),
        trust: if reads.is_empty() { block.trust } else { Trust::Unverified },
        txs,
        raw_logs,
        folded,
        reads,
    })
}
