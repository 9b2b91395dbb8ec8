//! Blobs by the EigenDA proxy's routes, `GET {proxy}/get/0x<commitment>?return_encoded_payload=true`, and out of the
//! bucket that proxies keep their fall-back copies in, `GET {bucket}/<keccak256 of the certificate>`, signed where the
//! bucket is named as `s3://bucket/prefix` ([`s3`](crate::s3)).
//!
//! What a proxy's status means (its own sources, and the rulings): 418 is a *claim* that a blob is void for ever, and
//! void is only what our own decoding of matching bytes finds so; a status of 400 to 499 otherwise says that the
//! request was wrong, which is our fault; 429 asks for a pause, and the proxy gets it; 500 and a broken connection are
//! all that a proxy says of a blob that expired, is not there yet, or cannot be reached. None of them decides
//! anything: the blob stays pending, and its deadline decides.

use alloy_primitives::{hex, keccak256};
use async_trait::async_trait;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tributary_schemas::eigenda::Mode;
use tributary_store::BLOB_BYTES_MAX;
use url::Url;

use super::judge::{Assessed, Found, Judge, Judgement};
use super::{Answer, BlobSource, Lack, NotFound, Reference};
use crate::endpoint::{EndpointHealth, EndpointOptions, Failure, REASON_BYTES_MAX, Server, excerpt};
use crate::s3::{S3Options, is_s3};
use crate::{Clock, IndexerError};

/// How long one answer may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// What is kept of an answer that the blob is not there.
pub(crate) const ABSENT: &str = "does not have it";

/// Proxies or buckets, asked in turn.
#[derive(Debug)]
pub struct Proxies {
    kind: Kind,
    proxies: Vec<Server>,
}

/// What stands behind the URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Proxy,
    Bucket,
}

impl Proxies {
    /// These proxies, in the order of preference.
    pub fn new(urls: &[Url], clock: Arc<dyn Clock>) -> Result<Self, IndexerError> {
        Self::of(Kind::Proxy, urls, clock)
    }

    /// Buckets, by the URL that a key is appended to: where proxies keep their fall-back copies, or anything else that
    /// answers like it. They hold payloads, each under the hex of keccak256 of its serialized certificate, or under
    /// the hex of its own keccak256 where that is the commitment. One named as `s3://bucket/prefix` is asked with signed
    /// requests, as `s3` says.
    pub fn buckets(urls: &[Url], s3: &S3Options, clock: Arc<dyn Clock>) -> Result<Self, IndexerError> {
        let mut this = Self::of(Kind::Bucket, urls, clock)?;
        let place = |(server, url): (Server, &Url)| -> Result<Server, IndexerError> {
            if is_s3(url) { Ok(server.in_bucket(s3.bucket(url)?)) } else { Ok(server) }
        };
        this.proxies = this.proxies.into_iter().zip(urls).map(place).collect::<Result<_, _>>()?;
        Ok(this)
    }

    fn of(kind: Kind, urls: &[Url], clock: Arc<dyn Clock>) -> Result<Self, IndexerError> {
        let client = reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).build();
        let client = client
            .map_err(|error| IndexerError::Configuration { what: "proxies".to_owned(), reason: error.to_string() })?;
        Ok(Self { kind, proxies: Server::all(urls, &client, &clock, refusal) })
    }

    /// State and counters of all proxies.
    #[must_use]
    pub fn health(&self) -> Vec<EndpointHealth> {
        self.proxies.iter().map(|proxy| proxy.health(|health| health.clone())).collect()
    }

    /// What the proxy at this place of the configuration gives for a route that is not a blob's, or why it does not.
    pub(crate) async fn look(&self, place: usize, route: &str, options: &EndpointOptions) -> Result<Vec<u8>, String> {
        let proxy = self.proxies.get(place).ok_or_else(|| format!("there is no proxy {place}"))?;
        let body = proxy.get(route, REASON_BYTES_MAX, options.deadline).await;
        body.map_err(|failure| failure.reason().to_owned())
    }

    async fn ask(proxy: &Server, asked: &Asked<'_>) -> Result<Found, Failure> {
        let bytes = proxy.get(&asked.route, BLOB_BYTES_MAX, DEADLINE).await?;
        match asked.judge.bytes(asked.reference, asked.assessed, bytes).await {
            Judgement::Found(found) => Ok(*found),
            // Counted, and asked again: the commitment decides, so a bad answer does no harm but delay.
            Judgement::Different(reason) => {
                proxy.health(EndpointHealth::lied);
                Err(Failure::transient(reason))
            }
            Judgement::Undecided(reason) => Err(Failure::Refused(reason)),
        }
    }

    /// Where a blob is, behind the URL.
    fn route(&self, reference: &Reference) -> String {
        match (self.kind, reference) {
            (Kind::Proxy, Reference::Content(hash)) => format!("get/0x00{hash:x}?return_encoded_payload=true"),
            (Kind::Proxy, Reference::Certificate(certificate)) => {
                let mode = match certificate.mode {
                    Mode::Op => "",
                    Mode::Standard => "&commitment_mode=standard",
                };
                format!("get/0x{}?return_encoded_payload=true{mode}", hex::encode(&certificate.bytes))
            }
            (Kind::Bucket, Reference::Content(hash)) => format!("{hash:x}"),
            (Kind::Bucket, Reference::Certificate(certificate)) => {
                let serialized = certificate.commitment.serialized_certificate().unwrap_or_default();
                format!("{:x}", keccak256(serialized))
            }
        }
    }
}

