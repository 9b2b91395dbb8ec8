//! Answers about money: earned, owed, explained, proved.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::B256;
use async_graphql::ID;
use datafusion::scalar::ScalarValue;
use tributary_accounting::{StatementOf, tree};
use tributary_schemas::column::{Decimal38, hex_text};
use tributary_schemas::money::{ClaimRow, EpochRow, MerkleLeafRow, MoneyFlowRow};
use tributary_store::read_status;

use super::View;
use super::load::{EarningsKey, Grouped, LeafKey, StandingKey};
use crate::earned::whole_units;
use crate::error::{ErrorCode, Refusal};
use crate::page::FIRST_MAX;
use crate::pinned::column;
use crate::scalar::{AddressText, BigInt, BlockNumber, Bytes32, DateTime};
use crate::schema::account::{Earning, EarningsGroup, Entitlement, Proof, Statement, StatementLine};
use crate::schema::epoch::MoneyFlow;
use crate::schema::status::{
    Alarm, Anchored, BlockRef, Counter, Counts, EndpointStatus, Status, TokenTotal, VaultRoot,
};
use crate::schema::subscription::EarningsChange;
use crate::standing::Standing;

/// Accounts that earned something up to an epoch; every epoch holds the position of all of them.
const ACCOUNTS: &str = "SELECT count(DISTINCT account) FROM claims \
     WHERE epoch = (SELECT max(epoch) FROM claims WHERE epoch <= $1) AND account LIKE '0x%'";

impl View {
    /// Where everything stands: the snapshot's heads, and what the follower says of itself.
    pub(crate) async fn status(&self) -> Result<Status, Refusal> {
        self.look_outside();
        let dir = self.pinned().folder.clone();
        let read = tokio::task::spawn_blocking(move || read_status(&dir)).await;
        let told = match read {
            Ok(Ok(told)) => told.unwrap_or_default(),
            Ok(Err(cause)) => return Err(Refusal::internal("reading the follower's status", &cause)),
            Err(cause) => return Err(Refusal::internal("reading the follower's status", &cause)),
        };
        let heads = &self.pinned().snapshot.heads;
        let block = |block: tributary_store::BlockRef| BlockRef {
            number: BlockNumber(tributary_schemas::column::signed(block.number)),
            hash: Bytes32(block.hash),
            timestamp: Some(DateTime::seconds(block.timestamp)),
        };
        let lag = told.head.map(|head| head.number.saturating_sub(heads.block_number));
        Ok(Status {
            view: self.clone(),
            chain_id: BigInt::from(heads.chain_id),
            head: told.head.map(block),
            safe: told.safe.map(block),
            finalized: told.finalized.map(block),
            indexed: told.indexed.map(block),
            sealed: BlockRef {
                number: BlockNumber(self.pinned().number()),
                hash: Bytes32(heads.block_hash),
                timestamp: Some(DateTime::seconds(heads.block_timestamp)),
            },
            finality: heads.finality.clone(),
            trust: heads.trust.clone(),
            settled_epoch: heads.settled_epoch,
            open_epoch: heads.epoch_of(heads.block_timestamp),
            epoch_seconds: tributary_schemas::column::signed(heads.epoch_seconds),
            log_root: Bytes32(heads.log_root),
            mapping_set_hash: Bytes32(heads.mapping_set_hash),
            manifest_hash: heads.manifest_hash.map(Bytes32),
            ledger_digest: heads.ledger_digest.map(Bytes32),
            merkle_roots: heads
                .roots
                .iter()
                .map(|(vault, root)| VaultRoot { vault: AddressText(*vault), root: Bytes32(*root) })
                .collect(),
            snapshot: tributary_schemas::column::signed(self.pinned().snapshot.version),
            lag_blocks: lag.map(tributary_schemas::column::signed),
            waiting: told.waiting,
            endpoints: told
                .endpoints
                .into_iter()
                .map(|one| EndpointStatus { name: one.name, state: one.state, reason: one.reason })
                .collect(),
            counters: told
                .counters
                .into_iter()
                .map(|(name, value)| Counter { name, value: BigInt::from(value) })
                .collect(),
            anchored: told.anchored.map(|anchored| Anchored::of(anchored, told.head.map(|head| head.number))),
        })
    }

