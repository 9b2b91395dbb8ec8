//! When what is sealed is published, and how a crash in between is mended.

use alloy_primitives::B256;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinSet;
use tributary_schemas::eigenda::Mode;
use tributary_schemas::encoding::log_root_origin;
use tributary_schemas::facts::AttributionRow;
use tributary_schemas::{BlockRef, Position, Table as _};
use tributary_store::lake::writer_properties;
use tributary_store::{AnchorStatus, Anchors, Archive, Change, Heads, Lake, Snapshot, Staged, StoreError, Tail};

use super::late::{self, Imported, Late};
use super::row::trust_word;
use super::{Body, Outcome, SealContext, Sealed, seal_block};
use crate::anchor::{Carried, Exchange, Increment};
use crate::blob::{Fetcher, Kept, Reference};
use crate::fold::{BlobNeed, BlobOwner, Chronology};
use crate::pipeline::TailState;
use crate::state::{Overlay, StateRead};
use crate::{IndexerError, Mapping, Trust};

/// When to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishLimits {
    /// Publish when so many rows wait.
    pub rows_max: usize,
    /// Publish when so many blocks wait.
    pub blocks_max: u64,
    /// Publish when so many bytes wait. Rows differ in size, and it is these that bound the memory.
    pub bytes_max: usize,
}

impl Default for PublishLimits {
    fn default() -> Self {
        Self { rows_max: 100_000, blocks_max: 4096, bytes_max: 16 << 20 }
    }
}

impl PublishLimits {
    /// Whether so much waits that it is published.
    fn are_reached(&self, sealed: &Sealed) -> bool {
        sealed.len() >= self.rows_max || sealed.blocks >= self.blocks_max || sealed.bytes() >= self.bytes_max
    }
}

/// Seals final blocks and publishes them.
pub struct Sealer {
    tail: Arc<Tail>,
    lake: Lake,
    context: SealContext,
    identity: Heads,
    limits: PublishLimits,
    sealed: Sealed,
    publishing: Option<Publishing>,
    /// Why the next block cannot be sealed yet.
    waiting: Vec<String>,
    /// Rows of anchors that go out with the blocks.
    anchors: Option<Arc<Exchange>>,
    /// Whether a block is sealed only once a posting carries it.
    anchors_required: bool,
    /// Declared outcomes of another index.
    imported: Option<Imported>,
    /// What is missing is to be read again: a publication that said so was overtaken.
    seeks_anew: bool,
}

/// A publication under way, while the blocks after it are sealed.
struct Publishing {
    block: BlockRef,
    /// What the blocks in it wrote: read by those after it until the tail has it.
    overlay: Arc<Overlay>,
    /// What of anchoring is in it.
    anchored: Option<Increment>,
    task: JoinSet<Result<Option<Arc<Snapshot>>, IndexerError>>,
}

/// The tail under the writes of a publication that is under way.
struct Ahead<'a> {
    tail: TailState,
    overlay: Option<&'a Overlay>,
}

impl StateRead for Ahead<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexerError> {
        match self.overlay.and_then(|overlay| overlay.get(key)) {
            Some(value) => Ok(value.clone()),
            None => self.tail.get(key),
        }
    }
    fn scan(&self, prefix: &[u8]) -> Result<crate::state::Pairs, IndexerError> {
        let found = self.tail.scan(prefix)?;
        match self.overlay {
            Some(overlay) => Ok(crate::state::laid_over(found, overlay, prefix)),
            None => Ok(found),
        }
    }
}

/// What one attempt to seal came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progressed {
    /// Everything final is sealed.
    CaughtUp,
    /// The next block waits for a blob that was not asked for often enough to say it is not there.
    Fetching,
    /// The next block waits for a blob that nobody has so far.
    Waiting,
    /// The next block waits for a posting on L1 that carries it.
    Unanchored,
}

