//! Rule `tributary-settle/1`: an epoch from tables to rows, trees and a manifest. A function of what it is given.

use alloy_primitives::{Address, B256, Keccak256};
use datafusion::prelude::SessionContext;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::column::{Decimal38, hex_text};
use tributary_schemas::invariant::{CUMULATIVE_MONOTONE, SPLIT_IS_WHOLE};
use tributary_schemas::money::{self, ClaimRow, EntitlementRow, EpochRow, MerkleLeafRow, MoneyFlowRow};
use tributary_store::DeclaredOutcome;

use crate::book::{Book, Node, Party, Purse, Shares};
use crate::error::{AccountingError, hold};
use crate::flow::spread;
use crate::intake::{Intake, fits};
use crate::journal::{Code, Entry, Journal, Phase, payable};
use crate::read::{Columns, address, amount, query};
use crate::remainder::{Due, names, round, sub_digits};
use crate::standing::{Standing, closing};
use crate::state::{Bounds, State};
use crate::tree::{Leaf, Tree};

/// Name of the rule.
pub const RULE: &str = "tributary-settle/1";

/// What a settlement needs to know beside the tables.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// The L2's chain id.
    pub chain_id: u64,
    /// The epoch.
    pub epoch: i64,
    /// Digest of the journal up to the epoch before; zero before the first.
    pub ledger_digest: B256,
    /// Hash of the manifest of the epoch before; `None` before the first.
    pub manifest_hash: Option<B256>,
    /// Outcomes that depend on time and luck (ruling 10); those of references up to the cut enter the manifest.
    pub declared_outcomes: Vec<DeclaredOutcome>,
}

/// A settled epoch: what is to be published.
#[derive(Debug)]
pub struct Settled {
    /// Rows of the money tables.
    pub rows: money::Rows,
    /// The manifest, as canonical JSON (RFC 8785).
    pub manifest: String,
    /// keccak256 of it.
    pub manifest_hash: B256,
    /// The tree of each vault.
    pub trees: BTreeMap<Address, Tree>,
    /// Digest of the journal up to this epoch.
    pub ledger_digest: B256,
}

/// Settles an epoch over the tables registered in `ctx` (all of `facts::all()` and `money::all()`).
/// `None` when the epoch has no block.
pub async fn settle(ctx: &SessionContext, input: &Input) -> Result<Option<Settled>, AccountingError> {
    let Some(bounds) = Bounds::of(ctx, input.epoch).await? else { return Ok(None) };
    let state = State::load(ctx, bounds).await?;
    let mut intake = Intake::collect(ctx, &state, input.epoch).await?;
    let mut run = Run {
        state,
        journal: Journal::new(input.epoch),
        rows: money::Rows::default(),
        purses: BTreeMap::new(),
        policies: BTreeSet::new(),
    };
    run.receive(ctx, &mut intake, input.epoch).await?;
    let shares = run.divide(ctx, &intake, input.epoch).await?;

    let mut standing = Standing::before(ctx, input.epoch).await?;
    let before = standing.positions.clone();
    standing.claim(ctx, input.epoch, &mut run.journal).await?;
    for posted in standing.release(ctx, &run.state, &mut run.journal).await? {
        run.post(input.epoch, &posted);
    }
    for (purse, shares) in shares {
        run.credit(input.epoch, purse, shares, &mut standing)?;
    }
    run.adjust(ctx, &intake).await?;
    let grown =
        before.iter().all(|(key, old)| standing.positions.get(key).is_some_and(|new| new.cumulative >= old.cumulative));
    hold(&CUMULATIVE_MONOTONE, grown, || format!("a cumulative entitlement fell in epoch {}", input.epoch))?;
    run.finish(input, &standing).map(Some)
}

/// Totals of a vault and token.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    payments: i64,
    revenue: u128,
    credited: u128,
    held: u128,
    rounding: u128,
    cumulative: u128,
}

struct Run {
    state: State,
    journal: Journal,
    rows: money::Rows,
    purses: BTreeMap<Purse, Total>,
    policies: BTreeSet<String>,
}

