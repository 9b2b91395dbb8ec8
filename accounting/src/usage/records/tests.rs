//! Weights of one inference's records, policy by policy.

use tributary_schemas::policy::{Dedupe, Normaliser, Policy, Removed};

use super::{Record, Target, weights};

/// Records in their order, by name: `a` to `d` are contributions, `a2` a copy of `a` that was submitted later, `a0` one
/// that was submitted before; `!` is out of lineage, `-` removed, `@n` a row. Returns the weights.
fn check(policy: Policy, records: &str) -> Vec<u128> {
    let record = |(place, text): (usize, &str)| {
        let (name, score) = text.split_once('=').unwrap();
        let (name, row) = name.split_once('@').map_or((name, None), |(name, row)| (name, Some(row.parse().unwrap())));
        let letter = name.trim_end_matches(['!', '-']);
        let sk = match letter {
            "a0" => 1,
            "a" => 2,
            "a2" => 9,
            other => 2 + i64::from(other.bytes().next().unwrap() - b'a'),
        };
        Record {
            order: ([u8::try_from(place).unwrap(); 32], row.unwrap_or(u32::MAX)),
            target: Target::Contribution(sk),
            score: score.parse().unwrap(),
            in_lineage: !name.contains('!'),
            removed: name.contains('-'),
            original: letter.starts_with('a').then_some(1),
        }
    };
    let records: Vec<Record> = records.split(' ').enumerate().map(record).collect();
    weights(&policy, &records)
}

#[test]
fn scores_become_weights() {
    let plain = Policy::default();
    let abs = Policy { normaliser: Normaliser::Abs, ..Policy::default() };
    assert_eq!(check(plain.clone(), "a=5 b=-3 c!=9 d=0"), [5, 0, 0, 0], "only what is positive and in lineage");
    assert_eq!(check(abs.clone(), "a=5 b=-3 c!=9 d=0"), [5, 3, 0, 0], "its size");
    assert_eq!(check(abs, "a=-9223372036854775808"), [1 << 63], "the most negative score has a size too");
    assert_eq!(check(plain.clone(), "a-=5 b=3"), [0, 3], "what was removed leaves its money to the others");
    let treasury = Policy { removed: Removed::Treasury, ..plain };
    assert_eq!(check(treasury, "a-=5 b=3"), [5, 3], "or keeps its weight, and the treasury is paid");
}

#[test]
fn copies_count_once() {
    let first = Policy { dedupe: Dedupe::First, ..Policy::default() };
    let split = Policy { dedupe: Dedupe::Split, ..Policy::default() };
    for (records, by_first, by_split) in [
        ("a=6 a2=4 b=5", [6, 0, 5], [3, 3, 5]),
        ("a2=7 a=4 b=5", [0, 7, 5], [3, 4, 5]), // the heaviest weight, to the first submitted
        ("a2=7 b=5 a0=0", [7, 5, 0], [7, 5, 0]), // what weighs nothing takes nothing
        ("a@1=6 a2@2=4 b=5", [6, 4, 5], [6, 4, 5]), // other rows are other content
        ("a=6 a2!=4 b=5", [6, 0, 5], [6, 0, 5]),
        ("b=6 c=4 d=5", [6, 4, 5], [6, 4, 5]),
    ] {
        assert_eq!(check(first.clone(), records), by_first, "first: {records}");
        assert_eq!(check(split.clone(), records), by_split, "split: {records}");
    }
    assert_eq!(check(Policy::default(), "a=6 a2=4 b=5"), [6, 4, 5], "unless nobody asks for it");
}

#[test]
fn small_records_weigh_nothing() {
    let share = |min_share_ppb| Policy { min_share_ppb, ..Policy::default() };
    assert_eq!(check(share(100_000_000), "a=10 b=89 c=1"), [10, 89, 0], "a tenth is enough");
    assert_eq!(check(share(100_000_001), "a=10 b=89 c=1"), [0, 89, 0], "one in 10^9 below is not");
    let mass = |mass_keep_ppb| Policy { mass_keep_ppb, ..Policy::default() };
    assert_eq!(check(mass(890_000_000), "a=10 b=89 c=1"), [0, 89, 0], "the heaviest alone holds 89 %");
    assert_eq!(check(mass(890_000_001), "a=10 b=89 c=1"), [10, 89, 0], "a little more needs the next");
    assert_eq!(check(mass(1), "a=10 b=10"), [10, 0], "of equal ones the earlier");
    assert_eq!(check(mass(1), "a=0 b=-1"), [0, 0]);
    let all =
        Policy { min_share_ppb: 60_000_000, mass_keep_ppb: 700_000_000, dedupe: Dedupe::First, ..Policy::default() };
    // Copies first: 40 of 100 remain for `a`; then 5 is below six hundredths; then 40 and 35 hold seven tenths of 95.
    assert_eq!(check(all, "a=40 a2=40 b=35 c=20 d=5"), [40, 0, 35, 0, 0]);
}

#[test]
fn weights_near_two_to_the_63_are_exact() {
    let all = Policy {
        normaliser: Normaliser::Abs,
        min_share_ppb: 1,
        mass_keep_ppb: 999_999_999,
        dedupe: Dedupe::Split,
        ..Policy::default()
    };
    let most = format!("a={0} a2={0} b={0} c=-{0}", i64::MAX);
    let half = u128::from(i64::MAX.unsigned_abs()) / 2;
    let whole = u128::from(i64::MAX.unsigned_abs());
    assert_eq!(check(all, &most), [half, half + 1, whole, whole]);
}
