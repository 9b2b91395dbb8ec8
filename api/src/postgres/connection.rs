//! One connection: how it begins, what is said in it, and how it ends.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::Statement as Asks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tributary_store::{HeldHead, StoreError};

use super::Postgres;
use super::catalog::SCHEMA;
use super::extended::{Portal, Rows, Statement};
use super::fault::Fault;
use super::functions::setting;
use super::message::{Malformed, Opening, Out, Said};
use super::statement::{self, Step};
use super::tables::INFORMATION;
use crate::error::{ErrorCode, Refusal};
use crate::limits::client;
use crate::pinned::Pinned;
use crate::serve::{JOIN_TRIES, SQL_UNITS, Visitor, Way};
use crate::sql_gate::{self, Asked, Hot, Prepared, SqlError};

/// Most bytes of a message from a client.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Most bytes of what a client begins with, as in PostgreSQL.
const OPENING_BYTES_MAX: usize = 10_000;
/// Bytes that are sent at a time.
const SENT_BYTES: usize = 64 << 10;
/// What a client may ask for before it begins: two kinds of encryption.
const OPENINGS_MAX: usize = 3;

/// Settings that a client is told when it begins.
const TOLD: [&str; 11] = [
    "server_version",
    "server_encoding",
    "client_encoding",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
    "is_superuser",
    "in_hot_standby",
    "default_transaction_read_only",
];

/// How a connection ends before its client ends it.
#[derive(Debug)]
pub(super) enum End {
    /// The client is told why.
    Told(Fault),
    /// The client is gone, or does not read or write in time.
    Silent,
}

impl From<Malformed> for End {
    fn from(cause: Malformed) -> Self {
        Self::Told(Fault::protocol(cause.to_string()))
    }
}

/// Whether a transaction is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    None,
    Open,
    Failed,
}

pub(super) struct Connection {
    pub(super) server: Arc<Postgres>,
    input: BufReader<OwnedReadHalf>,
    output: OwnedWriteHalf,
    pub(super) out: Out,
    visitor: Option<Visitor>,
    peer: SocketAddr,
    /// Whom the quota is kept for.
    asking: IpAddr,
    user: String,
    pub(super) process: i32,
    pub(super) statements: BTreeMap<String, Statement>,
    pub(super) portals: BTreeMap<String, Portal>,
    pub(super) block: Block,
    /// The snapshot of the open transaction.
    held: Option<Arc<Pinned>>,
    /// The newest block that the open transaction read, if it read blocks that are not sealed.
    tail: Option<HeldHead>,
    /// After an error nothing is done until the client says that it knows.
    pub(super) skipping: bool,
}

impl Connection {
    /// A connection; without a visitor it is only told that there is no room.
    pub(super) fn new(server: Arc<Postgres>, socket: TcpStream, peer: SocketAddr, visitor: Option<Visitor>) -> Self {
        let (input, output) = socket.into_split();
        let asking = client(peer.ip(), &Default::default(), &Default::default());
        Self {
            server,
            input: BufReader::new(input),
            output,
            out: Out::default(),
            visitor,
            peer,
            asking,
            user: String::new(),
            process: 0,
            statements: BTreeMap::new(),
            portals: BTreeMap::new(),
            block: Block::None,
            held: None,
            tail: None,
            skipping: false,
        }
    }

    /// Serves it to its end.
    pub(super) async fn serve(mut self) {
        let ended = match self.begin().await {
            Ok(true) => self.talk().await,
            Ok(false) => Ok(()),
            Err(end) => Err(end),
        };
        self.server.forget(self.process);
        if let Err(End::Told(fault)) = ended {
            self.out.error("FATAL", fault.state, &fault.message);
            let _sent = self.flush().await;
        }
        let _closed = timeout(self.server.app.config.body_deadline, self.output.shutdown()).await;
    }

    /// From the first byte to the first prompt; whether anything follows.
    async fn begin(&mut self) -> Result<bool, End> {
        let Some(settings) = self.opening().await? else { return Ok(false) };
        if self.visitor.is_none() {
            return Err(End::Told(Fault::new("53300", "more connections than this server takes: try again later")));
        }
        self.user = settings.get("user").cloned().unwrap_or_default();
        self.authenticate().await?;
        self.out.authentication(0);
        for name in TOLD {
            if let Some((name, value)) = setting(name) {
                self.out.setting(name, value);
            }
        }
        let (process, secret) = self.server.register();
        self.process = process;
        self.out.key(process, secret);
        self.ready().await?;
        Ok(true)
    }