    /// What the chain says of settled epochs and the settlement does not.
    pub(crate) async fn alarms(&self) -> Result<Vec<Alarm>, Refusal> {
        let alarm = |one: &tributary_accounting::Alarm| Alarm {
            kind: one.kind.as_str().to_owned(),
            epoch: one.epoch,
            vault: AddressText(one.vault),
            token: AddressText(one.token),
            block: BlockNumber(one.block),
            detail: one.detail.clone(),
            account: one.account.map(AddressText),
        };
        Ok(self.pinned().alarms().await?.iter().map(alarm).collect())
    }

    /// How much the snapshot holds.
    pub(crate) async fn counts(&self) -> Result<Counts, Refusal> {
        let (pinned, world, number) = (self.pinned(), self.world(), self.number());
        let batches = self.count("SELECT count(DISTINCT batch_sk) FROM attribution_batches", vec![]).await?;
        let accounts = match self.cut() {
            Some(cut) => self.count(ACCOUNTS, vec![cut.into()]).await?,
            None => 0,
        };
        let count = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
        Ok(Counts {
            blocks: pinned.rows_of("blocks"),
            events: pinned.rows_of("events"),
            rejected_events: pinned.rows_of("rejected_events"),
            payments: pinned.rows_of("payments"),
            batches,
            blobs: pinned.rows_of("blobs"),
            attributions: pinned.rows_of("attributions"),
            datasets: count(world.datasets.all_at(number).count()),
            contributions: count(world.contributions.all_at(number).count()),
            models: count(world.models.all_at(number).count()),
            agents: count(world.agents.all_at(number).count()),
            accounts,
        })
    }

    pub(super) async fn count(&self, query: &str, values: Vec<ScalarValue>) -> Result<i64, Refusal> {
        let batches = self.pinned().batches(query, values).await?;
        let first = batches.iter().find(|batch| batch.num_rows() > 0);
        let counted = first.map(|batch| column::<i64>(batch, 0)).transpose()?;
        Ok(counted.and_then(|column| column.first().copied()).unwrap_or(0))
    }

    /// Money by token over all settled epochs.
    pub(crate) async fn totals(&self) -> Result<Vec<TokenTotal>, Refusal> {
        let cut = self.cut().unwrap_or(i64::MIN);
        let mut totals = BTreeMap::<&str, [i128; 3]>::new();
        for row in self.world().epochs.range(..=cut).flat_map(|(_, rows)| rows) {
            let sums = totals.entry(&row.token).or_default();
            for (sum, part) in sums.iter_mut().zip([row.revenue, row.credited, row.held]) {
                *sum = sum.saturating_add(part.0);
            }
        }
        let query = "SELECT token, sum(amount) FROM reward_claims WHERE block_number <= $1 GROUP BY 1";
        let mut claimed = BTreeMap::<String, i128>::new();
        for batch in self.pinned().batches(query, vec![self.number().into()]).await? {
            let rows = column::<String>(&batch, 0)?.into_iter().zip(column::<Decimal38>(&batch, 1)?);
            claimed.extend(rows.map(|(token, sum)| (token, sum.0)));
        }
        let total = |(token, [revenue, credited, held]): (&str, [i128; 3])| {
            let address = AddressText::read(token);
            TokenTotal {
                token: address,
                revenue: self.money(address, revenue),
                credited: self.money(address, credited),
                held: self.money(address, held),
                claimed: self.money(address, claimed.get(token).copied().unwrap_or(0)),
            }
        };
        Ok(totals.into_iter().map(total).collect())
    }

    /// What an account earned, by group.
    pub(crate) async fn earnings(
        &self,
        account: AddressText,
        group: EarningsGroup,
        epoch: Option<i64>,
    ) -> Result<Vec<Earning>, Refusal> {
        let Some(cut) = self.cut() else { return Ok(Vec::new()) };
        let epochs = epoch.map_or((0, cut), |epoch| (epoch, std::cmp::min(epoch, cut)));
        let found = self.0.loads.load_one(EarningsKey { account, group, epochs }).await?.unwrap_or_default();
        let earning = |(key, token, sum): Grouped| {
            let label = match (group, &key) {
                (EarningsGroup::Dataset | EarningsGroup::Model | EarningsGroup::Agent, Some(id)) => {
                    Some(self.world().label(id, self.number()))
                }
                _ => None,
            };
            let of_group = key.as_ref().filter(|_| group == EarningsGroup::Epoch).and_then(|key| key.parse().ok());
            let amount = self.money(AddressText::read(&token), sum);
            Earning { key: key.unwrap_or_default(), label, epoch: of_group.or(epoch), amount }
        };
        Ok(found.into_iter().map(earning).collect())
    }

