use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tributary_schemas::column::Decimal38;

use super::*;

fn flow(step: &str, depth: i32, src: &str, dst: &str, sub: i128) -> MoneyFlowRow {
    MoneyFlowRow {
        epoch: 1,
        vault: "vault".to_owned(),
        token: "token".to_owned(),
        step: step.to_owned(),
        depth,
        src_id: src.to_owned(),
        dst_id: dst.to_owned(),
        amount_sub: Decimal38(sub),
        sub_digits: 0,
    }
}

/// Lines of "step depth from to sub-units", then the paths as text.
fn check(flows: &str, model: &str, lineage: bool, units: u128, expected: &str) {
    let flows = flows.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| {
        let [step, depth, src, dst, sub] = line.split_whitespace().collect::<Vec<_>>().try_into().unwrap();
        flow(step, depth.parse().unwrap(), src, dst, sub.parse().unwrap())
    });
    let found = Edges::of(flows.collect()).unwrap().paths("vault", model, lineage, units);
    let paths = found.paths.iter().map(|path| format!("{} {}", path.amount, path.steps.join(">")));
    let text: Vec<String> = paths.chain([format!("{} other", found.other)]).collect();
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(text, expected);
}

#[test]
fn a_diamond_has_two_ways_and_each_is_worth_what_it_brought() {
    let diamond = "
        model   0 agent left  600
        model   0 agent right 400
        lineage 0 left  base  120
        lineage 0 right base   40
    ";
    // What base kept came from left and right as three to one.
    check(
        diamond,
        "base",
        true,
        160,
        "120 agent>left>base
                                       40 agent>right>base
                                       0 other",
    );
    // Its owner has a quarter of it: the same ways, a quarter each.
    check(
        diamond,
        "base",
        true,
        40,
        "30 agent>left>base
                                      10 agent>right>base
                                      0 other",
    );
    check(
        diamond,
        "left",
        false,
        480,
        "480 agent>left
                                        0 other",
    );
}

#[test]
fn money_that_came_over_one_and_two_generations_is_divided_by_what_was_kept_of_each() {
    // At depth 1 base got 100 and passed 10 on to root; at depth 2 it got 30 and kept it.
    let flows = "
        model   0 agent tune  900
        model   0 agent deep  500
        lineage 0 tune  base  100
        lineage 0 deep  tune  60
        lineage 1 tune  base  30
        lineage 1 base  root  10
    ";
    check(
        flows,
        "base",
        true,
        120,
        "90 agent>tune>base
                                     30 agent>deep>tune>base
                                     0 other",
    );
    check(
        flows,
        "root",
        true,
        10,
        "10 agent>tune>base>root
                                    0 other",
    );
}

#[test]
fn without_edges_all_of_it_came_otherwise() {
    check("", "base", true, 7, "7 other");
}

/// Layers of models, each on all of the layer below: so many paths that not all are listed. Those that are come in
/// order, no path twice, and with the rest they add up.
#[test]
fn more_paths_than_fit_add_up_with_a_remainder() {
    for seed in 0..20 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (layers, width) = (rng.random_range(2..6), rng.random_range(2..9));
        let name = |layer: i32, place: i32| format!("m{layer}-{place}");
        let mut flows = Vec::new();
        for place in 0..width {
            flows.push(flow("model", 0, "agent", &name(0, place), rng.random_range(1..1_000_000_000)));
        }
        for layer in 0..layers {
            for (from, to) in (0..width).flat_map(|from| (0..width).map(move |to| (from, to))) {
                flows.push(flow(
                    "lineage",
                    layer,
                    &name(layer, from),
                    &name(layer + 1, to),
                    rng.random_range(0..1_000),
                ));
            }
        }
        let units = rng.random_range(0..1_000_000_000_u128);
        let found = Edges::of(flows).unwrap().paths("vault", &name(layers, 0), true, units);
        let listed: i128 = found.paths.iter().map(|path| path.amount).sum();
        assert_eq!(listed + found.other, units.cast_signed(), "seed {seed}");
        assert!(found.other >= 0 && found.paths.len() <= PATHS_MAX);
        assert!(found.paths.is_sorted_by(|a, b| a.amount >= b.amount), "seed {seed}");
        let mut ways: Vec<_> = found.paths.iter().map(|path| path.steps.clone()).collect();
        assert!(ways.iter().all(|steps| steps.len() == usize::try_from(layers).unwrap() + 2));
        ways.sort();
        ways.dedup();
        assert_eq!(ways.len(), found.paths.len(), "seed {seed}");
    }
}

#[test]
fn absolute_lineage_pays_every_generation_straight_from_what_was_used() {
    let flows = "
        model   0 agent tuned 900
        model   0 agent other 100
        lineage 0 tuned base  200
        lineage 1 tuned root  100
        lineage 2 other root   10
    ";
    check(
        flows,
        "root",
        true,
        110,
        "100 agent>tuned>root
                                       10 agent>other>root
                                       0 other",
    );
}
