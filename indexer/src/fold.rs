//! From facts that were said to facts that hold: every rule of the domain, the state behind them, and the rows.
//!
//! Each fact is judged against the state before it. What does not hold is kept with its reason and changes nothing.
//! References resolve per transaction: its registrations first, then the rest, at unchanged positions, because an
//! ERC-721 mint comes before the announcement of what was minted.
//!
//! The fold is also how state is rebuilt: the same facts in the same order, from the sealed table of events.

mod graph;
mod money;
mod registry;
mod row;
mod twice;
mod usage;

use alloy_primitives::{Address, B256, Bytes};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeSet;
use tributary_schemas::code::{Flags, Reason};
use tributary_schemas::encoding::event_id;
use tributary_schemas::facts::Row;
use tributary_schemas::id::{BatchId, VersionId, version_id};
use tributary_schemas::{BlockRef, Event, Payload, Position};

use crate::decode::{Child, Decoded, Decoder, Known, Since, children_of};
use crate::reads::StateCall;
use crate::state::{Entity, Key, StateView, Version};
use crate::{IndexerError, Mapping, VerifiedBlock};

/// What is the same for every block of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chronology {
    /// The L2's chain id.
    pub chain_id: u64,
    /// When epoch 0 begins, Unix seconds.
    pub epoch_origin: u64,
    /// Length of an epoch.
    pub epoch_seconds: u64,
}

impl Chronology {
    /// The epoch a time belongs to; times before the origin belong to epoch 0, as does everything when an epoch has no
    /// length. The same as `Heads::epoch_of` of the snapshots.
    #[must_use]
    pub fn epoch(&self, timestamp: u64) -> i64 {
        let epoch = timestamp.saturating_sub(self.epoch_origin).checked_div(self.epoch_seconds).unwrap_or(0);
        i64::try_from(epoch).unwrap_or(i64::MAX)
    }
}

/// An event with what the tables say of it besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldedEvent {
    /// The event.
    pub event: Event,
    /// The rule that made it.
    pub rule: String,
    /// What was wrong with it, in words; empty when it holds.
    pub detail: String,
}

/// A blob that a valid fact refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobNeed {
    /// The fact that refers to it.
    pub position: Position,
    /// Whose it is.
    pub owner: BlobOwner,
    /// The reference as the contract gave it.
    pub reference: Bytes,
    /// keccak256 of the payload, when it was committed to apart from the reference.
    pub payload_hash: Option<B256>,
    /// Blocks after the reference at which it is declared missing, by the policy in force there.
    pub deadline_blocks: u64,
}

/// Whose a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BlobOwner {
    /// A batch of attribution records.
    Batch(BatchId),
    /// A version of a dataset.
    Manifest(VersionId),
}

/// What a block comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folded {
    /// Its events, in the order of positions, refused ones included.
    pub events: Vec<FoldedEvent>,
    /// Rows, in the order in which the facts took effect.
    pub rows: Vec<Row>,
    /// Blobs its facts refer to, in the order of positions.
    pub needs: Vec<BlobNeed>,
    /// Calls whose answers its facts rest on.
    #[serde(skip)]
    pub reads: BTreeSet<StateCall>,
}

/// Decodes a block and folds it into the state, one transaction at a time: what rules ask about entities is answered by
/// the state that the transaction found and its own registrations.
///
/// # Errors
///
/// When the state cannot be read, and [`IndexerError::Unread`] when what rules ask of contracts is not answered beside the
/// block: what was written then means nothing.
pub fn fold_verified(
    state: &mut StateView<'_>,
    chronology: &Chronology,
    mapping: &Mapping,
    block: &VerifiedBlock,
) -> Result<Folded, IndexerError> {
    let hashes: Vec<B256> = block.transactions.iter().map(|tx| tx.hash).collect();
    let around = Around { chronology, mapping, block: &block.block, tx_hashes: &hashes };
    let mut folded = Folded::default();
    let mut decoder = Decoder::new(mapping, block);
    for tx_index in decoder.transactions() {
        let children = Sight::through(state, |known| decoder.announced(tx_index, known))?;
        adopt(state, children.into_iter().map(|child| (child, (block.block.number, tx_index))))?;
        let mut facts = Vec::new();
        Sight::through(state, |known| decoder.first(tx_index, known, &mut facts))?;
        let second = |state: &StateView<'_>| {
            let mut later = Vec::new();
            Sight::through(state, |known| decoder.second(tx_index, known, &mut later))?;
            Ok(later)
        };
        fold_transaction(state, &around, facts, second, &mut folded)?;
    }
    let asked = decoder.into_asked();
    if !asked.unread.is_empty() {
        return Err(IndexerError::Unread { number: block.block.number, hash: block.block.hash, calls: asked.unread });
    }
    folded.reads = asked.read;
    finish(state, mapping, &block.block, folded)
}

/// Remembers the children that the logs of a block announce, where its facts are known already.
pub fn fold_children(state: &mut StateView<'_>, mapping: &Mapping, block: &VerifiedBlock) -> Result<(), IndexerError> {
    let children = Sight::through(state, |known| children_of(mapping, block, known))?;
    adopt(state, children)
}

