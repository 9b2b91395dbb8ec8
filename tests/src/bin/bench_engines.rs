//! Engines side by side over the same Parquet files, one after the other in one run, a line of JSON each:
//! `bench_engines [--records N] [--payees N] [--engines NAMES] [--data DIR]`; a million records for 100,000 payees and
//! every engine by default. With `--data` the epoch is made once and kept. Python's engines run from the environment of
//! `tests/install.sh`; PostgreSQL is started on a folder of its own where its programs are installed.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tributary_tests::engines::{ENGINES, Job, engine};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let shown = writeln!(std::io::stderr(), "bench_engines: {error}");
            ExitCode::from(if shown.is_ok() { 1 } else { 2 })
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let [flag, name, folder, result] = arguments.as_slice()
        && flag == "--engine"
    {
        let taken = runtime.block_on(engine(name, Path::new(folder), Path::new(result)))?;
        return Ok(writeln!(std::io::stdout(), "{taken}")?);
    }
    let (mut records, mut payees, mut engines, mut data) = (1_000_000, 100_000, ENGINES.join(","), None);
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if name == "--records" => records = value.parse()?,
            [name, value] if name == "--payees" => payees = value.parse()?,
            [name, value] if name == "--engines" => engines.clone_from(value),
            [name, value] if name == "--data" => data = Some(PathBuf::from(value)),
            other => return Err(format!("{other:?} is none of its arguments").into()),
        }
    }
    let temporary = tempfile::tempdir()?;
    let folder = data.as_deref().unwrap_or_else(|| temporary.path());
    let job = runtime.block_on(Job::prepare(folder, records, payees))?;
    let program = std::env::current_exe()?;
    for engine in engines.split(',') {
        writeln!(std::io::stdout(), "{}", job.run(&program, engine)?)?;
    }
    Ok(())
}