impl Run {
    /// Books what came in. A token whose total, of the epoch or since the beginning, would reach 10^38 goes to suspense
    /// as payments (ruling 21); its receipts are taken out.
    async fn receive(&mut self, ctx: &SessionContext, intake: &mut Intake, epoch: i64) -> Result<(), AccountingError> {
        let earlier = earlier_revenue(ctx, epoch).await?;
        let totals = intake.totals();
        let fitting: BTreeSet<Purse> = totals
            .iter()
            .filter(|(purse, total)| {
                fits(**total + alloy_primitives::U256::from(earlier.get(*purse).copied().unwrap_or(0)))
            })
            .map(|(purse, _)| *purse)
            .collect();
        for (purse, payments) in &intake.payments {
            self.purses.entry(*purse).or_default().payments = *payments;
        }
        for receipt in &intake.receipts {
            let purse = (receipt.key.vault, receipt.key.token);
            let total = self.purses.entry(purse).or_default();
            let mut entry = Entry {
                purse,
                debit: "escrow".to_owned(),
                credit: "clearing".to_owned(),
                amount: receipt.net,
                code: Code::Receive,
                phase: Phase::Single,
                source: receipt.event,
                adjusts: None,
            };
            if fitting.contains(&purse) {
                total.revenue += receipt.net;
                self.policies.insert(self.state.rulings[receipt.key.ruling].hash.clone());
            } else {
                entry.credit = Party::suspense("overflow").name();
                entry.code = Code::Hold;
            }
            self.journal.write(entry)?;
        }
        intake.receipts.retain(|receipt| fitting.contains(&(receipt.key.vault, receipt.key.token)));
        Ok(())
    }

    /// Steps 1 to 5: sub-units of every payee. Σ = revenue · S, exactly.
    async fn divide(
        &mut self,
        ctx: &SessionContext,
        intake: &Intake,
        epoch: i64,
    ) -> Result<BTreeMap<Purse, Shares>, AccountingError> {
        let mut book = Book::default();
        let scale = |purse: Purse| 10u128.pow(sub_digits(self.purses.get(&purse).map_or(0, |total| total.revenue)));
        let data = spread(&self.state, &intake.receipts, |key| scale((key.vault, key.token)), &mut book)?;
        crate::usage::divide(ctx, &self.state, epoch, data, &mut book).await?;
        let due: BTreeMap<Purse, u128> = self
            .purses
            .iter()
            .filter(|(_, total)| total.revenue > 0)
            .map(|(purse, total)| (*purse, total.revenue * scale(*purse)))
            .collect();
        let totals = book.totals();
        hold(&SPLIT_IS_WHOLE, totals == due, || format!("flows sum to {totals:?} sub-units: expected {due:?}"))?;
        for ((purse, step, depth, from, to), sub) in &book.edges {
            let digits = sub_digits(self.purses.get(purse).map_or(0, |total| total.revenue));
            self.rows.money_flows.push(MoneyFlowRow {
                epoch,
                vault: hex_text(purse.0),
                token: hex_text(purse.1),
                step: step.as_str().to_owned(),
                depth: i32::try_from(*depth).unwrap_or(i32::MAX),
                src_id: node(*from),
                dst_id: node(*to),
                amount_sub: Decimal38(sub.cast_signed()),
                sub_digits: i32::try_from(digits).unwrap_or(0),
            });
        }
        book.close(&self.state)
    }