/// Remembers children, none of which was known.
fn adopt(state: &mut StateView<'_>, children: impl IntoIterator<Item = (Child, Since)>) -> Result<(), IndexerError> {
    for (Child { family, address }, since) in children {
        let count: u64 = state.get(&Key::children(family))?.unwrap_or_default();
        state.put(Key::children(family), &count.saturating_add(1))?;
        state.put(Key::child(family, address), &since)?;
    }
    Ok(())
}

/// Folds the facts of one block into the state. `decoded` is in the order of positions.
pub fn fold_block(
    state: &mut StateView<'_>,
    chronology: &Chronology,
    mapping: &Mapping,
    block: &BlockRef,
    tx_hashes: &[B256],
    decoded: Vec<Decoded>,
) -> Result<Folded, IndexerError> {
    let around = Around { chronology, mapping, block, tx_hashes };
    let mut folded = Folded::default();
    let mut facts = decoded.into_iter().peekable();
    while let Some(first) = facts.next() {
        let tx_index = first.position.tx_index;
        let mut transaction = vec![first];
        while let Some(next) = facts.next_if(|next| next.position.tx_index == tx_index) {
            transaction.push(next);
        }
        fold_transaction(state, &around, transaction, |_| Ok(Vec::new()), &mut folded)?;
    }
    finish(state, mapping, block, folded)
}

fn finish(
    state: &mut StateView<'_>,
    mapping: &Mapping,
    block: &BlockRef,
    mut folded: Folded,
) -> Result<Folded, IndexerError> {
    folded.needs.sort_by_key(|need| need.position);
    if state.get::<B256>(&Key::mapping())?.is_none() {
        state.put(Key::mapping(), &mapping.hash())?;
        folded.events.push(activation(mapping, block));
    }
    Ok(folded)
}

/// What surrounds the facts of a block.
struct Around<'a> {
    chronology: &'a Chronology,
    mapping: &'a Mapping,
    block: &'a BlockRef,
    tx_hashes: &'a [B256],
}

/// The state as rules may ask it. A state that cannot be read is no answer: it is kept and told afterwards.
pub(crate) struct Sight<'a, 'b> {
    state: &'a StateView<'b>,
    failed: RefCell<Option<IndexerError>>,
}

impl<'a, 'b> Sight<'a, 'b> {
    pub(crate) fn through<T>(
        state: &'a StateView<'b>,
        decode: impl FnOnce(&dyn Known) -> T,
    ) -> Result<T, IndexerError> {
        let sight = Self { state, failed: RefCell::new(None) };
        let out = decode(&sight);
        sight.failed.into_inner().map_or(Ok(out), Err)
    }

    fn get<T: DeserializeOwned>(&self, key: &Key) -> Option<T> {
        self.state.get(key).unwrap_or_else(|error| {
            self.failed.replace(Some(error));
            None
        })
    }

    fn entity(&self, id: B256) -> Option<Entity> {
        self.get(&Key::entity(id))
    }
}

impl Known for Sight<'_, '_> {
    fn owner(&self, entity: B256) -> Option<Address> {
        self.entity(entity).map(|found| found.owner)
    }

    fn latest_version(&self, entity: B256) -> Option<B256> {
        self.entity(entity)?.last_version.map(|number| version_id(entity, number))
    }

    fn child_since(&self, Child { family, address }: Child) -> Option<Since> {
        self.get(&Key::child(family, address))
    }

    fn children(&self, family: B256) -> u64 {
        self.get(&Key::children(family)).unwrap_or_default()
    }
}

fn activation(mapping: &Mapping, block: &BlockRef) -> FoldedEvent {
    let event = Event {
        position: Position::system(block.number, 0),
        emitter: Address::ZERO,
        reason: None,
        flags: Flags::NONE,
        payload: Payload::MappingActivated { mapping_set_hash: mapping.hash() },
    };
    FoldedEvent { event, rule: String::new(), detail: String::new() }
}

/// Judges a transaction's facts: registrations first, then what `second` makes of them too, positions unchanged.
fn fold_transaction<'b>(
    state: &mut StateView<'b>,
    around: &Around<'_>,
    facts: Vec<Decoded>,
    second: impl FnOnce(&StateView<'b>) -> Result<Vec<Decoded>, IndexerError>,
    out: &mut Folded,
) -> Result<(), IndexerError> {
    let mut judged = Vec::with_capacity(facts.len());
    for mut fact in facts {
        let verdict =
            if registers(&fact.payload) { Some(twice::judge_once(state, around, &mut fact, out)?) } else { None };
        judged.push((fact, verdict));
    }
    let later = second(state)?;
    if !later.is_empty() {
        judged.extend(later.into_iter().map(|fact| (fact, None)));
        judged.sort_by_key(|(fact, _)| fact.position);
    }
    for (mut fact, verdict) in judged {
        let verdict = match verdict {
            Some(verdict) => verdict,
            None => twice::judge_once(state, around, &mut fact, out)?,
        };
        let Some(verdict) = verdict else { continue };
        let (reason, flags, detail) = match verdict {
            Ok(flags) => (None, flags, String::new()),
            Err((reason, detail)) => (Some(reason), Flags::NONE, detail),
        };
        let event = Event { position: fact.position, emitter: fact.emitter, reason, flags, payload: fact.payload };
        out.events.push(FoldedEvent { event, rule: fact.rule.to_string(), detail });
    }
    Ok(())
}

