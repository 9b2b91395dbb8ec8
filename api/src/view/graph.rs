//! Answers about datasets, models, agents, contributions, epochs and accounts.

use std::collections::BTreeSet;

use async_graphql::ID;
use async_graphql::connection::{Connection, Edge};
use datafusion::scalar::ScalarValue;
use tributary_schemas::facts::{AccountRow, ContributionRow};

use super::View;
use crate::error::{ErrorCode, Refusal};
use crate::page::{Cursor, Total, connect, first};
use crate::pinned::column;
use crate::provenance;
use crate::scalar::{AddressText, Money};
use crate::schema::account::Account;
use crate::schema::entity::{
    Agent, AgentConnection, AgentVersion, Contribution, ContributionConnection, Dataset, DatasetConnection,
    DatasetVersion, Model, ModelConnection, ModelVersion, Owned, PayoutRule, SplitShare, Upstream,
};
use crate::schema::epoch::{Epoch, EpochConnection};
use crate::schema::provenance::{Direction, Provenance};
use crate::schema::{AccountConnection, AccountFilter, AccountOrder};
use crate::world::{Kind, Thing};

macro_rules! entities {
    ($($one:ident $many:ident $connection:ident $object:ident $sk:ident $kind:ident $versions:ident $version:ident $version_states:ident;)*) => {$(
        /// The one with this id, or the one whose version has it.
        pub(crate) async fn $one(&self, id: &str) -> Result<Option<$object>, Refusal> {
            let Some(sk) = self.entity_sk(Kind::$kind, id) else { return Ok(None) };
            let row = self.world().$many.at(&sk, self.number());
            Ok(row.map(|row| $object { view: self.clone(), row: row.clone() }))
        }
        /// All of them in the order of registration.
        pub(crate) async fn $many(&self, first: Option<i64>, after: Option<String>) -> Result<$connection, Refusal> {
            let after = after.as_deref().map(Cursor::decode).transpose()?;
            let rows = self.world().$many.all_at(self.number()).collect::<Vec<_>>();
            let node = |row: &_| $object { view: self.clone(), row: Clone::clone(row) };
            connect(rows, &self.cursor(), first, after.as_ref(), |row| row.$sk.to_string(), node)
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

    /// Contributions of an account.
    pub(crate) async fn contributions_of(
        &self,
        account: AddressText,
        first: Option<i64>,
        after: Option<String>,
    ) -> Result<ContributionConnection, Refusal> {
        self.contributions(self.world().contributed_by(&account.lower()), first, after.as_deref())
    }

    /// Contributions to a dataset.
    pub(crate) async fn contributions_in(
        &self,
        dataset: i64,
        first: Option<i64>,
        after: Option<String>,
    ) -> Result<ContributionConnection, Refusal> {
        self.contributions(self.world().contributed_to(dataset), first, after.as_deref())
    }

    fn contributions(
        &self,
        keys: &[i64],
        first: Option<i64>,
        after: Option<&str>,
    ) -> Result<ContributionConnection, Refusal> {
        let after = self.inner_cursor(after)?;
        let rows = keys.iter().filter_map(|sk| self.world().contributions.at(sk, self.number())).collect::<Vec<_>>();
        let node = |row: &ContributionRow| Contribution { view: self.clone(), row: row.clone() };
        connect(rows, &self.cursor(), first, after.as_ref(), |row| row.contribution_sk.to_string(), node)
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
        let (world, number) = (self.world(), self.number());
        if matches!(kind, Kind::Dataset | Kind::Contribution) {
            let id = world.entity(kind, sk, number).map(|(id, _)| id);
            return Ok(self.moneys(id.and_then(|id| earned.thing(id))));
        }
        let mut sums = crate::earned::Tokens::new();
        let versions = world.versions(kind, sk).filter_map(|version| world.version_id(kind, version, number));
        for (token, units) in versions.filter_map(|id| earned.thing(id)).flatten() {
            let sum = sums.entry(token.clone()).or_default();
            *sum = sum.saturating_add(*units);
        }
        Ok(self.moneys(Some(&sums)))
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

    /// Settled epochs, newest first.
    pub(crate) async fn epochs(&self, first: Option<i64>, after: Option<String>) -> Result<EpochConnection, Refusal> {
        let after = after.as_deref().map(Cursor::decode).transpose()?;
        let cut = self.cut().unwrap_or(i64::MIN);
        let rows = self.world().epochs.range(..=cut).rev().collect::<Vec<_>>();
        let node = |(number, rows): (&i64, &Vec<_>)| Epoch { view: self.clone(), rows: rows.clone(), number: *number };
        connect(rows, &self.cursor(), first, after.as_ref(), |(number, _)| number.to_string(), node)
    }

    /// Accounts that earned something.
    pub(crate) async fn accounts(
        &self,
        asked: Option<i64>,
        after: Option<String>,
        filter: AccountFilter,
    ) -> Result<AccountConnection, Refusal> {
        let rows = first(asked)?;
        let after = after.as_deref().map(Cursor::decode).transpose()?;
        let offset = after.as_ref().map_or(Some(0), |cursor| cursor.key.parse::<usize>().ok());
        let offset = offset.ok_or_else(|| Refusal::new(ErrorCode::BadCursor, "cursor is not of this list"))?;
        let cut = ScalarValue::from(self.cut().unwrap_or(-1));
        let search = format!("%{}%", filter.search.unwrap_or_default().to_lowercase().replace(['%', '_', '\\'], ""));
        let token = filter.token.unwrap_or(AddressText(alloy_primitives::Address::ZERO)).lower();
        let order = match filter.order {
            AccountOrder::Address => "account",
            AccountOrder::Earned => "earned DESC, account",
        };
        // The list of a cut never changes, so an offset is a position: no row can slip in before it.
        let of_cut = "FROM claims WHERE epoch = (SELECT max(epoch) FROM claims WHERE epoch <= $1) \
                      AND account LIKE '0x%' AND account LIKE $2";
        let query = format!(
            "SELECT account, sum(CASE WHEN token = $3 THEN cumulative ELSE CAST(0 AS DECIMAL(38, 0)) END) AS earned \
             {of_cut} GROUP BY account ORDER BY {order} LIMIT {rows} OFFSET {offset}"
        );
        let values = vec![cut.clone(), search.clone().into(), token.into()];
        let mut found = Vec::new();
        for batch in self.pinned().batches(&query, values).await? {
            found.extend(column::<String>(&batch, 0)?);
        }
        let query = format!("SELECT count(DISTINCT account) {of_cut}");
        let total = self.count(&query, vec![cut, search.into()]).await?;
        let end = offset.saturating_add(found.len());
        let more = i64::try_from(end).unwrap_or(i64::MAX) < total;
        let mut connection = Connection::with_additional_fields(offset > 0, more, Total { total_count: total });
        let edge = |(at, account): (usize, String)| {
            let cursor = Cursor { key: (offset + at + 1).to_string(), ..self.cursor() };
            Edge::new(cursor.encode(), Account { view: self.clone(), address: AddressText::read(&account) })
        };
        connection.edges = found.into_iter().enumerate().map(edge).collect();
        Ok(connection)
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