    /// Step 7 and the entries that follow from it.
    fn credit(
        &mut self,
        epoch: i64,
        purse: Purse,
        shares: Shares,
        standing: &mut Standing,
    ) -> Result<(), AccountingError> {
        let revenue = self.purses.get(&purse).map_or(0, |total| total.revenue);
        let (due, rounding) = round(shares, 10u128.pow(sub_digits(revenue)));
        let mut total = self.purses.get(&purse).copied().unwrap_or_default();
        total.rounding = rounding;
        for (party, due) in due {
            let (credit, code, phase) = match &party {
                Party::Account(account) => {
                    standing.earn(purse, *account, due.amount);
                    (payable(*account), Code::Credit, Phase::Single)
                }
                Party::Pseudo { name, payee: Some(_) } => (name.clone(), Code::Credit, Phase::Pending),
                Party::Pseudo { name, payee: None } if name == "treasury" => {
                    (name.clone(), Code::Credit, Phase::Single)
                }
                Party::Pseudo { name, payee: None } => (name.clone(), Code::Hold, Phase::Single),
            };
            if code == Code::Credit && phase == Phase::Single {
                total.credited += due.amount;
            } else {
                total.held += due.amount;
            }
            let debit = "clearing".to_owned();
            self.journal.write(Entry {
                purse,
                debit,
                credit,
                amount: due.amount,
                code,
                phase,
                source: closing(),
                adjusts: None,
            })?;
            self.lines(epoch, purse, &party, &due)?;
        }
        hold(&SPLIT_IS_WHOLE, total.credited + total.held == total.revenue, || {
            format!("credited {} and held {}: expected {} together", total.credited, total.held, total.revenue)
        })?;
        self.purses.insert(purse, total);
        Ok(())
    }

    /// Lines of a participant's statement: integers that add up to its amount.
    fn lines(&mut self, epoch: i64, purse: Purse, party: &Party, due: &Due) -> Result<(), AccountingError> {
        let sum: u128 = due.lines.values().map(|(part, _)| part).sum();
        hold(&SPLIT_IS_WHOLE, sum == due.amount, || {
            format!("lines of {party:?} sum to {sum}: expected {}", due.amount)
        })?;
        for (line, (part, rounding)) in due.lines.iter().filter(|(_, (part, _))| *part > 0) {
            let (account, role) = match party {
                Party::Account(account) => (hex_text(account), line.role.as_str().to_owned()),
                Party::Pseudo { payee: Some(payee), .. } => {
                    (hex_text(payee), format!("pending:{}", line.role.as_str()))
                }
                Party::Pseudo { name, .. } => {
                    let reason = name.strip_prefix("suspense:").unwrap_or(line.role.as_str());
                    (name.clone(), reason.to_owned())
                }
            };
            let [dataset_id, contribution_id, model_version_id, agent_version_id] = names(line);
            self.rows.entitlements.push(EntitlementRow {
                epoch,
                vault: hex_text(purse.0),
                account,
                token: hex_text(purse.1),
                role,
                dataset_id,
                contribution_id,
                model_version_id,
                agent_version_id,
                amount: Decimal38(part.cast_signed()),
                rounding: Decimal38(*rounding),
            });
        }
        Ok(())
    }

    /// What a pending entry earned its payee now that its window is over.
    fn post(&mut self, epoch: i64, posted: &crate::standing::Posted) {
        self.rows.entitlements.push(EntitlementRow {
            epoch,
            vault: hex_text(posted.purse.0),
            account: hex_text(posted.payee),
            token: hex_text(posted.purse.1),
            role: "posted".to_owned(),
            dataset_id: None,
            contribution_id: None,
            model_version_id: None,
            agent_version_id: None,
            amount: Decimal38(posted.amount.cast_signed()),
            rounding: Decimal38(0),
        });
        self.purses.entry(posted.purse).or_default();
    }

    /// Refunds of money that settled in an earlier epoch: never a rewrite. The vault took the money from the caller of
    /// the refund, so the entry says that the platform owes it.
    async fn adjust(&mut self, ctx: &SessionContext, intake: &Intake) -> Result<(), AccountingError> {
        for refund in &intake.late_refunds {
            let batches = query(ctx, &format!("SELECT epoch FROM blocks WHERE number = {}", refund.ripe_block)).await?;
            let epochs = batches.iter().map(|batch| Columns(batch).int64("epoch")).collect::<Result<Vec<_>, _>>()?;
            self.journal.write(Entry {
                purse: (refund.vault, refund.token),
                debit: "receivable:platform".to_owned(),
                credit: "escrow".to_owned(),
                amount: refund.amount,
                code: Code::Adjust,
                phase: Phase::Single,
                source: refund.event,
                adjusts: epochs.concat().first().copied(),
            })?;
        }
        Ok(())
    }

