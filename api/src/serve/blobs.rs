//! Archived blobs on the routes of the EigenDA proxy, so that an op-node, or another follower, can fall back on this
//! archive after EigenDA has forgotten them: `GET /get/[0x]<commitment in hex>`, in the modes of the OP Stack (`00` and a
//! keccak256, `01 00` and a certificate) and, with `commitment_mode=standard`, of EigenDA.
//!
//! The statuses say what the reader may conclude, and mean what a proxy means by them.
//!
//! | status | when |
//! |---|---|
//! | 200 | the payload, or with `return_encoded_payload` the encoded one; its hash was checked just now |
//! | 400 | the commitment is no hex, or of an unknown type or version |
//! | 403 | another layer's commitment |
//! | 404 | a keccak256 that is not in this archive; OP's own DA server says the same |
//! | 405 | there is nothing to write here; 503 would make a batcher fail over to Ethereum |
//! | 418 | the certificate is void for ever: code 1 it does not parse, 2 too old when it was posted (only asked with `l1_inclusion_block_number`), 3 it proves nothing, 4 its payload does not decode |
//! | 500 | a certificate's blob that is not in this archive: a proxy knows no 404, and nothing is said about the blob |

use std::sync::Arc;

use alloy_primitives::{hex, keccak256};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{any, get};
use tokio::sync::OwnedSemaphorePermit;
use tributary_schemas::code::Reason;
use tributary_schemas::eigenda::{Commitment, Mode};
use tributary_schemas::payload_codec;
use tributary_store::{ArchiveReader, BlobRecord};

use super::App;
use super::routes::{FOR_EVER, RequestId, WAIT_FOR_ROOM, answer, overloaded, problem};
use crate::error::{ErrorCode, Refusal};

/// Blobs that are being read or sent at a time. One is at most 16 MiB, and twice that while it is encoded.
pub(super) const AT_ONCE_MAX: usize = 8;

const EXPECTED: &str = "expected hex of 00 and the keccak256 of the payload, or of 01, 00 and a certificate, with or \
                        without 0x; a certificate without 01 and 00 with commitment_mode=standard";

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/get/{commitment}", get(read).fallback(read_only))
        .route("/put", any(read_only))
        .route("/put/", any(read_only))
        .route("/put/{commitment}", any(read_only))
}

