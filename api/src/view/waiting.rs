//! Money that waits: for whom, and for which vault's balance.

use std::collections::BTreeMap;

use tributary_schemas::money::FundingRow;

use super::View;
use super::load::{PendingKey, Waiting};
use crate::error::Refusal;
use crate::pinned::column;
use crate::scalar::{AddressText, BlockNumber};
use crate::schema::account::{PendingKind, PendingMoney};
use crate::schema::status::Unfunded;

/// Since which epoch something waits for each vault and token without a break.
const SINCE: &str = "SELECT f.vault, f.token, min(f.epoch) FROM fundings f \
     LEFT JOIN (SELECT vault, token, max(epoch) AS epoch FROM fundings WHERE epoch <= $1 AND waiting = 0 \
     GROUP BY vault, token) c ON f.vault = c.vault AND f.token = c.token \
     WHERE f.epoch <= $1 AND f.waiting > 0 AND f.epoch > coalesce(c.epoch, -1) GROUP BY f.vault, f.token";

impl View {
    /// What waits for an account, by vault and token.
    pub(crate) async fn pending(&self, account: AddressText) -> Result<Vec<PendingMoney>, Refusal> {
        let Some(cut) = self.cut() else { return Ok(Vec::new()) };
        let found = self.0.loads.load_one(PendingKey { account, cut }).await?.unwrap_or_default();
        let line = |one: Waiting| {
            // `pending:<batch>:<release>:<resolve by>:<address>`, `suspense:<reason>:<address>` or `unfunded:<address>`
            let mut parts = one.name.split(':');
            let (first, second, third) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
            let (kind, reason) = match first {
                "pending" => (PendingKind::Challenge, None),
                "unfunded" => (PendingKind::Unfunded, Some(first)),
                _ => (PendingKind::Suspended, second),
            };
            let until = third.filter(|_| kind == PendingKind::Challenge).and_then(|block| block.parse().ok());
            PendingMoney {
                kind,
                reason: reason.map(str::to_owned),
                until_block: until.map(BlockNumber),
                since_epoch: one.since,
                vault: AddressText::read(&one.vault),
                amount: self.money(AddressText::read(&one.token), one.units),
            }
        };
        Ok(found.into_iter().map(line).collect())
    }

    /// Vaults that something waits for, at the end of the last settled epoch.
    pub(crate) async fn unfunded(&self) -> Result<Vec<Unfunded>, Refusal> {
        let Some(cut) = self.cut() else { return Ok(Vec::new()) };
        let query = "SELECT * FROM fundings WHERE epoch = $1 AND waiting > 0 ORDER BY vault, token";
        let short = self.pinned().rows::<FundingRow>(query, vec![cut.into()]).await?;
        if short.is_empty() {
            return Ok(Vec::new());
        }
        let mut since = BTreeMap::new();
        for batch in self.pinned().batches(SINCE, vec![cut.into()]).await? {
            let purses = column::<String>(&batch, 0)?.into_iter().zip(column::<String>(&batch, 1)?);
            since.extend(purses.zip(column::<i64>(&batch, 2)?));
        }
        let line = |row: FundingRow| {
            let token = AddressText::read(&row.token);
            Unfunded {
                vault: AddressText::read(&row.vault),
                token,
                since_epoch: since.get(&(row.vault, row.token)).copied().unwrap_or(cut),
                owed: self.money(token, row.owed.0),
                held: row.held.map(|held| self.money(token, held.0)),
                waiting: self.money(token, row.waiting.0),
            }
        };
        Ok(short.into_iter().map(line).collect())
    }
}
