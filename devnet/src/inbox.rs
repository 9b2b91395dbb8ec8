//! What a batcher makes of L2 blocks: batches, channels, frames and payloads, as op-batcher writes them.
//!
//! The other direction of the indexer's `inbox`, written from the specifications on its own, so that each judges the
//! other. Order of use: [`singular_batch`] or [`span_batch`], [`channel`], [`frames`], [`payload`]; then the payload
//! is posted as calldata, in a [`blob`], or through EigenDA with [`commitment_calldata`].

mod sample;

use crate::DevnetError;
use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy_primitives::{B256, Bytes, U256};
use alloy_rlp::{Encodable, Header};
use flate2::{Compression, write::ZlibEncoder};
use std::io::Write as _;

pub use sample::sample_blocks;

/// What a batcher posts of an L2 block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedBlock {
    /// Its timestamp, in seconds.
    pub timestamp: u64,
    /// Number of its L1 origin.
    pub l1_origin: u64,
    /// Hash of its L1 origin.
    pub l1_origin_hash: B256,
    /// Its signed transactions (EIP-2718), without deposits.
    pub transactions: Vec<Bytes>,
}

/// How a channel is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelForm {
    /// zlib at a level from 0 to 9.
    Zlib(u32),
    /// zlib whose stream has no last block, as some batchers leave it.
    ZlibUnfinished,
    /// Brotli that stores: valid for every reader, and not smaller.
    BrotliStored,
}

/// The batch of one block, from its type byte on.
#[must_use]
pub fn singular_batch(parent_hash: B256, block: &PostedBlock) -> Vec<u8> {
    let mut fields = Vec::new();
    parent_hash.encode(&mut fields);
    block.l1_origin.encode(&mut fields);
    block.l1_origin_hash.encode(&mut fields);
    block.timestamp.encode(&mut fields);
    block.transactions.encode(&mut fields);
    let mut out = vec![0];
    put_list(&fields, &mut out);
    out
}

/// The batch of consecutive blocks, from its type byte on. `parent` is the block before them: its hash and the number
/// of its L1 origin. Fails when there is no block, when the origins do not rise by one at most, or when a transaction
/// is not one that a span batch has room for.
pub fn span_batch(parent: (B256, u64), genesis_time: u64, blocks: &[PostedBlock]) -> Result<Vec<u8>, DevnetError> {
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
        return Err(unfit("no block"));
    };
    let mut origins = vec![parent.1];
    origins.extend(blocks.iter().map(|block| block.l1_origin));
    if origins.windows(2).any(|pair| pair[1].checked_sub(pair[0]).is_none_or(|step| step > 1)) {
        return Err(unfit("an L1 origin that does not follow the one before it"));
    }
    let relative = first.timestamp.checked_sub(genesis_time).ok_or_else(|| unfit("a block before genesis"))?;
    let mut out = vec![1];
    put_uvarint(relative, &mut out);
    put_uvarint(last.l1_origin, &mut out);
    out.extend_from_slice(&parent.0[..20]);
    out.extend_from_slice(&last.l1_origin_hash[..20]);
    put_uvarint(blocks.len() as u64, &mut out);
    out.extend(bits(origins.windows(2).map(|pair| pair[1] != pair[0])));
    for block in blocks {
        put_uvarint(block.transactions.len() as u64, &mut out);
    }
    let transactions = blocks
        .iter()
        .flat_map(|block| &block.transactions)
        .map(|raw| TxEnvelope::decode_2718_exact(raw).map_err(|error| unfit(&format!("transaction: {error}"))));
    put_transactions(&transactions.collect::<Result<Vec<_>, _>>()?, &mut out)?;
    Ok(out)
}

/// A channel: the batches as RLP strings, compressed.
#[must_use]
pub fn channel(batches: &[Vec<u8>], form: ChannelForm) -> Vec<u8> {
    let mut content = Vec::new();
    for batch in batches {
        batch.as_slice().encode(&mut content);
    }
    match form {
        ChannelForm::Zlib(level) => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
            encoder.write_all(&content).and_then(|()| encoder.finish()).expect("a Vec takes all that is written")
        }
        ChannelForm::ZlibUnfinished => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
            encoder.write_all(&content).and_then(|()| encoder.flush()).expect("a Vec takes all that is written");
            encoder.get_ref().clone()
        }
        ChannelForm::BrotliStored => brotli_stored(&content),
    }
}

/// A channel cut into frames of at most `data_max` bytes of data each.
#[must_use]
pub fn frames(id: [u8; 16], channel: &[u8], data_max: usize) -> Vec<Vec<u8>> {
    let pieces: Vec<&[u8]> = if channel.is_empty() { vec![&[]] } else { channel.chunks(data_max).collect() };
    let count = pieces.len();
    (0..=u16::MAX).zip(pieces).map(|(number, data)| frame(id, number, data, usize::from(number) + 1 == count)).collect()
}

/// One frame.
#[must_use]
pub fn frame(id: [u8; 16], number: u16, data: &[u8], last: bool) -> Vec<u8> {
    let len = u32::try_from(data.len()).expect("a frame is cut to a megabyte at most");
    let mut out = id.to_vec();
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(data);
    out.push(u8::from(last));
    out
}

