//! Answers about datasets, models, agents, contributions, epochs and accounts.

use std::collections::BTreeSet;

use async_graphql::ID;
use datafusion::scalar::ScalarValue;
use tributary_schemas::facts::{AccountRow, ContributionRow};

use super::View;
use crate::earned::{Earned, Tokens};
use crate::error::{ErrorCode, Refusal};
use crate::filter::{
    Condition, ContributionOrder, ContributionOrderField, Datum, EntityOrder, EntityOrderField, OrderDirection,
};
use crate::page::{self, Asked, Cursor, Listed, connect};
use crate::pinned::column;
use crate::provenance;
use crate::scalar::{AddressText, Money};
use crate::schema::account::Account;
use crate::schema::entity::{
    Agent, AgentConnection, AgentVersion, Contribution, ContributionConnection, Dataset, DatasetConnection,
    DatasetVersion, Model, ModelConnection, ModelVersion, Owned, PayoutRule, SplitShare, Upstream,
};
use crate::schema::epoch::{Epoch, EpochConnection};
use crate::schema::node::Node;
use crate::schema::provenance::{Direction, Provenance};
use crate::schema::{AccountConnection, AccountFilter, AccountOrder};
use crate::world::{Columns, Kind, Thing};

macro_rules! entities {
    ($($one:ident $many:ident $connection:ident $object:ident $sk:ident $kind:ident $versions:ident $version:ident $version_states:ident;)*) => {$(
        /// The one with this id, or the one whose version has it.
        pub(crate) async fn $one(&self, id: &str) -> Result<Option<$object>, Refusal> {
            let Some(sk) = self.entity_sk(Kind::$kind, id) else { return Ok(None) };
            let row = self.world().$many.at(&sk, self.number());
            Ok(row.map(|row| $object { view: self.clone(), row: row.clone() }))
        }
        /// Those for which a condition holds, in order.
        pub(crate) async fn $many(
            &self,
            asked: Asked,
            condition: &Condition,
            order: EntityOrder,
        ) -> Result<$connection, Refusal> {
            let after = asked.after.as_deref().map(Cursor::decode).transpose()?;
            let rows = self.world().$many.all_at(self.number());
            let rows = rows.filter(|row| condition.holds(&|column: &str| row.datum(column))).collect();
            let rows = self.ordered(Kind::$kind, rows, order).await?;
            let node = |row: &_| $object { view: self.clone(), row: Clone::clone(row) };
            connect(rows, &self.cursor(), asked.first, after.as_ref(), |row| row.$sk.to_string(), node)
        }
        /// Versions of one, oldest first.
        pub(crate) async fn $versions(&self, sk: i64) -> Result<Vec<$version>, Refusal> {
            let rows = self.world().versions(Kind::$kind, sk).filter_map(|version| {
                self.world().$version_states.at(&version, self.number())
            });
            Ok(rows.map(|row| $version { view: self.clone(), row: row.clone() }).collect())
        }
    )*};
}

impl View {
    entities! {
        dataset datasets DatasetConnection Dataset dataset_sk Dataset dataset_versions DatasetVersion dataset_versions;
        model models ModelConnection Model model_sk Model model_versions ModelVersion model_versions;
        agent agents AgentConnection Agent agent_sk Agent agent_versions AgentVersion agent_versions;
    }

