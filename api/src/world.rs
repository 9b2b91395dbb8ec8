//! The graph of one snapshot in memory: entities, versions, edges, members, and the settled epochs.
//!
//! Every state is kept with the blocks it holds from and to, so that one index answers for any block: [`States::at`].
//! What grows with money or usage (entitlements, flows, payments, attributions) is not here; it is asked by SQL.

use std::collections::BTreeMap;

use tributary_schemas::facts::{
    AccountRow, AgentRow, AgentVersionRow, ContributionRow, DatasetRow, DatasetVersionRow, EdgeRow, EntityPayoutRow,
    MembershipRow, ModelRow, ModelVersionRow, PublishedRootRow,
};
use tributary_schemas::money::EpochRow;
use tributary_store::{Lake, Snapshot, StoreError};

use crate::filter::Datum;

/// Rows that may be held in memory; a snapshot with more needs an index on disk, and says so.
pub(crate) const ROWS_MAX: u64 = 8_000_000;

/// A row that holds from one block to another.
pub(crate) trait State {
    /// Whether it holds at block `number`.
    fn holds(&self, number: i64) -> bool;
}
macro_rules! states {
    ($($row:ident)*) => {$(
        impl State for $row {
            fn holds(&self, number: i64) -> bool {
                self.valid_from_block <= number && self.valid_to_block.is_none_or(|to| to > number)
            }
        }
    )*};
}
states! { AccountRow AgentRow AgentVersionRow ContributionRow DatasetRow DatasetVersionRow EdgeRow EntityPayoutRow
MembershipRow ModelRow ModelVersionRow }

/// States by key.
#[derive(Debug)]
pub(crate) struct States<K, T>(BTreeMap<K, Vec<T>>);

impl<K: Ord, T: State> States<K, T> {
    fn new(rows: Vec<T>, key: impl Fn(&T) -> K) -> Self {
        let mut all = BTreeMap::<K, Vec<T>>::new();
        for row in rows {
            all.entry(key(&row)).or_default().push(row);
        }
        Self(all)
    }
    /// The state of `key` that holds at block `number`.
    pub(crate) fn at<Q: Ord + ?Sized>(&self, key: &Q, number: i64) -> Option<&T>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.get(key)?.iter().find(|row| row.holds(number))
    }
    /// Every state that holds at block `number`, by key.
    pub(crate) fn all_at(&self, number: i64) -> impl Iterator<Item = &T> {
        self.0.values().filter_map(move |rows| rows.iter().find(|row| row.holds(number)))
    }
}

/// A row that `where` and `orderBy` look into.
pub(crate) trait Columns {
    /// What it has in the column of this name.
    fn datum(&self, column: &str) -> Datum;
    /// Surrogate key: the order of registration.
    fn sk(&self) -> i64;
}
macro_rules! columns {
    ($($row:ident $sk:ident: $($column:ident)*;)*) => {$(
        impl Columns for $row {
            fn datum(&self, column: &str) -> Datum {
                match column {
                    "last_version" => Datum::from(self.last_version),
                    "valid_from_block" => Datum::from(self.valid_from_block),
                    $(stringify!($column) => Datum::from(self.$column.as_str()),)*
                    _ => Datum::Null,
                }
            }
            fn sk(&self) -> i64 {
                self.$sk
            }
        }
    )*};
}
columns! {
    DatasetRow dataset_sk: owner text_id license visibility;
    ModelRow model_sk: owner text_id kind;
    AgentRow agent_sk: owner text_id;
}

impl Columns for ContributionRow {
    fn datum(&self, column: &str) -> Datum {
        match column {
            "contributor" => Datum::from(self.contributor.as_str()),
            "state" => Datum::from(self.state.as_str()),
            "license" => Datum::from(self.license.as_str()),
            "quality" => Datum::from(self.quality),
            "row_count" => Datum::from(self.row_count),
            "byte_count" => Datum::from(self.byte_count),
            "submitted_block" => Datum::from(self.submitted_block),
            _ => Datum::Null,
        }
    }
    fn sk(&self) -> i64 {
        self.contribution_sk
    }
}

/// What an id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thing {
    /// A dataset, contribution, model or agent.
    Entity(Kind, i64),
    /// A version of one.
    Version(Kind, i64),
}

