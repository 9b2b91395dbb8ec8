//! `tributary blobs`: the archive of blobs, verified, exported and added to by hand. No lock is taken: reading needs
//! none, and what is written is named by its content.
//!
//! A bundle is a folder of blobs named by their hash, and beside them, as `<keccak256 of the commitment>.json`, what is
//! known of each by its certificate, with the proof that its bytes are what was committed to.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use alloy_primitives::{B256, keccak256};
use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use tributary_indexer::blob::recheck;
use tributary_schemas::eigenda::router::CertStatus;
use tributary_store::{Archive, ArchiveReader, BLOB_BYTES_MAX, BlobRecord, StoreError};

use crate::arguments::{Blobs, BlobsExport, BlobsImport, BlobsVerify};
use crate::config::Config;
use crate::failure::{Exit, Failure, OrExit as _};
use crate::output;

/// Runs a command of `blobs`. At most one blob is in memory at a time.
pub(crate) fn blobs(config: &Config, arguments: &Blobs) -> Result<ExitCode, Failure> {
    let dir = &config.storage.data_dir;
    match arguments {
        Blobs::Import(arguments) => import(&Archive::open(dir).or_exit(Exit::Store)?, arguments),
        Blobs::Export(arguments) => export(&existing(dir)?, arguments),
        Blobs::Verify(arguments) => verify(&existing(dir)?, arguments),
    }
}

/// The archive of a folder that has one: a mistyped folder is not an empty archive.
fn existing(dir: &Path) -> Result<ArchiveReader, Failure> {
    if dir.join("blobs").try_exists().or_exit(Exit::Store)? {
        return Ok(ArchiveReader::new(dir));
    }
    Err(Failure::new(Exit::Store, anyhow!("{} is no data folder: it has no archive of blobs", dir.display())))
}

