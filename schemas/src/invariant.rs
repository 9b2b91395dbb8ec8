//! What must always hold, by name: asserted in debug builds, counted in release, quoted in ARCHITECTURE.md.

use std::sync::atomic::{AtomicU64, Ordering};

/// An invariant of the house.
#[derive(Debug)]
pub struct Invariant {
    /// Its name, such as `INV-05`.
    pub id: &'static str,
    /// What holds.
    pub holds: &'static str,
    broken: AtomicU64,
}

impl Invariant {
    const fn new(id: &'static str, holds: &'static str) -> Self {
        Self { id, holds, broken: AtomicU64::new(0) }
    }

    /// Checks it where a line of code relies on it: a debug build stops, a release build counts and says `false`,
    /// so that the caller can refuse to go on.
    #[must_use]
    pub fn check(&self, held: bool) -> bool {
        if !held {
            self.broken.fetch_add(1, Ordering::Relaxed);
        }
        debug_assert!(held, "{} is broken: {}", self.id, self.holds);
        held
    }

    /// How often it was found broken since the process started.
    pub fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }
}

macro_rules! invariants {
    ($($name:ident $id:literal $holds:literal;)*) => {
        $(#[doc = $holds] pub static $name: Invariant = Invariant::new($id, $holds);)*
        /// All of them, in order.
        pub static ALL: &[&Invariant] = &[$(&$name,)*];
    };
}
invariants! {
    CURSOR_WITH_EVENTS "INV-01" "cursor and events commit together";
    UNWIND_RESTORES "INV-02" "unwind(forward(s)) = s, byte for byte, log root included";
    ONE_POSITION "INV-03" "every event has one position (block, tx, log, sub), strictly increasing";
    NOTHING_UNVERIFIED "INV-04" "nothing enters the log that was not verified against a block hash; the configuration can weaken this per source, and then every row and answer says so";
    SPLIT_IS_WHOLE "INV-05" "the parts of a split sum to the whole, exactly";
    DEBITS_ARE_CREDITS "INV-06" "debits = credits per epoch and token";
    SETTLED_ONCE "INV-07" "only finalised blocks with every blob resolved (or declared lost by rule) are settled, each payment exactly once";
    SAME_DIGEST "INV-08" "settlement depends only on (snapshot, rule, policy): same digest for any thread count, memory limit, row order";
    CUMULATIVE_MONOTONE "INV-09" "a published cumulative entitlement never decreases; claims never exceed it";
    ANSWERS_ARE_PINNED "INV-10" "every answer names the block, hash, root and finality it was computed at";
    FINAL_IS_FINAL "INV-11" "a finalised block is never unwound, except by an operator's recorded command; an endpoint that contradicts one is refused, not followed";
    OWED_IS_HELD "INV-12" "what is entitled and not claimed is in the distributor, and no account that owes falls below zero";
}
