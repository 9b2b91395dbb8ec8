//! Reward policies: data, hashed, in force for the payments after the position that set them.
//!
//! A policy is JSON of at most 16 KiB. Its hash is keccak256 of the bytes that were set; its meaning is this struct.
//! Unknown keys are refused, missing ones take the value of [`Policy::default`]. Keys that came after the first version
//! are left out of the canonical form where they change nothing, so that a policy without them keeps its hash.

use alloy_primitives::{Address, B256, keccak256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::amount::Amount;
use crate::error::SchemaError;

/// One whole in the 10^-9 units of every share.
pub const PPB: u32 = 1_000_000_000;

/// How money flows, what counts and how long one waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// How a payment is split over its channels.
    pub split_ppb: SplitPpb,
    /// A flat fee of the platform before the split, base units per token, capped by the amount.
    pub platform_flat: BTreeMap<Address, Amount>,
    /// Tokens that are taken; empty takes any.
    pub tokens: Vec<Address>,
    /// How model money passes to upstream models.
    pub lineage: Lineage,
    /// How scores become weights.
    pub normaliser: Normaliser,
    /// Records below this share of their inference weigh nothing; 10^-9.
    pub min_share_ppb: u32,
    /// The heaviest records of an inference that hold this part of its weight together are kept, the others weigh
    /// nothing; 10^-9, above zero.
    #[serde(skip_serializing_if = "is_whole")]
    pub mass_keep_ppb: u32,
    /// How copies of one content are counted.
    #[serde(skip_serializing_if = "Dedupe::is_none")]
    pub dedupe: Dedupe,
    /// The method that pays; none: any registered one.
    pub method: Option<B256>,
    /// What becomes of an inference without usable records.
    pub zero_total: ZeroTotal,
    /// Blocks after which a payment that names an unresolved inference or batch is ripe all the same.
    pub unattributed_after_blocks: u64,
    /// Length of the challenge window after a batch's reference.
    pub challenge_blocks: u64,
    /// Blocks after which an unresolved challenge counts as rejected.
    pub resolve_blocks: u64,
    /// Blocks after a reference at which a blob that was not found is declared missing.
    pub blob_deadline_blocks: u64,
    /// Blocks after the end of the epoch that held it after which money leaves suspense by itself; zero for never.
    pub suspense_release_blocks: u64,
    /// Steps (score in 10^-6, multiplier in 10^-9): the step at or below the score applies.
    pub penalty: Vec<PenaltyStep>,
    /// Where what a penalty withholds goes.
    pub withheld: Withheld,
    /// Below this posted cumulative an account stays off the tree, per token.
    pub min_payout: BTreeMap<Address, Amount>,
    /// What becomes of a payment with nothing behind it.
    pub unbacked: Unbacked,
    /// What becomes of a payment whose payer is its payee.
    pub self_dealing: SelfDealing,
    /// What becomes of money for removed contributions.
    pub removed: Removed,
    /// Who gets the platform's channel and everything that goes to the treasury; zero: the treasury account.
    pub treasury: Address,
}

/// The five channels, 10^9 together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitPpb {
    /// To the treasury.
    pub platform: u32,
    /// To the agent's owner.
    pub agent: u32,
    /// To models and their ancestors.
    pub model: u32,
    /// To contributors.
    pub data: u32,
    /// To stakers.
    pub stakers: u32,
}

/// How model money passes upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    /// Part of a model's inflow that passes to its upstream models; 10^-9.
    pub pass_ppb: u32,
    /// How many generations; at most 16.
    pub max_depth: u32,
    /// Relative to the inflow at each step, or absolute to the payment.
    pub mode: LineageMode,
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }
    )*};
}
words! {
    /// What a lineage share is relative to.
    LineageMode {
        /// The inflow of the step: an ancestor has its share of what its descendants pass on.
        Relative,
        /// The inflow of the model that was used: an ancestor has its declared share of that, however far up it is.
        Absolute,
    }
    /// How a raw score becomes a weight.
    Normaliser {
        /// Negative influence weighs nothing.
        PositivePart,
        /// Its size weighs.
        Abs,
    }
    /// Records of one inference for copies: contributions of a dataset with the same content, at the same row.
    Dedupe {
        /// Each weighs what it weighs.
        None,
        /// Together they weigh what the heaviest does, and the one submitted first has it.
        First,
        /// Together they weigh what the heaviest does, in equal parts.
        Split,
    }
    /// Without usable records.
    ZeroTotal {
        /// By the model's training manifest.
        Manifest,
        /// Into suspense.
        Hold,
        /// To the treasury.
        Treasury,
    }
    /// What a penalty withholds.
    Withheld {
        /// To the treasury.
        Treasury,
        /// Into suspense.
        Hold,
    }
    /// Payments with nothing behind them.
    Unbacked {
        /// Into suspense.
        Hold,
        /// Not settled.
        Reject,
    }
    /// Payments to oneself.
    SelfDealing {
        /// Paid like any other.
        Pay,
        /// Into suspense.
        Suspense,
    }
    /// Money for removed contributions.
    Removed {
        /// To the other records.
        Redistribute,
        /// To the treasury.
        Treasury,
    }
}

/// From this score on, this multiplier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PenaltyStep {
    /// Score in 10^-6.
    pub score: u32,
    /// Multiplier in 10^-9.
    pub multiplier_ppb: u32,
}

