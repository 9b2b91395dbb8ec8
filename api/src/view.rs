//! What one request may read: a pinned snapshot, at one block, up to one settled epoch.

mod batch;
mod blob;
mod blocks;
mod explain;
mod generation;
mod graph;
pub(crate) mod load;
mod money;
mod origin;
mod waiting;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::Address;
use async_graphql::Value;
use async_graphql::dataloader::DataLoader;
use tributary_schemas::column::hex_text;
use tributary_schemas::facts::BlockRow;

use crate::error::{ErrorCode, Refusal};
use crate::page::Cursor;
use crate::pinned::Pinned;
use crate::scalar::{AddressText, BigInt, DateTime, Money, with_point};
use crate::schema::{AsOf, AsOfTag};
use crate::world::World;
pub(crate) use explain::Explained;
use load::Loads;
pub(crate) use origin::Below;

/// A token's name for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Symbol.
    pub symbol: String,
    /// Decimals.
    pub decimals: u8,
}

/// Tokens by address.
pub type Tokens = BTreeMap<Address, Token>;

/// One request: its snapshot, and the blocks at which its fields were answered.
pub(crate) struct Request {
    pinned: Arc<Pinned>,
    tokens: Arc<Tokens>,
    loads: Arc<DataLoader<Loads>>,
    answered: Mutex<BTreeMap<String, Value>>,
    /// Fields that were answered at a block whose answers can still change, and that were not.
    floating: AtomicU64,
    fixed: AtomicU64,
    /// Whether anything beside the snapshot was looked at.
    outside: Arc<AtomicBool>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("pinned", &self.pinned).finish_non_exhaustive()
    }
}

impl Request {
    /// A request that reads `pinned`.
    pub(crate) fn new(pinned: Arc<Pinned>, tokens: Arc<Tokens>) -> Self {
        let loads = Arc::new(Loads::loader(&pinned));
        Self {
            pinned,
            tokens,
            loads,
            answered: Mutex::default(),
            floating: AtomicU64::new(0),
            fixed: AtomicU64::new(0),
            outside: Arc::default(),
        }
    }

    /// The view for the root field `field`: at the cursor's block, or where `as_of` says, or at the sealed head.
    pub(crate) async fn view(&self, field: &str, as_of: Option<AsOf>, after: Option<&str>) -> Result<View, Refusal> {
        let world = self.pinned.world().await?;
        let cursor = after.map(Cursor::decode).transpose()?;
        let head = self.pinned.number();
        let block = match (&cursor, as_of) {
            (Some(cursor), _) => Some(self.of_cursor(cursor, as_of).await?),
            (None, Some(as_of)) => Some(self.of_input(&world, as_of).await?),
            (None, None) => None,
        };
        let heads = &self.pinned.snapshot.heads;
        let tagged = as_of.is_some_and(|as_of| as_of.tag.is_some());
        // With its own epoch settled, nothing that comes later says anything new about a block.
        let fixed = block.as_ref().is_some_and(|row| !tagged && heads.settled_epoch >= Some(row.epoch));
        let count = if fixed { &self.fixed } else { &self.floating };
        count.fetch_add(1, Ordering::Relaxed);
        let (number, root) =
            block.as_ref().map_or_else(|| (head, hex_text(heads.log_root)), |row| (row.number, row.log_root.clone()));
        let cut = match &cursor {
            Some(cursor) => cursor.cut,
            None if number == head => heads.settled_epoch,
            None => settled_at(&world, number),
        };
        if let Some(row) = block.filter(|row| row.number != head) {
            self.answered.lock().unwrap_or_else(PoisonError::into_inner).insert(field.to_owned(), note(&row, cut));
        }
        let inner = Inner {
            pinned: Arc::clone(&self.pinned),
            world,
            tokens: Arc::clone(&self.tokens),
            loads: Arc::clone(&self.loads),
            outside: Arc::clone(&self.outside),
            number,
            root: root.get(2..18).unwrap_or_default().to_owned(),
            cut,
        };
        Ok(View(Arc::new(inner)))
    }

    /// Whether nothing that comes can change what was answered.
    pub(crate) fn is_fixed(&self) -> bool {
        self.fixed.load(Ordering::Relaxed) > 0 && self.floating.load(Ordering::Relaxed) == 0
    }

    /// Whether whoever asks the same of this snapshot is answered the same.
    pub(crate) fn is_of_snapshot(&self) -> bool {
        !self.outside.load(Ordering::Relaxed)
    }

