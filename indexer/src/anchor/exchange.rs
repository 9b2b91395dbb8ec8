//! What anchoring hands to the next publication, what it tells about itself, and what sealing asks it.

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

/// Whether a posting on L1 carries a final L2 block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// One does; or nothing does, and nothing had to: the block has deposits only, which is what derivation makes of a
    /// sequencing window without a batch.
    Yes,
    /// None that was read so far, and its sequencing window has not passed.
    NotYet,
    /// None does, although the block has transactions: the L2 that is followed is not the one on L1.
    No,
    /// Perhaps one does that could not be read.
    Unread,
}

/// Between anchoring, which offers, and the sealer, which takes. One increment is under way at most.
#[derive(Debug, Default)]
pub struct Exchange {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The L2 block up to which all are final.
    final_l2: Option<u64>,
    /// What is known of L2 blocks, published or not.
    known: Anchors,
    waiting: Option<Increment>,
    taken: bool,
    status: AnchorStatus,
    /// Looks at L1 that ended with everything done that could be.
    idle: u64,
    ended: bool,
}

impl Exchange {
    /// An exchange after what is published already.
    #[must_use]
    pub fn after(published: Option<&Anchors>) -> Self {
        Self { inner: Mutex::new(Inner { known: published.cloned().unwrap_or_default(), ..Inner::default() }) }
    }

    /// The L2 blocks up to this one are final: they are held against L1 before they are sealed.
    pub fn set_final(&self, number: u64) {
        let mut inner = self.lock();
        inner.final_l2 = std::cmp::max(inner.final_l2, Some(number));
    }

    /// The L2 block up to which all are final.
    pub(super) fn final_l2(&self) -> Option<u64> {
        self.lock().final_l2
    }

    /// Whether a posting on L1 carries a final L2 block.
    pub fn carried(&self, block: u64) -> Carried {
        let inner = self.lock();
        if !inner.known.resolved.holds(block) {
            Carried::NotYet
        } else if inner.known.contradicted.holds(block) {
            Carried::No
        } else if inner.known.unread.holds(block) {
            Carried::Unread
        } else {
            Carried::Yes
        }
    }

    /// Offers more, on top of what was offered before.
    pub fn offer(&self, increment: Increment) {
        let mut inner = self.lock();
        inner.known.clone_from(&increment.anchors);
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

    /// How many L2 blocks came to something.
    pub(crate) fn resolved(&self) -> u64 {
        let known = &self.lock().known;
        known.anchored.saturating_add(known.not_anchored).saturating_add(known.unknown)
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
