//! Who is inside: a bound on open connections that idle ones do not fill.
//!
//! A connection is at work from the beginning of a request to the end of its answer, and idle otherwise, whether it said
//! nothing yet or half of something. Where there is no room for one more, the one that has been idle for longest leaves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// The connections of one listener.
#[derive(Debug)]
pub(crate) struct Doors {
    most: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    /// Counts whatever happens: later is greater.
    now: u64,
    connections: BTreeMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    at_work: usize,
    /// When anything last happened on it.
    since: u64,
    leave: CancellationToken,
}

impl Inside {
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }
}

impl Doors {
    /// Doors for at most so many at a time.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, inside: Mutex::default() })
    }

    /// Lets one more in, if need be in place of an idle one; nobody when all are at work.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Visitor> {
        let mut inside = self.lock();
        if inside.connections.len() >= self.most {
            let idle = inside.connections.iter().filter(|(_, one)| one.at_work == 0);
            let longest = idle.min_by_key(|(_, one)| one.since).map(|(number, _)| *number)?;
            inside.connections.remove(&longest)?.leave.cancel();
        }
        let number = inside.tick();
        let leave = CancellationToken::new();
        inside.connections.insert(number, Connection { at_work: 0, since: number, leave: leave.clone() });
        drop(inside);
        Some(Visitor { doors: Arc::clone(self), number, leave })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Connection)) {
        let mut inside = self.lock();
        let now = inside.tick();
        if let Some(connection) = inside.connections.get_mut(&number) {
            connection.since = now;
            change(connection);
        }
    }
}

/// A connection that was let in; it makes room when it is dropped.
#[derive(Debug)]
pub(crate) struct Visitor {
    doors: Arc<Doors>,
    number: u64,
    leave: CancellationToken,
}

impl Visitor {
    /// Cancelled when it has to make room for somebody else.
    pub(crate) const fn leave(&self) -> &CancellationToken {
        &self.leave
    }

    /// A number that changes whenever anything happens.
    pub(crate) fn mark(&self) -> u64 {
        self.doors.lock().connections.get(&self.number).map_or(0, |connection| connection.since)
    }

    /// Begins a piece of work, which lasts until it is dropped.
    pub(crate) fn work(&self) -> Work {
        self.doors.change(self.number, |connection| connection.at_work += 1);
        Work { doors: Arc::clone(&self.doors), number: self.number }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.doors.lock().connections.remove(&self.number);
    }
}

/// A piece of work of a connection.
#[derive(Debug)]
pub(crate) struct Work {
    doors: Arc<Doors>,
    number: u64,
}

impl Work {
    /// Says that some of it was done.
    pub(crate) fn goes_on(&self) {
        self.doors.change(self.number, |_| {});
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.doors.change(self.number, |connection| connection.at_work = connection.at_work.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_makes_room() {
        let doors = Doors::new(3);
        let (one, two, three) = (doors.enter().unwrap(), doors.enter().unwrap(), doors.enter().unwrap());
        drop(one.work());
        let working = two.work();
        let four = doors.enter().unwrap();
        let left = [&one, &two, &three, &four].map(|visitor| visitor.leave().is_cancelled());
        assert_eq!(left, [false, false, true, false], "the first did something after the third came");
        let _all = [one.work(), four.work()];
        assert!(doors.enter().is_none(), "whoever is at work stays");
        let mark = two.mark();
        working.goes_on();
        assert_ne!(two.mark(), mark);
        drop(working);
        let five = doors.enter().unwrap();
        assert!(two.leave().is_cancelled());
        drop((two, three, four));
        assert!(doors.enter().is_some() && !five.leave().is_cancelled());
    }
}
