//! Writes the committed generated files anew: `cargo run --profile ci -p tributary-tests --bin generate`, with the program
//! built beside it.

use std::process::ExitCode;
use tributary_tests::generated::{files, root};

fn main() -> ExitCode {
    let Ok(files) = files() else { return ExitCode::FAILURE };
    for (path, content) in files {
        let path = root().join(path);
        let written =
            path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, content));
        if written.is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
