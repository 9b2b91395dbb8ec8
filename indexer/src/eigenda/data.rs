//! D1 and D2: whether bytes are an encoded payload, and the one that was committed to.

use alloy_primitives::{B256, keccak256};
use tributary_schemas::eigenda::{Commitment, Form, G1};
use tributary_schemas::payload_codec;

use super::EigenDaError;
use super::kzg::Opening;
use super::ladder::Level;
use super::report::{PayloadReport, Report};
use super::setup::Setup;
use super::signature::Claim;
use super::srs::Srs;

/// The bytes that a commitment is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// A payload, or an encoded payload; the length a certificate names tells which.
    pub bytes: &'a [u8],
    /// What the elements are, as configured. The other form is tried before the bytes are called different.
    pub form: Form,
    /// What D2 is checked with.
    pub witness: Witness<'a>,
}

/// What shows that bytes match a commitment.
#[derive(Debug, Clone, Copy)]
pub enum Witness<'a> {
    /// Nothing: D2 is left out.
    None,
    /// The points: an opening proof is made, which fits this commitment only if the bytes are what it is to.
    Srs(&'a Srs),
    /// An opening proof made earlier.
    Opening(&'a Opening),
}

/// D1 and D2. With points D2 waits for a pairing, which comes back.
pub(super) fn data_checks<'a>(
    report: &mut Report,
    commitment: &Commitment,
    setup: &Setup,
    evidence: Option<Evidence<'a>>,
) -> Option<(Untried<'a>, Claim)> {
    let (committed, elements) = match commitment {
        Commitment::Keccak(hash) => {
            keccak_check(report, *hash, evidence);
            return None;
        }
        Commitment::OtherLayer { .. } => return None,
        Commitment::EigenDa(certificate) => {
            (certificate.commitment().commitment, u64::from(certificate.commitment().length))
        }
        // the first network counted the elements in use, and committed to the next power of two
        Commitment::EigenDaV1(certificate) => (
            certificate.blob_header.commitment.point().unwrap_or_default(),
            u64::from(certificate.blob_header.data_length).next_power_of_two(),
        ),
    };
    let Some(evidence) = evidence else {
        report.skip(Level::D1, "payload_decodes", "no bytes were given");
        report.skip(Level::D2, "kzg_commitment", "no bytes were given");
        return None;
    };
    let elements = usize::try_from(elements).unwrap_or(usize::MAX);
    let encoded = match as_encoded(report, evidence.bytes, elements) {
        Ok(encoded) => encoded,
        Err(why) => {
            report.skip(Level::D2, "kzg_commitment", &why);
            return None;
        }
    };
    let form = evidence.form;
    match evidence.witness {
        Witness::None => {
            report.skip(Level::D2, "kzg_commitment", "neither SRS points nor an opening proof were given");
        }
        Witness::Opening(opening) => {
            let opens = |form| setup.verify_opening(&encoded, form, &committed, opening).map(|()| (form, None));
            record(report, opens(form).or_else(|first| opens(form.other()).map_err(|_same| first)));
        }
        Witness::Srs(srs) => match srs.claim(&encoded, form, &committed) {
            Ok((opening, claim)) => return Some((Untried { encoded, committed, form, opening, srs }, claim)),
            Err(error) => record(report, Err(error)),
        },
    }
    None
}

/// Bytes with an opening proof that was not tried yet.
#[derive(Debug, Clone)]
pub(super) struct Untried<'a> {
    encoded: Vec<u8>,
    committed: G1,
    form: Form,
    opening: Opening,
    srs: &'a Srs,
}

impl Untried<'_> {
    /// D2, when it is known whether the proof fits the commitment. The other form is tried when it does not.
    pub(super) fn settle(self, report: &mut Report, fits: bool) {
        let Self { encoded, committed, form, opening, srs } = self;
        if fits {
            return record(report, Ok((form, Some(opening))));
        }
        let other = srs.prove(&encoded, form.other(), &committed).map(|opening| (form.other(), Some(opening)));
        record(report, other.map_err(|_same| EigenDaError::Commitment { form }));
    }
}

/// How D2 ended: the form in which the bytes match and the proof of it, if one was made.
fn record(report: &mut Report, found: Result<(Form, Option<Opening>), EigenDaError>) {
    match found {
        Ok((form, opening)) => {
            if let Some(payload) = &mut report.payload {
                payload.form = Some(form);
                payload.opening = opening.map(|opening| B256::from(opening.0));
            }
            report.pass(Level::D2, "kzg_commitment");
        }
        Err(EigenDaError::TooFewPoints { have, need }) => {
            report.skip(Level::D2, "kzg_commitment", &format!("{have} SRS points were given: expected {need}"));
        }
        Err(error) => report.fail(Level::D2, "kzg_commitment", &error.to_string()),
    }
}

/// D1, and the bytes in the number of elements the certificate is for. Bytes of exactly that size are encoded: no
/// payload of that size fits in.
fn as_encoded(report: &mut Report, bytes: &[u8], elements: usize) -> Result<Vec<u8>, String> {
    let is_encoded = elements.checked_mul(32) == Some(bytes.len());
    let decoded = if is_encoded { payload_codec::decode(bytes) } else { Ok(bytes.to_vec()) };
    report.payload = Some(PayloadReport {
        given_as: if is_encoded { "encoded_payload" } else { "payload" },
        payload_bytes: decoded.as_ref().ok().map(Vec::len),
        payload_hash: decoded.as_ref().ok().map(keccak256),
        form: None,
        opening: None,
    });
    let encoded = match &decoded {
        _ if is_encoded => Ok(bytes.to_vec()),
        Ok(payload) => payload_codec::encode_to(payload, elements),
        Err(error) => Err(error.clone()),
    };
    match decoded.and_then(|_payload| encoded.as_ref().map_err(Clone::clone)) {
        Ok(_) => report.pass(Level::D1, "payload_decodes"),
        Err(error) => report.fail(Level::D1, "payload_decodes", &error.to_string()),
    }
    encoded.map_err(|_said| "the bytes do not fit the certificate's length".to_owned())
}

fn keccak_check(report: &mut Report, hash: B256, evidence: Option<Evidence<'_>>) {
    report.absent(Level::D1, "payload_decodes", "a keccak commitment is to the payload itself");
    let Some(evidence) = evidence else { return report.skip(Level::D2, "keccak256", "no bytes were given") };
    let found = keccak256(evidence.bytes);
    report.payload = Some(PayloadReport {
        given_as: "payload",
        payload_bytes: Some(evidence.bytes.len()),
        payload_hash: Some(found),
        form: None,
        opening: None,
    });
    if found == hash {
        report.pass(Level::D2, "keccak256");
    } else {
        report.fail(Level::D2, "keccak256", &format!("the bytes hash to {found}: expected {hash}"));
    }
}
