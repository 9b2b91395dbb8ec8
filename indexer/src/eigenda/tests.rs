//! Certificates made here, with every key known, and the real ones of `../shared/data/eigenda`.

mod kzg;
mod mint;
mod minted;
mod vectors;

use std::path::Path;

use super::{Check, Outcome, Report};

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
