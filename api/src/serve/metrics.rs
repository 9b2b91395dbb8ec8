//! `/metrics`: what an operator watches, in Prometheus' text format. Names are `tributary_<area>_<what>_<unit>`.
//!
//! The areas `indexer`, `store` and `settlement` are what the follower and the newest snapshot say; `api` is what this
//! server counted. A value that is not known yet is left out, and so is never zero by mistake.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tributary_schemas::invariant;
use tributary_store::Status;

use super::App;
use crate::error::Refusal;

/// Upper bounds of the buckets of a request's duration, in milliseconds.
const BUCKETS: [u32; 7] = [1, 5, 25, 100, 500, 2_500, 10_000];

/// Requests of one route with one status.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    requests: u64,
    micros: u128,
    /// Requests that took no longer than each bound.
    within: [u64; BUCKETS.len()],
}

/// What this server counted since it started.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: Mutex<BTreeMap<(&'static str, u16), Taken>>,
    errors: Mutex<BTreeMap<String, u64>>,
    replies: AtomicU64,
}

impl Counters {
    /// A request was answered.
    pub(super) fn answered(&self, path: &str, status: u16, took: Duration) {
        let route = match path {
            "/graphql" => "graphql",
            "/v1/sql" => "sql",
            _ if path.starts_with("/get/") => "blob",
            _ if path.starts_with("/exports/") => "export",
            _ => "page",
        };
        let mut all = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all.entry((route, status)).or_default();
        taken.requests = taken.requests.saturating_add(1);
        taken.micros = taken.micros.saturating_add(took.as_micros());
        for (count, bound) in taken.within.iter_mut().zip(BUCKETS) {
            *count = count.saturating_add(u64::from(took.as_millis() <= u128::from(bound)));
        }
    }

    /// A GraphQL answer was given again.
    pub(super) fn replied(&self) {
        self.replies.fetch_add(1, Ordering::Relaxed);
    }

    /// A GraphQL answer has an error with this code.
    pub(super) fn error(&self, code: &str) {
        let mut all = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(code.to_owned()).or_default();
        *count = count.saturating_add(1);
    }
}

/// Text under construction.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP tributary_{name} {help}\n# TYPE tributary_{name} {kind}"));
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.head(name, kind, help);
            self.line(format_args!("tributary_{name} {value}"));
        }
    }

    fn labelled(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels = labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text)));
        self.line(format_args!("tributary_{name}{{{}}} {value}", labels.collect::<Vec<_>>().join(",")));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.push_str(&text.to_string());
        self.0.push('\n');
    }
}

/// Everything, as text.
pub(super) async fn text(app: &App) -> Result<String, Refusal> {
    let mut page = Page::default();
    let dir = app.shelf.current()?.folder;
    let read =
        tokio::task::spawn_blocking(move || (tributary_store::read_status(&dir), tributary_store::free_bytes(&dir)));
    let (told, free) = read.await.map_err(|cause| Refusal::internal("reading the follower's status", &cause))?;
    let told = told.map_err(|cause| Refusal::internal("reading the follower's status", &cause))?;
    if let Some(told) = told {
        indexer(&mut page, &told);
    }
    page.one("store_free_bytes", "gauge", "Free space of the disk that holds the data folder.", free.ok());
    let events = app.live.feed_newest().await?;
    page.one("store_feed_events_total", "counter", "Blocks added and reorgs told to subscribers.", Some(events));
    // Without a snapshot there is nothing to say of it; that is what /readyz is for.
    if let Ok(pinned) = app.shelf.newest().await {
        snapshot(&mut page, &pinned);
        let (differences, short): (Vec<_>, Vec<_>) =
            pinned.alarms().await?.iter().partition(|alarm| alarm.kind.is_difference());
        let help = "What the chain says of settled epochs and the settlement does not.";
        page.one("settlement_alarms", "gauge", help, Some(differences.len()));
        let help = "Vaults and tokens that held less than they owed when the last settled epoch ended.";
        page.one("settlement_vaults_short", "gauge", help, Some(short.len()));
    }
    page.head("settlement_invariant_broken_total", "counter", "How often an invariant was found broken.");
    for one in invariant::ALL {
        page.labelled("settlement_invariant_broken_total", &[("id", one.id)], one.broken());
    }
    api(&mut page, app);
    Ok(page.0)
}

