//! Whole answers of a snapshot. A snapshot does not change, so neither does what was answered from nothing else: whoever
//! asks the same again is given the same, without running it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Larger answers are not kept.
const REPLY_BYTES_MAX: usize = 256 << 10;

/// An answer without errors, for whoever asks the same.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The body, up to the id of the request that it is given to.
    pub(crate) body: String,
    /// The name of what it says; only where it is asked for by its address.
    pub(crate) tag: Option<String>,
    /// Whether nothing that comes can change it.
    pub(crate) fixed: bool,
}

/// Answers by what was asked.
#[derive(Debug)]
pub(crate) struct Replies {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    replies: BTreeMap<String, Arc<Reply>>,
}

impl Replies {
    /// None yet; those of before are forgotten when there are more than so many bytes of them.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, kept: Mutex::default() }
    }

    /// What was answered.
    pub(crate) fn get(&self, asked: &str) -> Option<Arc<Reply>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).replies.get(asked).cloned()
    }

    /// Keeps an answer.
    pub(crate) fn keep(&self, asked: String, reply: Reply) {
        let bytes = asked.len().saturating_add(reply.body.len());
        if bytes > std::cmp::min(REPLY_BYTES_MAX, self.bytes_max) {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes.saturating_add(bytes) > self.bytes_max {
            *kept = Kept::default();
        }
        // Two that asked at once were told the same.
        if kept.replies.insert(asked, Arc::new(reply)).is_none() {
            kept.bytes = kept.bytes.saturating_add(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(bytes: usize) -> Reply {
        Reply { body: "a".repeat(bytes), tag: None, fixed: false }
    }

    #[test]
    fn replies_are_kept_within_their_bytes() {
        let replies = Replies::new(1_000);
        replies.keep("one".to_owned(), reply(400));
        assert_eq!(replies.get("one").as_deref(), Some(&reply(400)));
        assert_eq!(replies.get("two"), None);
        replies.keep("large".to_owned(), reply(2_000));
        assert_eq!((replies.get("large"), replies.get("one").is_some()), (None, true));
        replies.keep("two".to_owned(), reply(400));
        replies.keep("three".to_owned(), reply(400));
        assert_eq!((replies.get("one"), replies.get("three").is_some()), (None, true));
        assert!(replies.kept.lock().unwrap().bytes <= 1_000);
        let none = Replies::new(0);
        none.keep("one".to_owned(), reply(1));
        assert_eq!(none.get("one"), None);
    }
}
