//! The faults, by name, and the dice that decide when each strikes.
//!
//! A fault changes an *answer*, never the chain: it draws from streams of its own
//! (`faults` and `clock`), and no stream of the chain ever looks at them. What a client
//! reads in the end is therefore the same chain with and without faults.

use std::{collections::BTreeSet, fmt, str::FromStr};

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{DevnetError, keys::stream};

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// One way in which a node, a gateway or a network misbehaves.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Fault { $($(#[$doc])* $variant),+ }

        impl Fault {
            /// All of them, in the order of their names in the manual.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

faults! {
    /// For a while the node follows another branch, then returns at the same or a greater number.
    Reorg = "reorg",
    /// Some answers about the head come from a node that lags.
    LowerHead = "lower-head",
    /// The block at the head is replaced by another of the same number.
    SameHeight = "same-height",
    /// Receipts of some blocks lack a log, consistently in every answer.
    OmittedLog = "omitted-log",
    /// Receipts of some blocks hold a log whose data was changed.
    AlteredLog = "altered-log",
    /// The blob of one batch is never served.
    MissingBlob = "missing-blob",
    /// The blob of the same batch is served only some requests after its deadline.
    LateBlob = "late-blob",
    /// Some blobs are served damaged at first and right later.
    CorruptBlob = "corrupt-blob",
    /// One of the blobs that the batcher posts on L1 is never served by the beacon node.
    MissingSidecar = "missing-sidecar",
    /// Some of these are served damaged at first and right later; only their commitment tells.
    CorruptSidecar = "corrupt-sidecar",
    /// A proxy calls some good certificates invalid (418, code 3) at first.
    VoidClaim = "void-claim",
    /// A proxy serves another blob's payload for some commitments at first.
    WrongBlob = "wrong-blob",
    /// Up to block 200 the node says that the reward vault holds a tenth of what it took in.
    ShortVault = "short-vault",
    /// The certificate verifier on L1 fails on its own account now and then (answer 7).
    VerifierDown = "verifier-down",
    /// Some answers take their time.
    Slow = "slow",
    /// Some requests are refused with status 429, with and without `Retry-After`.
    TooManyRequests = "429",
    /// The connection breaks in the middle of some answers.
    Drop = "drop",
    /// Some blocks that exist are answered with null.
    NullBlock = "null-block",
    /// The node does not know `eth_getBlockReceipts`.
    NoBlockReceipts = "no-block-receipts",
    /// The node says another chain id than its blocks were signed for.
    WrongChainId = "wrong-chain-id",
    /// Some answers end early although the transport says they are whole.
    TruncatedJson = "truncated-json",
    /// Some answers are far larger than they should be.
    Oversized = "oversized",
}

impl Fault {
    /// Reads names separated by commas; an empty text names none.
    ///
    /// # Errors
    /// When a name is unknown; the error lists all of them.
    pub fn parse_list(names: &str) -> Result<BTreeSet<Self>, DevnetError> {
        names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::parse).collect()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = DevnetError;

    fn from_str(given: &str) -> Result<Self, DevnetError> {
        let wanted = given.trim();
        Self::ALL.iter().copied().find(|fault| fault.name() == wanted).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|fault| fault.name()).collect();
            DevnetError::UnknownFault { given: wanted.to_owned(), known: known.join(", ") }
        })
    }
}

/// What happens to one answer on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Nothing.
    Clean,
    /// It is delayed by so many milliseconds.
    Slow(u64),
    /// It is a 429 instead, with or without the seconds after which to try again.
    TooMany(Option<u64>),
    /// The connection breaks half way.
    Drop,
    /// It ends half way and claims to be whole.
    Truncated,
    /// It is followed by megabytes of white space.
    Oversized,
}

/// How often in a row a request may be spoiled: a client that retries gets through.
const LONGEST_STREAK: u8 = 2;

/// The dice of the faults.
#[derive(Debug)]
pub(crate) struct Dice {
    on: BTreeSet<Fault>,
    seed: u64,
    faults: ChaCha8Rng,
    clock: ChaCha8Rng,
    streak: u8,
}

impl Dice {
    pub(crate) fn new(seed: u64, on: BTreeSet<Fault>) -> Self {
        Self { on, seed, faults: stream(seed, "faults"), clock: stream(seed, "clock"), streak: 0 }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.on.contains(&fault)
    }

    /// True about once in `every` calls when the fault is switched on.
    pub(crate) fn strikes(&mut self, fault: Fault, every: u32) -> bool {
        self.has(fault) && self.faults.random_range(0..every) == 0
    }

    /// A number from the clock's stream.
    pub(crate) fn moment(&mut self, range: std::ops::RangeInclusive<u64>) -> u64 {
        self.clock.random_range(range)
    }

    /// Whether a thing that lies consistently lies about this block or blob.
    pub(crate) fn chosen(&self, fault: Fault, subject: &[u8], every: u8) -> bool {
        let mut text = fault.name().as_bytes().to_vec();
        text.extend_from_slice(&self.seed.to_be_bytes());
        text.extend_from_slice(subject);
        self.has(fault) && alloy_primitives::keccak256(text)[0].is_multiple_of(every)
    }

    /// What happens to the next answer.
    pub(crate) fn transport(&mut self) -> Transport {
        if self.streak >= LONGEST_STREAK {
            self.streak = 0;
            return Transport::Clean;
        }
        let spoiled = if self.strikes(Fault::TooManyRequests, 12) {
            // Zero seconds: a client must obey the header, a test must not wait for it.
            Transport::TooMany(self.faults.random_bool(0.5).then_some(0))
        } else if self.strikes(Fault::Drop, 16) {
            Transport::Drop
        } else if self.strikes(Fault::TruncatedJson, 16) {
            Transport::Truncated
        } else if self.strikes(Fault::Oversized, 32) {
            Transport::Oversized
        } else {
            self.streak = 0;
            return if self.strikes(Fault::Slow, 8) { Transport::Slow(self.moment(1..=20)) } else { Transport::Clean };
        };
        self.streak = self.streak.saturating_add(1);
        spoiled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_an_unknown_one_lists_them() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse::<Fault>().unwrap(), *fault);
        }
        let error = "rerog".parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains("\"rerog\"") && error.contains("same-height, omitted-log"), "{error}");
    }

    #[test]
    fn a_client_that_retries_gets_through() {
        let on = [Fault::TooManyRequests, Fault::Drop, Fault::TruncatedJson].into_iter().collect();
        let mut dice = Dice::new(7, on);
        let mut streak = 0;
        let mut spoiled = 0;
        for _ in 0..10_000 {
            if matches!(dice.transport(), Transport::Clean | Transport::Slow(_)) {
                streak = 0;
            } else {
                streak += 1;
                spoiled += 1;
            }
            assert!(streak <= u32::from(LONGEST_STREAK));
        }
        assert!(spoiled > 500, "{spoiled}");
    }
}
