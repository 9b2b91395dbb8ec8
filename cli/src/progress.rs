//! What a person sees while it works: a bar on a terminal, a line now and then elsewhere; logs beside it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::arguments::LogFormat;

/// Progress towards a block.
pub(crate) struct Progress {
    bar: ProgressBar,
    terminal: bool,
    total: u64,
    said_percent: AtomicU64,
}

impl Progress {
    pub(crate) fn new(total: u64) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} blocks  {per_sec}  ETA {eta}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, terminal, total, said_percent: AtomicU64::new(0) }
    }

    /// Shows that the block `sealed` is sealed, and what is being done or waited for.
    pub(crate) fn show(&self, sealed: u64, doing: &str) {
        self.bar.set_position(sealed);
        self.bar.set_message(doing.to_owned());
        let percent = sealed.saturating_mul(100).checked_div(self.total).unwrap_or(100);
        let said = self.said_percent.load(Ordering::Relaxed);
        if !self.terminal && percent >= said.saturating_add(10) {
            self.said_percent.store(percent, Ordering::Relaxed);
            crate::output::say(&format!("{sealed} of {} blocks sealed; {doing}", self.total));
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Logs to standard error, as the filter says; one that cannot be read falls back to warnings and says so. Colours are
/// for terminals, where nobody asked for none.
pub(crate) fn log_to_stderr(filter: &str, format: LogFormat, colours: bool) {
    use tracing_subscriber::{EnvFilter, fmt};
    let (filter, wrong) = match EnvFilter::try_new(filter) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("warn"), Some(error)),
    };
    let colours = colours && std::io::stderr().is_terminal();
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Text => lines.with_ansi(colours).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    if set.is_err() {
        crate::output::say("logging was already set up");
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, "the log filter cannot be read; logging warnings");
    }
}
