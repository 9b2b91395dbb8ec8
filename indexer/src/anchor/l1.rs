//! An L1 block, reduced to what anchoring needs of it.

use alloy_primitives::{Address, B256, b256};
use tributary_schemas::BlockRef;

use super::Rollup;
use crate::inbox::transaction::L1Transaction;
use crate::{VerifiedBlock, VerifiedLog};

/// `ConfigUpdate(uint256 indexed version, uint8 indexed updateType, bytes data)` of the `SystemConfig`: keccak256 of
/// `ConfigUpdate(uint256,uint8,bytes)`.
pub const CONFIG_UPDATE: B256 = b256!("1d2b0bda21d56b8bd12d4f94ebacffdfb35f5e226f84b461103bb8beab6353be");

/// An L1 block: what was sent to the inbox, by whomever, and who may post from this block on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct L1Block {
    /// The block.
    pub block: BlockRef,
    /// The batcher that its last change in this block names. It holds for this block already: derivation takes the
    /// configuration of a block's own receipts before it looks at its transactions.
    pub batcher: Option<Address>,
    /// The transactions to the inbox, in order. Only a transaction of the batcher posts anything.
    pub transactions: Vec<L1Transaction>,
}

impl L1Block {
    /// What is needed of a verified block.
    #[must_use]
    pub fn of(block: &VerifiedBlock, rollup: &Rollup) -> Self {
        let sent = block.transactions.iter().filter(|transaction| transaction.to == Some(rollup.inbox));
        // Bytes of a verified block decode, or the block would not have been verified.
        let transactions = sent.filter_map(|transaction| L1Transaction::decode(&transaction.raw).ok()).collect();
        let updates = block.logs.iter().filter(|log| Some(log.address) == rollup.system_config);
        Self { block: block.block, batcher: updates.filter_map(batcher_of).next_back(), transactions }
    }
}

/// The batcher that a log of the `SystemConfig` names, if it is about that: data is `abi.encode(bytes)` around one
/// word, whose low 20 bytes are the address.
fn batcher_of(log: &VerifiedLog) -> Option<Address> {
    let [CONFIG_UPDATE, _, kind] = log.topics[..] else { return None };
    if kind != B256::ZERO {
        return None;
    }
    let word = |at: usize| log.data.get(at.checked_mul(32)?..)?.first_chunk::<32>().map(B256::from);
    let in_place = word(0)? == B256::with_last_byte(32) && word(1)? == B256::with_last_byte(32);
    let value = word(2)?;
    (in_place && log.data.len() == 96 && value[..12] == [0; 12]).then(|| Address::from_word(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topics;
    use alloy_primitives::{Bytes, keccak256};

    fn log(topics: &[B256], data: Vec<u8>) -> VerifiedLog {
        let topics = Topics::new(topics).unwrap();
        VerifiedLog { tx_index: 0, log_index: 0, address: Address::ZERO, topics, data: Bytes::from(data) }
    }

    #[test]
    fn a_change_of_batcher_is_read_and_others_are_not() {
        assert_eq!(CONFIG_UPDATE, keccak256("ConfigUpdate(uint256,uint8,bytes)"));
        let batcher = Address::repeat_byte(7);
        let words = [B256::with_last_byte(32), B256::with_last_byte(32), batcher.into_word()];
        let data: Vec<u8> = words.iter().flat_map(|word| word.0).collect();
        let topics = |kind: u8| [CONFIG_UPDATE, B256::ZERO, B256::with_last_byte(kind)];
        assert_eq!(batcher_of(&log(&topics(0), data.clone())), Some(batcher));
        assert_eq!(batcher_of(&log(&topics(1), data.clone())), None);
        assert_eq!(batcher_of(&log(&topics(0)[..2], data.clone())), None);
        assert_eq!(batcher_of(&log(&topics(0), data[..64].to_vec())), None);
        let other = [B256::ZERO, topics(0)[1], topics(0)[2]];
        assert_eq!(batcher_of(&log(&other, data.clone())), None);
        let mut dirty = data;
        dirty[64] = 1;
        assert_eq!(batcher_of(&log(&topics(0), dirty)), None);
    }
}
