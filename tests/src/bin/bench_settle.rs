//! Times the settlement of a heavy epoch and prints one line of JSON:
//! `cargo run --release -p tributary-tests --bin bench_settle -- [--records N] [--payees N] [--partitions N] [--memory-mib N]`.

use std::io::Write;
use std::process::ExitCode;
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

fn option(name: &str, default: i64) -> Result<i64, Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(at) = arguments.iter().position(|one| one == name) else { return Ok(default) };
    Ok(arguments.get(at + 1).ok_or_else(|| format!("{name} needs a number"))?.parse()?)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn run() -> Result<serde_json::Value, Box<dyn std::error::Error>> {
    let records = option("--records", 1_000_000)?;
    let partitions = usize::try_from(option("--partitions", 2)?)?;
    let memory = usize::try_from(option("--memory-mib", 512)?)? << 20;
    let folder = tempfile::tempdir()?;
    let epoch = Epoch::generate(folder.path(), records, option("--payees", 100_000)?)?;
    // The peak so far is that of the generator.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(partitions).enable_all().build()?;
    let (cpu, start) = (cpu_ticks()?, std::time::Instant::now());
    let shape = Shape { partitions, memory: Some(memory), ..Shape::default() };
    let outcome = runtime.block_on(epoch.settle(folder.path(), shape))?;
    let seconds = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let peak_kib: u64 = peak.trim().trim_end_matches("kB").trim().parse()?;
    Ok(serde_json::json!({
        "records": epoch.records,
        "seconds": seconds,
        "cpu_seconds": f64::from(u32::try_from(cpu_ticks()? - cpu)?) / 100.0,
        "records_per_second": f64::from(u32::try_from(epoch.records)?) / seconds,
        "peak_rss_bytes": peak_kib * 1024,
        "lines": outcome.lines,
    }))
}

/// User and system time of this process in hundredths of a second.
fn cpu_ticks() -> Result<u64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let tick = |at: usize| fields.get(at).copied().unwrap_or_default().parse::<u64>();
    Ok(tick(11)? + tick(12)?)
}
