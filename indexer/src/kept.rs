//! Verified blocks as they are kept, to be read again by other rules without asking anybody.
//!
//! All that decoding may look at is kept: header, transactions with their bytes, logs, and behind them what contracts
//! answered when the rules of then asked them. What was checked when a block
//! came in is not checked again, but for its header, its links and that the bytes are what was written.

use alloy::consensus::Header;
use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{Decodable as _, Encodable as _};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use tributary_schemas::BlockRef;
use tributary_store::KeptBlock;

use crate::verify::l1_origin;
use crate::{IndexerError, Topics, Trust, TxInfo, VerifiedBlock, VerifiedLog};

/// Most bytes of a block when it is unpacked: more than any node gives in one answer.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;

/// A block as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    block: BlockRef,
    trust: Trust,
    /// RLP of the header.
    header: Bytes,
    /// The bytes (EIP-2718) of each transaction, and whether it succeeded.
    transactions: Vec<(Bytes, bool)>,
    logs: Vec<WrittenLog>,
}

#[derive(Serialize, Deserialize)]
struct WrittenLog {
    tx_index: u32,
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

/// A block to keep.
pub(crate) fn pack(block: &VerifiedBlock) -> Result<KeptBlock, IndexerError> {
    let number = block.block.number;
    let mut header = Vec::new();
    block.header.encode(&mut header);
    let log = |log: &VerifiedLog| WrittenLog {
        tx_index: log.tx_index,
        address: log.address,
        topics: log.topics.to_vec(),
        data: log.data.clone(),
    };
    let written = Written {
        block: block.block,
        trust: block.trust,
        header: header.into(),
        transactions: block.transactions.iter().map(|tx| (tx.raw.clone(), tx.success)).collect(),
        logs: block.logs.iter().map(log).collect(),
    };
    let mut plain = postcard::to_stdvec(&written).map_err(|error| broken(number, &error))?;
    if !block.reads.is_empty() {
        plain = postcard::to_extend(&block.reads, plain).map_err(|error| broken(number, &error))?;
    }
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&plain).map_err(|error| broken(number, &error))?;
    let bytes = packed.finish().map_err(|error| broken(number, &error))?;
    Ok(KeptBlock { number, hash: block.block.hash, parent_hash: block.block.parent_hash, bytes })
}

/// A kept block.
///
/// # Errors
///
/// When it is not the one it is kept as: its header has another hash, or what is in it cannot be read.
pub(crate) fn unpack(kept: &KeptBlock) -> Result<VerifiedBlock, IndexerError> {
    let number = kept.number;
    let mut plain = Vec::new();
    let mut packed = ZlibDecoder::new(kept.bytes.as_slice()).take(UNPACKED_BYTES_MAX);
    packed.read_to_end(&mut plain).map_err(|error| broken(number, &error))?;
    let (written, rest) = postcard::take_from_bytes::<Written>(&plain).map_err(|error| broken(number, &error))?;
    let reads = match rest {
        [] => BTreeMap::new(),
        rest => postcard::from_bytes(rest).map_err(|error| broken(number, &error))?,
    };
    let header = Header::decode(&mut written.header.as_ref()).map_err(|error| broken(number, &error))?;
    let block = written.block;
    let hash = if written.trust == Trust::Verified { header.hash_slow() } else { block.hash };
    if (block.number, block.hash, hash) != (number, kept.hash, kept.hash) {
        return Err(broken(number, &format!("it is block {} {hash}: expected {}", block.number, kept.hash)));
    }
    let transaction = |(raw, success)| {
        TxInfo::decode(raw, success).ok_or_else(|| broken(number, &"a transaction of a type that is not known"))
    };
    let transactions = written.transactions.into_iter().map(transaction).collect::<Result<Vec<_>, _>>()?;
    let log = |(index, log): (usize, WrittenLog)| {
        let topics = Topics::new(&log.topics).ok_or_else(|| broken(number, &"a log of more than four topics"))?;
        let log_index = u32::try_from(index).map_err(|error| broken(number, &error))?;
        Ok(VerifiedLog { tx_index: log.tx_index, log_index, address: log.address, topics, data: log.data })
    };
    let logs = written.logs.into_iter().enumerate().map(log).collect::<Result<Vec<_>, IndexerError>>()?;
    let l1_origin = transactions.first().and_then(l1_origin);
    Ok(VerifiedBlock { block, header, l1_origin, transactions, logs, trust: written.trust, reads })
}

fn broken(number: u64, why: &dyn std::fmt::Display) -> IndexerError {
    IndexerError::State { key: format!("kept block {number}"), reason: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{U256, hex};

    fn block(trust: Trust) -> VerifiedBlock {
        // An L1-attributes deposit as op-geth encodes it, so that there is an origin.
        let mut input = hex!("440a5e20").to_vec();
        input.extend([0; 24]);
        input.extend(7_u64.to_be_bytes());
        input.extend([0; 128]);
        let deposit = op_alloy_consensus::TxDeposit {
            to: alloy_primitives::TxKind::Call(alloy_primitives::address!("4200000000000000000000000000000000000015")),
            value: U256::from(3),
            input: input.into(),
            ..Default::default()
        };
        let raw = alloy::eips::eip2718::Encodable2718::encoded_2718(&deposit);
        let transactions = vec![TxInfo::decode(raw.into(), true).unwrap()];
        let origin = l1_origin(&transactions[0]);
        assert_eq!(origin.map(|origin| origin.number), Some(7));
        let header = Header { number: 9, timestamp: 77, parent_hash: B256::repeat_byte(8), ..Header::default() };
        let hash = header.hash_slow();
        let block = BlockRef { number: 9, hash, parent_hash: header.parent_hash, timestamp: 77 };
        let log = |log_index, topics: &[B256]| VerifiedLog {
            tx_index: 0,
            log_index,
            address: Address::repeat_byte(5),
            topics: Topics::new(topics).unwrap(),
            data: vec![9; 70].into(),
        };
        let logs = vec![log(0, &[]), log(1, &[B256::ZERO, B256::repeat_byte(1)])];
        VerifiedBlock { block, header, l1_origin: origin, transactions, logs, trust, reads: BTreeMap::new() }
    }

    #[test]
    fn a_block_is_read_as_it_was_kept() {
        for trust in [Trust::Verified, Trust::Unverified] {
            let block = block(trust);
            assert_eq!(unpack(&pack(&block).unwrap()).unwrap(), block);
        }
    }

    #[test]
    fn what_is_kept_as_another_block_is_refused() {
        let kept = pack(&block(Trust::Verified)).unwrap();
        let said = unpack(&KeptBlock { number: 10, ..kept.clone() }).unwrap_err().to_string();
        assert!(said.contains("block 9"), "{said}");
        assert!(unpack(&KeptBlock { hash: B256::ZERO, ..kept.clone() }).is_err());
        let mut forged = block(Trust::Verified);
        forged.header.timestamp = 1;
        assert!(unpack(&pack(&forged).unwrap()).is_err(), "a header of another hash");
        let cut = kept.bytes.len() - 5;
        assert!(unpack(&KeptBlock { bytes: kept.bytes[..cut].to_vec(), ..kept }).is_err());
    }
}