impl Sealer {
    /// A sealer over a tail and a lake; `staging` is a folder on the lake's file system.
    #[must_use]
    pub fn new(
        tail: Arc<Tail>,
        lake: Lake,
        chronology: Chronology,
        start_block: u64,
        mapping: &Mapping,
        staging: &Path,
        limits: PublishLimits,
    ) -> Self {
        let context = SealContext {
            chronology,
            log_root_origin: log_root_origin(chronology.chain_id, start_block, mapping.hash()),
            commitment_mode: mapping.commitment_mode(),
            finality: "asserted".to_owned(),
            staging: staging.to_path_buf(),
            discard: false,
        };
        let identity = Heads {
            chain_id: chronology.chain_id,
            start_block,
            mapping_set_hash: mapping.hash(),
            epoch_origin: chronology.epoch_origin,
            epoch_seconds: chronology.epoch_seconds,
            trust: "full".to_owned(),
            ..Heads::default()
        };
        let (sealed, publishing, waiting, anchors) = (Sealed::default(), None, Vec::new(), None);
        let (anchors_required, imported, seeks_anew) = (false, None, false);
        Self {
            tail,
            lake,
            context,
            identity,
            limits,
            sealed,
            publishing,
            waiting,
            anchors,
            anchors_required,
            imported,
            seeks_anew,
        }
    }

    /// Takes the declared outcomes of another index of this chain, for the blocks it sealed.
    pub fn import(&mut self, imported: Option<Imported>) -> Result<(), IndexerError> {
        let ours = (self.identity.chain_id, self.identity.start_block, self.identity.mapping_set_hash);
        if let Some(theirs) = imported.as_ref().map(Imported::identity).filter(|theirs| *theirs != ours) {
            return Err(IndexerError::Configuration {
                what: "the list of declared outcomes".to_owned(),
                reason: format!("it is of chain, first block and mapping {theirs:?}: expected {ours:?}"),
            });
        }
        self.imported = imported;
        Ok(())
    }

    /// After a start: seeks the blobs that were declared missing.
    pub fn seek_missing(&self, fetcher: &mut Fetcher) -> Result<(), IndexerError> {
        late::seek_all(&TailState(Arc::clone(&self.tail)), self.context.commitment_mode, fetcher)
    }

    /// Publishes what anchoring offers from now on; where it is `required`, blocks wait for it.
    pub fn publish_anchors(&mut self, anchors: Option<Arc<Exchange>>, required: bool) {
        self.anchors_required = required && anchors.is_some();
        self.anchors = anchors;
        let known = self.context.finality.clone();
        self.set_finality(&known);
    }

    /// How far the published table of anchors goes.
    pub async fn published_anchors(&self) -> Result<Option<Anchors>, IndexerError> {
        Ok(self.lake.latest().await?.and_then(|snapshot| snapshot.heads.anchors.clone()))
    }

    /// The last block sealed, published or not yet.
    #[must_use]
    pub fn head(&self) -> Option<BlockRef> {
        let sealed = self.sealed.head.map(|(block, _)| block);
        sealed.or_else(|| self.publishing.as_ref().map(|under_way| under_way.block)).or_else(|| self.tail.sealed())
    }

    /// Why the next block cannot be sealed yet, by name.
    #[must_use]
    pub fn waiting(&self) -> &[String] {
        &self.waiting
    }

    /// How finality is known from now on.
    pub fn set_finality(&mut self, finality: &str) {
        let finality = if self.anchors_required { "l1" } else { finality };
        finality.clone_into(&mut self.context.finality);
    }

    /// Seals what can be sealed up to `finalized`, publishing when enough waits.
    pub async fn advance(&mut self, finalized: &BlockRef, fetcher: &mut Fetcher) -> Result<Progressed, IndexerError> {
        self.waiting.clear();
        if std::mem::take(&mut self.seeks_anew) {
            self.seek_missing(fetcher)?;
        }
        loop {
            let next = self.head().map_or(self.identity.start_block, |head| head.number.saturating_add(1));
            if next > finalized.number {
                return Ok(Progressed::CaughtUp);
            }
            let (Some(block), Some(bytes)) = (self.tail.block(next)?, self.tail.body(next)?) else {
                return Ok(Progressed::CaughtUp);
            };
            let body = Body::from_bytes(&bytes)?;
            if let Some(reason) = self.unanchored(next, &body) {
                self.waiting.push(reason);
                return Ok(Progressed::Unanchored);
            }
            let outcomes = match self.outcomes(&block, &body, finalized.number, fetcher)? {
                Ok(outcomes) => outcomes,
                Err(progressed) => return Ok(progressed),
            };
            let late = match self.late(block.number, fetcher)? {
                Ok(late) => late,
                Err(progressed) => return Ok(progressed),
            };
            let overlay = self.publishing.as_ref().map(|under_way| under_way.overlay.as_ref());
            let state = Ahead { tail: TailState(Arc::clone(&self.tail)), overlay };
            seal_block(&state, &self.context, &mut self.sealed, &block, body, (&outcomes, &late))?;
            late.keys().for_each(|place| fetcher.late().forget(*place));
            if self.limits.are_reached(&self.sealed) {
                self.begin_publishing(finalized.number).await?;
            }
        }
    }

