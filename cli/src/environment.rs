//! What comes from outside the arguments: the environment, the clock and chance. Nothing else reads them, but for the
//! exporter of traces, which reads its own variables.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The variables that concern us: our own, the key of S3, and what `OpenTelemetry` is told by.
pub(crate) fn variables() -> BTreeMap<String, String> {
    let prefixes = ["TRIBUTARY_", "AWS_", "OTEL_"];
    std::env::vars().filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix))).collect()
}

/// Whether colours may be used: not where `NO_COLOR` is set to something (no-color.org).
pub(crate) fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether a variable is set, to whatever.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn is_told(name: &str) -> bool {
    std::env::var_os(name).is_some()
}

/// Bytes that nobody can guess, from the system.
pub(crate) fn random() -> std::io::Result<[u8; 32]> {
    use std::io::Read as _;
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Where a program keeps what it remembers between runs (XDG Base Directory), if the environment says.
pub(crate) fn state_folder() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("tributary"))
}

/// A moment to measure from.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// The system's clock, for the indexer.
#[derive(Debug)]
pub(crate) struct SystemClock;

#[async_trait::async_trait]
impl tributary_indexer::Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    async fn sleep(&self, duration: std::time::Duration) {
        tokio::time::sleep(duration).await;
    }
}
