//! Files of the shared vectors, for the tests of this module.

use super::report::bytes_of;

/// A file of real data as bytes (hex text is decoded), or `None` with a printed line where the folder is absent.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(super) fn vector(name: &str) -> Option<Vec<u8>> {
    text(name).map(|text| bytes_of(&text)).or_else(|| {
        eprintln!("skipped: ../shared/data/eigenda/{name} is not here");
        None
    })
}

/// A file of real data that is JSON.
pub(super) fn expected(name: &str) -> Option<serde_json::Value> {
    text(name).map(|text| serde_json::from_slice(&text).unwrap())
}

fn text(name: &str) -> Option<Vec<u8>> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/eigenda").join(name);
    let text = std::fs::read(&path).ok();
    assert!(text.is_some() || std::env::var_os("CI").is_none(), "{} is not here", path.display());
    text
}
