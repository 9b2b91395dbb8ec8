//! What the checks of a commitment add up to.

use alloy_primitives::{Address, B256};
use serde::Serialize;
use serde_json::Value;
use tributary_schemas::eigenda::{Form, Mode};

use super::ladder::{Check, Level, Outcome};
use super::setup::Setup;

/// Everything that is known of a commitment and the bytes behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `eigenda`, `keccak`, `other_layer` or `malformed`.
    pub kind: &'static str,
    /// How the commitment was read.
    pub mode: Mode,
    /// The byte before the certificate.
    pub version_byte: Option<u8>,
    /// The certificate's version, 1 to 4.
    pub cert_version: Option<u8>,
    /// The highest level of the certificate.
    pub level: Option<Level>,
    /// The highest level of the bytes.
    pub data_level: Option<Level>,
    /// The first check that failed.
    pub first_failure: Option<Check>,
    /// What names the blob on the network.
    pub blob_key: Option<B256>,
    /// The hash that is a leaf of the batch; of version 1, the blob header's.
    pub certificate_hash: Option<B256>,
    /// What the operators signed.
    pub batch_header_hash: Option<B256>,
    /// Who signed the request.
    pub dispersing_account: Option<Address>,
    /// keccak256 of the commitment, without a derivation byte.
    pub commitment_hash: Option<B256>,
    /// keccak256 of the certificate alone: where a proxy's fall-back storage keeps the payload.
    pub storage_key: Option<B256>,
    /// Field elements of the blob.
    pub length: Option<u32>,
    /// The bytes that were given.
    pub payload: Option<PayloadReport>,
    /// Whether somebody knows the setup's tau, so that L2 and D2 prove nothing.
    pub unsafe_setup: bool,
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// All fields of the certificate; of a keccak commitment, its hash.
    pub fields: Value,
}

/// What the given bytes turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PayloadReport {
    /// `payload` or `encoded_payload`.
    pub given_as: &'static str,
    /// Bytes of the payload, when it decodes.
    pub payload_bytes: Option<usize>,
    /// keccak256 of the payload, when it decodes.
    pub payload_hash: Option<B256>,
    /// The form in which they match, when they do.
    pub form: Option<Form>,
    /// The proof that they open the commitment, when it was made to find that out.
    pub opening: Option<B256>,
}

impl Report {
    /// Nothing is known yet.
    pub(super) fn blank(mode: Mode, setup: &Setup) -> Self {
        Self {
            kind: "malformed",
            mode,
            version_byte: None,
            cert_version: None,
            level: None,
            data_level: None,
            first_failure: None,
            blob_key: None,
            certificate_hash: None,
            batch_header_hash: None,
            dispersing_account: None,
            commitment_hash: None,
            storage_key: None,
            length: None,
            payload: None,
            unsafe_setup: setup.is_unsafe(),
            checks: Vec::new(),
            fields: Value::Null,
        }
    }

    pub(super) fn pass(&mut self, level: Level, name: &'static str) {
        self.checks.push(Check { level, name, outcome: Outcome::Passed });
    }

    pub(super) fn fail(&mut self, level: Level, name: &'static str, why: &str) {
        self.checks.push(Check { level, name, outcome: Outcome::Failed(why.to_owned()) });
    }

    pub(super) fn skip(&mut self, level: Level, name: &'static str, why: &str) {
        self.checks.push(Check { level, name, outcome: Outcome::NotRun(why.to_owned()) });
    }

    pub(super) fn absent(&mut self, level: Level, name: &'static str, why: &str) {
        self.checks.push(Check { level, name, outcome: Outcome::Absent(why.to_owned()) });
    }

    pub(super) fn record(&mut self, level: Level, name: &'static str, result: Result<(), String>) {
        match result {
            Ok(()) => self.pass(level, name),
            Err(why) => self.fail(level, name, &why),
        }
    }

    /// Whether a check of this level failed.
    pub(super) fn failed(&self, level: Level) -> bool {
        self.checks.iter().any(|check| check.level == level && matches!(check.outcome, Outcome::Failed(_)))
    }

    pub(super) fn conclude(&mut self) {
        self.level = self.reached(&[Level::L0, Level::L1, Level::L2, Level::L3]);
        self.data_level = self.reached(&[Level::D1, Level::D2]);
        self.first_failure = self.checks.iter().find(|check| matches!(check.outcome, Outcome::Failed(_))).cloned();
    }

    /// The highest of these levels that is reached.
    fn reached(&self, ladder: &[Level]) -> Option<Level> {
        let mut highest = None;
        for level in ladder {
            let of_level = || self.checks.iter().filter(|check| check.level == *level).map(|check| &check.outcome);
            if of_level().any(|outcome| matches!(outcome, Outcome::Failed(_) | Outcome::NotRun(_))) {
                break;
            }
            if of_level().any(|outcome| *outcome == Outcome::Passed) {
                highest = Some(*level);
            }
        }
        highest
    }
}
