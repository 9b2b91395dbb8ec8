//! Settles every epoch that is ripe in a data folder and ends: `settle_folder FOLDER`. What settles is alone in its
//! process, so that a test can kill it.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use tributary_accounting::{AccountingError, SettleOutcome, Unread, session, settle_next};
use tributary_store::Lake;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else { return ExitCode::from(2) };
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::FAILURE };
    match runtime.block_on(settle_all(Path::new(&folder))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let shown = writeln!(std::io::stderr(), "settle_folder: {error}: {error:?}");
            ExitCode::from(if shown.is_ok() { 1 } else { 2 })
        }
    }
}

async fn settle_all(folder: &Path) -> Result<(), AccountingError> {
    let lake = Lake::open(folder).await?;
    loop {
        match Box::pin(settle_next(|| session(None, 2), &lake, folder, &Unread)).await? {
            SettleOutcome::Settled { .. } => {}
            SettleOutcome::Waiting { .. } | SettleOutcome::NothingToDo => return Ok(()),
        }
    }
}
