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
use crate::scalar::{AddressText, BlockNumber};
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
    let walk = Walk { world: view.world(), earned, number: view.number(), versions: RefCell::default() };
    let focus = walk.focus(of)?;
    let mut shown = BTreeSet::from([focus.clone()]);
    if direction != Direction::Downstream {
        walk.spread(&focus, true, depth, first, &mut shown);
    }
    if direction != Direction::Upstream {
        walk.spread(&focus, false, depth, first, &mut shown);
    }
    let (links, hidden, left_out) = walk.between(&shown);
    let order = shown.iter().enumerate().map(|(at, id)| (id.as_str(), at)).collect::<BTreeMap<_, _>>();
    let kinds = shown.iter().map(|id| walk.kind(id)).collect::<Vec<_>>();
    let pairs = links.iter().map(|link| (order[link.source.as_str()], order[link.target.as_str()])).collect::<Vec<_>>();
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
        focus: ID(focus),
        block: BlockNumber(view.number()),
        settled_epoch: view.cut(),
        nodes,
        edges: links.into_iter().map(|link| link.edge(view)).collect(),
        left_out: left_out.into_iter().map(|(relation, count)| LeftOut { relation, count }).collect(),
    })
}

/// The layer of each node: contributors 0, datasets 1, models from 2 by generation, agents last. An external thing
/// stands where what was made from it says it belongs.
fn layers(kinds: &[&'static str], pairs: &[(usize, usize)], links: &[Link]) -> Vec<i64> {
    let as_model = |relation: &str| relation.starts_with("BASED_ON") || relation == "USES_MODEL";
    let mut is_model = kinds.iter().map(|kind| *kind == "model").collect::<Vec<_>>();
    for ((source, _), link) in pairs.iter().zip(links) {
        if kinds.get(*source) == Some(&"external") && as_model(&link.relation) {
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
struct Link {
    source: String,
    target: String,
    relation: String,
    share_ppb: Option<i64>,
    contributions: Option<i64>,
    money: Tokens,
}

impl Link {
    /// From a contributor to a dataset version; no contribution is counted yet.
    fn contributed(contributor: &str, version_id: &str) -> Self {
        Self {
            source: contributor.to_owned(),
            target: version_id.to_owned(),
            relation: CONTRIBUTED_BY.to_owned(),
            share_ppb: None,
            contributions: Some(0),
            money: Tokens::new(),
        }
    }

    /// Most money first, then the larger share, then by id.
    fn rank(&self) -> (std::cmp::Reverse<i128>, std::cmp::Reverse<Option<i64>>, &str, &str) {
        let most = self.money.values().copied().max().unwrap_or(0);
        (std::cmp::Reverse(most), std::cmp::Reverse(self.share_ppb), &self.source, &self.target)
    }

    fn edge(self, view: &View) -> ProvenanceEdge {
        ProvenanceEdge {
            id: ID(format!("{}:{}:{}", self.relation, self.source, self.target)),
            money: view.moneys(Some(&self.money)),
            source: ID(self.source),
            target: ID(self.target),
            relation: self.relation,
            share_ppb: self.share_ppb,
            contributions: self.contributions,
        }
    }
}

type Counted = (Vec<Link>, BTreeMap<String, i64>, BTreeMap<String, i64>);

/// Numbers and ids of versions.
type Versions<'a> = Rc<[(i64, &'a str)]>;

struct Walk<'a> {
    world: &'a World,
    earned: &'a Earned,
    number: i64,
    /// Versions of datasets that contributors are shown with, by dataset: each of its contributors asks.
    versions: RefCell<BTreeMap<i64, Versions<'a>>>,
}

impl<'a> Walk<'a> {
    /// The node an id means: an entity stands for its last version, a contribution for its contributor.
    fn focus(&self, of: &str) -> Option<String> {
        let number = self.number;
        match self.world.find(of) {
            Some(Thing::Version(kind, sk)) => self.world.version_id(kind, sk, number).map(str::to_owned),
            Some(Thing::Entity(Kind::Contribution, sk)) => {
                self.world.entity(Kind::Contribution, sk, number).map(|(_, contributor)| contributor.to_owned())
            }
            Some(Thing::Entity(kind, sk)) => {
                let mut newest = self.world.versions(kind, sk).rev();
                newest.find_map(|version| self.world.version_id(kind, version, number)).map(str::to_owned)
            }
            None => {
                let id = of.to_ascii_lowercase();
                let known = is_account(&id) || self.world.downstream(&id, number).next().is_some();
                known.then_some(id)
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
    fn spread(&self, focus: &str, up: bool, depth: usize, first: usize, shown: &mut BTreeSet<String>) {
        let mut level = vec![focus.to_owned()];
        for _ in 0..depth {
            let mut found =
                level.iter().flat_map(|id| if up { self.up(id) } else { self.down(id) }).collect::<Vec<_>>();
            found.sort_by(|a, b| a.rank().cmp(&b.rank()));
            level.clear();
            for link in found {
                let next = if up { link.source } else { link.target };
                if shown.len() < first && !shown.contains(&next) {
                    shown.insert(next.clone());
                    level.push(next);
                }
            }
            if level.is_empty() {
                return;
            }
        }
    }

    /// The links among what is shown, and how many lead out of it: by node, and by relation.
    fn between(&self, shown: &BTreeSet<String>) -> Counted {
        let (mut links, mut hidden, mut left_out) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut leave = |id: &str, relation: &str| {
            *hidden.entry(id.to_owned()).or_insert(0) += 1;
            *left_out.entry(relation.to_owned()).or_insert(0) += 1;
        };
        for id in shown {
            for link in self.up(id) {
                if shown.contains(&link.source) {
                    links.push(link);
                } else {
                    leave(id, &link.relation);
                }
            }
            self.down(id)
                .iter()
                .filter(|link| !shown.contains(&link.target))
                .for_each(|link| leave(id, &link.relation));
        }
        links.sort_by(|a, b| (&a.relation, &a.source, &a.target).cmp(&(&b.relation, &b.source, &b.target)));
        (links, hidden, left_out)
    }

    /// What `id` was made from.
    fn up(&self, id: &str) -> Vec<Link> {
        let mut links = self.world.upstream(id, self.number).map(|edge| self.link(edge)).collect::<Vec<_>>();
        if let Some(Thing::Version(Kind::Dataset, sk)) = self.world.find(id)
            && let Some((dataset, version)) = self.world.entity_of(Kind::Dataset, sk, self.number)
        {
            links.extend(self.contributors(id, dataset, version));
        }
        links
    }

    /// What was made from `id`.
    fn down(&self, id: &str) -> Vec<Link> {
        if is_account(id) {
            return self.contributed(id);
        }
        self.world.downstream(id, self.number).map(|edge| self.link(edge)).collect()
    }

    fn link(&self, edge: &tributary_schemas::facts::EdgeRow) -> Link {
        let payee = match self.world.find(&edge.dst_id) {
            Some(Thing::Version(Kind::Dataset, sk)) => {
                let dataset = self.world.entity_of(Kind::Dataset, sk, self.number);
                dataset
                    .and_then(|(dataset, _)| self.world.entity(Kind::Dataset, dataset, self.number))
                    .map(|(id, _)| id)
            }
            _ => None,
        };
        let money = self.earned.edge(&edge.src_id, payee.unwrap_or(&edge.dst_id));
        Link {
            source: edge.dst_id.clone(),
            target: edge.src_id.clone(),
            relation: edge.relation.clone(),
            share_ppb: edge.share_ppb,
            contributions: None,
            money: money.cloned().unwrap_or_default(),
        }
    }

    /// One link per contributor of a dataset version.
    fn contributors(&self, id: &str, dataset: i64, version: i64) -> Vec<Link> {
        let mut links = BTreeMap::<&str, Link>::new();
        for member in self.world.members(dataset, version, self.number) {
            let row = self.world.entity(Kind::Contribution, member.contribution_sk, self.number);
            let Some((contribution, contributor)) = row else { continue };
            self.count(links.entry(contributor).or_insert_with(|| Link::contributed(contributor, id)), contribution);
        }
        links.into_values().collect()
    }

    /// One link for each dataset version that is shown and holds something of an account.
    fn contributed(&self, account: &str) -> Vec<Link> {
        let mut links = BTreeMap::<&str, Link>::new();
        for sk in self.world.contributed_by(account) {
            let Some(row) = self.world.contributions.at(sk, self.number) else { continue };
            let versions = self.versions_shown(row.dataset_sk);
            for (from, to) in self.world.held_in(row.dataset_sk, *sk, self.number) {
                let holds = |version: i64| version >= from && to.is_none_or(|to| version < to);
                for (_, id) in versions.iter().filter(|(version, _)| holds(*version)) {
                    let link = links.entry(id).or_insert_with(|| Link::contributed(account, id));
                    self.count(link, &row.contribution_id);
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

    /// Adds a contribution to the link that stands for it.
    fn count(&self, link: &mut Link, contribution: &str) {
        link.contributions = link.contributions.map(|count| count + 1);
        add_all(&mut link.money, self.earned.thing(contribution));
    }

    fn node(&self, view: &View, id: &str, kind: &str, (layer, x, y): (i64, i64, i64), hidden: i64) -> ProvenanceNode {
        let mut earned = Tokens::new();
        let (mut entity, mut owner, mut label) = (None, None, self.world.label(id, self.number));
        match self.world.find(id) {
            Some(Thing::Version(kind, sk)) => {
                let found = self.world.entity_of(kind, sk, self.number);
                let found = found.and_then(|(sk, _)| self.world.entity(kind, sk, self.number));
                if let Some((entity_id, owned_by)) = found {
                    let payee = if kind == Kind::Dataset { entity_id } else { id };
                    add_all(&mut earned, self.earned.thing(payee));
                    (entity, owner) = (Some(ID(entity_id.to_owned())), Some(AddressText::read(owned_by)));
                }
            }
            _ if is_account(id) => {
                let rows = self.world.contributed_by(id).iter();
                let rows = rows.filter_map(|sk| self.world.entity(Kind::Contribution, *sk, self.number));
                rows.for_each(|(contribution, _)| add_all(&mut earned, self.earned.thing(contribution)));
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
            earned: view.moneys(Some(&earned)),
            owner,
            hidden,
        }
    }
}

fn is_account(id: &str) -> bool {
    id.len() == 42 && id.parse::<alloy_primitives::Address>().is_ok()
}

fn add_all(sums: &mut Tokens, more: Option<&Tokens>) {
    for (token, units) in more.into_iter().flatten() {
        let sum = sums.entry(token.clone()).or_default();
        *sum = sum.saturating_add(*units);
    }
}
