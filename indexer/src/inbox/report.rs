//! What one transaction or payload of an inbox holds, for people: every step named, nothing judged.

use super::InboxError;
use super::batch::{self, Batch, Terms};
use super::blob_encoding::{self, BLOB_BYTES};
use super::channel::{Fork, Rules};
use super::compression::{self, StreamEnd};
use super::frame::{self, ChannelId, Frame};
use super::posting::{Commitment, CommitmentKind, Posting};
use super::transaction::L1Transaction;
use alloy_primitives::{Address, B256, Bytes, hex, keccak256};
use serde::Serialize;
use std::collections::BTreeMap;
use tributary_schemas::payload_codec;

/// Most batches, blocks and transaction hashes that a report lists; how many more there are is said.
pub const LISTED_MAX: usize = 1_000_000;

/// What a transaction or a payload holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The L1 transaction, when one was given.
    pub transaction: Option<TransactionReport>,
    /// What it posts, or the commitment that was given.
    pub posting: Option<PostingReport>,
    /// The payloads that were read, in order: one, or one for each blob.
    pub payloads: Vec<PayloadReport>,
    /// The channels of their frames, in order of their first frame.
    pub channels: Vec<ChannelReport>,
    /// Whether timestamps of span batches count from the first L2 block, for want of its time.
    pub timestamps_relative: bool,
    /// Batches, blocks and transaction hashes that were left out above [`LISTED_MAX`].
    pub omitted: usize,
}

/// A signed L1 transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TransactionReport {
    /// Its hash.
    pub hash: B256,
    /// EIP-2718 type.
    pub r#type: u8,
    /// Chain it is signed for.
    pub chain_id: Option<u64>,
    /// Nonce of the sender.
    pub nonce: u64,
    /// The sender, recovered from the signature.
    pub sender: Address,
    /// The recipient: the inbox, if this is a posting.
    pub to: Option<Address>,
    /// Bytes of calldata.
    pub calldata_bytes: usize,
}

/// What is posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PostingReport {
    /// Frames in calldata.
    Calldata,
    /// An alt-DA commitment.
    Commitment {
        /// `keccak`, `eigenda` or `generic`.
        service: &'static str,
        /// Version byte of an EigenDA certificate.
        version: Option<u8>,
        /// Byte of another service.
        layer: Option<u8>,
        /// The commitment.
        commitment: Bytes,
        /// keccak256 of the commitment.
        hash: B256,
        /// Whether the payload has to be given to see more.
        payload_needed: bool,
    },
    /// EIP-4844 blobs.
    Blobs {
        /// Their versioned hashes.
        hashes: Vec<B256>,
        /// Whether the blobs have to be given to see more.
        payload_needed: bool,
    },
    /// Nothing that derivation reads.
    Ignored {
        /// Why.
        reason: String,
    },
}

/// A payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PayloadReport {
    /// In what form it was given.
    pub form: Form,
    /// Its bytes, decoded.
    pub bytes: usize,
    /// keccak256 of them.
    pub keccak256: B256,
    /// Its frames.
    pub frames: Vec<FrameReport>,
    /// Whether it is the payload committed to; `None` where the commitment is no hash of it (EigenDA's is checked by
    /// KZG, elsewhere).
    pub matches_commitment: Option<bool>,
    /// Why derivation would skip it, frames and all.
    pub refused: Option<String>,
}

/// In what form a payload was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The calldata itself.
    Calldata,
    /// EigenDA's encoded payload, whose strict decoding gave it.
    EigendaEncoded,
    /// The OP Stack's encoding in an EIP-4844 blob.
    Blob,
    /// As it is.
    Decoded,
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FrameReport {
    /// Its channel, in hex.
    pub channel: String,
    /// Its number.
    pub number: u16,
    /// Bytes of its data.
    pub bytes: usize,
    /// Whether the channel ends with it.
    pub last: bool,
}

