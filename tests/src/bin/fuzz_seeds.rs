//! Writes the first inputs of the fuzz targets: `fuzz_seeds CORPUS`, a folder that gets one folder for each target.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(corpus) = std::env::args().nth(1).map(PathBuf::from) else { return ExitCode::from(2) };
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::FAILURE };
    match runtime.block_on(tributary_tests::fuzz_seeds::write(&corpus)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
