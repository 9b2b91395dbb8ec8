//! Where the nodes of a layered graph go: integers in, integers out, the same for the same graph.
//!
//! Each layer is one column, wrapped into sub-columns of 100. Within a layer nodes are ordered by barycentre sweeps: by
//! the mean position of their neighbours in other layers, from left to right and back (Sugiyama, Tagawa and Toda 1981).
//! Generic layered layouts choose the layers too, which is what makes them slow; ours come from the domain.

use std::collections::BTreeMap;

/// Nodes of one sub-column.
const COLUMN: usize = 100;
/// Sweeps there and back; more changes little on graphs of this shape.
const SWEEPS: usize = 4;
/// Between rows, sub-columns and layers.
const STEP_Y: i64 = 10;
const STEP_X: i64 = 20;
const GAP_X: i64 = 100;
/// Positions are compared as parts of this many, so that layers of different sizes compare.
const WHOLE: i64 = 1 << 30;

/// Coordinates of each node, given each node's layer and the edges between nodes by their indexes.
pub(crate) fn place(layers: &[i64], edges: &[(usize, usize)]) -> Vec<(i64, i64)> {
    let mut columns = BTreeMap::<i64, Vec<usize>>::new();
    for (node, layer) in layers.iter().enumerate() {
        columns.entry(*layer).or_default().push(node);
    }
    let mut neighbours = vec![Vec::new(); layers.len()];
    for (a, b) in edges {
        if layers.get(*a) != layers.get(*b) {
            if let Some(of_a) = neighbours.get_mut(*a) {
                of_a.push(*b);
            }
            if let Some(of_b) = neighbours.get_mut(*b) {
                of_b.push(*a);
            }
        }
    }
    order(&mut columns, &neighbours, layers);
    let mut out = vec![(0, 0); layers.len()];
    let mut x = 0;
    for nodes in columns.values() {
        let mut last = x;
        for (index, column) in nodes.chunks(COLUMN).enumerate() {
            last = x + whole(index) * STEP_X;
            let top = -(whole(column.len()) - 1) * STEP_Y / 2;
            for (row, node) in column.iter().enumerate() {
                if let Some(at) = out.get_mut(*node) {
                    *at = (last, top + whole(row) * STEP_Y);
                }
            }
        }
        x = last + GAP_X;
    }
    out
}

fn order(columns: &mut BTreeMap<i64, Vec<usize>>, neighbours: &[Vec<usize>], layers: &[i64]) {
    let mut position = vec![0i64; layers.len()];
    columns.values().for_each(|nodes| settle(nodes, &mut position));
    let there = columns.keys().copied().collect::<Vec<_>>();
    for sweep in 0..2 * SWEEPS {
        let back = sweep % 2 == 1;
        let turn = if back { there.iter().rev().copied().collect::<Vec<_>>() } else { there.clone() };
        for layer in turn {
            let Some(nodes) = columns.get_mut(&layer) else { continue };
            nodes.sort_by_key(|node| {
                let seen = neighbours.get(*node).into_iter().flatten();
                let seen = seen.filter(|other| layers.get(**other).is_some_and(|at| (*at > layer) == back));
                let (sum, count) =
                    seen.fold((0i64, 0i64), |(sum, count), other| (sum + at(&position, *other), count + 1));
                sum.checked_div(count).unwrap_or_else(|| at(&position, *node))
            });
            settle(nodes, &mut position);
        }
    }
}

fn at(position: &[i64], node: usize) -> i64 {
    position.get(node).copied().unwrap_or(0)
}

fn settle(nodes: &[usize], position: &mut [i64]) {
    let rows = whole(nodes.len());
    for (row, node) in nodes.iter().enumerate() {
        if let Some(place) = position.get_mut(*node) {
            *place = (2 * whole(row) + 1) * (WHOLE / 2) / rows;
        }
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossings_are_undone() {
        // Two lines that cross when nodes stand in the order of their numbers.
        let places = place(&[0, 0, 1, 1], &[(0, 3), (1, 2)]);
        assert_eq!(places, vec![(0, -5), (0, 5), (100, 5), (100, -5)]);
    }

    #[test]
    fn long_layers_wrap_and_push_the_next_one() {
        let mut layers = vec![0; 250];
        layers.push(1);
        let places = place(&layers, &[]);
        let columns = places.iter().map(|(x, _)| *x).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(columns.into_iter().collect::<Vec<_>>(), vec![0, 20, 40, 140]);
        let distinct = places.iter().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(distinct.len(), places.len(), "no two nodes share a place");
    }
}
