//! `tributary explain --by`: an explanation looked into, level by level.

use std::process::ExitCode;

use alloy_primitives::Address;
use datafusion::prelude::SessionContext;
use serde::Serialize;
use serde_json::{Value, json};
use tributary_accounting::explain::{Group, Wanted, below, grouped};
use tributary_accounting::{Explainer, Stand};

use crate::arguments::{By, Drill, Explain};
use crate::failure::{Exit, Failure, OrExit as _};
use crate::output;

/// A page of a level: rows as people read them, and as programs do.
struct Page {
    header: &'static [&'static str],
    cells: Vec<Vec<String>>,
    json: Vec<Value>,
    amounts: Vec<i128>,
    total: i128,
    count: usize,
}

/// Sums what is chosen of each token.
pub(crate) async fn drill(
    ctx: &SessionContext,
    (account, epoch): (Address, i64),
    tokens: &[Address],
    by: By,
    arguments: &Explain,
) -> Result<ExitCode, Failure> {
    let mut text = Vec::new();
    let mut all = Vec::new();
    for token in tokens {
        let page = level(ctx, (account, *token, epoch), by, &arguments.drill).await?;
        let here: i128 = page.amounts.iter().sum();
        let rest = page.total - here;
        all.push(json!({
            "account": account, "token": token, "epoch": epoch, "total": page.total.to_string(),
            "count": page.count, "skipped": arguments.drill.skip, "rest": rest.to_string(), "lines": page.json,
        }));
        let mut rows = page.cells;
        let others = page.count.saturating_sub(page.amounts.len());
        let mut sum = |units: i128, name: String| {
            let mut row = vec![units.to_string(), name];
            row.resize(page.header.len(), String::new());
            rows.push(row);
        };
        if rest != 0 {
            sum(rest, format!("{others} others"));
        }
        sum(page.total, "total".to_owned());
        text.push(format!("token {token}\n{}", output::table(page.header, &rows)));
    }
    if arguments.json {
        output::json(&all)?;
    } else {
        output::result(&text.join("\n\n"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn level(ctx: &SessionContext, of: (Address, Address, i64), by: By, asked: &Drill) -> Result<Page, Failure> {
    let stand: Option<Stand> = asked.inference.as_deref().map(str::parse).transpose().or_exit(Exit::Failed)?;
    let group = match by {
        By::Role => Group::Role,
        By::Dataset => Group::Dataset,
        By::Contribution => Group::Contribution,
        By::Model => Group::Model,
        By::Agent => Group::Agent,
        By::Batch | By::Inference | By::Payment | By::Record => return under(ctx, of, by, (asked, stand)).await,
    };
    let wanted = wanted(asked);
    let explained = tributary_accounting::explain(ctx, of.0, of.1, of.2).await?;
    let lines = if asked.pending { &explained.pending } else { &explained.lines };
    let list = grouped(lines.iter().filter(|line| wanted.takes_line(line)), group);
    let page = cut(&list, asked);
    let name = |key: &Option<String>| key.clone().unwrap_or_else(|| "none".to_owned());
    Ok(Page {
        header: &["AMOUNT", "THROUGH"],
        cells: page.iter().map(|(key, units)| vec![units.to_string(), name(key)]).collect(),
        json: page.iter().map(|(key, units)| json!({ "through": key, "amount": units.to_string() })).collect(),
        amounts: page.iter().map(|(_, units)| *units).collect(),
        total: list.iter().map(|(_, units)| *units).sum(),
        count: list.len(),
    })
}

/// Levels below the lines.
async fn under(
    ctx: &SessionContext,
    of: (Address, Address, i64),
    by: By,
    (asked, stand): (&Drill, Option<Stand>),
) -> Result<Page, Failure> {
    let wanted = wanted(asked);
    let origins = Explainer::default().origins(ctx, of, |row| wanted.takes(row)).await?;
    let own = |stand: Stand| origins.inferences().iter().find(|(one, _)| *one == stand).map_or(0, |(_, units)| *units);
    let whole = stand.map_or_else(|| origins.total(), own);
    let text = |value: Option<String>| value.unwrap_or_default();
    let in_batch = |batch: Option<&below::Batch>| match batch {
        Some(one) => [one.batch.clone(), one.block.to_string(), one.payload_hash.clone()],
        None => ["none".to_owned(), String::new(), String::new()],
    };
    match by {
        By::Batch => {
            let list = origins.batches();
            let rows = below::batches(ctx, cut(&list, asked)).await?;
            let header = &["AMOUNT", "BATCH", "BLOCK", "PAYLOAD"];
            Ok(page(header, rows, (whole, list.len()), |batch| in_batch(batch.as_ref()).to_vec()))
        }
        By::Payment => {
            let list = origins.payments(stand);
            let rows = below::payments(ctx, cut(&list, asked)).await?;
            let header = &["AMOUNT", "KIND", "BLOCK", "LOG", "TRANSACTION", "PAYER"];
            Ok(page(header, rows, (whole, list.len()), |one| {
                let number = |number: Option<i64>| text(number.map(|number| number.to_string()));
                let (tx, payer) = (text(one.tx.clone()), text(one.payer.clone()));
                vec![one.kind.to_owned(), number(one.block), number(one.log_index), tx, payer]
            }))
        }
        By::Record => {
            let Some(stand) = stand else {
                let why = anyhow::anyhow!("--by record needs --inference, with a key that --by inference lists");
                return Err(why.into());
            };
            let list = origins.records(stand);
            let rows = below::records(ctx, cut(&list, asked)).await?;
            let header = &["AMOUNT", "TARGET", "ID", "ROW", "SCORE"];
            Ok(page(header, rows, (whole, list.len()), |one| {
                let row = text(one.row.map(|row| row.to_string()));
                vec![one.target.unwrap_or("none").to_owned(), text(one.target_id.clone()), row, one.score.to_string()]
            }))
        }
        _ => {
            let list: Vec<(Stand, i128)> =
                origins.inferences().iter().filter(|(one, _)| stand.is_none_or(|of| of == *one)).copied().collect();
            let rows = below::inferences(ctx, cut(&list, asked)).await?;
            let header = &["AMOUNT", "KEY", "INFERENCE", "BATCH", "BLOCK", "PAYLOAD"];
            Ok(page(header, rows, (whole, list.len()), |one| {
                let [batch, block, payload] = in_batch(one.batch.as_ref());
                vec![one.key.clone(), text(one.inference.clone()), batch, block, payload]
            }))
        }
    }
}

fn page<T: Serialize>(
    header: &'static [&'static str],
    rows: Vec<below::Below<T>>,
    (total, count): (i128, usize),
    cells: impl Fn(&T) -> Vec<String>,
) -> Page {
    let amounts = rows.iter().map(|row| row.amount).collect();
    let json = rows.iter().map(|row| json!({ "amount": row.amount.to_string(), "of": row.of })).collect();
    let cells = rows.iter().map(|row| [row.amount.to_string()].into_iter().chain(cells(&row.of)).collect()).collect();
    Page { header, cells, json, amounts, total, count }
}

fn cut<'a, K>(list: &'a [(K, i128)], asked: &Drill) -> &'a [(K, i128)] {
    let start = std::cmp::min(asked.skip, list.len());
    &list[start..std::cmp::min(start.saturating_add(asked.first), list.len())]
}

fn wanted(asked: &Drill) -> Wanted {
    Wanted {
        role: asked.role.clone(),
        dataset: asked.dataset.clone(),
        contribution: asked.contribution.clone(),
        model: asked.model.clone(),
        agent: asked.agent.clone(),
        pending: asked.pending,
    }
}
