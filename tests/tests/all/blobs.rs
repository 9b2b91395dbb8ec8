//! The archive outlives EigenDA: what a follower archived is verified, carried to another folder, and served from
//! there on the proxy's routes to the program's own reader of proxies.

use alloy_primitives::{B256, hex, keccak256};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_api::ApiConfig;
use tributary_indexer::blob::{BlobSource as _, Judge, Lack, NotFound, Proxies, Reference};
use tributary_indexer::clock::ManualClock;
use tributary_store::Lake;
use tributary_tests::program::{json, run, run_demo};

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Exit code, what was printed, what was said.
fn ended(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(arguments).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn place(data: &Path, hash: B256) -> PathBuf {
    let name = hex::encode(hash);
    data.join("blobs").join(&name[..2]).join(name)
}

/// Files of a folder by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|one| (one.file_name().into_string().unwrap(), std::fs::read(one.path()).unwrap())).collect()
}

/// Serves a data folder on loopback; the address.
async fn serve(data: &Path, tasks: &mut JoinSet<()>) -> reqwest::Url {
    let lake = Lake::open(data).await.unwrap();
    let served = tributary_api::serve(ApiConfig::default(), lake, data.to_owned(), None, CancellationToken::new());
    let bound = served.await.unwrap();
    let url = format!("http://{}", bound.addr).parse().unwrap();
    tasks.spawn(async move { bound.run.await.unwrap() });
    url
}

async fn fetch(proxies: &Proxies, hash: B256) -> Result<Vec<u8>, NotFound> {
    let found = proxies.fetch(&Reference::Content(hash), None, &Judge::default()).await;
    found.map(|(found, _)| found.bytes.unwrap())
}

#[tokio::test]
async fn an_archive_is_exported_imported_and_served_to_another_follower() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out, other] = ["data", "out", "other"].map(|name| folder.path().join(name));
    let demo = run_demo(12, 60, "", &data);
    let verified = json(&["blobs", "verify", "--json", "--data-dir", &text(&data)]);
    assert!(verified["verified"] == true && verified["blobs"].as_u64().unwrap() > 0, "{verified} {demo}");

    let exported = json(&["blobs", "export", "--json", "--out", &text(&out), "--data-dir", &text(&data)]);
    assert_eq!((&exported["blobs"], &exported["bytes"]), (&verified["blobs"], &verified["bytes"]));
    let bundle = files(&out);
    let all: Vec<String> = bundle.keys().map(|name| text(&out.join(name))).collect();
    let (records, bundle): (BTreeMap<_, _>, BTreeMap<_, _>) =
        bundle.into_iter().partition(|(name, _)| name.ends_with(".json"));
    assert_eq!(u64::try_from(bundle.len()).unwrap(), verified["blobs"]);
    assert_eq!(u64::try_from(records.len()).unwrap(), verified["commitments"]);
    let names: Vec<&str> = all.iter().map(String::as_str).collect();
    let dir = text(&other);
    let import = [&["blobs", "import", "--json", "--data-dir", &dir], names.as_slice()].concat();
    for is_new in [true, false] {
        let imported = json(&import);
        for ((name, bytes), got) in bundle.iter().zip(imported["blobs"].as_array().unwrap()) {
            assert_eq!(*name, keccak256(bytes).to_string());
            assert_eq!((&got["hash"], &got["new"]), (&Value::from(name.as_str()), &Value::from(is_new)));
        }
    }
    assert_eq!(json(&["blobs", "verify", "--json", "--data-dir", &dir]), verified);

    let mut tasks = JoinSet::new();
    let url = serve(&other, &mut tasks).await;
    let proxies = Proxies::new(std::slice::from_ref(&url), Arc::new(ManualClock::at(0))).unwrap();
    for bytes in bundle.values() {
        let hash = keccak256(bytes);
        assert_eq!(fetch(&proxies, hash).await.unwrap(), *bytes);
        let plain = reqwest::get(format!("{url}get/0x00{hash:x}")).await.unwrap();
        assert_eq!(plain.bytes().await.unwrap(), *bytes);
    }
    assert_eq!(fetch(&proxies, B256::ZERO).await.unwrap_err().lack, Lack::Absent);
    let hash = keccak256(bundle.values().next().unwrap());
    std::fs::write(place(&other, hash), b"damaged").unwrap();
    let refused = fetch(&proxies, hash).await.unwrap_err();
    assert!(refused.lack == Lack::Trouble && refused.reason.contains("status 500"), "{}", refused.reason);
}

