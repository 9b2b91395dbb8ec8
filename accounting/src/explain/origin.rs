//! Below a line: the inferences that its money came by, the payments that each inference was paid with, and the records
//! with the batch, block and blob they stand in.
//!
//! A settlement keeps none of that: it is hundreds of millions of numbers an epoch. So the epoch is divided again, as far
//! as a line needs it ([`made`](super::made)), and a line's base units are divided over what they came from by the
//! cascade, with the sub-units that each part brought as weights. Every level adds up to the one above, exactly. Where a
//! unit stands on less than a sub-unit of everything, it is `untraced`, a line of its own.

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use tokio::sync::Mutex;
use tributary_schemas::column::hex_text;
use tributary_schemas::money::{EntitlementRow, LedgerEntryRow};

use super::made::{Fund, Made, Unit, Waiting, Want, best_first};
use crate::error::AccountingError;
use crate::journal::payable;
use crate::names::{Line, Role};
use crate::read::{address, amount, hash, rows};
use crate::standing::Posted;
use crate::usage::Target;

/// Epochs that are kept made.
const KEPT: usize = 2;

/// Makes epochs again, and keeps the last ones: the pages of a line ask for the same one. It registers tables of its own
/// in the session while it works, so it wants one that nobody else queries.
#[derive(Default)]
pub struct Explainer {
    made: Mutex<Vec<Arc<Made>>>,
}

impl fmt::Debug for Explainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explainer").finish_non_exhaustive()
    }
}

/// What lines of an account came from.
pub struct Origins {
    /// Base units of the lines.
    total: i128,
    epochs: Vec<(Arc<Made>, Vec<Unit>)>,
    inferences: Vec<(Stand, i128)>,
    untraced: i128,
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { total, inferences, untraced, .. } = self;
        let parts = inferences.len();
        f.debug_struct("Origins").field("total", total).field("parts", &parts).field("untraced", untraced).finish()
    }
}

/// What base units stand on: an inference of a batch, or none (money of the other channels, and money that named no
/// inference that counts), in the epoch that divided them. As text, `EPOCH.BATCH.ORDINAL` or `EPOCH.none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stand {
    /// The epoch that divided them: an earlier one for what waited for a challenge window.
    pub epoch: i64,
    /// Surrogate key of the batch, and ordinal in it.
    pub inference: Option<(i64, i32)>,
}

impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.inference {
            Some((batch, ordinal)) => write!(f, "{}.{batch}.{ordinal}", self.epoch),
            None => write!(f, "{}.none", self.epoch),
        }
    }
}

impl FromStr for Stand {
    type Err = AccountingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || AccountingError::Unknown { what: format!("{text:?}: expected EPOCH.BATCH.ORDINAL or EPOCH.none") };
        let parts: Vec<&str> = text.split('.').collect();
        let number = |text: &str| text.parse::<i64>().ok().ok_or_else(wrong);
        match parts.as_slice() {
            [epoch, "none"] => Ok(Self { epoch: number(epoch)?, inference: None }),
            [epoch, batch, ordinal] => {
                let ordinal = ordinal.parse().ok().ok_or_else(wrong)?;
                Ok(Self { epoch: number(epoch)?, inference: Some((number(batch)?, ordinal)) })
            }
            _ => Err(wrong()),
        }
    }
}

/// What paid: the money's own beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Payer {
    /// A payment or the funding of a pool, by its event.
    Event(B256),
    /// What was held of the payment with this id, and released.
    Held(Option<B256>),
}

/// A record that money came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// The inference.
    pub stand: Stand,
    /// Kind of the target, as table `attributions` has it; zero where there is no usable record, and the money went
    /// where the policy says then.
    pub target_kind: i32,
    /// Surrogate key of the target.
    pub target_sk: i64,
    /// Row inside a contribution.
    pub row: Option<u32>,
    /// Raw score.
    pub score: i64,
}

