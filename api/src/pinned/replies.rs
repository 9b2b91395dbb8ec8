//! Whole answers of a snapshot. A snapshot does not change, so neither does what was answered from nothing else: whoever
//! asks the same again is given the same, without running it.

use std::sync::Arc;

use crate::kept::Kept;

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
pub(crate) type Replies = Kept<Arc<Reply>>;

/// None yet, and never more than so many bytes of them.
pub(super) fn none(bytes_max: usize) -> Replies {
    Kept::new(bytes_max, REPLY_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(bytes: usize) -> Reply {
        Reply { body: "a".repeat(bytes), tag: None, fixed: false }
    }

    fn keep(replies: &Replies, asked: &str, bytes: usize) {
        replies.keep(asked.to_owned(), Arc::new(reply(bytes)), bytes);
    }

    #[test]
    fn replies_are_kept_within_their_bytes() {
        let replies = none(1_000);
        keep(&replies, "one", 400);
        assert_eq!(replies.get("one").as_deref(), Some(&reply(400)));
        assert_eq!(replies.get("two"), None);
        keep(&replies, "large", 2_000);
        assert_eq!((replies.get("large"), replies.get("one").is_some()), (None, true));
        keep(&replies, "two", 400);
        keep(&replies, "three", 400);
        assert_eq!((replies.get("one"), replies.get("three").is_some()), (None, true));
        assert!(replies.bytes() <= 1_000);
        let nothing = none(0);
        keep(&nothing, "one", 1);
        assert_eq!(nothing.get("one"), None);
    }
}