    /// The epochs in which an account earned or gave back something, oldest first, with what changed.
    pub(crate) async fn earnings_changes(
        &self,
        account: AddressText,
    ) -> Result<Vec<(i64, Vec<EarningsChange>)>, Refusal> {
        let Some(cut) = self.cut() else { return Ok(Vec::new()) };
        let query = "SELECT * FROM claims WHERE account = $1 AND epoch <= $2 ORDER BY epoch, vault, token";
        let mut before = BTreeMap::<(String, String), i128>::new();
        let mut out = Vec::<(i64, Vec<EarningsChange>)>::new();
        for row in self.pinned().rows::<ClaimRow>(query, vec![account.lower().into(), cut.into()]).await? {
            let (vault, token) = (AddressText::read(&row.vault), AddressText::read(&row.token));
            let last = before.entry((row.vault, row.token)).or_default();
            let earned = row.cumulative.0.saturating_sub(std::mem::replace(last, row.cumulative.0));
            if earned == 0 {
                continue;
            }
            let (earned, cumulative) = (self.money(token, earned), self.money(token, row.cumulative.0));
            let change = EarningsChange { vault, earned, cumulative };
            match out.last_mut().filter(|(epoch, _)| *epoch == row.epoch) {
                Some((_, changes)) => changes.push(change),
                None => out.push((row.epoch, vec![change])),
            }
        }
        Ok(out)
    }

    /// What an account is owed, by vault and token.
    pub(crate) async fn entitlements(
        &self,
        account: AddressText,
        token: Option<AddressText>,
    ) -> Result<Vec<Entitlement>, Refusal> {
        let Some(cut) = self.cut() else { return Ok(Vec::new()) };
        let standings = self.standings(account.lower(), cut).await?;
        let asked = token.map(AddressText::lower);
        let of_token = standings.into_iter().filter(|one| asked.as_ref().is_none_or(|token| *token == one.token));
        Ok(of_token
            .map(|one| Entitlement {
                view: self.clone(),
                account,
                token: AddressText::read(&one.token),
                vault: AddressText::read(&one.vault),
                epoch: one.epoch,
                units: one.cumulative,
                on_tree: one.on_tree,
                claimed: one.claimed,
            })
            .collect())
    }

    async fn standings(&self, account: String, cut: i64) -> Result<Vec<Standing>, Refusal> {
        let (pinned, number) = (self.pinned(), self.number());
        let newest = number == pinned.number() && Some(cut) == pinned.snapshot.heads.settled_epoch;
        if newest && let Some(all) = pinned.standings().await? {
            return Ok(all.of(&account).to_vec());
        }
        Ok(pinned.loads.load_one(StandingKey { account, number, cut }).await?.unwrap_or_default())
    }

    /// Whether the root an epoch settled to was published by the vault, as far as this block.
    pub(crate) async fn root_published(
        &self,
        vault: AddressText,
        token: AddressText,
        epoch: i64,
    ) -> Result<bool, Refusal> {
        let Some(row) = self.epoch_row(vault, token, epoch) else { return Ok(false) };
        let same = |one: &&tributary_schemas::facts::PublishedRootRow| {
            one.settled_epoch == epoch
                && one.vault == row.vault
                && one.root == row.root
                && one.block_number <= self.number()
        };
        Ok(self.world().roots.iter().any(|one| same(&one)))
    }

    fn epoch_row(&self, vault: AddressText, token: AddressText, epoch: i64) -> Option<&EpochRow> {
        let (vault, token) = (vault.lower(), token.lower());
        let mut rows = self.world().epochs.get(&epoch)?.iter();
        rows.find(|row| row.vault == vault && row.token == token)
    }

