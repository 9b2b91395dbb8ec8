//! Configuration: flag > environment (`TRIBUTARY_*`) > file > default, and which of them won.
//!
//! The file is read into a tree of TOML values and checked against the tree of the defaults, so that an unknown key is
//! an error that names the key, where it stands and the nearest known one. Only then is it typed.

use alloy_primitives::B256;
use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::Value;
use tributary_indexer::s3::S3Credentials;
use tributary_schemas::eigenda::Form;

mod sql;

pub(crate) use sql::Sql;

/// Everything `tributary run` needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) chain: Chain,
    pub(crate) eigenda: EigenDa,
    pub(crate) contracts: Contracts,
    pub(crate) mapping: Mapping,
    pub(crate) storage: Storage,
    pub(crate) retention: Retention,
    pub(crate) settlement: Settlement,
    pub(crate) api: Api,
    pub(crate) sql: Sql,
    pub(crate) engine: Engine,
    /// What requests to buckets are signed with. From the environment alone, so that no file and no printed
    /// configuration holds a secret.
    #[serde(skip)]
    pub(crate) s3_credentials: Option<S3Credentials>,
}

/// The L2 to follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chain {
    /// Chain id; an endpoint with another one is refused.
    pub(crate) chain_id: u64,
    /// First block of interest.
    pub(crate) start_block: u64,
    /// HTTP or WebSocket endpoints, best first.
    pub(crate) l2_urls: Vec<String>,
    /// How often an HTTP endpoint is asked for its head.
    pub(crate) poll_interval_ms: u64,
    /// HTTP or WebSocket endpoints of the L1, best first; none to do without it.
    pub(crate) l1_urls: Vec<String>,
    /// Chain id of the L1.
    pub(crate) l1_chain_id: u64,
    /// Beacon nodes of the L1, best first: what was posted in EIP-4844 blobs is read from them. None to leave it unread.
    pub(crate) l1_beacon_urls: Vec<String>,
    /// The address batches are posted to on L1; empty to do without anchoring.
    pub(crate) inbox: String,
    /// Who posts them, at the first L1 block that is read.
    pub(crate) batcher: String,
    /// The `SystemConfig` contract on L1, which names later batchers; empty when the batcher never changes.
    pub(crate) system_config: String,
    /// First L1 block to read; 0 for the L1 origin of the first block.
    pub(crate) l1_start_block: u64,
    /// L1 blocks in which a batch of a block counts.
    pub(crate) sequencing_window: u64,
    /// Unix seconds of the L2's genesis block.
    pub(crate) genesis_time: u64,
    /// Seconds between L2 blocks.
    pub(crate) block_seconds: u64,
    /// Unix seconds from which Fjord's rules hold for the inbox; 0 for always.
    pub(crate) fjord_time: u64,
    /// Likewise of Granite.
    pub(crate) granite_time: u64,
    /// Likewise of Holocene.
    pub(crate) holocene_time: u64,
    /// What a final block waits for before it is sealed, where an inbox is named.
    pub(crate) seal: Seal,
    /// What is demanded of what the endpoints say.
    pub(crate) trust: Trust,
}

/// What a final block waits for before it is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Seal {
    /// A posting on L1 that carries it.
    Anchored,
    /// Nothing: the word of the L2 endpoints is enough.
    Final,
}

/// What is demanded of what endpoints say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Trust {
    /// Everything is checked against block hashes.
    Full,
    /// They are believed, and every block and answer says so.
    Unverified,
}

/// Where blobs come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EigenDa {
    /// Proxies, best first.
    pub(crate) proxy_urls: Vec<String>,
    /// Buckets with copies of blobs, by the URL that a key is appended to, best first; asked after the proxies.
    pub(crate) bucket_urls: Vec<String>,
    /// The service that buckets named as `s3://bucket/prefix` are at; empty for Amazon's.
    pub(crate) s3_endpoint: String,
    /// Their region.
    pub(crate) s3_region: String,
    /// File with the points of EigenDA's SRS; empty for none, and then no certificate's blob can be checked.
    pub(crate) srs_file: PathBuf,
    /// What the elements of encoded payloads are: `evaluations` or `coefficients`.
    pub(crate) form: Form,
    /// Router of the certificate verifiers on L1; empty for none, and then nobody is asked about stake.
    pub(crate) router: String,
    /// A snapshot's file of another index of this chain (`snapshots/<n>.json`): what was missing and what was found late
    /// there is taken from it, so that the roots are the same; empty for none.
    pub(crate) outcomes_file: PathBuf,
    /// The tau of an embedded chain's setup. No file, variable or flag can set it: who knows tau can forge blobs.
    #[serde(skip)]
    pub(crate) known_tau: Option<B256>,
}

