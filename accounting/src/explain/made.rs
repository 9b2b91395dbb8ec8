//! An epoch made again, up to where its money is divided: what lines are taken back over.

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use std::collections::{BTreeMap, BTreeSet};

use crate::book::{Book, Hold, Judge, Line, Pot, Role, To};
use crate::cascade::split;
use crate::error::AccountingError;
use crate::flow::{Source, channels, spread};
use crate::intake::{Key, Purpose, Receipt};
use crate::settle::{Opened, Run};
use crate::state::{Bounds, Subject, SubjectKind};
use crate::suspense::{Release, Way};
use crate::usage::trace::{Asked, Channel, Part, Reached, RecordAt};

/// What a line rests on in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fund {
    /// A payment or the funding of a pool, by its event.
    Event(B256),
    /// What was held of the payment with this id, if of one.
    Held(Option<B256>),
}

/// Whether what is asked for waits for a challenge window, and for which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waiting {
    No,
    ForAny,
    ForBatch(i64),
}

impl Waiting {
    fn is(self, hold: Option<Hold>) -> bool {
        match self {
            Self::No => hold.is_none(),
            Self::ForAny => hold.is_some(),
            Self::ForBatch(batch) => hold.is_some_and(|hold| hold.batch_sk == batch),
        }
    }
}

/// Base units of an account to be taken back, and the lines they are of.
#[derive(Debug)]
pub(super) struct Want {
    pub(super) pot: Pot,
    pub(super) lines: BTreeSet<Line>,
    pub(super) waiting: Waiting,
    pub(super) units: u128,
}

/// Where base units came from: over a flow of the data channel, or straight from a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    Flow(usize),
    Fund(usize),
}

/// Base units with what they stand on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    pub(super) by: By,
    pub(super) inference: Option<u32>,
    pub(super) record: Option<RecordAt>,
    pub(super) units: u128,
}

/// An epoch.
pub(super) struct Made {
    pub(super) epoch: i64,
    run: Run,
    channel: Channel,
    released: Vec<Release>,
    /// Everything that came in, with the number of its fund.
    receipts: Vec<(Receipt, usize)>,
    funds: Vec<Fund>,
    /// Receipts by whose model channel they are in.
    by_subject: BTreeMap<(Key, Subject), Vec<usize>>,
    /// What the data channel of each source is made of: funds, with their sub-units.
    by_source: BTreeMap<(Key, Source), Vec<(usize, u128)>>,
}

impl Made {
    pub(super) async fn of(ctx: &SessionContext, epoch: i64) -> Result<Self, AccountingError> {
        let bounds = Bounds::of(ctx, epoch).await?;
        let bounds = bounds.ok_or_else(|| AccountingError::Unknown { what: format!("block in epoch {epoch}") })?;
        let Opened { run, intake, released, weightless } = Opened::of(ctx, bounds, epoch).await?;
        let data = run.spread(&intake, &released, &mut Book::default())?;
        let channel = Channel::spread(ctx, &run.state, epoch, (data, weightless)).await?;
        let mut funds: Vec<Fund> = intake.receipts.iter().map(|receipt| Fund::Event(receipt.event)).collect();
        let mut receipts: Vec<(Receipt, usize)> = intake.receipts.into_iter().zip(0..).collect();
        for one in &released {
            if let Way::Payment(receipt) = &one.way {
                receipts.push((receipt.as_ref().clone(), funds.len()));
            }
            funds.push(Fund::Held(one.payment));
        }
        let (by_subject, by_source) = (BTreeMap::new(), BTreeMap::new());
        let mut this = Self { epoch, run, channel, released, receipts, funds, by_subject, by_source };
        this.sort_receipts();
        Ok(this)
    }

    fn sort_receipts(&mut self) {
        for (place, (receipt, fund)) in self.receipts.iter().enumerate() {
            let (key, rest) = (receipt.key, self.run.amounts(receipt).1);
            let (source, sub) = match receipt.purpose {
                Purpose::Suspense(..) => continue,
                Purpose::Pool(pool) => (Source::Pool(pool), rest),
                Purpose::Payment(subject) => {
                    self.by_subject.entry((key, subject)).or_default().push(place);
                    let parts = channels(&self.run.state, key, subject, rest);
                    (Source::Payment(subject, receipt.named), parts.get(3).copied().unwrap_or(0))
                }
            };
            self.by_source.entry((key, source)).or_default().push((*fund, sub));
        }
        let first = self.funds.len() - self.released.len();
        for (place, one) in self.released.iter().enumerate() {
            if let Way::Data(source) = one.way {
                let sub = one.amount * self.run.scale((one.key.vault, one.key.token));
                self.by_source.entry((one.key, source)).or_default().push((first + place, sub));
            }
        }
    }

    pub(super) fn fund(&self, number: usize) -> Option<Fund> {
        self.funds.get(number).copied()
    }

    /// Batch and ordinal of the inference at a place.
    pub(super) fn inference(&self, place: u32) -> Option<(i64, i32)> {
        self.channel.inference(place).map(|(batch, ordinal, _)| (batch, ordinal))
    }

