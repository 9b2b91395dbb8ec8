//! The handle by which a test or the demo starts and drives an embedded network.

use std::net::{Ipv4Addr, SocketAddr};

use alloy_primitives::{Address, B256};
use axum::Router;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    DevnetError, beacon,
    block::Block,
    config::DevnetConfig,
    node::{Layer, Node},
    proxy,
    serve::{Shared, chain_routes},
    truth::{Contracts, Truth},
};

/// A running L2, L1 with its beacon node, and EigenDA proxy. They stop when it is dropped.
#[derive(Debug)]
pub struct Devnet {
    shared: Shared,
    l2: SocketAddr,
    l1: SocketAddr,
    beacon: SocketAddr,
    proxy: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Devnet {
    /// Opens four loopback ports and serves the network on them. The chain stands at its
    /// genesis block until it is told to advance.
    ///
    /// # Errors
    /// When a port cannot be opened.
    pub async fn start(config: DevnetConfig) -> Result<Self, DevnetError> {
        let shared = Shared::new(Node::new(config));
        let mut tasks = JoinSet::new();
        let l2 = open(&mut tasks, &shared, "L2", chain_routes(shared.clone(), Layer::L2)).await?;
        let l1 = open(&mut tasks, &shared, "L1", chain_routes(shared.clone(), Layer::L1)).await?;
        let beacon = open(&mut tasks, &shared, "beacon node", beacon::routes(shared.clone())).await?;
        let proxy = open(&mut tasks, &shared, "EigenDA proxy", proxy::routes(shared.clone())).await?;
        Ok(Self { shared, l2, l1, beacon, proxy, _tasks: tasks })
    }

    /// Address of the L2 node for HTTP.
    #[must_use]
    pub fn l2_http(&self) -> String {
        format!("http://{}/", self.l2)
    }

    /// Address of the L2 node for WebSocket.
    #[must_use]
    pub fn l2_ws(&self) -> String {
        format!("ws://{}/", self.l2)
    }

    /// Address of the L1 node for HTTP.
    #[must_use]
    pub fn l1_http(&self) -> String {
        format!("http://{}/", self.l1)
    }

    /// Address of the L1's beacon node, without a slash at its end.
    #[must_use]
    pub fn beacon_url(&self) -> String {
        format!("http://{}", self.beacon)
    }

    /// Address of the EigenDA proxy, without a slash at its end.
    #[must_use]
    pub fn proxy_url(&self) -> String {
        format!("http://{}", self.proxy)
    }

    /// Lengthens the canonical chain by `blocks`. Zero only ends a fork that is shown.
    pub fn advance(&self, blocks: u64) {
        self.shared.with(|node| node.advance(blocks));
    }

    /// Lengthens the canonical chain until its head is `number`; does nothing when it is
    /// there already.
    pub fn mine_to(&self, number: u64) {
        self.shared.with(|node| node.advance(number.saturating_sub(node.chain.head())));
    }

    /// Number and hash of the canonical head, whatever is shown.
    #[must_use]
    pub fn head(&self) -> (u64, B256) {
        self.shared.with(|node| (node.chain.head(), node.chain.l2.last().map(|block| block.hash).unwrap_or_default()))
    }

    /// The finalised block's number.
    #[must_use]
    pub fn finalized(&self) -> u64 {
        self.shared.with(|node| node.finalized(Layer::L2))
    }

    /// Sets the finalised block by hand; none returns it to following the head. It never
    /// falls.
    pub fn set_finalized(&self, number: Option<u64>) {
        self.shared.with(|node| node.set_finalized(number));
    }

    /// Shows a fork: the last `depth` blocks are replaced by others, of which the last
    /// `short` are left out. It ends as the module page of the crate says.
    ///
    /// # Errors
    /// When the fork would reach into finalised blocks or be empty.
    pub fn fork(&self, depth: u64, short: u64) -> Result<(), DevnetError> {
        self.shared.with(|node| node.show_fork(depth, short))
    }

    /// Ends a fork that is shown.
    pub fn heal(&self) {
        self.shared.with(Node::heal);
    }

    /// Whether a fork is shown now.
    #[must_use]
    pub fn forked(&self) -> bool {
        self.shared.with(|node| node.forked())
    }

    /// How many forks were shown so far.
    #[must_use]
    pub fn forks_shown(&self) -> u64 {
        self.shared.with(|node| node.forks_shown())
    }

    /// A canonical block, for a judge that wants to compare.
    #[must_use]
    pub fn block(&self, number: u64) -> Option<Block> {
        let stored =
            self.shared.with(|node| usize::try_from(number).ok().and_then(|at| node.chain.l2.get(at).cloned()));
        stored.map(|stored| stored.open())
    }

    /// The contracts of the reference suite on this chain.
    #[must_use]
    pub fn contracts(&self) -> Contracts {
        self.shared.with(|node| node.chain.world.contracts.clone())
    }

    /// The secret of the setup that this network's EigenDA commits with: known, so nothing there is proved.
    #[must_use]
    pub fn tau(&self) -> B256 {
        self.shared.with(|node| node.chain.world.disperser.tau)
    }

    /// The router of EigenDA's certificate verifier on L1: what `checkDACert` is asked of by `eth_call`.
    #[must_use]
    pub fn eigenda_router(&self) -> Address {
        self.shared.with(|node| node.chain.world.disperser.router)
    }

    /// Of the L1: the batch inbox, the batcher before [`BATCHER_CHANGES_AT`](crate::BATCHER_CHANGES_AT), and the
    /// `SystemConfig` that says who it is from there on.
    #[must_use]
    pub fn inbox(&self) -> (Address, Address, Address) {
        self.shared.with(|node| {
            let batcher = &node.chain.batcher;
            (batcher.inbox, batcher.accounts[0], batcher.system_config)
        })
    }

    /// Who may post to the inbox in an L1 block.
    #[must_use]
    pub fn batcher_at(&self, l1_block: u64) -> Address {
        self.shared.with(|node| node.chain.batcher.account_at(l1_block))
    }

    /// What the canonical chain contains.
    #[must_use]
    pub fn truth(&self) -> Truth {
        self.shared.with(|node| Truth::of(&node.chain))
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

async fn open(
    tasks: &mut JoinSet<()>,
    shared: &Shared,
    service: &'static str,
    routes: Router,
) -> Result<SocketAddr, DevnetError> {
    let fail = |source| DevnetError::Listen { service, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    let stop = shared.stop.clone();
    tasks.spawn(async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::warn!(service, %error, "an embedded endpoint stopped");
        }
    });
    Ok(address)
}
