//! `epochs`: settled money, its conservation and its roots.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ID, Object, SimpleObject};

use crate::error::Refusal;
use crate::page::Total;
use crate::scalar::{AddressText, BlockNumber, Bytes32, DateTime, Money};
use crate::view::View;

pub(crate) type EpochConnection = Connection<String, Epoch, Total, EmptyFields>;

/// A settled epoch.
#[derive(Debug, Clone)]
pub(crate) struct Epoch {
    pub(crate) view: View,
    pub(crate) rows: Vec<tributary_schemas::money::EpochRow>,
    pub(crate) number: i64,
}

/// A settled epoch.
#[Object]
impl Epoch {
    /// Its id.
    pub(crate) async fn id(&self) -> ID {
        ID(format!("epoch:{}", self.number))
    }
    /// Its number.
    async fn number(&self) -> i64 {
        self.number
    }
    /// Its first block.
    async fn first_block(&self) -> Option<BlockNumber> {
        self.rows.iter().map(|row| BlockNumber(row.first_block)).min()
    }
    /// Its last block.
    async fn last_block(&self) -> Option<BlockNumber> {
        self.rows.iter().map(|row| BlockNumber(row.last_block)).max()
    }
    /// When it began.
    async fn starts_at(&self) -> DateTime {
        self.view.epoch_start(self.number)
    }
    /// When the next one began.
    async fn ends_at(&self) -> DateTime {
        self.view.epoch_start(self.number.saturating_add(1))
    }
    /// Its money, by vault and token.
    async fn tokens(&self) -> Vec<EpochToken> {
        self.rows.iter().map(|row| EpochToken { view: self.view.clone(), row: row.clone() }).collect()
    }
    /// Its money, by token over all vaults: revenue = credited + held.
    async fn conservation(&self) -> Vec<Conservation> {
        let mut tokens = std::collections::BTreeMap::<&str, [i128; 4]>::new();
        for row in &self.rows {
            let sums = tokens.entry(&row.token).or_default();
            for (sum, part) in sums.iter_mut().zip([row.revenue, row.credited, row.held, row.rounding]) {
                *sum = sum.saturating_add(part.0);
            }
        }
        let line = |(token, [revenue, credited, held, rounding]): (&str, [i128; 4])| {
            let token = AddressText::read(token);
            let money = |units: i128| self.view.money(token, units);
            Conservation {
                token,
                revenue: money(revenue),
                credited: money(credited),
                held: money(held),
                rounding: money(rounding),
                holds: credited.checked_add(held) == Some(revenue),
            }
        };
        tokens.into_iter().map(line).collect()
    }
    /// Hash of its manifest.
    async fn manifest_hash(&self) -> Option<Bytes32> {
        self.rows.first().and_then(|row| Bytes32::read(&row.manifest_hash))
    }
    /// Root of its tree; null when several vaults have one each: see `tokens`.
    async fn root(&self) -> Option<Bytes32> {
        let first = self.rows.first()?;
        self.rows.iter().all(|row| row.root == first.root).then(|| Bytes32::read(&first.root)).flatten()
    }
    /// Digest of the journal up to this epoch.
    async fn ledger_digest(&self) -> Option<Bytes32> {
        self.rows.first().and_then(|row| Bytes32::read(&row.ledger_digest))
    }
    /// The rule it was settled by.
    async fn rule(&self) -> Option<&str> {
        self.rows.first().map(|row| row.rule.as_str())
    }
    /// The largest movements of money along the edges of the graph, largest first; with `token`, of that token alone.
    async fn flows(
        &self,
        #[graphql(default = 200)] first: i64,
        token: Option<AddressText>,
    ) -> Result<Vec<MoneyFlow>, Refusal> {
        self.view.flows(self.number, token, first).await
    }
}

/// Money of one token in an epoch, over all vaults.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Conservation {
    /// Token.
    pub(crate) token: AddressText,
    /// Revenue settled, refunds taken off.
    pub(crate) revenue: Money,
    /// Credited to payees and the treasury.
    pub(crate) credited: Money,
    /// Held in suspense or pending.
    pub(crate) held: Money,
    /// The part that rounding placed.
    pub(crate) rounding: Money,
    /// Whether revenue = credited + held, exactly.
    pub(crate) holds: bool,
}

/// Money of one token received by one vault in an epoch: revenue = credited + held.
#[derive(Debug, Clone)]
pub(crate) struct EpochToken {
    pub(crate) view: View,
    pub(crate) row: tributary_schemas::money::EpochRow,
}

impl EpochToken {
    fn money(&self, units: tributary_schemas::column::Decimal38) -> Money {
        self.view.money(AddressText::read(&self.row.token), units.0)
    }
}

/// Money of one token received by one vault in an epoch: revenue = credited + held.
#[Object]
impl EpochToken {
    /// The vault.
    async fn vault(&self) -> AddressText {
        AddressText::read(&self.row.vault)
    }
    /// Token.
    async fn token(&self) -> AddressText {
        AddressText::read(&self.row.token)
    }
    /// Payments settled.
    async fn payments(&self) -> i64 {
        self.row.payments
    }
    /// Revenue settled, refunds taken off.
    async fn revenue(&self) -> Money {
        self.money(self.row.revenue)
    }
    /// Credited to payees and the treasury.
    async fn credited(&self) -> Money {
        self.money(self.row.credited)
    }
    /// Held in suspense or pending.
    async fn held(&self) -> Money {
        self.money(self.row.held)
    }
    /// The part that rounding placed.
    async fn rounding(&self) -> Money {
        self.money(self.row.rounding)
    }
    /// Total on the tree.
    async fn cumulative(&self) -> Money {
        self.money(self.row.cumulative)
    }
    /// Root of the vault's tree.
    async fn root(&self) -> Option<Bytes32> {
        Bytes32::read(&self.row.root)
    }
    /// Digest of the journal up to this epoch.
    async fn ledger_digest(&self) -> Option<Bytes32> {
        Bytes32::read(&self.row.ledger_digest)
    }
    /// Whether the root is published on chain.
    async fn published(&self) -> Result<bool, Refusal> {
        let (vault, token) = (AddressText::read(&self.row.vault), AddressText::read(&self.row.token));
        self.view.root_published(vault, token, self.row.epoch).await
    }
}

/// Money along one edge of the graph in an epoch.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct MoneyFlow {
    /// channel, model, lineage or data.
    pub(crate) step: String,
    /// Depth of a lineage step; zero elsewhere.
    pub(crate) depth: i64,
    /// Where it came from: the id of a version, or a channel.
    pub(crate) source: ID,
    /// Its name for people.
    pub(crate) source_label: String,
    /// Where it went: the id of a version or contribution, or an account.
    pub(crate) target: ID,
    /// Its name for people.
    pub(crate) target_label: String,
    /// The money, in whole base units, rounded down.
    pub(crate) amount: Money,
}
