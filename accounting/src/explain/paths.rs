//! The ways that money took up the lineage to a model: the most valuable first, and what the others brought as one
//! number, so that they add up to the line they explain.
//!
//! A settlement keeps the money on every edge and never a path: a graph of 5,000 nodes has tens of thousands of paths
//! to one of them. So a line is taken back over the edges. What a model kept at a depth is divided over the edges that
//! brought it there by the cascade, in the order of the table, generation by generation down to what was paid for; the
//! largest amount is always followed first, which finds the paths in the order of their amounts.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use tributary_schemas::money::MoneyFlowRow;

use crate::cascade::split;
use crate::error::AccountingError;
use crate::read::amount;

/// Most paths of a line (ruling 24).
const PATHS_MAX: usize = 100;
/// Most edges that are looked at for a line.
const VISITS_MAX: usize = 10_000;

/// A way that money took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoneyPath {
    /// Version ids, from the one that was paid for to the model of the line.
    pub steps: Vec<String>,
    /// Base units that came this way.
    pub amount: i128,
}

/// The ways that the money of a line took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoneyPaths {
    /// The most valuable, best first.
    pub paths: Vec<MoneyPath>,
    /// Base units that came over all others: with the paths, the amount of the line.
    pub other: i128,
}

/// Edges into a model at a depth, in the order of the table: whence, and how much.
type Inflow = Vec<(String, u128)>;

/// The model and lineage steps of an epoch, per vault.
#[derive(Debug, Default)]
pub(super) struct Edges {
    /// By vault, depth and model.
    inflows: BTreeMap<(String, u32, String), Inflow>,
    /// By vault, depth and model.
    passed: BTreeMap<(String, u32, String), u128>,
    /// By model: the fewest generations over which it got money.
    depths: BTreeMap<String, u32>,
    depth_max: u32,
}

impl Edges {
    /// The edges among an epoch's flows of one token.
    pub(super) fn of(mut flows: Vec<MoneyFlowRow>) -> Result<Self, AccountingError> {
        crate::tables::sort_flows(&mut flows);
        let mut this = Self::default();
        for flow in flows {
            let sub = amount(flow.amount_sub.0)?;
            let depth = u32::try_from(flow.depth).unwrap_or(u32::MAX);
            let at = match flow.step.as_str() {
                "model" => 0,
                "lineage" => {
                    let passed = this.passed.entry((flow.vault.clone(), depth, flow.src_id.clone())).or_default();
                    *passed = passed.saturating_add(sub);
                    depth.saturating_add(1)
                }
                _ => continue,
            };
            this.depth_max = std::cmp::max(this.depth_max, at);
            if at > 0 {
                let least = this.depths.entry(flow.dst_id.clone()).or_insert(at);
                *least = std::cmp::min(*least, at);
            }
            this.inflows.entry((flow.vault, at, flow.dst_id)).or_default().push((flow.src_id, sub));
        }
        Ok(this)
    }

    /// The fewest generations over which a model got money.
    pub(super) fn depth(&self, model: &str) -> Option<u32> {
        self.depths.get(model).copied()
    }

    /// The ways to a model of `units`: straight from what was paid for, or up the lineage.
    pub(super) fn paths(&self, vault: &str, model: &str, lineage: bool, units: u128) -> MoneyPaths {
        let depths: Vec<u32> = if lineage { (1..=self.depth_max).collect() } else { vec![0] };
        let kept = depths.iter().map(|depth| self.kept(vault, *depth, model));
        let mut search = Search { open: BinaryHeap::new(), visits: 0 };
        for (depth, units) in depths.iter().zip(split(units, kept)) {
            search.push(units, Some(*depth), vec![model.to_owned()]);
        }
        let mut found = MoneyPaths { paths: Vec::new(), other: units.cast_signed() };
        while let Some(Way { units, depth, mut steps }) = search.open.pop() {
            let Some(depth) = depth else {
                steps.reverse();
                let amount = units.cast_signed();
                found.other -= amount;
                found.paths.push(MoneyPath { steps, amount });
                if found.paths.len() == PATHS_MAX {
                    break;
                }
                continue;
            };
            let at = steps.last().cloned().unwrap_or_default();
            let inflow = |depth| Some((depth, self.inflows.get(&(vault.to_owned(), depth, at.clone()))?));
            // Absolute lineage pays an ancestor of any generation straight from the model that was used.
            let Some((depth, inflow)) = inflow(depth).or_else(|| inflow(0)) else { continue };
            search.visits += inflow.len();
            if search.visits > VISITS_MAX {
                break;
            }
            for ((from, _), units) in inflow.iter().zip(split(units, inflow.iter().map(|(_, sub)| *sub))) {
                let steps = steps.iter().cloned().chain([from.clone()]).collect();
                search.push(units, depth.checked_sub(1), steps);
            }
        }
        found
    }

    fn kept(&self, vault: &str, depth: u32, model: &str) -> u128 {
        let key = (vault.to_owned(), depth, model.to_owned());
        let came = self.inflows.get(&key).map_or(0, |inflow| inflow.iter().map(|(_, sub)| *sub).sum::<u128>());
        came.saturating_sub(self.passed.get(&key).copied().unwrap_or(0))
    }
}

struct Search {
    open: BinaryHeap<Way>,
    visits: usize,
}

impl Search {
    fn push(&mut self, units: u128, depth: Option<u32>, steps: Vec<String>) {
        if units > 0 {
            self.open.push(Way { units, depth, steps });
        }
    }
}

/// Money on its way back: at the last of the steps, so many generations above what was paid for; none at its end.
#[derive(Debug, PartialEq, Eq)]
struct Way {
    units: u128,
    depth: Option<u32>,
    steps: Vec<String>,
}

impl Ord for Way {
    /// By amount; then the shorter, then the first by name, is greater, so that the order is the same everywhere.
    fn cmp(&self, other: &Self) -> Ordering {
        let first = |way: &Self| (way.steps.len(), way.depth);
        self.units
            .cmp(&other.units)
            .then_with(|| first(other).cmp(&first(self)))
            .then_with(|| other.steps.cmp(&self.steps))
    }
}

impl PartialOrd for Way {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests;
