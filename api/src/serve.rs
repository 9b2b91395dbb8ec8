//! The server: what it listens on, what it answers where, and how it stops.
//!
//! A request travels: who asks ([`limits`](crate::limits)) → is there room → what is asked
//! ([`graphql`](crate::graphql), [`guard`](crate::guard)) → which snapshot ([`pinned`](crate::pinned)) → the answer.
//! Archived blobs are the exception: they belong to no snapshot, and whoever asks names their hash (`blobs`).

mod blobs;
mod connections;
mod doors;
mod exports;
mod metrics;
mod room;
mod routes;
mod sql;
mod stream;
mod trace;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tributary_store::{ArchiveReader, HotTails, Lake};

use crate::error::ApiError;
use crate::graphql::Engine;
use crate::guard::GuardLimits;
use crate::keys::Ring;
use crate::limits::{Limiter, RateLimit};
use crate::live::Live;
use crate::pinned::Shelf;
use crate::schema;
use crate::sql_gate::SqlLimits;
use crate::view::{Token, Tokens};

pub(crate) use connections::accept;
pub(crate) use doors::{Doors, Visitor};
pub(crate) use room::{SqlRoom, Way};
pub(crate) use sql::{JOIN_TRIES, SQL_UNITS, as_of, sql_refusal};

/// How to serve. The default listens on a free port of the loopback address.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where `/metrics`, `/healthz` and `/readyz` are served for operators; nowhere else when it is not given.
    pub admin: Option<SocketAddr>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: BTreeSet<IpAddr>,
    /// Names of tokens.
    pub tokens: Tokens,
    /// Bounds of a GraphQL document.
    pub guard: GuardLimits,
    /// Bounds of a query of `POST /v1/sql`.
    pub sql: SqlLimits,
    /// The tails that this process follows into, for SQL about blocks that are not sealed.
    pub hot: HotTails,
    /// Where Arrow Flight SQL listens; nowhere when not given.
    pub flight: Option<SocketAddr>,
    /// Where PostgreSQL's protocol is spoken; nowhere when not given.
    pub postgres: Option<SocketAddr>,
    /// Bounds of a query of either, whose rows are streamed.
    pub streamed_sql: SqlLimits,
    /// Queries in SQL at work at a time, by all ways in together: each may use the memory of a query until its rows are
    /// fetched. One of them is kept for each way in that is served; one more waits a moment, then is turned away.
    pub queries_max: usize,
    /// Quota of a client without an API key.
    pub rate: RateLimit,
    /// Quota of an API key.
    pub key_rate: RateLimit,
    /// Requests at work at a time; one more waits a moment, then is turned away.
    pub concurrency_max: usize,
    /// Subscriptions at a time.
    pub subscriptions_max: usize,
    /// Connections of one listener at a time: one more takes the place of an idle one.
    pub connections_max: usize,
    /// Most time that the head of a request may take to arrive, counted from the answer before it, or what a connection
    /// begins with.
    pub header_deadline: Duration,
    /// Most time in which nothing happens on a connection. Longer than a query may take.
    pub idle_deadline: Duration,
    /// Most bytes of a body.
    pub body_bytes_max: usize,
    /// Most time that a body, or another message, may take to arrive or to be taken.
    pub body_deadline: Duration,
    /// Origins whose pages may ask; `*` is any.
    pub cors_origins: Vec<String>,
    /// Most bytes of whole GraphQL answers that are kept of each of the two newest snapshots, for whoever asks the same.
    pub replies_bytes: usize,
    /// GraphQL documents by their ids.
    pub documents: Documents,
    /// Most time of a request.
    pub deadline: Duration,
    /// Blocks the follower may lag behind its endpoints and still be ready.
    pub ready_lag_max: u64,
}

impl Default for ApiConfig {
    fn default() -> Self {
        // The native token of the chain this is built for has 18 decimals.
        let native = Token { symbol: "OPEN".to_owned(), decimals: 18 };
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            admin: None,
            trusted_proxies: BTreeSet::new(),
            tokens: Tokens::from([(alloy_primitives::Address::ZERO, native)]),
            guard: GuardLimits::default(),
            sql: SqlLimits::default(),
            hot: HotTails::default(),
            flight: None,
            postgres: None,
            streamed_sql: SqlLimits { rows_max: 10_000_000, deadline: Duration::from_secs(60), ..SqlLimits::default() },
            queries_max: 8,
            rate: RateLimit::default(),
            key_rate: RateLimit {
                burst: const { NonZeroU32::new(6_000).expect("6,000 is not zero") },
                ..RateLimit::default()
            },
            concurrency_max: 64,
            subscriptions_max: 1_024,
            connections_max: 1_024,
            header_deadline: Duration::from_secs(30),
            idle_deadline: Duration::from_secs(90),
            body_bytes_max: 64 << 10,
            body_deadline: Duration::from_secs(10),
            cors_origins: Vec::new(),
            replies_bytes: 32 << 20,
            documents: Documents::default(),
            deadline: Duration::from_secs(10),
            ready_lag_max: 64,
        }
    }
}

/// GraphQL documents that clients name instead of sending them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Documents {
    /// Documents by id.
    pub by_id: BTreeMap<String, String>,
    /// Whether nothing else is answered.
    pub only: bool,
}