/// Contracts whose word counts about money, policy, producers and settlement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contracts {
    pub(crate) datanet_registry: Vec<String>,
    pub(crate) model_registry: Vec<String>,
    pub(crate) agent_registry: Vec<String>,
    pub(crate) attribution_hub: Vec<String>,
    pub(crate) reward_vault: Vec<String>,
}

/// How events of contracts become facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mapping {
    /// The mapping files: paths, or names of files that come with the program.
    pub(crate) files: Vec<String>,
    /// Contracts by the roles that these files ask for beside those of `contracts`: `ROLE=ADDRESS`.
    pub(crate) roles: Vec<String>,
}

/// Where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Storage {
    /// The data folder.
    pub(crate) data_dir: PathBuf,
    /// Bytes that stay free on its disk: with less, intake stops and goes on when there is room again; 0 for never.
    pub(crate) min_free_bytes: u64,
    /// The ledger of the data folder that a command was told to read, by the hash of its mapping set; none for the current
    /// one.
    #[serde(skip)]
    pub(crate) generation: Option<B256>,
}

/// What is kept beyond what answers need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    /// Which blocks are kept whole, so that another mapping set can be read from them without asking a node.
    pub(crate) raw_blocks: RawBlocks,
    /// Bytes that these may take: the oldest give way to new ones; 0 for any number.
    pub(crate) raw_blocks_max_bytes: u64,
}

/// Which blocks are kept whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawBlocks {
    /// None: nodes are asked for them again.
    None,
    /// Every block that is taken in from now on.
    All,
}

/// How time is cut into epochs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settlement {
    /// Unix seconds at which epoch 0 begins.
    pub(crate) epoch_origin: u64,
    /// Length of an epoch.
    pub(crate) epoch_seconds: u64,
    /// The `epochs` folder of another index of this chain: what vaults held at the end of the epochs that it has is taken
    /// from the manifests there, so that the digests are the same; empty for none.
    pub(crate) manifests_dir: PathBuf,
    /// What divides the records: `local`, or a cluster as `ballista://host:port`.
    pub(crate) engine: String,
    /// The bucket that a cluster reads what it divides from, `s3://bucket/prefix`; empty where its machines see the data
    /// folder under the same path.
    pub(crate) cluster_inputs: String,
    /// The service that bucket is at; empty for Amazon's.
    pub(crate) s3_endpoint: String,
    /// Its region.
    pub(crate) s3_region: String,
}

/// Where answers are served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Api {
    /// Address to listen on; port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// Address for Arrow Flight SQL, port 0 takes a free one; empty for none.
    pub(crate) flight_listen: String,
    /// Address for PostgreSQL's protocol, port 0 takes a free one; empty for none.
    pub(crate) postgres_listen: String,
    /// Names of tokens for people: `ADDRESS:SYMBOL:DECIMALS`.
    pub(crate) tokens: Vec<String>,
    /// Address for /metrics, /healthz and /readyz; empty to do without.
    pub(crate) admin_listen: String,
    /// Proxies whose `X-Forwarded-For` is believed, by address.
    pub(crate) trusted_proxies: Vec<String>,
    /// Origins whose pages may ask; `*` is any.
    pub(crate) cors_origins: Vec<String>,
    /// JSON file with GraphQL documents by their ids; empty for none.
    pub(crate) documents_file: PathBuf,
    /// Whether only those documents are answered.
    pub(crate) documents_only: bool,
    /// Most memory for GraphQL answers that are given again to whoever asks the same of the same snapshot.
    pub(crate) kept_answers_mib: u64,
    /// Connections of one address at a time; one more takes the place of one that is idle.
    pub(crate) max_connections: u64,
    /// Seconds in which the head of a request has to arrive, counted from the answer before it.
    pub(crate) header_seconds: u64,
    /// Seconds in which something has to happen on a connection.
    pub(crate) idle_seconds: u64,
    /// Units of work a client without an API key may use at once.
    pub(crate) rate_units: u32,
    /// Units of work that whoever has an API key may use at once.
    pub(crate) key_rate_units: u32,
    /// Seconds in which all of them come back.
    pub(crate) rate_window_seconds: u64,
}

