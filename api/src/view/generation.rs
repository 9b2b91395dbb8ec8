//! The ledgers of the data folder that a view is of.

use tributary_schemas::column::signed;
use tributary_store::{StoreError, newest_heads, read_status};

use super::View;
use crate::error::Refusal;
use crate::scalar::{BlockNumber, Bytes32};
use crate::schema::status::Generation;

impl View {
    /// The ledgers of the data folder.
    pub(crate) async fn generations(&self) -> Result<Vec<Generation>, Refusal> {
        self.look_outside();
        let Some(generations) = self.pinned().generations.clone() else { return Ok(Vec::new()) };
        let read = tokio::task::spawn_blocking(move || {
            let described = |one: tributary_store::Generation| {
                let heads = newest_heads(&one.folder)?;
                let told = read_status(&one.folder)?.unwrap_or_default();
                let number = |number| BlockNumber(signed(number));
                Ok(Generation {
                    mapping_set_hash: Bytes32(one.mapping_set_hash),
                    current: one.current,
                    sealed: heads.as_ref().map(|heads| number(heads.block_number)),
                    settled_epoch: heads.as_ref().and_then(|heads| heads.settled_epoch),
                    log_root: heads.map(|heads| Bytes32(heads.log_root)),
                    indexed: told.indexed.map(|block| number(block.number)),
                    waiting: told.waiting,
                })
            };
            generations.list()?.into_iter().map(described).collect::<Result<Vec<_>, StoreError>>()
        });
        let read = read.await.map_err(|cause| Refusal::internal("listing generations", &cause))?;
        read.map_err(|cause| Refusal::internal("listing generations", &cause))
    }
}
