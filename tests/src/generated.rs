//! Files that are made from the code and committed, so that a change of a contract shows as a difference in review.

use std::path::{Path, PathBuf};

/// The root of the project.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Every generated file: its path from the root and its content.
///
/// # Errors
/// When the program, whose help is one of them, is not built beside this one.
pub fn files() -> std::io::Result<Vec<(String, String)>> {
    let tables = tributary_schemas::facts::all().into_iter().chain(tributary_schemas::money::all());
    let mut index = String::from(
        "# Tables\n\nGenerated from the doc comments of `schemas/src/facts.rs` and `schemas/src/money.rs`.\n\n| table | holds |\n|---|---|\n",
    );
    let mut out = Vec::new();
    for table in tables {
        index.push_str(&format!("| [{0}]({0}.md) | {1} |\n", table.name, table.doc));
        out.push((format!("schemas/tables/{}.md", table.name), table.markdown()));
    }
    index.push_str("\nSome have rows of blocks that are not sealed yet, too: [hot.md](hot.md).\n");
    out.push(("schemas/tables/README.md".to_owned(), index));
    out.push(("schemas/tables/hot.md".to_owned(), tributary_schemas::hot::markdown()));
    let mapping = format!("{:#}\n", tributary_indexer::mapping::json_schema());
    out.push(("schemas/mapping/mapping.schema.json".to_owned(), mapping));
    out.push(("schemas/graphql/schema.graphql".to_owned(), tributary_api::sdl()));
    out.push(("cli/HELP.md".to_owned(), crate::manual::markdown()?));
    Ok(out)
}

/// The generated files that differ from what is committed.
pub fn stale() -> std::io::Result<Vec<String>> {
    let mut stale = Vec::new();
    for (path, content) in files()? {
        let committed = match std::fs::read_to_string(root().join(&path)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if committed.as_deref() != Some(content.as_str()) {
            stale.push(path);
        }
    }
    Ok(stale)
}
