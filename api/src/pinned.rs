//! One snapshot, held for as long as requests read it: its session for SQL, its graph, and what each thing earned.
//!
//! [`Shelf`] keeps the two newest ones that were asked for. A request takes one [`Pinned`] at its start and reads
//! nothing else, so that no answer mixes two snapshots, nor two generations (INV-10).

mod answered;
mod places;
mod replies;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use alloy_primitives::{Address, B256};
use arrow::array::{ArrayRef, RecordBatch};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use tokio::sync::OnceCell;
use tributary_accounting::{Alarm, Explainer, Origins};
use tributary_schemas::Table;
use tributary_schemas::column::{Column, Micros};
use tributary_schemas::facts::BlockRow;
use tributary_schemas::money::EntitlementRow;
use tributary_store::{Current, Generations, Lake, Snapshot, StoreError, TableFile};

use answered::Answered;
use places::Places;
pub(crate) use replies::{Replies, Reply};

use crate::earned::Earned;
use crate::error::{ErrorCode, Refusal};
use crate::session;
use crate::standing::Standings;
use crate::view::load::{Keeping, Loads};
use crate::world::{ROWS_MAX, TABLES, World};

/// Snapshots kept.
const KEPT: usize = 2;
/// Memory that the operators of our own queries share, per snapshot.
const MEMORY: usize = 512 << 20;
/// Parallelism of one query of ours; many run at a time.
const PARTITIONS: usize = 2;
/// Cuts kept per snapshot: what was earned up to the newest settled epoch, and a few of the past.
const CUTS_KEPT: usize = 4;

/// Lines whose origins are kept per snapshot: somebody turns their pages.
const ORIGINS_KEPT: usize = 8;

/// A line of an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OriginKey {
    pub(crate) account: Address,
    pub(crate) token: Address,
    pub(crate) epoch: i64,
    pub(crate) vault: String,
    /// With `pending:` before it for what waits.
    pub(crate) role: String,
    /// Dataset, contribution, model and agent.
    pub(crate) ids: [Option<String>; 4],
    pub(crate) adjusts_epoch: Option<i64>,
}

/// What divides epochs again, in a session of its own.
#[derive(Default)]
struct Drill {
    session: OnceCell<SessionContext>,
    explainer: Explainer,
    kept: tokio::sync::Mutex<Vec<(OriginKey, Arc<Origins>)>>,
}

/// The snapshots that requests read.
#[derive(Debug)]
pub(crate) struct Shelf {
    generations: Generations,
    /// Those that were read, by their folders.
    lakes: tokio::sync::Mutex<BTreeMap<PathBuf, Lake>>,
    kept: Mutex<Vec<Arc<Pinned>>>,
    /// Most bytes of whole answers that are kept of each.
    replies_bytes: usize,
}

impl Shelf {
    /// An empty shelf over a data folder, whose first generation is this lake; no whole answer is kept.
    pub(crate) fn new(lake: Lake, data_dir: PathBuf) -> Self {
        let generations = Generations::new(&data_dir);
        let lakes = tokio::sync::Mutex::new([(data_dir, lake)].into());
        Self { generations, lakes, kept: Mutex::default(), replies_bytes: 0 }
    }

    /// The same, with so many bytes of whole answers kept of each snapshot.
    pub(crate) fn keeping(self, replies_bytes: usize) -> Self {
        Self { replies_bytes, ..self }
    }

    /// The data folder.
    pub(crate) fn data_dir(&self) -> &std::path::Path {
        self.generations.data_dir()
    }

    /// The generation that answers when no other is named.
    pub(crate) fn current(&self) -> Result<Current, Refusal> {
        self.generations.current().map_err(|cause| Refusal::internal("finding the generation", &cause))
    }

    /// The newest published snapshot of the generation that answers.
    pub(crate) async fn newest(&self) -> Result<Arc<Pinned>, Refusal> {
        self.of_folder(self.current()?.folder).await
    }

    /// The newest published snapshot of the generation by a mapping set; of the one that answers where none is named.
    pub(crate) async fn newest_of(&self, named: Option<B256>) -> Result<Arc<Pinned>, Refusal> {
        let Some(hash) = named else { return self.newest().await };
        self.of_folder(self.find(hash)?).await
    }