    /// Takes back what is wanted of an account, each want by itself, with one reading of the records for all of them. What
    /// is left of one is less than a sub-unit can say.
    pub(super) async fn take_back(
        &self,
        ctx: &SessionContext,
        account: Address,
        wants: &[Want],
    ) -> Result<Vec<Vec<Unit>>, AccountingError> {
        let parts = self.parts(ctx, wants).await?;
        let lines = self.channel.flows(&self.run.state)?;
        let mut groups: BTreeMap<(usize, Reached), Vec<&Part>> = BTreeMap::new();
        for part in &parts {
            groups.entry((part.flow, part.to)).or_default().push(part);
        }
        let mut by_line: BTreeMap<Line, Vec<(usize, Reached)>> = BTreeMap::new();
        for (flow, to) in groups.keys() {
            by_line.entry(self.line(lines[*flow].3, *to)?).or_default().push((*flow, *to));
        }
        let mut judge = Judge::new(&self.run.state, account);
        let mut out = Vec::with_capacity(wants.len());
        for want in wants {
            let mut found: Vec<(u128, Vec<Unit>)> = Vec::new();
            let of = want.lines.iter().filter_map(|line| Some(by_line.get(line)?.iter().map(move |at| (*at, line))));
            let of: BTreeMap<(usize, Reached), &Line> = of.flatten().collect();
            for ((flow, to), line) in of {
                let (_, key, hold, _) = lines[flow];
                if key.pot() == want.pot && want.waiting.is(hold) {
                    let parts = groups.get(&(flow, to)).map_or(&[][..], Vec::as_slice);
                    let sub = parts.iter().map(|part| part.sub).sum();
                    let own = Self::own(&mut judge, (key, hold, line), to, sub)?;
                    let unit = |part: &&Part| {
                        let (by, inference) = (By::Flow(part.flow), part.inference);
                        Unit { by, inference, record: part.record, units: part.sub }
                    };
                    found.push((own, parts.iter().map(unit).collect()));
                }
            }
            if want.waiting == Waiting::No {
                self.of_channels(want, &mut judge, &mut found)?;
            }
            out.push(over(want.units, found));
        }
        Ok(out)
    }

    /// Parts of the data channel that can be of what is wanted.
    async fn parts(&self, ctx: &SessionContext, wants: &[Want]) -> Result<Vec<Part>, AccountingError> {
        let state = &self.run.state;
        let mut asked = Asked::default();
        let wanted: BTreeSet<Line> = wants.iter().flat_map(|want| &want.lines).copied().collect();
        let data: Vec<Line> = wanted.into_iter().filter(|line| line.role == Role::Data).collect();
        if data.is_empty() {
            return Ok(Vec::new());
        }
        let contributions: BTreeSet<B256> = data.iter().filter_map(|line| line.contribution).collect();
        let list = state.contributions.list().iter().enumerate();
        asked.contributions = list.filter(|(_, one)| contributions.contains(&one.id)).map(|(at, _)| at).collect();
        let models: BTreeSet<B256> =
            data.iter().filter(|line| line.contribution.is_none()).filter_map(|line| line.model).collect();
        asked.models =
            state.graph.models.iter().filter(|(_, one)| models.contains(&one.id)).map(|(sk, _)| *sk).collect();
        asked.treasury = data.iter().any(|line| line.contribution.is_none());
        // A model's line names the model; what answered is known by the agent alone.
        let through = |line: &Line| data.iter().any(|one| one.agent == line.agent);
        for (number, key, hold, line) in self.channel.flows(state)? {
            if through(&line) && wants.iter().any(|want| want.pot == key.pot() && want.waiting.is(hold)) {
                asked.flows.insert(number);
            }
        }
        self.channel.trace(ctx, state, &asked).await
    }

    /// The line that something reached over a flow is on.
    fn line(&self, line: Line, to: Reached) -> Result<Line, AccountingError> {
        let state = &self.run.state;
        Ok(match to {
            Reached::Contribution(place) => {
                let one = state.contributions.list()[place];
                let dataset = state.graph.datasets.get(&one.dataset_sk).copied();
                Line { dataset, contribution: Some(one.id), ..line }
            }
            Reached::Model(sk) => Line { model: Some(self.version(sk)?), ..line },
            Reached::Treasury => line,
        })
    }

    fn version(&self, sk: i64) -> Result<B256, AccountingError> {
        let subject = Subject { kind: SubjectKind::Model, sk };
        self.run.state.graph.version(subject).map(|version| version.id)
    }

    /// What of a part is the account's.
    fn own(
        judge: &mut Judge<'_>,
        (key, hold, line): (Key, Option<Hold>, &Line),
        to: Reached,
        sub: u128,
    ) -> Result<u128, AccountingError> {
        match to {
            Reached::Contribution(place) => judge.of_contribution((key, hold), place, sub),
            Reached::Model(sk) => {
                let owner = Subject { kind: SubjectKind::Model, sk };
                judge.of_credit((key, hold, line), To::Entity(owner), sub)
            }
            Reached::Treasury => judge.of_credit((key, hold, line), To::Treasury, sub),
        }
    }

