//! Several commitments judged in one round: whatever comes down to pairings is tried for all of them at once.
//!
//! What a report says does not depend on the company it was judged in. A round of many certificates costs each of them
//! half of what it costs alone.

use alloy_primitives::keccak256;
use rayon::prelude::*;
use tributary_schemas::eigenda::router::CertStatus;
use tributary_schemas::eigenda::{Commitment, Mode};

use super::certificate::{certificate_checks, certificate_checks_v1, stake_check};
use super::data::{Evidence, Untried, data_checks};
use super::ladder::{Check, Level, Outcome};
use super::report::Report;
use super::setup::Setup;
use super::signature::{self, Stand};

/// What is to be judged.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// How the commitment was read.
    pub mode: Mode,
    /// The commitment.
    pub commitment: &'a Commitment,
    /// What was found of it before, by itself; its checks are not made again.
    pub before: Option<Report>,
    /// What `checkDACert` said.
    pub answer: Option<CertStatus>,
    /// The bytes that are thought to be behind it.
    pub evidence: Option<Evidence<'a>>,
}

/// Judges them all; the reports are in the order of the cases.
#[must_use]
pub fn judge_all(cases: Vec<Case<'_>>, setup: &Setup) -> Vec<Report> {
    let drafts: Vec<Draft<'_>> = cases.into_par_iter().map(|case| case.draft(setup)).collect();
    let (drafts, stands): (Vec<_>, Vec<_>) = drafts.into_iter().map(Draft::open).unzip();
    let outcomes = signature::decide_all(stands, setup);
    drafts.into_iter().zip(outcomes).map(|(draft, outcomes)| draft.close(outcomes)).collect()
}

impl<'a> Case<'a> {
    /// Judges it alone.
    pub(super) fn judge(self, setup: &Setup) -> Report {
        let (draft, stands) = self.draft(setup).open();
        draft.close(signature::decide(stands, setup))
    }

    fn draft(self, setup: &Setup) -> Draft<'a> {
        let Self { mode, commitment, before, answer, evidence } = self;
        let looks_at_bytes = before.is_none() || evidence.is_some();
        let mut draft = match before {
            Some(report) => further(report, commitment, answer, evidence.is_some()),
            None => first(mode, commitment, setup, answer),
        };
        if looks_at_bytes {
            let data = data_checks(&mut draft.report, commitment, setup, evidence);
            draft.take(data);
        }
        draft
    }
}

/// A report that waits for the outcomes of pairings.
#[derive(Debug)]
struct Draft<'a> {
    report: Report,
    /// The checks of L2, and where they belong.
    names: Vec<&'static str>,
    at: usize,
    stands: Vec<Stand>,
    /// Bytes whose claim is the last of them.
    untried: Option<Untried<'a>>,
}

impl<'a> Draft<'a> {
    const fn of(report: Report) -> Self {
        Self { report, names: Vec::new(), at: 0, stands: Vec::new(), untried: None }
    }

    fn take(&mut self, data: Option<(Untried<'a>, signature::Claim)>) {
        if let Some((untried, claim)) = data {
            self.stands.push(Ok(claim).into());
            self.untried = Some(untried);
        }
    }

    /// The draft, and what it waits for.
    fn open(mut self) -> (Self, Vec<Stand>) {
        let stands = std::mem::take(&mut self.stands);
        (self, stands)
    }

    fn close(self, outcomes: Vec<Outcome>) -> Report {
        let Self { mut report, names, at, untried, .. } = self;
        let mut outcomes = outcomes.into_iter();
        let checks: Vec<Check> = names
            .into_iter()
            .zip(&mut outcomes)
            .map(|(name, outcome)| Check { level: Level::L2, name, outcome })
            .collect();
        drop(report.checks.splice(at..at, checks));
        if let Some(untried) = untried {
            untried.settle(&mut report, outcomes.next() == Some(Outcome::Passed));
        }
        report.conclude();
        report
    }
}

/// L0, L1 and L3 of a commitment; L2 waits.
fn first<'a>(mode: Mode, commitment: &Commitment, setup: &Setup, answer: Option<CertStatus>) -> Draft<'a> {
    let mut report = Report::blank(mode, setup);
    report.version_byte = commitment.version_byte();
    report.cert_version = report.version_byte.map(|byte| byte + 1);
    report.commitment_hash = commitment.encode(mode).map(keccak256);
    report.storage_key = commitment.serialized_certificate().map(keccak256);
    report.pass(Level::L0, "parsed");
    let mut checks = Vec::new();
    let mut at = 0;
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
            checks = certificate_checks(&mut report, certificate, setup);
            at = report.checks.len();
            stake_check(&mut report, answer);
        }
        Commitment::EigenDaV1(certificate) => {
            report.kind = "eigenda";
            report.fields = serde_json::to_value(certificate).unwrap_or_default();
            report.length = Some(certificate.blob_header.data_length);
            certificate_checks_v1(&mut report, certificate);
        }
    }
    let (names, stands) = checks.into_iter().unzip();
    Draft { names, at, stands, ..Draft::of(report) }
}

/// What was found before, without the checks that are made again because more is known now.
fn further<'a>(mut report: Report, commitment: &Commitment, answer: Option<CertStatus>, with_bytes: bool) -> Draft<'a> {
    if answer.is_some() && matches!(commitment, Commitment::EigenDa(_)) {
        report.checks.retain(|check| check.level != Level::L3);
        stake_check(&mut report, answer);
    }
    if with_bytes {
        report.checks.retain(|check| !matches!(check.level, Level::D1 | Level::D2));
    }
    Draft::of(report)
}