    /// A snapshot of the generation by a mapping set, and the lake it is in.
    pub(crate) async fn snapshot(&self, generation: B256, version: u64) -> Result<(Lake, Arc<Snapshot>), Refusal> {
        let lake = self.lake(self.find(generation)?).await?;
        let snapshot = lake.snapshot(version).await.map_err(|cause| {
            tracing::debug!(%cause, "a snapshot that somebody names cannot be read");
            Refusal::new(ErrorCode::AsOfUnavailable, format!("snapshot {version} cannot be read any more: ask again"))
        })?;
        Ok((lake, snapshot))
    }

    fn find(&self, hash: B256) -> Result<PathBuf, Refusal> {
        match self.generations.find(hash) {
            Ok(found) => Ok(found.folder),
            Err(cause @ StoreError::NoGeneration { .. }) => Err(Refusal::new(ErrorCode::NotFound, cause.to_string())),
            Err(cause) => Err(Refusal::internal("finding the generation", &cause)),
        }
    }

    async fn lake(&self, folder: PathBuf) -> Result<Lake, Refusal> {
        let mut lakes = self.lakes.lock().await;
        if let Some(lake) = lakes.get(&folder) {
            return Ok(lake.clone());
        }
        let lake = Lake::open(&folder).await.map_err(|cause| Refusal::internal("opening the tables", &cause))?;
        lakes.insert(folder, lake.clone());
        Ok(lake)
    }

    async fn of_folder(&self, folder: PathBuf) -> Result<Arc<Pinned>, Refusal> {
        let lake = self.lake(folder.clone()).await?;
        let newest = lake.latest().await.map_err(|cause| Refusal::internal("finding the snapshot", &cause))?;
        let Some(snapshot) = newest else {
            return Err(Refusal::new(ErrorCode::NotReady, "no snapshot is published yet: try again later"));
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |one: &Arc<Pinned>| one.folder == folder && one.snapshot.version == snapshot.version;
        if let Some(found) = kept.iter().position(is_it) {
            let found = kept.remove(found);
            kept.push(Arc::clone(&found));
            return Ok(found);
        }
        let before = kept.iter().rfind(|one| one.folder == folder);
        let before = before.filter(|one| one.snapshot.version < snapshot.version).map(Arc::as_ref);
        let known = Before { pinned: before, replies_bytes: self.replies_bytes };
        let pinned = Pinned::after(known, lake, folder, snapshot, Some(self.generations.clone()));
        kept.push(Arc::clone(&pinned));
        if kept.len() > KEPT {
            kept.remove(0);
        }
        drop(kept);
        Ok(pinned)
    }
}

/// What a snapshot begins with.
#[derive(Default)]
struct Before<'a> {
    /// The one before it, of the same generation.
    pinned: Option<&'a Pinned>,
    replies_bytes: usize,
}

/// One snapshot.
pub(crate) struct Pinned {
    pub(crate) snapshot: Arc<Snapshot>,
    /// The folder of its generation.
    pub(crate) folder: PathBuf,
    /// All generations of its data folder; none where only one is known.
    pub(crate) generations: Option<Generations>,
    lake: Lake,
    session: OnceCell<SessionContext>,
    world: OnceCell<Arc<World>>,
    earned: tokio::sync::Mutex<BTreeMap<i64, Arc<Earned>>>,
    drill: Drill,
    alarms: OnceCell<Vec<Alarm>>,
    reads: AtomicU64,
    answered: Answered,
    /// What was answered from it and nothing else.
    pub(crate) replies: Replies,
    standings: OnceCell<Option<Arc<Standings>>>,
    /// Those of the snapshot before.
    standings_before: Option<Arc<Standings>>,
    /// What requests load of it that is a few rows a key.
    pub(crate) loads: Keeping,
    /// Files by their tables, as they were asked for.
    files: tokio::sync::Mutex<BTreeMap<&'static str, Arc<[TableFile]>>>,
    places: Arc<Places>,
}

impl std::fmt::Debug for Pinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pinned").field("version", &self.snapshot.version).finish_non_exhaustive()
    }
}

impl Pinned {
    /// A snapshot, of which nothing is read yet.
    pub(crate) fn new(
        lake: Lake,
        folder: PathBuf,
        snapshot: Arc<Snapshot>,
        generations: Option<Generations>,
    ) -> Arc<Self> {
        Self::after(Before::default(), lake, folder, snapshot, generations)
    }

