//! The graph around one thing: a bounded walk up and down, then layers, coordinates and money.
//!
//! Nodes are versions (an edge of the domain goes from a derived version to an older one, so there are no cycles),
//! contributors, and external things. The walk up and the walk down never turn: what is shown are ancestors and
//! descendants, not the whole component. Real graphs have nodes with thousands of neighbours, so each level takes those
//! with most money first and counts what it leaves out.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use async_graphql::ID;

use crate::earned::{Earned, Tokens};
use crate::layout;
use crate::scalar::{AddressText, BlockNumber, Money};
use crate::schema::provenance::{Direction, LeftOut, Provenance, ProvenanceEdge, ProvenanceNode};
use crate::view::View;
use crate::world::{Kind, Thing, World};

/// Most steps from the focus (ruling 24).
pub(crate) const DEPTH_MAX: i64 = 16;
/// Most nodes (ruling 24).
pub(crate) const NODES_MAX: i64 = 2_000;
/// Relation from a contributor to a dataset version.
const CONTRIBUTED_BY: &str = "CONTRIBUTED_BY";

/// The graph around `of`, or `None` when nothing has that id at the view's block.
pub(crate) fn around(
    view: &View,
    earned: &Earned,
    of: &str,
    direction: Direction,
    depth: usize,
    first: usize,
) -> Option<Provenance> {
    let lower = of.to_ascii_lowercase();
    let walk = Walk::new(view.world(), earned, view.number());
    let focus = walk.focus(of, &lower)?;
    let mut shown = BTreeSet::from([focus]);
    if direction != Direction::Downstream {
        walk.spread(focus, true, depth, first, &mut shown);
    }
    if direction != Direction::Upstream {
        walk.spread(focus, false, depth, first, &mut shown);
    }
    let (links, hidden, left_out) = walk.between(&shown);
    let order = shown.iter().enumerate().map(|(at, id)| (*id, at)).collect::<BTreeMap<_, _>>();
    let kinds = shown.iter().map(|id| walk.kind(id)).collect::<Vec<_>>();
    let pairs = links.iter().map(|link| (order[link.source], order[link.target])).collect::<Vec<_>>();
    let layers = layers(&kinds, &pairs, &links);
    let places = layout::place(&layers, &pairs);
    let mut nodes = shown
        .iter()
        .zip(kinds)
        .zip(layers)
        .zip(places)
        .map(|(((id, kind), layer), (x, y))| {
            walk.node(view, id, kind, (layer, x, y), hidden.get(id).copied().unwrap_or(0))
        })
        .collect::<Vec<_>>();
    nodes.sort_by(|a, b| (a.layer, a.x, a.y, &a.id.0).cmp(&(b.layer, b.x, b.y, &b.id.0)));
    Some(Provenance {
        focus: ID(focus.to_owned()),
        block: BlockNumber(view.number()),
        settled_epoch: view.cut(),
        nodes,
        edges: links.into_iter().map(|link| link.edge(view)).collect(),
        left_out: left_out
            .into_iter()
            .map(|(relation, count)| LeftOut { relation: relation.to_owned(), count })
            .collect(),
    })
}

/// The layer of each node: contributors 0, datasets 1, models from 2 by generation, agents last. An external thing
/// stands where what was made from it says it belongs.
fn layers(kinds: &[&'static str], pairs: &[(usize, usize)], links: &[Link<'_>]) -> Vec<i64> {
    let as_model = |relation: &str| relation.starts_with("BASED_ON") || relation == "USES_MODEL";
    let mut is_model = kinds.iter().map(|kind| *kind == "model").collect::<Vec<_>>();
    for ((source, _), link) in pairs.iter().zip(links) {
        if kinds.get(*source) == Some(&"external") && as_model(link.relation) {
            is_model[*source] = true;
        }
    }
    let mut generation = vec![0i64; kinds.len()];
    let lines = pairs.iter().filter(|(source, target)| is_model[*source] && is_model[*target]).collect::<Vec<_>>();
    // Longest path by relaxation; the graph has no cycles, so it is done after as many rounds as there are generations.
    for _ in 0..=DEPTH_MAX * 2 {
        let mut changed = false;
        for (source, target) in &lines {
            let next = generation[*source] + 1;
            if generation[*target] < next {
                generation[*target] = next;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let last = generation.iter().copied().max().unwrap_or(0);
    let layer = |(at, kind): (usize, &&str)| match *kind {
        "account" => 0,
        "agent" => 3 + last,
        _ if is_model[at] => 2 + generation[at],
        _ => 1,
    };
    kinds.iter().enumerate().map(layer).collect()
}

/// A use of `source` by `target`.
#[derive(Debug, Clone)]
struct Link<'a> {
    source: &'a str,
    target: &'a str,
    relation: &'a str,
    share_ppb: Option<i64>,
    contributions: Option<i64>,
    money: Sums<'a>,
}

/// Base units by token: a handful of them.
#[derive(Debug, Clone, Default)]
struct Sums<'a>(Vec<(&'a str, i128)>);

