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

use serde::Serialize;
use tributary_schemas::SchemaError;
use tributary_schemas::eigenda::router::CertStatus;
use tributary_schemas::eigenda::{Commitment, Mode};
use tributary_schemas::payload_codec;

use super::data::Evidence;
use super::report::Report;
use super::round::Case;
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
    Case { mode, commitment, before: None, answer, evidence }.judge(setup)
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

fn malformed(mode: Mode, setup: &Setup, error: &SchemaError) -> Report {
    let mut report = Report::blank(mode, setup);
    report.fail(Level::L0, "parsed", &error.to_string());
    report.conclude();
    report
}
