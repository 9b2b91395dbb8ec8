//! What a request to the proxy asks for, and how it is refused.
//!
//! ```text
//! GET /get/[0x]00 ‖ keccak256(payload)                       op-keccak
//! GET /get/[0x]01 ‖ layer ‖ version ‖ RLP(certificate)       op-generic; the layer is not looked at
//! GET /get/[0x]version ‖ RLP(certificate)?commitment_mode=standard
//! ```

use alloy_primitives::{B256, hex};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;
use tributary_schemas::eigenda::{Certificate, CertificateV1, Commitment, Mode, Version};

/// Of this version of the rules of derivation, the only one there is, the recency window in L1 blocks.
const RECENCY_WINDOW: u64 = 14_400;

/// The parts of the API that can be enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Api {
    OpGeneric,
    OpKeccak,
    Standard,
}

impl Api {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OpGeneric => "op-generic",
            Self::OpKeccak => "op-keccak",
            Self::Standard => "standard",
        }
    }
}

/// How a request ends without bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 400: the request is wrong.
    Bad(String),
    /// 403: that part of the API is switched off.
    Disabled(Api),
    /// 418: the certificate is void for ever, or so it is said.
    Void(Void, String),
    /// 500: everything else, that a blob is gone included.
    Failed(String),
}

/// Why a certificate is void: the code in the body of a 418.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Void {
    Parse = 1,
    Recency = 2,
    Invalid = 3,
    Decode = 4,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Bad(reason) => (StatusCode::BAD_REQUEST, reason).into_response(),
            Self::Disabled(api) => {
                (StatusCode::FORBIDDEN, format!("the API {} is not enabled", api.name())).into_response()
            }
            Self::Void(code, reason) => {
                let body = axum::Json(json!({"StatusCode": code as u8, "Msg": reason}));
                (StatusCode::IM_A_TEAPOT, body).into_response()
            }
            Self::Failed(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason).into_response(),
        }
    }
}

/// What the query says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// The encoded payload is wanted.
    pub(super) encoded: bool,
    /// The path holds a commitment of the standard mode.
    pub(super) standard: bool,
    /// The L1 block of the batcher's transaction; 0 leaves recency unchecked.
    pub(super) l1_inclusion: u64,
}

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Result<Self, Refusal> {
        let mut found = Self::default();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "return_encoded_payload" => match value {
                    "" | "true" | "1" => found.encoded = true,
                    "false" | "0" => found.encoded = false,
                    other => return Err(Refusal::Bad(format!("return_encoded_payload: {other:?} is not a bool"))),
                },
                "commitment_mode" => found.standard = value == "standard",
                "l1_inclusion_block_number" => {
                    let number = value.parse();
                    found.l1_inclusion = number.map_err(|error| {
                        Refusal::Bad(format!("l1_inclusion_block_number: {value:?} is not a number: {error}"))
                    })?;
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

/// What is asked for: the part of the API, and the commitment's bytes from there on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Keccak(B256),
    /// Version byte and RLP: a commitment of the standard mode.
    Certificate(Vec<u8>),
}

impl Asked {
    pub(super) fn parse(path: &str, query: Query, enabled: &[Api]) -> Result<Self, Refusal> {
        let text = path.strip_prefix("0x").unwrap_or(path);
        let bytes = hex::decode(text).map_err(|error| Refusal::Bad(format!("bad hex: {error}")))?;
        let on = |api: Api| if enabled.contains(&api) { Ok(()) } else { Err(Refusal::Disabled(api)) };
        let serialized = match (query.standard, bytes.as_slice()) {
            (_, []) => return Err(Refusal::Bad("empty commitment".to_owned())),
            (true, all) => on(Api::Standard).map(|()| all)?,
            (false, [0, digest @ ..]) => {
                on(Api::OpKeccak)?;
                return B256::try_from(digest).map(Self::Keccak).map_err(|_length| {
                    Refusal::Bad(format!("a keccak commitment has 32 bytes, not {}", digest.len()))
                });
            }
            (false, [1, rest @ ..]) => {
                on(Api::OpGeneric)?;
                rest.split_first().map_or(rest, |(_layer, serialized)| serialized)
            }
            (false, [other, ..]) => return Err(Refusal::Bad(format!("unknown commitment type {other}"))),
        };
        match serialized.first() {
            Some(0..=3) => Ok(Self::Certificate(serialized.to_vec())),
            Some(other) => Err(Refusal::Bad(format!("unknown certificate version byte {other:#04x}"))),
            None => Err(Refusal::Bad("a commitment without a certificate".to_owned())),
        }
    }
}

/// The certificate, parsed and recent enough for the L1 block that it was posted in.
pub(super) fn certificate(serialized: &[u8], query: Query) -> Result<Certificate, Refusal> {
    let unparsable = |reason: String| Refusal::Void(Void::Parse, reason);
    if serialized.first() == Some(&CertificateV1::VERSION_BYTE) {
        // Proxies of today no longer know the first network.
        return Err(Refusal::Failed("certificates of version 1 are not supported".to_owned()));
    }
    let certificate = match Commitment::read(Mode::Standard, serialized) {
        Ok(Commitment::EigenDa(certificate)) => *certificate,
        Ok(other) => return Err(unparsable(format!("no certificate of this network: {other:?}"))),
        Err(error) => return Err(unparsable(error.to_string())),
    };
    if let Version::V4 { offchain_derivation_version } = certificate.version {
        if offchain_derivation_version != 0 {
            return Err(unparsable(format!("unknown offchain derivation version {offchain_derivation_version}")));
        }
        let reference = u64::from(certificate.batch_header.reference_block_number);
        if query.l1_inclusion > reference.saturating_add(RECENCY_WINDOW) {
            let reason = format!("L1 block {} is too far after reference block {reference}", query.l1_inclusion);
            return Err(Refusal::Void(Void::Recency, reason));
        }
    }
    Ok(certificate)
}
