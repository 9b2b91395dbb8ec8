//! Blocks ahead of whoever folds them: fetched and verified in parallel, handed on in order, bounded in bytes.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};

use crate::{
    IndexerError,
    endpoint::Preference,
    follow::source::{Fetched, Source},
};

/// A fetched block, with its share of the memory that is allowed.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) fetched: Fetched,
    pub(super) lease: Lease,
}

/// Blocks of a range, in order; ends with the first that could not be fetched.
#[derive(Debug)]
pub(super) struct Prefetch {
    ready: mpsc::UnboundedReceiver<Result<Ready, IndexerError>>,
    /// Stops when dropped.
    _driver: JoinSet<()>,
}

/// How far ahead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    pub(super) bytes_max: usize,
    pub(super) fetches_max: usize,
}

impl Prefetch {
    pub(super) fn start(source: Arc<Source>, prefer: Preference, range: RangeInclusive<u64>, ahead: Ahead) -> Self {
        // The channel has no bound of its own: everything in it holds a lease, and leases are bounded.
        let (out, ready) = mpsc::unbounded_channel();
        let mut driver = JoinSet::new();
        driver.spawn(drive(source, prefer, range, ahead, out));
        Self { ready, _driver: driver }
    }

    pub(super) async fn next(&mut self) -> Option<Result<Ready, IndexerError>> {
        self.ready.recv().await
    }

    /// What is there already.
    pub(super) fn try_next(&mut self) -> Option<Result<Ready, IndexerError>> {
        self.ready.try_recv().ok()
    }
}

type Out = mpsc::UnboundedSender<Result<Ready, IndexerError>>;

async fn drive(source: Arc<Source>, prefer: Preference, range: RangeInclusive<u64>, ahead: Ahead, out: Out) {
    let budget = Arc::new(Budget::new(ahead.bytes_max));
    let mut under_way = JoinSet::new();
    let mut waiting: BTreeMap<u64, Result<Ready, IndexerError>> = BTreeMap::new();
    let mut numbers = range.clone().peekable();
    let mut failed = false;
    for next in range {
        while !waiting.contains_key(&next) {
            while !failed && under_way.len() < ahead.fetches_max && numbers.peek().is_some() {
                let Some(lease) = budget.lease() else { break };
                let Some(number) = numbers.next() else { break };
                under_way.spawn(fetch(Arc::clone(&source), prefer, number, lease));
            }
            tokio::select! {
                Some(done) = under_way.join_next() => {
                    let (number, result) = match done {
                        Ok(done) => done,
                        Err(error) => (next, Err(IndexerError::Ended { task: "fetch", reason: error.to_string() })),
                    };
                    failed |= result.is_err();
                    let _old = waiting.insert(number, result);
                }
                () = budget.freed.notified() => {}
                () = out.closed() => return,
            }
        }
        let Some(result) = waiting.remove(&next) else { return };
        let last = result.is_err();
        if out.send(result).is_err() || last {
            return;
        }
    }
}

#[tracing::instrument(level = "debug", skip_all, fields(block = number))]
async fn fetch(
    source: Arc<Source>,
    prefer: Preference,
    number: u64,
    mut lease: Lease,
) -> (u64, Result<Ready, IndexerError>) {
    let result = source.block(prefer, number).await.map(|fetched| {
        lease.settle(fetched.answer_bytes, fetched.block.bytes());
        Ready { fetched, lease }
    });
    (number, result)
}

/// Bytes that may be held by fetches under way and blocks not yet folded.
#[derive(Debug)]
struct Budget {
    state: Mutex<Spent>,
    freed: Notify,
    bytes_max: usize,
}

#[derive(Debug)]
struct Spent {
    bytes: usize,
    /// What a fetch is expected to take: the largest lately.
    expected: usize,
}

/// A part of the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    bytes: usize,
    budget: Arc<Budget>,
}

/// What a block is thought to take before one was seen.
const EXPECTED_AT_FIRST: usize = 1 << 20;

impl Budget {
    fn new(bytes_max: usize) -> Self {
        let state = Mutex::new(Spent { bytes: 0, expected: EXPECTED_AT_FIRST });
        Self { state, freed: Notify::new(), bytes_max }
    }

    /// A lease of what a fetch is expected to take. When nothing is leased there is always one, so that a block
    /// larger than the whole budget still gets through, alone.
    fn lease(self: &Arc<Self>) -> Option<Lease> {
        let mut spent = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = spent.expected;
        if spent.bytes > 0 && spent.bytes.saturating_add(bytes) > self.bytes_max {
            return None;
        }
        spent.bytes = spent.bytes.saturating_add(bytes);
        Some(Lease { bytes, budget: Arc::clone(self) })
    }
}

impl Lease {
    /// The answers are gone, the block stays.
    fn settle(&mut self, answer_bytes: usize, block_bytes: usize) {
        let mut spent = self.budget.state.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = answer_bytes.saturating_add(block_bytes);
        // Falls by an eighth with each smaller block, rises at once.
        spent.expected = std::cmp::max(seen, spent.expected.saturating_sub(spent.expected >> 3));
        spent.bytes = spent.bytes.saturating_sub(self.bytes).saturating_add(block_bytes);
        self.bytes = block_bytes;
        drop(spent);
        self.budget.freed.notify_one();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut spent = self.budget.state.lock().unwrap_or_else(PoisonError::into_inner);
        spent.bytes = spent.bytes.saturating_sub(self.bytes);
        drop(spent);
        self.budget.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_counts_bytes_and_lets_one_giant_through() {
        let budget = Arc::new(Budget::new(3 << 20));
        let mut first = budget.lease().unwrap();
        let second = budget.lease().unwrap();
        let third = budget.lease().unwrap();
        assert!(budget.lease().is_none());
        drop((second, third));
        // Ten megabytes of answers: the next fetch is expected to be as large, and has to wait for this one to go.
        first.settle(9 << 20, 1 << 20);
        assert!(budget.lease().is_none());
        drop(first);
        assert_eq!(budget.lease().unwrap().bytes, 10 << 20);
    }
}
