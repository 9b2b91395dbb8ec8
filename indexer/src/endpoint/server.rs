//! Servers of bytes by HTTP GET: bounded answers, a few tries with growing pauses, and the pauses that a server asks for.
//! What the bytes are worth is for whoever asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

use super::{EndpointHealth, Failure, names, read_bounded, reason, retry_after};
use crate::Clock;
use crate::clock::millis;
use crate::s3::{self, Bucket};

/// The pause of a server that says "too many" and not for how long, and the longest it may ask for.
const REST: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(300);
/// Tries at one server before the next one is asked.
const TRIES_MAX: u32 = 4;
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(20);
/// So much of an answer that says no is kept as its reason.
pub(crate) const REASON_BYTES_MAX: usize = 16 << 10;

/// What an answer other than 200 means, by its status, the pause it asks for and the beginning of its body.
pub(crate) type Refusal = fn(u16, Option<Duration>, &[u8]) -> Failure;

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    place: Place,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    refusal: Refusal,
    health: Mutex<EndpointHealth>,
    rests_until_ms: AtomicU64,
}

/// Where a server's routes are.
#[derive(Debug)]
enum Place {
    /// Under this URL.
    Url(String),
    /// In a bucket whose requests are signed.
    Bucket(Bucket),
}

impl Server {
    /// The servers at these addresses.
    pub(crate) fn all(urls: &[Url], client: &reqwest::Client, clock: &Arc<dyn Clock>, refusal: Refusal) -> Vec<Self> {
        let servers = names(urls).into_iter().zip(urls).map(|(name, url)| Self {
            health: Mutex::new(EndpointHealth::new(name.clone())),
            name,
            place: Place::Url(url.as_str().trim_end_matches('/').to_owned()),
            client: client.clone(),
            clock: Arc::clone(clock),
            refusal,
            rests_until_ms: AtomicU64::new(0),
        });
        servers.collect()
    }

    /// The same server, its routes being objects of this bucket.
    pub(crate) fn in_bucket(self, bucket: Bucket) -> Self {
        Self { place: Place::Bucket(bucket), refusal: s3::refusal, ..self }
    }

    pub(crate) fn health<T>(&self, with: impl FnOnce(&mut EndpointHealth) -> T) -> T {
        with(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks until there is something or a refusal, a few times at most; not before a pause is over that the server asked
    /// for, whoever got to hear that.
    pub(crate) async fn insist<T, A>(&self, ask: impl Fn() -> A) -> Result<T, Failure>
    where
        A: Future<Output = Result<T, Failure>>,
    {
        let mut pause = PAUSE_FIRST;
        let mut tries = 1;
        loop {
            let rest = std::cmp::min(self.rest(), PAUSE_MAX);
            if !rest.is_zero() {
                self.clock.sleep(rest).await;
            }
            let answer = ask().await;
            let now = self.clock.now_ms();
            self.health(|health| health.record(&answer, now));
            match answer {
                Err(Failure::Transient { after, .. }) if tries < TRIES_MAX => {
                    let asked = std::cmp::min(after.unwrap_or_default(), PAUSE_MAX);
                    self.clock.sleep(std::cmp::max(pause, asked)).await;
                    pause = pause.saturating_mul(2);
                    tries = tries.saturating_add(1);
                }
                answer => return answer,
            }
        }
    }

    /// What it gives for a route, unless it asked for a pause that is not over.
    pub(crate) async fn get(&self, route: &str, bytes_max: usize, deadline: Duration) -> Result<Vec<u8>, Failure> {
        let rest = self.rest();
        if !rest.is_zero() {
            let reason = format!("asked for a pause, {} ms of it left", rest.as_millis());
            return Err(Failure::Transient { reason, after: Some(rest), limited: true });
        }
        tokio::select! {
            biased;
            bytes = self.read(route, bytes_max) => bytes,
            () = self.clock.deadline(deadline) => {
                Err(Failure::transient(format!("no answer within {} ms", deadline.as_millis())))
            }
        }
    }

    /// What is left of the pause that it asked for.
    fn rest(&self) -> Duration {
        let until = self.rests_until_ms.load(Ordering::Relaxed);
        Duration::from_millis(until.saturating_sub(self.clock.now_ms()))
    }

    async fn read(&self, route: &str, bytes_max: usize) -> Result<Vec<u8>, Failure> {
        let url = match &self.place {
            Place::Url(base) => format!("{base}/{route}"),
            Place::Bucket(bucket) => bucket.signed(route).await?,
        };
        let sent = self.client.get(url).send().await;
        let mut response = sent.map_err(|error| Failure::transient(reason(error)))?;
        let status = response.status().as_u16();
        if status == 200 {
            return read_bounded(&mut response, bytes_max).await.map_err(Failure::transient);
        }
        let after = retry_after(&response);
        let body = read_bounded(&mut response, REASON_BYTES_MAX).await.unwrap_or_default();
        if status == 429 {
            let rest = std::cmp::min(after.unwrap_or(REST), REST_MAX);
            let until = self.clock.now_ms().saturating_add(millis(rest));
            self.rests_until_ms.store(until, Ordering::Relaxed);
        }
        Err((self.refusal)(status, after, &body))
    }
}

/// The beginning of a text from outside, on one line.
pub(crate) fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(120).collect()
}