    fn finish(mut self, input: &Input, standing: &Standing) -> Result<Settled, AccountingError> {
        self.journal.check()?;
        let trees = self.trees(input.epoch, standing);
        self.rows.ledger_entries = self.journal.rows();
        sort_lines(&mut self.rows.entitlements);
        let ledger_digest = self.journal.digest(input.ledger_digest);
        let manifest = self.manifest(input, &trees, ledger_digest);
        let manifest_hash = alloy_primitives::keccak256(&manifest);
        for (purse, total) in &self.purses {
            self.rows.epochs.push(EpochRow {
                epoch: input.epoch,
                vault: hex_text(purse.0),
                token: hex_text(purse.1),
                first_block: self.state.bounds.first,
                last_block: self.state.bounds.last,
                payments: total.payments,
                revenue: Decimal38(total.revenue.cast_signed()),
                credited: Decimal38(total.credited.cast_signed()),
                held: Decimal38(total.held.cast_signed()),
                rounding: Decimal38(total.rounding.cast_signed()),
                cumulative: Decimal38(total.cumulative.cast_signed()),
                root: hex_text(trees.get(&purse.0).map(Tree::root).unwrap_or_default()),
                ledger_digest: hex_text(ledger_digest),
                manifest_hash: hex_text(manifest_hash),
                rule: RULE.to_owned(),
            });
        }
        Ok(Settled { rows: self.rows, manifest, manifest_hash, trees, ledger_digest })
    }

    /// One tree per vault over every account at or above the least payout (ruling 23), and where everybody stands.
    fn trees(&mut self, epoch: i64, standing: &Standing) -> BTreeMap<Address, Tree> {
        let mut leaves: BTreeMap<Address, Vec<Leaf>> = BTreeMap::new();
        let after = (self.state.bounds.last.saturating_add(1), 0);
        for ((vault, account, token), position) in &standing.positions {
            let total = self.purses.entry((*vault, *token)).or_default();
            let ruling = self.state.ruling(*vault, B256::ZERO, after);
            let least =
                self.state.policy(ruling).min_payout.get(token).map_or(1, |least| std::cmp::max(least.units(), 1));
            let on_tree = position.cumulative >= least;
            if on_tree {
                total.cumulative += position.cumulative;
                leaves.entry(*vault).or_default().push(Leaf::new(*account, *token, position.cumulative));
            }
            let claimable = if on_tree { position.cumulative.saturating_sub(position.claimed) } else { 0 };
            self.rows.claims.push(ClaimRow {
                epoch,
                vault: hex_text(vault),
                account: hex_text(account),
                token: hex_text(token),
                cumulative: Decimal38(position.cumulative.cast_signed()),
                claimed: Decimal38(position.claimed.cast_signed()),
                claimable: Decimal38(claimable.cast_signed()),
            });
        }
        self.rows.claims.sort_by(|a, b| (&a.account, &a.token, &a.vault).cmp(&(&b.account, &b.token, &b.vault)));
        let trees: BTreeMap<Address, Tree> =
            leaves.into_iter().map(|(vault, leaves)| (vault, Tree::new(leaves))).collect();
        for (vault, tree) in &trees {
            for (index, leaf) in (0..).zip(tree.leaves()) {
                self.rows.merkle_leaves.push(MerkleLeafRow {
                    epoch,
                    vault: hex_text(vault),
                    leaf_index: index,
                    leaf: hex_text(leaf.hash),
                    account: hex_text(leaf.account),
                    token: hex_text(leaf.token),
                    cumulative: Decimal38(leaf.cumulative.cast_signed()),
                });
            }
        }
        trees
    }

