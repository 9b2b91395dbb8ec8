//! What many objects of one answer ask for, read with one query for all of them: the loader behind every edge that
//! reads tables. What the graph in memory answers needs none.

#[expect(clippy::disallowed_types, reason = "the loader's interface; it is looked into by key, never walked")]
use std::collections::HashMap as Loaded;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use alloy_primitives::B256;
use async_graphql::dataloader::{CacheFactory, DataLoader, Loader, LruCache, NoCache};
use tributary_schemas::Table;
use tributary_schemas::column::{Decimal38, hex_text};
use tributary_schemas::facts::{AnchorRow, BlobRow, RewardClaimRow};
use tributary_schemas::money::{ClaimRow, MerkleLeafRow};

use crate::error::Refusal;
use crate::pinned::{Pinned, column};
use crate::scalar::AddressText;
use crate::schema::account::EarningsGroup;
use crate::standing::{Standing, by_account};

/// An account at a block, up to a settled epoch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StandingKey {
    pub(crate) account: String,
    pub(crate) number: i64,
    pub(crate) cut: i64,
}

/// A loader whose answers are kept.
pub(crate) type Keeping = DataLoader<Loads, LruCache>;

/// Answers of each kind that are kept per snapshot: of some hundred bytes each.
const KEPT: usize = 1 << 14;

/// The items of a list in SQL. Keys come in any order: here in one, so that the same question is known again.
fn listed(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

/// Loads rows of a snapshot, with one query a table however many objects ask. Whoever asks holds the snapshot.
#[derive(Debug)]
pub(crate) struct Loads(Weak<Pinned>);

impl Loads {
    /// A loader over a snapshot, for one request: what it loads may be large.
    pub(crate) fn loader(pinned: &Arc<Pinned>) -> DataLoader<Self> {
        Self::with_cache(Arc::downgrade(pinned), NoCache)
    }

    /// A loader over a snapshot, for all requests: what it loaded last is kept, and asking for it again waits for
    /// nothing. For what is a few rows a key.
    pub(crate) fn keeping(pinned: Weak<Pinned>) -> Keeping {
        Self::with_cache(pinned, LruCache::new(KEPT))
    }

    fn with_cache<C: CacheFactory>(pinned: Weak<Pinned>, cache: C) -> DataLoader<Self, C> {
        #[expect(clippy::disallowed_methods, reason = "the loader's own task; it ends with the answer it loads")]
        DataLoader::with_cache(Self(pinned), tokio::spawn, cache).max_batch_size(500)
    }

    fn pinned(&self) -> Result<Arc<Pinned>, Refusal> {
        self.0.upgrade().ok_or_else(|| Refusal::internal("loading rows", &"nobody holds the snapshot any more"))
    }

    async fn rows<T: Table>(&self, accounts: &[String], below: (&str, i64)) -> Result<Vec<T>, Refusal> {
        let accounts = listed(accounts.iter().map(|account| format!("'{account}'")));
        let query = format!("SELECT * FROM {} WHERE account IN ({accounts}) AND {} <= $1", T::NAME, below.0);
        self.pinned()?.rows(&query, vec![below.1.into()]).await
    }

    async fn of(&self, number: i64, cut: i64, accounts: &[String]) -> Result<BTreeMap<String, Vec<Standing>>, Refusal> {
        let claims = self.rows::<ClaimRow>(accounts, ("epoch", cut));
        let leaves = self.rows::<MerkleLeafRow>(accounts, ("epoch", cut));
        let claimed = self.rows::<RewardClaimRow>(accounts, ("block_number", number));
        let (claims, leaves, claimed) = tokio::try_join!(claims, leaves, claimed)?;
        Ok(by_account(claims, leaves, claimed))
    }
}

impl Loader<StandingKey> for Loads {
    type Value = Vec<Standing>;
    type Error = Refusal;

    #[expect(clippy::disallowed_types, reason = "the loader's interface; it is looked into by key, never walked")]
    async fn load(&self, keys: &[StandingKey]) -> Result<Loaded<StandingKey, Self::Value>, Refusal> {
        let mut groups = BTreeMap::<(i64, i64), Vec<String>>::new();
        for key in keys {
            groups.entry((key.number, key.cut)).or_default().push(key.account.clone());
        }
        let mut out = Loaded::new();
        for ((number, cut), accounts) in groups {
            let mut found = self.of(number, cut, &accounts).await?;
            // That somebody is owed nothing is an answer, too.
            for account in accounts {
                let standings = found.remove(&account).unwrap_or_default();
                out.insert(StandingKey { account, number, cut }, standings);
            }
        }
        Ok(out)
    }
}

/// The blob that a batch or manifest refers to, at a block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlobKey {
    pub(crate) owner: B256,
    pub(crate) number: i64,
}