/// The graph of one snapshot.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) datasets: States<i64, DatasetRow>,
    pub(crate) dataset_versions: States<i64, DatasetVersionRow>,
    pub(crate) contributions: States<i64, ContributionRow>,
    pub(crate) models: States<i64, ModelRow>,
    pub(crate) model_versions: States<i64, ModelVersionRow>,
    pub(crate) agents: States<i64, AgentRow>,
    pub(crate) agent_versions: States<i64, AgentVersionRow>,
    pub(crate) accounts: States<String, AccountRow>,
    pub(crate) payouts: States<String, EntityPayoutRow>,
    pub(crate) epochs: BTreeMap<i64, Vec<EpochRow>>,
    pub(crate) roots: Vec<PublishedRootRow>,
    edges: Vec<EdgeRow>,
    up: BTreeMap<String, Vec<usize>>,
    down: BTreeMap<String, Vec<usize>>,
    /// By dataset, in the order of contributions.
    members: BTreeMap<i64, Vec<MembershipRow>>,
    ids: BTreeMap<String, Thing>,
    versions: BTreeMap<(Kind, i64), BTreeMap<i64, i64>>,
    by_contributor: BTreeMap<String, Vec<i64>>,
    by_dataset: BTreeMap<i64, Vec<i64>>,
}

/// The tables it is made from.
pub(crate) const TABLES: [&str; 13] = [
    "accounts",
    "entity_payouts",
    "datasets",
    "dataset_versions",
    "contributions",
    "dataset_membership",
    "models",
    "model_versions",
    "agents",
    "agent_versions",
    "edges",
    "epochs",
    "published_roots",
];

impl World {
    /// Reads the tables of a snapshot.
    pub(crate) async fn load(lake: &Lake, snapshot: &Snapshot) -> Result<Self, StoreError> {
        let datasets = lake.read::<DatasetRow>(snapshot).await?;
        let dataset_versions = lake.read::<DatasetVersionRow>(snapshot).await?;
        let contributions = lake.read::<ContributionRow>(snapshot).await?;
        let models = lake.read::<ModelRow>(snapshot).await?;
        let model_versions = lake.read::<ModelVersionRow>(snapshot).await?;
        let agents = lake.read::<AgentRow>(snapshot).await?;
        let agent_versions = lake.read::<AgentVersionRow>(snapshot).await?;
        let edges = lake.read::<EdgeRow>(snapshot).await?;
        let mut index = Index::default();
        datasets.iter().for_each(|row| index.entity(Kind::Dataset, row.dataset_sk, &row.dataset_id, &row.text_id));
        models.iter().for_each(|row| index.entity(Kind::Model, row.model_sk, &row.model_id, &row.text_id));
        agents.iter().for_each(|row| index.entity(Kind::Agent, row.agent_sk, &row.agent_id, &row.text_id));
        contributions.iter().for_each(|row| index.contribution(row));
        for row in &dataset_versions {
            index.version(Kind::Dataset, row.dataset_sk, row.version, row.version_sk, &row.version_id);
        }
        for row in &model_versions {
            index.version(Kind::Model, row.model_sk, row.version, row.version_sk, &row.version_id);
        }
        for row in &agent_versions {
            index.version(Kind::Agent, row.agent_sk, row.version, row.version_sk, &row.version_id);
        }
        let (mut up, mut down) = (BTreeMap::<String, Vec<usize>>::new(), BTreeMap::<String, Vec<usize>>::new());
        for (at, edge) in edges.iter().enumerate() {
            up.entry(edge.src_id.clone()).or_default().push(at);
            down.entry(edge.dst_id.clone()).or_default().push(at);
        }
        let mut members = BTreeMap::<i64, Vec<MembershipRow>>::new();
        for row in lake.read::<MembershipRow>(snapshot).await? {
            members.entry(row.dataset_sk).or_default().push(row);
        }
        members.values_mut().for_each(|rows| rows.sort_by_key(|row| (row.contribution_sk, row.from_version)));
        let mut epochs = BTreeMap::<i64, Vec<EpochRow>>::new();
        for row in lake.read::<EpochRow>(snapshot).await? {
            epochs.entry(row.epoch).or_default().push(row);
        }
        epochs.values_mut().for_each(|rows| rows.sort_by(|a, b| (&a.vault, &a.token).cmp(&(&b.vault, &b.token))));
        Ok(Self {
            datasets: States::new(datasets, |row| row.dataset_sk),
            dataset_versions: States::new(dataset_versions, |row| row.version_sk),
            contributions: States::new(contributions, |row| row.contribution_sk),
            models: States::new(models, |row| row.model_sk),
            model_versions: States::new(model_versions, |row| row.version_sk),
            agents: States::new(agents, |row| row.agent_sk),
            agent_versions: States::new(agent_versions, |row| row.version_sk),
            accounts: States::new(lake.read(snapshot).await?, |row: &AccountRow| row.account.clone()),
            payouts: States::new(lake.read(snapshot).await?, |row: &EntityPayoutRow| row.entity_id.clone()),
            epochs,
            roots: lake.read(snapshot).await?,
            edges,
            up,
            down,
            members,
            ids: index.ids,
            versions: index.versions,
            by_contributor: index.by_contributor,
            by_dataset: index.by_dataset,
        })
    }

