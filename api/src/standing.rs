//! What accounts are owed: of some accounts as of any block, or of all of them as of a snapshot's head, in memory,
//! because nothing is asked for as often.

use std::collections::BTreeMap;
use std::sync::Arc;

use tributary_schemas::Table as _;
use tributary_schemas::facts::RewardClaimRow;
use tributary_schemas::money::{ClaimRow, MerkleLeafRow};
use tributary_store::{Lake, Snapshot};

use crate::error::Refusal;

/// Most rows of the tables it is made from, together: some hundred bytes each.
const ROWS_MAX: u64 = 1 << 18;
/// The tables it is made from.
const TABLES: [&str; 3] = [ClaimRow::NAME, MerkleLeafRow::NAME, RewardClaimRow::NAME];

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

/// What accounts are owed, by account, from the rows that say so.
pub(crate) fn by_account(
    claims: Vec<ClaimRow>,
    leaves: Vec<MerkleLeafRow>,
    claimed: Vec<RewardClaimRow>,
) -> BTreeMap<String, Vec<Standing>> {
    let mut all = BTreeMap::<(String, String, String), Standing>::new();
    for row in claims {
        let (vault, token, epoch) = (row.vault, row.token, row.epoch);
        let at = all.entry((row.account, vault.clone(), token.clone())).or_default();
        if at.vault.is_empty() || at.epoch < epoch {
            *at = Standing { vault, token, epoch, cumulative: row.cumulative.0, ..Standing::default() };
        }
    }
    for row in leaves {
        if let Some(at) = all.get_mut(&(row.account, row.vault, row.token)).filter(|at| at.epoch == row.epoch) {
            at.on_tree = row.cumulative.0;
        }
    }
    for row in claimed {
        if let Some(at) = all.get_mut(&(row.account, row.vault, row.token)) {
            at.claimed = at.claimed.saturating_add(row.amount.0);
        }
    }
    let mut out = BTreeMap::<String, Vec<Standing>>::new();
    for ((account, ..), standing) in all {
        out.entry(account).or_default().push(standing);
    }
    out
}

/// What all accounts are owed at the head of a snapshot.
#[derive(Debug)]
pub(crate) struct Standings {
    /// Versions of the tables it was made from.
    of: [Option<i64>; 3],
    accounts: BTreeMap<String, Vec<Standing>>,
}

impl Standings {
    /// Reads the tables; `None` where they have too many rows. `before` is taken where the tables did not change.
    pub(crate) async fn load(
        lake: &Lake,
        snapshot: &Snapshot,
        before: Option<Arc<Self>>,
        count_read: impl Fn(),
    ) -> Result<Option<Arc<Self>>, Refusal> {
        let tables = TABLES.map(|name| snapshot.tables.get(name));
        let rows = tables.iter().flatten().map(|table| table.rows).fold(0, u64::saturating_add);
        if rows > ROWS_MAX {
            return Ok(None);
        }
        let of = tables.map(|table| table.map(|table| table.delta_version));
        if let Some(before) = before.filter(|before| before.of == of) {
            return Ok(Some(before));
        }
        let failed = |cause| Refusal::internal("reading what accounts are owed", &cause);
        TABLES.iter().for_each(|_| count_read());
        let claims = lake.read::<ClaimRow>(snapshot).await.map_err(failed)?;
        let leaves = lake.read::<MerkleLeafRow>(snapshot).await.map_err(failed)?;
        let claimed = lake.read::<RewardClaimRow>(snapshot).await.map_err(failed)?;
        let work = tokio::task::spawn_blocking(move || by_account(claims, leaves, claimed));
        let accounts = work.await.map_err(|cause| Refusal::internal("reading what accounts are owed", &cause))?;
        Ok(Some(Arc::new(Self { of, accounts })))
    }

    /// What an account is owed, by vault and token.
    pub(crate) fn of(&self, account: &str) -> &[Standing] {
        self.accounts.get(account).map_or(&[], Vec::as_slice)
    }
}
