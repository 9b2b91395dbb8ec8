//! Real data that nobody on this project wrote: it lies beside the project and is not a part of it.

/// A file of the folder `shared/data` beside the project. `None`, with a printed line, where the folder is absent:
/// the test is skipped.
///
/// # Panics
/// When it is absent and the environment names `CI`.
#[must_use]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub fn shared(name: &str) -> Option<Vec<u8>> {
    let file = std::fs::read(crate::generated::root().join("../shared/data").join(name)).ok();
    if file.is_none() {
        assert!(std::env::var_os("CI").is_none(), "../shared/data/{name} is not here");
        eprintln!("skipped: ../shared/data/{name} is not here");
    }
    file
}
