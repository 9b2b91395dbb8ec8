//! API keys, as an operator makes and revokes them.

use tributary_tests::program::{json, run};

#[test]
fn a_key_is_shown_once_listed_without_its_secret_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display().to_string();
    let made = json(&["key", "create", "ann's notebook", "--json", "--data-dir", &dir]);
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("trib_") && secret.len() == 69, "{secret}");
    let other = json(&["key", "create", "bob", "--json", "--data-dir", &dir]);
    assert_ne!(made["secret"], other["secret"]);
    let listed = || json(&["key", "list", "--json", "--data-dir", &dir]);
    assert_eq!((listed()[0]["name"].as_str(), listed()[0]["revoked"].as_bool()), (Some("ann's notebook"), Some(false)));
    let id = made["id"].as_str().unwrap();
    assert_eq!(run(&["key", "revoke", id, "--data-dir", &dir]).unwrap().status.code(), Some(0));
    assert_eq!((listed()[0]["revoked"].as_bool(), listed()[1]["revoked"].as_bool()), (Some(true), Some(false)));
    let kept = std::fs::read_to_string(folder.path().join("keys.json")).unwrap();
    assert!(!kept.contains(secret), "the secret is kept: {kept}");
    let unknown = run(&["key", "revoke", "nobody", "--data-dir", &dir]).unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("key list"));
}
