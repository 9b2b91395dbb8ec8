//! Blobs behind certificates, from the embedded chain's events to rows with their levels.

use tributary_devnet::L1_CHAIN_ID;
use tributary_schemas::eigenda::Commitment;

use super::*;
use crate::{CertificateOptions, Points, VerifierOptions};

/// Judges as the embedded EigenDA has it; with `asked`, its verifier on L1 is asked about stake.
fn judged(devnet: &Devnet, dir: &Path, until: u64, asked: bool) -> IndexerConfig {
    let l1 = vec![devnet.l1_http().parse().unwrap()];
    let verifier = VerifierOptions { l1, l1_chain_id: L1_CHAIN_ID, router: devnet.eigenda_router() };
    let certificates = CertificateOptions {
        points: Points::known_tau(devnet.tau()),
        verifier: asked.then_some(verifier),
        ..CertificateOptions::default()
    };
    IndexerConfig { certificates, ..config(devnet, dir, Until::Final(until)) }
}

async fn follow(devnet: &Devnet, dir: &Path, until: u64, asked: bool) -> Outcome {
    index_with(judged(devnet, dir, until, asked), dir).await
}

fn certified(seed: u64, faults: &[Fault]) -> DevnetConfig {
    DevnetConfig { certificates: true, ..devnet_config(seed, faults) }
}

