//! Which lines of an account are asked for, and their sums by what the money came through.

use std::collections::BTreeMap;
use tributary_schemas::money::EntitlementRow;

use super::ExplanationLine;

/// Lines that are asked for: all that fit what is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Role.
    pub role: Option<String>,
    /// Beginning of the dataset's id.
    pub dataset: Option<String>,
    /// Beginning of the contribution's id.
    pub contribution: Option<String>,
    /// Beginning of the id of the model version.
    pub model: Option<String>,
    /// Beginning of the id of the agent version.
    pub agent: Option<String>,
    /// What waits for a challenge window, instead of what was earned.
    pub pending: bool,
}

/// What lines are summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Role.
    Role,
    /// Dataset.
    Dataset,
    /// Contribution.
    Contribution,
    /// Model version.
    Model,
    /// Agent version.
    Agent,
}

impl Wanted {
    /// Whether a row of `entitlements` is asked for.
    #[must_use]
    pub fn takes(&self, row: &EntitlementRow) -> bool {
        let (pending, role) = row.role.strip_prefix("pending:").map_or((false, row.role.as_str()), |role| (true, role));
        let ids = [&row.dataset_id, &row.contribution_id, &row.model_version_id, &row.agent_version_id];
        pending == self.pending && self.fits(role, ids)
    }

    /// Whether a line is asked for; it is known whether it waits.
    #[must_use]
    pub fn takes_line(&self, line: &ExplanationLine) -> bool {
        self.fits(&line.role, [&line.dataset, &line.contribution, &line.model, &line.agent])
    }

    fn fits(&self, role: &str, ids: [&Option<String>; 4]) -> bool {
        let wanted = [&self.dataset, &self.contribution, &self.model, &self.agent];
        let begins = |(wanted, id): (&Option<String>, &Option<String>)| match wanted {
            Some(wanted) => id.as_ref().is_some_and(|id| id.starts_with(&wanted.to_lowercase())),
            None => true,
        };
        self.role.as_ref().is_none_or(|wanted| wanted == role) && wanted.into_iter().zip(ids).all(begins)
    }
}

/// Sums of lines, the best first; `None` is money that came through no such thing.
pub fn grouped<'a>(lines: impl IntoIterator<Item = &'a ExplanationLine>, group: Group) -> Vec<(Option<String>, i128)> {
    let mut sums: BTreeMap<Option<String>, i128> = BTreeMap::new();
    for line in lines {
        let key = match group {
            Group::Role => Some(line.role.clone()),
            Group::Dataset => line.dataset.clone(),
            Group::Contribution => line.contribution.clone(),
            Group::Model => line.model.clone(),
            Group::Agent => line.agent.clone(),
        };
        *sums.entry(key).or_default() += line.amount;
    }
    let mut list: Vec<(Option<String>, i128)> = sums.into_iter().collect();
    list.sort_by_key(|one| std::cmp::Reverse(one.1));
    list
}