    /// Rows in the order that was asked for, among equals in that of registration.
    async fn ordered<'a, T: Columns>(
        &self,
        kind: Kind,
        rows: Vec<&'a T>,
        order: EntityOrder,
    ) -> Result<Vec<&'a T>, Refusal> {
        let earned = self.earned_for(order.field == EntityOrderField::Earned, kind, order.token).await?;
        let key = |row: &T| match order.field {
            EntityOrderField::Registered => Datum::from(row.sk()),
            EntityOrderField::TextId => row.datum("text_id"),
            EntityOrderField::SinceBlock => row.datum("valid_from_block"),
            EntityOrderField::Earned => earned(row.sk()),
        };
        Ok(sorted(rows, order.direction, key))
    }

    /// What came through each thing of a kind, of a token (the native one by default), by surrogate key; nothing is read
    /// where nobody asks.
    async fn earned_for(
        &self,
        asked: bool,
        kind: Kind,
        token: Option<AddressText>,
    ) -> Result<impl Fn(i64) -> Datum, Refusal> {
        let earned = if asked { self.earned().await? } else { None };
        let token = token.unwrap_or(AddressText(alloy_primitives::Address::ZERO)).lower();
        Ok(move |sk| {
            let sums = earned.as_deref().map(|earned| self.earned_of(earned, kind, sk)).unwrap_or_default();
            Datum::Number(sums.get(&token).copied().unwrap_or(0))
        })
    }

    /// Whatever has this id.
    pub(crate) async fn node(&self, id: &str) -> Result<Option<Node>, Refusal> {
        if let Some(number) = id.strip_prefix("epoch:") {
            return Ok(match number.parse() {
                Ok(number) => self.epoch(number).await?.map(Node::Epoch),
                Err(_) => None,
            });
        }
        let at = self.number();
        match self.world().find(id) {
            Some(Thing::Entity(Kind::Contribution, _)) => Ok(self.contribution(id).await?.map(Node::Contribution)),
            Some(Thing::Entity(Kind::Dataset, _)) => Ok(self.dataset(id).await?.map(Node::Dataset)),
            Some(Thing::Entity(Kind::Model, _)) => Ok(self.model(id).await?.map(Node::Model)),
            Some(Thing::Entity(Kind::Agent, _)) => Ok(self.agent(id).await?.map(Node::Agent)),
            Some(Thing::Version(kind, sk)) => Ok(match kind {
                Kind::Dataset => self
                    .world()
                    .dataset_versions
                    .at(&sk, at)
                    .map(|row| Node::DatasetVersion(DatasetVersion { view: self.clone(), row: row.clone() })),
                Kind::Model => self
                    .world()
                    .model_versions
                    .at(&sk, at)
                    .map(|row| Node::ModelVersion(ModelVersion { view: self.clone(), row: row.clone() })),
                Kind::Agent => self
                    .world()
                    .agent_versions
                    .at(&sk, at)
                    .map(|row| Node::AgentVersion(AgentVersion { view: self.clone(), row: row.clone() })),
                Kind::Contribution => None,
            }),
            None => self.node_of_tables(id).await,
        }
    }

    /// An account, a batch or a payment.
    async fn node_of_tables(&self, id: &str) -> Result<Option<Node>, Refusal> {
        if let Some(address) = id.parse().ok().filter(|_| id.starts_with("0x") && id.len() == 42) {
            return Ok(Some(Node::Account(Account { view: self.clone(), address: AddressText(address) })));
        }
        if let Some(batch) = self.batch(id).await? {
            return Ok(Some(Node::AttributionBatch(batch)));
        }
        Ok(self.payment(id).await?.map(Node::Payment))
    }

    fn entity_sk(&self, kind: Kind, id: &str) -> Option<i64> {
        match self.world().find(id)? {
            Thing::Entity(found, sk) if found == kind => Some(sk),
            Thing::Version(found, sk) if found == kind => {
                self.world().entity_of(kind, sk, self.number()).map(|(entity, _)| entity)
            }
            _ => None,
        }
    }

    /// The dataset with this surrogate key.
    pub(crate) async fn dataset_by_sk(&self, sk: i64) -> Result<Option<Dataset>, Refusal> {
        let row = self.world().datasets.at(&sk, self.number());
        Ok(row.map(|row| Dataset { view: self.clone(), row: row.clone() }))
    }

    /// A contribution by its id.
    pub(crate) async fn contribution(&self, id: &str) -> Result<Option<Contribution>, Refusal> {
        let Some(sk) = self.entity_sk(Kind::Contribution, id) else { return Ok(None) };
        let row = self.world().contributions.at(&sk, self.number());
        Ok(row.map(|row| Contribution { view: self.clone(), row: row.clone() }))
    }

    /// Contributions of an account for which a condition holds, in order.
    pub(crate) async fn contributions_of(
        &self,
        account: AddressText,
        asked: Asked,
        condition: &Condition,
        order: ContributionOrder,
    ) -> Result<ContributionConnection, Refusal> {
        self.contributions(self.world().contributed_by(&account.lower()), asked, condition, order).await
    }

    /// Contributions to a dataset for which a condition holds, in order.
    pub(crate) async fn contributions_in(
        &self,
        dataset: i64,
        asked: Asked,
        condition: &Condition,
        order: ContributionOrder,
    ) -> Result<ContributionConnection, Refusal> {
        self.contributions(self.world().contributed_to(dataset), asked, condition, order).await
    }

    async fn contributions(
        &self,
        keys: &[i64],
        asked: Asked,
        condition: &Condition,
        order: ContributionOrder,
    ) -> Result<ContributionConnection, Refusal> {
        let after = self.inner_cursor(asked.after.as_deref())?;
        let rows = keys.iter().filter_map(|sk| self.world().contributions.at(sk, self.number()));
        let rows = rows.filter(|row| condition.holds(&|column: &str| row.datum(column))).collect();
        let by = order.field;
        let earned = self.earned_for(by == ContributionOrderField::Earned, Kind::Contribution, order.token).await?;
        let key = |row: &ContributionRow| match by {
            ContributionOrderField::Registered => Datum::from(row.sk()),
            ContributionOrderField::RowCount => row.datum("row_count"),
            ContributionOrderField::Quality => row.datum("quality"),
            ContributionOrderField::Earned => earned(row.sk()),
        };
        let rows = sorted(rows, order.direction, key);
        let node = |row: &ContributionRow| Contribution { view: self.clone(), row: row.clone() };
        connect(rows, &self.cursor(), asked.first, after.as_ref(), |row| row.contribution_sk.to_string(), node)
    }

    /// How many accounts contributed to a dataset.
    pub(crate) async fn contributor_count(&self, dataset: i64) -> Result<i64, Refusal> {
        let rows = self.world().contributed_to(dataset).iter();
        let rows = rows.filter_map(|sk| self.world().contributions.at(sk, self.number()));
        let contributors = rows.map(|row| row.contributor.as_str()).collect::<BTreeSet<_>>();
        Ok(i64::try_from(contributors.len()).unwrap_or(i64::MAX))
    }

    /// What a version was made from.
    pub(crate) async fn upstream_of(&self, version: &str) -> Result<Vec<Upstream>, Refusal> {
        let mut edges = self.world().upstream(version, self.number()).collect::<Vec<_>>();
        edges.sort_by(|a, b| (&a.relation, &a.dst_id).cmp(&(&b.relation, &b.dst_id)));
        Ok(edges
            .into_iter()
            .map(|edge| Upstream {
                id: ID(edge.dst_id.clone()),
                kind: edge.dst_kind.clone(),
                label: self.world().label(&edge.dst_id, self.number()),
                relation: edge.relation.clone(),
                share_ppb: edge.share_ppb,
            })
            .collect())
    }

    /// Where the money of an entity goes.
    pub(crate) async fn payout_rule(&self, entity: &str) -> Result<PayoutRule, Refusal> {
        let Some(row) = self.world().payouts.at(entity, self.number()) else { return Ok(PayoutRule::default()) };
        let split = row.split.as_deref().map(serde_json::from_str::<Vec<SplitShare>>).transpose();
        let split = split.map_err(|cause| Refusal::internal("reading a split", &cause))?;
        Ok(PayoutRule { payout: row.payout.as_deref().map(AddressText::read), split: split.unwrap_or_default() })
    }

    /// What came through an entity.
    pub(crate) async fn earned_by(&self, kind: Kind, sk: i64) -> Result<Vec<Money>, Refusal> {
        let Some(earned) = self.earned().await? else { return Ok(Vec::new()) };
        Ok(self.moneys(Some(&self.earned_of(&earned, kind, sk))))
    }

    fn earned_of(&self, earned: &Earned, kind: Kind, sk: i64) -> Tokens {
        let (world, number) = (self.world(), self.number());
        if matches!(kind, Kind::Dataset | Kind::Contribution) {
            let id = world.entity(kind, sk, number).map(|(id, _)| id);
            return id.and_then(|id| earned.thing(id)).cloned().unwrap_or_default();
        }
        let mut sums = Tokens::new();
        let versions = world.versions(kind, sk).filter_map(|version| world.version_id(kind, version, number));
        for (token, units) in versions.filter_map(|id| earned.thing(id)).flatten() {
            let sum = sums.entry(token.clone()).or_default();
            *sum = sum.saturating_add(*units);
        }
        sums
    }

    /// The settings of an account.
    pub(crate) async fn account_state(&self, account: AddressText) -> Result<Option<AccountRow>, Refusal> {
        Ok(self.world().accounts.at(&account.lower(), self.number()).cloned())
    }

    /// What an account owns.
    pub(crate) async fn owned_by(&self, account: AddressText) -> Result<Vec<Owned>, Refusal> {
        let (world, number, owner) = (self.world(), self.number(), account.lower());
        let owned = |kind: Kind, id: &str, text_id: &str| Owned {
            id: ID(id.to_owned()),
            kind: kind.as_str().to_owned(),
            label: kind.label(text_id, None),
        };
        let mut out = Vec::new();
        let datasets = world.datasets.all_at(number).filter(|row| row.owner == owner);
        out.extend(datasets.map(|row| owned(Kind::Dataset, &row.dataset_id, &row.text_id)));
        let models = world.models.all_at(number).filter(|row| row.owner == owner);
        out.extend(models.map(|row| owned(Kind::Model, &row.model_id, &row.text_id)));
        let agents = world.agents.all_at(number).filter(|row| row.owner == owner);
        out.extend(agents.map(|row| owned(Kind::Agent, &row.agent_id, &row.text_id)));
        Ok(out)
    }

    /// A settled epoch.
    pub(crate) async fn epoch(&self, number: i64) -> Result<Option<Epoch>, Refusal> {
        let rows = self.world().epochs.get(&number).filter(|_| self.cut().is_some_and(|cut| number <= cut));
        Ok(rows.map(|rows| Epoch { view: self.clone(), rows: rows.clone(), number }))
    }

    /// Settled epochs, oldest first.
    pub(crate) fn settled_epochs(&self) -> impl Iterator<Item = Epoch> + '_ {
        let cut = self.cut().unwrap_or(i64::MIN);
        let settled = self.world().epochs.range(..=cut);
        settled.map(|(number, rows)| Epoch { view: self.clone(), rows: rows.clone(), number: *number })
    }

    /// Settled epochs for which a condition holds, newest first or oldest first.
    pub(crate) async fn epochs(
        &self,
        asked: Asked,
        condition: &Condition,
        direction: OrderDirection,
    ) -> Result<EpochConnection, Refusal> {
        let after = asked.after.as_deref().map(Cursor::decode).transpose()?;
        let of = |epoch: &Epoch, column: &str| match column {
            "epoch" => Datum::from(epoch.number),
            "first_block" => Datum::from(epoch.rows.iter().map(|row| row.first_block).min()),
            _ => Datum::from(epoch.rows.iter().map(|row| row.last_block).max()),
        };
        let mut rows = self.settled_epochs().collect::<Vec<_>>();
        rows.retain(|epoch| condition.holds(&|column: &str| of(epoch, column)));
        if direction == OrderDirection::Desc {
            rows.reverse();
        }
        connect(rows, &self.cursor(), asked.first, after.as_ref(), |epoch| epoch.number.to_string(), |epoch| epoch)
    }

    /// Accounts that earned something.
    pub(crate) async fn accounts(&self, asked: Asked, filter: AccountFilter) -> Result<AccountConnection, Refusal> {
        let cut = ScalarValue::from(self.cut().unwrap_or(-1));
        let search = format!("%{}%", filter.search.unwrap_or_default().to_lowercase().replace(['%', '_', '\\'], ""));
        let token = filter.token.unwrap_or(AddressText(alloy_primitives::Address::ZERO)).lower();
        let order = match filter.order {
            AccountOrder::Address => "account",
            AccountOrder::Earned => "earned DESC, account",
        };
        let condition = filter.condition.sql();
        let list = page::fingerprint(&[&search, &token, order, &condition]);
        let (first, offset) = asked.place(&list)?;
        let from = format!(
            "FROM (SELECT account, \
             sum(CASE WHEN token = $3 THEN cumulative ELSE CAST(0 AS DECIMAL(38, 0)) END) AS earned FROM claims \
             WHERE epoch = (SELECT max(epoch) FROM claims WHERE epoch <= $1) AND account LIKE '0x%' \
             AND account LIKE $2 GROUP BY account) WHERE {condition}"
        );
        let values = vec![cut, search.into(), token.into()];
        // The list of a cut never changes, so a place names a row: none can slip in before it.
        let query = format!("SELECT account {from} ORDER BY {order} LIMIT {first} OFFSET {offset}");
        let mut rows = Vec::new();
        for batch in self.pinned().batches(&query, values.clone()).await? {
            rows.extend(column::<String>(&batch, 0)?);
        }
        let total = self.count(&format!("SELECT count(*) {from}"), values).await?;
        let account = |account: String| Account { view: self.clone(), address: AddressText::read(&account) };
        Ok(page::listed(Listed { rows, offset, total, list }, &self.cursor(), account))
    }

    /// The graph around one thing.
    pub(crate) async fn provenance(
        &self,
        of: &str,
        direction: Direction,
        depth: i64,
        first: i64,
    ) -> Result<Option<Provenance>, Refusal> {
        let bound = |name: &str, value: i64, max: i64| {
            let within = (0..=max).contains(&value).then(|| usize::try_from(value).unwrap_or_default());
            let message = || format!("{name} is {value}: expected 0 <= {name} <= {max}");
            within.ok_or_else(|| Refusal::new(ErrorCode::BadInput, message()))
        };
        let depth = bound("depth", depth, provenance::DEPTH_MAX)?;
        let nodes = bound("first", first, provenance::NODES_MAX)?;
        let (view, of, earned) = (self.clone(), of.to_owned(), self.earned().await?.unwrap_or_default());
        // Wide datasets make this milliseconds of pure computing, which belongs beside the runtime, not in it.
        let walk = move || provenance::around(&view, &earned, &of, direction, depth, nodes);
        tokio::task::spawn_blocking(walk).await.map_err(|cause| Refusal::internal("walking the graph", &cause))
    }
}

/// Rows by a key, among equals in the order of registration.
fn sorted<T: Columns>(rows: Vec<&T>, direction: OrderDirection, key: impl Fn(&T) -> Datum) -> Vec<&T> {
    let mut keyed = rows.into_iter().map(|row| (key(row), row)).collect::<Vec<_>>();
    keyed.sort_by(|(a, one), (b, other)| {
        let way = match direction {
            OrderDirection::Asc => a.cmp(b),
            OrderDirection::Desc => b.cmp(a),
        };
        way.then(one.sk().cmp(&other.sk()))
    });
    keyed.into_iter().map(|(_, row)| row).collect()
}
