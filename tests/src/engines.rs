//! Engines side by side on the heavy part of a settlement, over the same Parquet files: money on inferences is joined to
//! their records, each record gets its part, parts are summed by contribution.
//!
//! Ours settles the whole epoch from the tables; the others are handed the money on each inference, already divided by
//! the total of its weights (whole and rest), so that they never leave 128 bits. What each comes to is compared with an
//! oracle that draws the records anew and divides big integers: a fast wrong answer is no answer.

use alloy_primitives::{U256, keccak256};
use arrow::array::{ArrayRef, Decimal128Array, Int32Array, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use crate::measure;
use crate::python::script;
use crate::settle_bench::{AGENTS, Epoch, INFERENCES_PER_BATCH, Outcome, RECORDS_PER_INFERENCE, drawn, fee, paid};
use crate::tables::Shape;
use crate::world::id;

/// Engines, ours first. Those after the second run in Python.
pub const ENGINES: [&str; 6] = ["ours", "datafusion", "duckdb-hugeint", "duckdb-double", "polars-int128", "postgres"];

/// Threads of each engine.
const THREADS: usize = 2;
/// Bytes that ours may use for operators.
const MEMORY: usize = 512 << 20;
/// Sub-units of a base unit: the epoch's total has 25 digits.
const SUB_UNITS: u64 = 1_000_000_000;

/// An epoch to be divided, in a folder: tables as an indexer leaves them, and `amounts.parquet`.
#[derive(Debug)]
pub struct Job {
    folder: PathBuf,
    records: i64,
    /// Digest of what each contribution gets.
    digest: String,
    /// Sub-units in all.
    total: String,
}

/// What each contribution gets, in sub-units.
type Sums = BTreeMap<i64, U256>;

impl Job {
    /// Makes the epoch, or takes the one that is there, and works out what it should come to.
    pub async fn prepare(folder: &Path, records: i64, payees: i64) -> Result<Self, Box<dyn std::error::Error>> {
        if !folder.join("snapshots").try_exists()? {
            Epoch::generate(folder, records, payees).await?;
        }
        let epoch = Epoch::open(folder).await?;
        let inferences = epoch.records / RECORDS_PER_INFERENCE;
        let money = money_on_inferences(inferences);
        let mut sums = vec![U256::ZERO; usize::try_from(payees)?];
        let mut amounts = Amounts::create(&folder.join("amounts.parquet"))?;
        for (seed, amount) in (0_i64..).zip(&money) {
            let records = drawn(seed, payees);
            let weight = |one: i64| U256::from(one.unsigned_abs());
            let total: U256 = records.iter().map(|(_, one)| weight(*one)).sum();
            let mut before = U256::ZERO;
            for (target, one) in records {
                let upto = before + weight(one);
                sums[usize::try_from(target)?] += *amount * upto / total - *amount * before / total;
                before = upto;
            }
            amounts.add(seed, *amount, total)?;
        }
        amounts.close()?;
        let sums: Sums = (0_i64..).zip(sums).filter(|(_, sum)| !sum.is_zero()).collect();
        let total: U256 = sums.values().sum();
        let expected: U256 = money.iter().sum();
        if total != expected {
            return Err(format!("the parts sum to {total}: expected {expected}").into());
        }
        Ok(Self { folder: folder.to_owned(), records: epoch.records, digest: digest(&sums), total: total.to_string() })
    }

    /// Runs an engine in a process of its own and judges it. `program` is `bench_engines`.
    pub fn run(&self, program: &Path, engine: &str) -> Result<Value, Box<dyn std::error::Error>> {
        let result = self.folder.join(format!("{engine}.csv"));
        let output = if ENGINES.iter().take(2).any(|one| *one == engine) {
            Command::new(program).args(["--engine", engine]).args([&self.folder, &result]).output()?
        } else {
            let mut command = script("engines.py", &[]);
            command.arg(engine).args([&self.folder, &result]).arg(THREADS.to_string()).output()?
        };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Ok(json!({ "engine": engine, "records": self.records, "failed": said.trim_end().lines().last() }));
        }
        let mut line: Value = serde_json::from_slice(&output.stdout)?;
        line["engine"] = engine.into();
        line["records"] = self.records.into();
        if line["skipped"].is_null() {
            let sums = read(&result)?;
            let total: U256 = sums.values().sum();
            line["total_is_right"] = (total.to_string() == self.total).into();
            line["exact"] = (digest(&sums) == self.digest).into();
            std::fs::remove_file(&result)?;
        }
        Ok(line)
    }
}

