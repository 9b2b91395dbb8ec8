//! The graph around a version as text: Graphviz DOT, Mermaid, JSON.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use tributary_schemas::facts::EdgeRow;
use tributary_store::{Lake, Snapshot};

use super::{as_of, unknown, version_of};
use crate::error::Refusal;
use crate::pinned::Pinned;
use crate::provenance::NODES_MAX;
use crate::world::{Kind, Thing, World};

/// Which way a graph is walked from a version, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphWalk {
    /// To what it was made from.
    pub up: bool,
    /// To what was made from it.
    pub down: bool,
    /// Most steps.
    pub depth: u32,
}

/// Versions and the edges between them, from what was derived to what it was derived from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Id to a name for people.
    nodes: BTreeMap<String, String>,
    edges: Vec<GraphEdge>,
    /// Edges that lead further than the walk went.
    left_out: usize,
    as_of: Vec<(&'static str, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct GraphEdge {
    from: String,
    to: String,
    relation: String,
    share_ppb: Option<i64>,
}

/// The graph around a thing at the sealed block of a snapshot. At most as many nodes as a provenance window has.
///
/// # Errors
///
/// When nothing has that id, or the tables cannot be read.
pub async fn graph(lake: &Lake, snapshot: Arc<Snapshot>, id: &str, walk: GraphWalk) -> Result<Graph, Refusal> {
    let pinned = Pinned::new(lake.clone(), PathBuf::new(), snapshot, None);
    let (world, number) = (pinned.world().await?, pinned.number());
    let (kind, version) = version_of(&world, id, number)?;
    let focus = world.version_id(kind, version, number).ok_or_else(|| unknown(id))?.to_owned();
    let mut found = Graph {
        nodes: BTreeMap::from([(focus.clone(), world.label(&focus, number))]),
        edges: Vec::new(),
        left_out: 0,
        as_of: as_of(&pinned.snapshot).into(),
    };
    for (wanted, up) in [(walk.up, true), (walk.down, false)] {
        if wanted {
            found.spread(&world, number, &focus, up, walk.depth);
        }
    }
    Ok(found)
}

impl Graph {
    /// Walks one way, nearest first.
    fn spread(&mut self, world: &World, number: i64, focus: &str, up: bool, depth: u32) {
        let nodes_max = usize::try_from(NODES_MAX).unwrap_or(usize::MAX);
        let mut waiting = VecDeque::from([(focus.to_owned(), 0)]);
        let mut seen = BTreeSet::from([focus.to_owned()]);
        while let Some((id, steps)) = waiting.pop_front() {
            let mut edges: Vec<&EdgeRow> =
                if up { world.upstream(&id, number).collect() } else { world.downstream(&id, number).collect() };
            edges.sort_by(|a, b| (&a.relation, &a.src_id, &a.dst_id).cmp(&(&b.relation, &b.src_id, &b.dst_id)));
            for edge in edges {
                let next = if up { &edge.dst_id } else { &edge.src_id };
                let room = steps < depth && (self.nodes.contains_key(next) || self.nodes.len() < nodes_max);
                if !room {
                    self.left_out += usize::from(!seen.contains(next));
                    continue;
                }
                self.edges.push(GraphEdge {
                    from: edge.src_id.clone(),
                    to: edge.dst_id.clone(),
                    relation: edge.relation.clone(),
                    share_ppb: edge.share_ppb,
                });
                if seen.insert(next.clone()) {
                    let label = match world.find(next) {
                        Some(Thing::Version(Kind::Dataset | Kind::Model | Kind::Agent, _)) => world.label(next, number),
                        _ => format!("external {}", next.chars().take(10).collect::<String>()),
                    };
                    self.nodes.insert(next.clone(), label);
                    waiting.push_back((next.clone(), steps + 1));
                }
            }
        }
    }

