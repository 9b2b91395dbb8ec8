//! What accounts are owed, many at a time: the loader behind `entitlement` and `entitlements`.

use std::collections::BTreeMap;
#[expect(clippy::disallowed_types, reason = "the loader's interface; it is looked into by key, never walked")]
use std::collections::HashMap as Loaded;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use datafusion::prelude::{col, lit};
use tributary_schemas::Table;
use tributary_schemas::facts::RewardClaimRow;
use tributary_schemas::money::{ClaimRow, MerkleLeafRow};

use crate::error::Refusal;
use crate::pinned::Pinned;

/// An account at a block, up to a settled epoch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StandingKey {
    pub(crate) account: String,
    pub(crate) number: i64,
    pub(crate) cut: i64,
}

/// What an account is owed by a vault in a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) vault: String,
    pub(crate) token: String,
    pub(crate) epoch: i64,
    pub(crate) cumulative: i128,
    pub(crate) on_tree: i128,
    pub(crate) claimed: i128,
}

/// Loads standings from three tables, one query each however many accounts are asked for.
#[derive(Debug)]
pub(crate) struct Standings(Arc<Pinned>);

impl Standings {
    /// A loader over a snapshot, for one request.
    pub(crate) fn loader(pinned: Arc<Pinned>) -> DataLoader<Self> {
        #[expect(clippy::disallowed_methods, reason = "the loader's own task; it ends with the answer it loads")]
        DataLoader::new(Self(pinned), tokio::spawn).max_batch_size(500)
    }

    async fn rows<T: Table>(&self, accounts: &[String], below: (&str, i64)) -> Result<Vec<T>, Refusal> {
        let failed = |cause: datafusion::error::DataFusionError| Refusal::internal("reading what is owed", &cause);
        let table = self.0.session().await?.table(T::NAME).await.map_err(failed)?;
        let accounts = accounts.iter().map(|account| lit(account.as_str())).collect();
        let filter = col("account").in_list(accounts, false).and(col(below.0).lt_eq(lit(below.1)));
        let batches = table.filter(filter).map_err(failed)?.collect().await.map_err(failed)?;
        let mut rows = Vec::new();
        for batch in batches {
            rows.extend(T::from_batch(&batch).map_err(|cause| Refusal::internal("reading what is owed", &cause))?);
        }
        Ok(rows)
    }

    async fn of(&self, number: i64, cut: i64, accounts: &[String]) -> Result<BTreeMap<String, Vec<Standing>>, Refusal> {
        let mut all = BTreeMap::<(String, String, String), Standing>::new();
        for row in self.rows::<ClaimRow>(accounts, ("epoch", cut)).await? {
            let (vault, token, epoch) = (row.vault, row.token, row.epoch);
            let at = all.entry((row.account, vault.clone(), token.clone())).or_default();
            if at.vault.is_empty() || at.epoch < epoch {
                *at = Standing { vault, token, epoch, cumulative: row.cumulative.0, ..Standing::default() };
            }
        }
        for row in self.rows::<MerkleLeafRow>(accounts, ("epoch", cut)).await? {
            if let Some(at) = all.get_mut(&(row.account, row.vault, row.token)).filter(|at| at.epoch == row.epoch) {
                at.on_tree = row.cumulative.0;
            }
        }
        for row in self.rows::<RewardClaimRow>(accounts, ("block_number", number)).await? {
            if let Some(at) = all.get_mut(&(row.account, row.vault, row.token)) {
                at.claimed = at.claimed.saturating_add(row.amount.0);
            }
        }
        let mut out = BTreeMap::<String, Vec<Standing>>::new();
        for ((account, ..), standing) in all {
            out.entry(account).or_default().push(standing);
        }
        Ok(out)
    }
}

impl Loader<StandingKey> for Standings {
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
            for (account, standings) in self.of(number, cut, &accounts).await? {
                out.insert(StandingKey { account, number, cut }, standings);
            }
        }
        Ok(out)
    }
}
