//! What the indexer is told.

use alloy_primitives::{Address, B256};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tributary_schemas::eigenda::Form;
use url::Url;

use super::replay::KeptBlocks;
use super::space::SpaceOptions;
use crate::anchor::AnchorOptions;
use crate::blob::{Judge, Verifier};
use crate::eigenda::{self, Cache, EigenDaError, Setup, Srs};
use crate::endpoint::EndpointOptions;
use crate::fold::Chronology;
use crate::follow::FollowOptions;
use crate::mapping::{Contracts, Mapping, MappingFile};
use crate::s3::S3Options;
use crate::seal::{Imported, PublishLimits};
use crate::{Clock, IndexerError};

/// What the indexer is told.
#[derive(Debug, Clone)]
pub struct IndexerConfig {
    /// The L2's chain id.
    pub chain_id: u64,
    /// L2 nodes, http or ws.
    pub l2: Vec<Url>,
    /// EigenDA proxies, in the order of preference.
    pub proxies: Vec<Url>,
    /// Buckets with copies of blobs, in the order of preference; asked after the proxies.
    pub buckets: Vec<Url>,
    /// How those named as `s3://bucket/prefix` are asked.
    pub s3: S3Options,
    /// How certificates are checked.
    pub certificates: CertificateOptions,
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
    /// Where what takes long to make is kept, such as points that were certified.
    pub cache_dir: PathBuf,
    /// How the chain is followed, the first block and when to stop by itself included.
    pub follow: FollowOptions,
    /// How nodes are asked.
    pub endpoint: EndpointOptions,
    /// Blobs fetched at once.
    pub blob_fetches_max: usize,
    /// When sealed blocks are published.
    pub publish: PublishLimits,
    /// Declared outcomes of another index, to come to its roots; none to go by one's own luck.
    pub imported: Option<Imported>,
    /// How L1 is followed for which posting carries which block; none for not at all.
    pub anchor: Option<AnchorOptions>,
    /// How much of the disk is to stay free.
    pub space: SpaceOptions,
    /// The whole blocks that are kept of the chain.
    pub kept: KeptBlocks,
}

/// How certificates are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateOptions {
    /// What the elements of encoded payloads are expected to be. The other form is tried before bytes are called
    /// different.
    pub form: Form,
    /// The points that commitments are made with.
    pub points: Points,
    /// Who is asked about stake; without, blobs rest on L2.
    pub verifier: Option<VerifierOptions>,
    /// Threads for commitments.
    pub threads: NonZeroUsize,
}

impl Default for CertificateOptions {
    fn default() -> Self {
        Self { form: Form::default(), points: Points::None, verifier: None, threads: NonZeroUsize::MIN }
    }
}

/// The points that commitments are made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Points {
    /// None: no bytes are ever found to match a certificate.
    None,
    /// The ceremony's, from a file of compressed points.
    File(PathBuf),
    /// Those of a setup whose tau everybody may know: for embedded chains, never beside a real network.
    KnownTau {
        /// The tau.
        tau: B256,
        /// How many: the field elements of the longest blob.
        points: usize,
    },
}

impl Points {
    /// Points of a known tau for blobs of up to 128 KiB.
    #[must_use]
    pub const fn known_tau(tau: B256) -> Self {
        Self::KnownTau { tau, points: 4096 }
    }
}

/// The verifier of certificates on L1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierOptions {
    /// L1 nodes, http or ws.
    pub l1: Vec<Url>,
    /// The L1's chain id.
    pub l1_chain_id: u64,
    /// The router.
    pub router: Address,
}

impl CertificateOptions {
    /// A judge of certificates. Points are read and certified, which takes seconds the first time; as they lie in memory
    /// they are kept in `data_dir`, when there is one.
    pub fn judge(
        &self,
        data_dir: Option<&Path>,
        endpoint: &EndpointOptions,
        clock: &Arc<dyn Clock>,
    ) -> Result<Judge, IndexerError> {
        let refused = |error: EigenDaError| IndexerError::Configuration {
            what: "checking certificates".to_owned(),
            reason: error.to_string(),
        };
        let (srs, setup, known_tau) = match &self.points {
            Points::None => (None, Setup::ceremony().clone(), None),
            Points::File(file) => {
                let cache = data_dir.map_or(Cache::None, |folder| Cache::In(folder.to_owned()));
                let srs = Srs::load(file, None, &cache).map_err(refused)?;
                (Some(srs), Setup::ceremony().clone(), None)
            }
            Points::KnownTau { tau, points } => {
                let srs = Srs::of_known_tau(*tau, *points);
                let setup = srs.setup().clone();
                (Some(srs), setup, Some(*tau))
            }
        };
        let verifier = match &self.verifier {
            Some(VerifierOptions { l1, l1_chain_id, router }) => {
                Some(Verifier::new(l1, *l1_chain_id, *router, endpoint.clone(), Arc::clone(clock))?)
            }
            None => None,
        };
        let pool = eigenda::Pool::new(self.threads).map_err(refused)?;
        Ok(Judge::new(self.form, setup, known_tau, srs, pool, verifier, Arc::clone(clock)))
    }
}

/// Which rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MappingChoice {
    /// Those of the reference contracts.
    #[default]
    Reference,
    /// Those of these files.
    Files(Vec<MappingFile>),
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
            MappingChoice::Files(files) => Mapping::load(files, self.chain_id, &self.contracts),
        }
    }
}
