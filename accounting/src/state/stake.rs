//! Stake of an epoch: Σ balance × blocks held, so that one block of stake earns one block's share (ruling 15).

use alloy_primitives::{Address, B256, U256};
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;
use tributary_schemas::facts::StakeRow;

use super::Bounds;
use crate::error::AccountingError;
use crate::read::{address, amount, hash, rows};

/// Stakers of each pool with their weight, by address.
#[derive(Debug, Default)]
pub(crate) struct Stakes(BTreeMap<B256, Vec<(Address, U256)>>);

impl Stakes {
    pub(crate) async fn load(ctx: &SessionContext, bounds: &Bounds) -> Result<Self, AccountingError> {
        let mut changes: Vec<StakeRow> = rows(ctx, &format!("block_number <= {}", bounds.last)).await?;
        changes.sort_by_key(|row| (row.block_number, row.log_index));
        let mut histories: BTreeMap<(B256, Address), Vec<(i64, u128)>> = BTreeMap::new();
        for row in changes {
            let key = (hash(&row.pool)?, address(&row.account)?);
            histories.entry(key).or_default().push((row.block_number, amount(row.balance_after.0)?));
        }
        let mut pools: BTreeMap<B256, Vec<(Address, U256)>> = BTreeMap::new();
        for ((pool, account), history) in histories {
            let weight = weight(&history, bounds);
            if !weight.is_zero() {
                pools.entry(pool).or_default().push((account, weight));
            }
        }
        Ok(Self(pools))
    }

    /// Everybody with a stake.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = Address> {
        self.0.values().flatten().map(|(account, _)| *account)
    }

    /// The pool of a model: its own, else the zero pool; empty when neither has stake.
    pub(crate) fn pool(&self, model: B256) -> (B256, &[(Address, U256)]) {
        let of = |pool: B256| self.0.get(&pool).map(|stakers| (pool, stakers.as_slice()));
        of(model).or_else(|| of(B256::ZERO)).unwrap_or((B256::ZERO, &[]))
    }
}

/// A balance set at block b holds from b on, until the next one.
fn weight(history: &[(i64, u128)], bounds: &Bounds) -> U256 {
    let ends = history.iter().skip(1).map(|(block, _)| *block).chain([bounds.last + 1]);
    history.iter().zip(ends).fold(U256::ZERO, |sum, ((from, balance), until)| {
        let blocks = until - std::cmp::max(*from, bounds.first);
        sum + U256::from(*balance) * U256::from(u64::try_from(blocks).unwrap_or(0))
    })
}
