//! What a published table is: its columns, its order and its manual, written once.
//!
//! A table is declared as a row struct whose doc comments are the manual: [`TableInfo::markdown`] makes the page in
//! `schemas/tables/` from them, and a test compares. Rows go to Arrow with [`Table::to_batch`] and come back with
//! [`Table::from_batch`].

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use std::fmt::Write as _;
use std::sync::Arc;

use crate::error::SchemaError;

/// How a table grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Rows are facts: appended once, never changed. Files are cut at epoch boundaries.
    Fact,
    /// Rows are states with `valid_from_block` and `valid_to_block`: a change ends the row of the same key and begins another.
    State,
}

/// A column as the manual shows it.
#[derive(Debug, Clone, Copy)]
pub struct ColumnInfo {
    /// Its name.
    pub name: &'static str,
    /// Its doc comment.
    pub doc: &'static str,
}

/// A table as the manual shows it.
#[derive(Debug, Clone)]
pub struct TableInfo {
    /// Its name.
    pub name: &'static str,
    /// Its doc comment.
    pub doc: &'static str,
    /// How it grows.
    pub growth: Growth,
    /// The columns its files are sorted by.
    pub sort: &'static [&'static str],
    /// For states: the columns of the key.
    pub key: &'static [&'static str],
    /// Columns that get a bloom filter.
    pub bloom: &'static [&'static str],
    /// Its columns.
    pub columns: Vec<ColumnInfo>,
    /// Its Arrow schema.
    pub schema: SchemaRef,
}

impl TableInfo {
    /// The page of the manual.
    #[must_use]
    pub fn markdown(&self) -> String {
        let growth = match self.growth {
            Growth::Fact => "facts: rows are appended once and never change",
            Growth::State => "states: a change ends the row of the same key and begins another",
        };
        let mut out =
            format!("# {}\n\n{}\n\n- grows by {growth}\n- sorted by {}\n", self.name, self.doc, self.sort.join(", "));
        if !self.key.is_empty() {
            writeln!(out, "- key: {}", self.key.join(", ")).expect("a String takes everything");
        }
        if crate::hot::TABLES.contains(&self.name) {
            writeln!(out, "- of blocks that are not sealed yet: [`hot.{}`](hot.md)", self.name)
                .expect("a String takes everything");
        }
        out.push_str("\n| column | type | null | meaning |\n|---|---|---|---|\n");
        for (column, field) in self.columns.iter().zip(self.schema.fields()) {
            let null = if field.is_nullable() { "yes" } else { "no" };
            writeln!(out, "| {} | {} | {null} | {} |", column.name, field.data_type(), column.doc.replace('|', "\\|"))
                .expect("a String takes everything");
        }
        out
    }
}

/// A row type that is a published table.
pub trait Table: Sized {
    /// The table.
    fn info() -> TableInfo;
    /// Its name.
    const NAME: &'static str;
    /// A batch of these rows.
    fn to_batch(rows: &[Self]) -> RecordBatch;
    /// The rows of a batch of this table.
    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, SchemaError>;
}

