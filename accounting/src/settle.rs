//! Rule `tributary-settle/1`: an epoch from tables to rows, trees and a manifest. A function of what it is given.

mod manifest;

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use std::collections::{BTreeMap, BTreeSet};
use tributary_schemas::column::hex_text;
use tributary_schemas::facts::VaultBalanceRow;
use tributary_schemas::invariant::{SETTLED_ONCE, SPLIT_IS_WHOLE};
use tributary_schemas::money::LedgerEntryRow;
use tributary_store::DeclaredOutcome;

use crate::balances::Balances;
use crate::book::{Book, Closed, Line, Pot, Purse, Role};
use crate::error::{AccountingError, hold};
use crate::flow::{DataIn, amounts, spread};
use crate::funding::{self, Funding, Queue};
use crate::intake::{Intake, Receipt, fits};
use crate::journal::{CLEARING, Code, DISTRIBUTOR, ESCROW, Entry, Journal, OVERFLOW, Phase, of_party, step};
use crate::names::{Names, Party, Share};
use crate::read::{Columns, address, amount, query, rows};
use crate::remainder::{parties, round};
use crate::standing::Standing;
use crate::state::{Bounds, State};
use crate::suspense::{Release, Way, releases};
use crate::tables::Tables;
use crate::threads::at_once;
use crate::tree::{Entitled, Tree};
use manifest::{Total, epochs, manifest, outputs};

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
    /// What vaults held at the cut, as far as it was read (ruling 6): an input too.
    pub vault_balances: Vec<VaultBalanceRow>,
}

/// A settled epoch: what is to be published.
#[derive(Debug)]
pub struct Settled {
    /// Rows of the money tables.
    pub tables: Tables,
    /// The manifest, as canonical JSON (RFC 8785).
    pub manifest: String,
    /// keccak256 of it.
    pub manifest_hash: B256,
    /// Digest of the journal up to this epoch.
    pub ledger_digest: B256,
}

impl Settled {
    /// The tree of each vault.
    #[must_use]
    pub const fn trees(&self) -> &BTreeMap<Address, Tree> {
        &self.tables.trees
    }
}

/// Settles an epoch over the tables registered in `ctx` (all of `facts::all()` and `money::all()`).
/// `None` when the epoch has no block.
pub async fn settle(ctx: &SessionContext, input: &Input) -> Result<Option<Settled>, AccountingError> {
    let Some(bounds) = Bounds::of(ctx, input.epoch).await? else { return Ok(None) };
    let held = funding::held(&input.vault_balances, input.epoch, &bounds)?;
    let Opened { mut run, intake, released, weightless } = Opened::of(ctx, bounds, input.epoch).await?;
    let Closed { names, mut pots, flows } = run.divide(ctx, (&intake, &weightless), &released, input.epoch).await?;

    let mut standing = Standing::before(ctx, input.epoch).await?;
    standing.claim(ctx, input.epoch, &mut run.journal).await?;
    let in_two_phases: Vec<LedgerEntryRow> = rows(ctx, "phase <> 'single'").await?;
    let queue = Queue::of(&in_two_phases)?;
    let mut posted = standing.release(&in_two_phases, &run.state, &mut run.journal)?;
    drop(in_two_phases);
    for (pot, shares) in &mut pots {
        run.credit(*pot, shares, &names, &mut standing)?;
    }
    run.adjust(ctx, &intake).await?;
    let mut funding = Funding::compare(input.epoch, held, queue, &mut standing, &mut run.journal)?;
    posted.append(&mut funding.lines);
    for posted in &posted {
        run.purses.entry(posted.purse).or_default();
    }
    let earned = standing.settle(input.epoch)?;
    run.fund(&earned)?;
    run.journal.check()?;
    let mut balances = Balances::before(ctx, input.epoch).await?;
    balances.add(&run.journal, &names);
    let (entitled, open) = standing.owed();
    balances.check(&entitled, &open)?;
    let fundings = funding.rows(run.state.bounds.last, &open, &earned);
    for purse in entitled.keys() {
        balances.check_waiting(*purse, funding.waiting(*purse))?;
    }
    let least = run.least_payouts(&standing);
    let digits = run.purses.iter().map(|(purse, total)| (*purse, total.sub_digits())).collect();
    let Run { state, mut journal, purses: mut totals, policies, .. } = run;
    let (order, trees) = at_once(
        || journal.sort(&names).map(|()| crate::order::order(&names, &pots, &posted)),
        || trees(&standing, &least),
    );
    cumulative(&standing, &least, &mut totals);
    let mut tables = Tables {
        epoch: input.epoch,
        names,
        lines: pots,
        order: order?,
        posted,
        flows,
        digits,
        journal,
        standing,
        least,
        trees,
        epochs: Vec::new(),
        balances: balances.rows(input.epoch),
        fundings,
        state,
    };
    tables.check(&earned)?;
    let (entitlements, (ledger_digest, money_flows, claims)) = at_once(
        || tables.entitlements_digest(),
        || {
            let ledger_digest = tables.journal.digest(&tables.names, input.ledger_digest);
            (ledger_digest, tables.money_flows_digest(), tables.claims_digest())
        },
    );
    let outputs = outputs(&tables, [entitlements, money_flows, claims]);
    let manifest = manifest(input, &tables, &totals, &policies, ledger_digest, &outputs);
    let manifest_hash = alloy_primitives::keccak256(&manifest);
    tables.epochs = epochs(&tables, &totals, ledger_digest, manifest_hash);
    Ok(Some(Settled { tables, manifest, manifest_hash, ledger_digest }))
}