/// The row of each batch's blob.
async fn rows(dir: &Path) -> BTreeMap<String, BlobRow> {
    let rows = read::<BlobRow>(dir).await.into_iter();
    rows.filter(|row| row.owner_kind == "batch").map(|row| (row.payload_hash.clone().unwrap(), row)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_blob_has_the_levels_its_certificate_reaches() {
    let (devnet, last) = start(certified(21, &[])).await;
    let dir = tempfile::tempdir().unwrap();
    let outcome = follow(&devnet, dir.path(), last, true).await;
    assert_eq!(outcome.sealed.map(|block| block.number), Some(last), "{:?}", outcome.progress);
    let rows = rows(dir.path()).await;
    let mut seen = BTreeSet::new();
    for batch in devnet.truth().batches {
        let row = &rows[&tributary_schemas::column::hex_text(batch.payload_hash)];
        let levels = (row.form.as_str(), row.status.as_str(), row.level.as_deref(), row.data_level.as_deref());
        let expected = match batch.make {
            Make::Unparsable => ("unknown", "void", None, None),
            Make::WrongProof => ("certificate", "void", Some("L0"), None),
            Make::ForeignSignature => ("certificate", "void", Some("L1"), None),
            Make::ForeignOperators => ("certificate", "void", Some("L2"), None),
            Make::Undecodable => ("certificate", "void", Some("L3"), None),
            make => {
                let status = if make == Make::Sound { "verified" } else { "void" };
                let level = if batch.reference[0] == 0 { "content" } else { "L3" };
                (if level == "L3" { "certificate" } else { "keccak" }, status, Some(level), Some("D2"))
            }
        };
        assert_eq!(levels, expected, "{:?} {row:?}", batch.make);
        assert_eq!(row.trust, "full");
        assert_eq!(row.detail.is_some(), row.status == "void", "{row:?}");
        seen.insert((row.level.clone(), row.cert_version));
    }
    for version in [2, 3, 4] {
        assert!(seen.contains(&(Some("L3".to_owned()), Some(version))), "{seen:?}");
    }
    // Nobody was asked: what only L1 tells apart is taken, and says so.
    let alone = tempfile::tempdir().unwrap();
    let outcome = follow(&devnet, alone.path(), last, false).await;
    assert_eq!(outcome.sealed.map(|block| block.number), Some(last), "{:?}", outcome.progress);
    let found: Vec<BlobRow> = self::rows(alone.path()).await.into_values().collect();
    let unverified: Vec<&BlobRow> = found.iter().filter(|row| row.trust == "unverified").collect();
    assert!(!unverified.is_empty());
    assert!(unverified.iter().all(|row| row.level.as_deref() == Some("L2") && row.form == "certificate"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn liars_a_failing_verifier_and_a_lost_tail_change_nothing() {
    let (devnet, last) = start(certified(22, &[])).await;
    let plain = tempfile::tempdir().unwrap();
    let expected = follow(&devnet, plain.path(), last, true).await;
    assert_eq!(expected.sealed.map(|block| block.number), Some(last), "{:?}", expected.progress);
    // Rebuilt from tables and archive, where nobody is asked again.
    std::fs::remove_dir_all(plain.path().join("tail")).unwrap();
    let rebuilt = index(&devnet, plain.path(), last).await;
    assert_eq!((rebuilt.sealed, rebuilt.log_root), (expected.sealed, expected.log_root));

    let faults = [Fault::VoidClaim, Fault::WrongBlob, Fault::VerifierDown, Fault::CorruptBlob];
    let (devnet, last) = start(certified(22, &faults)).await;
    let dir = tempfile::tempdir().unwrap();
    let lied_to = follow(&devnet, dir.path(), last, true).await;
    assert_eq!((lied_to.sealed, lied_to.log_root), (expected.sealed, expected.log_root));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_archived_is_checked_again_without_srs_or_network() {
    let (devnet, last) = start(certified(23, &[])).await;
    let dir = tempfile::tempdir().unwrap();
    follow(&devnet, dir.path(), last, true).await;
    drop(devnet);
    let archive = Archive::open(dir.path()).unwrap();
    let keys: Vec<_> = tributary_store::ArchiveReader::new(dir.path()).keys().map(Result::unwrap).collect();
    let mut with_bytes = 0;
    for key in keys {
        let record = archive.known(key).unwrap().unwrap();
        let bytes = record.content.as_ref().map(|content| archive.get(content.hash).unwrap().unwrap());
        recheck(&record, bytes.as_deref()).unwrap();
        let Some(bytes) = bytes else { continue };
        with_bytes += 1;
        if with_bytes > 2 {
            continue;
        }
        let mut other = bytes.clone();
        other.push(1);
        assert!(recheck(&record, Some(&other)).unwrap_err().contains("hash of the bytes"));
        assert!(recheck(&record, None).unwrap_err().contains("not in the archive"));
        // Bytes of another blob with their own hash put in: only the opening tells.
        let mut forged = record.clone();
        let content = forged.content.as_mut().unwrap();
        other.truncate(bytes.len());
        other[0] ^= 1;
        content.hash = alloy_primitives::keccak256(&other);
        assert!(recheck(&forged, Some(&other)).is_err());
        let flipped = |change: &dyn Fn(&mut tributary_store::BlobRecord)| {
            let mut record = record.clone();
            change(&mut record);
            recheck(&record, Some(&bytes))
        };
        assert!(flipped(&|record| "L0".clone_into(&mut record.level)).unwrap_err().contains("level"));
        assert!(flipped(&|record| record.blob_key = None).is_err());
        assert!(flipped(&|record| record.dispersed_by = None).is_err());
        assert!(flipped(&|record| record.length += 1).is_err());
        assert!(flipped(&|record| record.known_tau = None).is_err(), "under the ceremony's setup nothing holds");
    }
    assert!(with_bytes > 5);
}

/// A bucket as proxies keep it: payloads by the hex of keccak256 of the certificate alone, or of their own.
fn bucket(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let archive = tributary_store::ArchiveReader::new(dir);
    let mut objects = BTreeMap::new();
    for hash in archive.hashes().map(Result::unwrap) {
        objects.insert(format!("{hash:x}"), archive.get(hash).unwrap().unwrap());
    }
    for key in archive.keys().map(Result::unwrap) {
        let record = archive.known(key).unwrap().unwrap();
        let Some(content) = record.content.filter(|content| !content.is_encoded) else { continue };
        let commitment = Commitment::read(record.mode, &record.commitment).unwrap();
        let name = alloy_primitives::keccak256(commitment.serialized_certificate().unwrap());
        objects.insert(format!("{name:x}"), archive.get(content.hash).unwrap().unwrap());
    }
    objects
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_has_what_no_proxy_has_any_more() {
    let (devnet, last) = start(certified(24, &[])).await;
    let dir = tempfile::tempdir().unwrap();
    let expected = follow(&devnet, dir.path(), last, true).await;
    let objects = Arc::new(bucket(dir.path()));
    let served = move |axum::extract::Path(key): axum::extract::Path<String>| async move {
        objects.get(&key).cloned().ok_or(axum::http::StatusCode::NOT_FOUND)
    };
    let routes = axum::Router::new().route("/copies/{key}", axum::routing::get(served));
    let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/copies", listener.local_addr().unwrap()).parse().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });

    let again = tempfile::tempdir().unwrap();
    let mut config = judged(&devnet, again.path(), last, true);
    (config.proxies, config.buckets) = (Vec::new(), vec![url]);
    let outcome = index_with(config, again.path()).await;
    // The elements that do not decode are no payload, so a bucket never has them: that batch is missing there.
    let missing = read::<BlobRow>(again.path()).await.into_iter().filter(|row| row.status == "missing").count();
    let undecodable = devnet.truth().batches.iter().filter(|batch| batch.make == Make::Undecodable).count();
    assert_eq!(missing, undecodable);
    assert_eq!(outcome.sealed, expected.sealed);
    assert_eq!(outcome.log_root == expected.log_root, missing == 0);
}