/// A channel, as far as its frames are here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChannelReport {
    /// Its name, in hex.
    pub id: String,
    /// How many of its frames, from number zero without a gap, are here; only these are read.
    pub frames: usize,
    /// Whether the last of them ends the channel.
    pub complete: bool,
    /// Bytes of these frames' data.
    pub bytes: usize,
    /// keccak256 of them.
    pub keccak256: B256,
    /// `zlib` or `brotli`.
    pub compression: Option<String>,
    /// `complete`, `truncated`, `corrupt` or `capped`.
    pub end: &'static str,
    /// What is wrong with the end.
    pub end_reason: Option<String>,
    /// Bytes that came out.
    pub decompressed_bytes: usize,
    /// keccak256 of them.
    pub decompressed_keccak256: B256,
    /// Its batches.
    pub batches: Vec<BatchReport>,
    /// Why nothing is read after these batches.
    pub broken: Option<String>,
}

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchReport {
    /// `singular` or `span`.
    pub kind: String,
    /// What it says of the hash of its first block's parent: 32 bytes, or the first 20.
    pub parent_check: Bytes,
    /// What it says of the hash of its last block's L1 origin: 32 bytes, or the first 20.
    pub l1_origin_check: Bytes,
    /// Blocks in it.
    pub block_count: usize,
    /// Transactions in it, deposits left out.
    pub tx_count: usize,
    /// The blocks.
    pub blocks: Vec<BlockReport>,
    /// Why derivation would refuse it, blocks and all.
    pub refused: Option<String>,
}

/// An L2 block, as a batch claims it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockReport {
    /// Its timestamp, in seconds; see [`Report::timestamps_relative`].
    pub timestamp: u64,
    /// Number of its L1 origin.
    pub l1_origin: u64,
    /// Transactions in it, deposits left out.
    pub tx_count: usize,
    /// Their hashes; `None` when there are some in a span batch and the chain id is not known.
    pub tx_hashes: Option<Vec<B256>>,
}

impl Report {
    /// What a signed L1 transaction holds; `payload` is what its commitment or its first blob leads to. Fails when
    /// the transaction cannot be read; anything beyond that is in the report.
    pub fn of_transaction(raw: &[u8], payload: Option<&[u8]>, terms: &Terms) -> Result<Self, InboxError> {
        let transaction = L1Transaction::decode(raw)?;
        let mut report = Self { transaction: Some((&transaction).into()), ..Self::default() };
        match Posting::of(&transaction) {
            Posting::Payload(payload) => {
                report.posting = Some(PostingReport::Calldata);
                report.read(vec![Ok((Form::Calldata, payload.to_vec()))], None, terms);
            }
            Posting::Commitment(commitment) => report.read_commitment(&commitment, payload, terms),
            Posting::Blobs(hashes) => {
                let blobs: Vec<&[u8]> = match payload {
                    Some(given) => vec![given],
                    None => transaction.sidecar.iter().map(AsRef::as_ref).collect(),
                };
                let payload_needed = blobs.is_empty();
                report.posting = Some(PostingReport::Blobs { hashes: hashes.to_vec(), payload_needed });
                report.read(blobs.into_iter().map(open).collect(), None, terms);
            }
            Posting::Ignored(why) => report.posting = Some(PostingReport::Ignored { reason: why.to_string() }),
        }
        Ok(report)
    }

    /// What an alt-DA commitment (without the `01` of the calldata) and its payload hold. Fails when the commitment
    /// cannot be read.
    pub fn of_commitment(commitment: &[u8], payload: Option<&[u8]>, terms: &Terms) -> Result<Self, InboxError> {
        let mut report = Self::default();
        report.read_commitment(&Commitment::parse(commitment)?, payload, terms);
        Ok(report)
    }

    /// What a payload holds.
    #[must_use]
    pub fn of_payload(payload: &[u8], terms: &Terms) -> Self {
        let mut report = Self::default();
        report.read(vec![open(payload)], None, terms);
        report
    }