impl Loader<BlobKey> for Loads {
    type Value = BlobRow;
    type Error = Refusal;

    #[expect(clippy::disallowed_types, reason = "the loader's interface; it is looked into by key, never walked")]
    async fn load(&self, keys: &[BlobKey]) -> Result<Loaded<BlobKey, BlobRow>, Refusal> {
        let mut groups = BTreeMap::<i64, Vec<String>>::new();
        for key in keys {
            groups.entry(key.number).or_default().push(format!("'{}'", hex_text(key.owner)));
        }
        let mut out = Loaded::new();
        for (number, owners) in groups {
            let query = format!("SELECT * {} AND owner_id IN ({})", super::blob::LAST_OUTCOMES, listed(owners));
            for row in self.pinned()?.rows::<BlobRow>(&query, vec![number.into()]).await? {
                let Ok(owner) = row.owner_id.parse() else { continue };
                out.insert(BlobKey { owner, number }, row);
            }
        }
        Ok(out)
    }
}

/// The postings that carry a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AnchorKey(pub(crate) i64);

impl Loader<AnchorKey> for Loads {
    type Value = Vec<AnchorRow>;
    type Error = Refusal;

    #[expect(clippy::disallowed_types, reason = "the loader's interface; it is looked into by key, never walked")]
    async fn load(&self, keys: &[AnchorKey]) -> Result<Loaded<AnchorKey, Vec<AnchorRow>>, Refusal> {
        let blocks = listed(keys.iter().map(|key| key.0.to_string()));
        let query = format!("SELECT * FROM anchors WHERE l2_block IN ({blocks}) ORDER BY l2_block, part");
        let mut out = Loaded::<AnchorKey, Vec<AnchorRow>>::new();
        for row in self.pinned()?.rows::<AnchorRow>(&query, vec![]).await? {
            out.entry(AnchorKey(row.l2_block)).or_default().push(row);
        }
        Ok(out)
    }
}

/// The leaves of an account on the trees of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LeafKey {
    pub(crate) account: AddressText,
    pub(crate) epoch: i64,
}

impl Loader<LeafKey> for Loads {
    type Value = Vec<MerkleLeafRow>;
    type Error = Refusal;

    #[expect(clippy::disallowed_types, reason = "the loader's interface; it is looked into by key, never walked")]
    async fn load(&self, keys: &[LeafKey]) -> Result<Loaded<LeafKey, Vec<MerkleLeafRow>>, Refusal> {
        let mut groups = BTreeMap::<i64, Vec<String>>::new();
        for key in keys {
            groups.entry(key.epoch).or_default().push(format!("'{}'", key.account.lower()));
        }
        let mut out = keys.iter().map(|key| (*key, Vec::new())).collect::<Loaded<_, Vec<MerkleLeafRow>>>();
        for (epoch, accounts) in groups {
            let accounts = listed(accounts);
            let query = format!("SELECT * FROM merkle_leaves WHERE epoch = $1 AND account IN ({accounts})");
            for row in self.pinned()?.rows::<MerkleLeafRow>(&query, vec![epoch.into()]).await? {
                out.entry(LeafKey { account: AddressText::read(&row.account), epoch }).or_default().push(row);
            }
        }
        Ok(out)
    }
}

/// What an account earned in some epochs, by group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EarningsKey {
    pub(crate) account: AddressText,
    pub(crate) group: EarningsGroup,
    /// First and last epoch.
    pub(crate) epochs: (i64, i64),
}

/// Group, token and base units, in this order.
pub(crate) type Grouped = (Option<String>, String, i128);

impl Loader<EarningsKey> for Loads {
    type Value = Vec<Grouped>;
    type Error = Refusal;