    /// What came over the other channels, and what was released: what each subject's payments bring alone, then over
    /// these payments.
    fn of_channels(
        &self,
        want: &Want,
        judge: &mut Judge<'_>,
        found: &mut Vec<(u128, Vec<Unit>)>,
    ) -> Result<(), AccountingError> {
        let state = &self.run.state;
        let unit = |fund: usize, units: u128| Unit { by: By::Fund(fund), inference: None, record: None, units };
        let first = self.funds.len() - self.released.len();
        for (place, one) in self.released.iter().enumerate() {
            let line = Line::of(Role::Released);
            if let (Way::To(to), true) = (&one.way, one.key.pot() == want.pot && want.lines.contains(&line)) {
                let sub = one.amount * self.run.scale((one.key.vault, one.key.token));
                found.push((judge.of_credit((one.key, None, &line), *to, sub)?, vec![unit(first + place, 1)]));
            }
        }
        let roles: BTreeSet<Role> = want.lines.iter().map(|line| line.role).collect();
        if roles.iter().all(|role| matches!(role, Role::Data | Role::Released | Role::Payment)) {
            return Ok(());
        }
        for ((key, subject), places) in self.by_subject.iter().filter(|((key, _), _)| key.pot() == want.pot) {
            let receipts = places.iter().map(|place| &self.receipts[*place].0);
            let mut book = Book::default();
            spread(state, receipts, |receipt| self.run.amounts(receipt), &mut book)?;
            let mut own: BTreeMap<Role, u128> = BTreeMap::new();
            for (key, hold, line, to, sub) in book.credits().filter(|(_, _, line, ..)| want.lines.contains(line)) {
                *own.entry(line.role).or_default() += judge.of_credit((key, hold, &line), to, sub)?;
            }
            for (role, own) in own {
                let units = places.iter().map(|place| {
                    let (receipt, fund) = &self.receipts[*place];
                    unit(*fund, self.in_channel(*key, *subject, receipt, role))
                });
                found.push((own, units.collect()));
            }
        }
        Ok(())
    }

    /// What of a payment went into the channel of a role.
    fn in_channel(&self, key: Key, subject: Subject, receipt: &Receipt, role: Role) -> u128 {
        let (flat, rest) = self.run.amounts(receipt);
        let parts = channels(&self.run.state, key, subject, rest);
        let part = |at: usize| parts.get(at).copied().unwrap_or(0);
        match role {
            Role::Platform => flat + part(0),
            Role::Agent => part(1),
            Role::Model | Role::Lineage => part(2),
            Role::Data => part(3),
            Role::Staker => part(4),
            Role::Payment | Role::Released => rest,
        }
    }

    /// The funds of base units, each with its part: those of an inference over the sources that reached it, then over
    /// what each source is made of.
    pub(super) fn funds_of(&self, units: &[Unit]) -> BTreeMap<usize, u128> {
        let mut out: BTreeMap<usize, u128> = BTreeMap::new();
        let mut places: BTreeMap<(Option<u32>, usize), u128> = BTreeMap::new();
        for one in units {
            match one.by {
                By::Fund(fund) => *out.entry(fund).or_default() += one.units,
                By::Flow(flow) => *places.entry((one.inference, flow)).or_default() += one.units,
            }
        }
        let sources = self.channel.sources(&self.run.state, &places.keys().copied().collect());
        let mut over: BTreeMap<(Key, Source), u128> = BTreeMap::new();
        for (place, units) in places {
            let found = sources.get(&place).map_or(&[][..], Vec::as_slice);
            for ((source, _), part) in found.iter().zip(split(units, found.iter().map(|(_, sub)| *sub))) {
                *over.entry(*source).or_default() += part;
            }
        }
        for (source, units) in over {
            let funds = self.by_source.get(&source).map_or(&[][..], Vec::as_slice);
            for ((fund, _), part) in funds.iter().zip(split(units, funds.iter().map(|(_, sub)| *sub))) {
                *out.entry(*fund).or_default() += part;
            }
        }
        out.retain(|_, units| *units > 0);
        out
    }
}

/// Divides base units over what was found, then over the parts of each.
fn over(units: u128, found: Vec<(u128, Vec<Unit>)>) -> Vec<Unit> {
    let mut out = Vec::new();
    let shares = split(units, found.iter().map(|(own, _)| *own));
    for ((_, units), share) in found.into_iter().zip(shares) {
        let parts = split(share, units.iter().map(|one| one.units));
        out.extend(units.into_iter().zip(parts).map(|(one, units)| Unit { units, ..one }));
    }
    out.retain(|one| one.units > 0);
    out
}

/// Orders by amount, the greatest first, then by key.
pub(super) fn best_first<K: Ord>(amounts: BTreeMap<K, u128>) -> Vec<(K, u128)> {
    let mut list: Vec<(K, u128)> = amounts.into_iter().collect();
    // Stable: equal amounts stay in the order of keys.
    list.sort_by_key(|one| std::cmp::Reverse(one.1));
    list
}
