//! What a settlement comes to, as rows of the money tables: kept as numbers, made text when somebody takes them.
//!
//! A row of text costs half a kilobyte and there are several for every payee, so rows are handed over in pieces, each
//! table in its own order, and never lie in memory all at once unless somebody asks for that.

use alloy_primitives::Address;
use std::collections::BTreeMap;
use tributary_schemas::column::{Decimal38, hex_text};
use tributary_schemas::invariant::SPLIT_IS_WHOLE;
use tributary_schemas::money::{
    self, BalanceRow, ClaimRow, EntitlementRow, EpochRow, FundingRow, LedgerEntryRow, MerkleLeafRow, MoneyFlowRow,
};

use crate::book::{Edge, MoneyFlows, Node, Pot, Purse};
use crate::digest::{Digest, in_pieces};
use crate::error::{AccountingError, hold};
use crate::journal::Journal;
use crate::names::{Line, Names, Party, Share, index};
use crate::order::POSTED;
use crate::standing::{Position, Posted, Standing};
use crate::state::State;
use crate::tree::Tree;

/// The money tables of an epoch.
#[derive(Debug)]
pub struct Tables {
    pub(crate) epoch: i64,
    pub(crate) names: Names,
    pub(crate) lines: BTreeMap<Pot, Vec<Share>>,
    /// Lines of statements in the order of their table: (number of the pot, place among its lines).
    pub(crate) order: Vec<(u32, u32)>,
    pub(crate) posted: Vec<Posted>,
    pub(crate) flows: MoneyFlows,
    /// Decimal digits of a base unit in sub-units.
    pub(crate) digits: BTreeMap<Purse, u32>,
    pub(crate) journal: Journal,
    pub(crate) standing: Standing,
    pub(crate) least: BTreeMap<Purse, u128>,
    pub(crate) trees: BTreeMap<Address, Tree>,
    pub(crate) epochs: Vec<EpochRow>,
    pub(crate) balances: Vec<BalanceRow>,
    pub(crate) fundings: Vec<FundingRow>,
    pub(crate) state: State,
}

/// A line of a statement as its row has it.
#[derive(Debug)]
struct Statement {
    purse: Purse,
    party: Party,
    pending: bool,
    role: &'static str,
    line: Option<Line>,
    amount: i128,
    rounding: i128,
    adjusts: Option<i64>,
}

impl Tables {
    /// Every row of every table. For small epochs and for tests.
    #[must_use]
    pub fn rows(&self) -> money::Rows {
        let mut rows = self.few();
        self.ledger_entries(|row| rows.ledger_entries.push(row));
        self.entitlements(|row| rows.entitlements.push(row));
        self.money_flows(|row| rows.money_flows.push(row));
        self.claims(|row| rows.claims.push(row));
        self.merkle_leaves(|row| rows.merkle_leaves.push(row));
        rows
    }

    /// The rows of the tables that have a row for every vault and token, or few more.
    pub(crate) fn few(&self) -> money::Rows {
        let (epochs, balances, fundings) = (self.epochs.clone(), self.balances.clone(), self.fundings.clone());
        money::Rows { epochs, balances, fundings, ..money::Rows::default() }
    }

    /// The lines of accounts add up to what they earned (INV-05), per vault and token.
    pub(crate) fn check(&self, earned: &BTreeMap<Purse, u128>) -> Result<(), AccountingError> {
        let (pots, accounts) = (self.pots(), self.names.accounts());
        let mut sums = vec![0_i128; pots.len()];
        let mut lines: BTreeMap<Purse, i128> = earned.keys().map(|purse| (*purse, 0)).collect();
        for (pot, place) in &self.order {
            if *pot == POSTED {
                let one = &self.posted[index(*place)];
                *lines.entry(one.purse).or_default() += one.amount;
                continue;
            }
            let share = &pots[index(*pot)].1[index(*place)];
            if index(share.party) < accounts {
                sums[index(*pot)] += share.amount.cast_signed();
            }
        }
        for (((purse, _), _), sum) in pots.into_iter().zip(sums) {
            *lines.entry(*purse).or_default() += sum;
        }
        let same = lines.iter().all(|(purse, sum)| earned.get(purse).copied().unwrap_or(0).cast_signed() == *sum);
        hold(&SPLIT_IS_WHOLE, same, || format!("lines of statements sum to {lines:?}: expected {earned:?}"))
    }

    fn pots(&self) -> Vec<(&Pot, &[Share])> {
        self.lines.iter().map(|(pot, shares)| (pot, shares.as_slice())).collect()
    }

    /// Rows of `epochs`.
    #[must_use]
    pub fn epochs(&self) -> &[EpochRow] {
        &self.epochs
    }

