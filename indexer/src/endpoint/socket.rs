//! One WebSocket connection. alloy's own connects again as soon as the node hangs up and asks everything once more,
//! without a pause: a node that hangs up whenever it is asked would be asked in a circle. Here the connection ends, what
//! was asked fails, and the pool decides what then, on our clock.

use alloy::{
    pubsub::{ConnectionHandle, PubSubConnect},
    transports::{
        TransportErrorKind, TransportResult,
        ws::{WebSocketConfig, WsConnect},
    },
};
use url::Url;

/// Connects once.
#[derive(Debug, Clone)]
pub(super) struct OneSocket(WsConnect);

impl OneSocket {
    /// To this address, with a bound on the bytes of a message.
    pub(super) fn new(url: &Url, bytes_max: usize) -> Self {
        let limit = Some(bytes_max);
        let config = WebSocketConfig::default().max_message_size(limit).max_frame_size(limit);
        Self(WsConnect::new(url.as_str()).with_config(config))
    }
}

impl PubSubConnect for OneSocket {
    fn is_local(&self) -> bool {
        self.0.is_local()
    }

    fn connect(&self) -> impl Future<Output = TransportResult<ConnectionHandle>> + Send {
        self.0.connect()
    }

    fn try_reconnect(&self) -> impl Future<Output = TransportResult<ConnectionHandle>> + Send {
        std::future::ready(Err(TransportErrorKind::non_retryable_str("the connection ended")))
    }
}
