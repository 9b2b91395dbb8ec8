//! Measures what checking certificates costs of following a chain: `bench_share [BLOCKS]`, 2,000 by default; a line of
//! JSON.

use std::io::Write as _;
use std::process::ExitCode;
use tributary_tests::share::bench;

const BLOCKS: u64 = 2_000;

fn main() -> ExitCode {
    let blocks = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(BLOCKS);
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::FAILURE };
    match writeln!(std::io::stdout(), "{}", runtime.block_on(bench(1, blocks))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