/// What an answer other than 200 says.
fn refusal(status: u16, after: Option<Duration>, body: &[u8]) -> Failure {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Void {
        status_code: u64,
        msg: String,
    }
    match status {
        418 => match serde_json::from_slice::<Void>(body) {
            Ok(void) => {
                Failure::Refused(format!("claims that the blob is void, code {}: {}", void.status_code, void.msg))
            }
            Err(_) => Failure::Refused("claims that the blob is void, without a readable code".to_owned()),
        },
        // No proxy says this; an archive or a bucket behind the same route does.
        404 => Failure::Refused(ABSENT.to_owned()),
        429 => Failure::Transient { reason: "status 429".to_owned(), after, limited: true },
        400..=499 => Failure::Refused(format!("status {status}, the request is wrong: {}", excerpt(body))),
        _ => Failure::Transient { reason: format!("status {status}: {}", excerpt(body)), after, limited: false },
    }
}

/// What a failure says of the blob.
fn lack_of(failure: &Failure) -> Lack {
    match failure {
        Failure::Refused(reason) if reason == ABSENT => Lack::Absent,
        Failure::Transient { limited: true, .. } => Lack::Paused,
        Failure::Transient { .. } | Failure::Refused(_) | Failure::Quarantined(_) => Lack::Trouble,
    }
}

/// One blob that is asked for.
struct Asked<'a> {
    route: String,
    reference: &'a Reference,
    assessed: Option<&'a Assessed>,
    judge: &'a Judge,
}