    /// Why a block has to wait for L1, if it has to (ruling 27). One without an L1 origin, as the genesis block, can be
    /// in no batch.
    fn unanchored(&self, number: u64, body: &Body) -> Option<String> {
        let anchors = self.anchors.as_ref().filter(|_| self.anchors_required && body.l1_origin.is_some())?;
        let why = match anchors.carried(number) {
            Carried::Yes => return None,
            Carried::NotYet => match anchors.status() {
                AnchorStatus { state, reason: Some(reason), .. } if state == "stopped" => {
                    format!("L1 is not followed any more, as {reason}")
                }
                AnchorStatus { l1_read: Some(read), reason: Some(reason), .. } => {
                    format!(
                        "no posting up to the final L1 block {read} carries it, and the next cannot be read yet: {reason}"
                    )
                }
                AnchorStatus { l1_read: Some(read), .. } => {
                    format!("no posting up to the final L1 block {read} carries it so far")
                }
                AnchorStatus { .. } => "L1 was not read yet".to_owned(),
            },
            Carried::No => "it has transactions, and nothing that was posted in its sequencing window carries it: the \
                            L2 nodes are not on the chain that is on L1"
                .to_owned(),
            Carried::Unread => {
                "what was posted in its sequencing window could not all be read: name a source that has \
                                it, or seal without L1 (chain.seal = \"final\")"
                    .to_owned()
            }
        };
        Some(format!("block {number} waits for L1: {why}"))
    }

    /// The outcome of every blob of a block, or how far it is.
    fn outcomes(
        &mut self,
        block: &BlockRef,
        body: &Body,
        finalized: u64,
        fetcher: &mut Fetcher,
    ) -> Result<Result<BTreeMap<Position, Outcome>, Progressed>, IndexerError> {
        let mut outcomes = BTreeMap::new();
        let mut progressed = Progressed::Waiting;
        for need in &body.folded.needs {
            match self.outcome(block, need, finalized, fetcher)? {
                Some(outcome) => {
                    outcomes.insert(need.position, outcome);
                }
                None => {
                    if self.describe(block, need, fetcher) {
                        progressed = Progressed::Fetching;
                    }
                }
            }
        }
        Ok(if outcomes.len() == body.folded.needs.len() { Ok(outcomes) } else { Err(progressed) })
    }

    /// The blobs of earlier blocks that become facts of the next one, or how far the one is that it waits for.
    fn late(&mut self, block: u64, fetcher: &mut Fetcher) -> Result<Result<Late, Progressed>, IndexerError> {
        let overlay = self.publishing.as_ref().map(|under_way| under_way.overlay.as_ref());
        let state = Ahead { tail: TailState(Arc::clone(&self.tail)), overlay };
        let (mode, under) = (self.context.commitment_mode, (&state as &dyn StateRead, &self.sealed.overlay));
        Ok(match late::of_next_block(under, mode, self.imported.as_ref(), block, fetcher)? {
            Ok(late) => Ok(late),
            Err(awaited) => {
                let (attempts, said) = fetcher.trouble(awaited.reference.key()).unwrap_or_default();
                self.waiting.push(format!(
                    "block {block} waits for {} of block {}, which the imported list of outcomes has there (asked {attempts} times: {said})",
                    awaited.reference, awaited.need.position.block_number
                ));
                Err(if attempts == 0 { Progressed::Fetching } else { Progressed::Waiting })
            }
        })
    }

    /// A blob's outcome, if it has one. One that was declared missing stays so, wherever it turns up later (ruling 10).
    fn outcome(
        &self,
        block: &BlockRef,
        need: &BlobNeed,
        finalized: u64,
        fetcher: &mut Fetcher,
    ) -> Result<Option<Outcome>, IndexerError> {
        let reference = match self.reference(need) {
            Ok(reference) => reference,
            Err(outcome) => return Ok(Some(outcome)),
        };
        let key = side_key(block.hash, need.position);
        if let Some(bytes) = self.tail.get_side(&key)? {
            let declared_at = bytes.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
            late::seek(need, self.context.commitment_mode, fetcher);
            return Ok(Some(Outcome::Missing { declared_at }));
        }
        let list = self.imported.as_ref().filter(|list| list.decides(block.number));
        if let Some(declared_at) = list.and_then(|list| list.missing(need)) {
            fetcher.forget(reference.key());
            late::seek(need, self.context.commitment_mode, fetcher);
            return Ok(Some(Outcome::Missing { declared_at }));
        }
        if let Some(kept) = fetcher.get(&reference)? {
            return Ok(Some(Outcome::of(kept)));
        }
        fetcher.want(&reference)?;
        let deadline = block.number.saturating_add(need.deadline_blocks);
        // Nothing is declared missing that was not asked for: a late start must not decide what luck could not.
        if list.is_some() || finalized < deadline || !fetcher.is_given_up(reference.key()) {
            return Ok(None);
        }
        self.tail.put_side(&key, &deadline.to_be_bytes())?;
        fetcher.forget(reference.key());
        late::seek(need, self.context.commitment_mode, fetcher);
        Ok(Some(Outcome::Missing { declared_at: deadline }))
    }

