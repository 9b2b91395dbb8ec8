//! What came through each thing and along each edge, up to a settled epoch: one pass over the money, kept in memory.

use std::collections::BTreeMap;

use tributary_schemas::column::Decimal38;

use crate::error::Refusal;
use crate::pinned::{Pinned, column};

/// Base units by token.
pub(crate) type Tokens = BTreeMap<String, i128>;

/// Money up to an epoch.
#[derive(Debug, Default)]
pub(crate) struct Earned {
    things: BTreeMap<String, Tokens>,
    edges: BTreeMap<(String, String), Tokens>,
}

impl Earned {
    /// Reads the settled money of a snapshot up to epoch `cut`.
    pub(crate) async fn load(pinned: &Pinned, cut: i64) -> Result<Self, Refusal> {
        let mut earned = Self::default();
        earned.load_lines(pinned, cut).await?;
        earned.load_flows(pinned, cut).await?;
        Ok(earned)
    }

    /// What came through a dataset, a contribution, or a version of a model or agent.
    pub(crate) fn thing(&self, id: &str) -> Option<&Tokens> {
        self.things.get(id)
    }

    /// What ran from `payer` to `payee`: a derived version and its source, or a model version and a dataset.
    pub(crate) fn edge(&self, payer: &str, payee: &str) -> Option<&Tokens> {
        self.edges.get(&(payer.to_owned(), payee.to_owned()))
    }

    async fn load_lines(&mut self, pinned: &Pinned, cut: i64) -> Result<(), Refusal> {
        let query = "SELECT dataset_id, contribution_id, model_version_id, agent_version_id, token, sum(amount) \
                     FROM earnings WHERE epoch <= $1 GROUP BY 1, 2, 3, 4, 5";
        for batch in pinned.batches(query, vec![cut.into()]).await? {
            let things = (0..4).map(|index| column::<Option<String>>(&batch, index)).collect::<Result<Vec<_>, _>>()?;
            let (tokens, amounts) = (column::<String>(&batch, 4)?, column::<Decimal38>(&batch, 5)?);
            for (row, (token, amount)) in tokens.iter().zip(amounts).enumerate() {
                let named = things.iter().map(|column| column.get(row).and_then(Option::as_ref)).collect::<Vec<_>>();
                for thing in named.iter().copied().flatten() {
                    add(self.things.entry(thing.clone()).or_default(), token, amount.0)?;
                }
                if let [Some(dataset), _, Some(model), _] = named.as_slice() {
                    let edge = ((*model).clone(), (*dataset).clone());
                    add(self.edges.entry(edge).or_default(), token, amount.0)?;
                }
            }
        }
        Ok(())
    }

    async fn load_flows(&mut self, pinned: &Pinned, cut: i64) -> Result<(), Refusal> {
        let query = "SELECT src_id, dst_id, token, sub_digits, sum(amount_sub) FROM money_flows \
                     WHERE epoch <= $1 AND step IN ('model', 'lineage') GROUP BY 1, 2, 3, 4";
        for batch in pinned.batches(query, vec![cut.into()]).await? {
            let (from, to) = (column::<String>(&batch, 0)?, column::<String>(&batch, 1)?);
            let (tokens, digits) = (column::<String>(&batch, 2)?, column::<i32>(&batch, 3)?);
            let amounts = column::<Decimal38>(&batch, 4)?;
            for ((((from, to), token), digits), amount) in from.into_iter().zip(to).zip(tokens).zip(digits).zip(amounts)
            {
                add(self.edges.entry((from, to)).or_default(), &token, whole_units(amount.0, digits))?;
            }
        }
        Ok(())
    }
}

/// Sub-units as whole base units, rounded down.
pub(crate) fn whole_units(sub: i128, digits: i32) -> i128 {
    let unit = u32::try_from(digits).ok().and_then(|digits| 10i128.checked_pow(digits)).unwrap_or(1);
    sub.div_euclid(unit)
}

fn add(tokens: &mut Tokens, token: &str, amount: i128) -> Result<(), Refusal> {
    let sum = tokens.entry(token.to_owned()).or_default();
    *sum = sum.checked_add(amount).ok_or_else(|| Refusal::internal("adding money", &format!("{sum} + {amount}")))?;
    Ok(())
}
