//! Certificates of the devnet's mint, with every key known, and the real ones of `../shared/data/eigenda`.

mod kzg;
mod minted;
mod network;
mod vectors;

use std::path::Path;

use alloy_primitives::{Address, B256};
use tributary_devnet::mint::{self, Mint, Minted};
use tributary_schemas::eigenda::Version;

use super::{Check, Form, Outcome, Report};

/// The tau of all that is minted here.
const TAU: B256 = B256::repeat_byte(0x2a);

/// A batch of one blob per payload, and the account that dispersed them.
fn batch(seed: u64, version: Version, form: Form, payloads: &[Vec<u8>]) -> (Vec<Minted>, Address) {
    let form = match form {
        Form::Evaluations => mint::Form::Evaluations,
        Form::Coefficients => mint::Form::Coefficients,
    };
    let mut mint = Mint::new(seed, TAU);
    (mint.batch(version, form, 9_528_091, payloads).unwrap(), mint.account())
}

/// A file of the shared vectors; `None`, said aloud, where they are absent.
#[expect(clippy::print_stderr, reason = "a skipped check says so")]
fn shared(name: &str) -> Option<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/eigenda").join(name);
    let found = std::fs::read(&path).ok();
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "../shared/data/eigenda/{name} is not here");
        eprintln!("skipped: ../shared/data/eigenda/{name} is not here");
    }
    found
}

/// The checks that failed, by name.
fn failures(report: &Report) -> Vec<&'static str> {
    let failed = |check: &&Check| matches!(check.outcome, Outcome::Failed(_));
    report.checks.iter().filter(failed).map(|check| check.name).collect()
}