async fn read_only(Extension(RequestId(id)): Extension<RequestId>) -> Response {
    let refusal = Refusal::new(ErrorCode::ReadOnly, "this archive is only read: expected GET /get/<commitment>");
    let mut response = problem(&refusal, &id);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

async fn read(
    State(app): State<Arc<App>>,
    Extension(RequestId(id)): Extension<RequestId>,
    Path(commitment): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = match Asked::read(&commitment, &query.unwrap_or_default()) {
        Ok(asked) => asked,
        Err(No::Refused(refusal)) => return problem(&refusal, &id),
        Err(No::Void(code, why)) => return void(code, &why),
    };
    let Ok(Ok(room)) = tokio::time::timeout(WAIT_FOR_ROOM, Arc::clone(&app.blob_room).acquire_owned()).await else {
        return overloaded(&id);
    };
    let found = tokio::task::spawn_blocking(move || asked.find(&app.archive)).await;
    match found.unwrap_or_else(|cause| Err(Refusal::internal("reading a blob", &cause).into())) {
        Ok(bytes) => {
            // The room is taken until the last byte is sent.
            let body = Body::from(Bytes::from_owner(Sent { bytes, _room: room }));
            let mut response = answer(StatusCode::OK, "application/octet-stream", body);
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
            response
        }
        Err(No::Refused(refusal)) => problem(&refusal, &id),
        Err(No::Void(code, why)) => void(code, &why),
    }
}

/// The proxy's answer about a certificate that is void for ever.
fn void(code: u8, why: &str) -> Response {
    let body = serde_json::json!({ "StatusCode": code, "Msg": why });
    answer(StatusCode::IM_A_TEAPOT, "application/json", body.to_string())
}

/// Why there are no bytes.
#[derive(Debug)]
enum No {
    Refused(Refusal),
    /// Void for ever, with the proxy's code.
    Void(u8, String),
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// In which form bytes are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Payload,
    Encoded,
}

struct Sent {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What is asked for. The mode is said by the query and never guessed: in the mode `standard`, 00 begins a certificate.
#[derive(Debug)]
struct Asked {
    mode: Mode,
    bytes: Vec<u8>,
    commitment: Commitment,
    form: Form,
}

impl Asked {
    fn read(commitment: &str, query: &str) -> Result<Self, No> {
        let (mut form, mut mode, mut included) = (Form::Payload, Mode::Op, 0_u64);
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "commitment_mode" if value == "standard" => mode = Mode::Standard,
                "return_encoded_payload" if ["", "1", "true"].contains(&value.to_ascii_lowercase().as_str()) => {
                    form = Form::Encoded;
                }
                "l1_inclusion_block_number" => {
                    let number = value.parse().map_err(|error| bad(&format!("{name} {value:?}: {error}")));
                    included = number?;
                }
                _ => {}
            }
        }
        let bytes = hex::decode(commitment).map_err(|error| bad(&format!("it is no hex ({error})")))?;
        let commitment = parse(mode, &bytes)?;
        if let Commitment::EigenDa(certificate) = &commitment
            && !certificate.is_recent(included)
        {
            let reference = certificate.batch_header.reference_block_number;
            let why = format!("posted in L1 block {included}, too long after its reference block {reference}");
            return Err(No::Void(2, why));
        }
        Ok(Self { mode, bytes, commitment, form })
    }

    fn find(&self, archive: &ArchiveReader) -> Result<Vec<u8>, No> {
        let reading = |cause| No::from(Refusal::internal("reading a blob", &cause));
        if let Commitment::Keccak(hash) = self.commitment {
            let absent = || Refusal::new(ErrorCode::NotFound, format!("blob {hash} is not in this archive"));
            let payload = archive.get(hash).map_err(reading)?.ok_or_else(absent)?;
            return self.in_form(payload, None);
        }
        let Some(record) = self.known(archive)? else { return Err(elsewhere(&self.bytes)) };
        if let Some(void) = &record.void {
            let code = if void.code == Reason::BlobMalformed { 4 } else { 3 };
            // An encoded payload that does not decode is still what was committed to: who asks for it gets it.
            if code == 3 || self.form == Form::Payload {
                return Err(No::Void(code, void.detail.clone()));
            }
        }
        let Some(content) = &record.content else { return Err(elsewhere(&self.bytes)) };
        let bytes = archive.get(content.hash).map_err(reading)?.ok_or_else(|| elsewhere(&self.bytes))?;
        if content.is_encoded { Ok(bytes) } else { self.in_form(bytes, usize::try_from(record.length).ok()) }
    }

    /// What is known by the commitment, whichever way it was wrapped when it was referred to.
    fn known(&self, archive: &ArchiveReader) -> Result<Option<BlobRecord>, No> {
        let other = match self.mode {
            Mode::Op => Mode::Standard,
            Mode::Standard => Mode::Op,
        };
        for bytes in [Some(self.bytes.clone()), self.commitment.encode(other)].into_iter().flatten() {
            let known = archive.known(keccak256(bytes));
            if let Some(record) = known.map_err(|cause| Refusal::internal("reading a blob", &cause))? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// A payload as it was asked for; a certificate names the number of its elements, or their number in use.
    fn in_form(&self, payload: Vec<u8>, length: Option<usize>) -> Result<Vec<u8>, No> {
        let encoded = match (self.form, length) {
            (Form::Payload, _) => return Ok(payload),
            (Form::Encoded, Some(length)) => payload_codec::encode_to(&payload, length.next_power_of_two()),
            (Form::Encoded, None) => payload_codec::encode(&payload),
        };
        encoded.map_err(|cause| Refusal::internal("encoding a blob", &cause).into())
    }
}

fn parse(mode: Mode, bytes: &[u8]) -> Result<Commitment, No> {
    let known_version = |version: u8| version <= 3;
    match (mode, bytes) {
        (_, []) => Err(bad("it is empty")),
        (Mode::Op, [0, hash @ ..]) if hash.len() != 32 => Err(bad(&format!("{} bytes after 00", hash.len()))),
        (Mode::Op, [1, 0, version, ..]) | (Mode::Standard, [version, ..]) if !known_version(*version) => {
            Err(bad(&format!("certificate version byte {version:02x}")))
        }
        (Mode::Op, [1] | [1, 0]) => Err(bad("it ends before the certificate")),
        (Mode::Op, [kind, ..]) if *kind > 1 => Err(bad(&format!("it begins with {kind:02x}"))),
        _ => match Commitment::read(mode, bytes) {
            Ok(Commitment::OtherLayer { layer }) => {
                let message = format!("DA layer {layer:02x} is not EigenDA: {EXPECTED}");
                Err(Refusal::new(ErrorCode::NotOffered, message).into())
            }
            Ok(commitment) => Ok(commitment),
            Err(error) => Err(No::Void(1, error.to_string())),
        },
    }
}

fn bad(got: &str) -> No {
    Refusal::new(ErrorCode::BadRequest, format!("malformed commitment: {got}: {EXPECTED}")).into()
}

/// As a proxy says it that has asked everybody: nothing is known of the blob, and asking again may help.
fn elsewhere(commitment: &[u8]) -> No {
    let message = format!("the blob of commitment {} is not in this archive", keccak256(commitment));
    Refusal::new(ErrorCode::NotArchived, message).into()
}

#[cfg(test)]
mod tests;
