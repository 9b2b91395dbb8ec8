//! The reference contracts on a chain: typed bindings made from the committed artifacts, and their deployment.

use alloy::contract::{CallBuilder, CallDecoder};
use alloy::primitives::{Address, B256, TxHash};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::TransactionReceipt;

pub use bindings::{
    AgentIdentity, AgentRegistry, AttributionHub, DatanetRegistry, FeeToken, HookToken, HostileEmitter, LateRegistry,
    Mall, MallBuilder, ModelRegistry, PlainToken, ReentrantClaimer, RewardVault, Shop, Spray, Stall, TipperByReceiver,
    TipperBySender, Vectors,
};

/// What the macro makes of the artifacts in `schemas/contracts/artifacts`.
mod bindings {
    #![expect(missing_docs, reason = "the Solidity sources hold the documentation")]
    #![allow(clippy::all, clippy::pedantic, clippy::too_many_lines, reason = "generated")]

    use alloy::sol;

    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        DatanetRegistry,
        "../schemas/contracts/artifacts/DatanetRegistry.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        ModelRegistry,
        "../schemas/contracts/artifacts/ModelRegistry.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        AgentRegistry,
        "../schemas/contracts/artifacts/AgentRegistry.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        AttributionHub,
        "../schemas/contracts/artifacts/AttributionHub.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        RewardVault,
        "../schemas/contracts/artifacts/RewardVault.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        PlainToken,
        "../schemas/contracts/artifacts/PlainToken.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        FeeToken,
        "../schemas/contracts/artifacts/FeeToken.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        HookToken,
        "../schemas/contracts/artifacts/HookToken.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        ReentrantClaimer,
        "../schemas/contracts/artifacts/ReentrantClaimer.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        HostileEmitter,
        "../schemas/contracts/artifacts/HostileEmitter.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        Spray,
        "../schemas/contracts/artifacts/Spray.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        Vectors,
        "../schemas/contracts/artifacts/Vectors.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        AgentIdentity,
        "../schemas/contracts/artifacts/AgentIdentity.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        LateRegistry,
        "../schemas/contracts/artifacts/LateRegistry.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        Shop,
        "../schemas/contracts/artifacts/Shop.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        TipperByReceiver,
        "../schemas/contracts/artifacts/TipperByReceiver.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        TipperBySender,
        "../schemas/contracts/artifacts/TipperBySender.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        Mall,
        "../schemas/contracts/artifacts/Mall.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        MallBuilder,
        "../schemas/contracts/artifacts/MallBuilder.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug, PartialEq, Eq)]
        Stall,
        "../schemas/contracts/artifacts/Stall.json"
    );
}

/// What went wrong on the way to a mined transaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// The node or the contract refused the call.
    #[error("sending a transaction: {0}")]
    Refused(#[from] alloy::contract::Error),
    /// The transaction was mined and failed.
    #[error("transaction {0} was reverted")]
    Reverted(TxHash),
    /// The node did not answer.
    #[error("asking the node: {0}")]
    Node(#[from] alloy::transports::TransportError),
}

/// What may differ from one deployment to another.
#[derive(Clone, Copy, Debug)]
pub struct SuiteOptions {
    /// Blocks after its commit in which a batch can be challenged.
    pub challenge_blocks: u64,
    /// The least bond of a challenge, in wei.
    pub minimum_bond: u64,
    /// What is staked; the zero address is the native token.
    pub stake_token: Address,
}

impl Default for SuiteOptions {
    fn default() -> Self {
        Self { challenge_blocks: 20, minimum_bond: 1_000, stake_token: Address::ZERO }
    }
}

/// The five contracts, deployed by one administrator who has every role.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The administrator.
    pub admin: Address,
    /// Datanets and contributions.
    pub datanets: DatanetRegistry::DatanetRegistryInstance<DynProvider>,
    /// Models and lineage.
    pub models: ModelRegistry::ModelRegistryInstance<DynProvider>,
    /// Agents.
    pub agents: AgentRegistry::AgentRegistryInstance<DynProvider>,
    /// Attribution batches.
    pub hub: AttributionHub::AttributionHubInstance<DynProvider>,
    /// The escrow.
    pub vault: RewardVault::RewardVaultInstance<DynProvider>,
    /// The block of the first deployment: an indexer starts here.
    pub first_block: u64,
}

impl Suite {
    /// Deploys the suite with the defaults of [`SuiteOptions`].
    pub async fn deploy(provider: &DynProvider, admin: Address) -> Result<Self, SuiteError> {
        Self::deploy_with(provider, admin, SuiteOptions::default()).await
    }

    /// Deploys the suite. `admin` must be unlocked on the node, and gets every role.
    pub async fn deploy_with(
        provider: &DynProvider,
        admin: Address,
        options: SuiteOptions,
    ) -> Result<Self, SuiteError> {
        let p = || provider.clone();
        let first_block = provider.get_block_number().await? + 1;
        let datanets = DatanetRegistry::deploy_builder(p()).from(admin).deploy_sync().await?;
        let models = ModelRegistry::deploy_builder(p()).from(admin).deploy_sync().await?;
        let agents = AgentRegistry::deploy_builder(p()).from(admin).deploy_sync().await?;
        let registries = vec![datanets, models, agents];
        let bond = alloy::primitives::U256::from(options.minimum_bond);
        let hub = AttributionHub::deploy_builder(p(), admin, registries.clone(), options.challenge_blocks, bond)
            .from(admin)
            .deploy_sync()
            .await?;
        let vault =
            RewardVault::deploy_builder(p(), admin, registries, options.stake_token).from(admin).deploy_sync().await?;
        let suite = Self {
            admin,
            datanets: DatanetRegistry::new(datanets, p()),
            models: ModelRegistry::new(models, p()),
            agents: AgentRegistry::new(agents, p()),
            hub: AttributionHub::new(hub, p()),
            vault: RewardVault::new(vault, p()),
            first_block,
        };
        suite.grant_roles().await?;
        Ok(suite)
    }

    async fn grant_roles(&self) -> Result<(), SuiteError> {
        for role in vault_roles() {
            mined(self.vault.grantRole(role, self.admin).from(self.admin)).await?;
        }
        let resolver = alloy::primitives::keccak256("RESOLVER_ROLE");
        mined(self.hub.grantRole(resolver, self.admin).from(self.admin)).await?;
        Ok(())
    }
}

/// The vault's roles below its administrator.
#[must_use]
pub fn vault_roles() -> [B256; 4] {
    ["POLICY_ROLE", "OPERATOR_ROLE", "GUARDIAN_ROLE", "PUBLISHER_ROLE"].map(alloy::primitives::keccak256)
}

/// Deploys the six-decimal token that anyone can mint.
pub async fn deploy_token(
    provider: &DynProvider,
    from: Address,
) -> Result<PlainToken::PlainTokenInstance<DynProvider>, SuiteError> {
    let address = PlainToken::deploy_builder(provider.clone()).from(from).deploy_sync().await?;
    Ok(PlainToken::new(address, provider.clone()))
}

/// Sends a call, which must name its sender, and waits until it is mined and has succeeded.
pub async fn mined<D: CallDecoder>(call: CallBuilder<&DynProvider, D>) -> Result<TransactionReceipt, SuiteError> {
    let receipt = call.send_sync().await?;
    if receipt.status() { Ok(receipt) } else { Err(SuiteError::Reverted(receipt.transaction_hash)) }
}