    /// Number of rows of `entitlements`.
    #[must_use]
    pub const fn lines(&self) -> usize {
        self.order.len()
    }

    /// Number of rows of a table of many rows.
    pub(crate) fn rows_of(&self, table: &str) -> usize {
        match table {
            "entitlements" => self.order.len(),
            "ledger_entries" => self.journal.len(),
            "money_flows" => self.flows.len(),
            "claims" => self.standing.len(),
            _ => self.trees.values().map(|tree| tree.leaves().len()).sum(),
        }
    }

    /// Base units of all lines of a role, held ones apart.
    #[must_use]
    pub fn of_role(&self, role: &str) -> i128 {
        self.statements().filter(|one| one.role == role && !one.pending).map(|one| one.amount).sum()
    }

    /// Hands over the rows of `entitlements`, by (account, token, role, vault, ids).
    pub fn entitlements(&self, mut take: impl FnMut(EntitlementRow)) {
        for one in self.statements() {
            let account = match one.party {
                Party::Account(account) | Party::Pending(_, account) => hex_text(account),
                Party::Suspense(..) | Party::Treasury => self.names.name(one.party),
            };
            let line = one.line.unwrap_or_else(|| Line::of(crate::names::Role::Payment));
            let [dataset_id, contribution_id, model_version_id, agent_version_id] =
                [line.dataset, line.contribution, line.model, line.agent].map(|id| id.map(hex_text));
            take(EntitlementRow {
                epoch: self.epoch,
                vault: hex_text(one.purse.0),
                account,
                token: hex_text(one.purse.1),
                role: if one.pending { format!("pending:{}", one.role) } else { one.role.to_owned() },
                dataset_id,
                contribution_id,
                model_version_id,
                agent_version_id,
                amount: Decimal38(one.amount),
                rounding: Decimal38(one.rounding),
                adjusts_epoch: one.adjusts,
            });
        }
    }

    /// Hands over the rows of `ledger_entries`, by id.
    pub fn ledger_entries(&self, take: impl FnMut(LedgerEntryRow)) {
        self.journal.rows(&self.names, take);
    }

    /// Hands over the rows of `money_flows`, by (token, step, source, destination, vault, depth).
    pub fn money_flows(&self, mut take: impl FnMut(MoneyFlowRow)) {
        for (edge, sub) in self.flows.iter(&self.state) {
            take(MoneyFlowRow {
                epoch: self.epoch,
                vault: hex_text(edge.vault),
                token: hex_text(edge.token),
                step: edge.step.as_str().to_owned(),
                depth: i32::try_from(edge.depth).unwrap_or(i32::MAX),
                src_id: node(edge.from),
                dst_id: node(edge.to),
                amount_sub: Decimal38(sub.cast_signed()),
                sub_digits: self.sub_digits(edge),
            });
        }
    }

    /// Hands over the rows of `claims`, by (account, token, vault).
    pub fn claims(&self, mut take: impl FnMut(ClaimRow)) {
        for (purse, position) in self.standing.iter() {
            take(ClaimRow {
                epoch: self.epoch,
                vault: hex_text(purse.0),
                account: hex_text(position.account),
                token: hex_text(purse.1),
                cumulative: Decimal38(position.cumulative.cast_signed()),
                claimed: Decimal38(position.claimed.cast_signed()),
                claimable: Decimal38(self.claimable(purse, position)),
            });
        }
    }

    /// Hands over the rows of `merkle_leaves`, by (vault, index).
    pub fn merkle_leaves(&self, mut take: impl FnMut(MerkleLeafRow)) {
        for (vault, tree) in &self.trees {
            for (leaf_index, leaf) in (0..).zip(tree.leaves()) {
                take(MerkleLeafRow {
                    epoch: self.epoch,
                    vault: hex_text(vault),
                    leaf_index,
                    leaf: hex_text(leaf.hash),
                    account: hex_text(leaf.account),
                    token: hex_text(leaf.token),
                    cumulative: Decimal38(leaf.cumulative.cast_signed()),
                });
            }
        }
    }

    fn statements(&self) -> impl Iterator<Item = Statement> {
        let pots = self.pots();
        self.order.iter().map(move |at| self.statement(&pots, *at))
    }

