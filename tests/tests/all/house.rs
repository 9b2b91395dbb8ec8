//! Tests of the house itself: the edges between rooms, the committed generated files, the links in the documents.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use tributary_tests::generated;

/// Which rooms a room may use (normal dependencies).
const EDGES: [(&str, &[&str]); 9] = [
    ("tributary-schemas", &[]),
    ("tributary-store", &["tributary-schemas"]),
    ("tributary-indexer", &["tributary-schemas", "tributary-store"]),
    ("tributary-accounting", &["tributary-schemas", "tributary-store"]),
    ("tributary-api", &["tributary-accounting", "tributary-schemas", "tributary-store"]),
    ("tributary-dashboards", &[]),
    ("tributary-devnet", &["tributary-schemas"]),
    (
        "tributary",
        &[
            "tributary-accounting",
            "tributary-api",
            "tributary-dashboards",
            "tributary-devnet",
            "tributary-indexer",
            "tributary-schemas",
            "tributary-store",
        ],
    ),
    (
        "tributary-tests",
        &[
            "tributary-accounting",
            "tributary-api",
            "tributary-dashboards",
            "tributary-devnet",
            "tributary-indexer",
            "tributary-schemas",
            "tributary-store",
        ],
    ),
];

/// What a room never uses: the invariants that the dependency list keeps.
const NEVER: [(&str, &[&str]); 7] = [
    ("tributary-schemas", &["tokio", "datafusion", "sled", "axum", "reqwest", "object_store"]),
    ("tributary-store", &["datafusion", "axum", "reqwest", "alloy", "async-graphql", "opentelemetry"]),
    ("tributary-indexer", &["datafusion", "axum", "async-graphql", "sled", "opentelemetry"]),
    (
        "tributary-accounting",
        &["alloy", "reqwest", "axum", "async-graphql", "sled", "object_store", "ballista-core", "opentelemetry"],
    ),
    ("tributary-api", &["alloy", "reqwest", "sled", "opentelemetry-otlp"]),
    ("tributary-dashboards", &["axum", "tokio", "datafusion"]),
    ("tributary-devnet", &["datafusion", "sled", "async-graphql"]),
];

fn normal_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline", "--locked"])
        .current_dir(generated::root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let normal =
                dependencies.filter(|one| one["kind"].is_null()).map(|one| one["name"].as_str().unwrap().to_owned());
            (package["name"].as_str().unwrap().to_owned(), normal.collect())
        })
        .collect()
}

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let found = normal_dependencies();
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        EDGES.iter().map(|(room, uses)| (*room, uses.iter().copied().collect())).collect();
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), {
        let mut rooms: Vec<&str> = allowed.keys().copied().collect();
        rooms.sort_unstable();
        rooms
    });
    for (room, dependencies) in &found {
        for dependency in dependencies.iter().filter(|name| name.starts_with("tributary")) {
            assert!(allowed[room.as_str()].contains(dependency.as_str()), "{room} may not use {dependency}");
        }
    }
    for (room, never) in NEVER {
        for name in never {
            assert!(!found[room].contains(*name), "{room} may never use {name}");
        }
    }
}

/// The fuzz targets are a workspace of their own, which no build looks at.
#[test]
fn the_lock_of_the_fuzz_targets_knows_what_the_rooms_use() {
    let text = std::fs::read_to_string(generated::root().join("fuzz/Cargo.lock")).unwrap();
    let lock: toml::Table = toml::from_str(&text).unwrap();
    let used = normal_dependencies();
    let mut rooms = 0;
    for package in lock["package"].as_array().unwrap() {
        let Some(uses) = package["name"].as_str().and_then(|name| used.get(name)) else { continue };
        let locked = package["dependencies"].as_array().unwrap().iter();
        // Where two versions are locked, a name is followed by one.
        let locked: BTreeSet<&str> = locked.filter_map(|name| name.as_str()?.split(' ').next()).collect();
        let unknown: Vec<&String> = uses.iter().filter(|name| !locked.contains(name.as_str())).collect();
        assert!(unknown.is_empty(), "{}: run `cargo metadata` in fuzz/ for {unknown:?}", package["name"]);
        rooms += 1;
    }
    assert_eq!(rooms, 4, "devnet, indexer, schemas, store");
}

#[test]
fn committed_generated_files_are_current() {
    let stale = generated::stale().unwrap();
    assert!(stale.is_empty(), "run `cargo run --profile ci -p tributary-tests --bin generate`: {stale:?}");
}

#[test]
fn documents_are_short_and_their_links_lead_somewhere() {
    let root = generated::root();
    for (name, lines) in [("README.md", 150), ("ARCHITECTURE.md", 300), ("CHANGELOG.md", 300), ("OPERATIONS.md", 150)] {
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        assert!(text.lines().count() <= lines, "{name} has more than {lines} lines");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(root.join(path).try_exists().unwrap(), "{name} links to {path}, which is not there");
        }
    }
}

#[test]
fn architecture_quotes_every_invariant() {
    let text = std::fs::read_to_string(generated::root().join("ARCHITECTURE.md")).unwrap();
    assert_eq!(tributary_schemas::invariant::ALL.len(), 12);
    for invariant in tributary_schemas::invariant::ALL {
        assert!(text.contains(invariant.id), "{} is not in ARCHITECTURE.md", invariant.id);
        assert!(
            text.contains(invariant.holds),
            "ARCHITECTURE.md words {} otherwise: {}",
            invariant.id,
            invariant.holds
        );
    }
}
