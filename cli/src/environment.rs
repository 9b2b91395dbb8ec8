//! What comes from outside the arguments: the environment and the clock. Nothing else reads them.

use std::collections::BTreeMap;

/// The variables that concern us.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub(crate) fn variables() -> BTreeMap<String, String> {
    std::env::vars().filter(|(name, _)| name.starts_with("TRIBUTARY_")).collect()
}

/// A moment to measure from.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}