impl<'a> Sums<'a> {
    fn add(&mut self, more: Option<&'a Tokens>) {
        for (token, units) in more.into_iter().flatten() {
            match self.0.iter_mut().find(|(known, _)| *known == token.as_str()) {
                Some((_, sum)) => *sum = sum.saturating_add(*units),
                None => self.0.push((token, *units)),
            }
        }
    }

    fn shown(mut self, view: &View) -> Vec<Money> {
        self.0.sort_unstable();
        self.0.into_iter().map(|(token, units)| view.money(AddressText::read(token), units)).collect()
    }
}

impl<'a> Link<'a> {
    /// From a contributor to a dataset version; no contribution is counted yet.
    fn contributed(contributor: &'a str, version_id: &'a str) -> Self {
        Self {
            source: contributor,
            target: version_id,
            relation: CONTRIBUTED_BY,
            share_ppb: None,
            contributions: Some(0),
            money: Sums::default(),
        }
    }

    /// Adds a contribution that it stands for, and what came through that.
    fn count(&mut self, earned: Option<&'a Tokens>) {
        self.contributions = self.contributions.map(|count| count + 1);
        self.money.add(earned);
    }

    /// Most money first, then the larger share, then by id.
    fn rank(&self) -> (std::cmp::Reverse<i128>, std::cmp::Reverse<Option<i64>>, &'a str, &'a str) {
        let most = self.money.0.iter().map(|(_, units)| *units).max().unwrap_or(0);
        (std::cmp::Reverse(most), std::cmp::Reverse(self.share_ppb), self.source, self.target)
    }

    fn edge(self, view: &View) -> ProvenanceEdge {
        ProvenanceEdge {
            id: ID(format!("{}:{}:{}", self.relation, self.source, self.target)),
            money: self.money.shown(view),
            source: ID(self.source.to_owned()),
            target: ID(self.target.to_owned()),
            relation: self.relation.to_owned(),
            share_ppb: self.share_ppb,
            contributions: self.contributions,
        }
    }
}

type Counted<'a> = (Vec<Link<'a>>, BTreeMap<&'a str, i64>, BTreeMap<&'a str, i64>);

/// Numbers and ids of versions.
type Versions<'a> = Rc<[(i64, &'a str)]>;

struct Walk<'a> {
    world: &'a World,
    earned: &'a Earned,
    number: i64,
    /// Versions of datasets that contributors are shown with, by dataset: each of its contributors asks.
    versions: RefCell<BTreeMap<i64, Versions<'a>>>,
    /// Links up and down, by whose they are: a walk takes them, and then whoever counts what it left out.
    up: RefCell<BTreeMap<&'a str, Rc<[Link<'a>]>>>,
    down: RefCell<BTreeMap<&'a str, Rc<[Link<'a>]>>>,
}

impl<'a> Walk<'a> {
    fn new(world: &'a World, earned: &'a Earned, number: i64) -> Self {
        let (versions, up, down) = (RefCell::default(), RefCell::default(), RefCell::default());
        Self { world, earned, number, versions, up, down }
    }

