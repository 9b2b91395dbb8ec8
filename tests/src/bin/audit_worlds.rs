//! Settles random worlds twice and compares: `audit_worlds [WORLDS] [FIRST_SEED] [AT_ONCE]`, 1,000 worlds from seed 0, two
//! at a time, by default. A line of JSON; a failure names the seeds that differ on standard error.

use std::io::Write as _;
use std::process::ExitCode;
use tributary_tests::audit::audit_many;

const WORLDS: u64 = 1_000;

#[expect(clippy::disallowed_methods, reason = "it says how long it took")]
fn main() -> ExitCode {
    let number = |at: usize, default: u64| {
        std::env::args().nth(at).map_or(Some(default), |text| text.replace('_', "").parse().ok())
    };
    let (Some(worlds), Some(first), Some(at_once)) = (number(1, WORLDS), number(2, 0), number(3, 2)) else {
        return ExitCode::from(2);
    };
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::FAILURE };
    let start = std::time::Instant::now();
    let at_once = usize::try_from(std::cmp::max(at_once, 1)).unwrap_or(1);
    let (seen, failed) = runtime.block_on(audit_many(first..first.saturating_add(worlds), at_once));
    let line = serde_json::json!({
        "worlds": worlds,
        "first_seed": first,
        "different": failed.len(),
        "features": seen.len(),
        "seconds": start.elapsed().as_secs(),
    });
    let mut said = writeln!(std::io::stdout(), "{line}").is_ok();
    for why in &failed {
        said &= writeln!(std::io::stderr(), "{why}").is_ok();
    }
    if said && failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