impl Explainer {
    /// What those lines of an account came from that `wanted` takes. Lines of `pending:` roles are lines too.
    ///
    /// # Errors
    ///
    /// When the tables cannot be read, or the epoch cannot be divided again.
    pub async fn origins(
        &self,
        ctx: &SessionContext,
        of: (Address, Address, i64),
        wanted: impl Fn(&EntitlementRow) -> bool + Send,
    ) -> Result<Origins, AccountingError> {
        let found = Box::pin(self.origins_by(ctx, of, 1, move |row| wanted(row).then_some(0))).await?;
        Ok(found.into_iter().next().unwrap_or_else(|| Origins::new(0, Vec::new())))
    }

    /// What several groups of lines of an account came from, as [`Self::origins`] has it of each: the epoch is divided
    /// and its records are read once for all of them. `group` says in which of the `groups`, counted from 0, a line is.
    ///
    /// # Errors
    ///
    /// When the tables cannot be read, or the epoch cannot be divided again.
    pub async fn origins_by(
        &self,
        ctx: &SessionContext,
        (account, token, epoch): (Address, Address, i64),
        groups: usize,
        group: impl Fn(&EntitlementRow) -> Option<usize> + Send,
    ) -> Result<Vec<Origins>, AccountingError> {
        // Held while it works: one division at a time, and the session's tables are nobody else's.
        let mut kept = self.made.lock().await;
        let mut grouped: Vec<Vec<EntitlementRow>> = vec![Vec::new(); groups];
        for row in lines(ctx, account, token, epoch).await? {
            if let Some(lines) = group(&row).and_then(|at| grouped.get_mut(at)) {
                lines.push(row);
            }
        }
        let mut wants: BTreeMap<i64, Vec<(usize, Want)>> = BTreeMap::new();
        for (at, lines) in grouped.iter().enumerate() {
            for (epoch, found) in wanted(ctx, (account, token, epoch), lines).await? {
                wants.entry(epoch).or_default().extend(found.into_iter().map(|want| (at, want)));
            }
        }
        let mut epochs: Vec<Vec<(Arc<Made>, Vec<Unit>)>> = vec![Vec::new(); groups];
        for (epoch, wants) in wants {
            let made = made(ctx, &mut kept, epoch).await?;
            let (of, wants): (Vec<usize>, Vec<Want>) = wants.into_iter().unzip();
            let mut taken: BTreeMap<usize, Vec<Unit>> = BTreeMap::new();
            for (at, units) in of.into_iter().zip(made.take_back(ctx, account, &wants).await?) {
                taken.entry(at).or_default().extend(units);
            }
            for (at, units) in taken {
                epochs[at].push((Arc::clone(&made), units));
            }
        }
        let origins = |(lines, epochs): (&Vec<EntitlementRow>, _)| {
            Origins::new(lines.iter().map(|row| row.amount.0).sum(), epochs)
        };
        Ok(grouped.iter().zip(epochs).map(origins).collect())
    }
}

/// What to take back of lines, by the epoch that divided it.
async fn wanted(
    ctx: &SessionContext,
    of: (Address, Address, i64),
    lines: &[EntitlementRow],
) -> Result<BTreeMap<i64, Vec<Want>>, AccountingError> {
    let divided = lines.iter().filter(|row| !Posted::ROLES.contains(&row.role.as_str()));
    let posts = lines.iter().filter(|row| row.role == Posted::POSTED).collect::<Vec<_>>();
    let mut wants: BTreeMap<i64, Vec<Want>> = BTreeMap::new();
    wants.insert(of.2, wants_of(divided, |_| Waiting::ForAny)?);
    if !posts.is_empty() {
        let pots = posts.iter().map(|row| (row.vault.as_str(), row.adjusts_epoch)).collect();
        posted(ctx, of, &pots, &mut wants).await?;
    }
    wants.retain(|_, wants| !wants.is_empty());
    Ok(wants)
}