    /// The client's settings; none when it only wanted to stop a query.
    async fn opening(&mut self) -> Result<Option<BTreeMap<String, String>>, End> {
        for _ in 0..OPENINGS_MAX {
            let patience = self.server.app.config.header_deadline;
            let read = async {
                let length = self.input.read_u32().await?;
                body(&mut self.input, length, OPENING_BYTES_MAX).await
            };
            let Ok(Ok(body)) = timeout(patience, read).await else { return Err(End::Silent) };
            match Opening::read(&body?)? {
                // Not offered: whoever asks goes on without, or does not.
                Opening::Encryption => {
                    self.out.0.push(b'N');
                    self.flush().await?;
                }
                Opening::Cancel { process, secret } => {
                    self.server.cancel(process, secret);
                    return Ok(None);
                }
                Opening::Start { minor, settings } => {
                    let unknown: Vec<&str> =
                        settings.keys().map(String::as_str).filter(|name| name.starts_with("_pq_.")).collect();
                    if minor > 0 || !unknown.is_empty() {
                        self.out.negotiate(&unknown);
                    }
                    return Ok(Some(settings));
                }
            }
        }
        Err(End::Told(Fault::protocol("encryption is not offered, as was said")))
    }

    /// An API key is asked for where there are any; without, whoever is on this machine is trusted.
    async fn authenticate(&mut self) -> Result<(), End> {
        let told = |refusal: Refusal| End::Told(refusal.into());
        if !self.server.app.keys.is_used().map_err(told)? {
            if self.peer.ip().to_canonical().is_loopback() {
                return Ok(());
            }
            let message = "from another machine an API key is needed as the password, and this server has none yet";
            return Err(End::Told(Fault::new("28000", message)));
        }
        self.out.authentication(3);
        self.flush().await?;
        let patience = self.server.app.config.header_deadline;
        let Ok(Ok(kind)) = timeout(patience, self.input.read_u8()).await else { return Err(End::Silent) };
        let Said::Password(secret) = self.said(kind).await? else {
            return Err(End::Told(Fault::protocol("a password was expected")));
        };
        let message = "this API key is not known or was revoked: give one of `tributary key create` as the password";
        let holder = self.server.app.keys.holder(&secret).map_err(told)?;
        self.asking = holder.ok_or_else(|| End::Told(Fault::new("28P01", message)))?;
        Ok(())
    }

    /// A message, after its first byte.
    async fn said(&mut self, kind: u8) -> Result<Said, End> {
        let patience = self.server.app.config.body_deadline;
        let read = async {
            let length = self.input.read_u32().await?;
            body(&mut self.input, length, MESSAGE_BYTES_MAX).await
        };
        let Ok(Ok(body)) = timeout(patience, read).await else { return Err(End::Silent) };
        Ok(Said::read(kind, &body?)?)
    }

    /// The next message, when it comes before the connection has to end.
    async fn next(&mut self) -> Result<Said, End> {
        loop {
            let server = Arc::clone(&self.server);
            let holds = self.portals.values().any(Portal::holds_rows);
            let config = &server.app.config;
            let patience = if holds { config.streamed_sql.deadline } else { config.idle_deadline };
            let leave = self.visitor.as_ref().map(|visitor| visitor.leave().clone()).unwrap_or_default();
            let ended = |message: &str| Err(End::Told(Fault::new("57P05", message)));
            tokio::select! {
                biased;
                () = server.stop.cancelled() => return Err(End::Told(Fault::new("57P01", "the server stops"))),
                () = leave.cancelled() => return ended("an idle connection made room for another one"),
                kind = timeout(patience, self.input.read_u8()) => match kind {
                    Ok(Ok(kind)) => return self.said(kind).await,
                    Ok(Err(_)) => return Err(End::Silent),
                    // What is left of an answer keeps others waiting.
                    Err(_) if holds => self.portals.retain(|_, portal| !portal.holds_rows()),
                    Err(_) => return ended("nothing was said for too long"),
                }
            }
        }
    }

