//! What vaults hold, for the settler: of the ledger that answers, as far as it was read there, and else of the nodes.

use std::path::Path;
use std::sync::Arc;

use tributary_accounting::{Cut, Vaults};
use tributary_indexer::IndexerConfig;
use tributary_indexer::vaults::{EpochEnd, VaultReader};
use tributary_schemas::column::hex_text;
use tributary_schemas::facts::VaultBalanceRow;
use tributary_store::{Generations, Lake, StoreError};

use crate::config::Config;
use crate::environment;
use crate::failure::{Exit, Failure, OrExit as _};

/// Who is asked what vaults hold.
pub(crate) struct Readings {
    /// The ledger of the generation that answers, where another is settled: what was read once is an input of both, and
    /// nodes forget the state of old blocks.
    answering: Option<Lake>,
    /// The nodes of the L2, where there are any.
    nodes: Option<VaultReader>,
}

impl Readings {
    /// For the ledger in `folder`.
    pub(crate) async fn of(config: &Config, indexer: &IndexerConfig, folder: &Path) -> Result<Self, Failure> {
        let answers = Generations::new(&config.storage.data_dir).current().or_exit(Exit::Store)?.folder;
        let answering = match answers == folder {
            true => None,
            false => Some(Lake::open(&answers).await.or_exit(Exit::Store)?),
        };
        let clock = Arc::new(environment::SystemClock);
        let nodes = match indexer.l2.as_slice() {
            [] => None,
            urls => Some(VaultReader::new(urls, indexer.chain_id, clock).or_exit(Exit::Configuration)?),
        };
        Ok(Self { answering, nodes })
    }
}

impl Vaults for Readings {
    async fn balances(&self, cut: &Cut) -> Vec<VaultBalanceRow> {
        let mut rows = Vec::new();
        if let Some(lake) = &self.answering {
            match known(lake, cut).await {
                Ok(known) => rows = known,
                Err(error) => tracing::warn!(%error, "what the other ledger knows of vaults cannot be read"),
            }
        }
        if let Some(nodes) = &self.nodes {
            let end = EpochEnd { epoch: cut.epoch, number: cut.block_number, hash: cut.block_hash };
            let is_known = |(vault, token): &(_, _)| {
                rows.iter().any(|row| row.vault == hex_text(vault) && row.token == hex_text(token))
            };
            let unknown: Vec<_> = cut.vaults.iter().filter(|purse| !is_known(purse)).copied().collect();
            rows.extend(nodes.read(end, &unknown).await);
        }
        rows
    }
}

/// What a ledger says of the vaults at a cut.
async fn known(lake: &Lake, cut: &Cut) -> Result<Vec<VaultBalanceRow>, StoreError> {
    let Some(snapshot) = lake.latest().await? else { return Ok(Vec::new()) };
    let mut rows = lake.read::<VaultBalanceRow>(&snapshot).await?;
    let hash = hex_text(cut.block_hash);
    let is_asked = |row: &VaultBalanceRow| {
        let same = |(vault, token): &(_, _)| row.vault == hex_text(vault) && row.token == hex_text(token);
        row.epoch == cut.epoch && row.block_hash == hash && cut.vaults.iter().any(same)
    };
    rows.retain(is_asked);
    Ok(rows)
}