    /// What an id, a text id or a text id with `@version` names.
    pub(crate) fn find(&self, id: &str) -> Option<Thing> {
        if let Some(found) = self.ids.get(id) {
            return Some(*found);
        }
        if id.starts_with("0x") || id.starts_with("0X") {
            return self.ids.get(&id.to_ascii_lowercase()).copied();
        }
        let (entity, version) = id.rsplit_once('@')?;
        let Thing::Entity(kind, sk) = *self.ids.get(entity)? else { return None };
        self.versions.get(&(kind, sk))?.get(&version.parse().ok()?).map(|version| Thing::Version(kind, *version))
    }

    /// Surrogate keys of the versions of an entity by their numbers, oldest first.
    pub(crate) fn versions(&self, kind: Kind, sk: i64) -> impl DoubleEndedIterator<Item = i64> + '_ {
        self.versions.get(&(kind, sk)).into_iter().flat_map(|versions| versions.values().copied())
    }

    /// What the version `id` was made from, at block `number`.
    pub(crate) fn upstream<'a>(&'a self, id: &str, number: i64) -> impl Iterator<Item = &'a EdgeRow> {
        let at = self.up.get(id).into_iter().flatten();
        at.filter_map(move |at| self.edges.get(*at)).filter(move |edge| edge.holds(number))
    }

    /// What was made from the version `id`, at block `number`.
    pub(crate) fn downstream<'a>(&'a self, id: &str, number: i64) -> impl Iterator<Item = &'a EdgeRow> {
        let at = self.down.get(id).into_iter().flatten();
        at.filter_map(move |at| self.edges.get(*at)).filter(move |edge| edge.holds(number))
    }

    /// Members of a version of a dataset at block `number`.
    pub(crate) fn members(&self, dataset: i64, version: i64, number: i64) -> impl Iterator<Item = &MembershipRow> {
        let rows = self.members.get(&dataset).into_iter().flatten();
        rows.filter(move |row| {
            row.holds(number) && row.from_version <= version && row.to_version.is_none_or(|to| to > version)
        })
    }

    /// Versions of a dataset that hold a contribution, as (first, first without), at block `number`.
    pub(crate) fn held_in(&self, dataset: i64, contribution: i64, number: i64) -> Vec<(i64, Option<i64>)> {
        let rows = self.members.get(&dataset).map_or(&[][..], Vec::as_slice);
        let first = rows.partition_point(|row| row.contribution_sk < contribution);
        let rows = rows.get(first..).unwrap_or_default().iter().take_while(|row| row.contribution_sk == contribution);
        rows.filter(|row| row.holds(number)).map(|row| (row.from_version, row.to_version)).collect()
    }

    /// Contributions of an account, in the order of submission.
    pub(crate) fn contributed_by(&self, account: &str) -> &[i64] {
        self.by_contributor.get(account).map_or(&[], Vec::as_slice)
    }

    /// Contributions to a dataset, in the order of submission.
    pub(crate) fn contributed_to(&self, dataset: i64) -> &[i64] {
        self.by_dataset.get(&dataset).map_or(&[], Vec::as_slice)
    }

    /// A name for people for whatever has this id at block `number`; the id itself where nothing has it.
    pub(crate) fn label(&self, id: &str, number: i64) -> String {
        match self.find(id) {
            Some(Thing::Entity(Kind::Contribution, _)) => Some(format!("contribution {}…", id.get(..10).unwrap_or(id))),
            Some(Thing::Entity(kind, sk)) => self.text_id(kind, sk, number).map(|text| kind.label(text, None)),
            Some(Thing::Version(kind, sk)) => self.entity_of(kind, sk, number).and_then(|(entity, version)| {
                self.text_id(kind, entity, number).map(|text| kind.label(text, Some(version)))
            }),
            None => None,
        }
        .unwrap_or_else(|| id.to_owned())
    }

    /// The text id of an entity.
    pub(crate) fn text_id(&self, kind: Kind, sk: i64, number: i64) -> Option<&str> {
        match kind {
            Kind::Dataset => self.datasets.at(&sk, number).map(|row| row.text_id.as_str()),
            Kind::Model => self.models.at(&sk, number).map(|row| row.text_id.as_str()),
            Kind::Agent => self.agents.at(&sk, number).map(|row| row.text_id.as_str()),
            Kind::Contribution => None,
        }
    }

    /// The entity and the number of a version.
    pub(crate) fn entity_of(&self, kind: Kind, version_sk: i64, number: i64) -> Option<(i64, i64)> {
        match kind {
            Kind::Dataset => self.dataset_versions.at(&version_sk, number).map(|row| (row.dataset_sk, row.version)),
            Kind::Model => self.model_versions.at(&version_sk, number).map(|row| (row.model_sk, row.version)),
            Kind::Agent => self.agent_versions.at(&version_sk, number).map(|row| (row.agent_sk, row.version)),
            Kind::Contribution => None,
        }
    }

    /// The id of a version.
    pub(crate) fn version_id(&self, kind: Kind, version_sk: i64, number: i64) -> Option<&str> {
        match kind {
            Kind::Dataset => self.dataset_versions.at(&version_sk, number).map(|row| row.version_id.as_str()),
            Kind::Model => self.model_versions.at(&version_sk, number).map(|row| row.version_id.as_str()),
            Kind::Agent => self.agent_versions.at(&version_sk, number).map(|row| row.version_id.as_str()),
            Kind::Contribution => None,
        }
    }

    /// The id and the owner of an entity.
    pub(crate) fn entity(&self, kind: Kind, sk: i64, number: i64) -> Option<(&str, &str)> {
        match kind {
            Kind::Dataset => self.datasets.at(&sk, number).map(|row| (row.dataset_id.as_str(), row.owner.as_str())),
            Kind::Model => self.models.at(&sk, number).map(|row| (row.model_id.as_str(), row.owner.as_str())),
            Kind::Agent => self.agents.at(&sk, number).map(|row| (row.agent_id.as_str(), row.owner.as_str())),
            Kind::Contribution => {
                self.contributions.at(&sk, number).map(|row| (row.contribution_id.as_str(), row.contributor.as_str()))
            }
        }
    }
}