/// An epoch up to where its money is divided.
pub(crate) struct Opened {
    pub(crate) run: Run,
    pub(crate) intake: Intake,
    pub(crate) released: Vec<Release>,
    /// Inferences that have no part in pools.
    pub(crate) weightless: BTreeSet<(i64, i32)>,
}

impl Opened {
    pub(crate) async fn of(ctx: &SessionContext, bounds: Bounds, epoch: i64) -> Result<Self, AccountingError> {
        let mut state = State::load(ctx, bounds).await?;
        let mut intake = Intake::collect(ctx, &state, epoch).await?;
        received_once(ctx, epoch, &intake).await?;
        let released = releases(ctx, &state, epoch).await?;
        let weightless = crate::dealing::mark(ctx, &mut state, epoch, &mut intake.receipts).await?;
        let (journal, purses) = (Journal::new(epoch), BTreeMap::new());
        let mut run = Run { state, journal, purses, released: BTreeMap::new(), policies: BTreeSet::new() };
        run.receive(ctx, &mut intake, epoch).await?;
        run.release(&released)?;
        Ok(Self { run, intake, released, weightless })
    }
}

pub(crate) struct Run {
    pub(crate) state: State,
    journal: Journal,
    purses: BTreeMap<Purse, Total>,
    /// What left suspense, by what it adjusts.
    released: BTreeMap<Pot, u128>,
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
                debit: ESCROW.to_owned(),
                credit: CLEARING.to_owned(),
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
                entry.credit = OVERFLOW.to_owned();
                entry.code = Code::Hold;
            }
            self.journal.write(entry)?;
        }
        intake.receipts.retain(|receipt| fitting.contains(&(receipt.key.vault, receipt.key.token)));
        Ok(())
    }

    /// Takes out of suspense what leaves it. Money that was held was revenue of an earlier epoch, so the sums of all
    /// time stay below 10^38.
    fn release(&mut self, released: &[Release]) -> Result<(), AccountingError> {
        for one in released {
            let (purse, adjusts) = one.key.pot();
            self.policies.insert(self.state.rulings[one.key.ruling].hash.clone());
            self.purses.entry(purse).or_default().released += one.amount;
            *self.released.entry((purse, adjusts)).or_default() += one.amount;
            self.journal.write(Entry {
                purse,
                debit: one.account.clone(),
                credit: CLEARING.to_owned(),
                amount: one.amount,
                code: Code::Adjust,
                phase: Phase::Single,
                source: one.source,
                adjusts,
            })?;
        }
        Ok(())
    }

    /// Sub-units of a base unit.
    pub(crate) fn scale(&self, purse: Purse) -> u128 {
        10u128.pow(self.purses.get(&purse).copied().unwrap_or_default().sub_digits())
    }

    /// Steps 1 to 3: what waits for the data step.
    pub(crate) fn spread(
        &self,
        intake: &Intake,
        released: &[Release],
        book: &mut Book,
    ) -> Result<DataIn, AccountingError> {
        let again = released
            .iter()
            .filter_map(|one| if let Way::Payment(receipt) = &one.way { Some(receipt.as_ref()) } else { None });
        let receipts = intake.receipts.iter().chain(again);
        let mut data = spread(&self.state, receipts, |receipt| self.amounts(receipt), book)?;
        for one in released {
            let sub = one.amount * self.scale((one.key.vault, one.key.token));
            match one.way {
                Way::Payment(_) => {}
                Way::Data(source) => *data.entry((one.key, source)).or_default() += sub,
                Way::To(to) => book.credit(one.key, None, Line::of(Role::Released), to, sub),
            }
        }
        Ok(data)
    }

    /// Sub-units of a receipt: the platform's flat fee, and the rest.
    pub(crate) fn amounts(&self, receipt: &Receipt) -> (u128, u128) {
        amounts(&self.state, receipt, self.scale((receipt.key.vault, receipt.key.token)))
    }

    /// Steps 1 to 5: sub-units of every payee. Σ = revenue · S, exactly; so it is of what adjusts each earlier epoch.
    #[tracing::instrument(level = "info", skip_all)]
    async fn divide(
        &self,
        ctx: &SessionContext,
        (intake, weightless): (&Intake, &BTreeSet<(i64, i32)>),
        released: &[Release],
        epoch: i64,
    ) -> Result<Closed, AccountingError> {
        let mut book = Book::default();
        let data = self.spread(intake, released, &mut book)?;
        crate::usage::divide(ctx, &self.state, epoch, (data, weightless), &mut book).await?;
        let revenue = self.purses.iter().map(|(purse, total)| ((*purse, None), total.revenue));
        let due = revenue.chain(self.released.iter().map(|(pot, sum)| (*pot, *sum))).filter(|(_, sum)| *sum > 0);
        let due: BTreeMap<Pot, u128> = due.map(|(pot, sum)| (pot, sum * self.scale(pot.0))).collect();
        let totals = book.totals();
        hold(&SPLIT_IS_WHOLE, totals == due, || format!("flows sum to {totals:?} sub-units: expected {due:?}"))?;
        book.close(&self.state)
    }

    /// Step 7 and the entries that follow from it. Lines of a participant are integers that add up to its amount.
    fn credit(
        &mut self,
        pot: Pot,
        shares: &mut [Share],
        names: &Names,
        standing: &mut Standing,
    ) -> Result<(), AccountingError> {
        let (purse, adjusts) = pot;
        let rounding = round(shares, self.scale(purse));
        let (mut credited, mut held) = (0, 0);
        let due = || {
            parties(shares).filter_map(|lines| {
                let amount = lines.iter().map(|line| line.amount).sum::<u128>();
                Some((lines.first()?.party, amount))
            })
        };
        for (party, amount) in due() {
            let party = names.party(party);
            if let Party::Account(account) = party {
                standing.earn(purse, account, amount);
            }
            if matches!(of_party(party), (Code::Credit, Phase::Single)) {
                credited += amount;
            } else {
                held += amount;
            }
        }
        self.journal.close(pot, due());
        let total = self.purses.entry(purse).or_default();
        let whole = if adjusts.is_none() {
            (total.credited, total.held, total.rounding) = (credited, held, rounding);
            total.revenue
        } else {
            self.released.get(&pot).copied().unwrap_or(0)
        };
        hold(&SPLIT_IS_WHOLE, credited + held == whole, || {
            format!("credited {credited} and held {held}: expected {whole} together")
        })
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
                credit: ESCROW.to_owned(),
                amount: refund.amount,
                code: Code::Adjust,
                phase: Phase::Single,
                source: refund.event,
                adjusts: epochs.concat().first().copied(),
            })?;
        }
        Ok(())
    }

    /// Moves to the distributor what the epoch posts to payees.
    fn fund(&mut self, earned: &BTreeMap<Purse, u128>) -> Result<(), AccountingError> {
        for (purse, amount) in earned {
            self.journal.write(Entry {
                purse: *purse,
                debit: DISTRIBUTOR.to_owned(),
                credit: ESCROW.to_owned(),
                amount: *amount,
                code: Code::Fund,
                phase: Phase::Single,
                source: step("fund"),
                adjusts: None,
            })?;
        }
        Ok(())
    }

    /// The least payout of every vault and token that somebody has a position in (ruling 23).
    fn least_payouts(&self, standing: &Standing) -> BTreeMap<Purse, u128> {
        let after = (self.state.bounds.last.saturating_add(1), 0);
        let purses: BTreeSet<Purse> = standing.purses().collect();
        let least = |(vault, token): Purse| {
            let policy = self.state.policy(self.state.ruling(vault, B256::ZERO, after));
            policy.min_payout.get(&token).map_or(1, |least| std::cmp::max(least.units(), 1))
        };
        purses.into_iter().map(|purse| (purse, least(purse))).collect()
    }
}

