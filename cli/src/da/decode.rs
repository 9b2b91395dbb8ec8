//! `tributary da decode`: from a batcher's transaction or a payload down to L2 blocks.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use tributary_indexer::inbox::batch::Terms;
use tributary_indexer::inbox::report::{BatchReport, BlockReport, ChannelReport, PayloadReport, PostingReport, Report};

use crate::arguments::DaDecode;
use crate::failure::{Exit, Failure};
use crate::output;

/// Prints what was posted; exit 3 when the payload is not the one committed to, 1 when derivation would skip it.
pub(crate) fn decode(arguments: &DaDecode) -> Result<ExitCode, Failure> {
    let terms = Terms {
        chain_id: arguments.chain_id,
        genesis_time: arguments.l2_genesis_time,
        block_time: arguments.block_time,
    };
    let payload = arguments.payload.as_deref().map(|payload| super::bytes(payload, "payload")).transpose()?;
    let report = match (&arguments.tx, &arguments.commitment, &payload) {
        (Some(tx), _, payload) => Report::of_transaction(&super::bytes(tx, "transaction")?, payload.as_deref(), &terms)
            .context("reading the transaction")?,
        (None, Some(commitment), payload) => {
            Report::of_commitment(&super::bytes(commitment, "commitment")?, payload.as_deref(), &terms)
                .context("reading the commitment")?
        }
        (None, None, Some(payload)) => Report::of_payload(payload, &terms),
        (None, None, None) => return Err(anyhow!("nothing to decode: give --tx, --commitment or --payload").into()),
    };
    if arguments.json {
        output::json(&report)?;
    } else {
        output::result(text(&report).trim_end());
    }
    let Some((refused, reason)) = report.payloads.iter().find_map(|one| Some((one, one.refused.as_ref()?))) else {
        return Ok(ExitCode::SUCCESS);
    };
    let exit = if refused.matches_commitment == Some(false) { Exit::Difference } else { Exit::Failed };
    Err(Failure::new(exit, anyhow!("derivation skips the payload: {reason}")))
}

fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    if let Some(tx) = &report.transaction {
        let chain = tx.chain_id.map_or_else(|| "any chain".to_owned(), |chain_id| format!("chain {chain_id}"));
        let to = tx.to.map_or_else(|| "a new contract".to_owned(), |to| to.to_string());
        lines.push(format!("transaction {} of type {} for {chain}", tx.hash, tx.r#type));
        lines.push(format!(
            "  from {} (nonce {}) to {to}, {} bytes of calldata",
            tx.sender, tx.nonce, tx.calldata_bytes
        ));
    }
    lines.extend(report.posting.as_ref().map(posting));
    lines.extend(report.payloads.iter().map(payload));
    for channel in &report.channels {
        put_channel(channel, report.timestamps_relative, &mut lines);
    }
    if report.omitted > 0 {
        lines.push(format!("{} more batches, blocks and transactions are not listed", report.omitted));
    }
    lines.join("\n")
}

fn posting(posting: &PostingReport) -> String {
    match posting {
        PostingReport::Calldata => "posts frames in its calldata".to_owned(),
        PostingReport::Blobs { hashes, payload_needed } => {
            let needed = if *payload_needed { "; give a blob as --payload to see more" } else { "" };
            format!("posts {} blobs{needed}", hashes.len())
        }
        PostingReport::Ignored { reason } => format!("posts nothing that derivation reads: {reason}"),
        PostingReport::Commitment { service, version, layer, commitment, hash, payload_needed } => {
            let mut out = format!("posts an alt-DA commitment ({service}) of {} bytes", commitment.len());
            if let Some(version) = version {
                write!(out, ", certificate version byte {version:#04x}").expect("a String takes everything");
            }
            if let Some(layer) = layer {
                write!(out, ", DA layer {layer:#04x}").expect("a String takes everything");
            }
            let needed = if *payload_needed { "\n  give its payload as --payload to see more" } else { "" };
            write!(out, "\n  keccak256 {hash}{needed}").expect("a String takes everything");
            out
        }
    }
}

fn payload(payload: &PayloadReport) -> String {
    let form = serde_json::to_value(payload.form).ok().and_then(|form| form.as_str().map(str::to_owned));
    let mut out = format!("payload of {} bytes ({})", payload.bytes, form.unwrap_or_default());
    write!(out, "\n  keccak256 {}", payload.keccak256).expect("a String takes everything");
    for frame in &payload.frames {
        let last = if frame.last { ", last" } else { "" };
        write!(out, "\n  frame {} of channel {}: {} bytes{last}", frame.number, frame.channel, frame.bytes)
            .expect("a String takes everything");
    }
    if let Some(reason) = &payload.refused {
        write!(out, "\n  derivation skips it: {reason}").expect("a String takes everything");
    }
    out
}

fn put_channel(channel: &ChannelReport, relative: bool, lines: &mut Vec<String>) {
    let whole = if channel.complete { "all of its frames" } else { "not all of its frames" };
    lines.push(format!("channel {}: {whole}, {} bytes in {}", channel.id, channel.bytes, channel.frames));
    let compression = channel.compression.as_deref().unwrap_or("unknown compression");
    let reason = channel.end_reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    lines.push(format!("  {compression}, {}{reason}: {} bytes", channel.end, channel.decompressed_bytes));
    for (index, batch) in channel.batches.iter().enumerate() {
        put_batch(index, batch, relative, lines);
    }
    if let Some(broken) = &channel.broken {
        lines.push(format!("  nothing more is read: {broken}"));
    }
}

fn put_batch(index: usize, batch: &BatchReport, relative: bool, lines: &mut Vec<String>) {
    let BatchReport { kind, block_count, tx_count, parent_check, l1_origin_check, .. } = batch;
    lines.push(format!("  batch {index} ({kind}): {block_count} blocks, {tx_count} transactions"));
    lines.push(format!("    parent {parent_check}, L1 origin {l1_origin_check}"));
    if let Some(reason) = &batch.refused {
        lines.push(format!("    derivation refuses it: {reason}"));
    }
    let since = if relative && kind == "span" { " after the first L2 block" } else { "" };
    for block in &batch.blocks {
        let BlockReport { timestamp, l1_origin, tx_count, .. } = block;
        lines.push(format!("    block at {timestamp} s{since}, L1 origin {l1_origin}, {tx_count} transactions"));
        lines.extend(block.tx_hashes.iter().flatten().map(|hash| format!("      {hash}")));
    }
}