#[test]
fn damage_is_named_kept_out_of_an_export_and_mended_by_an_import() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "out"].map(|name| folder.path().join(name));
    let (dir, bundle) = (text(&data), text(&out));
    let sources = ["one", "two", "three"].map(|name| {
        let file = folder.path().join(name);
        std::fs::write(&file, name).unwrap();
        text(&file)
    });
    let [one, two, three] = ["one", "two", "three"].map(keccak256);
    let (code, printed, _) = ended(&["blobs", "import", &sources[0], &sources[1], &sources[2], "--data-dir", &dir]);
    assert_eq!((code, printed), (Some(0), format!("{one}\n{two}\n{three}\n")));
    let verify = ["blobs", "verify", "--data-dir", &dir];
    assert_eq!(ended(&verify).1, "verified 3 blobs, 11 bytes, 0 commitments\n");

    std::fs::write(place(&data, two), "tw0").unwrap();
    let differs = format!("blob {two} hashes to {}", keccak256("tw0"));
    let export = ["blobs", "export", "--out", &bundle, "--data-dir", &dir];
    let done = [
        "verified 2 blobs, 8 bytes, 0 commitments\n".to_owned(),
        format!("exported 2 blobs, 8 bytes, 0 commitments to {bundle}\n"),
    ];
    for (command, done) in [&verify[..], &export].into_iter().zip(done) {
        let (code, printed, said) = ended(command);
        assert_eq!((code, printed), (Some(3), format!("{differs}\n{done}")));
        assert!(said.contains(&format!("1 blobs differ; the first: {differs}")), "{said}");
    }
    let expected = [(one.to_string(), b"one".to_vec()), (three.to_string(), b"three".to_vec())];
    assert_eq!(files(&out), BTreeMap::from(expected));
    assert_eq!(ended(&["blobs", "import", &sources[1], "--data-dir", &dir]).0, Some(0));
    assert_eq!(ended(&[&export[..], &["--hash", &two.to_string()]].concat()).0, Some(0));
    assert_eq!(ended(&verify).0, Some(0));

    // An exported file that was damaged on its way is not taken for another blob.
    let carried = out.join(two.to_string());
    std::fs::write(&carried, "tw0").unwrap();
    let nowhere = text(&folder.path().join("nowhere"));
    let zero = B256::ZERO.to_string();
    let cases: [(&[&str], i32, &str); 8] = [
        (&["import", &text(&carried), "--data-dir", &dir], 3, "not to its name"),
        (&["import", "--data-dir", &dir], 2, "FILE"),
        (&["import", &nowhere, "--data-dir", &dir], 1, "reading"),
        (&["import", &bundle, "--data-dir", &dir], 1, "reading"),
        (&["import", "/dev/zero", "--data-dir", &dir], 1, "more than 16777216 bytes"),
        (&["export", "--out", &bundle, "--hash", "0x12", "--data-dir", &dir], 2, "--hash"),
        (&["export", "--out", &bundle, "--hash", &zero, "--data-dir", &dir], 1, &zero),
        (&["verify", "--data-dir", &nowhere], 6, "no archive of blobs"),
    ];
    for (arguments, expected, reason) in cases {
        let (code, printed, said) = ended(&[&["blobs"], arguments].concat());
        assert_eq!((code, printed.as_str()), (Some(expected), ""), "{arguments:?}: {said}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
    assert!(!folder.path().join("nowhere").try_exists().unwrap());
    assert_eq!(json(&["blobs", "verify", "--json", "--data-dir", &dir])["blobs"], 3);
    assert!(ended(&["blobs", "import", "--help"]).1.contains("safe beside a running"), "the manual is printed");
}
