//! `tributary da inspect`: what a commitment says, and which checks it passes.

use std::process::ExitCode;

use anyhow::anyhow;
use tributary_indexer::eigenda::{
    Cache, Check, Evidence, Form, Level, Outcome, Report, Setup, Srs, Witness, elements, inspect as report_on,
};
use tributary_schemas::eigenda::Mode;

use crate::arguments::{DaInspect, DaMode};
use crate::failure::{Exit, Failure};
use crate::output;

/// Prints the report; exit 3 when a check failed.
pub(crate) fn inspect(arguments: &DaInspect) -> Result<ExitCode, Failure> {
    let commitment = super::bytes(&arguments.commitment, "commitment")?;
    let payload = arguments.payload.as_deref().map(|payload| super::bytes(payload, "payload")).transpose()?;
    let mode = match arguments.mode {
        DaMode::Op => Mode::Op,
        DaMode::Standard => Mode::Standard,
    };
    let srs = match (&arguments.srs, elements(mode, &commitment)) {
        (Some(file), Some(elements)) if payload.is_some() => {
            // a single point certifies nothing
            Some(Srs::load(file, Some(std::cmp::max(2, elements)), &Cache::None)?)
        }
        _ => None,
    };
    let evidence = payload.as_deref().map(|bytes| Evidence {
        bytes,
        form: Form::default(),
        witness: srs.as_ref().map_or(Witness::None, Witness::Srs),
    });
    let report = report_on(mode, &commitment, Setup::ceremony(), None, evidence);
    if arguments.json {
        output::json(&report)?;
    } else {
        output::result(&text(&report)?);
    }
    let Some(Check { level, name, outcome: Outcome::Failed(why) }) = &report.first_failure else {
        return Ok(ExitCode::SUCCESS);
    };
    Err(Failure::new(Exit::Difference, anyhow!("{level:?} {name}: {why}")))
}

fn text(report: &Report) -> Result<String, Failure> {
    let mut rows = Vec::new();
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            rows.push(vec![name.to_owned(), value]);
        }
    };
    let level = |level: Option<Level>| level.map_or_else(|| "none".to_owned(), |level| format!("{level:?}"));
    line("kind", Some(report.kind.to_owned()));
    line("certificate version", report.cert_version.map(|version| version.to_string()));
    line("blob key", report.blob_key.map(|hash| hash.to_string()));
    line("certificate hash", report.certificate_hash.map(|hash| hash.to_string()));
    line("batch header hash", report.batch_header_hash.map(|hash| hash.to_string()));
    line("dispersing account", report.dispersing_account.map(|account| account.to_string()));
    line("field elements", report.length.map(|length| length.to_string()));
    line("storage key", report.storage_key.map(|hash| hash.to_string()));
    if let Some(payload) = &report.payload {
        let bytes =
            payload.payload_bytes.map_or_else(|| "does not decode".to_owned(), |bytes| format!("{bytes} bytes"));
        line(payload.given_as, Some(bytes));
        line("payload hash", payload.payload_hash.map(|hash| hash.to_string()));
        line("form", payload.form.map(|form| format!("{form:?}").to_lowercase()));
    }
    line("level of the certificate", Some(level(report.level)));
    line("level of the bytes", Some(level(report.data_level)));
    let checks: Vec<Vec<String>> = report.checks.iter().map(check).collect();
    let table = output::table(&["LEVEL", "CHECK", "OUTCOME", "WHY"], &checks);
    let fields = serde_json::to_string_pretty(&report.fields)?;
    Ok(format!("{}\n\n{table}\n\n{fields}", output::table(&["", ""], &rows).trim_start()))
}

fn check(check: &Check) -> Vec<String> {
    let (outcome, why) = match &check.outcome {
        Outcome::Passed => ("passed", ""),
        Outcome::Failed(why) => ("failed", why.as_str()),
        Outcome::NotRun(why) => ("not run", why.as_str()),
        Outcome::Absent(why) => ("absent", why.as_str()),
    };
    [&format!("{:?}", check.level), check.name, outcome, why].map(str::to_owned).to_vec()
}
