//! A certificate, followed to its blob as it would be when a batch referred to it.

use std::sync::Arc;

use super::Finding;
use crate::blob::{BlobSource, Judge, Reference, Standing};

/// Looks at a certificate: what it is worth by itself, and whether its bytes are found. `name` is where it came from.
pub async fn certificate(
    name: &str,
    reference: &Reference,
    judge: &Judge,
    sources: &[Arc<dyn BlobSource>],
) -> Vec<Finding> {
    let (check, found) = (format!("certificate {name}"), format!("blob of {name}"));
    let expected = "a certificate that holds up to L2, and L3 where L1 is asked";
    let Reference::Certificate(certificate) = reference else {
        let why = "it is a payload's hash, which is no certificate";
        return vec![Finding::skipped(check, why)];
    };
    let mut findings = Vec::new();
    let mut assessed = None;
    match judge.certificate(certificate).await {
        Standing::Good(good) => {
            let seen =
                if good.answer.is_some() { "L3: checkDACert agrees" } else { "L2: nobody was asked about stake" };
            findings.push(Finding::ok(check, seen, expected));
            assessed = Some(good);
        }
        Standing::Void(record) => {
            let why = record.void.map_or_else(String::new, |void| void.detail);
            let mend = "take a certificate of the network that is configured, and see eigenda.router";
            findings.push(Finding::failed(check, format!("void: {why}"), expected, mend));
        }
        Standing::Undecided(why) => {
            findings.push(Finding::failed(check, why, expected, "see chain.l1_urls and eigenda.router"));
        }
    }
    let mut reasons = Vec::new();
    for source in sources {
        match source.fetch(reference, assessed.as_ref(), judge).await {
            Ok((blob, place)) => {
                let bytes = blob.bytes.map_or(0, |bytes| bytes.len());
                let seen = format!("{bytes} bytes from {place}, and the commitment is theirs");
                findings.push(Finding::ok(found, seen, "bytes that are what was committed to"));
                return findings;
            }
            Err(not_found) => reasons.push(not_found.reason),
        }
    }
    let mend = "EigenDA forgets after two weeks: take a newer certificate, or see the proxies and eigenda.srs_file";
    findings.push(Finding::failed(found, reasons.join("; "), "bytes that are what was committed to", mend));
    findings
}