/// No payment was received in an earlier epoch (INV-07). Payments that name nothing settle in the epoch of their own
/// block; of the others it depends on when batches came, so the journal is asked.
async fn received_once(ctx: &SessionContext, epoch: i64, intake: &Intake) -> Result<(), AccountingError> {
    let mut ids = Vec::new();
    for receipt in &intake.receipts {
        let paid = receipt.payer.map_or(epoch, |payer| payer.epoch);
        for earlier in paid..epoch {
            let purse = (receipt.key.vault, receipt.key.token);
            ids.extend(Journal::receipts(earlier, purse, receipt.event).map(|id| format!("'{}'", hex_text(id))));
        }
    }
    for chunk in ids.chunks(4096) {
        let sql = format!("SELECT source FROM ledger_entries WHERE entry_id IN ({})", chunk.join(","));
        for batch in &query(ctx, &sql).await? {
            let twice = Columns(batch).text("source", |source| Ok(source.to_owned()))?;
            hold(&SETTLED_ONCE, twice.is_empty(), || format!("{twice:?} were received before: expected none"))?;
        }
    }
    Ok(())
}

/// One tree per vault over every account at or above the least payout.
fn trees(standing: &Standing, least: &BTreeMap<Purse, u128>) -> BTreeMap<Address, Tree> {
    let mut entitled: BTreeMap<Address, Entitled> = BTreeMap::new();
    for ((vault, token), position) in standing.iter() {
        if least.get(&(vault, token)).is_some_and(|least| position.cumulative >= *least) {
            entitled.entry(vault).or_default().push(position.account, token, position.cumulative);
        }
    }
    entitled.into_iter().map(|(vault, entitled)| (vault, Tree::over(entitled))).collect()
}

/// What the trees have in all, per vault and token; every vault and token with a position has a total.
fn cumulative(standing: &Standing, least: &BTreeMap<Purse, u128>, totals: &mut BTreeMap<Purse, Total>) {
    for purse in least.keys() {
        totals.entry(*purse).or_default();
    }
    for (purse, position) in standing.iter() {
        if least.get(&purse).is_some_and(|least| position.cumulative >= *least) {
            totals.entry(purse).or_default().cumulative += position.cumulative;
        }
    }
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
