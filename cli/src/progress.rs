//! What a person sees while it works: a bar on a terminal, a line now and then elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};

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
