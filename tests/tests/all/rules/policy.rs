//! The words of a policy: `policy data 60 model 40 pass 50 absolute …`. What a line leaves out is as in [`plain`].

use alloy_primitives::keccak256;
use tributary_schemas::Amount;
use tributary_schemas::column::hex_text;
use tributary_schemas::facts::PolicyRow;
use tributary_schemas::policy::{
    Dedupe, LineageMode, Normaliser, PenaltyStep, Policy, Removed, SelfDealing, SplitPpb, Unbacked, Withheld, ZeroTotal,
};
use tributary_tests::world::{token, vault};

use super::scene::{Scene, units};

/// Everything to the contributors, nothing passed on.
fn plain() -> Policy {
    let split_ppb = SplitPpb { platform: 0, agent: 0, model: 0, data: 1_000_000_000, stakers: 0 };
    let mut policy = Policy { split_ppb, unattributed_after_blocks: 10, ..Policy::default() };
    policy.lineage.pass_ppb = 0;
    policy
}

/// Per cent as 10^-9.
pub(super) fn ppb(text: &str) -> u32 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = format!("{part:0<7}");
    whole.parse::<u32>().unwrap() * 10_000_000 + part.parse::<u32>().unwrap()
}

impl Scene {
    pub(super) fn policy(&mut self, words: &[&str]) {
        let mut policy = plain();
        let mut scope = "all".to_owned();
        if words.iter().any(|word| ["platform", "agent", "model", "data", "stakers"].contains(word)) {
            policy.split_ppb = SplitPpb { platform: 0, agent: 0, model: 0, data: 0, stakers: 0 };
        }
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            match word {
                "absolute" => policy.lineage.mode = LineageMode::Absolute,
                "abs" => policy.normaliser = Normaliser::Abs,
                word => {
                    let value = words.next().unwrap_or_else(|| panic!("{word:?} needs a value"));
                    if word == "for" {
                        value.clone_into(&mut scope);
                    } else if !set_share(&mut policy, word, value) && !set_wait(&mut policy, word, value) {
                        self.set_choice(&mut policy, word, value);
                    }
                }
            }
        }
        // What the log would refuse is no policy here either.
        let policy = Policy::parse(policy.canonical_json().as_bytes()).unwrap();
        let row = PolicyRow {
            epoch: self.epoch,
            block_number: self.block,
            tx_index: 0,
            log_index: self.log(),
            vault: vault(0),
            scope: self.scope(&scope),
            policy_hash: hex_text(policy.hash()),
            version: 1 + i64::try_from(self.facts.policies.len()).unwrap(),
            policy: policy.canonical_json(),
        };
        self.facts.policies.push(row);
    }

    fn set_choice(&mut self, policy: &mut Policy, word: &str, value: &str) {
        match (word, value) {
            ("dedupe", "first") => policy.dedupe = Dedupe::First,
            ("dedupe", "split") => policy.dedupe = Dedupe::Split,
            ("removed", "treasury") => policy.removed = Removed::Treasury,
            ("zero", "hold") => policy.zero_total = ZeroTotal::Hold,
            ("zero", "treasury") => policy.zero_total = ZeroTotal::Treasury,
            ("withheld", "hold") => policy.withheld = Withheld::Hold,
            ("unbacked", "reject") => policy.unbacked = Unbacked::Reject,
            ("dealing", "suspense") => policy.self_dealing = SelfDealing::Suspense,
            ("treasury", name) => policy.treasury = self.account(name).parse().unwrap(),
            ("method", name) => policy.method = Some(keccak256(format!("method {name}"))),
            _ => panic!("{word:?} {value:?} is no policy"),
        }
    }
}

fn set_share(policy: &mut Policy, word: &str, value: &str) -> bool {
    let share = match word {
        "platform" => &mut policy.split_ppb.platform,
        "agent" => &mut policy.split_ppb.agent,
        "model" => &mut policy.split_ppb.model,
        "data" => &mut policy.split_ppb.data,
        "stakers" => &mut policy.split_ppb.stakers,
        "pass" => &mut policy.lineage.pass_ppb,
        "min_share" => &mut policy.min_share_ppb,
        "keep" => &mut policy.mass_keep_ppb,
        _ => return false,
    };
    *share = ppb(value);
    true
}

fn set_wait(policy: &mut Policy, word: &str, value: &str) -> bool {
    let coin = token(2).parse().unwrap();
    let amount = || Amount::from_signed(units(value)).unwrap();
    match word {
        "depth" => policy.lineage.max_depth = value.parse().unwrap(),
        "unattributed" => policy.unattributed_after_blocks = value.parse().unwrap(),
        "challenge" => policy.challenge_blocks = value.parse().unwrap(),
        "resolve" => policy.resolve_blocks = value.parse().unwrap(),
        "flat" => drop(policy.platform_flat.insert(coin, amount())),
        "min_payout" => drop(policy.min_payout.insert(coin, amount())),
        // From this score on, so much is left: 50:40.
        "penalty" => {
            let (score, multiplier) = value.split_once(':').unwrap();
            policy.penalty.push(PenaltyStep { score: ppb(score) / 1_000, multiplier_ppb: ppb(multiplier) });
        }
        _ => return false,
    }
    true
}