/// Where pages come from: a path without its leading slash to a media type and bytes.
pub type Assets = Arc<dyn Fn(&str) -> Option<(&'static str, std::borrow::Cow<'static, [u8]>)> + Send + Sync>;

/// A server that listens and waits to be run.
pub struct Bound {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where it listens for operators.
    pub admin: Option<SocketAddr>,
    /// Where its Flight SQL listens.
    pub flight: Option<SocketAddr>,
    /// Where its PostgreSQL listens.
    pub postgres: Option<SocketAddr>,
    /// Serves until the token is cancelled and what is at work is answered.
    pub run: Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send>>,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// Listens; nothing is served before [`Bound::run`] is awaited.
pub async fn serve(
    config: ApiConfig,
    lake: Lake,
    data_dir: PathBuf,
    dashboard: Option<Assets>,
    shutdown: CancellationToken,
) -> Result<Bound, ApiError> {
    let (listen, operators, flight, postgres) = (config.listen, config.admin, config.flight, config.postgres);
    let app = App::new(config, lake, data_dir, dashboard, shutdown.clone())?;
    let live = Arc::clone(&app.live);
    let (listener, addr) = bind(listen).await?;
    let first = connections::answer(listener, addr, routes::router(Arc::clone(&app)), &app.config, shutdown.clone());
    let mut serving: Vec<BoxFuture<'static, Result<(), ApiError>>> = vec![Box::pin(first)];
    let mut beside = [None, None];
    let routers = [routes::operators(Arc::clone(&app)), crate::flight::router(Arc::clone(&app))];
    for ((address, router), bound) in [operators, flight].into_iter().zip(routers).zip(&mut beside) {
        if let Some(address) = address {
            let (listener, addr) = bind(address).await?;
            serving.push(Box::pin(connections::answer(listener, addr, router, &app.config, shutdown.clone())));
            *bound = Some(addr);
        }
    }
    let [admin, flight] = beside;
    let mut spoken = None;
    if let Some(address) = postgres {
        let (listener, addr) = bind(address).await?;
        serving.push(Box::pin(crate::postgres::answer(listener, addr, app, shutdown)));
        spoken = Some(addr);
    }
    let run = async move {
        tokio::select! {
            served = futures::future::try_join_all(serving) => served.map(|_| ()),
            () = live.beat() => Ok(()),
        }
    };
    Ok(Bound { addr, admin, flight, postgres: spoken, run: Box::pin(run) })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ApiError> {
    let failed = |source| ApiError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// What every request shares.
pub(crate) struct App {
    pub(crate) config: ApiConfig,
    tokens: Arc<Tokens>,
    engine: Engine,
    sdl: String,
    pub(crate) shelf: Arc<Shelf>,
    live: Arc<Live>,
    stop: CancellationToken,
    archive: ArchiveReader,
    blob_room: Arc<Semaphore>,
    pub(crate) limiter: Limiter,
    pub(crate) keys: Ring,
    room: Semaphore,
    counters: metrics::Counters,
    pub(crate) sql_room: SqlRoom,
    requests: AtomicU64,
    dashboard: Option<Assets>,
}

impl App {
    pub(crate) fn new(
        config: ApiConfig,
        lake: Lake,
        data_dir: PathBuf,
        dashboard: Option<Assets>,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, ApiError> {
        let expected = "a window that gives each unit at least a nanosecond";
        let short = || ApiError::Limit { name: "rate.window", got: format!("{:?}", config.rate.window), expected };
        let limiter = Limiter::new(config.rate, config.key_rate).ok_or_else(short)?;
        if config.concurrency_max == 0 || config.concurrency_max > Semaphore::MAX_PERMITS {
            let (name, got) = ("concurrency_max", config.concurrency_max.to_string());
            return Err(ApiError::Limit { name, got, expected: "at least one, as nothing is served otherwise" });
        }
        let beside = [(Way::Flight, config.flight), (Way::Postgres, config.postgres)];
        let beside = beside.into_iter().filter_map(|(way, address)| address.map(|_| way));
        let ways = [Way::Http].into_iter().chain(beside).collect::<Vec<_>>();
        let sql_room = SqlRoom::new(config.queries_max, &ways).ok_or_else(|| {
            let (name, got) = ("queries_max", config.queries_max.to_string());
            ApiError::Limit { name, got, expected: "at least one for each way in of SQL that is served" }
        })?;
        let tokens = Arc::new(config.tokens.clone());
        let archive = ArchiveReader::new(&data_dir);
        let keys = Ring::new(&data_dir);
        let shelf = Arc::new(Shelf::new(lake, data_dir).keeping(config.replies_bytes));
        let live = Live::new(Arc::clone(&shelf), Arc::clone(&tokens), config.subscriptions_max);
        Ok(Arc::new(Self {
            tokens,
            engine: Engine::new(config.guard),
            sdl: schema::sdl(),
            archive,
            keys,
            blob_room: Arc::new(Semaphore::new(blobs::AT_ONCE_MAX)),
            shelf,
            live: Arc::new(live),
            stop,
            limiter,
            room: Semaphore::new(config.concurrency_max),
            counters: metrics::Counters::default(),
            sql_room,
            requests: AtomicU64::new(1),
            dashboard,
            config,
        }))
    }
}

#[cfg(test)]
mod tests;
