//! One header or one block at a time, checked, and the endpoint that is wrong found out.

use serde_json::{Value, json, value::RawValue};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::oneshot;

use alloy_primitives::B256;

use crate::{
    Clock, IndexerError, Trust, VerifiedBlock,
    endpoint::{self, Answer, EndpointId, EndpointOptions, Pool, Preference},
    verify::{self, CheckedHeader, Differs, Part},
};

/// Where blocks come from: the endpoints, and the threads that check what they say.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) pool: Arc<Pool>,
    workers: rayon::ThreadPool,
    clock: Arc<dyn Clock>,
    options: EndpointOptions,
    trust: Trust,
    /// No endpoint knows `eth_getBlockReceipts`.
    one_by_one: AtomicBool,
}

/// So many receipts are asked for in one batch: nodes bound batches by count and by the bytes of their answer.
const RECEIPTS_PER_BATCH: usize = 100;

/// A checked header and who sent it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) endpoint: EndpointId,
    pub(crate) checked: CheckedHeader,
}

/// A verified block, who sent it, and how many bytes its answers had.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) endpoint: EndpointId,
    pub(crate) block: VerifiedBlock,
    pub(crate) answer_bytes: usize,
}

/// What a node says of a block's receipts.
enum Receipts {
    /// They are these.
    Of(Answer),
    /// This one has not all of them, or has some in another block.
    NotAt(EndpointId),
}

/// How a header is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    Number(u64),
    Tag(&'static str),
}

/// So many wrong answers about one block, and an endpoint is out: a single one may have been damaged on its way.
const STRIKES: u32 = 2;

/// So often a block that should exist may be answered with null before the chain is believed to have moved.
const NULLS_MAX: u32 = 4;

/// The strikes of one request.
#[derive(Debug, Default)]
struct Strikes {
    by_endpoint: BTreeMap<EndpointId, u32>,
    all: u32,
}

