//! Servers of the tests' own, on free loopback ports.

use axum::Router;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A server of these routes; dropped, it stops.
#[derive(Debug)]
pub struct LocalServer {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl LocalServer {
    /// Starts it.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(routes: Router) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let ended = axum::serve(listener, routes).await;
            drop(ended);
        });
        Ok(Self { address, _tasks: tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
