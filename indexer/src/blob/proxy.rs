//! Blobs by the EigenDA proxy's routes: `GET {proxy}/get/0x00<hash>?return_encoded_payload=true`.

use alloy_primitives::B256;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tributary_schemas::payload_codec;
use url::Url;

use super::{BlobSource, NotFound};
use crate::endpoint::{read_bounded, retry_after};
use crate::{Clock, IndexerError};

/// The largest encoded payload: 2^19 elements of 32 bytes.
const ENCODED_BYTES_MAX: usize = payload_codec::ELEMENTS_MAX * 32;
/// How long one answer may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// Tries at one proxy before the next one is asked.
const TRIES_MAX: u32 = 4;
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// Proxies, asked in turn.
#[derive(Debug)]
pub struct Proxies {
    client: reqwest::Client,
    urls: Vec<Url>,
    clock: Arc<dyn Clock>,
}

impl Proxies {
    /// These proxies, in the order of preference.
    pub fn new(urls: &[Url], clock: Arc<dyn Clock>) -> Result<Self, IndexerError> {
        let client = reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).build();
        let client = client
            .map_err(|error| IndexerError::Configuration { what: "proxies".to_owned(), reason: error.to_string() })?;
        Ok(Self { client, urls: urls.to_vec(), clock })
    }

    /// The payload from one proxy; the encoding and the hash are checked, so a corrupt answer is none.
    async fn ask(&self, proxy: &Url, hash: B256) -> Result<Vec<u8>, Trouble> {
        let base = proxy.as_str().trim_end_matches('/');
        let url = format!("{base}/get/0x00{}?return_encoded_payload=true", alloy_primitives::hex::encode(hash));
        let answer = async {
            let sent = self.client.get(url).send().await.map_err(|error| error.without_url().to_string())?;
            let mut response = sent;
            let status = response.status();
            if status == reqwest::StatusCode::NOT_FOUND {
                return Err(Trouble::Absent);
            }
            if !status.is_success() {
                return Err(Trouble::Passing(format!("status {status}"), retry_after(&response)));
            }
            Ok(read_bounded(&mut response, ENCODED_BYTES_MAX).await?)
        };
        let encoded = tokio::select! {
            answer = answer => answer?,
            () = self.clock.deadline(DEADLINE) => return Err(format!("no answer in {} s", DEADLINE.as_secs()).into()),
        };
        let payload = payload_codec::decode(&encoded).map_err(|error| Trouble::from(error.to_string()))?;
        let real = alloy_primitives::keccak256(&payload);
        if real == hash { Ok(payload) } else { Err(format!("a payload of another hash, {real}").into()) }
    }
}

/// Why a proxy did not give a payload.
enum Trouble {
    /// It says that it does not have it.
    Absent,
    /// Anything else; another attempt may succeed, after a pause if it asks for one.
    Passing(String, Option<Duration>),
}

impl From<String> for Trouble {
    fn from(reason: String) -> Self {
        Self::Passing(reason, None)
    }
}

impl Proxies {
    /// Asks one proxy until it gives the payload or says that it has none, a few times at most.
    async fn insist(&self, proxy: &Url, hash: B256) -> Result<Vec<u8>, Trouble> {
        let mut pause = PAUSE_FIRST;
        for _ in 1..TRIES_MAX {
            match self.ask(proxy, hash).await {
                Err(Trouble::Passing(_, after)) => {
                    let asked = std::cmp::min(after.unwrap_or_default(), PAUSE_MAX);
                    self.clock.sleep(std::cmp::max(pause, asked)).await;
                    pause = pause.saturating_mul(2);
                }
                answer => return answer,
            }
        }
        self.ask(proxy, hash).await
    }
}

#[async_trait]
impl BlobSource for Proxies {
    async fn fetch(&self, hash: B256) -> Result<(Vec<u8>, String), NotFound> {
        let mut absent = !self.urls.is_empty();
        let mut reasons = Vec::new();
        for (index, url) in self.urls.iter().enumerate() {
            match self.insist(url, hash).await {
                Ok(payload) => return Ok((payload, format!("proxy {index}"))),
                Err(Trouble::Absent) => reasons.push(format!("proxy {index} does not have it")),
                Err(Trouble::Passing(reason, _)) => {
                    absent = false;
                    reasons.push(format!("proxy {index}: {reason}"));
                }
            }
        }
        let reason = if reasons.is_empty() { "no proxy is configured".to_owned() } else { reasons.join("; ") };
        Err(NotFound { reason, absent })
    }
}