async fn made(ctx: &SessionContext, kept: &mut Vec<Arc<Made>>, epoch: i64) -> Result<Arc<Made>, AccountingError> {
    if let Some(found) = kept.iter().find(|one| one.epoch == epoch) {
        return Ok(Arc::clone(found));
    }
    let made = Arc::new(Made::of(ctx, epoch).await?);
    kept.push(Arc::clone(&made));
    if kept.len() > KEPT {
        kept.remove(0);
    }
    Ok(made)
}

async fn lines(
    ctx: &SessionContext,
    account: Address,
    token: Address,
    epoch: i64,
) -> Result<Vec<EntitlementRow>, AccountingError> {
    let (account, token) = (hex_text(account), hex_text(token));
    let mut lines = rows(ctx, &format!("epoch = {epoch} AND account = '{account}' AND token = '{token}'")).await?;
    crate::tables::sort_lines(&mut lines);
    Ok(lines)
}

/// What to take back of lines, each kind of line once.
fn wants_of<'a>(
    lines: impl Iterator<Item = &'a EntitlementRow>,
    pending: impl Fn(&EntitlementRow) -> Waiting,
) -> Result<Vec<Want>, AccountingError> {
    let mut sums = BTreeMap::new();
    for row in lines {
        let (role, waiting) = match row.role.strip_prefix("pending:") {
            Some(role) => (role, pending(row)),
            None => (row.role.as_str(), Waiting::No),
        };
        let role = Role::parse(role).ok_or_else(|| {
            AccountingError::inconsistent(format!("role {role:?} of {}: expected another", row.account))
        })?;
        let id = |text: &Option<String>| text.as_deref().map(hash).transpose();
        let line = Line {
            role,
            dataset: id(&row.dataset_id)?,
            contribution: id(&row.contribution_id)?,
            model: id(&row.model_version_id)?,
            agent: id(&row.agent_version_id)?,
        };
        let pot = ((address(&row.vault)?, address(&row.token)?), row.adjusts_epoch);
        *sums.entry((pot, waiting, line)).or_insert(0) += amount(row.amount.0)?;
    }
    let want = |((pot, waiting, line), units)| Want { pot, lines: BTreeSet::from([line]), waiting, units };
    Ok(sums.into_iter().map(want).collect())
}

/// What waited for a challenge window and was posted in `epoch`: lines of the epochs that booked it pending, of the batch
/// that each entry waited for.
async fn posted(
    ctx: &SessionContext,
    (account, token, epoch): (Address, Address, i64),
    of: &BTreeSet<(&str, Option<i64>)>,
    wants: &mut BTreeMap<i64, Vec<Want>>,
) -> Result<(), AccountingError> {
    let filter = format!(
        "epoch = {epoch} AND phase = 'post' AND debit LIKE 'pending:%' AND credit = '{}' AND token = '{}'",
        payable(account),
        hex_text(token)
    );
    let mut entries: Vec<LedgerEntryRow> = rows(ctx, &filter).await?;
    entries.retain(|row| of.contains(&(row.vault.as_str(), row.adjusts_epoch)));
    entries.sort_by(|a, b| a.entry_id.cmp(&b.entry_id));
    for row in entries {
        // The source of a post is the id of what was pending, and zeros.
        let pending = row.source.get(..row.entry_id.len()).unwrap_or_default();
        let booked = row.adjusts_epoch.unwrap_or(epoch);
        let found: Vec<LedgerEntryRow> =
            rows(ctx, &format!("epoch = {booked} AND phase = 'pending' AND entry_id = '{pending}'")).await?;
        let Some(found) = found.into_iter().next() else { continue };
        let batch = crate::standing::batch_of(&found.credit)?;
        let mut lines = lines(ctx, account, token, booked).await?;
        lines.retain(|line| {
            line.role.starts_with("pending:") && line.vault == found.vault && line.adjusts_epoch == found.adjusts_epoch
        });
        let of_lines = wants_of(lines.iter(), |_| Waiting::ForBatch(batch))?;
        let lines: BTreeSet<Line> = of_lines.iter().flat_map(|want| want.lines.iter().copied()).collect();
        let pot = ((address(&found.vault)?, token), found.adjusts_epoch);
        let want = Want { pot, lines, waiting: Waiting::ForBatch(batch), units: amount(row.amount.0)? };
        wants.entry(booked).or_default().push(want);
    }
    Ok(())
}