    fn statement(&self, pots: &[(&Pot, &[Share])], (pot, place): (u32, u32)) -> Statement {
        if pot == POSTED {
            let one = &self.posted[index(place)];
            return Statement {
                purse: one.purse,
                party: Party::Account(one.payee),
                pending: false,
                role: one.role,
                line: None,
                amount: one.amount,
                rounding: 0,
                adjusts: one.adjusts,
            };
        }
        let ((purse, adjusts), shares) = pots[index(pot)];
        let share = shares[index(place)];
        let line = self.names.line(share.line);
        let party = self.names.party(share.party);
        let role = if let Party::Suspense(reason, _) = party { reason } else { line.role.as_str() };
        Statement {
            purse: *purse,
            party,
            pending: matches!(party, Party::Pending(..)),
            role,
            line: Some(line),
            amount: share.amount.cast_signed(),
            rounding: i128::from(share.rounding),
            adjusts: *adjusts,
        }
    }

    pub(crate) fn entitlements_digest(&self) -> serde_json::Value {
        let pots = self.pots();
        in_pieces(self.order.len(), |range, digest| {
            for at in &self.order[range] {
                self.digest_statement(&self.statement(&pots, *at), digest);
            }
        })
    }

    fn digest_statement(&self, one: &Statement, digest: &mut Digest) {
        digest.int(self.epoch);
        digest.bytes(one.purse.0);
        match one.party {
            Party::Account(account) | Party::Pending(_, account) => digest.bytes(account),
            Party::Suspense(..) | Party::Treasury => digest.text(&self.names.name(one.party)),
        }
        digest.bytes(one.purse.1);
        if one.pending {
            digest.text(&format!("pending:{}", one.role));
        } else {
            digest.text(one.role);
        }
        for id in one.line.map_or([None; 4], |line| [line.dataset, line.contribution, line.model, line.agent]) {
            digest.id(id);
        }
        digest.money(one.amount);
        digest.money(one.rounding);
        digest.int(one.adjusts.unwrap_or(-1));
        digest.end();
    }

    pub(crate) fn money_flows_digest(&self) -> serde_json::Value {
        in_pieces(self.flows.len(), |range, digest| {
            let start = self.flows.split(&self.state, range.start);
            for (edge, sub) in self.flows.since(&self.state, start).take(range.len()) {
                digest.int(self.epoch);
                digest.bytes(edge.vault);
                digest.bytes(edge.token);
                digest.text(edge.step.as_str());
                digest.int(i64::from(edge.depth));
                for node in [edge.from, edge.to] {
                    match node {
                        Node::Word(word) => digest.text(word),
                        Node::Id(id) => digest.bytes(id),
                    }
                }
                digest.money(sub.cast_signed());
                digest.int(i64::from(self.sub_digits(edge)));
                digest.end();
            }
        })
    }

    pub(crate) fn claims_digest(&self) -> serde_json::Value {
        in_pieces(self.standing.len(), |range, digest| {
            for (purse, position) in self.standing.range(range) {
                digest.int(self.epoch);
                digest.bytes(purse.0);
                digest.bytes(position.account);
                digest.bytes(purse.1);
                digest.money(position.cumulative.cast_signed());
                digest.money(position.claimed.cast_signed());
                digest.money(self.claimable(purse, position));
                digest.end();
            }
        })
    }

    /// What the tree has of a position and nobody claimed.
    fn claimable(&self, purse: Purse, position: &Position) -> i128 {
        let on_tree = self.least.get(&purse).is_some_and(|least| position.cumulative >= *least);
        if on_tree { position.cumulative.saturating_sub(position.claimed).cast_signed() } else { 0 }
    }

    fn sub_digits(&self, edge: Edge) -> i32 {
        self.digits.get(&(edge.vault, edge.token)).and_then(|digits| i32::try_from(*digits).ok()).unwrap_or(0)
    }
}

fn node(node: Node) -> String {
    match node {
        Node::Word(word) => word.to_owned(),
        Node::Id(id) => hex_text(id),
    }
}

/// Rows of `entitlements` read back, in their order.
pub(crate) fn sort_lines(lines: &mut [EntitlementRow]) {
    lines.sort_by(|a, b| line_key(a).cmp(&line_key(b)));
}

type LineKey<'a> = (&'a str, &'a str, &'a str, &'a str, [Option<&'a str>; 4], Option<i64>, i128);

fn line_key(row: &EntitlementRow) -> LineKey<'_> {
    let ids =
        [&row.dataset_id, &row.contribution_id, &row.model_version_id, &row.agent_version_id].map(Option::as_deref);
    (&row.account, &row.token, &row.role, &row.vault, ids, row.adjusts_epoch, row.amount.0)
}

/// Rows of `money_flows` read back, in their order.
pub(crate) fn sort_flows(flows: &mut [MoneyFlowRow]) {
    flows.sort_by(|a, b| flow_key(a).cmp(&flow_key(b)));
}

fn flow_key(row: &MoneyFlowRow) -> (&str, &str, &str, &str, &str, i32) {
    (&row.token, &row.step, &row.src_id, &row.dst_id, &row.vault, row.depth)
}