    async fn talk(&mut self) -> Result<(), End> {
        loop {
            let said = self.next().await?;
            let _work = self.visitor.as_ref().map(Visitor::work);
            match said {
                Said::Terminate => return Ok(()),
                Said::Query(text) => {
                    self.skipping = false;
                    if let Err(fault) = self.query(&text).await? {
                        self.failed(&fault);
                    }
                    self.ready().await?;
                }
                Said::Sync => {
                    self.skipping = false;
                    if self.block == Block::None {
                        self.portals.clear();
                    }
                    self.ready().await?;
                }
                Said::Flush => self.flush().await?,
                Said::Copy => {}
                Said::Password(_) => return Err(End::Told(Fault::protocol("no password was asked for"))),
                _ if self.skipping => {}
                said => {
                    if let Err(fault) = self.extended(said).await? {
                        self.failed(&fault);
                        self.skipping = true;
                    }
                }
            }
        }
    }

    fn failed(&mut self, fault: &Fault) {
        self.out.error("ERROR", fault.state, &fault.message);
        if self.block == Block::Open {
            self.block = Block::Failed;
        }
    }

    async fn ready(&mut self) -> Result<(), End> {
        self.out.ready(match self.block {
            Block::None => b'I',
            Block::Open => b'T',
            Block::Failed => b'E',
        });
        self.flush().await
    }

