//! Measures follow→seal off one Anvil: `bench_follow BINARY [BLOCKS EVENTS_PER_BLOCK]`; 2,000 and 250 by default.

use std::io::Write as _;
use std::process::ExitCode;
use tributary_tests::spray::{Load, bench};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let Some(binary) = arguments.first() else { return ExitCode::from(2) };
    let load = Load { blocks: number(1, 2000), events_per_block: number(2, 250) };
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::FAILURE };
    let measured = runtime.block_on(bench(binary.as_ref(), load));
    match writeln!(std::io::stdout(), "{measured}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
