//! Follows a node to its head into memory and says how fast: `follow URL CHAIN_ID [verify]`.
//!
//! With `verify` the answers of all blocks are fetched first and then verified again on one thread, so that the speed
//! of the node is not in the number.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]
#![expect(clippy::disallowed_methods, reason = "a measurement outside of the product reads the time")]

use async_trait::async_trait;
use serde_json::{json, value::RawValue};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use tributary_indexer::{
    Chain, Clock, Heads, IndexerError, Sink, VerifiedBlock,
    endpoint::{EndpointOptions, Pool, Preference},
    follow::{FollowOptions, Follower, Round},
    verify,
};
use tributary_schemas::BlockRef;

#[derive(Debug)]
struct Machine(Instant);

#[async_trait]
impl Clock for Machine {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Keeps references and counts, not blocks.
#[derive(Debug, Clone, Default)]
struct Counted(Arc<Mutex<(Vec<BlockRef>, u64, u64)>>);

#[async_trait]
impl Sink for Counted {
    async fn ingest(&mut self, blocks: Vec<VerifiedBlock>) -> Result<(), IndexerError> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for block in blocks {
            counted.1 += block.logs.len() as u64;
            counted.2 += block.transactions.len() as u64;
            counted.0.push(block.block);
        }
        Ok(())
    }

    async fn unwind(&mut self, to: BlockRef) -> Result<(), IndexerError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.retain(|block| block.number <= to.number);
        Ok(())
    }

    async fn heads(&mut self, _: Heads) -> Result<(), IndexerError> {
        Ok(())
    }

    async fn finalized(&mut self, _: BlockRef) -> Result<(), IndexerError> {
        Ok(())
    }
}

impl Chain for Counted {
    fn head(&self) -> Result<Option<BlockRef>, IndexerError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).0.last().copied())
    }

    fn block(&self, number: u64) -> Result<Option<BlockRef>, IndexerError> {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(counted.0.iter().rev().find(|block| block.number == number).copied())
    }

    fn sealed(&self) -> Result<Option<BlockRef>, IndexerError> {
        Ok(None)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, chain_id, rest @ ..] = arguments.as_slice() else { return Err("follow URL CHAIN_ID [verify]".into()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let clock: Arc<dyn Clock> = Arc::new(Machine(Instant::now()));
    let endpoint = EndpointOptions::default();
    let pool = Arc::new(Pool::new(&[url.parse()?], chain_id.parse()?, endpoint.clone(), Arc::clone(&clock))?);
    let counted = Counted::default();
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let options = FollowOptions::default();
        let mut follower = Follower::new(Arc::clone(&pool), &endpoint, counted.clone(), clock, options, stop)?;
        let started = Instant::now();
        while follower.advance(&mut counted.clone()).await? == Round::Moved {}
        let (blocks, logs, transactions) = {
            let counted = counted.0.lock().unwrap_or_else(PoisonError::into_inner);
            (counted.0.len(), counted.1, counted.2)
        };
        let took = started.elapsed();
        println!("followed {blocks} blocks, {transactions} transactions, {logs} logs in {took:?}");
        println!("{:.0} logs/s, {:.0} blocks/s", logs as f64 / took.as_secs_f64(), blocks as f64 / took.as_secs_f64());
        if rest.first().is_some_and(|word| word == "verify") {
            let mut answers = Vec::new();
            for number in 0..blocks {
                let params = json!([format!("{number:#x}"), true]);
                let block = pool.call(Preference::First, "eth_getBlockByNumber", &params).await?.json;
                let hash = verify::header(block.get()).map_err(|differs| differs.to_string())?.block.hash;
                let receipts = pool.call(Preference::First, "eth_getBlockReceipts", &json!([hash])).await?.json;
                answers.push((block, receipts));
            }
            measure(&answers, logs)?;
        }
        Ok(())
    })
}

fn measure(answers: &[(Box<RawValue>, Box<RawValue>)], logs: u64) -> Result<(), Box<dyn std::error::Error>> {
    let bytes: usize = answers.iter().map(|(block, receipts)| block.get().len() + receipts.get().len()).sum();
    for _ in 0..3 {
        let started = Instant::now();
        for (block, receipts) in answers {
            let header = verify::header(block.get()).map_err(|differs| differs.to_string())?;
            verify::block(header, block.get(), receipts.get()).map_err(|differs| differs.to_string())?;
        }
        let took = started.elapsed().as_secs_f64();
        println!(
            "verified on one thread: {:.0} logs/s, {:.0} MB/s of JSON",
            logs as f64 / took,
            bytes as f64 / took / 1e6
        );
    }
    Ok(())
}
