//! Measuring for benchmark programs: time and the peak memory of a process, and what its threads did.

use std::collections::BTreeMap;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
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

/// Watches the threads of this process, those too that end meanwhile.
#[derive(Debug)]
pub struct Watch {
    stop: Sender<()>,
    looker: JoinHandle<BTreeMap<String, Duration>>,
}

/// How often threads are looked at: what one does after the last look before it ends is missed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Threads whose names begin with this are the watch itself.
const LOOKER: &str = "look";

impl Watch {
    /// Begins.
    ///
    /// # Panics
    /// When no thread can be started.
    #[must_use]
    pub fn start() -> Self {
        let (stop, stopped) = channel();
        let before = threads();
        let look = move || {
            let mut seen = BTreeMap::new();
            loop {
                let ended = stopped.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout);
                seen.extend(threads());
                if ended {
                    return by_name(&seen, &before);
                }
            }
        };
        let looker = std::thread::Builder::new().name(LOOKER.to_owned()).spawn(look).expect("a thread starts");
        Self { stop, looker }
    }

    /// What threads had of the processors since the start, by their names without a number at the end.
    ///
    /// # Panics
    /// When watching did.
    #[must_use]
    pub fn stop(self) -> BTreeMap<String, Duration> {
        drop(self.stop);
        self.looker.join().expect("watching does not panic")
    }
}

/// Name and time of threads, by their number.
type Threads = BTreeMap<u64, (String, Duration)>;

fn by_name(seen: &Threads, before: &Threads) -> BTreeMap<String, Duration> {
    let mut found = BTreeMap::new();
    for (number, (name, time)) in seen {
        let earlier = before.get(number).map_or(Duration::ZERO, |(_, time)| *time);
        let name = name.trim_end_matches(|end: char| end.is_ascii_digit()).trim_end_matches('-');
        if name != LOOKER {
            *found.entry(name.to_owned()).or_insert(Duration::ZERO) += time.saturating_sub(earlier);
        }
    }
    found
}

/// The threads there are; none where Linux does not say.
fn threads() -> Threads {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let thread = |task: std::fs::DirEntry| {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).ok();
        let number = task.file_name().to_str()?.parse().ok()?;
        // Nanoseconds on a processor, then waiting for one.
        let time = read("schedstat")?.split_whitespace().next()?.parse().ok()?;
        Some((number, (read("comm")?.trim_end().to_owned(), Duration::from_nanos(time))))
    };
    tasks.filter_map(thread).collect()
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
    kept(process_id, "VmHWM:")
}

/// What a process has resident now, in bytes; zero where Linux does not say.
#[must_use]
pub fn rss(process_id: u32) -> u64 {
    kept(process_id, "VmRSS:")
}

fn kept(process_id: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|text| text.split_whitespace().next()).and_then(|text| text.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}
