//! How far a settlement is: records divided, of those that are to be. A count of what was done, and no clock: who watches
//! makes a rate of it.

use datafusion::prelude::SessionContext;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Records of a settlement. What divides them counts them, in whatever task; whoever holds it may look at any time.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Records that were divided.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Records that are to be divided, as far as is known: the records of the batches that money is on. What is divided
    /// twice (to see whether a payment is one to oneself) counts twice.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// What a session is watched by, if it is.
    pub(crate) fn of(ctx: &SessionContext) -> Option<Arc<Self>> {
        ctx.copied_config().get_extension::<Self>()
    }

    pub(crate) fn expect(&self, records: i64) {
        self.total.fetch_add(u64::try_from(records).unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn divided(&self, records: usize) {
        self.done.fetch_add(u64::try_from(records).unwrap_or(0), Ordering::Relaxed);
    }
}

/// The session, whose settlements are counted by `progress`.
#[must_use]
pub fn watched(ctx: SessionContext, progress: &Arc<Progress>) -> SessionContext {
    ctx.state_ref().write().config_mut().set_extension(Arc::clone(progress));
    ctx
}
