//! Work on as many threads as there are processors. Nothing that is made depends on which thread made it, or when.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Below so many elements of a list another thread costs more than it saves.
const ELEMENTS_A_THREAD: usize = 4096;

/// Does two things at once. Neither depends on the other.
pub(crate) fn at_once<A, B: Send>(one: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> (A, B) {
    std::thread::scope(|scope| {
        let other = scope.spawn(other);
        let one = one();
        (one, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// What pieces of work come to, in the order of their numbers; each is done by whichever thread is free.
pub(crate) fn pieces<T: Send>(count: usize, make: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let work = || {
        let number = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < count);
        std::iter::from_fn(number).map(|number| (number, make(number))).collect::<Vec<_>>()
    };
    let mut made = std::thread::scope(|scope| {
        let others: Vec<_> = (1..std::cmp::min(threads(), count)).map(|_| scope.spawn(work)).collect();
        let mut made = work();
        for other in others {
            made.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        made
    });
    made.sort_unstable_by_key(|(number, _)| *number);
    made.into_iter().map(|(_, one)| one).collect()
}

/// Changes a list in pieces, each by a thread: (number of the first element, the piece).
pub(crate) fn change<T: Send>(list: &mut [T], piece: impl Fn(usize, &mut [T]) + Sync) {
    let size = std::cmp::max(list.len().div_ceil(threads()), ELEMENTS_A_THREAD);
    if list.len() <= size {
        return piece(0, list);
    }
    let piece = &piece;
    std::thread::scope(|scope| {
        for (number, part) in list.chunks_mut(size).enumerate() {
            scope.spawn(move || piece(number * size, part));
        }
    });
}

/// Computes every element from its number.
pub(crate) fn fill<T: Send>(out: &mut [T], make: impl Fn(usize) -> T + Sync) {
    change(out, |first, piece| {
        for (at, one) in piece.iter_mut().enumerate() {
            *one = make(first + at);
        }
    });
}

/// Sorts by a key, on two threads when there is much: what belongs before the middle and what belongs after it, each by
/// itself.
pub(crate) fn sort<T: Send, K: Ord>(list: &mut [T], key: impl Fn(&T) -> K + Sync) {
    let middle = list.len() / 2;
    if threads() < 2 || middle < ELEMENTS_A_THREAD {
        return list.sort_unstable_by_key(key);
    }
    let (left, _, right) = list.select_nth_unstable_by_key(middle, &key);
    std::thread::scope(|scope| {
        scope.spawn(|| left.sort_unstable_by_key(&key));
        right.sort_unstable_by_key(&key);
    });
}

/// Threads that are worth having. The system is asked once: it reads files to find out, which takes longer than the
/// tree of an account.
fn threads() -> usize {
    static THREADS: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get));
    *THREADS
}

#[cfg(test)]
mod tests {
    use super::{change, fill, pieces, sort};

    #[test]
    fn what_is_sorted_on_two_threads_is_in_order() {
        let drawn = |number: u32| alloy_primitives::keccak256(number.to_be_bytes());
        for count in [0, 1, 2, 8191, 8192, 20_001] {
            let mut list: Vec<_> = (0..count).map(drawn).collect();
            let mut expected = list.clone();
            expected.sort_unstable();
            sort(&mut list, |one| *one);
            assert_eq!(list, expected, "{count}");
        }
    }

    #[test]
    fn every_element_and_every_piece_is_made_once_and_in_its_place() {
        for count in [0, 1, 4096, 4097, 30_001] {
            let mut list = vec![0; count];
            fill(&mut list, |number| number + 1);
            change(&mut list, |first, piece| {
                for (at, one) in piece.iter_mut().enumerate() {
                    assert_eq!(*one, first + at + 1);
                    *one *= 2;
                }
            });
            assert_eq!(list, (0..count).map(|number| 2 * (number + 1)).collect::<Vec<_>>());
            assert_eq!(pieces(count, |number| number * 3), (0..count).map(|number| number * 3).collect::<Vec<_>>());
        }
    }
}
