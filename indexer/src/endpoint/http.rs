//! alloy's client over an HTTP transport of our own: alloy's reads a body of any size into memory.

use alloy::{
    rpc::json_rpc::{RequestPacket, ResponsePacket},
    transports::{TransportError, TransportErrorKind, TransportFut},
};
use std::{
    error::Error as _,
    task::{Context, Poll},
    time::Duration,
};
use tower::Service;
use url::Url;

/// JSON-RPC by HTTP POST, with a bound on the bytes of an answer.
#[derive(Debug, Clone)]
pub struct BoundedHttp {
    client: reqwest::Client,
    url: Url,
    bytes_max: usize,
}

impl BoundedHttp {
    /// A transport to this address.
    ///
    /// # Errors
    ///
    /// When no HTTP client can be made.
    pub fn new(url: Url, bytes_max: usize) -> Result<Self, reqwest::Error> {
        let redirects = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).redirect(redirects).build()?;
        Ok(Self { client, url, bytes_max })
    }

    async fn send(self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let sent = self.client.post(self.url.clone()).json(&request).send().await;
        let mut response = sent.map_err(|error| TransportErrorKind::custom_str(&reason(error)))?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let body = read_bounded(&mut response, self.bytes_max).await;
        if !status.is_success() {
            // A body that could not be read still came with a status that says what to do.
            let text = body.map_or_else(|reason| reason, |body| String::from_utf8_lossy(&body).into_owned());
            return Err(TransportErrorKind::http_error_with_retry_after(status.as_u16(), text, retry_after));
        }
        let body = body.map_err(|reason| TransportErrorKind::custom_str(&reason))?;
        serde_json::from_slice(&body).map_err(|error| {
            let start = String::from_utf8_lossy(&body[..std::cmp::min(body.len(), 200)]).into_owned();
            TransportError::deser_err(error, start)
        })
    }
}

impl Service<RequestPacket> for BoundedHttp {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

/// Why a request was not answered, down to the first cause: "error sending request" alone helps nobody. Without the
/// URL, which may hold a key.
pub(crate) fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(because) = cause {
        text.push_str(&format!(": {because}"));
        cause = because.source();
    }
    text
}

/// The pause a server asks for; only the form in seconds, which is what nodes send.
pub(crate) fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let value = response.headers().get(reqwest::header::RETRY_AFTER)?;
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The body, or why not.
pub(crate) async fn read_bounded(response: &mut reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, String> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let too_large = || format!("answer larger than {bytes_max} bytes");
    if announced.is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    let mut body = Vec::with_capacity(announced.unwrap_or_default());
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len().saturating_add(chunk.len()) > bytes_max => return Err(too_large()),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(format!("the answer broke off after {} bytes: {error}", body.len())),
        }
    }
}