impl Origins {
    fn new(total: i128, epochs: Vec<(Arc<Made>, Vec<Unit>)>) -> Self {
        let mut sums: BTreeMap<Stand, u128> = BTreeMap::new();
        for (made, units) in &epochs {
            for one in units {
                *sums.entry(stand(made, one)).or_default() += one.units;
            }
        }
        let traced = sums.values().sum::<u128>().cast_signed();
        let inferences = signed(best_first(sums));
        Self { total, epochs, inferences, untraced: total - traced }
    }

    /// Base units of the lines: those of every level with what is untraced.
    #[must_use]
    pub const fn total(&self) -> i128 {
        self.total
    }

    /// Base units that stand on less than a sub-unit of everything they could have come from, and those of lines that
    /// say when an increase goes on the tree (unfunded, funded): what these came from, the increase's own lines say.
    #[must_use]
    pub const fn untraced(&self) -> i128 {
        self.untraced
    }

    /// By inference, the best first.
    #[must_use]
    pub fn inferences(&self) -> &[(Stand, i128)] {
        &self.inferences
    }

    /// By batch, the best first: each stands in one block and one blob. `None` is what stands on no inference.
    #[must_use]
    pub fn batches(&self) -> Vec<(Option<i64>, i128)> {
        let mut sums: BTreeMap<Option<i64>, u128> = BTreeMap::new();
        for (stand, units) in &self.inferences {
            *sums.entry(stand.inference.map(|(batch, _)| batch)).or_default() += units.unsigned_abs();
        }
        signed(best_first(sums))
    }

    /// The payments behind all of it, or behind an inference, the best first.
    #[must_use]
    pub fn payments(&self, of: Option<Stand>) -> Vec<(Payer, i128)> {
        let mut sums: BTreeMap<Payer, u128> = BTreeMap::new();
        for (made, units) in &self.epochs {
            let units: Vec<Unit> =
                units.iter().filter(|one| of.is_none_or(|of| stand(made, one) == of)).copied().collect();
            for (fund, units) in made.funds_of(&units) {
                let payer = match made.fund(fund) {
                    Some(Fund::Event(event)) => Payer::Event(event),
                    Some(Fund::Held(payment)) => Payer::Held(payment),
                    None => continue,
                };
                *sums.entry(payer).or_default() += units;
            }
        }
        signed(best_first(sums))
    }

    /// The records behind an inference's part, the best first.
    #[must_use]
    pub fn records(&self, of: Stand) -> Vec<(RecordKey, i128)> {
        let mut sums: BTreeMap<RecordKey, u128> = BTreeMap::new();
        for (made, units) in &self.epochs {
            for one in units.iter().filter(|one| stand(made, one) == of) {
                let (target_kind, target_sk) = match one.record.map(|record| record.target) {
                    Some(Target::DatasetVersion(sk)) => (1, sk),
                    Some(Target::Contribution(sk)) => (2, sk),
                    Some(Target::ModelVersion(sk)) => (3, sk),
                    None => (0, 0),
                };
                let row = one.record.and_then(|record| record.row);
                let score = one.record.map_or(0, |record| record.score);
                let key = RecordKey { stand: of, target_kind, target_sk, row, score };
                *sums.entry(key).or_default() += one.units;
            }
        }
        signed(best_first(sums))
    }
}

fn stand(made: &Made, one: &Unit) -> Stand {
    Stand { epoch: made.epoch, inference: one.inference.and_then(|place| made.inference(place)) }
}

fn signed<K>(list: Vec<(K, u128)>) -> Vec<(K, i128)> {
    list.into_iter().map(|(key, units)| (key, units.cast_signed())).collect()
}