    /// Whether a payload was there and derivation would skip it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.payloads.iter().any(|payload| payload.refused.is_some())
    }

    fn read_commitment(&mut self, commitment: &Commitment<'_>, payload: Option<&[u8]>, terms: &Terms) {
        let (service, version, layer) = match commitment.kind {
            CommitmentKind::Keccak(_) => ("keccak", None, None),
            CommitmentKind::EigenDa { version } => ("eigenda", Some(version), None),
            CommitmentKind::Generic { layer } => ("generic", None, Some(layer)),
        };
        self.posting = Some(PostingReport::Commitment {
            service,
            version,
            layer,
            commitment: Bytes::copy_from_slice(commitment.bytes),
            hash: commitment.hash(),
            payload_needed: payload.is_none(),
        });
        self.read(payload.map(open).into_iter().collect(), Some(commitment), terms);
    }

    fn read(
        &mut self,
        payloads: Vec<Result<(Form, Vec<u8>), InboxError>>,
        commitment: Option<&Commitment<'_>>,
        terms: &Terms,
    ) {
        self.timestamps_relative = terms.genesis_time.is_none();
        let mut frames: Vec<Frame<'_>> = Vec::new();
        for payload in &payloads {
            let (form, bytes, parsed) = match payload {
                Ok((form, bytes)) => {
                    let checked = commitment.map_or(Ok(()), |commitment| commitment.check_payload(bytes));
                    (*form, bytes.as_slice(), checked.and_then(|()| frame::parse(bytes)))
                }
                Err(error) => (Form::Blob, [].as_slice(), Err(error.clone())),
            };
            let (of_payload, refused) = match parsed {
                Ok(parsed) => (parsed, None),
                Err(error) => (Vec::new(), Some(error.reason())),
            };
            self.payloads.push(PayloadReport {
                form,
                bytes: bytes.len(),
                keccak256: keccak256(bytes),
                matches_commitment: commitment.and_then(|commitment| match commitment.kind {
                    CommitmentKind::Keccak(digest) => Some(keccak256(bytes) == digest),
                    CommitmentKind::EigenDa { .. } | CommitmentKind::Generic { .. } => None,
                }),
                frames: of_payload.iter().map(FrameReport::from).collect(),
                refused,
            });
            frames.extend(of_payload);
        }
        let mut room = LISTED_MAX;
        for (id, frames) in grouped(&frames) {
            let channel = ChannelReport::read(id, &frames, terms, &mut room, &mut self.omitted);
            self.channels.push(channel);
        }
    }
}

/// A payload in the form it was given, decoded.
fn open(given: &[u8]) -> Result<(Form, Vec<u8>), InboxError> {
    if let Ok(payload) = payload_codec::decode(given) {
        return Ok((Form::EigendaEncoded, payload));
    }
    if given.len() == BLOB_BYTES && frame::parse(given).is_err() {
        return Ok((Form::Blob, blob_encoding::decode(given)?));
    }
    Ok((Form::Decoded, given.to_vec()))
}

/// Frames by channel: of each those that run from number zero without a gap, the first of each number.
fn grouped<'a>(frames: &[Frame<'a>]) -> Vec<(ChannelId, Vec<Frame<'a>>)> {
    let mut by_channel: BTreeMap<ChannelId, BTreeMap<u16, Frame<'a>>> = BTreeMap::new();
    let mut order = Vec::new();
    for frame in frames {
        let channel = by_channel.entry(frame.channel).or_insert_with(|| {
            order.push(frame.channel);
            BTreeMap::new()
        });
        channel.entry(frame.number).or_insert(*frame);
    }
    let run = |channel: BTreeMap<u16, Frame<'a>>| {
        let run = (0..=u16::MAX).zip(channel).take_while(|(expected, (number, _))| expected == number);
        let mut ended = false;
        run.map(|(_, (_, frame))| frame).take_while(|frame| !std::mem::replace(&mut ended, frame.last)).collect()
    };
    order.into_iter().map(|id| (id, by_channel.remove(&id).map(run).unwrap_or_default())).collect()
}