fn import(archive: &Archive, arguments: &BlobsImport) -> Result<ExitCode, Failure> {
    let mut blobs = Vec::new();
    // Records after the bytes they are about.
    let is_record = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "json");
    for file in arguments.files.iter().filter(|file| !is_record(file)) {
        let bytes = payload(file)?;
        let hash = keccak256(&bytes);
        let name = file.file_name().and_then(|name| name.to_str());
        if let Some(claimed) = name.and_then(|name| name.parse::<B256>().ok())
            && claimed != hash
        {
            let differs = anyhow!("{} hashes to {hash}, not to its name: it is not archived", file.display());
            return Err(Failure::new(Exit::Difference, differs));
        }
        let (hash, is_new) = archive.put(&bytes).or_exit(Exit::Store)?;
        if arguments.json {
            blobs
                .push(json!({ "hash": hash, "file": file.display().to_string(), "bytes": bytes.len(), "new": is_new }));
        } else {
            output::result(&hash.to_string());
        }
    }
    let mut commitments = Vec::new();
    for file in arguments.files.iter().filter(is_record) {
        let Some(record) = import_record(archive, file)? else {
            output::say(&format!("{}: void by L1's word alone, which is not taken over", file.display()));
            continue;
        };
        if arguments.json {
            let (key, file) = (record.key(), file.display().to_string());
            commitments.push(json!({ "commitment_hash": key, "file": file, "level": record.level }));
        } else {
            output::result(&record.key().to_string());
        }
    }
    if arguments.json {
        output::json(&json!({ "blobs": blobs, "commitments": commitments }))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes a record that holds with the archived bytes. What somebody else's L1 answered is not taken over.
fn import_record(archive: &Archive, file: &Path) -> Result<Option<BlobRecord>, Failure> {
    let reading = || format!("reading {}", file.display());
    let record: BlobRecord = serde_json::from_slice(&payload(file)?).with_context(reading)?;
    if record.answer.is_some_and(CertStatus::is_void) {
        return Ok(None);
    }
    let bytes = match &record.content {
        Some(content) => archive.get(content.hash).or_exit(Exit::Store)?,
        None => None,
    };
    let record = without_answer(record);
    recheck(&record, bytes.as_deref())
        .map_err(|why| Failure::new(Exit::Difference, anyhow!("{}: {why}: it is not archived", file.display())))?;
    let known = archive.known(record.key()).or_exit(Exit::Store)?;
    if known.is_none() {
        archive.record(&record).or_exit(Exit::Store)?;
    }
    Ok(Some(known.unwrap_or(record)))
}

/// A record as it was before L1 was asked.
fn without_answer(mut record: BlobRecord) -> BlobRecord {
    if record.answer.take().is_some() && record.level == "L3" {
        "L2".clone_into(&mut record.level);
    }
    record
}

/// The bytes of a file, if it is one and no longer than a blob can be.
fn payload(file: &Path) -> Result<Vec<u8>, Failure> {
    let reading = || format!("reading {}", file.display());
    let opened = File::open(file).with_context(reading)?;
    let mut bytes = Vec::new();
    let most = u64::try_from(BLOB_BYTES_MAX)?;
    opened.take(most + 1).read_to_end(&mut bytes).with_context(reading)?;
    if bytes.len() > BLOB_BYTES_MAX {
        let large = "is no blob: expected at most that, the largest of EigenDA";
        return Err(anyhow!("{} has more than {BLOB_BYTES_MAX} bytes and {large}", file.display()).into());
    }
    Ok(bytes)
}

fn export(archive: &ArchiveReader, arguments: &BlobsExport) -> Result<ExitCode, Failure> {
    let mut tally = Tally::new(arguments.json);
    let write = |hash| archive.export(hash, &arguments.out);
    if arguments.hashes.is_empty() {
        for hash in archive.hashes() {
            tally.count(write(hash.or_exit(Exit::Store)?))?;
        }
        for key in archive.keys() {
            let key = key.or_exit(Exit::Store)?;
            if archive.export_record(key, &arguments.out).or_exit(Exit::Store)? {
                tally.commitments += 1;
            }
        }
    }
    for hash in &arguments.hashes {
        if !tally.count(write(*hash))? {
            return Err(anyhow!("blob {hash} is not in the archive").into());
        }
    }
    tally.finish("exported", &format!("to {}", arguments.out.display()))
}

fn verify(archive: &ArchiveReader, arguments: &BlobsVerify) -> Result<ExitCode, Failure> {
    walked(archive, Tally::new(arguments.json))?.finish("verified", "")
}

/// What differs in the archive of a data folder.
pub(crate) fn damaged(dir: &Path) -> Result<Vec<String>, Failure> {
    // As for programs: nothing is printed on the way.
    let tally = walked(&ArchiveReader::new(dir), Tally::new(true))?;
    Ok(tally.differences.iter().map(ToString::to_string).collect())
}

/// Hashes every blob again, and checks every record again.
fn walked(archive: &ArchiveReader, mut tally: Tally) -> Result<Tally, Failure> {
    for hash in archive.hashes() {
        tally.count(archive.check(hash.or_exit(Exit::Store)?))?;
    }
    for key in archive.keys() {
        let key = key.or_exit(Exit::Store)?;
        let Some(record) = archive.known(key).or_exit(Exit::Store)? else {
            tally.differs(key, "its record cannot be read");
            continue;
        };
        let bytes = match &record.content {
            // Damage was counted above.
            Some(content) => archive.get(content.hash).ok().flatten(),
            None => None,
        };
        match recheck(&record, bytes.as_deref()) {
            Ok(()) => tally.commitments += 1,
            Err(why) => tally.differs(key, &why),
        }
    }
    Ok(tally)
}

/// What a walk through the archive found.
struct Tally {
    json: bool,
    blobs: u64,
    bytes: u64,
    commitments: u64,
    differences: Vec<Value>,
    first: Option<String>,
}

impl Tally {
    const fn new(json: bool) -> Self {
        Self { json, blobs: 0, bytes: 0, commitments: 0, differences: Vec::new(), first: None }
    }

    /// Counts a blob, or names it when it is damaged; `false` when it is not there.
    fn count(&mut self, outcome: Result<Option<u64>, StoreError>) -> Result<bool, Failure> {
        match outcome {
            Ok(None) => return Ok(false),
            Ok(Some(bytes)) => {
                self.blobs += 1;
                self.bytes += bytes;
            }
            Err(StoreError::BlobDamaged { hash, got }) => {
                let differs = StoreError::BlobDamaged { hash, got }.to_string();
                if !self.json {
                    output::result(&differs);
                }
                self.differences.push(json!({ "blob": hash, "hashes_to": got }));
                self.first.get_or_insert(differs);
            }
            Err(error) => return Err(Failure::new(Exit::Store, error)),
        }
        Ok(true)
    }

    /// Names a commitment of which something does not hold.
    fn differs(&mut self, key: B256, why: &str) {
        let differs = format!("commitment {key}: {why}");
        if !self.json {
            output::result(&differs);
        }
        self.differences.push(json!({ "commitment_hash": key, "why": why }));
        self.first.get_or_insert(differs);
    }

    /// Says what was done; exit 3 when a blob differed.
    fn finish(self, done: &str, place: &str) -> Result<ExitCode, Failure> {
        let Self { blobs, bytes, commitments, differences, .. } = self;
        let differing = differences.len();
        if self.json {
            output::json(&json!({
                done: differing == 0, "blobs": blobs, "bytes": bytes, "commitments": commitments,
                "differences": differences,
            }))?;
        } else {
            output::result(
                format!("{done} {blobs} blobs, {bytes} bytes, {commitments} commitments {place}").trim_end(),
            );
        }
        let Some(first) = self.first else { return Ok(ExitCode::SUCCESS) };
        Err(Failure::new(Exit::Difference, anyhow!("{differing} blobs differ; the first: {first}")))
    }
}