    /// What is referred to, or the outcome when nothing is.
    fn reference(&self, need: &BlobNeed) -> Result<Reference, Outcome> {
        reference(self.context.commitment_mode, need)
    }

    /// Says why a block waits; `true` when the blob is being asked for the first time.
    fn describe(&mut self, block: &BlockRef, need: &BlobNeed, fetcher: &Fetcher) -> bool {
        let Ok(reference) = self.reference(need) else { return false };
        let (attempts, said) = fetcher.trouble(reference.key()).unwrap_or_default();
        let epoch = self.context.chronology.epoch(block.timestamp);
        let owner = match need.owner {
            BlobOwner::Batch(batch) => format!("batch {batch}"),
            BlobOwner::Manifest(version) => format!("the manifest of dataset version {version}"),
        };
        let deadline = block.number.saturating_add(need.deadline_blocks);
        let mut line = format!(
            "epoch {epoch} waits for {reference} of {owner} (missing since block {}, deadline block {deadline}",
            block.number
        );
        if attempts > 0 {
            line.push_str(&format!(", asked {attempts} times: {said}"));
        }
        line.push(')');
        self.waiting.push(line);
        attempts == 0
    }

    /// Publishes what is sealed and lets the tail forget it; returns when that is done. `None` when there was nothing
    /// to publish, or somebody who published in between has to be built upon.
    pub async fn publish(&mut self, finalized: u64) -> Result<Option<Arc<Snapshot>>, IndexerError> {
        self.begin_publishing(finalized).await?;
        self.end_publishing().await
    }

