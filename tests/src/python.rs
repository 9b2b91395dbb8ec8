//! Python's readers and engines, as `tests/install.sh` prepared them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::generated::root;

/// The interpreter: `TESTS_PYTHON`, else the one in the cache.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "tests/run says where the installed readers are")]
pub fn python() -> PathBuf {
    let cache = || {
        let home = std::env::var("HOME").unwrap_or_default();
        let cache = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
        PathBuf::from(cache).join("tributary/venv/bin/python")
    };
    std::env::var("TESTS_PYTHON").map_or_else(|_| cache(), PathBuf::from)
}

/// A script of `tests/python` with its arguments, not started yet.
#[must_use]
pub fn script(name: &str, arguments: &[&Path]) -> Command {
    let mut command = Command::new(python());
    command.arg(root().join("tests/python").join(name)).args(arguments);
    command
}
