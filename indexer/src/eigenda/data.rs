//! D1 and D2: whether bytes are an encoded payload, and the one that was committed to.

use alloy_primitives::{B256, keccak256};
use tributary_schemas::eigenda::{Commitment, Form, G1};
use tributary_schemas::payload_codec;

use super::EigenDaError;
use super::kzg::Opening;
use super::ladder::Level;
use super::report::{PayloadReport, Report};
use super::setup::Setup;
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
    /// The points: the commitment is made again.
    Srs(&'a Srs),
    /// An opening proof made earlier.
    Opening(&'a Opening),
}

/// D1 and D2.
pub(super) fn data_checks(report: &mut Report, commitment: &Commitment, setup: &Setup, evidence: Option<Evidence<'_>>) {
    let (committed, elements) = match commitment {
        Commitment::Keccak(hash) => return keccak_check(report, *hash, evidence),
        Commitment::OtherLayer { .. } => return,
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
        return report.skip(Level::D2, "kzg_commitment", "no bytes were given");
    };
    let elements = usize::try_from(elements).unwrap_or(usize::MAX);
    let encoded = match as_encoded(report, evidence.bytes, elements) {
        Ok(encoded) => encoded,
        Err(why) => return report.skip(Level::D2, "kzg_commitment", &why),
    };
    match matches(&encoded, evidence, &committed, setup) {
        Ok(Some(form)) => {
            if let Some(payload) = &mut report.payload {
                payload.form = Some(form);
            }
            report.pass(Level::D2, "kzg_commitment");
        }
        Ok(None) => report.skip(Level::D2, "kzg_commitment", "neither SRS points nor an opening proof were given"),
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

/// The form in which the bytes match; `None` without a witness, an error when they match in neither.
fn matches(
    encoded: &[u8],
    evidence: Evidence<'_>,
    committed: &G1,
    setup: &Setup,
) -> Result<Option<Form>, EigenDaError> {
    let holds = |form| match evidence.witness {
        Witness::None => Ok(()),
        Witness::Opening(opening) => setup.verify_opening(encoded, form, committed, opening),
        Witness::Srs(srs) => {
            let made = srs.commit(encoded, form)?;
            if made == *committed { Ok(()) } else { Err(EigenDaError::Commitment { form }) }
        }
    };
    if matches!(evidence.witness, Witness::None) {
        return Ok(None);
    }
    let Err(first) = holds(evidence.form) else { return Ok(Some(evidence.form)) };
    match holds(evidence.form.other()) {
        Ok(()) => Ok(Some(evidence.form.other())),
        Err(_same) => Err(first),
    }
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
    });
    if found == hash {
        report.pass(Level::D2, "keccak256");
    } else {
        report.fail(Level::D2, "keccak256", &format!("the bytes hash to {found}: expected {hash}"));
    }
}