impl Default for Policy {
    /// OpenLedger's published shape (the platform off the top, then model, stakers and contributors of the rest).
    /// The numbers are ours: none are public.
    fn default() -> Self {
        Self {
            split_ppb: SplitPpb {
                platform: 50_000_000,
                agent: 150_000_000,
                model: 300_000_000,
                data: 450_000_000,
                stakers: 50_000_000,
            },
            platform_flat: BTreeMap::new(),
            tokens: Vec::new(),
            lineage: Lineage { pass_ppb: 250_000_000, max_depth: 8, mode: LineageMode::Relative },
            normaliser: Normaliser::PositivePart,
            min_share_ppb: 0,
            mass_keep_ppb: PPB,
            dedupe: Dedupe::None,
            method: None,
            zero_total: ZeroTotal::Manifest,
            unattributed_after_blocks: 21_600,
            challenge_blocks: 0,
            resolve_blocks: 43_200,
            blob_deadline_blocks: 21_600,
            suspense_release_blocks: 0,
            penalty: Vec::new(),
            withheld: Withheld::Treasury,
            min_payout: BTreeMap::new(),
            unbacked: Unbacked::Hold,
            self_dealing: SelfDealing::Pay,
            removed: Removed::Redistribute,
            treasury: Address::ZERO,
        }
    }
}

impl Policy {
    /// Largest policy, in bytes (ruling 24).
    pub const BYTES_MAX: usize = 16 * 1024;

    /// Reads and checks a policy.
    pub fn parse(bytes: &[u8]) -> Result<Self, SchemaError> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(invalid(format!("{} bytes: expected at most {}", bytes.len(), Self::BYTES_MAX)));
        }
        let policy: Self = serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
        policy.check()?;
        Ok(policy)
    }

    /// Its canonical JSON (RFC 8785).
    #[must_use]
    pub fn canonical_json(&self) -> String {
        serde_json::to_value(self).expect("a policy is plain data").to_string()
    }

    /// keccak256 of its canonical JSON.
    #[must_use]
    pub fn hash(&self) -> B256 {
        keccak256(self.canonical_json())
    }

    fn check(&self) -> Result<(), SchemaError> {
        let split = &self.split_ppb;
        let sum: u64 =
            [split.platform, split.agent, split.model, split.data, split.stakers].into_iter().map(u64::from).sum();
        if sum != u64::from(PPB) {
            return Err(invalid(format!("split_ppb sums to {sum}: expected {PPB}")));
        }
        if self.lineage.pass_ppb > PPB {
            return Err(invalid(format!("lineage.pass_ppb is {}: expected at most {PPB}", self.lineage.pass_ppb)));
        }
        if self.lineage.max_depth > 16 {
            return Err(invalid(format!("lineage.max_depth is {}: expected at most 16", self.lineage.max_depth)));
        }
        if self.min_share_ppb > PPB {
            return Err(invalid(format!("min_share_ppb is {}: expected at most {PPB}", self.min_share_ppb)));
        }
        if self.mass_keep_ppb == 0 || self.mass_keep_ppb > PPB {
            return Err(invalid(format!("mass_keep_ppb is {}: expected 1 to {PPB}", self.mass_keep_ppb)));
        }
        if self.tokens.len() > 64 {
            return Err(invalid(format!("{} tokens: expected at most 64", self.tokens.len())));
        }
        if self.penalty.len() > 64 {
            return Err(invalid(format!("{} penalty steps: expected at most 64", self.penalty.len())));
        }
        if !self.penalty.is_sorted_by(|a, b| a.score < b.score) {
            return Err(invalid("penalty steps are not in ascending order of score".to_owned()));
        }
        if let Some(step) = self.penalty.iter().find(|step| step.multiplier_ppb > PPB) {
            return Err(invalid(format!("penalty multiplier_ppb is {}: expected at most {PPB}", step.multiplier_ppb)));
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_whole(share: &u32) -> bool {
    *share == PPB
}

impl Dedupe {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

const fn invalid(reason: String) -> SchemaError {
    SchemaError::Policy { reason }
}

#[cfg(test)]
mod tests {
    use super::Policy;

    #[test]
    fn the_default_is_valid_and_comes_back() {
        let policy = Policy::default();
        assert_eq!(Policy::parse(policy.canonical_json().as_bytes()).unwrap(), policy);
        assert_eq!(Policy::parse(b"{}").unwrap(), policy);
    }

    #[test]
    fn a_policy_without_later_keys_keeps_its_hash() {
        let text = Policy::default().canonical_json();
        assert!(!text.contains("mass_keep_ppb") && !text.contains("dedupe"), "{text}");
        for other in [r#"{"mass_keep_ppb":900000000}"#, r#"{"dedupe":"first"}"#, r#"{"dedupe":"split"}"#] {
            let policy = Policy::parse(other.as_bytes()).unwrap();
            assert_eq!(Policy::parse(policy.canonical_json().as_bytes()).unwrap(), policy);
            assert_ne!(policy.hash(), Policy::default().hash());
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, words) in [
            (r#"{"splt":1}"#, "unknown field `splt`"),
            (r#"{"split_ppb":{"platform":1,"agent":0,"model":0,"data":0,"stakers":0}}"#, "sums to 1"),
            (r#"{"lineage":{"pass_ppb":0,"max_depth":17,"mode":"relative"}}"#, "at most 16"),
            (r#"{"mass_keep_ppb":0}"#, "expected 1 to"),
            (r#"{"dedupe":"last"}"#, "unknown variant `last`"),
            (r#"{"penalty":[{"score":2,"multiplier_ppb":1},{"score":1,"multiplier_ppb":1}]}"#, "ascending"),
        ] {
            let error = Policy::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words), "{json}: {error}");
        }
    }
}
