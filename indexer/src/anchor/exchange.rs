//! What anchoring hands to the next publication, and what it tells about itself.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tributary_schemas::facts::AnchorRow;
use tributary_store::{AnchorStatus, Anchors};

use crate::state::{Key, Writes};

/// Rows that wait to be published, with what has to be written once they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Increment {
    /// Rows that no publication has.
    pub rows: Vec<AnchorRow>,
    /// How far the table goes with them.
    pub anchors: Anchors,
    /// L2 blocks that need not be remembered any more.
    pub forgotten: Vec<u64>,
    /// The fold, as bytes.
    pub fold: Vec<u8>,
}

impl Increment {
    /// What the tail is told when the rows are published.
    #[must_use]
    pub fn writes(&self) -> Writes {
        let forgotten = self.forgotten.iter().map(|number| (Key::l2_block(*number).0, None));
        forgotten.chain([(Key::anchoring().0, Some(self.fold.clone()))]).collect()
    }

    /// This one and then a later one, as one.
    fn and_then(mut self, later: Self) -> Self {
        self.rows.extend(later.rows);
        self.forgotten.extend(later.forgotten);
        Self { anchors: later.anchors, fold: later.fold, ..self }
    }
}

/// Between anchoring, which offers, and the sealer, which takes. One increment is under way at most.
#[derive(Debug, Default)]
pub struct Exchange {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Option<Increment>,
    taken: bool,
    status: AnchorStatus,
    /// Looks at L1 that ended with everything done that could be.
    idle: u64,
    ended: bool,
}

impl Exchange {
    /// Offers more, on top of what was offered before.
    pub fn offer(&self, increment: Increment) {
        let mut inner = self.lock();
        let waiting = inner.waiting.take();
        inner.waiting = Some(match waiting {
            Some(earlier) => earlier.and_then(increment),
            None => increment,
        });
    }

    /// Rows that wait, those under way aside.
    pub fn rows(&self) -> usize {
        self.lock().waiting.as_ref().map_or(0, |waiting| waiting.rows.len())
    }

    /// Takes what is offered, to publish it; [`Exchange::confirm`] or [`Exchange::give_back`] follows. With
    /// `rows_only` nothing is taken that has no rows.
    pub fn take(&self, rows_only: bool) -> Option<Increment> {
        let mut inner = self.lock();
        let ready = inner.waiting.as_ref().is_some_and(|waiting| !rows_only || !waiting.rows.is_empty());
        if inner.taken || !ready {
            return None;
        }
        inner.taken = true;
        inner.waiting.take()
    }

    /// What was taken is published and written down.
    pub fn confirm(&self) {
        self.lock().taken = false;
    }

    /// What was taken could not be published.
    pub fn give_back(&self, increment: Increment) {
        let mut inner = self.lock();
        inner.taken = false;
        let later = inner.waiting.take();
        inner.waiting = Some(match later {
            Some(later) => increment.and_then(later),
            None => increment,
        });
    }

    /// Where anchoring stands.
    pub fn status(&self) -> AnchorStatus {
        self.lock().status.clone()
    }

    /// Tells where it stands; `idle` when nothing was left to do.
    pub(super) fn tell(&self, status: AnchorStatus, idle: bool) {
        let mut inner = self.lock();
        inner.status = status;
        inner.idle = inner.idle.saturating_add(u64::from(idle));
    }

    /// It has ended, for this reason if not because it was told to.
    pub(super) fn end(&self, reason: Option<String>) {
        let mut inner = self.lock();
        inner.ended = true;
        if reason.is_some() {
            inner.status.state = "stopped".to_owned();
            inner.status.reason = reason;
        }
    }

    /// How often it found nothing left to do; none when it has ended.
    pub(crate) fn idle(&self) -> Option<u64> {
        let inner = self.lock();
        (!inner.ended).then_some(inner.idle)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