    /// The proof of what an account is owed.
    pub(crate) async fn proof(
        &self,
        account: AddressText,
        token: AddressText,
        vault: AddressText,
        epoch: i64,
    ) -> Result<Option<Proof>, Refusal> {
        let leaves = self.pinned().loads.load_one(LeafKey { account, epoch }).await?.unwrap_or_default();
        let of = |row: &MerkleLeafRow| row.token == token.lower() && row.vault == vault.lower();
        let Some(row) = leaves.into_iter().find(of) else { return Ok(None) };
        let leaf = Bytes32::read(&row.leaf).map_or(B256::ZERO, |leaf| leaf.0);
        let index = u64::try_from(row.leaf_index).unwrap_or(u64::MAX);
        let file = self.pinned().folder.join("epochs").join(epoch.to_string()).join(format!("{}.nodes", vault.lower()));
        let read = tokio::task::spawn_blocking(move || {
            // A tree of n leaves is a file of 2n - 1 nodes of 32 bytes.
            let nodes = std::fs::metadata(&file).map_or(0, |file| file.len() / 32);
            tree::siblings(&file, index, nodes.div_ceil(2))
        })
        .await;
        let siblings = match read {
            Ok(Ok(siblings)) => siblings,
            Ok(Err(cause)) => return Err(Refusal::internal("reading the tree", &cause)),
            Err(cause) => return Err(Refusal::internal("reading the tree", &cause)),
        };
        let root = tree::climb(leaf, &siblings);
        // Any token's row of the vault names the root; the token's own may be missing when it had no revenue then.
        let rows = self.world().epochs.get(&epoch).into_iter().flatten();
        let expected = rows.filter(|one| one.vault == row.vault).map(|one| &one.root).collect::<BTreeSet<_>>();
        if !expected.contains(&hex_text(root)) {
            let cause = format!("leaf {} leads to {root}: expected {expected:?}", row.leaf_index);
            return Err(Refusal::internal("checking a proof", &cause));
        }
        Ok(Some(Proof {
            root: Bytes32(root),
            leaf: Bytes32(leaf),
            siblings: siblings.into_iter().map(Bytes32).collect(),
            epoch,
            vault,
            account,
            token,
            cumulative: BigInt::from(row.cumulative.0),
        }))
    }

    /// What an account was owed, the movements, and what it was owed after.
    pub(crate) async fn statement(
        &self,
        account: AddressText,
        token: AddressText,
        (from, to): (i64, i64),
        vault: Option<AddressText>,
    ) -> Result<Option<Statement>, Refusal> {
        if from <= to && self.cut().is_none_or(|cut| to > cut) {
            return Ok(None);
        }
        let vault = vault.map(|vault| vault.0);
        let of = StatementOf { account: account.0, token: token.0, epochs: (from, to), vault };
        let stated = self.pinned().statement(of).await?;
        let line = |line: tributary_accounting::StatementLine| StatementLine {
            epoch: line.epoch,
            entry: line.entry,
            vault: AddressText::read(&line.vault),
            code: line.code,
            phase: line.phase,
            counterpart: line.counterpart,
            source: line.source,
            adjusts_epoch: line.adjusts_epoch,
            amount: self.money(token, line.amount),
        };
        Ok(Some(Statement {
            from,
            to,
            opening: self.money(token, stated.opening),
            closing: self.money(token, stated.closing),
            lines: stated.lines.into_iter().map(line).collect(),
        }))
    }

    /// The largest flows of money in an epoch.
    pub(crate) async fn flows(
        &self,
        epoch: i64,
        token: Option<AddressText>,
        first: i64,
    ) -> Result<Vec<MoneyFlow>, Refusal> {
        let first = usize::try_from(first).ok().filter(|first| *first <= FIRST_MAX).ok_or_else(|| {
            Refusal::new(ErrorCode::BadInput, format!("first is {first}: expected 0 <= first <= {FIRST_MAX}"))
        })?;
        let query = format!(
            "SELECT * FROM money_flows WHERE epoch = $1 AND ($2 = '' OR token = $2) \
             ORDER BY amount_sub DESC, token, step, depth, src_id, dst_id LIMIT {first}"
        );
        let values = vec![epoch.into(), token.map_or_else(String::new, AddressText::lower).into()];
        let rows = self.pinned().rows::<MoneyFlowRow>(&query, values).await?;
        let label = |id: &str| self.world().label(id, self.number());
        Ok(rows
            .into_iter()
            .map(|row| MoneyFlow {
                depth: i64::from(row.depth),
                source_label: label(&row.src_id),
                target_label: label(&row.dst_id),
                amount: self.money(AddressText::read(&row.token), whole_units(row.amount_sub.0, row.sub_digits)),
                step: row.step,
                source: ID(row.src_id),
                target: ID(row.dst_id),
            })
            .collect())
    }
}