/// What settlement may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Engine {
    /// Memory of what divides the records of an epoch.
    pub(crate) memory_mib: u64,
    /// Threads' worth of partitions.
    pub(crate) partitions: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            chain: Chain {
                chain_id: 1612,
                start_block: 0,
                l2_urls: Vec::new(),
                poll_interval_ms: 1000,
                l1_urls: Vec::new(),
                l1_chain_id: 1,
                l1_beacon_urls: Vec::new(),
                inbox: String::new(),
                batcher: String::new(),
                system_config: String::new(),
                l1_start_block: 0,
                sequencing_window: 3600,
                genesis_time: 0,
                block_seconds: 2,
                fjord_time: 0,
                granite_time: 0,
                holocene_time: 0,
                seal: Seal::Anchored,
                trust: Trust::Full,
            },
            eigenda: EigenDa {
                proxy_urls: Vec::new(),
                bucket_urls: Vec::new(),
                s3_endpoint: String::new(),
                s3_region: "us-east-1".to_owned(),
                srs_file: PathBuf::new(),
                form: Form::default(),
                router: String::new(),
                outcomes_file: PathBuf::new(),
                known_tau: None,
            },
            contracts: Contracts {
                datanet_registry: Vec::new(),
                model_registry: Vec::new(),
                agent_registry: Vec::new(),
                attribution_hub: Vec::new(),
                reward_vault: Vec::new(),
            },
            mapping: Mapping { files: vec!["reference".to_owned()], roles: Vec::new() },
            storage: Storage { data_dir: PathBuf::from("tributary-data"), min_free_bytes: 1 << 30, generation: None },
            retention: Retention { raw_blocks: RawBlocks::None, raw_blocks_max_bytes: 0 },
            settlement: Settlement {
                epoch_origin: 0,
                epoch_seconds: 86_400,
                manifests_dir: PathBuf::new(),
                engine: "local".to_owned(),
                cluster_inputs: String::new(),
                s3_endpoint: String::new(),
                s3_region: "us-east-1".to_owned(),
            },
            api: Api::default(),
            sql: Sql::default(),
            engine: Engine { memory_mib: 512, partitions: 2 },
            s3_credentials: None,
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8600)),
            flight_listen: String::new(),
            postgres_listen: String::new(),
            tokens: Vec::new(),
            admin_listen: String::new(),
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            documents_file: PathBuf::new(),
            documents_only: false,
            kept_answers_mib: 32,
            max_connections: 1024,
            header_seconds: 30,
            idle_seconds: 90,
            rate_units: 600,
            key_rate_units: 6_000,
            rate_window_seconds: 60,
        }
    }
}

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    /// Nobody.
    Default,
    /// The file.
    File(PathBuf),
    /// The environment variable.
    Environment(String),
    /// A flag.
    Flag(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A configuration and where each of its values comes from.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) values: BTreeMap<String, (Value, Origin)>,
}

/// Names of variables that are no configuration keys.
const NOT_KEYS: [&str; 3] = ["TRIBUTARY_CONFIG", "TRIBUTARY_LOG", "TRIBUTARY_LOG_FORMAT"];

/// Reads the configuration. `flags` are dotted keys with their values and the flag's name.
pub(crate) fn load(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
    flags: &[(&str, Value, &str)],
) -> anyhow::Result<Loaded> {
    let defaults = Value::try_from(Config::default()).context("writing the default configuration")?;
    let mut values: BTreeMap<String, (Value, Origin)> =
        flatten(&defaults).into_iter().map(|(key, value)| (key, (value, Origin::Default))).collect();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let tree: Value = toml::from_str::<toml::Table>(&text)
            .map(Value::Table)
            .with_context(|| format!("reading {}", path.display()))?;
        for (key, value) in flatten(&tree) {
            set(&mut values, &key, value, Origin::File(path.to_owned()))
                .with_context(|| format!("in {}", path.display()))?;
        }
    }
    for (name, text) in environment.iter().filter(|(name, _)| !NOT_KEYS.contains(&name.as_str())) {
        let Some(rest) = name.strip_prefix("TRIBUTARY_") else { continue };
        let key = values.keys().find(|key| key.replace('.', "_").eq_ignore_ascii_case(rest)).cloned();
        let key = key.ok_or_else(|| {
            anyhow!("environment variable {name} names no key{}", hint(&values, &rest.to_lowercase()))
        })?;
        let value = like(&values[&key].0, text).with_context(|| format!("environment variable {name}"))?;
        set(&mut values, &key, value, Origin::Environment(name.clone()))?;
    }
    for (key, value, flag) in flags {
        set(&mut values, key, value.clone(), Origin::Flag((*flag).to_owned()))?;
    }
    let mut tree = toml::Table::new();
    for (key, (value, _)) in &values {
        let (section, field) = key.split_once('.').context("a key without a section")?;
        let table = tree.entry(section).or_insert_with(|| Value::Table(toml::Table::new()));
        table.as_table_mut().context("a section that is no table")?.insert(field.to_owned(), value.clone());
    }
    let mut config = Value::Table(tree).try_into::<Config>().context("reading the configuration")?;
    config.s3_credentials = credentials(environment)?;
    if config.settlement.epoch_seconds == 0 {
        bail!("settlement.epoch_seconds is 0: expected at least 1");
    }
    Ok(Loaded { config, values })
}

