//! `tributary blobs`: the archive of blobs, verified, exported and added to by hand. No lock is taken: reading needs
//! none, and what is written is named by its content.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use alloy_primitives::{B256, keccak256};
use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use tributary_schemas::payload_codec::PAYLOAD_BYTES_MAX;
use tributary_store::{Archive, ArchiveReader, StoreError};

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
    for file in &arguments.files {
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
    if arguments.json {
        output::json(&json!({ "blobs": blobs }))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The bytes of a file, if it is one and no longer than a blob can be.
fn payload(file: &Path) -> Result<Vec<u8>, Failure> {
    let reading = || format!("reading {}", file.display());
    let opened = File::open(file).with_context(reading)?;
    let mut bytes = Vec::new();
    let most = u64::try_from(PAYLOAD_BYTES_MAX)?;
    opened.take(most + 1).read_to_end(&mut bytes).with_context(reading)?;
    if bytes.len() > PAYLOAD_BYTES_MAX {
        let large = "is no blob: expected at most that, the largest payload of EigenDA";
        return Err(anyhow!("{} has more than {PAYLOAD_BYTES_MAX} bytes and {large}", file.display()).into());
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
    }
    for hash in &arguments.hashes {
        if !tally.count(write(*hash))? {
            return Err(anyhow!("blob {hash} is not in the archive").into());
        }
    }
    tally.finish("exported", &format!("to {}", arguments.out.display()))
}

fn verify(archive: &ArchiveReader, arguments: &BlobsVerify) -> Result<ExitCode, Failure> {
    let mut tally = Tally::new(arguments.json);
    for hash in archive.hashes() {
        tally.count(archive.check(hash.or_exit(Exit::Store)?))?;
    }
    tally.finish("verified", "")
}

/// What a walk through the archive found.
struct Tally {
    json: bool,
    blobs: u64,
    bytes: u64,
    differences: Vec<Value>,
    first: Option<StoreError>,
}

impl Tally {
    const fn new(json: bool) -> Self {
        Self { json, blobs: 0, bytes: 0, differences: Vec::new(), first: None }
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
                let differs = StoreError::BlobDamaged { hash, got };
                if !self.json {
                    output::result(&differs.to_string());
                }
                self.differences.push(json!({ "blob": hash, "hashes_to": got }));
                self.first.get_or_insert(differs);
            }
            Err(error) => return Err(Failure::new(Exit::Store, error)),
        }
        Ok(true)
    }

    /// Says what was done; exit 3 when a blob differed.
    fn finish(self, done: &str, place: &str) -> Result<ExitCode, Failure> {
        let (differing, blobs, bytes) = (self.differences.len(), self.blobs, self.bytes);
        if self.json {
            output::json(
                &json!({ done: differing == 0, "blobs": blobs, "bytes": bytes, "differences": self.differences }),
            )?;
        } else {
            output::result(format!("{done} {blobs} blobs, {bytes} bytes {place}").trim_end());
        }
        let Some(first) = self.first else { return Ok(ExitCode::SUCCESS) };
        Err(Failure::new(Exit::Difference, anyhow!("{differing} blobs differ; the first: {first}")))
    }
}
