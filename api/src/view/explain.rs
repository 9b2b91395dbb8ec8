//! Why an account earned what it earned: the lines first, and what is said of a line where somebody asks for it.

use std::sync::Arc;

use async_graphql::ID;
use tokio::sync::OnceCell;
use tributary_accounting::explain::{blobs, role};
use tributary_accounting::{Lines, Ways};
use tributary_schemas::money::{EntitlementRow, EpochRow};

use super::{Below, View};
use crate::error::{ErrorCode, Refusal};
use crate::page::{self, FIRST_DEFAULT};
use crate::pinned::OriginKey;
use crate::scalar::AddressText;
use crate::schema::account::{Explanation, ExplanationLine, MoneyPath, MoneyPaths};
use crate::schema::blob::Blob;

/// The lines of an explanation, and what some of them need beyond themselves, read once for all that ask.
#[derive(Debug)]
pub(crate) struct Explained {
    pub(crate) view: View,
    pub(crate) account: AddressText,
    pub(crate) token: AddressText,
    pub(crate) lines: Lines,
    /// First and last block of the epoch.
    pub(crate) blocks: (i64, i64),
    /// Payments of this token that settled in it.
    pub(crate) payments: i64,
    ways: OnceCell<Ways>,
}

impl View {
    /// Why an account earned what it earned in an epoch.
    pub(crate) async fn explanation(
        &self,
        account: AddressText,
        epoch: i64,
        token: AddressText,
    ) -> Result<Option<Explanation>, Refusal> {
        if self.cut().is_none_or(|cut| epoch > cut) {
            return Ok(None);
        }
        let epochs = self.world().epochs.get(&epoch).into_iter().flatten().filter(|row| row.token == token.lower());
        let epochs = epochs.collect::<Vec<&EpochRow>>();
        let Some(blocks) = epochs.first().map(|row| (row.first_block, row.last_block)) else { return Ok(None) };
        let payments = epochs.iter().map(|row| row.payments).sum();
        self.pinned().count_read();
        let session = self.pinned().session().await?;
        let lines = Box::pin(Lines::read(session, account.0, token.0, epoch)).await;
        let lines = lines.map_err(|cause| Refusal::internal("explaining", &cause))?;
        if lines.earned.is_empty() && lines.pending.is_empty() {
            return Ok(None);
        }
        let ways = OnceCell::new();
        let explained = Explained { view: self.clone(), account, token, lines, blocks, payments, ways };
        Ok(Some(Explanation(Arc::new(explained))))
    }
}

impl Explained {
    /// Some of the lines, or of what waits; all of them where `first` says nothing.
    pub(crate) fn some(
        self: &Arc<Self>,
        waits: bool,
        first: Option<i64>,
        from: i64,
    ) -> Result<Vec<ExplanationLine>, Refusal> {
        let of = if waits { &self.lines.pending } else { &self.lines.earned };
        let message = || format!("from is {from}: expected 0 <= from");
        let from = usize::try_from(from).ok().ok_or_else(|| Refusal::new(ErrorCode::BadInput, message()))?;
        let most = if first.is_some() { page::first(first)? } else { of.len() };
        let shown = of.iter().skip(from).take(most).cloned().collect::<Vec<_>>();
        // The guard takes a list that says nothing about its length for a page.
        let alone = first.is_some() || shown.len() <= FIRST_DEFAULT;
        let line = |row| self.of_row(row, if alone { None } else { Some(of.len()) });
        Ok(shown.into_iter().map(line).collect())
    }

    /// The line at a place.
    pub(crate) fn line(self: &Arc<Self>, at: i64) -> Option<ExplanationLine> {
        let row = usize::try_from(at).ok().and_then(|at| self.lines.earned.get(at))?;
        Some(self.of_row(row.clone(), None))
    }

    fn of_row(self: &Arc<Self>, row: EntitlementRow, too_many: Option<usize>) -> ExplanationLine {
        let [dataset, contribution, model, agent] =
            [&row.dataset_id, &row.contribution_id, &row.model_version_id, &row.agent_version_id];
        let key = OriginKey {
            account: self.account.0,
            token: self.token.0,
            epoch: self.lines.epoch,
            vault: row.vault.clone(),
            role: row.role.clone(),
            ids: [dataset, contribution, model, agent].map(Clone::clone),
            adjusts_epoch: row.adjusts_epoch,
        };
        let below = Below { view: self.view.clone(), token: self.token, key, found: Arc::default() };
        ExplanationLine { explained: Arc::clone(self), row, below, too_many }
    }

    async fn ways(&self) -> Result<&Ways, Refusal> {
        let read = || async {
            self.view.pinned().count_read();
            let session = self.view.pinned().session().await?;
            let ways = Box::pin(Ways::read(session, &self.lines, Some(self.blocks))).await;
            ways.map_err(|cause| Refusal::internal("following money to models", &cause))
        };
        self.ways.get_or_try_init(read).await
    }

    /// What is said of a line; for one that is of no model nothing is read.
    async fn said<T>(&self, row: &EntitlementRow, say: impl Fn(&Ways) -> T) -> Result<T, Refusal> {
        if is_over_models(row) { self.ways().await.map(say) } else { Ok(say(&Ways::default())) }
    }

    /// A line in words.
    pub(crate) async fn description(&self, row: &EntitlementRow) -> Result<String, Refusal> {
        self.said(row, |ways| ways.description(row)).await
    }

    /// For lineage: generations between the model that was used and this one.
    pub(crate) async fn depth(&self, row: &EntitlementRow) -> Result<Option<i64>, Refusal> {
        if role(row) != "lineage" {
            return Ok(None);
        }
        self.said(row, |ways| Some(i64::from(ways.depth(row)))).await
    }

    /// For models and lineage: the ways that the money took.
    pub(crate) async fn paths(&self, row: &EntitlementRow) -> Result<Option<MoneyPaths>, Refusal> {
        let paths = self.said(row, |ways| ways.paths(row)).await?;
        let paths = paths.map_err(|cause| Refusal::internal("following money to models", &cause))?;
        let path = |path: tributary_accounting::MoneyPath| MoneyPath {
            labels: path.steps.iter().map(|id| self.view.world().label(id, self.view.number())).collect(),
            steps: path.steps.into_iter().map(ID).collect(),
            amount: self.view.money(self.token, path.amount),
        };
        Ok(paths.map(|paths| MoneyPaths {
            other: self.view.money(self.token, paths.other),
            paths: paths.paths.into_iter().map(path).collect(),
        }))
    }

    /// The blobs with the attribution records of the epoch.
    pub(crate) async fn blobs(&self) -> Result<Vec<Blob>, Refusal> {
        self.view.pinned().count_read();
        let session = self.view.pinned().session().await?;
        let named = Box::pin(blobs(session, self.lines.epoch, Some(self.blocks))).await;
        let named = named.map_err(|cause| Refusal::internal("reading what records came in", &cause))?;
        self.view.blobs_of(&named).await
    }
}

fn is_over_models(row: &EntitlementRow) -> bool {
    matches!(role(row), "model" | "lineage")
}