pub(crate) fn schema_of(fields: Vec<(&'static str, arrow::datatypes::DataType, bool)>) -> SchemaRef {
    Arc::new(Schema::new(
        fields.into_iter().map(|(name, data_type, null)| Field::new(name, data_type, null)).collect::<Vec<_>>(),
    ))
}

pub(crate) const fn one_line(doc: &'static str) -> &'static str {
    doc.trim_ascii()
}

macro_rules! tables {
    ($(
        $(#[doc = $doc:literal])*
        $growth:ident $name:ident as $row:ident sort $sort:expr, key $key:expr, bloom $bloom:expr => {
            $( $(#[doc = $cdoc:literal])* $column:ident : $type:ty, )*
        }
    )*) => {
        $(
            #[doc = concat!("A row of the table `", stringify!($name), "`.")]
            #[doc = ""]
            $(#[doc = $doc])*
            #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
            pub struct $row { $( $(#[doc = $cdoc])* pub $column: $type, )* }

            impl $crate::table::Table for $row {
                const NAME: &'static str = stringify!($name);
                fn info() -> $crate::table::TableInfo {
                    static DOC: &str = concat!($($doc,)*);
                    $crate::table::TableInfo {
                        name: Self::NAME,
                        doc: $crate::table::one_line(DOC),
                        growth: $crate::table::Growth::$growth,
                        sort: $sort, key: $key, bloom: $bloom,
                        columns: vec![$( $crate::table::ColumnInfo { name: stringify!($column), doc: $crate::table::one_line(concat!($($cdoc,)*)) }, )*],
                        schema: $crate::table::schema_of(vec![$(
                            (stringify!($column), <$type as $crate::column::Column>::data_type(), <$type as $crate::column::Column>::NULLABLE),
                        )*]),
                    }
                }
                fn to_batch(rows: &[Self]) -> arrow::array::RecordBatch {
                    let mut builders = $name::Builders::default();
                    for row in rows {
                        builders.push(row);
                    }
                    builders.finish()
                }
                fn from_batch(batch: &arrow::array::RecordBatch) -> Result<Vec<Self>, $crate::error::SchemaError> {
                    let missing = |column| $crate::error::SchemaError::Column { table: Self::NAME, column, reason: "is absent".to_owned() };
                    let wrong = |column, row: usize| $crate::error::SchemaError::Column { table: Self::NAME, column, reason: format!("row {row} is of another type or NULL") };
                    $( let $column = batch.column_by_name(stringify!($column)).ok_or_else(|| missing(stringify!($column)))?; )*
                    (0..batch.num_rows()).map(|row| Ok(Self {
                        $( $column: <$type as $crate::column::Column>::read($column.as_ref(), row).ok_or_else(|| wrong(stringify!($column), row))?, )*
                    })).collect()
                }
            }
        )*

        /// Every published table.
        #[must_use]
        pub fn all() -> Vec<$crate::table::TableInfo> { vec![$( <$row as $crate::table::Table>::info(), )*] }

        /// A row of any table: what folding a block yields and what sealing takes.
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum Row { $( #[doc = concat!("Of `", stringify!($name), "`.")] $row($row), )* }

        impl Row {
            /// The table it belongs to.
            #[must_use]
            pub const fn table(&self) -> &'static str { match self { $( Self::$row(_) => stringify!($name), )* } }
        }
        $( impl From<$row> for Row { fn from(row: $row) -> Self { Self::$row(row) } } )*

        /// Rows of many tables, by table: what a seal writes.
        #[derive(Debug, Clone, Default)]
        pub struct Rows { $( #[doc = concat!("Of `", stringify!($name), "`.")] pub $name: Vec<$row>, )* }

        impl Rows {
            /// Puts a row with its like.
            pub fn push(&mut self, row: Row) { match row { $( Row::$row(row) => self.$name.push(row), )* } }
            /// Number of rows in all tables.
            #[must_use]
            pub fn len(&self) -> usize { [$( self.$name.len(), )*].into_iter().sum() }
            /// Whether there is no row.
            #[must_use]
            pub fn is_empty(&self) -> bool { self.len() == 0 }
        }

        $(
            mod $name {
                use super::*;

                #[derive(Debug, Default)]
                pub(super) struct Builders { $( $column: <$type as $crate::column::Column>::Builder, )* }

                impl Builders {
                    /// Adds a row; the bytes it takes.
                    pub(super) fn push(&mut self, row: &$row) -> usize {
                        $( <$type as $crate::column::Column>::append(&row.$column, &mut self.$column); )*
                        [$( <$type as $crate::column::Column>::bytes(&row.$column), )*].into_iter().sum()
                    }
                    pub(super) fn finish(self) -> arrow::array::RecordBatch {
                        let columns = vec![$( <$type as $crate::column::Column>::finish(self.$column), )*];
                        arrow::array::RecordBatch::try_new(<$row as $crate::table::Table>::info().schema, columns)
                            .expect("columns are built from the schema's own types")
                    }
                }
            }
        )*

        /// Rows of many tables as growing columns: a tenth of the allocations of [`Rows`] and a third of its memory, for
        /// whoever only adds.
        #[derive(Debug, Default)]
        pub struct Columns { rows: usize, bytes: usize, $( $name: Option<Box<$name::Builders>>, )* }

        impl Columns {
            /// Adds a row to its table.
            pub fn push(&mut self, row: &Row) {
                self.bytes += match row { $( Row::$row(row) => self.$name.get_or_insert_default().push(row), )* };
                self.rows += 1;
            }
            /// A batch for every table that has rows, by name, in the order of declaration.
            #[must_use]
            pub fn into_batches(self) -> Vec<(&'static str, arrow::array::RecordBatch)> {
                let mut out = Vec::new();
                $( if let Some(builders) = self.$name { out.push((stringify!($name), builders.finish())); } )*
                out
            }
            /// Number of rows in all tables.
            #[must_use]
            pub const fn len(&self) -> usize { self.rows }
            /// Bytes that the rows take. Columns that grow have room for up to as much again.
            #[must_use]
            pub const fn bytes(&self) -> usize { self.bytes }
            /// Whether there is no row.
            #[must_use]
            pub const fn is_empty(&self) -> bool { self.rows == 0 }
        }

        impl From<Rows> for Columns {
            fn from(rows: Rows) -> Self {
                let mut columns = Self::default();
                $( for row in rows.$name { columns.push(&Row::$row(row)); } )*
                columns
            }
        }
    };
}
pub(crate) use tables;

#[cfg(test)]
mod tests;
