//! Measuring for benchmark programs: time and the peak memory of a process.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// What a run of a process took.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// Wall time.
    pub wall: Duration,
    /// Largest resident set, in bytes.
    pub peak_rss_bytes: u64,
    /// How it ended.
    pub status: ExitStatus,
}

/// Waits for a process that was just started and measures it.
///
/// # Errors
/// When it cannot be waited for.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub fn wait(child: &mut Child) -> std::io::Result<Taken> {
    let started = Instant::now();
    let mut peak_rss_bytes = 0;
    loop {
        peak_rss_bytes = std::cmp::max(peak_rss_bytes, peak_rss(child.id()));
        if let Some(status) = child.try_wait()? {
            return Ok(Taken { wall: started.elapsed(), peak_rss_bytes, status });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// User and system time that this process has had, all threads; zero where Linux does not say. Linux counts it in
/// hundredths of a second.
#[must_use]
pub fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in parentheses, may hold spaces: fields are counted from after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks.saturating_mul(10))
}

/// The high-water mark that Linux keeps for a process; zero where there is none.
#[must_use]
pub fn peak_rss(process_id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|text| text.split_whitespace().next()).and_then(|text| text.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}
