//! The levels of trust in a blob, as a list of checks with their outcomes.
//!
//! | level | holds | needs |
//! |---|---|---|
//! | L0 | the commitment is well formed | its bytes |
//! | L1 | the blob is in its batch; the dispersing account is known | its bytes |
//! | L2 | somebody's aggregated key signed the batch; the blob's length is proved | its bytes |
//! | L3 | that somebody has enough stake | `checkDACert` on L1 |
//! | D1 | the bytes are an encoded payload | the bytes |
//! | D2 | the bytes are what is committed to | the bytes, and the SRS or an opening proof |
//!
//! L and D are two ladders: bytes can match a certificate nobody signed. A level is reached when none of its checks,
//! and none of those under it, failed or was left out, and one of its own passed. Checks that a kind of commitment
//! has nothing for are absent and stop nobody.

use alloy_primitives::keccak256;
use serde::Serialize;
use tributary_schemas::SchemaError;
use tributary_schemas::eigenda::router::CertStatus;
use tributary_schemas::eigenda::{Commitment, Mode};
use tributary_schemas::payload_codec;

use super::certificate::{certificate_checks, certificate_checks_v1, stake_check};
use super::data::{Evidence, data_checks};
use super::report::Report;
use super::setup::Setup;

/// A level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Level {
    /// Well formed.
    L0,
    /// In its batch, with an account.
    L1,
    /// Signed, with a length.
    L2,
    /// Signed by enough stake.
    L3,
    /// The payload decodes.
    D1,
    /// The bytes match.
    D2,
}

impl Level {
    /// Its name in tables and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L0 => "L0",
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
            Self::D1 => "D1",
            Self::D2 => "D2",
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "why", rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not, and why.
    Failed(String),
    /// It was left out, and what was missing.
    NotRun(String),
    /// This kind of commitment has nothing to check here, and why.
    Absent(String),
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The level it belongs to.
    pub level: Level,
    /// What is checked.
    pub name: &'static str,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Reads a commitment and judges it; bytes that are none give a report too.
#[must_use]
pub fn inspect(
    mode: Mode,
    bytes: &[u8],
    setup: &Setup,
    answer: Option<CertStatus>,
    evidence: Option<Evidence<'_>>,
) -> Report {
    match Commitment::read_either(mode, bytes) {
        Ok(commitment) => judge(mode, &commitment, setup, answer, evidence),
        Err(error) => malformed(mode, setup, &error),
    }
}

/// Judges a commitment: `answer` is what `checkDACert` said, `evidence` the bytes that are thought to be behind it.
#[must_use]
pub fn judge(
    mode: Mode,
    commitment: &Commitment,
    setup: &Setup,
    answer: Option<CertStatus>,
    evidence: Option<Evidence<'_>>,
) -> Report {
    let mut report = Report::blank(mode, setup);
    report.version_byte = commitment.version_byte();
    report.cert_version = report.version_byte.map(|byte| byte + 1);
    report.commitment_hash = commitment.encode(mode).map(keccak256);
    report.storage_key = commitment.serialized_certificate().map(keccak256);
    report.pass(Level::L0, "parsed");
    match commitment {
        Commitment::Keccak(hash) => {
            report.kind = "keccak";
            report.fields = serde_json::json!({ "keccak256": hash });
            for level in [Level::L1, Level::L2, Level::L3] {
                report.absent(level, "certificate", "a keccak commitment has no certificate");
            }
        }
        Commitment::OtherLayer { layer } => {
            report.kind = "other_layer";
            report.fields = serde_json::json!({ "layer": layer });
            report.skip(Level::L1, "certificate", &format!("DA layer {layer:02x} is not EigenDA"));
        }
        Commitment::EigenDa(certificate) => {
            report.kind = "eigenda";
            report.fields = serde_json::to_value(certificate).unwrap_or_default();
            report.length = Some(certificate.commitment().length);
            certificate_checks(&mut report, certificate, setup, answer);
        }
        Commitment::EigenDaV1(certificate) => {
            report.kind = "eigenda";
            report.fields = serde_json::to_value(certificate).unwrap_or_default();
            report.length = Some(certificate.blob_header.data_length);
            certificate_checks_v1(&mut report, certificate);
        }
    }
    data_checks(&mut report, commitment, setup, evidence);
    report.conclude();
    report
}

/// The field elements of the blob that a commitment is for, as many points as D2 needs; `None` when it names none.
#[must_use]
pub fn elements(mode: Mode, bytes: &[u8]) -> Option<usize> {
    let length = match Commitment::read_either(mode, bytes).ok()? {
        Commitment::EigenDa(certificate) => certificate.commitment().length,
        Commitment::EigenDaV1(certificate) => certificate.blob_header.data_length.checked_next_power_of_two()?,
        Commitment::Keccak(_) | Commitment::OtherLayer { .. } => return None,
    };
    usize::try_from(length).ok().filter(|elements| *elements <= payload_codec::ELEMENTS_MAX)
}

/// Adds to a report of a certificate what was found out later: what `checkDACert` said, and the bytes that are thought to
/// be behind it. The checks that were made before are not made again.
#[must_use]
pub fn judge_further(
    mut report: Report,
    commitment: &Commitment,
    setup: &Setup,
    answer: Option<CertStatus>,
    evidence: Option<Evidence<'_>>,
) -> Report {
    if let Some(answer) = answer
        && matches!(commitment, Commitment::EigenDa(_))
    {
        report.checks.retain(|check| check.level != Level::L3);
        stake_check(&mut report, Some(answer));
    }
    if evidence.is_some() {
        report.checks.retain(|check| !matches!(check.level, Level::D1 | Level::D2));
        data_checks(&mut report, commitment, setup, evidence);
    }
    report.conclude();
    report
}

fn malformed(mode: Mode, setup: &Setup, error: &SchemaError) -> Report {
    let mut report = Report::blank(mode, setup);
    report.fail(Level::L0, "parsed", &error.to_string());
    report.conclude();
    report
}
