//! What vaults hold, for the settler: as another index of the chain has it, where one is configured; else of the ledger that
//! answers, as far as it was read there, and of the nodes.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use tributary_accounting::{AccountingError, Cut, Vaults, readings_in};
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
    /// The manifests of another index, and the chain that both are of.
    manifests: Option<(PathBuf, u64)>,
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
        let manifests = Some(config.settlement.manifests_dir.clone()).filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = manifests.as_ref().filter(|folder| !folder.is_dir()) {
            let named = format!("settlement.manifests_dir {}", folder.display());
            return Err(Failure::new(
                Exit::Configuration,
                anyhow!("{named}: expected the `epochs` folder of a data folder"),
            ));
        }
        Ok(Self { manifests: manifests.map(|folder| (folder, config.chain.chain_id)), answering, nodes })
    }

    /// What the other index has of an epoch; none where it has not settled it.
    fn imported(&self, cut: &Cut) -> Result<Option<Vec<VaultBalanceRow>>, AccountingError> {
        let Some((folder, chain_id)) = &self.manifests else { return Ok(None) };
        let file = folder.join(cut.epoch.to_string()).join("manifest.json");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(AccountingError::File { action: "read", path: file.display().to_string(), source });
            }
        };
        readings_in(&text, *chain_id, cut).map(Some).map_err(|error| match error {
            AccountingError::Unfit { what, expected } => {
                AccountingError::Unfit { what: format!("{} is {what}", file.display()), expected }
            }
            other => other,
        })
    }
}

impl Vaults for Readings {
    async fn balances(&self, cut: &Cut) -> Result<Vec<VaultBalanceRow>, AccountingError> {
        if let Some(imported) = self.imported(cut)? {
            return Ok(imported);
        }
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
        Ok(rows)
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