#[derive(Default)]
struct Index {
    ids: BTreeMap<String, Thing>,
    versions: BTreeMap<(Kind, i64), BTreeMap<i64, i64>>,
    by_contributor: BTreeMap<String, Vec<i64>>,
    by_dataset: BTreeMap<i64, Vec<i64>>,
}

impl Index {
    fn entity(&mut self, kind: Kind, sk: i64, id: &str, text_id: &str) {
        self.ids.insert(id.to_owned(), Thing::Entity(kind, sk));
        self.ids.insert(text_id.to_owned(), Thing::Entity(kind, sk));
    }
    fn version(&mut self, kind: Kind, entity: i64, version: i64, sk: i64, id: &str) {
        self.ids.insert(id.to_owned(), Thing::Version(kind, sk));
        self.versions.entry((kind, entity)).or_default().insert(version, sk);
    }
    fn contribution(&mut self, row: &ContributionRow) {
        let sk = row.contribution_sk;
        if self.ids.insert(row.contribution_id.clone(), Thing::Entity(Kind::Contribution, sk)).is_none() {
            self.by_contributor.entry(row.contributor.clone()).or_default().push(sk);
            self.by_dataset.entry(row.dataset_sk).or_default().push(sk);
        }
    }
}

/// A kind of thing that has states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A dataset.
    Dataset,
    /// A contribution.
    Contribution,
    /// A model.
    Model,
    /// An agent.
    Agent,
}

impl Kind {
    /// Its word in tables and answers.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Dataset => "dataset",
            Self::Contribution => "contribution",
            Self::Model => "model",
            Self::Agent => "agent",
        }
    }

    /// A name for people: the kind, the key of the text id, and the version.
    pub(crate) fn label(self, text_id: &str, version: Option<i64>) -> String {
        let key = text_id.rsplit(':').next().unwrap_or(text_id);
        let key = key.get(..10).filter(|_| key.len() > 20).map_or_else(|| key.to_owned(), |head| format!("{head}…"));
        let name = format!("{self} {key}", self = self.as_str());
        match version {
            Some(version) => format!("{name} v{version}"),
            None => name,
        }
    }
}

/// The words of a flags column.
pub(crate) fn flag_words(flags: &str) -> Vec<String> {
    flags.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