    /// The manifest: everything the result depends on and everything it is, by digest. Numbers that may pass 2^53 are
    /// text, so that every JSON reader sees the same.
    fn manifest(&self, input: &Input, trees: &BTreeMap<Address, Tree>, ledger_digest: B256) -> String {
        let bounds = &self.state.bounds;
        let totals = self.purses.iter().map(|((vault, token), total)| {
            serde_json::json!({
                "vault": hex_text(vault), "token": hex_text(token), "payments": total.payments.to_string(),
                "revenue": total.revenue.to_string(), "credited": total.credited.to_string(),
                "held": total.held.to_string(), "rounding": total.rounding.to_string(),
                "cumulative": total.cumulative.to_string(),
            })
        });
        let known = |one: &&DeclaredOutcome| i64::try_from(one.block_number).is_ok_and(|block| block <= bounds.last);
        let declared: Vec<_> = input
            .declared_outcomes
            .iter()
            .filter(known)
            .map(|one| {
                serde_json::json!({
                    "block_number": one.block_number.to_string(), "log_index": one.log_index.to_string(),
                    "reference": one.reference, "outcome": one.outcome,
                })
            })
            .collect();
        let roots: BTreeMap<String, String> =
            trees.iter().map(|(vault, tree)| (hex_text(vault), hex_text(tree.root()))).collect();
        serde_json::json!({
            "chain_id": input.chain_id.to_string(),
            "epoch": input.epoch.to_string(),
            "rule": RULE,
            "first_block": bounds.first.to_string(),
            "last_block": bounds.last.to_string(),
            "last_block_hash": bounds.last_hash,
            "log_root": bounds.log_root,
            "declared_outcomes": declared,
            "policies": self.policies,
            "totals": totals.collect::<Vec<_>>(),
            "roots": roots,
            "ledger_digest": hex_text(ledger_digest),
            "outputs": {
                "ledger_entries": digest(&self.rows.ledger_entries),
                "entitlements": digest(&self.rows.entitlements),
                "money_flows": digest(&self.rows.money_flows),
                "claims": digest(&self.rows.claims),
                "merkle_leaves": digest(&self.rows.merkle_leaves),
            },
            "previous": input.manifest_hash.map(hex_text),
        })
        .to_string()
    }
}

/// Rows and the keccak256 of their JSON, one a line, in the order they are published in.
pub(crate) fn digest<T: Serialize>(rows: &[T]) -> serde_json::Value {
    let mut hasher = Keccak256::new();
    for row in rows {
        hasher.update(serde_json::to_vec(row).expect("rows are plain data"));
        hasher.update(b"\n");
    }
    serde_json::json!({ "rows": rows.len().to_string(), "keccak256": hex_text(hasher.finalize()) })
}

fn node(node: Node) -> String {
    match node {
        Node::Word(word) => word.to_owned(),
        Node::Id(id) => hex_text(id),
    }
}

/// Lines in the order that their digest takes them in.
pub(crate) fn sort_lines(lines: &mut [EntitlementRow]) {
    lines.sort_by(|a, b| key(a).cmp(&key(b)));
}

type LineKey<'a> = (&'a str, &'a str, &'a str, &'a str, [Option<&'a str>; 4], i128);

fn key(row: &EntitlementRow) -> LineKey<'_> {
    let ids =
        [&row.dataset_id, &row.contribution_id, &row.model_version_id, &row.agent_version_id].map(Option::as_deref);
    (&row.account, &row.token, &row.role, &row.vault, ids, row.amount.0)
}

/// What each vault took in before this epoch, per token.
async fn earlier_revenue(ctx: &SessionContext, epoch: i64) -> Result<BTreeMap<Purse, u128>, AccountingError> {
    let sql =
        format!("SELECT vault, token, sum(revenue) AS revenue FROM epochs WHERE epoch < {epoch} GROUP BY vault, token");
    let mut out = BTreeMap::new();
    for batch in &query(ctx, &sql).await? {
        let columns = Columns(batch);
        let (vaults, tokens) = (columns.text("vault", address)?, columns.text("token", address)?);
        for ((vault, token), revenue) in vaults.into_iter().zip(tokens).zip(columns.money("revenue")?) {
            out.insert((vault, token), amount(revenue)?);
        }
    }
    Ok(out)
}
