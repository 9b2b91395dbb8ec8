//! The tables accounting writes: one settlement an epoch, frozen.

use crate::column::Decimal38;
use crate::table::tables;

tables! {
    /// Settled epochs, one row per token.
    Fact epochs as EpochRow sort &["epoch", "vault", "token"], key &[], bloom &[] => {
        /// Epoch.
        epoch: i64,
        /// Vault.
        vault: String,
        /// Token; the zero address is the native token.
        token: String,
        /// First block of the epoch.
        first_block: i64,
        /// Last block of the epoch.
        last_block: i64,
        /// Payments settled.
        payments: i64,
        /// Base units of revenue settled, refunds taken off.
        revenue: Decimal38,
        /// Base units credited to payees and the treasury.
        credited: Decimal38,
        /// Base units held in suspense or pending.
        held: Decimal38,
        /// Base units that the largest remainder placed.
        rounding: Decimal38,
        /// Cumulative base units on the tree.
        cumulative: Decimal38,
        /// Root of the tree.
        root: String,
        /// Digest of the journal up to this epoch.
        ledger_digest: String,
        /// Hash of the manifest.
        manifest_hash: String,
        /// Rule of the settlement.
        rule: String,
    }
    /// The journal: every movement of money, double entry.
    Fact ledger_entries as LedgerEntryRow sort &["epoch", "entry_id"], key &[], bloom &["entry_id"] => {
        /// Epoch it was written in.
        epoch: i64,
        /// Id: the first 16 bytes of a hash over what identifies it.
        entry_id: String,
        /// Vault.
        vault: String,
        /// Token.
        token: String,
        /// Account debited.
        debit: String,
        /// Account credited.
        credit: String,
        /// Base units, above zero.
        amount: Decimal38,
        /// What it is: receive, credit, hold, claim, adjust, fund.
        code: String,
        /// single, pending, post or void.
        phase: String,
        /// The event or step that caused it.
        source: String,
        /// Epoch it adjusts; NULL for none.
        adjusts_epoch: Option<i64>,
    }
    /// The trial balance after an epoch: what every account was debited and credited since the beginning. Payees are one
    /// account here, `payable`, and so is what waits for challenges, `pending`, what waits for the vault's balance,
    /// `unfunded`, and what is held under a reason, `suspense:<reason>`; `claims` has the payees. Counters never fall; 10^38 − 1 stands for that or more.
    Fact balances as BalanceRow sort &["epoch", "vault", "token", "account"], key &[], bloom &[] => {
        /// Epoch.
        epoch: i64,
        /// Vault.
        vault: String,
        /// Token.
        token: String,
        /// Account of the journal.
        account: String,
        /// Base units debited that a pending account waited with.
        debits_pending: Decimal38,
        /// Base units debited.
        debits_posted: Decimal38,
        /// Base units credited that wait, or waited, for the end of a challenge window.
        credits_pending: Decimal38,
        /// Base units credited.
        credits_posted: Decimal38,
    }
    /// What each account earned in an epoch, by role and source; the lines add up to what was credited.
    Fact entitlements as EntitlementRow sort &["account", "epoch", "token", "role"], key &[], bloom &["account"] => {
        /// Epoch.
        epoch: i64,
        /// Vault.
        vault: String,
        /// Payee.
        account: String,
        /// Token.
        token: String,
        /// platform, agent, model, lineage, data or staker; posted or released of what was held; unfunded (below zero) for
        /// what waits until the vault has the money, funded once it has; suspense lines name their reason.
        role: String,
        /// Dataset, where the money came through one.
        dataset_id: Option<String>,
        /// Contribution, where the money came through one.
        contribution_id: Option<String>,
        /// Model version, where the money came through one.
        model_version_id: Option<String>,
        /// Agent version, where the money came through one.
        agent_version_id: Option<String>,
        /// Base units.
        amount: Decimal38,
        /// Base units of `amount` that the largest remainder placed.
        rounding: Decimal38,
        /// Epoch it adjusts: the one that held the money; NULL for none.
        adjusts_epoch: Option<i64>,
    }
    /// Money along the edges of the graph in an epoch: the explanation.
    Fact money_flows as MoneyFlowRow sort &["epoch", "token", "step", "src_id", "dst_id"], key &[], bloom &[] => {
        /// Epoch.
        epoch: i64,
        /// Vault.
        vault: String,
        /// Token.
        token: String,
        /// Step: channel, model, lineage or data.
        step: String,
        /// Depth of a lineage step; zero elsewhere.
        depth: i32,
        /// Where it came from: a version id, or channel.
        src_id: String,
        /// Where it went: a version id, contribution id, or account.
        dst_id: String,
        /// Sub-units.
        amount_sub: Decimal38,
        /// Decimal digits of a base unit in sub-units (q).
        sub_digits: i32,
    }
    /// Cumulative position of each account after an epoch.
    Fact claims as ClaimRow sort &["account", "token", "epoch"], key &[], bloom &["account"] => {
        /// Epoch.
        epoch: i64,
        /// Vault.
        vault: String,
        /// Account.
        account: String,
        /// Token.
        token: String,
        /// Base units earned since the beginning.
        cumulative: Decimal38,
        /// Base units claimed on chain at the cut.
        claimed: Decimal38,
        /// Base units on the tree and not yet claimed at the cut.
        claimable: Decimal38,
    }
    /// Leaves of the tree, in the order of the OpenZeppelin dump's values.
    Fact merkle_leaves as MerkleLeafRow sort &["epoch", "vault", "leaf_index"], key &[], bloom &["account"] => {
        /// Epoch.
        epoch: i64,
        /// Vault.
        vault: String,
        /// Index among the sorted leaves.
        leaf_index: i64,
        /// The leaf.
        leaf: String,
        /// Account.
        account: String,
        /// Token.
        token: String,
        /// Cumulative base units.
        cumulative: Decimal38,
    }
    /// What vaults hold against what they owe, after an epoch: one row for each vault and token that owes something or was
    /// read. What the balance at the cut does not cover is not on the tree: it waits, `unfunded`.
    Fact fundings as FundingRow sort &["epoch", "vault", "token"], key &[], bloom &[] => {
        /// Epoch.
        epoch: i64,
        /// Its last block.
        block_number: i64,
        /// Vault.
        vault: String,
        /// Token.
        token: String,
        /// covered, short, or `not_compared` where the balance was not read.
        state: String,
        /// Base units owed to payees: earned and not claimed at the cut, what waits included.
        owed: Decimal38,
        /// Base units that claims can be paid from: the balance without stake; NULL where it was not read.
        held: Option<Decimal38>,
        /// Base units that cumulative positions rose by in the epoch.
        granted: Decimal38,
        /// Base units earned, in this epoch or before, that wait for the vault's balance.
        waiting: Decimal38,
    }
}