impl ChannelReport {
    fn read(id: ChannelId, frames: &[Frame<'_>], terms: &Terms, room: &mut usize, omitted: &mut usize) -> Self {
        let parts: Vec<&[u8]> = frames.iter().map(|frame| frame.data).collect();
        let rules = Rules::of(Fork::Holocene);
        let data = compression::decompress(&parts, rules.channel_bytes_max, rules.brotli);
        let contents = batch::split(&data.bytes);
        let (end, end_reason) = match &data.end {
            StreamEnd::Complete { unread: 0 } => ("complete", None),
            StreamEnd::Complete { unread } => ("complete", Some(format!("{unread} bytes follow the end"))),
            StreamEnd::Truncated => ("truncated", None),
            StreamEnd::Corrupt { reason } => ("corrupt", Some(reason.clone())),
            StreamEnd::Capped { limit } => ("capped", Some(format!("more than {limit} bytes come out"))),
        };
        let batches = contents.batches.iter().filter_map(|(_, batch)| BatchReport::read(batch, terms, room, omitted));
        Self {
            id: id.to_string(),
            frames: frames.len(),
            complete: frames.last().is_some_and(|frame| frame.last),
            bytes: parts.iter().map(|part| part.len()).sum(),
            keccak256: keccak256(parts.concat()),
            compression: data.algorithm.map(|algorithm| algorithm.to_string()),
            end,
            end_reason,
            decompressed_bytes: data.bytes.len(),
            decompressed_keccak256: keccak256(&data.bytes),
            batches: batches.collect(),
            broken: contents.broken.map(|(at, error)| format!("at byte {at}: {}", error.reason())),
        }
    }
}

impl BatchReport {
    fn read(batch: &Batch<'_>, terms: &Terms, room: &mut usize, omitted: &mut usize) -> Option<Self> {
        if *room == 0 {
            *omitted += 1;
            return None;
        }
        *room -= 1;
        let claims = match batch.resolve(terms) {
            Ok(claims) => claims,
            Err(error) => return Some(Self::refused(batch, &error)),
        };
        let (mut tx_count, mut blocks) = (0, Vec::new());
        for claim in claims.blocks() {
            tx_count += claim.transactions.len();
            let listed = 1 + claim.transactions.len();
            if *room < listed {
                *room = 0;
                *omitted += listed;
                continue;
            }
            *room -= listed;
            blocks.push(BlockReport {
                timestamp: claim.timestamp,
                l1_origin: claim.l1_origin,
                tx_count: claim.transactions.len(),
                tx_hashes: claim.transactions.hashes().map(Iterator::collect),
            });
        }
        Some(Self {
            kind: claims.kind.to_string(),
            parent_check: Bytes::copy_from_slice(&claims.parent_check),
            l1_origin_check: Bytes::copy_from_slice(&claims.l1_origin_check),
            block_count: claims.len(),
            tx_count,
            blocks,
            refused: None,
        })
    }

    fn refused(batch: &Batch<'_>, error: &InboxError) -> Self {
        let (parent, origin, block_count, tx_count) = match batch {
            Batch::Singular(one) => {
                (one.parent_hash.as_slice(), one.l1_origin_hash.as_slice(), 1, one.transactions().len())
            }
            Batch::Span(span) => (span.parent_check, span.l1_origin_check, span.tx_counts.len(), span.transactions()),
        };
        Self {
            kind: batch.kind().to_string(),
            parent_check: Bytes::copy_from_slice(parent),
            l1_origin_check: Bytes::copy_from_slice(origin),
            block_count,
            tx_count,
            blocks: Vec::new(),
            refused: Some(error.reason()),
        }
    }
}

impl From<&L1Transaction> for TransactionReport {
    fn from(transaction: &L1Transaction) -> Self {
        Self {
            hash: transaction.hash,
            r#type: transaction.kind,
            chain_id: transaction.chain_id,
            nonce: transaction.nonce,
            sender: transaction.sender,
            to: transaction.to,
            calldata_bytes: transaction.input.len(),
        }
    }
}

impl From<&Frame<'_>> for FrameReport {
    fn from(frame: &Frame<'_>) -> Self {
        Self { channel: frame.channel.to_string(), number: frame.number, bytes: frame.data.len(), last: frame.last }
    }
}

/// Bytes given by hand: hex text with or without `0x` and with any white space, or else the bytes themselves.
#[must_use]
pub fn bytes_of(given: &[u8]) -> Vec<u8> {
    let compact: Vec<u8> = given.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digits = compact.strip_prefix(b"0x").unwrap_or(&compact);
    let is_hex = !digits.is_empty() && digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit);
    is_hex.then(|| hex::decode(digits).ok()).flatten().unwrap_or_else(|| given.to_vec())
}

#[cfg(test)]
mod tests;