/// The key of S3, by the names that every client of it reads.
fn credentials(environment: &BTreeMap<String, String>) -> anyhow::Result<Option<S3Credentials>> {
    let of = |name: &str| environment.get(name).filter(|text| !text.is_empty()).cloned();
    match (of("AWS_ACCESS_KEY_ID"), of("AWS_SECRET_ACCESS_KEY")) {
        (Some(key_id), Some(secret)) => {
            Ok(Some(S3Credentials { key_id, secret, session_token: of("AWS_SESSION_TOKEN") }))
        }
        (None, None) => Ok(None),
        (Some(_), None) => bail!("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not: expected both or neither"),
        (None, Some(_)) => bail!("AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not: expected both or neither"),
    }
}

fn set(values: &mut BTreeMap<String, (Value, Origin)>, key: &str, value: Value, origin: Origin) -> anyhow::Result<()> {
    let Some(slot) = values.get_mut(key) else {
        bail!("unknown key {key}{}", hint(values, key));
    };
    if slot.0.type_str() != value.type_str() {
        bail!("key {key} is a {}: expected {}", value.type_str(), slot.0.type_str());
    }
    *slot = (value, origin);
    Ok(())
}

fn hint(values: &BTreeMap<String, (Value, Origin)>, key: &str) -> String {
    let nearest = values.keys().min_by_key(|known| strsim::damerau_levenshtein(known, key));
    nearest.map(|known| format!(": the nearest known key is {known}")).unwrap_or_default()
}

/// The leaves of a tree by dotted key.
fn flatten(tree: &Value) -> Vec<(String, Value)> {
    let Value::Table(table) = tree else { return Vec::new() };
    let mut out = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(_) => {
                out.extend(flatten(value).into_iter().map(|(key, leaf)| (format!("{name}.{key}"), leaf)));
            }
            leaf => out.push((name.clone(), leaf.clone())),
        }
    }
    out
}

/// The text of an environment variable as a value of the same type as `known`; lists are comma-separated.
fn like(known: &Value, text: &str) -> anyhow::Result<Value> {
    Ok(match known {
        Value::Integer(_) => Value::Integer(text.parse().with_context(|| format!("{text:?} is no integer"))?),
        Value::Boolean(_) => {
            Value::Boolean(text.parse().with_context(|| format!("{text:?} is neither true nor false"))?)
        }
        Value::Array(_) => Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| Value::String(part.to_owned()))
                .collect(),
        ),
        _ => Value::String(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::{Origin, Trust, load};
    use std::collections::BTreeMap;
    use std::io::Write as _;
    use toml::Value;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
        let file = file("[settlement]\nepoch_seconds = 1\nepoch_origin = 7\n[engine]\nmemory_mib = 1\n");
        let environment = BTreeMap::from([
            ("TRIBUTARY_SETTLEMENT_EPOCH_SECONDS".to_owned(), "2".to_owned()),
            ("TRIBUTARY_ENGINE_MEMORY_MIB".to_owned(), "2".to_owned()),
        ]);
        let flags = [("settlement.epoch_seconds", Value::Integer(3), "--epoch-seconds")];
        let loaded = load(Some(file.path()), &environment, &flags).unwrap();
        let config = &loaded.config;
        assert_eq!(
            (config.settlement.epoch_seconds, config.engine.memory_mib, config.settlement.epoch_origin),
            (3, 2, 7)
        );
        assert_eq!(config.engine.partitions, 2);
        assert_eq!(loaded.values["settlement.epoch_seconds"].1, Origin::Flag("--epoch-seconds".to_owned()));
        assert_eq!(loaded.values["settlement.epoch_origin"].1, Origin::File(file.path().to_owned()));
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_one() {
        let file = file("[settlement]\nepoch_second = 1\n");
        let error = format!("{:#}", load(Some(file.path()), &BTreeMap::new(), &[]).unwrap_err());
        assert!(error.contains("settlement.epoch_second:"), "{error}");
        assert!(error.contains("settlement.epoch_seconds"), "{error}");
        assert!(error.contains(&file.path().display().to_string()), "{error}");
    }

    #[test]
    fn trust_is_full_unless_the_configuration_says_otherwise() {
        let trust = |text: &str| load(Some(file(text).path()), &BTreeMap::new(), &[]).map(|one| one.config.chain.trust);
        assert_eq!(trust("").unwrap(), Trust::Full);
        assert_eq!(trust("[chain]\ntrust = \"unverified\"\n").unwrap(), Trust::Unverified);
        let error = format!("{:#}", trust("[chain]\ntrust = \"some\"\n").unwrap_err());
        assert!(error.contains("`some`") && error.contains("`full` or `unverified`"), "{error}");
    }

    #[test]
    fn a_value_of_another_type_says_what_was_expected() {
        let file = file("[chain]\nchain_id = \"1612\"\n");
        let error = format!("{:#}", load(Some(file.path()), &BTreeMap::new(), &[]).unwrap_err());
        assert!(error.contains("chain.chain_id is a string: expected integer"), "{error}");
    }
}