#[async_trait]
impl BlobSource for Proxies {
    async fn fetch(&self, reference: &Reference, assessed: Option<&Assessed>, judge: &Judge) -> Answer {
        let asked = Asked { route: self.route(reference), reference, assessed, judge };
        let mut lack = if self.proxies.is_empty() { Lack::Trouble } else { Lack::Absent };
        let mut reasons = Vec::new();
        for proxy in &self.proxies {
            match proxy.insist(|| Self::ask(proxy, &asked)).await {
                Ok(found) => return Ok((found, proxy.name.clone())),
                Err(failure) => {
                    lack = std::cmp::max(lack, lack_of(&failure));
                    reasons.push(format!("{}: {}", proxy.name, failure.reason()));
                }
            }
        }
        let nobody = match self.kind {
            Kind::Proxy => "no proxy is configured",
            Kind::Bucket => "no bucket is configured",
        };
        let reason = if reasons.is_empty() { nobody.to_owned() } else { reasons.join("; ") };
        Err(NotFound { reason, lack })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::endpoint::EndpointState;
    use alloy_primitives::B256;
    use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use tributary_schemas::payload_codec;

    /// Status, headers, body.
    type Scripted = (u16, Vec<(&'static str, &'static str)>, Vec<u8>);

    async fn proxy(answers: Vec<Scripted>) -> (Url, tokio::task::JoinSet<()>) {
        let script: Arc<Mutex<VecDeque<Scripted>>> = Arc::new(Mutex::new(answers.into()));
        let routes = Router::new().route(
            "/get/{commitment}",
            get(move || async move {
                let (status, headers, body) = script.lock().unwrap().pop_front().unwrap();
                let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
                for (name, value) in headers {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                response
            }),
        );
        let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        (url, tasks)
    }

    async fn fetch(proxies: &Proxies, hash: B256) -> Result<(Vec<u8>, String), NotFound> {
        let found = proxies.fetch(&Reference::Content(hash), None, &Judge::default()).await;
        found.map(|(found, place)| (found.bytes.unwrap(), place))
    }

    #[tokio::test]
    async fn no_status_decides_about_a_blob_and_right_bytes_do() {
        let payload = b"a batch".to_vec();
        let (hash, encoded) = (keccak256(&payload), payload_codec::encode(&payload).unwrap());
        let other = payload_codec::encode(b"another").unwrap();
        let void = br#"{"StatusCode":3,"Msg":"cert invalid"}"#.to_vec();
        let broken = || (500, vec![], b"all retrievers failed".to_vec());
        let answers = vec![
            (418, vec![], void),
            (418, vec![], vec![]),
            (400, vec![], b"bad hex\n".to_vec()),
            (404, vec![], vec![]),
            broken(),
            broken(),
            broken(),
            broken(),
            (200, vec![], other),
            (200, vec![], b"no encoding".to_vec()),
            (429, vec![("retry-after", "7")], vec![]),
            (200, vec![], encoded),
        ];
        let (url, _tasks) = proxy(answers).await;
        let clock = Arc::new(ManualClock::at(1_000));
        let proxies = Proxies::new(&[url], Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let expected = [
            "claims that the blob is void, code 3: cert invalid",
            "claims that the blob is void, without a readable code",
            "status 400, the request is wrong: bad hex",
            "does not have it",
            "status 500: all retrievers failed",
        ];
        for expected in expected {
            let NotFound { reason, lack } = fetch(&proxies, hash).await.unwrap_err();
            assert!(reason.contains(expected), "{reason}");
            assert_eq!(lack, if expected == ABSENT { Lack::Absent } else { Lack::Trouble });
        }
        assert_eq!(proxies.health()[0].state, EndpointState::Failing);
        let before = clock.now_ms();
        assert_eq!(fetch(&proxies, hash).await.unwrap().0, payload);
        // Twice a pause of our own, then the seven seconds that were asked for.
        assert_eq!(clock.now_ms() - before, 100 + 200 + 7_000);
        let health = &proxies.health()[0];
        assert_eq!((health.state, health.lies, health.limited), (EndpointState::Up, 2, 1));
    }

    #[tokio::test]
    async fn a_pause_that_a_proxy_asked_for_is_waited_out_by_everybody_and_says_nothing_of_a_blob() {
        let payload = b"a batch".to_vec();
        let (hash, encoded) = (keccak256(&payload), payload_codec::encode(&payload).unwrap());
        let mut answers = vec![(429, vec![("retry-after", "9")], vec![])];
        answers.extend((0..4).map(|_| (200, vec![], encoded.clone())));
        answers.extend((0..4).map(|_| (429, vec![("retry-after", "200")], vec![])));
        let (url, _tasks) = proxy(answers).await;
        let clock = Arc::new(ManualClock::at(0));
        let proxies = Proxies::new(&[url], Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let all = futures::future::join_all((0..4).map(|_| fetch(&proxies, hash))).await;
        assert!(all.iter().all(|found| found.as_ref().is_ok_and(|(bytes, _)| *bytes == payload)), "{all:?}");
        assert!(clock.now_ms() >= 9_000);
        let limited = fetch(&proxies, hash).await.unwrap_err();
        assert_eq!(limited.lack, Lack::Paused, "{limited:?}");
    }

    #[tokio::test]
    async fn the_next_proxy_is_asked_when_the_first_has_nothing() {
        let payload = b"a batch".to_vec();
        let (hash, encoded) = (keccak256(&payload), payload_codec::encode(&payload).unwrap());
        let (first, _first) = proxy(vec![(403, vec![], vec![])]).await;
        let (second, _second) = proxy(vec![(200, vec![], encoded)]).await;
        let proxies = Proxies::new(&[first, second.clone()], Arc::new(ManualClock::at(0))).unwrap();
        let (found, place) = fetch(&proxies, hash).await.unwrap();
        assert_eq!((found, place), (payload, second.as_str().trim_end_matches('/').to_owned()));
    }
}