    /// The node an id means: an entity stands for its last version, a contribution for its contributor. `lower` is the id
    /// as it stands where nothing here has it.
    fn focus(&self, of: &str, lower: &'a str) -> Option<&'a str> {
        let number = self.number;
        match self.world.find(of) {
            Some(Thing::Version(kind, sk)) => self.world.version_id(kind, sk, number),
            Some(Thing::Entity(Kind::Contribution, sk)) => {
                self.world.entity(Kind::Contribution, sk, number).map(|(_, contributor)| contributor)
            }
            Some(Thing::Entity(kind, sk)) => {
                let mut newest = self.world.versions(kind, sk).rev();
                newest.find_map(|version| self.world.version_id(kind, version, number))
            }
            None => {
                let known = is_account(lower) || self.world.downstream(lower, number).next().is_some();
                known.then_some(lower)
            }
        }
    }

    fn kind(&self, id: &str) -> &'static str {
        match self.world.find(id) {
            Some(Thing::Version(kind, _)) => kind.as_str(),
            _ if is_account(id) => "account",
            _ => "external",
        }
    }

    /// Adds to `shown` what is above or below `focus`, level by level, until there are `first` nodes.
    fn spread(&self, focus: &'a str, up: bool, depth: usize, first: usize, shown: &mut BTreeSet<&'a str>) {
        let mut level = vec![focus];
        for _ in 0..depth {
            let of_level =
                level.iter().copied().map(|id| if up { self.up(id) } else { self.down(id) }).collect::<Vec<_>>();
            let mut found = of_level.iter().flat_map(|links| links.iter()).collect::<Vec<_>>();
            found.sort_by_cached_key(|link| link.rank());
            level.clear();
            for link in found {
                let next = if up { link.source } else { link.target };
                if shown.len() < first && shown.insert(next) {
                    level.push(next);
                }
            }
            if level.is_empty() {
                return;
            }
        }
    }

