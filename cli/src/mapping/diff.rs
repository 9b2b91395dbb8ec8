//! `tributary mapping diff`: what a change of rules would change, of the logs in the data folder.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use serde_json::json;
use tributary_indexer::Mapping;
use tributary_indexer::decode::{Difference, Side, beyond_stored, block_ref, compare, of_factories, stored};
use tributary_schemas::facts::{BlockRow, RawLogRow};
use tributary_schemas::{BlockRef, Table};

use super::named;
use crate::arguments::MappingDiff;
use crate::config::Config;
use crate::failure::{Exit, Failure, OrExit as _};
use crate::output;
use crate::read::Tables;

/// Blocks whose logs are in memory at once.
const STEP_BLOCKS: i64 = 5_000;

/// Compares two sets of files on the stored logs of a range of blocks.
pub(super) async fn diff(config: &Config, arguments: &MappingDiff) -> Result<ExitCode, Failure> {
    let load = |names: &[String], roles: &[String]| {
        let (files, contracts) = named(config, names, roles).or_exit(Exit::Configuration)?;
        Mapping::load(&files, config.chain.chain_id, &contracts).or_exit(Exit::Configuration)
    };
    let listed = |names: &str| names.split(',').map(str::to_owned).collect::<Vec<_>>();
    let before = load(&listed(&arguments.before), &arguments.roles)?;
    let after = load(&listed(&arguments.after), &arguments.roles)?;
    let in_force = load(&config.mapping.files, &[])?;
    let left_out = Unstored::of([&before, &after], &in_force);
    let tables = Tables::open(&config.storage).await?;
    let block = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (mut first, last) = (block(arguments.blocks.0), block(arguments.blocks.1));
    let (mut logs, mut changes) = (0, Vec::new());
    let published = tables.snapshot().heads.block_number;
    let last = std::cmp::min(last, block(published));
    while first <= last {
        let end = std::cmp::min(first.saturating_add(STEP_BLOCKS - 1), last);
        let rows = raw_logs(&tables, &format!("block_number BETWEEN {first} AND {end}")).await?;
        let blocks = blocks(&tables, first, end).await?;
        logs += rows.len();
        for rows in rows.chunk_by(|one, other| one.block_number == other.block_number) {
            if let Some(block) = rows.first().and_then(|row| blocks.get(&row.block_number)) {
                changes.extend(compare(&before, &after, &stored(*block, rows).or_exit(Exit::Store)?));
            }
        }
        first = end.saturating_add(1);
    }
    tell(arguments, (logs, published), &changes, &left_out)?;
    Ok(ExitCode::SUCCESS)
}

/// Rules that cannot be compared by what is stored.
struct Unstored {
    /// They read calldata, senders, joined logs or entities.
    beyond: BTreeSet<String>,
    /// Their emitters were announced by factories, perhaps in earlier blocks.
    of_factories: BTreeSet<String>,
    /// They are for events that the set in force does not know, so that no log of them is stored.
    unheard: BTreeSet<String>,
}

impl Unstored {
    fn of(both: [&Mapping; 2], in_force: &Mapping) -> Self {
        let known: BTreeSet<_> = in_force.topics().collect();
        let beyond = both.iter().flat_map(|mapping| beyond_stored(mapping)).map(str::to_owned).collect();
        let of_factories = both.iter().flat_map(|mapping| of_factories(mapping)).map(str::to_owned).collect();
        let unheard = both.iter().flat_map(|mapping| mapping.rules_beside(&known)).map(str::to_owned).collect();
        Self { beyond, of_factories, unheard }
    }
}

fn tell(
    arguments: &MappingDiff,
    (logs, published): (usize, u64),
    changes: &[Difference],
    left_out: &Unstored,
) -> Result<(), Failure> {
    if arguments.json {
        output::json(&json!({
            "logs": logs, "published_block": published, "changes": changes,
            "beyond_stored": left_out.beyond, "of_factories": left_out.of_factories, "unheard": left_out.unheard,
        }))?;
        return Ok(());
    }
    for one in changes {
        let sign = if one.side == Side::Gone { '-' } else { '+' };
        let because = if one.reason.is_empty() { String::new() } else { format!(" because: {}", one.reason) };
        let place = format!("block {} log {}.{}", one.block, one.log_index, one.sub_index);
        output::result(&format!("{sign} {place} {} {} by {}{because}", one.kind, one.payload, one.rule));
    }
    output::say(&format!("{} events differ, of {logs} stored logs up to block {published}", changes.len()));
    for (why, rules) in [
        ("not compared, as they read more than is stored", &left_out.beyond),
        ("not compared, as factories may have announced their emitters in other blocks", &left_out.of_factories),
        ("not compared, as the set in force does not know their events", &left_out.unheard),
    ] {
        if !rules.is_empty() {
            output::say(&format!("{why}: {}", rules.iter().cloned().collect::<Vec<_>>().join(", ")));
        }
    }
    Ok(())
}

/// The stored logs that satisfy a filter, in their order.
pub(super) async fn raw_logs(tables: &Tables, filter: &str) -> Result<Vec<RawLogRow>, Failure> {
    let mut rows: Vec<RawLogRow> = rows(tables, filter).await?;
    rows.sort_by_key(|row| (row.block_number, row.log_index));
    Ok(rows)
}

/// The published blocks of a range, by number.
pub(super) async fn blocks(tables: &Tables, first: i64, last: i64) -> Result<BTreeMap<i64, BlockRef>, Failure> {
    let rows: Vec<BlockRow> = rows(tables, &format!("number BETWEEN {first} AND {last}")).await?;
    rows.iter().map(|row| Ok((row.number, block_ref(row).or_exit(Exit::Store)?))).collect()
}

async fn rows<T: Table>(tables: &Tables, filter: &str) -> Result<Vec<T>, Failure> {
    let query = format!("SELECT * FROM {} WHERE {filter}", T::NAME);
    let batches =
        tables.session().await?.sql(&query).await.or_exit(Exit::Store)?.collect().await.or_exit(Exit::Store)?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(T::from_batch(batch).or_exit(Exit::Store)?);
    }
    Ok(rows)
}
