//! Reading tables into memory: whole rows of small tables, single columns of large ones.

use alloy_primitives::{Address, B256};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::buffer::ScalarBuffer;
use datafusion::arrow::datatypes::{ArrowPrimitiveType, Decimal128Type, Int32Type, Int64Type};
use datafusion::prelude::SessionContext;
use futures::StreamExt as _;
use std::str::FromStr;
use tributary_schemas::Table;

use crate::error::AccountingError;

/// The batches a query yields.
pub(crate) async fn query(ctx: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, AccountingError> {
    let frame = ctx.sql(sql).await.map_err(AccountingError::query(sql))?;
    frame.collect().await.map_err(AccountingError::query(sql))
}

/// Hands over the batches a query yields, one at a time.
pub(crate) async fn each(
    ctx: &SessionContext,
    sql: &str,
    mut take: impl FnMut(Columns<'_>) -> Result<(), AccountingError>,
) -> Result<(), AccountingError> {
    let frame = ctx.sql(sql).await.map_err(AccountingError::query(sql))?;
    let mut stream = frame.execute_stream().await.map_err(AccountingError::query(sql))?;
    while let Some(batch) = stream.next().await {
        take(Columns(&batch.map_err(AccountingError::query(sql))?))?;
    }
    Ok(())
}

/// Whole rows of a table that satisfy `filter`.
pub(crate) async fn rows<T: Table>(ctx: &SessionContext, filter: &str) -> Result<Vec<T>, AccountingError> {
    let batches = query(ctx, &format!("SELECT * FROM {} WHERE {filter}", T::NAME)).await?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(T::from_batch(batch)?);
    }
    Ok(rows)
}

/// Rows of a state table as they stand at the end of block `cut`.
pub(crate) async fn states<T: Table>(ctx: &SessionContext, cut: i64) -> Result<Vec<T>, AccountingError> {
    rows(ctx, &standing(cut)).await
}

/// The filter for states that hold at the end of block `cut`.
pub(crate) fn standing(cut: i64) -> String {
    format!("valid_from_block <= {cut} AND (valid_to_block IS NULL OR valid_to_block > {cut})")
}

/// A list of integers for SQL's IN; never empty.
pub(crate) fn list(keys: impl IntoIterator<Item = i64>) -> String {
    let keys: Vec<String> = keys.into_iter().map(|key| key.to_string()).collect();
    if keys.is_empty() { "NULL".to_owned() } else { keys.join(",") }
}

/// Columns of a batch by name and type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns<'a>(pub(crate) &'a RecordBatch);

impl Columns<'_> {
    /// A column as it is.
    pub(crate) fn values<T: ArrowPrimitiveType>(self, name: &str) -> Result<ScalarBuffer<T::Native>, AccountingError> {
        let column = self.0.column_by_name(name).and_then(|column| column.as_primitive_opt::<T>());
        let column = column
            .ok_or_else(|| AccountingError::inconsistent(format!("column {name} is absent or of another type")))?;
        if column.null_count() > 0 {
            return Err(AccountingError::inconsistent(format!("column {name} has NULLs: expected none")));
        }
        Ok(column.values().clone())
    }
    fn primitive<T: ArrowPrimitiveType>(self, name: &str) -> Result<Vec<T::Native>, AccountingError> {
        self.values::<T>(name).map(|values| values.to_vec())
    }
    pub(crate) fn int64(self, name: &str) -> Result<Vec<i64>, AccountingError> {
        self.primitive::<Int64Type>(name)
    }
    pub(crate) fn int32(self, name: &str) -> Result<Vec<i32>, AccountingError> {
        self.primitive::<Int32Type>(name)
    }
    /// A nullable 32-bit column.
    pub(crate) fn int32_or_null(self, name: &str) -> Result<Vec<Option<i32>>, AccountingError> {
        let column = self.0.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int32Type>());
        let column = column
            .ok_or_else(|| AccountingError::inconsistent(format!("column {name} is absent or of another type")))?;
        Ok(column.iter().collect())
    }
    pub(crate) fn money(self, name: &str) -> Result<Vec<i128>, AccountingError> {
        self.primitive::<Decimal128Type>(name)
    }
    pub(crate) fn boolean(self, name: &str) -> Result<Vec<bool>, AccountingError> {
        let column = self.0.column_by_name(name).and_then(|column| column.as_boolean_opt());
        let column =
            column.ok_or_else(|| AccountingError::inconsistent(format!("column {name} is absent or not boolean")))?;
        Ok(column.iter().map(|value| value == Some(true)).collect())
    }
    /// Reads every text of a column.
    pub(crate) fn text<R>(
        self,
        name: &str,
        mut read: impl FnMut(&str) -> Result<R, AccountingError>,
    ) -> Result<Vec<R>, AccountingError> {
        let column = self.0.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        let column =
            column.ok_or_else(|| AccountingError::inconsistent(format!("column {name} is absent or not text")))?;
        column.iter().map(|value| read(value.unwrap_or_default())).collect()
    }
}

/// An address of a table.
pub(crate) fn address(text: &str) -> Result<Address, AccountingError> {
    Address::from_str(text)
        .map_err(|error| AccountingError::inconsistent(format!("{text:?} is not an address: {error}")))
}

/// An id or hash of a table.
pub(crate) fn hash(text: &str) -> Result<B256, AccountingError> {
    B256::from_str(text)
        .map_err(|error| AccountingError::inconsistent(format!("{text:?} is not a 32-byte id: {error}")))
}

/// An amount of a table.
pub(crate) fn amount(units: i128) -> Result<u128, AccountingError> {
    Ok(tributary_schemas::Amount::from_signed(units)?.units())
}