    /// The links among what is shown, and how many lead out of it: by node, and by relation.
    fn between(&self, shown: &BTreeSet<&'a str>) -> Counted<'a> {
        let (mut links, mut hidden, mut left_out) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut leave = |id: &'a str, relation: &'a str| {
            *hidden.entry(id).or_insert(0) += 1;
            *left_out.entry(relation).or_insert(0) += 1;
        };
        for id in shown.iter().copied() {
            for link in self.up(id).iter() {
                if shown.contains(link.source) {
                    links.push(link.clone());
                } else {
                    leave(id, link.relation);
                }
            }
            let down = self.down(id);
            down.iter().filter(|link| !shown.contains(link.target)).for_each(|link| leave(id, link.relation));
        }
        links.sort_by_key(|link| (link.relation, link.source, link.target));
        (links, hidden, left_out)
    }

    /// What `id` was made from.
    fn up(&self, id: &'a str) -> Rc<[Link<'a>]> {
        let find = || {
            let mut links = self.world.upstream(id, self.number).map(|edge| self.link(edge)).collect::<Vec<_>>();
            if let Some(Thing::Version(Kind::Dataset, sk)) = self.world.find(id)
                && let Some((dataset, version)) = self.world.entity_of(Kind::Dataset, sk, self.number)
            {
                links.extend(self.contributors(id, dataset, version));
            }
            links.into()
        };
        Rc::clone(self.up.borrow_mut().entry(id).or_insert_with(find))
    }

    /// What was made from `id`.
    fn down(&self, id: &'a str) -> Rc<[Link<'a>]> {
        let find = || {
            if is_account(id) {
                return self.contributed(id).into();
            }
            self.world.downstream(id, self.number).map(|edge| self.link(edge)).collect()
        };
        Rc::clone(self.down.borrow_mut().entry(id).or_insert_with(find))
    }

    fn link(&self, edge: &'a tributary_schemas::facts::EdgeRow) -> Link<'a> {
        let payee = match self.world.find(&edge.dst_id) {
            Some(Thing::Version(Kind::Dataset, sk)) => {
                let dataset = self.world.entity_of(Kind::Dataset, sk, self.number);
                dataset
                    .and_then(|(dataset, _)| self.world.entity(Kind::Dataset, dataset, self.number))
                    .map(|(id, _)| id)
            }
            _ => None,
        };
        let mut money = Sums::default();
        money.add(self.earned.edge(&edge.src_id, payee.unwrap_or(&edge.dst_id)));
        Link {
            source: &edge.dst_id,
            target: &edge.src_id,
            relation: &edge.relation,
            share_ppb: edge.share_ppb,
            contributions: None,
            money,
        }
    }

    /// One link per contributor of a dataset version.
    fn contributors(&self, id: &'a str, dataset: i64, version: i64) -> Vec<Link<'a>> {
        let mut links = BTreeMap::<&str, Link<'a>>::new();
        for member in self.world.members(dataset, version, self.number) {
            let row = self.world.entity(Kind::Contribution, member.contribution_sk, self.number);
            let Some((contribution, contributor)) = row else { continue };
            let link = links.entry(contributor).or_insert_with(|| Link::contributed(contributor, id));
            link.count(self.earned.thing(contribution));
        }
        links.into_values().collect()
    }

    /// One link for each dataset version that is shown and holds something of an account.
    fn contributed(&self, account: &'a str) -> Vec<Link<'a>> {
        let mut links = BTreeMap::<(i64, i64), Link<'a>>::new();
        for sk in self.world.contributed_by(account) {
            let Some(row) = self.world.contributions.at(sk, self.number) else { continue };
            let earned = self.earned.thing(&row.contribution_id);
            let versions = self.versions_shown(row.dataset_sk);
            for (from, to) in self.world.held_in(row.dataset_sk, *sk, self.number) {
                let holds = |version: i64| version >= from && to.is_none_or(|to| version < to);
                for (version, id) in versions.iter().copied().filter(|(version, _)| holds(*version)) {
                    let link = links.entry((row.dataset_sk, version)).or_insert_with(|| Link::contributed(account, id));
                    link.count(earned);
                }
            }
        }
        links.into_values().collect()
    }

    /// The versions of a dataset that contributors are shown with: the last one, and those in use.
    fn versions_shown(&self, dataset: i64) -> Versions<'a> {
        let mut known = self.versions.borrow_mut();
        let found = known.entry(dataset).or_insert_with(|| {
            let last = self.world.versions(Kind::Dataset, dataset).next_back();
            let states = self.world.versions(Kind::Dataset, dataset).filter_map(|sk| {
                let state = self.world.dataset_versions.at(&sk, self.number)?;
                let used = || self.world.downstream(&state.version_id, self.number).next().is_some();
                (last == Some(sk) || used()).then_some((state.version, state.version_id.as_str()))
            });
            states.collect()
        });
        Rc::clone(found)
    }

    fn node(&self, view: &View, id: &str, kind: &str, (layer, x, y): (i64, i64, i64), hidden: i64) -> ProvenanceNode {
        let mut earned = Sums::default();
        let (mut entity, mut owner, mut label) = (None, None, self.world.label(id, self.number));
        match self.world.find(id) {
            Some(Thing::Version(kind, sk)) => {
                let found = self.world.entity_of(kind, sk, self.number);
                let found = found.and_then(|(sk, _)| self.world.entity(kind, sk, self.number));
                if let Some((entity_id, owned_by)) = found {
                    let payee = if kind == Kind::Dataset { entity_id } else { id };
                    earned.add(self.earned.thing(payee));
                    (entity, owner) = (Some(ID(entity_id.to_owned())), Some(AddressText::read(owned_by)));
                }
            }
            _ if is_account(id) => {
                let rows = self.world.contributed_by(id).iter();
                let rows = rows.filter_map(|sk| self.world.entity(Kind::Contribution, *sk, self.number));
                rows.for_each(|(contribution, _)| earned.add(self.earned.thing(contribution)));
                let shown = AddressText::read(id).0.to_checksum(None);
                label = format!("{}…{}", shown.get(..6).unwrap_or_default(), shown.get(38..).unwrap_or_default());
            }
            _ => {}
        }
        ProvenanceNode {
            id: ID(id.to_owned()),
            kind: kind.to_owned(),
            label,
            entity,
            layer,
            x,
            y,
            earned: earned.shown(view),
            owner,
            hidden,
        }
    }
}

fn is_account(id: &str) -> bool {
    id.len() == 42 && id.parse::<alloy_primitives::Address>().is_ok()
}