    #[expect(clippy::disallowed_types, reason = "the loader's interface; it is looked into by key, never walked")]
    async fn load(&self, keys: &[EarningsKey]) -> Result<Loaded<EarningsKey, Vec<Grouped>>, Refusal> {
        let mut groups = BTreeMap::<(&str, (i64, i64)), Vec<EarningsKey>>::new();
        for key in keys {
            groups.entry((key.group.column(), key.epochs)).or_default().push(*key);
        }
        let mut out = Loaded::<EarningsKey, Vec<Grouped>>::new();
        for ((name, (from, to)), keys) in groups {
            let accounts = listed(keys.iter().map(|key| format!("'{}'", key.account.lower())));
            let query = format!(
                "SELECT account, {name}, token, sum(amount) FROM earnings \
                 WHERE account IN ({accounts}) AND epoch BETWEEN $1 AND $2 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            );
            for batch in self.pinned()?.batches(&query, vec![from.into(), to.into()]).await? {
                let (accounts, groups) = (column::<String>(&batch, 0)?, column::<Option<String>>(&batch, 1)?);
                let sums = column::<String>(&batch, 2)?.into_iter().zip(column::<Decimal38>(&batch, 3)?);
                for ((account, group), (token, sum)) in accounts.iter().zip(groups).zip(sums) {
                    let account = AddressText::read(account);
                    let Some(key) = keys.iter().find(|key| key.account == account) else { continue };
                    out.entry(*key).or_default().push((group, token, sum.0));
                }
            }
        }
        Ok(out)
    }
}

/// What waits for an account after an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PendingKey {
    pub(crate) account: AddressText,
    pub(crate) cut: i64,
}

/// What waits on an account of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) name: String,
    pub(crate) vault: String,
    pub(crate) token: String,
    pub(crate) units: i128,
    /// For what a vault does not cover, the oldest epoch with something that still waits.
    pub(crate) since: Option<i64>,
}

impl Loader<PendingKey> for Loads {
    type Value = Vec<Waiting>;
    type Error = Refusal;

    #[expect(clippy::disallowed_types, reason = "the loader's interface; it is looked into by key, never walked")]
    async fn load(&self, keys: &[PendingKey]) -> Result<Loaded<PendingKey, Vec<Waiting>>, Refusal> {
        let mut groups = BTreeMap::<i64, Vec<String>>::new();
        for key in keys {
            groups.entry(key.cut).or_default().push(format!("'{}'", key.account.lower()));
        }
        let mut out = Loaded::<PendingKey, Vec<Waiting>>::new();
        for (cut, accounts) in groups {
            let accounts = listed(accounts);
            let side = |account: &str, units: &str| {
                let beginnings = ["pending", "suspense", "unfunded"];
                let waits = beginnings.map(|one| format!("{account} LIKE '{one}:%'")).join(" OR ");
                let whose = format!("right({account}, 42) IN ({accounts})");
                // What a vault does not cover is released under the epoch that it waits since.
                let since = format!("CASE WHEN {account} LIKE 'unfunded:%' THEN coalesce(adjusts_epoch, epoch) END");
                format!(
                    "SELECT {account} AS account, vault, token, {since} AS since, {units} AS units FROM ledger_entries \
                     WHERE epoch <= $1 AND ({waits}) AND {whose}"
                )
            };
            let query = format!(
                "SELECT account, vault, token, sum(units), min(since) FROM (\
                 SELECT account, vault, token, since, sum(units) AS units FROM ({} UNION ALL {}) GROUP BY 1, 2, 3, 4) \
                 WHERE units <> 0 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
                side("credit", "amount"),
                side("debit", "-amount")
            );
            for batch in self.pinned()?.batches(&query, vec![cut.into()]).await? {
                let (names, vaults) = (column::<String>(&batch, 0)?, column::<String>(&batch, 1)?);
                let sums = column::<String>(&batch, 2)?.into_iter().zip(column::<Decimal38>(&batch, 3)?);
                let sums = sums.zip(column::<Option<i64>>(&batch, 4)?);
                for ((name, vault), ((token, sum), since)) in names.into_iter().zip(vaults).zip(sums) {
                    let account = AddressText::read(name.rsplit(':').next().unwrap_or_default());
                    if sum.0 != 0 {
                        let line = Waiting { name, vault, token, units: sum.0, since };
                        out.entry(PendingKey { account, cut }).or_default().push(line);
                    }
                }
            }
        }
        Ok(out)
    }
}

mod below;
#[cfg(test)]
mod tests;

pub(super) use below::BatchKey;
