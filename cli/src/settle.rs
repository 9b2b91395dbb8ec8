//! `tributary settle`: anybody's tables settled, and what another policy would change.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Value, json};
use tributary_accounting::audit::{Audit, Change, Outcome};
use tributary_accounting::{Folder, Progress};
use tributary_schemas::policy::Policy;
use tributary_store::Settling;

use crate::arguments::Settle;
use crate::failure::Failure;
use crate::replay::Scratch;
use crate::{output, settling};

/// Settles an epoch of the tables in a folder.
pub(crate) async fn settle(arguments: &Settle) -> Result<ExitCode, Failure> {
    let policy = match &arguments.policy {
        None => None,
        Some(file) => {
            let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
            Some(Policy::parse(&bytes).with_context(|| format!("the policy in {}", file.display()))?)
        }
    };
    let folder = Folder::open(&arguments.tables, &arguments.without).await?;
    let scratch = Scratch::new("settle")?;
    let progress = Arc::new(Progress::default());
    let session = || Ok(tributary_accounting::watched(tributary_accounting::session(None, 2)?, &progress));
    let audit =
        Box::pin(tributary_accounting::audit(session, &folder, scratch.path(), arguments.epoch, policy.as_ref()));
    let tell = |one: Settling| output::say(&settling::words(&one));
    let audit = settling::watch(&progress, arguments.epoch, tell, audit).await?;
    if arguments.json {
        output::json(&shown(arguments.epoch, policy.as_ref(), &audit))?;
    } else {
        output::result(&words(&audit));
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(epoch: i64, policy: Option<&Policy>, audit: &Audit) -> Value {
    let mut out = outcome(&audit.recorded);
    out["epoch"] = json!(epoch);
    out["rule"] = json!(tributary_accounting::RULE);
    if let (Some(policy), Some(other)) = (policy, &audit.other) {
        let changes = audit.changes.iter().map(|one| {
            json!({
                "account": one.account, "token": one.token, "before": one.before.to_string(),
                "after": one.after.to_string(), "difference": difference(one).to_string(),
            })
        });
        out["policy"] = json!({
            "hash": policy.hash(), "outcome": outcome(other), "changes": changes.collect::<Vec<_>>(),
        });
    }
    out
}

fn outcome(outcome: &Outcome) -> Value {
    let totals = outcome.totals.iter().map(|row| {
        json!({
            "vault": row.vault, "token": row.token, "payments": row.payments, "revenue": row.revenue.0.to_string(),
            "credited": row.credited.0.to_string(), "held": row.held.0.to_string(),
            "rounding": row.rounding.0.to_string(), "cumulative": row.cumulative.0.to_string(),
        })
    });
    json!({
        "ledger_digest": outcome.ledger_digest, "roots": outcome.roots, "outputs": outcome.outputs,
        "totals": totals.collect::<Vec<_>>(),
    })
}

const fn difference(one: &Change) -> i128 {
    one.after.saturating_sub(one.before)
}

fn words(audit: &Audit) -> String {
    let mut out = described(&audit.recorded);
    let Some(other) = &audit.other else { return out };
    out.push_str("\n\nBy the other policy\n");
    out.push_str(&described(other));
    let mut changes: Vec<&Change> = audit.changes.iter().collect();
    changes.sort_by_key(|one| std::cmp::Reverse(difference(one)));
    let row = |one: &&Change| {
        let difference = difference(one);
        let sign = if difference > 0 { "+" } else { "" };
        vec![
            one.account.clone(),
            one.token.clone(),
            one.before.to_string(),
            one.after.to_string(),
            format!("{sign}{difference}"),
        ]
    };
    let rows: Vec<Vec<String>> = changes.iter().map(row).collect();
    out.push_str("\n\n");
    out.push_str(&output::table(&["ACCOUNT", "TOKEN", "BEFORE", "AFTER", "DIFFERENCE"], &rows));
    out
}

fn described(outcome: &Outcome) -> String {
    let mut rows = vec![vec!["ledger digest".to_owned(), outcome.ledger_digest.to_string()]];
    rows.extend(outcome.roots.iter().map(|(vault, root)| vec!["root".to_owned(), format!("{root} of vault {vault}")]));
    for row in &outcome.totals {
        let money = format!(
            "{} from {} payments, {} credited, {} held; token {} in vault {}",
            row.revenue.0, row.payments, row.credited.0, row.held.0, row.token, row.vault
        );
        rows.push(vec!["revenue".to_owned(), money]);
    }
    output::table(&["", ""], &rows)
}