fn indexer(page: &mut Page, told: &Status) {
    let number = |block: Option<tributary_store::BlockRef>| block.map(|block| block.number);
    let blocks = [
        ("indexer_head_block", "Newest block of the chain, as the endpoints tell.", number(told.head)),
        ("indexer_safe_block", "Newest safe block.", number(told.safe)),
        ("indexer_finalized_block", "Newest finalised block.", number(told.finalized)),
        ("indexer_indexed_block", "Newest block that was verified and decoded.", number(told.indexed)),
        ("indexer_lag_blocks", "Blocks between the newest and the last indexed one.", Some(told.lag_blocks)),
    ];
    for (name, help, value) in blocks {
        page.one(name, "gauge", help, value);
    }
    let waiting = Some(told.waiting.len());
    page.one("indexer_waiting_reasons", "gauge", "Why sealing or an epoch waits: how many reasons.", waiting);
    page.head("indexer_endpoint_state", "gauge", "One for the state that an endpoint is in.");
    for one in &told.endpoints {
        page.labelled("indexer_endpoint_state", &[("endpoint", &one.name), ("state", &one.state)], 1);
    }
    for (counter, value) in &told.counters {
        let name: String =
            counter.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
        let name = format!("indexer_{name}_total");
        page.one(&name, "counter", "A counter of the follower since it started.", Some(value));
    }
    if let Some(anchored) = &told.anchored {
        let (last, not) = (anchored.finalized, Some(anchored.not_anchored));
        page.one("indexer_anchored_block", "gauge", "Newest block that a final posting on L1 carries.", last);
        page.one("indexer_not_anchored_blocks", "gauge", "Blocks that nothing on L1 carries.", not);
    }
}

fn snapshot(page: &mut Page, pinned: &crate::pinned::Pinned) {
    let heads = &pinned.snapshot.heads;
    page.one("store_snapshot_version", "gauge", "Version of the newest snapshot.", Some(pinned.snapshot.version));
    let reads = Some(pinned.reads());
    page.one(
        "api_table_reads_total",
        "counter",
        "Reads of tables, by query or by row, that answers from the newest snapshot took.",
        reads,
    );
    page.one("store_sealed_block", "gauge", "Last block of the newest snapshot.", Some(heads.block_number));
    page.one("store_sealed_block_seconds", "gauge", "Time of that block, Unix.", Some(heads.block_timestamp));
    page.head("store_table_rows", "gauge", "Rows of a table, states that no longer hold included.");
    for (name, table) in &pinned.snapshot.tables {
        page.labelled("store_table_rows", &[("table", name)], table.rows);
    }
    page.one("settlement_settled_epoch", "gauge", "Last settled epoch.", heads.settled_epoch);
    let open = heads.epoch_of(heads.block_timestamp);
    page.one("settlement_open_epoch", "gauge", "Epoch of the last sealed block.", Some(open));
}

fn api(page: &mut Page, app: &App) {
    let most = app.config.concurrency_max;
    let busy = most.saturating_sub(app.room.available_permits());
    page.one("api_in_flight_requests", "gauge", "Requests at work.", Some(busy));
    let watching = app.config.subscriptions_max.saturating_sub(app.live.room.available_permits());
    page.one("api_open_subscriptions", "gauge", "Open subscriptions.", Some(watching));
    let requests = app.counters.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
    page.head("api_requests_total", "counter", "Answered requests by route and HTTP status.");
    for ((route, status), taken) in &requests {
        page.labelled("api_requests_total", &[("route", route), ("status", &status.to_string())], taken.requests);
    }
    let mut routes = BTreeMap::<&str, Taken>::new();
    for ((route, _), taken) in &requests {
        let all = routes.entry(route).or_default();
        all.requests = all.requests.saturating_add(taken.requests);
        all.micros = all.micros.saturating_add(taken.micros);
        all.within.iter_mut().zip(taken.within).for_each(|(sum, one)| *sum = sum.saturating_add(one));
    }
    page.head("api_request_duration_seconds", "histogram", "Time to the head of an answer.");
    for (route, taken) in routes {
        for (bound, count) in BUCKETS.iter().zip(taken.within) {
            let bound = crate::scalar::with_point(i128::from(*bound), 3);
            page.labelled("api_request_duration_seconds_bucket", &[("route", route), ("le", &bound)], count);
        }
        page.labelled("api_request_duration_seconds_bucket", &[("route", route), ("le", "+Inf")], taken.requests);
        let micros = i128::try_from(taken.micros).unwrap_or(i128::MAX);
        let sum = crate::scalar::with_point(micros, 6);
        page.labelled("api_request_duration_seconds_sum", &[("route", route)], sum);
        page.labelled("api_request_duration_seconds_count", &[("route", route)], taken.requests);
    }
    page.head("api_errors_total", "counter", "Errors in GraphQL answers by their code.");
    let replies = Some(app.counters.replies.load(Ordering::Relaxed));
    page.one("api_answers_given_again_total", "counter", "GraphQL answers that were kept and given again.", replies);
    for (code, count) in app.counters.errors.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        page.labelled("api_errors_total", &[("code", code)], count);
    }
}