    /// In the language of Graphviz.
    #[must_use]
    pub fn dot(&self) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "));
        let mut out = format!("// {}\ndigraph provenance {{\n  rankdir=LR;\n", self.state());
        for (id, label) in &self.nodes {
            writeln!(out, "  {} [label={}];", quoted(id), quoted(label)).expect("a String takes everything");
        }
        for edge in &self.edges {
            let (from, to, label) = (quoted(&edge.from), quoted(&edge.to), quoted(&edge.label()));
            writeln!(out, "  {from} -> {to} [label={label}];").expect("a String takes everything");
        }
        out.push('}');
        out
    }

    /// In the language of Mermaid.
    #[must_use]
    pub fn mermaid(&self) -> String {
        // Whatever may mean something to Mermaid is written by its number.
        let plain = |text: &str| {
            let one = |sign: char| match sign {
                sign if sign.is_alphanumeric() || " _-.…%".contains(sign) => sign.to_string(),
                sign => format!("#{};", u32::from(sign)),
            };
            text.chars().map(one).collect::<String>()
        };
        let names: BTreeMap<&String, usize> = self.nodes.keys().enumerate().map(|(at, id)| (id, at)).collect();
        let mut out = format!("%% {}\nflowchart LR\n", self.state());
        for (id, label) in &self.nodes {
            writeln!(out, "  n{}[\"{}\"]", names[id], plain(label)).expect("a String takes everything");
        }
        for edge in &self.edges {
            let (from, to) = (names[&edge.from], names[&edge.to]);
            writeln!(out, "  n{from} -->|\"{}\"| n{to}", plain(&edge.label())).expect("a String takes everything");
        }
        out.trim_end().to_owned()
    }

    /// As an object of nodes and edges.
    #[must_use]
    pub fn json(&self) -> Value {
        let nodes = self.nodes.iter().map(|(id, label)| json!({ "id": id, "label": label }));
        let edges = self.edges.iter().map(
            |edge| json!({ "from": edge.from, "to": edge.to, "relation": edge.relation, "sharePpb": edge.share_ppb }),
        );
        json!({
            "asOf": self.as_of.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect::<serde_json::Map<_, _>>(),
            "nodes": nodes.collect::<Vec<_>>(),
            "edges": edges.collect::<Vec<_>>(),
            "leftOut": self.left_out,
        })
    }

    fn state(&self) -> String {
        let state = self.as_of.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
        format!("{state}; {} edges lead further", self.left_out)
    }
}

impl GraphEdge {
    /// The relation and its share in per cent, exactly.
    fn label(&self) -> String {
        let Some(share) = self.share_ppb else { return self.relation.clone() };
        let (whole, rest) = (share / 10_000_000, share % 10_000_000);
        let rest = format!(".{rest:07}");
        format!("{} {whole}{} %", self.relation, rest.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[tokio::test]
    async fn the_graph_is_walked_as_far_as_it_is_asked() {
        let published = fixture::publish().await;
        let around = |id: &str, walk| {
            let (lake, snapshot, id) = (published.lake.clone(), Arc::clone(&published.snapshot), fixture::id(id));
            async move { graph(&lake, snapshot, &id, walk).await.unwrap() }
        };
        let all = around("finetune", GraphWalk { up: true, down: true, depth: 4 }).await;
        assert_eq!((all.nodes.len(), all.edges.len(), all.left_out), (5, 4, 0), "{all:?}");
        let near = around("finetune", GraphWalk { up: true, down: false, depth: 1 }).await;
        assert_eq!((near.nodes.len(), near.edges.len(), near.left_out), (3, 2, 1), "{near:?}");
        assert!(near.dot().contains("[label=\"BASED_ON_FINETUNE 20 %\"]"), "{}", near.dot());
        assert!(near.mermaid().contains("|\"BASED_ON_FINETUNE 20 %\"|"), "{}", near.mermaid());
        assert_eq!(near.json()["leftOut"], 1);
    }

    #[test]
    fn text_of_strangers_stays_text() {
        let mut graph = Graph { nodes: BTreeMap::new(), edges: Vec::new(), left_out: 0, as_of: Vec::new() };
        graph.nodes.insert("a\"]; b".to_owned(), "\"\\] --> x\n".to_owned());
        assert!(graph.dot().contains("\"a\\\"]; b\" [label=\"\\\"\\\\] --> x \"];"), "{}", graph.dot());
        assert!(graph.mermaid().contains("n0[\"#34;#92;#93; --#62; x#10;\"]"), "{}", graph.mermaid());
        for (share, expected) in
            [(Some(1), "R 0.0000001 %"), (Some(1_000_000_000), "R 100 %"), (Some(125_000_000), "R 12.5 %"), (None, "R")]
        {
            let edge = GraphEdge { from: String::new(), to: String::new(), relation: "R".to_owned(), share_ppb: share };
            assert_eq!(edge.label(), expected);
        }
    }
}
