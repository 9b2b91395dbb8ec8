//! The L1 block an L2 block was made on, from the deposit that begins it.

use alloy_primitives::{Address, B256, address, hex};
use op_alloy_consensus::DEPOSIT_TX_TYPE_ID;

use crate::{L1Origin, TxInfo};

/// The predeploy that keeps the L1 attributes.
const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");
/// `setL1BlockValues(uint64,uint64,uint256,bytes32,uint64,bytes32,uint256,uint256)`, until Ecotone.
const BEDROCK: [u8; 4] = hex!("015d8eb9");
/// `setL1BlockValuesEcotone()`, `setL1BlockValuesIsthmus()`, `setL1BlockValuesJovian()`: packed, and each a
/// prolongation of the one before.
const PACKED: [[u8; 4]; 3] = [hex!("440a5e20"), hex!("098999be"), hex!("3db6be2b")];

/// Reads the L1 origin from the first transaction of a block; `None` when that is no L1-attributes deposit.
#[must_use]
pub fn l1_origin(first: &TxInfo) -> Option<L1Origin> {
    if first.kind != DEPOSIT_TX_TYPE_ID || first.to != Some(L1_BLOCK) {
        return None;
    }
    let (selector, body) = first.input.split_first_chunk::<4>()?;
    if *selector == BEDROCK {
        let word = |index: usize| body.chunks_exact(32).nth(index);
        return Some(L1Origin {
            number: u64_at(word(0)?, 24)?,
            timestamp: u64_at(word(1)?, 24)?,
            hash: B256::try_from(word(3)?).ok()?,
            sequence: u64_at(word(4)?, 24)?,
        });
    }
    if !PACKED.contains(selector) {
        return None;
    }
    // Two fee scalars of four bytes; sequence, time and number of eight; two base fees of 32; then the hash.
    Some(L1Origin {
        sequence: u64_at(body, 8)?,
        timestamp: u64_at(body, 16)?,
        number: u64_at(body, 24)?,
        hash: B256::try_from(body.get(96..128)?).ok()?,
    })
}

fn u64_at(bytes: &[u8], start: usize) -> Option<u64> {
    bytes.get(start..)?.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}
