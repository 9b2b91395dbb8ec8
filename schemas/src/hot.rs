//! The hot tables: facts of the blocks above the sealed one, in the schema `hot` of SQL.
//!
//! A block is published once it is final and every blob it refers to is judged. Above that stand blocks that were
//! verified and can still be taken back. What their transactions and logs alone decide is offered under the names of the
//! published tables and with their columns, so that one query can read both; what waits for blobs, for L1 or for
//! settlement, and states (which end rows that are published already), are not.

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use std::fmt::Write as _;
use std::sync::Arc;

use crate::facts::{self, Columns};
use crate::table::TableInfo;

/// The schema that these tables are in.
pub const SCHEMA: &str = "hot";

/// Those that there are; each has the columns of the published table of its name.
pub const TABLES: [&str; 19] = [
    "blocks",
    "raw_logs",
    "state_reads",
    "events",
    "rejected_events",
    "methods",
    "recorded_inferences",
    "payments",
    "refunds",
    "pool_fundings",
    "policies",
    "stakes",
    "slashes",
    "penalties",
    "roles",
    "access",
    "attestations",
    "published_roots",
    "reward_claims",
];

/// Columns that a block has once it is sealed: here they are NULL.
const SEALED: [&str; 2] = ["finality", "log_root"];

/// The hot tables, in the order in which the published ones are declared.
#[must_use]
pub fn all() -> Vec<TableInfo> {
    let offered = facts::all().into_iter().filter(|info| TABLES.contains(&info.name));
    offered.map(|info| TableInfo { schema: unsealed(&info.schema), ..info }).collect()
}

/// Rows as batches of hot tables, by name; none of a table without rows.
///
/// # Errors
///
/// Those of arrow: columns come from the schema they are put into.
pub fn batches(rows: Columns) -> Result<Vec<(&'static str, RecordBatch)>, arrow::error::ArrowError> {
    let hot = |(name, batch): (&'static str, RecordBatch)| {
        let schema = unsealed(&batch.schema());
        let column = |(field, column): (&Arc<Field>, &ArrayRef)| {
            let known = !SEALED.contains(&field.name().as_str());
            if known { Arc::clone(column) } else { new_null_array(field.data_type(), batch.num_rows()) }
        };
        let columns = schema.fields().iter().zip(batch.columns()).map(column).collect();
        Ok((name, RecordBatch::try_new(schema, columns)?))
    };
    rows.into_batches().into_iter().map(hot).collect()
}

/// The page of the manual.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(
        "# Hot tables\n\n\
         Blocks above the sealed one were verified and can still be taken back. The schema `hot` has what their\n\
         transactions and logs alone decide, for SQL in the process that follows:\n\n\
         ```sql\n\
         SELECT kind, count(*) FROM (SELECT * FROM events UNION ALL SELECT * FROM hot.events) GROUP BY kind\n\
         ```\n\n\
         - The rows are of exactly the blocks above the sealed one of the snapshot that the query reads, up to the\n\
         \u{20}\u{20}newest block that was followed when it was planned: no block is in both, none is missing between. All\n\
         \u{20}\u{20}hot tables of a query are of that moment; what comes or is taken back later changes nothing in it.\n\
         - They are not final. An answer that read one names the block it went up to beside its snapshot.\n\
         - In `hot.blocks`, `finality` and `log_root` are NULL and `event_count` has only what logs and transactions\n\
         \u{20}\u{20}said: the facts that blobs yield join a block when it is sealed. All other rows are sealed as they are.\n\
         - States, blobs with what they hold, anchors and money have no hot tables.\n\n\
         | table | columns and meaning |\n|---|---|\n",
    );
    for info in all() {
        writeln!(out, "| {SCHEMA}.{0} | [{0}]({0}.md) |", info.name).expect("a String takes everything");
    }
    out
}

fn unsealed(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &Arc<Field>| {
        let null = field.is_nullable() || SEALED.contains(&field.name().as_str());
        field.as_ref().clone().with_nullable(null)
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Micros;
    use crate::facts::{BlockRow, PaymentRow, Row};
    use crate::table::{Growth, Table as _};

    /// A new table of facts is either offered or named here, with what it waits for.
    #[test]
    fn every_table_of_facts_is_offered_or_waits_for_something() {
        let waits = ["blobs", "inferences", "attributions", "anchors", "vault_balances"];
        for info in facts::all() {
            let hot = TABLES.contains(&info.name);
            let fact = info.growth == Growth::Fact;
            assert_eq!(hot, fact && !waits.contains(&info.name), "{}", info.name);
        }
        assert_eq!(all().len(), TABLES.len());
    }

    #[test]
    fn a_block_that_is_not_sealed_has_no_log_root() {
        let row = BlockRow {
            number: 7,
            hash: "0x07".to_owned(),
            parent_hash: "0x06".to_owned(),
            timestamp: Micros(0),
            epoch: 0,
            l1_origin_number: None,
            tx_count: 1,
            log_count: 2,
            event_count: 3,
            finality: "asserted".to_owned(),
            trust: "full".to_owned(),
            log_root: "0x01".to_owned(),
        };
        let mut rows = Columns::default();
        rows.push(&Row::from(row));
        let found = batches(rows).unwrap();
        let [(name, batch)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((*name, batch.num_rows()), (BlockRow::NAME, 1));
        let declared = all().into_iter().find(|info| info.name == "blocks").unwrap();
        assert_eq!(batch.schema(), declared.schema);
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let null = SEALED.contains(&field.name().as_str()) || field.name() == "l1_origin_number";
            assert_eq!(column.null_count(), usize::from(null), "{}", field.name());
        }
        // What has no such columns is as it is published.
        let payments = all().into_iter().find(|info| info.name == "payments").unwrap();
        assert_eq!(payments.schema, PaymentRow::info().schema);
    }
}