    /// A snapshot that takes over what is known of one before, of the same generation, and cannot have changed.
    fn after(
        Before { pinned: before, replies_bytes }: Before<'_>,
        lake: Lake,
        folder: PathBuf,
        snapshot: Arc<Snapshot>,
        generations: Option<Generations>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|pinned| Self {
            snapshot,
            folder,
            generations,
            lake,
            session: OnceCell::new(),
            world: OnceCell::new(),
            earned: tokio::sync::Mutex::new(before.map(|before| before.earned_so_far()).unwrap_or_default()),
            drill: Drill::default(),
            alarms: OnceCell::new(),
            reads: AtomicU64::new(0),
            answered: Answered::default(),
            replies: replies::none(replies_bytes),
            standings: OnceCell::new(),
            standings_before: before.and_then(|before| before.standings.get().cloned().flatten()),
            loads: Loads::keeping(Weak::clone(pinned)),
            files: tokio::sync::Mutex::default(),
            places: before.map(|before| Arc::clone(&before.places)).unwrap_or_default(),
        })
    }

    /// The tables it is of.
    pub(crate) const fn lake(&self) -> &Lake {
        &self.lake
    }

    /// Counts a query over tables, or a part of a file that is read without one.
    pub(crate) fn count_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// How often tables were read so far.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Number of the sealed block.
    pub(crate) fn number(&self) -> i64 {
        tributary_schemas::column::signed(self.snapshot.heads.block_number)
    }

    /// Rows of a table, states that no longer hold included.
    pub(crate) fn rows_of(&self, table: &str) -> i64 {
        self.snapshot.tables.get(table).map_or(0, |table| tributary_schemas::column::signed(table.rows))
    }

    /// The graph.
    pub(crate) async fn world(&self) -> Result<Arc<World>, Refusal> {
        let load = || async {
            let rows = TABLES.iter().filter_map(|table| self.snapshot.tables.get(*table)).map(|table| table.rows);
            let rows = rows.fold(0u64, u64::saturating_add);
            if rows > ROWS_MAX {
                let cause = format!("{rows} rows of entities and edges, more than the {ROWS_MAX} that fit in memory");
                return Err(Refusal::internal("reading the graph", &cause));
            }
            let world = World::load(&self.lake, &self.snapshot).await;
            world.map(Arc::new).map_err(|cause| Refusal::internal("reading the graph", &cause))
        };
        self.world.get_or_try_init(load).await.cloned()
    }

    /// What all accounts are owed at the head; `None` where there are too many to be kept in memory.
    pub(crate) async fn standings(&self) -> Result<Option<&Standings>, Refusal> {
        let load = || {
            let before = self.standings_before.clone();
            Standings::load(&self.lake, &self.snapshot, before, || self.count_read())
        };
        self.standings.get_or_try_init(load).await.map(Option::as_deref)
    }

    /// What is known of what was earned up to some epochs: those are settled, so it stays.
    fn earned_so_far(&self) -> BTreeMap<i64, Arc<Earned>> {
        self.earned.try_lock().map(|kept| kept.clone()).unwrap_or_default()
    }

    /// What everything earned up to epoch `cut`.
    pub(crate) async fn earned(&self, cut: i64) -> Result<Arc<Earned>, Refusal> {
        let mut kept = self.earned.lock().await;
        if let Some(found) = kept.get(&cut) {
            return Ok(Arc::clone(found));
        }
        let earned = Arc::new(Earned::load(self, cut).await?);
        if kept.len() >= CUTS_KEPT {
            kept.pop_first();
        }
        kept.insert(cut, Arc::clone(&earned));
        Ok(earned)
    }

    /// What the chain says of settled epochs and the settlement does not: looked for once.
    pub(crate) async fn alarms(&self) -> Result<&[Alarm], Refusal> {
        let session = self.session().await?;
        let look = || async {
            let found = Box::pin(tributary_accounting::alarms(session)).await;
            found.map_err(|cause| Refusal::internal("comparing with the chain", &cause))
        };
        self.alarms.get_or_try_init(look).await.map(Vec::as_slice)
    }

    /// What each of some lines came from; those of one explanation are traced together. Whoever asks while they are being
    /// found waits for it.
    pub(crate) async fn origins(&self, keys: &[OriginKey]) -> Result<Vec<(OriginKey, Arc<Origins>)>, Refusal> {
        let mut kept = self.drill.kept.lock().await;
        let (mut out, mut unknown) = (Vec::new(), BTreeMap::<_, Vec<OriginKey>>::new());
        for key in keys {
            match kept.iter().find(|(known, _)| known == key) {
                Some(found) => out.push(found.clone()),
                None => unknown.entry((key.account, key.token, key.epoch)).or_default().push(key.clone()),
            }
        }
        for (of, keys) in unknown {
            let open = || session::open(&self.lake, &self.snapshot, MEMORY, PARTITIONS);
            let session = self.drill.session.get_or_try_init(open).await;
            let session = session.map_err(|cause| Refusal::internal("opening tables", &cause))?;
            self.count_read();
            let which = |row: &EntitlementRow| keys.iter().position(|key| key.is(row));
            let found = Box::pin(self.drill.explainer.origins_by(session, of, keys.len(), which)).await;
            let found = found.map_err(|cause| Refusal::internal("taking lines back", &cause))?;
            out.extend(keys.into_iter().zip(found.into_iter().map(Arc::new)));
        }
        kept.retain(|(known, _)| !keys.contains(known));
        kept.extend(out.iter().cloned());
        let over = kept.len().saturating_sub(ORIGINS_KEPT);
        kept.drain(..over);
        Ok(out)
    }

    /// The session in which every table is registered under its name.
    pub(crate) async fn session(&self) -> Result<&SessionContext, Refusal> {
        let open = || async {
            session::open(&self.lake, &self.snapshot, MEMORY, PARTITIONS)
                .await
                .map_err(|cause| Refusal::internal("opening tables", &cause))
        };
        self.session.get_or_try_init(open).await
    }

    /// The batches of a query of ours; `$1` and on stand for `values`. Tables are read when nobody asked it before.
    pub(crate) async fn batches(&self, query: &str, values: Vec<ScalarValue>) -> Result<Vec<RecordBatch>, Refusal> {
        let key = answered::key(query, &values);
        if let Some(batches) = self.answered.get(&key) {
            return Ok(batches);
        }
        let session = self.session().await?;
        self.count_read();
        let run = async { session.sql(query).await?.with_param_values(values)?.collect().await };
        let batches = run.await;
        let batches =
            batches.map_err(|cause: datafusion::error::DataFusionError| Refusal::internal("a query", &cause))?;
        self.answered.keep(key, &batches);
        Ok(batches)
    }

    /// The rows of a query of ours whose columns are those of a table.
    pub(crate) async fn rows<T: Table>(&self, query: &str, values: Vec<ScalarValue>) -> Result<Vec<T>, Refusal> {
        let mut rows = Vec::new();
        for batch in self.batches(query, values).await? {
            rows.extend(T::from_batch(&batch).map_err(|cause| Refusal::internal("reading rows", &cause))?);
        }
        Ok(rows)
    }

    /// The sealed block with this number.
    pub(crate) async fn block(&self, number: i64) -> Result<Option<BlockRow>, Refusal> {
        let rows = self.rows("SELECT * FROM blocks WHERE number = $1", vec![number.into()]).await?;
        Ok(rows.into_iter().next())
    }

    /// The last sealed block at or before a time.
    pub(crate) async fn block_at(&self, time: Micros) -> Result<Option<BlockRow>, Refusal> {
        let query = "SELECT * FROM blocks WHERE CAST(\"timestamp\" AS BIGINT) <= $1 ORDER BY number DESC LIMIT 1";
        Ok(self.rows(query, vec![time.0.into()]).await?.into_iter().next())
    }

    /// The sealed block with this hash.
    pub(crate) async fn block_by_hash(&self, hash: &str) -> Result<Option<BlockRow>, Refusal> {
        let rows = self.rows("SELECT * FROM blocks WHERE hash = $1", vec![hash.into()]).await?;
        Ok(rows.into_iter().next())
    }
}

/// A column of a batch, in the type it is read as.
pub(crate) fn column<C: Column>(batch: &RecordBatch, index: usize) -> Result<Vec<C>, Refusal> {
    let cast = |column: &ArrayRef| arrow::compute::cast(column, &C::data_type());
    let column = batch.columns().get(index).map(cast).transpose();
    let column = column.map_err(|cause| Refusal::internal("reading a column", &cause))?;
    let column = column.ok_or_else(|| Refusal::internal("reading a column", &format!("there is no column {index}")))?;
    (0..column.len())
        .map(|row| C::read(column.as_ref(), row))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Refusal::internal("reading a column", &format!("column {index} holds NULL or another type")))
}
