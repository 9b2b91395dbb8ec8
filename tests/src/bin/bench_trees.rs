//! Times a tree of every format: `bench_trees [ROWS]`, a million by default; a line of JSON for each. A root is timed
//! from opening the list to the root; a proof from the file of nodes is opened, read and climbed each time.

use std::io::Write as _;
use std::process::ExitCode;
use tributary_tests::lists::bench;

const ROWS: u32 = 1_000_000;

fn main() -> ExitCode {
    let rows = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(ROWS);
    let lines = tempfile::tempdir().map_err(|error| error.to_string()).and_then(|folder| {
        let lines = bench(folder.path(), rows).map_err(|error| error.to_string())?;
        Ok(lines.iter().map(|line| format!("{line}\n")).collect::<String>())
    });
    let shown = match &lines {
        Ok(lines) => std::io::stdout().write_all(lines.as_bytes()),
        Err(error) => writeln!(std::io::stderr(), "bench_trees: {error}"),
    };
    if lines.is_ok() && shown.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
