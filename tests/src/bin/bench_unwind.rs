//! Measures a deep reorg: `bench_unwind BINARY [BLOCKS [SEED]]`; 43,200 unfinalised blocks, a day of them, by default.

use std::io::Write as _;
use std::process::ExitCode;
use tributary_tests::unwind::bench;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let Some(binary) = arguments.first() else { return ExitCode::from(2) };
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::FAILURE };
    let measured = runtime.block_on(bench(binary.as_ref(), number(2, 1), number(1, 43_200)));
    match writeln!(std::io::stdout(), "{measured}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