    /// The generation that it reads.
    pub(crate) fn mapping_set_hash(&self) -> String {
        hex_text(self.pinned.snapshot.heads.mapping_set_hash)
    }

    /// `extensions.asOf`: the snapshot, and the fields that were answered at another block than its head (INV-10).
    pub(crate) fn as_of(&self) -> Value {
        let heads = &self.pinned.snapshot.heads;
        let mut out = async_graphql::indexmap::IndexMap::new();
        let mut set = |name: &str, value: Value| {
            out.insert(async_graphql::Name::new(name), value);
        };
        set("number", Value::from(heads.block_number));
        set("hash", Value::from(hex_text(heads.block_hash)));
        set("finality", Value::from(heads.finality.clone()));
        set("trust", Value::from(heads.trust.clone()));
        set("logRoot", Value::from(hex_text(heads.log_root)));
        set("mappingSetHash", Value::from(hex_text(heads.mapping_set_hash)));
        set("snapshot", Value::from(self.pinned.snapshot.version));
        set("settledEpoch", heads.settled_epoch.map_or(Value::Null, Value::from));
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if !answered.is_empty() {
            let fields = answered.iter().map(|(field, value)| (async_graphql::Name::new(field), value.clone()));
            set("fields", Value::Object(fields.collect()));
        }
        drop(answered);
        Value::Object(out)
    }

    async fn of_cursor(&self, cursor: &Cursor, as_of: Option<AsOf>) -> Result<BlockRow, Refusal> {
        let row = self.sealed_block(cursor.number).await?.filter(|row| row.log_root.get(2..18) == Some(&cursor.root));
        let Some(row) = row else {
            let message = format!("the block {} of the cursor is not there any more: begin again", cursor.number);
            return Err(Refusal::new(ErrorCode::CursorReorged, message));
        };
        let settled = self.pinned.snapshot.heads.settled_epoch;
        if cursor.cut > settled || as_of.is_some_and(|as_of| as_of.number.is_some_and(|at| at.0 != row.number)) {
            return Err(Refusal::new(ErrorCode::BadCursor, "cursor is of another block or epoch than asOf asks for"));
        }
        Ok(row)
    }

    async fn of_input(&self, world: &World, as_of: AsOf) -> Result<BlockRow, Refusal> {
        let heads = &self.pinned.snapshot.heads;
        let unavailable = |what: String| {
            let kept = format!("kept are blocks {} to {}", heads.start_block, heads.block_number);
            Refusal::new(ErrorCode::AsOfUnavailable, format!("{what}; {kept}"))
        };
        let last_of = |epoch: i64| {
            let last = world.epochs.get(&epoch).and_then(|rows| rows.iter().map(|row| row.last_block).max());
            last.ok_or_else(|| unavailable(format!("epoch {epoch} is not settled")))
        };
        let found = match (as_of.number, as_of.hash, as_of.epoch, as_of.timestamp, as_of.tag) {
            (Some(number), None, None, None, None) => self.sealed_block(number.0).await?,
            (None, Some(hash), None, None, None) => self.pinned.block_by_hash(&hex_text(hash.0)).await?,
            (None, None, Some(epoch), None, None) => self.sealed_block(last_of(epoch)?).await?,
            (None, None, None, Some(time), None) if time > DateTime::seconds(heads.block_timestamp) => {
                let message = format!("block {} at the end of what is kept is older", heads.block_number);
                return Err(unavailable(message));
            }
            (None, None, None, Some(time), None) => self.pinned.block_at(time.0).await?,
            (None, None, None, None, Some(AsOfTag::Finalized)) => self.sealed_block(self.pinned.number()).await?,
            (None, None, None, None, Some(AsOfTag::Earliest)) => {
                self.sealed_block(tributary_schemas::column::signed(heads.start_block)).await?
            }
            (None, None, None, None, Some(AsOfTag::Settled)) => match heads.settled_epoch {
                Some(epoch) => self.sealed_block(last_of(epoch)?).await?,
                None => return Err(unavailable("no epoch is settled".to_owned())),
            },
            _ => {
                let message = "asOf takes exactly one of number, hash, epoch, timestamp and tag";
                return Err(Refusal::new(ErrorCode::BadInput, message));
            }
        };
        found.ok_or_else(|| unavailable("no sealed block is the one that asOf names".to_owned()))
    }