    /// Sends what there is; whoever does not take it in time is given up.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        let patience = self.server.app.config.body_deadline;
        let sent = timeout(patience, self.output.write_all(&self.out.0)).await;
        self.out.0.clear();
        if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(End::Silent) }
    }

    /// Sends what there is when it is much.
    pub(super) async fn flush_much(&mut self) -> Result<(), End> {
        if self.out.0.len() < SENT_BYTES { Ok(()) } else { self.flush().await }
    }

    /// All statements of a text; the first that fails is the last.
    async fn query(&mut self, text: &str) -> Result<Result<(), Fault>, End> {
        let steps = match statement::read(text) {
            Ok(steps) => steps,
            Err(fault) => return Ok(Err(fault)),
        };
        if steps.is_empty() {
            self.out.bare(b'I');
        }
        for step in steps {
            let Step::Ask(asked) = step else {
                match self.beside(&step).await {
                    Ok(tag) => self.out.complete(tag),
                    Err(fault) => return Ok(Err(fault)),
                }
                continue;
            };
            let mut rows = match self.begun(asked).await {
                Ok(rows) => rows,
                Err(fault) => return Ok(Err(fault)),
            };
            self.out.columns(&rows.columns());
            if let Err(fault) = rows.send(self, None).await? {
                return Ok(Err(fault));
            }
        }
        Ok(Ok(()))
    }

    async fn begun(&mut self, asked: Box<Asks>) -> Result<Rows, Fault> {
        let prepared = self.prepare(asked).await?.1;
        let columns = super::extended::columns(&prepared.schema(), &[])?;
        self.start(prepared, columns).await
    }

    /// Does what is no query.
    pub(super) async fn beside(&mut self, step: &Step) -> Result<&'static str, Fault> {
        if self.block == Block::Failed && !matches!(step, Step::End { .. } | Step::Rewind) {
            return Err(in_failed());
        }
        Ok(match step {
            Step::Nothing(tag) => tag,
            Step::Begin => {
                self.block = Block::Open;
                "BEGIN"
            }
            Step::End { rollback } => {
                let failed = self.block == Block::Failed;
                self.block = Block::None;
                (self.held, self.tail) = (None, None);
                self.portals.clear();
                if *rollback || failed { "ROLLBACK" } else { "COMMIT" }
            }
            Step::Rewind => {
                self.block = if self.block == Block::None { Block::None } else { Block::Open };
                "ROLLBACK"
            }
            Step::Forget(Some(name)) => {
                self.statements.remove(name);
                "DEALLOCATE"
            }
            Step::Forget(None) => {
                self.statements.clear();
                "DEALLOCATE ALL"
            }
            Step::Ask(_) => return Err(Fault::protocol("a query is no step beside")),
        })
    }

    /// The snapshot that is read: in a transaction the one that it read first.
    pub(super) async fn pinned(&mut self) -> Result<Arc<Pinned>, Fault> {
        if let Some(held) = &self.held {
            return Ok(Arc::clone(held));
        }
        let newest = self.server.app.shelf.newest().await?;
        if self.block == Block::Open {
            self.held = Some(Arc::clone(&newest));
        }
        Ok(newest)
    }

    /// Lets a statement through the gate; with the snapshot that it reads.
    pub(super) async fn prepare(&mut self, asked: Box<Asks>) -> Result<(u64, Prepared), Fault> {
        if self.block == Block::Failed {
            return Err(in_failed());
        }
        self.charge(1)?;
        let _room = self.room().await?;
        let mut tries = 0;
        loop {
            let pinned = self.pinned().await?;
            match self.plan(&pinned, asked.clone()).await? {
                // A transaction stays with its snapshot.
                Err(SqlError::Hot { cause: StoreError::NotJoined { .. } })
                    if self.held.is_none() && tries < JOIN_TRIES =>
                {
                    tries += 1;
                }
                prepared => {
                    let prepared = prepared?;
                    if self.block == Block::Open {
                        self.tail = self.tail.or_else(|| prepared.tail());
                    }
                    return Ok((pinned.snapshot.version, prepared));
                }
            }
        }
    }

    async fn plan(&self, pinned: &Pinned, asked: Box<Asks>) -> Result<Result<Prepared, SqlError>, Fault> {
        let app = &self.server.app;
        let session = sql_gate::tables(pinned.lake(), &pinned.snapshot, &app.config.streamed_sql).await?;
        let catalog = self.server.catalog(&session).await?;
        let sizes = catalog.sizes(&asked, pinned.lake(), &pinned.snapshot).await;
        let sizes = sizes.map_err(|cause| Fault::from(Refusal::internal("reading the sizes of tables", &cause)))?;
        let session = catalog
            .register(&session, &sizes, &self.user)
            .map_err(|cause| Fault::from(Refusal::internal("putting the catalogue into a session", &cause)))?;
        let hot = Hot::above(&app.config.hot, &pinned.snapshot).upto(self.tail);
        Ok(sql_gate::prepare_in(session, Asked::Read(asked), hot, &app.config.streamed_sql).await)
    }

    /// Runs what was let in. That it reads what is not final is said first.
    pub(super) async fn start(
        &mut self,
        prepared: Prepared,
        columns: Vec<super::extended::Column>,
    ) -> Result<Rows, Fault> {
        if !prepared.stays_in(&[SCHEMA, INFORMATION]) {
            self.charge(SQL_UNITS - 1)?;
        }
        let room = self.room().await?;
        if let Some(HeldHead { number, hash }) = prepared.tail() {
            let message = format!("blocks up to {number} {hash} were read that are not sealed: they may be taken back");
            self.out.notice("01000", &message);
        }
        let stop = self.server.begin(self.process);
        Ok(Rows::new(prepared, columns, room, stop))
    }

    fn charge(&self, units: u32) -> Result<(), Fault> {
        let charged = self.server.app.limiter.charge(self.asking, units);
        let refused = |_none| Refusal::new(ErrorCode::RateLimited, "too many queries: try again later").into();
        charged.map(|_left| ()).map_err(refused)
    }

    /// Room for a query, which is kept as long as the permit is.
    async fn room(&self) -> Result<OwnedSemaphorePermit, Fault> {
        Ok(self.server.app.sql_room.enter(Way::Postgres).await?)
    }
}

fn in_failed() -> Fault {
    Fault::new("25P02", "the transaction failed: nothing is answered until it is rolled back")
}

/// What follows a length, which counts itself.
async fn body(
    input: &mut BufReader<OwnedReadHalf>,
    length: u32,
    most: usize,
) -> std::io::Result<Result<Vec<u8>, Malformed>> {
    let length = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
    let Some(length) = length.filter(|length| *length <= most) else {
        return Ok(Err(Malformed(format!("a message has more than {most} bytes, or a length that is none"))));
    };
    let mut body = vec![0; length];
    input.read_exact(&mut body).await?;
    Ok(Ok(body))
}