/// The data channel over the inferences of each agent by their fees: the default policy gives data 450 of 650 parts,
/// after 50 and 150, as these agents use no models.
fn money_on_inferences(inferences: i64) -> Vec<U256> {
    let mut out = vec![U256::ZERO; usize::try_from(inferences).unwrap_or(0)];
    for agent in 0..AGENTS {
        let sub = U256::from(paid(agent).unsigned_abs()) * U256::from(SUB_UNITS);
        let data = sub - sub * U256::from(200) / U256::from(650);
        let of_agent = || (0..inferences).filter(|seed| seed % AGENTS == agent);
        let fees: u64 = of_agent().map(|seed| fee(seed).unsigned_abs()).sum();
        let mut before = 0;
        for seed in of_agent() {
            let upto = before + fee(seed).unsigned_abs();
            let part = |fees_upto: u64| data * U256::from(fees_upto) / U256::from(fees);
            out[usize::try_from(seed).unwrap_or(usize::MAX)] = part(upto) - part(before);
            before = upto;
        }
    }
    out
}

/// Money on inferences as a table for engines that are handed it.
struct Amounts {
    writer: ArrowWriter<File>,
    rows: Vec<(i64, i32, i128, i128, i64)>,
}

impl Amounts {
    fn create(path: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let writer = ArrowWriter::try_new(File::create(path)?, Self::batch(&[])?.schema(), None)?;
        Ok(Self { writer, rows: Vec::new() })
    }

    fn add(&mut self, seed: i64, amount: U256, total: U256) -> Result<(), Box<dyn std::error::Error>> {
        let ordinal = i32::try_from(seed % INFERENCES_PER_BATCH)?;
        let wide = |number: U256| i128::try_from(number).map_err(|error| error.to_string());
        let row = (
            seed / INFERENCES_PER_BATCH,
            ordinal,
            wide(amount)?,
            wide(amount / total)?,
            i64::try_from(amount % total)?,
        );
        self.rows.push(row);
        if self.rows.len() == 65_536 {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        self.writer.write(&Self::batch(&self.rows)?)?;
        self.rows.clear();
        Ok(())
    }

    fn close(mut self) -> Result<(), Box<dyn std::error::Error>> {
        self.flush()?;
        self.writer.close()?;
        Ok(())
    }

    fn batch(rows: &[(i64, i32, i128, i128, i64)]) -> Result<RecordBatch, Box<dyn std::error::Error>> {
        let money = |values: Vec<i128>| Decimal128Array::from(values).with_precision_and_scale(38, 0);
        let columns: [(&str, ArrayRef); 5] = [
            ("batch_sk", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)))),
            ("inference", Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.1)))),
            ("amount", Arc::new(money(rows.iter().map(|row| row.2).collect())?)),
            ("whole", Arc::new(money(rows.iter().map(|row| row.3).collect())?)),
            ("rest", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.4)))),
        ];
        Ok(RecordBatch::try_from_iter(columns)?)
    }
}

/// keccak256 of what each contribution gets, by its key.
fn digest(sums: &Sums) -> String {
    let lines: String =
        sums.iter().filter(|(_, sum)| !sum.is_zero()).map(|(sk, sum)| format!("{sk},{sum}\n")).collect();
    keccak256(lines).to_string()
}

