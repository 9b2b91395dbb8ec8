//! Times the settlement of a heavy epoch and prints one line of JSON:
//! `cargo run --release -p tributary-tests --bin bench_settle -- [--records N] [--payees N] [--partitions N]
//! [--memory-mib N] [--data DIR] [--publish 1]`.
//!
//! The epoch lies in published tables, as an indexer leaves it. Another process makes them, so that the peak of memory
//! is that of the settlement alone; with `--data` they are made once and kept. `--publish 1` times the whole step of
//! the program: settled, written and published.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use tributary_tests::measure;
use tributary_tests::settle_bench::Epoch;
use tributary_tests::tables::Shape;

fn main() -> ExitCode {
    match run() {
        Ok(line) => ExitCode::from(u8::from(writeln!(std::io::stdout(), "{line}").is_err())),
        Err(error) => {
            let shown = writeln!(std::io::stderr(), "bench_settle: {error}");
            ExitCode::from(if shown.is_ok() { 1 } else { 2 })
        }
    }
}

fn argument(name: &str) -> Result<Option<String>, String> {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(at) = arguments.iter().position(|one| one == name) else { return Ok(None) };
    arguments.get(at + 1).cloned().map(Some).ok_or_else(|| format!("{name} needs a value"))
}

fn number(name: &str, default: i64) -> Result<i64, Box<dyn std::error::Error>> {
    Ok(argument(name)?.map_or(Ok(default), |text| text.parse())?)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn run() -> Result<serde_json::Value, Box<dyn std::error::Error>> {
    let (records, payees) = (number("--records", 1_000_000)?, number("--payees", 100_000)?);
    let partitions = usize::try_from(number("--partitions", 2)?)?;
    let memory = usize::try_from(number("--memory-mib", 512)?)? << 20;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(partitions).enable_all().build()?;
    if let Some(folder) = argument("--generate")? {
        let epoch = runtime.block_on(Epoch::generate(Path::new(&folder), records, payees))?;
        return Ok(epoch.records.into());
    }
    let (temporary, kept) = (tempfile::tempdir()?, argument("--data")?.map(PathBuf::from));
    let folder = kept.as_deref().unwrap_or_else(|| temporary.path());
    if !folder.join("snapshots").try_exists()? {
        let (records, payees) = (records.to_string(), payees.to_string());
        let generator = Command::new(std::env::current_exe()?)
            .args(["--records", &records, "--payees", &payees, "--generate"])
            .arg(folder)
            .output()?;
        if !generator.status.success() {
            return Err(String::from_utf8_lossy(&generator.stderr).into());
        }
    }
    let epoch = runtime.block_on(Epoch::open(folder))?;
    let (cpu, start) = (cpu_ticks()?, std::time::Instant::now());
    let shape = Shape { partitions, memory: Some(memory), ..Shape::default() };
    let mut line = if number("--publish", 0)? == 0 {
        let settled = runtime.block_on(epoch.settled(shape))?;
        serde_json::json!({ "lines": settled.tables.lines(), "manifest": settled.manifest_hash })
    } else {
        runtime.block_on(epoch.publish(shape))?;
        serde_json::json!({ "published": true })
    };
    let seconds = start.elapsed().as_secs_f64();
    line["records"] = epoch.records.into();
    line["seconds"] = seconds.into();
    line["cpu_seconds"] = (f64::from(u32::try_from(cpu_ticks()? - cpu)?) / 100.0).into();
    line["records_per_second"] = (f64::from(u32::try_from(epoch.records)?) / seconds).into();
    line["peak_rss_bytes"] = measure::peak_rss(std::process::id()).into();
    Ok(line)
}

/// User and system time of this process in hundredths of a second.
fn cpu_ticks() -> Result<u64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let tick = |at: usize| fields.get(at).copied().unwrap_or_default().parse::<u64>();
    Ok(tick(11)? + tick(12)?)
}