    /// Begins to publish what is sealed, after the publication before. At most two cuts are in memory: the one being
    /// written, and the one that grows meanwhile.
    async fn begin_publishing(&mut self, finalized: u64) -> Result<(), IndexerError> {
        self.end_publishing().await?;
        let mut sealed = std::mem::take(&mut self.sealed);
        // Anchors go out with blocks; without new ones, at the block sealed last.
        let only_anchors = sealed.head.is_none();
        let anchored = self.anchors.as_ref().and_then(|anchors| anchors.take(only_anchors));
        let new_head = sealed.head;
        let Some(block) =
            new_head.map(|(block, _)| block).or_else(|| anchored.as_ref().and_then(|_| self.tail.sealed()))
        else {
            self.give_back(anchored);
            return Ok(());
        };
        let anchors = anchored.as_ref().map(|anchored| anchored.anchors.clone());
        for row in anchored.iter().flat_map(|anchored| &anchored.rows) {
            sealed.rows.push(&row.clone().into());
        }
        let overlay = Arc::new(sealed.overlay);
        let change = Change { facts: sealed.rows, staged: sealed.staged, ..Change::default() };
        let (lake, identity, finality) = (self.lake.clone(), self.identity.clone(), self.context.finality.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let base = lake.latest().await?;
            let mut heads = base.as_ref().map_or(identity, |base| base.heads.clone());
            if let Some((block, log_root)) = new_head {
                heads.block_number = block.number;
                heads.block_hash = block.hash;
                heads.block_timestamp = block.timestamp;
                heads.log_root = log_root;
                heads.finality = finality;
            }
            if sealed.tainted {
                // For good: the rows of these blocks stay, whatever is configured later.
                trust_word(Trust::Unverified).clone_into(&mut heads.trust);
            }
            heads.finalized_number = std::cmp::max(finalized, block.number);
            heads.anchors = anchors.or(heads.anchors);
            heads.declared_outcomes.extend(sealed.declared);
            match lake.publish(base.as_deref(), heads, change).await {
                Ok(snapshot) => Ok(Some(snapshot)),
                // The rows are gone with the attempt: they are sealed again from the tail, which has not forgotten them.
                Err(StoreError::SnapshotTaken { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        });
        self.publishing = Some(Publishing { block, overlay, anchored, task });
        Ok(())
    }

    fn give_back(&self, anchored: Option<Increment>) {
        if let (Some(anchors), Some(anchored)) = (&self.anchors, anchored) {
            anchors.give_back(anchored);
        }
    }

    /// Waits for the publication that is under way and writes what its blocks wrote into the tail.
    async fn end_publishing(&mut self) -> Result<Option<Arc<Snapshot>>, IndexerError> {
        let Some(mut under_way) = self.publishing.take() else { return Ok(None) };
        let Some(done) = under_way.task.join_next().await else { return Ok(None) };
        let done = done.map_err(|error| IndexerError::Ended { task: "publishing", reason: error.to_string() })?;
        let Some(snapshot) = done? else {
            // What was sealed on top of it is sealed again too.
            self.sealed = Sealed::default();
            self.seeks_anew = true;
            self.give_back(under_way.anchored);
            return Ok(None);
        };
        let overlay = Arc::unwrap_or_clone(under_way.overlay);
        let anchored = under_way.anchored.iter().flat_map(Increment::writes);
        self.tail.seal(under_way.block, overlay.into_iter().chain(anchored).collect())?;
        if let Some(anchors) = self.anchors.as_ref().filter(|_| under_way.anchored.is_some()) {
            anchors.confirm();
        }
        Ok(Some(snapshot))
    }

    /// Brings tail and lake to the same sealed head, before anything is followed: checks that the lake is of this
    /// chain and mapping, seals again what was published and not sealed, rebuilds a tail that was lost.
    pub async fn recover(&mut self, mapping: &Mapping, archive: &Archive) -> Result<(), IndexerError> {
        let Some(snapshot) = self.lake.latest().await? else { return Ok(()) };
        self.check_identity(&snapshot)?;
        let heads = &snapshot.heads;
        let sealed = self.tail.sealed();
        if sealed.is_some_and(|sealed| sealed.number == heads.block_number && sealed.hash == heads.block_hash) {
            return Ok(());
        }
        let next = sealed.map_or(heads.start_block, |sealed| sealed.number.saturating_add(1));
        let last = self.tail.block(heads.block_number)?;
        let whole = last.is_some_and(|last| last.hash == heads.block_hash) && self.tail.body(next)?.is_some();
        if whole && next <= heads.block_number {
            match self.seal_again(&snapshot, next, archive) {
                Ok(()) => return Ok(()),
                Err(error) => tracing::warn!(%error, "sealing again failed: the state is built again from the tables"),
            }
        }
        self.sealed = Sealed::default();
        self.tail.reset("the published tables are ahead of it")?;
        super::rebuild::rebuild(&self.tail, &self.lake, &snapshot, &self.context, mapping, archive).await
    }

    /// Seals published blocks once more, for their writes into the state.
    fn seal_again(&mut self, snapshot: &Snapshot, first: u64, archive: &Archive) -> Result<(), IndexerError> {
        let state = TailState(Arc::clone(&self.tail));
        let context = SealContext { discard: true, ..self.context.clone() };
        let mut last = None;
        for number in first..=snapshot.heads.block_number {
            let gone = || IndexerError::Sealing { block: number, reason: "it is not in the tail".to_owned() };
            let block = self.tail.block(number)?.ok_or_else(gone)?;
            let body = Body::from_bytes(&self.tail.body(number)?.ok_or_else(gone)?)?;
            let mut outcomes = BTreeMap::new();
            for need in &body.folded.needs {
                outcomes.insert(need.position, published_outcome(snapshot, need, archive, context.commitment_mode)?);
            }
            let under = (&state as &dyn StateRead, &self.sealed.overlay);
            let late = late::of_published_block(under, snapshot, number, archive, context.commitment_mode)?;
            seal_block(&state, &context, &mut self.sealed, &block, body, (&outcomes, &late))?;
            self.sealed.rows = tributary_schemas::facts::Columns::default();
            last = Some(block);
        }
        let sealed = std::mem::take(&mut self.sealed);
        match (last, sealed.head) {
            (Some(block), Some((_, root))) if root == snapshot.heads.log_root => {
                Ok(self.tail.seal(block, sealed.writes())?)
            }
            (_, head) => Err(IndexerError::Sealing {
                block: snapshot.heads.block_number,
                reason: format!("log root {head:?}: the snapshot has {}", snapshot.heads.log_root),
            }),
        }
    }

    fn check_identity(&self, snapshot: &Snapshot) -> Result<(), IndexerError> {
        let (ours, theirs) = (&self.identity, &snapshot.heads);
        let same = ours.chain_id == theirs.chain_id
            && ours.start_block == theirs.start_block
            && ours.mapping_set_hash == theirs.mapping_set_hash
            && ours.epoch_origin == theirs.epoch_origin
            && ours.epoch_seconds == theirs.epoch_seconds;
        if same {
            return Ok(());
        }
        let of = |heads: &Heads| {
            format!(
                "chain {}, start block {}, mapping {}, epochs of {} s from {}",
                heads.chain_id, heads.start_block, heads.mapping_set_hash, heads.epoch_seconds, heads.epoch_origin
            )
        };
        Err(IndexerError::Configuration {
            what: "the index".to_owned(),
            reason: format!("this folder holds {}: expected {}", of(theirs), of(ours)),
        })
    }
}

/// The outcome a blob had when it was published.
pub(super) fn published_outcome(
    snapshot: &Snapshot,
    need: &BlobNeed,
    archive: &Archive,
    mode: Mode,
) -> Result<Outcome, IndexerError> {
    if let Some(declared_at) = late::declared_missing(&snapshot.heads.declared_outcomes, need) {
        return Ok(Outcome::Missing { declared_at });
    }
    archived_outcome(need, archive, mode)
}

/// The outcome of a blob that is archived.
pub(super) fn archived_outcome(need: &BlobNeed, archive: &Archive, mode: Mode) -> Result<Outcome, IndexerError> {
    let reference = match reference(mode, need) {
        Ok(reference) => reference,
        Err(outcome) => return Ok(outcome),
    };
    let gone = || IndexerError::Sealing {
        block: need.position.block_number,
        reason: format!("{reference} was read before and is not in the archive"),
    };
    let (hash, record) = match &reference {
        Reference::Content(hash) => (*hash, None),
        Reference::Certificate(certificate) => {
            let record = archive.known(certificate.key)?.ok_or_else(gone)?;
            match (&record.void, &record.content) {
                (None, Some(content)) => (content.hash, Some(record)),
                _ => return Ok(Outcome::of(Kept { payload: None, record: Some(record), source: None })),
            }
        }
    };
    let payload = archive.get(hash)?.ok_or_else(gone)?;
    Ok(Outcome::of(Kept { payload: Some(payload), record, source: None }))
}

/// What is referred to, or the outcome when nothing is. A version that changes no member needs no manifest.
pub(super) fn reference(mode: Mode, need: &BlobNeed) -> Result<Reference, Outcome> {
    if need.reference.is_empty() && matches!(need.owner, BlobOwner::Manifest(_)) {
        return Err(Outcome::nothing());
    }
    Reference::read(mode, &need.reference, need.payload_hash).map_err(Outcome::unread)
}

fn side_key(block: B256, position: Position) -> Vec<u8> {
    [b"o".as_slice(), block.as_slice(), &position.to_be_bytes()].concat()
}

/// Writes the records of a large batch as a file that publishing links in.
pub(super) fn stage(folder: &Path, epoch: i64, batch_sk: i64, rows: &[AttributionRow]) -> Result<Staged, IndexerError> {
    std::fs::create_dir_all(folder).map_err(|error| file_error(folder, &error))?;
    let path = folder.join(format!("attributions-{batch_sk}.parquet"));
    let failed = |error: &dyn std::fmt::Display| IndexerError::Ended {
        task: "staging a batch",
        reason: format!("{}: {error}", path.display()),
    };
    let info = AttributionRow::info();
    let file = File::create(&path).map_err(|error| failed(&error))?;
    let properties = writer_properties(&info, rows.len());
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(file, info.schema, Some(properties)).map_err(|error| failed(&error))?;
    for chunk in rows.chunks(8192) {
        writer.write(&AttributionRow::to_batch(chunk)).map_err(|error| failed(&error))?;
    }
    let file = writer.into_inner().map_err(|error| failed(&error))?;
    file.sync_all().map_err(|error| failed(&error))?;
    Ok(Staged { table: AttributionRow::NAME, path, epoch })
}

fn file_error(path: &Path, error: &std::io::Error) -> IndexerError {
    IndexerError::Ended { task: "staging a batch", reason: format!("{}: {error}", path.display()) }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("head", &self.head()).field("waiting", &self.waiting).finish_non_exhaustive()
    }
}
