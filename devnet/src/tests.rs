//! The network as a client sees it: through alloy, over real ports.

mod blobs;
mod chain;
mod eigenda;
mod faults;
mod posting;
mod proxy;
mod workload;

use alloy::network::AnyNetwork;
use alloy::providers::{Provider, RootProvider};
use serde_json::Value;

use crate::{Devnet, DevnetConfig, Fault};

async fn start(config: DevnetConfig) -> Devnet {
    Devnet::start(config).await.unwrap()
}

fn client(url: &str) -> RootProvider<AnyNetwork> {
    RootProvider::new_http(url.parse().unwrap())
}

async fn ask(provider: &RootProvider<AnyNetwork>, method: &'static str, params: Value) -> Value {
    provider.raw_request(method.into(), params).await.unwrap()
}

fn with_faults(faults: &[Fault]) -> DevnetConfig {
    DevnetConfig { faults: faults.iter().copied().collect(), ..DevnetConfig::default() }
}
