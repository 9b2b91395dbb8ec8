//! Settlement on a cluster: a scheduler and executors of Ballista, both in this program, and the session whose plans they
//! run. One configuration file serves all machines.

mod executor;
mod inputs;
mod scheduler;

pub(crate) use executor::executor;
pub(crate) use scheduler::scheduler;

use anyhow::{Context as _, anyhow};
use ballista_core::extension::SessionStateExt as _;
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionContext;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tributary_accounting::engine::{cascade_udf, sum_checked};
use tributary_accounting::{AccountingError, Cluster};
use tributary_indexer::s3::{Bucket, is_s3};
use url::Url;

use crate::config::Config;
use crate::node;

/// Where the scheduler listens when nobody says otherwise; Ballista's own default.
const SCHEDULER_PORT: u16 = 50050;

/// The cluster that settles, with the files of its jobs in `folder`; none where the engine is this machine.
pub(crate) fn configured(config: &Config, folder: PathBuf) -> anyhow::Result<Option<Arc<Cluster>>> {
    let Some(scheduler) = scheduler_of(config)? else { return Ok(None) };
    let partitions = usize::try_from(config.engine.partitions).unwrap_or(1);
    let folder = std::path::absolute(&folder).with_context(|| format!("the folder {}", folder.display()))?;
    let name = config.settlement.engine.clone();
    let url = scheduler.to_string();
    let session = move || -> Result<SessionContext, AccountingError> {
        let failed = |source: DataFusionError| AccountingError::Cluster {
            cluster: url.clone(),
            what: format!("no session: {source}"),
        };
        let local = tributary_accounting::session(None, partitions)?;
        let state = local.state().upgrade_for_ballista(format!("http://{url}")).map_err(failed)?;
        let mut remote = SessionContext::new_with_state(state);
        teach(&mut remote).map_err(failed)?;
        Ok(remote)
    };
    let cluster = match bucket(config)? {
        Some((url, bucket)) => Cluster::new(name, session, inputs::InBucket::new(url, bucket), folder),
        None => Cluster::new(name, session, inputs::SharedFolder, folder),
    };
    Ok(Some(Arc::new(cluster)))
}

/// Host and port of a scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scheduler {
    host: String,
    port: u16,
}

impl std::fmt::Display for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Where the scheduler is; none where the engine is this machine.
fn scheduler_of(config: &Config) -> anyhow::Result<Option<Scheduler>> {
    let engine = config.settlement.engine.as_str();
    if engine == "local" {
        return Ok(None);
    }
    let url = Url::parse(engine).ok().filter(|url| url.scheme() == "ballista");
    let found = url.as_ref().and_then(|url| {
        Some(Scheduler { host: url.host_str()?.to_owned(), port: url.port().unwrap_or(SCHEDULER_PORT) })
    });
    let wrong = || anyhow!("settlement.engine is {engine:?}: expected \"local\" or \"ballista://host:port\"");
    found.map(Some).ok_or_else(wrong)
}

/// The bucket that a cluster reads from; none where its machines share the data folder.
fn bucket(config: &Config) -> anyhow::Result<Option<(Url, Bucket)>> {
    let settlement = &config.settlement;
    let text = settlement.cluster_inputs.as_str();
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || format!("settlement.cluster_inputs is {text:?}: expected s3://bucket/prefix, or nothing");
    let url = Url::parse(text).ok().filter(is_s3).with_context(wrong)?;
    let s3 = node::s3("settlement.s3_endpoint", &settlement.s3_endpoint, &settlement.s3_region, config)?;
    let bucket = s3.bucket(&url)?;
    Ok(Some((url, bucket)))
}

/// What scheduler and executors read tables with; `folder` is for what does not fit in memory.
fn runtime(config: &Config, folder: Option<&Path>) -> anyhow::Result<Arc<RuntimeEnv>> {
    let mut builder = RuntimeEnvBuilder::new();
    if let Some(folder) = folder {
        builder = builder.with_temp_file_path(folder);
    }
    let runtime = builder.build_arc()?;
    if let Some((url, bucket)) = bucket(config)? {
        runtime.register_object_store(&url, bucket.store);
    }
    Ok(runtime)
}

/// Registers the functions of settlement.
fn teach(registry: &mut dyn FunctionRegistry) -> datafusion::common::Result<()> {
    registry.register_udf(Arc::new(cascade_udf::cascade()))?;
    registry.register_udaf(Arc::new(sum_checked::sum_checked()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_this_machine_or_a_scheduler() {
        let of = |engine: &str| {
            let mut config = Config::default();
            engine.clone_into(&mut config.settlement.engine);
            scheduler_of(&config).map(|found| found.map(|scheduler| scheduler.to_string()))
        };
        assert_eq!(of("local").unwrap(), None);
        assert_eq!(of("ballista://10.0.0.7:4000").unwrap().unwrap(), "10.0.0.7:4000");
        assert_eq!(of("ballista://scheduler").unwrap().unwrap(), "scheduler:50050");
        for wrong in ["", "http://10.0.0.7:4000", "ballista:", "ballista"] {
            let error = of(wrong).unwrap_err().to_string();
            assert!(error.contains("ballista://host:port"), "{wrong}: {error}");
        }
    }

    #[test]
    fn inputs_are_in_a_bucket_or_nowhere() {
        let mut config = Config::default();
        assert!(bucket(&config).unwrap().is_none());
        "/srv/share".clone_into(&mut config.settlement.cluster_inputs);
        assert!(bucket(&config).unwrap_err().to_string().contains("s3://bucket/prefix"));
        "s3://tables/a".clone_into(&mut config.settlement.cluster_inputs);
        assert!(bucket(&config).unwrap_err().to_string().contains("AWS_ACCESS_KEY_ID"));
    }
}
