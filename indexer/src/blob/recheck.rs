//! Checking an archived blob again, with nothing but the archive: no SRS, no network.

use alloy_primitives::keccak256;
use tributary_schemas::eigenda::Commitment;
use tributary_schemas::eigenda::router::CertStatus;
use tributary_schemas::payload_codec;
use tributary_store::{BlobRecord, Content};

use super::judge::committed;
use crate::eigenda::{self, Evidence, Level, Opening, Setup, Witness};

/// Checks everything that a record says and can be checked: the certificate up to L2, the bytes by their opening proof,
/// and that what is derived from the commitment stands there rightly. What L1 answered is taken from the record. An
/// error says what differs first.
pub fn recheck(record: &BlobRecord, bytes: Option<&[u8]>) -> Result<(), String> {
    let commitment = Commitment::read(record.mode, &record.commitment).map_err(|error| error.to_string())?;
    let setup = record.known_tau.map_or_else(|| Setup::ceremony().clone(), Setup::of_known_tau);
    let opening = match (&record.content, bytes) {
        (Some(content), Some(bytes)) => Some((content, opening(content, bytes)?, bytes)),
        (Some(content), None) => return Err(format!("its bytes, {}, are not in the archive", content.hash)),
        (None, _) => None,
    };
    let encoded = match &opening {
        Some((content, _, bytes)) => Some(encoded(content, &commitment, bytes)?),
        None => None,
    };
    let evidence = opening.as_ref().zip(encoded.as_ref()).map(|((content, opening, _), encoded)| Evidence {
        bytes: encoded,
        form: content.form,
        witness: Witness::Opening(opening),
    });
    let report = eigenda::judge(record.mode, &commitment, &setup, record.answer, evidence);
    differing("level", record.level.as_str(), report.level.map_or("", Level::as_str))?;
    differing("data_level", record.data_level.as_deref().unwrap_or(""), report.data_level.map_or("", Level::as_str))?;
    differing("blob_key", record.blob_key, report.blob_key)?;
    differing("dispersed_by", record.dispersed_by, report.dispersing_account)?;
    differing("length", record.length, report.length.unwrap_or_default())?;
    differing("cert_version", record.cert_version, report.cert_version.unwrap_or_default())?;
    let failed = report.first_failure;
    match (&record.void, failed) {
        (None, Some(check)) => Err(format!("{} fails: {:?}", check.name, check.outcome)),
        (Some(void), None) if record.answer.is_none_or(|answer| answer == CertStatus::Success) => {
            Err(format!("nothing fails, and it is said to be void: {}", void.detail))
        }
        _ => Ok(()),
    }
}

fn opening(content: &Content, bytes: &[u8]) -> Result<Opening, String> {
    differing("hash of the bytes", content.hash, keccak256(bytes))?;
    let proof = <[u8; 32]>::try_from(content.opening.as_ref());
    proof.map(Opening).map_err(|_length| format!("an opening proof of {} bytes: expected 32", content.opening.len()))
}

/// The encoded payload: encoding has one result, so an archive of payloads is enough.
fn encoded(content: &Content, commitment: &Commitment, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let (_, elements) = committed(commitment).ok_or_else(|| "the commitment is to no blob".to_owned())?;
    if content.is_encoded {
        return Ok(bytes.to_vec());
    }
    payload_codec::encode_to(bytes, elements).map_err(|error| error.to_string())
}

fn differing<T: PartialEq + std::fmt::Debug>(what: &str, said: T, found: T) -> Result<(), String> {
    if said == found { Ok(()) } else { Err(format!("{what} is {found:?}: the record says {said:?}")) }
}
