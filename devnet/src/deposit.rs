//! The L1-attributes deposit: the transaction that begins every OP Stack block.
//!
//! Ecotone's packed calldata (`setL1BlockValuesEcotone`), which chains use up to and
//! including Holocene: selector, the two fee scalars, sequence number, L1 time, L1
//! number, L1 base fee, L1 blob base fee, L1 hash, batcher hash.

use alloy::{consensus::Header, eips::eip2718::Encodable2718};
use alloy_primitives::{Address, B256, TxKind, U256, address, hex};
use op_alloy_consensus::{L1InfoDepositSource, TxDeposit};

use crate::block::Executed;

const DEPOSITOR: Address = address!("DeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001");
const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");
/// `setL1BlockValuesEcotone()`.
const SELECTOR: [u8; 4] = hex!("440a5e20");
const BASE_FEE_SCALAR: u32 = 1_368;
const BLOB_BASE_FEE_SCALAR: u32 = 810_949;
/// What the system contract used for this call on real chains, about.
const GAS_USED: u64 = 46_913;

/// The deposit of one L2 block, executed: `sequence` counts from its L1 origin, whose batcher is given.
pub(crate) fn l1_attributes(number: u64, sequence: u64, (l1, l1_hash): (&Header, B256), batcher: Address) -> Executed {
    let mut input = SELECTOR.to_vec();
    input.extend_from_slice(&BASE_FEE_SCALAR.to_be_bytes());
    input.extend_from_slice(&BLOB_BASE_FEE_SCALAR.to_be_bytes());
    input.extend_from_slice(&sequence.to_be_bytes());
    input.extend_from_slice(&l1.timestamp.to_be_bytes());
    input.extend_from_slice(&l1.number.to_be_bytes());
    input.extend_from_slice(&U256::from(l1.base_fee_per_gas.unwrap_or_default()).to_be_bytes::<32>());
    input.extend_from_slice(&U256::ONE.to_be_bytes::<32>());
    input.extend_from_slice(l1_hash.as_slice());
    input.extend_from_slice(batcher.into_word().as_slice());
    let deposit = TxDeposit {
        source_hash: L1InfoDepositSource::new(l1_hash, sequence).source_hash(),
        from: DEPOSITOR,
        to: TxKind::Call(L1_BLOCK),
        mint: 0,
        value: U256::ZERO,
        gas_limit: 1_000_000,
        is_system_transaction: false,
        input: input.into(),
    };
    Executed {
        from: DEPOSITOR,
        raw: deposit.encoded_2718().into(),
        gas_used: GAS_USED,
        success: true,
        // One deposit a block from this sender, none in the genesis block.
        deposit_nonce: number.saturating_sub(1),
        logs: Vec::new(),
    }
}
