//! What the indexer is told.

use std::path::PathBuf;
use url::Url;

use crate::IndexerError;
use crate::anchor::AnchorOptions;
use crate::endpoint::EndpointOptions;
use crate::fold::Chronology;
use crate::follow::FollowOptions;
use crate::mapping::{Contracts, Mapping};
use crate::seal::PublishLimits;

/// What the indexer is told.
#[derive(Debug, Clone)]
pub struct IndexerConfig {
    /// The L2's chain id.
    pub chain_id: u64,
    /// L2 nodes, http or ws.
    pub l2: Vec<Url>,
    /// EigenDA proxies, in the order of preference.
    pub proxies: Vec<Url>,
    /// Contracts whose word about money and authority is taken, by role.
    pub contracts: Contracts,
    /// The rules.
    pub mapping: MappingChoice,
    /// When epoch 0 begins, Unix seconds.
    pub epoch_origin: u64,
    /// Length of an epoch.
    pub epoch_seconds: u64,
    /// Where status and staged files go.
    pub data_dir: PathBuf,
    /// How the chain is followed, the first block and when to stop by itself included.
    pub follow: FollowOptions,
    /// How nodes are asked.
    pub endpoint: EndpointOptions,
    /// Blobs fetched at once.
    pub blob_fetches_max: usize,
    /// When sealed blocks are published.
    pub publish: PublishLimits,
    /// How L1 is followed for which posting carries which block; none for not at all.
    pub anchor: Option<AnchorOptions>,
}

/// Which rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MappingChoice {
    /// Those of the reference contracts.
    #[default]
    Reference,
    /// Those of a file: its name for errors, and its text.
    Text {
        /// Name of the file.
        file: String,
        /// Its text.
        toml: String,
    },
}

impl IndexerConfig {
    /// Chain and epochs.
    #[must_use]
    pub const fn chronology(&self) -> Chronology {
        Chronology { chain_id: self.chain_id, epoch_origin: self.epoch_origin, epoch_seconds: self.epoch_seconds }
    }

    /// The rules, read and checked.
    pub fn mapping(&self) -> Result<Mapping, IndexerError> {
        match &self.mapping {
            MappingChoice::Reference => Mapping::reference(self.chain_id, &self.contracts),
            MappingChoice::Text { file, toml } => Mapping::parse(file, toml, self.chain_id, &self.contracts),
        }
    }
}
