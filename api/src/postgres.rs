//! PostgreSQL's protocol, version 3: for psql, Grafana, psycopg and whatever else knows a server of PostgreSQL.
//!
//! A connection travels: is there room (`serve::doors`) → who asks, by an API key as the password → what is said
//! (`message`) → which statement (`statement`, `rewrite`) → the gate → rows (`value`). The gate is the one of every other
//! way in, so nothing can be written here either; what drivers say beside their queries is taken where it changes
//! nothing. A transaction is a snapshot that is held.
//!
//! Nobody is waited for: a message has its time to arrive and an answer to be taken, an idle connection makes room for
//! others and ends, and what a client keeps here (statements, portals) is bounded.

mod bind;
mod catalog;
mod connection;
mod extended;
mod fault;
mod functions;
mod message;
mod rewrite;
mod statement;
mod tables;
mod value;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::prelude::SessionContext;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use self::catalog::Catalog;
use self::connection::Connection;
use crate::error::{ApiError, Refusal};
use crate::serve::{App, Doors, accept};

/// What all connections share.
pub(crate) struct Postgres {
    app: Arc<App>,
    stop: CancellationToken,
    catalog: OnceCell<Catalog>,
    /// What is running, by the number of its connection: the secret that stops it, and how.
    running: Mutex<BTreeMap<i32, (i32, CancellationToken)>>,
    connections: AtomicI32,
    secrets: RandomState,
}

impl Postgres {
    /// The number and the secret of a new connection.
    fn register(&self) -> (i32, i32) {
        let process = self.connections.fetch_add(1, Ordering::Relaxed);
        let [first, second, third, fourth, ..] = self.secrets.hash_one(process).to_be_bytes();
        let secret = i32::from_be_bytes([first, second, third, fourth]);
        self.lock().insert(process, (secret, CancellationToken::new()));
        (process, secret)
    }

    /// Begins a query of a connection: what stops it, and nothing that came before.
    fn begin(&self, process: i32) -> CancellationToken {
        let stop = CancellationToken::new();
        if let Some(running) = self.lock().get_mut(&process) {
            running.1 = stop.clone();
        }
        stop
    }

    /// Stops what a connection runs, for whoever knows its secret.
    fn cancel(&self, process: i32, secret: i32) {
        if let Some((known, stop)) = self.lock().get(&process)
            && *known == secret
        {
            stop.cancel();
        }
    }

    fn forget(&self, process: i32) {
        self.lock().remove(&process);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, (i32, CancellationToken)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The catalogue of the tables that every snapshot has.
    async fn catalog(&self, session: &SessionContext) -> Result<&Catalog, Refusal> {
        let read = || Catalog::read(session);
        self.catalog.get_or_try_init(read).await.map_err(|cause| Refusal::internal("reading the catalogue", &cause))
    }
}

/// Serves until the token is cancelled and what is at work is answered.
pub(crate) async fn answer(
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    stop: CancellationToken,
) -> Result<(), ApiError> {
    let doors = Doors::new(app.config.connections_max);
    let shared = Arc::new(Postgres {
        app,
        stop: stop.clone(),
        catalog: OnceCell::new(),
        running: Mutex::default(),
        connections: AtomicI32::new(1),
        secrets: RandomState::new(),
    });
    let serve = move |socket, peer| Connection::new(Arc::clone(&shared), socket, peer, doors.enter()).serve();
    accept(listener, address, stop, serve).await
}