    async fn sealed_block(&self, number: i64) -> Result<Option<BlockRow>, Refusal> {
        self.pinned.block(number).await
    }
}

/// The last epoch that was over at block `number`, as far as settled.
fn settled_at(world: &World, number: i64) -> Option<i64> {
    let over = |rows: &Vec<tributary_schemas::money::EpochRow>| rows.iter().all(|row| row.last_block <= number);
    world.epochs.iter().rev().find(|(_, rows)| over(rows)).map(|(epoch, _)| *epoch)
}

fn note(row: &BlockRow, cut: Option<i64>) -> Value {
    let fields = [
        ("number", Value::from(row.number)),
        ("hash", Value::from(row.hash.clone())),
        ("logRoot", Value::from(row.log_root.clone())),
        ("finality", Value::from(row.finality.clone())),
        ("settledEpoch", cut.map_or(Value::Null, Value::from)),
    ];
    Value::Object(fields.into_iter().map(|(name, value)| (async_graphql::Name::new(name), value)).collect())
}

/// A snapshot at one block.
#[derive(Debug, Clone)]
pub(crate) struct View(Arc<Inner>);

struct Inner {
    pinned: Arc<Pinned>,
    world: Arc<World>,
    tokens: Arc<Tokens>,
    loads: Arc<DataLoader<Loads>>,
    outside: Arc<AtomicBool>,
    number: i64,
    /// First digits of the log root there: of this block by these rules.
    root: String,
    cut: Option<i64>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("number", &self.number).field("cut", &self.cut).finish_non_exhaustive()
    }
}

impl View {
    /// The block.
    pub(crate) fn number(&self) -> i64 {
        self.0.number
    }

    /// The last settled epoch at or before the block.
    pub(crate) fn cut(&self) -> Option<i64> {
        self.0.cut
    }

    /// The graph.
    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    /// The snapshot.
    /// Something beside the snapshot is looked at.
    pub(crate) fn look_outside(&self) {
        self.0.outside.store(true, Ordering::Relaxed);
    }

    pub(crate) fn pinned(&self) -> &Arc<Pinned> {
        &self.0.pinned
    }

    /// The money of all settled epochs up to the block; `None` before the first.
    pub(crate) async fn earned(&self) -> Result<Option<Arc<crate::earned::Earned>>, Refusal> {
        match self.cut() {
            Some(cut) => self.0.pinned.earned(cut).await.map(Some),
            None => Ok(None),
        }
    }

    /// Money as it is shown.
    pub(crate) fn money(&self, token: AddressText, units: i128) -> Money {
        let known = self.0.tokens.get(&token.0);
        Money {
            raw: BigInt::from(units),
            token,
            symbol: known.map(|known| known.symbol.clone()),
            decimals: known.map(|known| i32::from(known.decimals)),
            formatted: known.map_or_else(|| units.to_string(), |known| with_point(units, known.decimals)),
        }
    }

    /// Money of several tokens as it is shown.
    pub(crate) fn moneys(&self, tokens: Option<&crate::earned::Tokens>) -> Vec<Money> {
        tokens.into_iter().flatten().map(|(token, units)| self.money(AddressText::read(token), *units)).collect()
    }

    /// When an epoch begins.
    pub(crate) fn epoch_start(&self, epoch: i64) -> DateTime {
        let heads = &self.0.pinned.snapshot.heads;
        let epoch = u64::try_from(epoch).unwrap_or_default();
        DateTime::seconds(heads.epoch_origin.saturating_add(epoch.saturating_mul(heads.epoch_seconds)))
    }

    /// A cursor of this view, without a key.
    fn cursor(&self) -> Cursor {
        Cursor { number: self.0.number, root: self.0.root.clone(), cut: self.0.cut, key: String::new() }
    }

    /// A cursor for a list inside an object, which must be of the object's own block.
    fn inner_cursor(&self, after: Option<&str>) -> Result<Option<Cursor>, Refusal> {
        let Some(cursor) = after.map(Cursor::decode).transpose()? else { return Ok(None) };
        if cursor.number == self.0.number && cursor.root == self.0.root {
            return Ok(Some(cursor));
        }
        let number = cursor.number;
        let message = format!("cursor is of block {number}: ask the object it is in with asOf {{number: {number}}}");
        Err(Refusal::new(ErrorCode::BadCursor, message))
    }
}