/// A payload: the version byte and frames.
#[must_use]
pub fn payload(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![0];
    out.extend(frames.iter().flatten());
    out
}

/// Calldata that posts an alt-DA commitment.
#[must_use]
pub fn commitment_calldata(commitment: &[u8]) -> Bytes {
    let mut out = vec![1];
    out.extend_from_slice(commitment);
    out.into()
}

/// An EIP-4844 blob that carries a payload; `None` above 130,044 bytes.
#[must_use]
pub fn blob(payload: &[u8]) -> Option<Vec<u8>> {
    const ROUND: usize = 127;
    let len = u32::try_from(payload.len()).ok().filter(|len| *len <= 130_044)?.to_be_bytes();
    let mut data = vec![0, len[1], len[2], len[3]];
    data.extend_from_slice(payload);
    data.resize(1_024 * ROUND, 0);
    let mut out = Vec::with_capacity(131_072);
    for round in data.chunks_exact(ROUND) {
        let (x, y, z) = (round[31], round[63], round[95]);
        let heads = [x & 0x3f, (x >> 2 & 0x30) | (y & 0x0f), z & 0x3f, (z >> 2 & 0x30) | (y >> 4)];
        for (head, at) in heads.into_iter().zip([0, 32, 64, 96]) {
            out.push(head);
            out.extend_from_slice(&round[at..at + 31]);
        }
    }
    Some(out)
}

fn put_transactions(transactions: &[TxEnvelope], out: &mut Vec<u8>) -> Result<(), DevnetError> {
    out.extend(bits(transactions.iter().map(|tx| tx.to().is_none())));
    out.extend(bits(transactions.iter().map(|tx| tx.signature().v())));
    for signature in transactions.iter().map(TxEnvelope::signature) {
        out.extend_from_slice(&signature.r().to_be_bytes::<32>());
        out.extend_from_slice(&signature.s().to_be_bytes::<32>());
    }
    for to in transactions.iter().filter_map(|tx| tx.to()) {
        out.extend_from_slice(to.as_slice());
    }
    for transaction in transactions {
        put_transaction_data(transaction, out)?;
    }
    for transaction in transactions {
        put_uvarint(transaction.nonce(), out);
    }
    for transaction in transactions {
        put_uvarint(transaction.gas_limit(), out);
    }
    let legacy = transactions.iter().filter(|tx| tx.is_legacy());
    out.extend(bits(legacy.map(|tx| tx.chain_id().is_some())));
    Ok(())
}

fn put_transaction_data(transaction: &TxEnvelope, out: &mut Vec<u8>) -> Result<(), DevnetError> {
    let mut fields = Vec::new();
    transaction.value().encode(&mut fields);
    match transaction {
        TxEnvelope::Legacy(_) | TxEnvelope::Eip2930(_) => {
            U256::from(transaction.gas_price().unwrap_or_default()).encode(&mut fields);
        }
        TxEnvelope::Eip1559(_) | TxEnvelope::Eip7702(_) => {
            U256::from(transaction.max_priority_fee_per_gas().unwrap_or_default()).encode(&mut fields);
            U256::from(transaction.max_fee_per_gas()).encode(&mut fields);
        }
        TxEnvelope::Eip4844(_) => return Err(unfit("a blob transaction, which no L2 has")),
    }
    transaction.input().encode(&mut fields);
    if let Some(list) = transaction.access_list() {
        list.encode(&mut fields);
    }
    if let TxEnvelope::Eip7702(signed) = transaction {
        signed.tx().authorization_list.encode(&mut fields);
    }
    if !transaction.is_legacy() {
        out.push(transaction.tx_type() as u8);
    }
    put_list(&fields, out);
    Ok(())
}

fn put_list(content: &[u8], out: &mut Vec<u8>) {
    Header { list: true, payload_length: content.len() }.encode(out);
    out.extend_from_slice(content);
}

fn put_uvarint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// A bit list: a big-endian integer, the first bit its lowest.
fn bits(bits: impl Iterator<Item = bool>) -> Vec<u8> {
    let bits: Vec<bool> = bits.collect();
    let byte = |eight: &[bool]| eight.iter().rev().fold(0_u8, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks(8).rev().map(byte).collect()
}

/// RFC 7932 with uncompressed meta-blocks of 64 KiB and an empty last one; the window is 64 KiB.
fn brotli_stored(content: &[u8]) -> Vec<u8> {
    let mut out = vec![1];
    if content.is_empty() {
        // WBITS 0, ISLAST, ISLASTEMPTY.
        out.push(0b110);
        return out;
    }
    for (index, piece) in content.chunks(1 << 16).enumerate() {
        let len = u32::try_from(piece.len() - 1).expect("a piece of 64 KiB at most");
        // From the lowest bit: (WBITS, first only) ISLAST, MNIBBLES 2, MLEN - 1 16, ISUNCOMPRESSED.
        let header = (len << 3 | 1 << 19) << u32::from(index == 0);
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(piece);
    }
    out.push(0b11);
    out
}

fn unfit(reason: &str) -> DevnetError {
    DevnetError::Unbatchable { reason: reason.to_owned() }
}