impl Source {
    pub(crate) fn new(
        pool: Arc<Pool>,
        threads: usize,
        clock: Arc<dyn Clock>,
        options: EndpointOptions,
        trust: Trust,
    ) -> Result<Self, IndexerError> {
        let workers = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("verify-{index}"))
            .build()
            .map_err(|error| IndexerError::Ended { task: "verification", reason: error.to_string() })?;
        Ok(Self { pool, workers, clock, options, trust, one_by_one: AtomicBool::new(false) })
    }

    /// Whether it was found that no endpoint knows `eth_getBlockReceipts`.
    pub(crate) fn asks_one_by_one(&self) -> bool {
        self.one_by_one.load(Ordering::Relaxed)
    }

    /// A checked header; `None` when there is none by this tag.
    pub(crate) async fn header(&self, prefer: Preference, by: By) -> Result<Option<Told>, IndexerError> {
        let mut strikes = Strikes::default();
        Ok(self.open(prefer, by, false, &mut strikes).await?.map(|(told, _)| told))
    }

    /// The header of a number that should exist.
    pub(crate) async fn header_at(&self, prefer: Preference, number: u64) -> Result<Told, IndexerError> {
        let told = self.header(prefer, By::Number(number)).await?;
        told.ok_or_else(|| self.gone(prefer, number.to_string()))
    }

    /// A verified block, its receipts fetched by its hash: by number, a reorg between two questions mixes two forks.
    pub(crate) async fn block(&self, prefer: Preference, number: u64) -> Result<Fetched, IndexerError> {
        let mut strikes = Strikes::default();
        loop {
            let opened = self.open(prefer, By::Number(number), true, &mut strikes).await?;
            let (told, json) = opened.ok_or_else(|| self.gone(prefer, number.to_string()))?;
            let hash = told.checked.block.hash;
            let receipts = match self.receipts(prefer, &told, &json).await? {
                Receipts::Of(receipts) => receipts,
                // The block was replaced, or the node has not come to its receipts yet.
                Receipts::NotAt(endpoint) => {
                    if !self.again(&mut strikes, NULLS_MAX).await {
                        self.pool.doubt(endpoint, format!("no receipts of block {number} ({hash})"));
                        return Err(self.gone(prefer, format!("{number} ({hash})")));
                    }
                    continue;
                }
            };
            let answer_bytes = json.get().len().saturating_add(receipts.json.get().len());
            let (endpoint, receipts_from) = (told.endpoint, receipts.endpoint);
            match self.verify(told.checked, json, receipts).await? {
                Ok(block) => return Ok(Fetched { endpoint, block, answer_bytes }),
                Err(differs) => {
                    let guilty = if differs.part == Part::Receipts { receipts_from } else { endpoint };
                    self.strike(&mut strikes, guilty, number, hash, differs).await?;
                }
            }
        }
    }

    /// The receipts of a block: in one answer where a node has that, else one by one, in batches.
    async fn receipts(&self, prefer: Preference, told: &Told, block_json: &RawValue) -> Result<Receipts, IndexerError> {
        let hash = told.checked.block.hash;
        if !self.one_by_one.load(Ordering::Relaxed) {
            match self.pool.call(prefer, "eth_getBlockReceipts", &json!([hash])).await {
                Err(IndexerError::Refused { endpoint, reason, .. }) => {
                    tracing::warn!(endpoint, reason, "no eth_getBlockReceipts: receipts are asked for in batches");
                    self.one_by_one.store(true, Ordering::Relaxed);
                }
                answer => {
                    let answer = answer?;
                    return Ok(if is_null(&answer.json) {
                        Receipts::NotAt(answer.endpoint)
                    } else {
                        Receipts::Of(answer)
                    });
                }
            }
        }
        let params: Vec<Value> =
            verify::transaction_hashes(block_json.get()).iter().map(|hash| json!([hash])).collect();
        let (mut prefer, mut endpoint) = (prefer, told.endpoint);
        let mut all = Vec::with_capacity(params.len());
        for batch in params.chunks(RECEIPTS_PER_BATCH) {
            let answer = self.pool.call_each(prefer, "eth_getTransactionReceipt", batch).await?;
            endpoint = answer.endpoint;
            let Some(receipts) = verify::receipts_in(hash, answer.json.get()) else {
                return Ok(Receipts::NotAt(endpoint));
            };
            all.extend(receipts);
            // All receipts of a block from one node, so that it is known who lied when they are wrong.
            prefer = Preference::Only(endpoint);
        }
        let json = endpoint::array(&all)
            .map_err(|error| IndexerError::Ended { task: "reading receipts", reason: error.to_string() })?;
        Ok(Receipts::Of(Answer { endpoint, json }))
    }

    async fn open(
        &self,
        prefer: Preference,
        by: By,
        full: bool,
        strikes: &mut Strikes,
    ) -> Result<Option<(Told, Box<RawValue>)>, IndexerError> {
        let params = by.params(full);
        loop {
            let Answer { endpoint, json } = self.pool.call(prefer, "eth_getBlockByNumber", &params).await?;
            if is_null(&json) {
                let By::Number(number) = by else {
                    if matches!(by, By::Tag("latest")) {
                        self.pool.doubt(endpoint, "no latest block");
                    }
                    return Ok(None);
                };
                if !self.again(strikes, NULLS_MAX).await {
                    self.pool.doubt(endpoint, format!("no block {number}"));
                    return Ok(None);
                }
                continue;
            }
            let differs = match verify::header(json.get(), self.trust) {
                Ok(checked) => match by.mismatch(&checked) {
                    None => return Ok(Some((Told { endpoint, checked }, json))),
                    Some(differs) => differs,
                },
                Err(differs) => differs,
            };
            let number = if let By::Number(number) = by { number } else { 0 };
            self.strike(strikes, endpoint, number, B256::ZERO, differs).await?;
        }
    }

    /// Off the runtime's threads, on as many of our own as were asked for.
    async fn verify(
        &self,
        checked: CheckedHeader,
        json: Box<RawValue>,
        receipts: Answer,
    ) -> Result<Result<VerifiedBlock, Differs>, IndexerError> {
        let (done, wait) = oneshot::channel();
        let trust = self.trust;
        let span = tracing::debug_span!("verify", block = checked.block.number);
        self.workers.spawn(move || {
            let verified = span.in_scope(|| verify::block(checked, json.get(), receipts.json.get(), trust));
            if done.send(verified).is_err() {
                tracing::trace!("a block was verified that nobody waits for any more");
            }
        });
        wait.await.map_err(|error| IndexerError::Ended { task: "verification", reason: error.to_string() })
    }

    /// Counts a wrong answer; the second about the same block ends the endpoint's part in this.
    async fn strike(
        &self,
        strikes: &mut Strikes,
        endpoint: EndpointId,
        number: u64,
        hash: B256,
        differs: Differs,
    ) -> Result<(), IndexerError> {
        let count = strikes.by_endpoint.entry(endpoint).or_default();
        *count = count.saturating_add(1);
        // A node that is a moment behind with its receipts is given all attempts, not two.
        let limit = if differs.maybe_early { self.options.attempts_max } else { STRIKES };
        let out = *count >= limit;
        let lie =
            IndexerError::Lie { endpoint: self.pool.name(endpoint).to_owned(), number, hash, lie: differs.to_string() };
        tracing::warn!(%lie, "wrong answer");
        self.pool.lied(endpoint);
        if out {
            self.pool.quarantine(endpoint, lie.to_string());
        }
        if self.again(strikes, self.options.attempts_max.saturating_mul(STRIKES)).await { Ok(()) } else { Err(lie) }
    }

    /// Waits before another try; says whether there may be one.
    async fn again(&self, strikes: &mut Strikes, tries_max: u32) -> bool {
        if strikes.all >= tries_max {
            return false;
        }
        self.clock.sleep(self.options.backoff(strikes.all)).await;
        strikes.all = strikes.all.saturating_add(1);
        true
    }

    fn gone(&self, prefer: Preference, block: String) -> IndexerError {
        let endpoint = match prefer {
            Preference::Only(id) | Preference::Once(id) => self.pool.name(id).to_owned(),
            Preference::First | Preference::Turns => "any".to_owned(),
        };
        IndexerError::BlockGone { endpoint, block }
    }
}

impl By {
    fn params(self, full: bool) -> Value {
        match self {
            Self::Number(number) => json!([format!("{number:#x}"), full]),
            Self::Tag(tag) => json!([tag, full]),
        }
    }

    fn mismatch(self, checked: &CheckedHeader) -> Option<Differs> {
        match self {
            Self::Number(number) if number != checked.block.number => {
                let what = format!("number expected {number}, got {}", checked.block.number);
                Some(Differs::new(Part::Header, what))
            }
            Self::Number(_) | Self::Tag(_) => None,
        }
    }
}

fn is_null(json: &RawValue) -> bool {
    json.get().trim() == "null"
}
