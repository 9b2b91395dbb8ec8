//! What one request may read: a pinned snapshot, at one block.

use crate::error::{ErrorCode, Refusal};
use crate::scalar::{AddressText, DateTime, Money};
use crate::schema::account::{Account, Earning, EarningsGroup, Entitlement, Explanation, Proof};
use crate::schema::entity::*;
use crate::schema::epoch::{Epoch, EpochConnection, MoneyFlow};
use crate::schema::provenance::{Direction, Provenance};
use crate::schema::status::{Counts, Status, TokenTotal};
use crate::schema::{AccountConnection, AccountFilter, AsOf};
use crate::world::Kind;
use tributary_schemas::facts::AccountRow;

/// x
#[derive(Debug, Clone)]
pub(crate) struct View;
/// x
#[derive(Debug)]
pub(crate) struct Request;
impl Request {
    pub(crate) async fn view(&self, _field: &str, _as_of: Option<AsOf>, _after: Option<&str>) -> Result<View, Refusal> {
        Err(later())
    }
}
fn later() -> Refusal {
    Refusal::new(ErrorCode::NotReady, "no snapshot is published yet")
}
macro_rules! later {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $out:ty;)*) => { impl View { $(pub(crate) async fn $name(&self, $($arg: $ty),*) -> Result<$out, Refusal> { $(drop($arg);)* Err(later()) })* } };
}
later! {
    counts() -> Counts; totals() -> Vec<TokenTotal>; status() -> Status;
    account_state(a: AddressText) -> Option<AccountRow>;
    earnings(a: AddressText, g: EarningsGroup, e: Option<i64>) -> Vec<Earning>;
    entitlements(a: AddressText, t: Option<AddressText>) -> Vec<Entitlement>;
    explanation(a: AddressText, e: i64, t: AddressText) -> Option<Explanation>;
    contributions_of(a: AddressText, first: Option<i64>, after: Option<String>) -> ContributionConnection;
    contributions_in(a: i64, first: Option<i64>, after: Option<String>) -> ContributionConnection;
    owned_by(a: AddressText) -> Vec<Owned>;
    root_published(v: AddressText, t: AddressText, e: i64) -> bool;
    proof(a: AddressText, t: AddressText, v: AddressText, e: i64) -> Option<Proof>;
    payout_rule(id: &str) -> PayoutRule;
    earned_by(k: Kind, sk: i64) -> Vec<Money>;
    dataset_versions(sk: i64) -> Vec<DatasetVersion>;
    model_versions(sk: i64) -> Vec<ModelVersion>;
    agent_versions(sk: i64) -> Vec<AgentVersion>;
    contributor_count(sk: i64) -> i64;
    upstream_of(id: &str) -> Vec<Upstream>;
    dataset_by_sk(sk: i64) -> Option<Dataset>;
    flows(e: i64, t: Option<AddressText>, first: i64) -> Vec<MoneyFlow>;
    dataset(id: &str) -> Option<Dataset>;
    model(id: &str) -> Option<Model>;
    agent(id: &str) -> Option<Agent>;
    contribution(id: &str) -> Option<Contribution>;
    epoch(n: i64) -> Option<Epoch>;
    datasets(first: Option<i64>, after: Option<String>) -> DatasetConnection;
    models(first: Option<i64>, after: Option<String>) -> ModelConnection;
    agents(first: Option<i64>, after: Option<String>) -> AgentConnection;
    epochs(first: Option<i64>, after: Option<String>) -> EpochConnection;
    accounts(first: Option<i64>, after: Option<String>, f: AccountFilter) -> AccountConnection;
    provenance(id: &str, d: Direction, depth: i64, first: i64) -> Option<Provenance>;
}
impl View {
    pub(crate) fn cut(&self) -> Option<i64> {
        None
    }
    pub(crate) fn money(&self, _t: AddressText, _u: i128) -> Money {
        unreachable!()
    }
    pub(crate) fn epoch_start(&self, _e: i64) -> DateTime {
        DateTime::seconds(0)
    }
    pub(crate) fn account(&self, address: AddressText) -> Account {
        Account { view: self.clone(), address }
    }
}
