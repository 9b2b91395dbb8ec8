//! `tributary export`: a table as it stood at a block, a statement, or provenance in a form that others read.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use datafusion::parquet::arrow::ArrowWriter;
use futures::StreamExt as _;
use tributary_accounting::StatementOf;
use tributary_api::{ProvenanceForm, StatementForm};
use tributary_schemas::table::{Growth, TableInfo};
use tributary_schemas::{facts, money};
use tributary_store::lake::{GROUP_ROWS, writer_properties};

use crate::arguments::{Export, ExportFormat};
use crate::config::Config;
use crate::failure::{Exit, Failure, OrExit as _};
use crate::output;
use crate::read::{Tables, address};

/// `tributary export`.
pub(crate) async fn export(config: &Config, arguments: &Export) -> Result<ExitCode, Failure> {
    let tables = Tables::open(&config.storage).await?;
    let file = arguments.output.as_deref();
    match (&arguments.table, arguments.provenance.as_slice(), &arguments.statement) {
        (Some(name), _, _) => table(&tables, name, arguments).await?,
        (None, [form, id], _) => put(file, &provenance(&tables, form, id).await?)?,
        (None, _, Some(account)) => put(file, &statement(&tables, account, arguments).await?)?,
        (None, _, None) => {
            return Err(anyhow!("nothing is named: expected --table, --statement or --provenance").into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn put(file: Option<&Path>, bytes: &[u8]) -> Result<(), Failure> {
    match file {
        None => output::bytes(bytes),
        Some(file) => std::fs::write(file, bytes).with_context(|| format!("writing {}", file.display()))?,
    }
    Ok(())
}

async fn provenance(tables: &Tables, form: &str, id: &str) -> Result<Vec<u8>, Failure> {
    let known = ProvenanceForm::named(form);
    let form = known.with_context(|| format!("{form:?} is no form: expected prov, cyclonedx or croissant"))?;
    let document = tributary_api::provenance(tables.lake(), tables.pinned(), form, id).await;
    let document = document.map_err(|refusal| anyhow!("{}", refusal.message))?;
    let mut text = serde_json::to_vec_pretty(&document)?;
    text.push(b'\n');
    Ok(text)
}

async fn statement(tables: &Tables, account: &str, arguments: &Export) -> Result<Vec<u8>, Failure> {
    let form = match arguments.format {
        ExportFormat::Csv => StatementForm::Csv,
        ExportFormat::Json => StatementForm::Json,
        ExportFormat::Parquet => StatementForm::Parquet,
        ExportFormat::Arrow => return Err(anyhow!("a statement is written as csv, json or parquet").into()),
    };
    let settled = tables.snapshot().heads.settled_epoch.context("no epoch is settled yet")?;
    let token = arguments.token.as_deref().map_or(Ok(alloy_primitives::Address::ZERO), address)?;
    let epochs = (arguments.from.unwrap_or(0), arguments.to.unwrap_or(settled));
    let ctx = tables.session().await?;
    let of = StatementOf { account: address(account)?, token, epochs, vault: None };
    let found = tributary_accounting::statement(&ctx, of).await?;
    Ok(tributary_api::write_statement(&found, form)?)
}

/// What of a table stood at a block: states that held then, facts up to then. Money tables are cut by epochs, so they
/// end with the last epoch that was over.
fn query(info: &TableInfo, as_of: Option<u64>) -> String {
    let Some(block) = as_of else { return format!("SELECT * FROM {} ORDER BY {}", info.name, info.sort.join(", ")) };
    let has = |name: &str| info.schema.field_with_name(name).is_ok();
    let over = format!("epoch <= (SELECT max(epoch) FROM epochs WHERE last_block <= {block})");
    let held = match info.growth {
        Growth::State => {
            format!("valid_from_block <= {block} AND (valid_to_block IS NULL OR valid_to_block > {block})")
        }
        Growth::Fact => match ["number", "block_number", "l2_block"].into_iter().find(|name| has(name)) {
            Some(column) => format!("{column} <= {block}"),
            None if has("batch_sk") => {
                format!("batch_sk IN (SELECT batch_sk FROM attribution_batches WHERE valid_from_block <= {block})")
            }
            None => over,
        },
    };
    format!("SELECT * FROM {} WHERE {held} ORDER BY {}", info.name, info.sort.join(", "))
}

async fn table(tables: &Tables, name: &str, arguments: &Export) -> Result<(), Failure> {
    let known: Vec<TableInfo> = facts::all().into_iter().chain(money::all()).collect();
    let info = known.iter().find(|info| info.name == name).ok_or_else(|| {
        let nearest = known.iter().map(|info| info.name).min_by_key(|known| strsim::damerau_levenshtein(known, name));
        anyhow!("there is no table {name}: the nearest is {}", nearest.unwrap_or_default())
    })?;
    let sealed = tables.snapshot().heads.block_number;
    if let Some(block) = arguments.as_of.filter(|block| *block > sealed) {
        return Err(anyhow!("block {block} is not sealed yet: expected at most {sealed}").into());
    }
    let ctx = tables.session().await?;
    let mut rows = ctx.sql(&query(info, arguments.as_of)).await?.execute_stream().await?;
    let out: Box<dyn Write + Send> = match &arguments.output {
        None => Box::new(std::io::stdout()),
        Some(file) => Box::new(File::create(file).with_context(|| format!("writing {}", file.display()))?),
    };
    let mut writer = RowWriter::new(arguments.format, BufWriter::new(out), info)?;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        // The columns as they are documented: a plan may have lost that some are never NULL.
        let batch = arrow::array::RecordBatch::try_new(Arc::clone(&info.schema), batch.columns().to_vec())?;
        writer.write(&batch)?;
    }
    writer.finish().or_exit(Exit::Failed)
}

type Out = BufWriter<Box<dyn Write + Send>>;

/// Writes rows as they come.
enum RowWriter {
    Parquet(Box<ArrowWriter<Out>>),
    Arrow(Box<StreamWriter<Out>>),
    Text { out: Out, json: bool, first: bool, schema: SchemaRef },
}

impl RowWriter {
    fn new(format: ExportFormat, out: Out, info: &TableInfo) -> anyhow::Result<Self> {
        let schema = Arc::clone(&info.schema);
        Ok(match format {
            ExportFormat::Parquet => {
                let properties = writer_properties(info, GROUP_ROWS);
                Self::Parquet(Box::new(ArrowWriter::try_new(out, schema, Some(properties))?))
            }
            ExportFormat::Arrow => Self::Arrow(Box::new(StreamWriter::try_new(out, &schema)?)),
            ExportFormat::Csv => Self::Text { out, json: false, first: true, schema },
            ExportFormat::Json => Self::Text { out, json: true, first: true, schema },
        })
    }

    fn write(&mut self, batch: &arrow::array::RecordBatch) -> anyhow::Result<()> {
        match self {
            Self::Parquet(writer) => writer.write(batch)?,
            Self::Arrow(writer) => writer.write(batch)?,
            Self::Text { out, json: true, first, .. } => {
                let rows = tributary_api::rows::json(std::slice::from_ref(batch))?;
                let inner = rows.get(1..rows.len().saturating_sub(1)).unwrap_or_default();
                if !inner.is_empty() {
                    out.write_all(if *first { b"[" } else { b",\n" })?;
                    out.write_all(inner)?;
                    *first = false;
                }
            }
            Self::Text { out, json: false, first, .. } => {
                let rows = tributary_api::rows::csv(std::slice::from_ref(batch))?;
                let header =
                    if *first { 0 } else { rows.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1) };
                out.write_all(rows.get(header..).unwrap_or_default())?;
                *first = false;
            }
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Parquet(writer) => {
                writer.into_inner()?.flush()?;
            }
            Self::Arrow(mut writer) => {
                writer.finish()?;
                writer.into_inner()?.flush()?;
            }
            Self::Text { mut out, json, first, schema } => {
                match (json, first) {
                    (true, true) => out.write_all(b"[]\n")?,
                    (true, false) => out.write_all(b"]\n")?,
                    (false, true) => {
                        let header = arrow::array::RecordBatch::new_empty(schema);
                        out.write_all(&tributary_api::rows::csv(&[header])?)?;
                    }
                    (false, false) => {}
                }
                out.flush()?;
            }
        }
        Ok(())
    }
}
