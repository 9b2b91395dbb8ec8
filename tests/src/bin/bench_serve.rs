//! Measures GraphQL under load with wrk: `bench_serve BINARY [BLOCKS [SECONDS]]`; 3,000 and 10 by default.

use std::io::Write as _;
use std::process::ExitCode;
use tributary_tests::serving::{Load, bench};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let Some(binary) = arguments.first() else { return ExitCode::from(2) };
    let (blocks, seconds) = (number(1, 3_000), number(2, 10));
    let load = Load { blocks, followed: blocks / 10, seconds, connections: vec![1, 4, 16, 64] };
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::FAILURE };
    let mut told = Ok(());
    let tell = |line: &serde_json::Value| {
        if told.is_ok() {
            told = writeln!(std::io::stdout(), "{line}");
        }
    };
    runtime.block_on(bench(binary.as_ref(), &load, tell));
    if told.is_err() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
