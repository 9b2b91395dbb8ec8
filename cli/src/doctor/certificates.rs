//! What certificates are checked with: L1 (and its beacon nodes), the router, the points; and one certificate, from its
//! bytes to its blob.

use std::sync::Arc;

use alloy_primitives::Bytes;
use tributary_indexer::blob::{BlobSource, Judge, Proxies, Reference};
use tributary_indexer::endpoint::EndpointOptions;
use tributary_indexer::probe::{self, Finding};
use tributary_indexer::{CertificateOptions, Clock, IndexerError, Points};
use tributary_schemas::eigenda::Mode;
use tributary_store::ArchiveReader;
use url::Url;

use super::Findings;
use crate::arguments::{DaMode, Doctor};
use crate::config::Config;
use crate::failure::Exit;
use crate::{da, node};

/// Where beacon nodes stand in the configuration.
const BEACON: &str = "chain.l1_beacon_urls";

impl Findings {
    /// L1 with its beacon nodes, the router, the points, and a certificate.
    pub(super) async fn look_at_certificates(
        &mut self,
        config: &Config,
        arguments: &Doctor,
        proxies: &[Url],
        options: &EndpointOptions,
        clock: &Arc<dyn Clock>,
    ) {
        let l1 = self.urls("chain.l1_urls", &config.chain.l1_urls);
        let beacon = self.urls(BEACON, &config.chain.l1_beacon_urls);
        if l1.is_empty() {
            let why = "none are configured: nobody is asked about stake, and nothing is anchored";
            self.add(Exit::Unreachable, [Finding::skipped("chain.l1_urls", why)]);
            self.add(Exit::Unreachable, probe::beacons(BEACON, &beacon, None, options, clock).await);
        } else {
            let nodes = probe::nodes("chain.l1_urls", &l1, config.chain.l1_chain_id, options, clock).await;
            if let Ok(router) = config.eigenda.router.parse() {
                let router = probe::contract("eigenda.router", router, &nodes, options, clock).await;
                self.add(Exit::Configuration, [router]);
            }
            let beacons = probe::beacons(BEACON, &beacon, Some(&nodes), options, clock).await;
            self.add(Exit::Unreachable, nodes.findings);
            self.add(Exit::Unreachable, beacons);
        }
        if beacon.is_empty() && !config.chain.inbox.is_empty() {
            let why = "none are configured: what is posted in EIP-4844 blobs stays unread";
            self.add(Exit::Unreachable, [Finding::skipped(BEACON, why)]);
        }
        let certificates = match node::certificates(config) {
            Ok(certificates) => certificates,
            Err(error) => {
                let mend = "correct [eigenda] and chain.l1_urls";
                let finding = Finding::failed("eigenda.router", format!("{error:#}"), "a router on a known L1", mend);
                return self.add(Exit::Configuration, [finding]);
            }
        };
        let Some(judge) = self.points(config, certificates, options, clock).await else { return };
        match one(config, arguments) {
            Ok(Some((name, reference))) => {
                let findings = probe::certificate(&name, &reference, &judge, &sources(config, proxies, clock)).await;
                self.add(Exit::Unreachable, findings);
            }
            Ok(None) => {
                let why = "none is archived yet: name one with --commitment to follow it to its blob";
                self.add(Exit::Unreachable, [Finding::skipped("certificate", why)]);
            }
            Err(why) => {
                let finding = Finding::failed("certificate", why, "a commitment", "see --commitment and --mode");
                self.add(Exit::Configuration, [finding]);
            }
        }
    }

    /// The points, certified.
    async fn points(
        &mut self,
        config: &Config,
        certificates: CertificateOptions,
        options: &EndpointOptions,
        clock: &Arc<dyn Clock>,
    ) -> Option<Judge> {
        let (check, expected) = ("eigenda.srs_file", "points that pair with the ceremony's tau");
        let is_configured = certificates.points != Points::None;
        let (options, clock) = (options.clone(), Arc::clone(clock));
        let made = tokio::task::spawn_blocking(move || certificates.judge(None, &options, &clock)).await;
        let made = made.map_err(|error| IndexerError::Ended { task: "reading the SRS", reason: error.to_string() });
        match made.and_then(|judge| judge) {
            Ok(judge) if is_configured => {
                let seen = format!("{}: {} points", config.eigenda.srs_file.display(), judge.points());
                self.add(Exit::Configuration, [Finding::ok(check, seen, expected)]);
                Some(judge)
            }
            Ok(judge) => {
                let why = "none is configured: no blob behind a certificate can be checked, so none is paid";
                self.add(Exit::Configuration, [Finding::skipped(check, why)]);
                Some(judge)
            }
            Err(error) => {
                let mend = "take EigenDA's g1.point, of 16 MiB";
                self.add(Exit::Configuration, [Finding::failed(check, error.to_string(), expected, mend)]);
                None
            }
        }
    }
}

fn sources(config: &Config, proxies: &[Url], clock: &Arc<dyn Clock>) -> Vec<Arc<dyn BlobSource>> {
    let buckets: Vec<Url> = config.eigenda.bucket_urls.iter().filter_map(|url| Url::parse(url).ok()).collect();
    let s3 = node::blob_buckets(config).unwrap_or_default();
    let made = [Proxies::new(proxies, Arc::clone(clock)), Proxies::buckets(&buckets, &s3, Arc::clone(clock))];
    made.into_iter().flatten().map(|source| Arc::new(source) as Arc<dyn BlobSource>).collect()
}

/// The certificate that was named, or else the first that is archived.
fn one(config: &Config, arguments: &Doctor) -> Result<Option<(String, Reference)>, String> {
    if let Some(text) = &arguments.commitment {
        let mode = match arguments.mode {
            DaMode::Op => Mode::Op,
            DaMode::Standard => Mode::Standard,
        };
        let bytes = da::bytes(text, "commitment").map_err(|failure| format!("{:#}", failure.error))?;
        return Reference::read(mode, &Bytes::from(bytes), None).map(|read| Some(("--commitment".to_owned(), read)));
    }
    let archive = ArchiveReader::new(&config.storage.data_dir);
    let known = archive.keys().flatten().find_map(|key| archive.known(key).ok().flatten());
    let Some(known) = known.filter(|known| known.void.is_none()) else { return Ok(None) };
    let reference = Reference::read(known.mode, &known.commitment, None)?;
    Ok(Some((known.key().to_string(), reference)))
}