const fn registers(payload: &Payload) -> bool {
    matches!(
        payload,
        Payload::DatasetRegistered { .. }
            | Payload::ModelRegistered { .. }
            | Payload::AgentRegistered { .. }
            | Payload::MethodRegistered { .. }
    )
}

/// The flags of a fact that holds, or why it does not.
pub(crate) type Verdict = Result<Flags, (Reason, String)>;

fn judge(
    state: &mut StateView<'_>,
    around: &Around<'_>,
    fact: &Decoded,
    out: &mut Folded,
) -> Result<Verdict, IndexerError> {
    if let Some(refused) = &fact.refused {
        return Ok(Err(refused.clone()));
    }
    let tx = usize::try_from(fact.position.tx_index).ok().and_then(|index| around.tx_hashes.get(index));
    let mut fold = Fold {
        state,
        chronology: around.chronology,
        block: around.block,
        at: fact.position,
        emitter: fact.emitter,
        tx_hash: tx.copied().unwrap_or_default(),
        rows: &mut out.rows,
        needs: &mut out.needs,
    };
    match fold.apply(&fact.payload) {
        Ok(flags) => Ok(Ok(flags)),
        Err(Stop::Refused(reason, detail)) => Ok(Err((reason, detail))),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Why a fact was not taken.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It does not hold.
    Refused(Reason, String),
    /// The state could not be read.
    Failed(IndexerError),
}

impl From<IndexerError> for Stop {
    fn from(error: IndexerError) -> Self {
        Self::Failed(error)
    }
}

/// What every handler returns: all checks come before the first write.
pub(crate) type Taken = Result<Flags, Stop>;

/// One fact on its way into the state.
pub(crate) struct Fold<'a, 'b> {
    pub(crate) state: &'a mut StateView<'b>,
    pub(crate) chronology: &'a Chronology,
    pub(crate) block: &'a BlockRef,
    pub(crate) at: Position,
    pub(crate) emitter: Address,
    pub(crate) tx_hash: B256,
    pub(crate) rows: &'a mut Vec<Row>,
    pub(crate) needs: &'a mut Vec<BlobNeed>,
}

impl Fold<'_, '_> {
    fn apply(&mut self, payload: &Payload) -> Taken {
        self.apply_registry(payload)
            .or_else(|| self.apply_version(payload))
            .or_else(|| self.apply_usage(payload))
            .or_else(|| self.apply_money(payload))
            // System facts and what nobody decodes: nothing to check, nothing to remember.
            .unwrap_or(Ok(Flags::NONE))
    }

    /// Refuses unless it holds.
    pub(crate) fn require(held: bool, reason: Reason, detail: impl FnOnce() -> String) -> Result<(), Stop> {
        if held { Ok(()) } else { Err(Stop::Refused(reason, detail())) }
    }

    /// A fact about something is taken only from the contract of its namespace (ruling 5).
    pub(crate) fn require_namespace(&self, namespace: Address) -> Result<(), Stop> {
        Self::require(namespace == self.emitter, Reason::Unauthorized, || {
            format!("said by {:#x}: expected the contract of its namespace, {namespace:#x}", self.emitter)
        })
    }

    /// The record that is there.
    pub(crate) fn known<T: DeserializeOwned>(&self, what: &str, id: B256, key: &Key) -> Result<T, Stop> {
        self.state
            .get(key)?
            .ok_or_else(|| Stop::Refused(Reason::UnknownRef, format!("no {what} {id} at this position")))
    }

    /// A version that was published.
    pub(crate) fn version(&self, id: B256) -> Result<Version, Stop> {
        self.known("version", id, &Key::version(id))
    }

    /// A scope: zero for all, or something that exists.
    pub(crate) fn require_scope(&self, scope: B256) -> Result<(), Stop> {
        if scope.is_zero() || self.state.get::<Entity>(&Key::entity(scope))?.is_some() {
            return Ok(());
        }
        Err(Stop::Refused(Reason::UnknownRef, format!("no entity {scope} at this position")))
    }

    pub(crate) fn epoch(&self) -> i64 {
        self.chronology.epoch(self.block.timestamp)
    }

    pub(crate) fn event_id(&self) -> String {
        tributary_schemas::column::hex_text(event_id(self.chronology.chain_id, self.block.hash, self.at))
    }

    pub(crate) fn push(&mut self, row: impl Into<Row>) {
        self.rows.push(row.into());
    }
}

#[cfg(test)]
mod tests;
