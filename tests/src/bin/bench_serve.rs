//! Measures GraphQL under load with wrk: `bench_serve BINARY [BLOCKS [SECONDS]]`; 3,000 and 10 by default. Each question is
//! put to a node that runs every request, then to one that gives the same answer again to whoever asks the same.

use std::io::Write as _;
use std::process::ExitCode;
use tributary_tests::serving::{Load, bench};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let Some(binary) = arguments.first() else { return ExitCode::from(2) };
    let (blocks, seconds) = (number(1, 3_000), number(2, 10));
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::FAILURE };
    let mut told = Ok(());
    let mut tell = |line: &serde_json::Value| {
        if told.is_ok() {
            told = writeln!(std::io::stdout(), "{line}");
        }
    };
    for kept_answers_mib in [0, 32] {
        let connections = vec![1, 4, 16, 64];
        let load = Load { blocks, followed: blocks / 10, seconds, connections, kept_answers_mib };
        runtime.block_on(bench(binary.as_ref(), &load, &mut tell));
    }
    if told.is_err() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