fn read(result: &Path) -> Result<Sums, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(result)?;
    let mut out = Sums::new();
    for line in text.lines() {
        let (sk, sum) = line.split_once(',').ok_or_else(|| format!("{line:?} has no comma"))?;
        if out.insert(sk.trim_matches('"').parse()?, U256::from_str_radix(sum.trim_matches('"'), 10)?).is_some() {
            return Err(format!("contribution {sk} is there twice").into());
        }
    }
    Ok(out)
}

/// What `bench_engines --engine NAME FOLDER RESULT` does: one of the engines that are compiled in. Gives what it took.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub async fn engine(name: &str, folder: &Path, result: &Path) -> Result<Value, Box<dyn std::error::Error>> {
    let epoch = Epoch::open(folder).await?;
    let (cpu, start) = (measure::cpu_time(), Instant::now());
    let taken = || {
        json!({
            "wall_seconds": start.elapsed().as_secs_f64(),
            "cpu_seconds": (measure::cpu_time() - cpu).as_secs_f64(),
            "peak_rss_bytes": measure::peak_rss(std::process::id()),
        })
    };
    let (taken, text) = if name == "ours" {
        let shape = Shape { partitions: THREADS, memory: Some(MEMORY), ..Shape::default() };
        let settled = epoch.settled(shape).await?;
        let taken = taken();
        let keys: BTreeMap<String, i64> =
            (0..epoch.contributions().await?).map(|sk| (id("contribution", sk), sk)).collect();
        let mut text = String::new();
        for (contribution, sum) in Outcome::of(&settled).contributions {
            if let Some(sk) = keys.get(&contribution) {
                text.push_str(&format!("{sk},{sum}\n"));
            }
        }
        (taken, text)
    } else {
        let batches = stock(&epoch.files().await?, folder).await?;
        (taken(), arrow_csv(&batches)?)
    };
    std::fs::write(result, text)?;
    Ok(taken)
}

/// Stock DataFusion: decimals, its own sum, no function of ours. Its division of decimals keeps four digits, so the
/// remainder is taken off first.
async fn stock(files: &[PathBuf], folder: &Path) -> Result<Vec<RecordBatch>, Box<dyn std::error::Error>> {
    use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
    let config = SessionConfig::new().with_target_partitions(THREADS);
    let ctx = SessionContext::new_with_config(config);
    let texts: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let records = ctx.read_parquet(texts, ParquetReadOptions::default()).await?;
    ctx.register_table("records", records.into_view())?;
    let amounts = folder.join("amounts.parquet").display().to_string();
    ctx.register_parquet("amounts", &amounts, ParquetReadOptions::default()).await?;
    let sql = "SELECT target_sk, CAST(sum(part) AS VARCHAR) FROM (SELECT target_sk, whole * CAST(weight AS DECIMAL(20, 0)) \
               + CAST((high - high % total) / total AS DECIMAL(38, 0)) - CAST((low - low % total) / total AS DECIMAL(38, 0)) AS part \
               FROM (SELECT r.target_sk, r.weight, a.whole, CAST(r.weight_total AS DECIMAL(19, 0)) AS total, \
               CAST(a.rest AS DECIMAL(19, 0)) * CAST(r.weight_before + r.weight AS DECIMAL(19, 0)) AS high, \
               CAST(a.rest AS DECIMAL(19, 0)) * CAST(r.weight_before AS DECIMAL(19, 0)) AS low \
               FROM records r JOIN amounts a ON r.batch_sk = a.batch_sk AND r.inference = a.inference)) GROUP BY target_sk";
    Ok(ctx.sql(sql).await?.collect().await?)
}

fn arrow_csv(batches: &[RecordBatch]) -> Result<String, Box<dyn std::error::Error>> {
    let mut out = Vec::new();
    let mut writer = arrow::csv::WriterBuilder::new().with_header(false).build(&mut out);
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    drop(writer);
    Ok(String::from_utf8(out)?)
}
