use super::*;
use crate::fixture;
use tributary_store::HotTails;

async fn ask(published: &fixture::Published, sql: &str, limits: &SqlLimits) -> Result<String, SqlError> {
    let nobody = Hot::above(&HotTails::default(), &published.snapshot);
    let batches = query(&published.lake, &published.snapshot, nobody, sql, limits).await?.batches;
    Ok(arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string())
}

#[tokio::test]
async fn reading_is_allowed() {
    let published = fixture::publish().await;
    let limits = SqlLimits::default();
    let sum =
        ask(&published, "SELECT role, sum(amount) AS money FROM entitlements GROUP BY role ORDER BY role", &limits);
    let expected = "\
+---------+-------+
| role    | money |
+---------+-------+
| data    | 411   |
| lineage | 50    |
+---------+-------+";
    assert_eq!(sum.await.unwrap(), expected);
    for sql in [
        "WITH d AS (SELECT * FROM datasets) SELECT count(*) FROM d",
        "EXPLAIN SELECT * FROM blocks",
        "EXPLAIN ANALYZE SELECT count(*) FROM blocks",
        "SHOW TABLES",
        "SELECT * FROM payments",
        "VALUES (1)",
    ] {
        ask(&published, sql, &limits).await.unwrap_or_else(|cause| panic!("{sql}: {cause}"));
    }
}

#[tokio::test]
async fn everything_else_is_refused() {
    let published = fixture::publish().await;
    let target = published.dir.path().join("out.parquet");
    let file = published.lake.files(&published.snapshot, "blocks").await.unwrap()[0].path.display().to_string();
    for sql in [
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "CREATE VIEW v AS SELECT 1".to_owned(),
        "SELECT 1 INTO t".to_owned(),
        format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{file}'"),
        "DROP TABLE blocks".to_owned(),
        "INSERT INTO blocks SELECT * FROM blocks".to_owned(),
        "UPDATE blocks SET number = 1".to_owned(),
        "DELETE FROM blocks".to_owned(),
        "TRUNCATE TABLE blocks".to_owned(),
        format!("COPY blocks TO '{}'", target.display()),
        format!("EXPLAIN COPY blocks TO '{}'", target.display()),
        format!("EXPLAIN ANALYZE COPY (SELECT 1) TO '{}'", target.display()),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "RESET datafusion.execution.batch_size".to_owned(),
        "BEGIN".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "EXECUTE p".to_owned(),
        "SHOW datafusion.execution.batch_size".to_owned(),
    ] {
        match ask(&published, &sql, &SqlLimits::default()).await {
            Err(SqlError::Refused { .. } | SqlError::Failed { .. }) => {}
            other => panic!("{sql}: {other:?}"),
        }
    }
    assert!(!target.try_exists().unwrap(), "nothing may be written");
    for sql in [
        format!("SELECT * FROM '{file}'"),
        format!("SELECT * FROM read_parquet('{file}')"),
        format!("SELECT * FROM parquet_metadata('{file}')"),
        format!("SELECT * FROM read_csv('{file}')"),
        "SELECT 1; SELECT 2".to_owned(),
        "SELECT".to_owned(),
        String::new(),
    ] {
        let got = ask(&published, &sql, &SqlLimits::default()).await;
        assert!(matches!(got, Err(SqlError::Failed { .. })), "{sql}: {got:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_memory_and_time_are_bounded() {
    let published = fixture::publish().await;
    let few = SqlLimits { rows_max: 20, ..SqlLimits::default() };
    assert!(matches!(ask(&published, "SELECT * FROM blocks", &few).await, Err(SqlError::Rows { rows_max: 20 })));
    assert!(ask(&published, "SELECT * FROM blocks LIMIT 20", &few).await.is_ok());
    let little = SqlLimits { memory_bytes: 1 << 16, ..SqlLimits::default() };
    let wide = "SELECT a.value, count(*) FROM generate_series(1, 1000000) a GROUP BY 1 ORDER BY 2 LIMIT 1";
    assert!(matches!(ask(&published, wide, &little).await, Err(SqlError::Memory { .. })));
    let short = SqlLimits { deadline: Duration::from_millis(50), ..SqlLimits::default() };
    let long = "SELECT count(*) FROM generate_series(1, 1000000000000)";
    assert!(matches!(ask(&published, long, &short).await, Err(SqlError::Deadline { .. })));
}

#[tokio::test]
async fn joins_without_end_are_stopped() {
    let published = fixture::publish().await;
    let short = SqlLimits { deadline: Duration::from_millis(300), ..SqlLimits::default() };
    let numbers = "generate_series(1, 1000000)";
    for sql in [
        format!("SELECT count(*) FROM {numbers} a CROSS JOIN {numbers} b"),
        format!("SELECT count(*) FROM {numbers} a CROSS JOIN {numbers} b WHERE a.value + b.value < 0"),
        format!(
            "SELECT count(*) FROM {numbers} a JOIN {numbers} b ON a.value % 1 = b.value % 1 AND a.value + b.value < 0"
        ),
        format!("SELECT * FROM {numbers} a, {numbers} b, {numbers} c ORDER BY a.value + b.value + c.value LIMIT 1"),
    ] {
        let got = ask(&published, &sql, &short).await;
        assert!(matches!(got, Err(SqlError::Deadline { .. } | SqlError::Memory { .. })), "{sql}: {got:?}");
    }
    assert!(ask(&published, "SELECT count(*) FROM blocks", &SqlLimits::default()).await.is_ok());
}

#[tokio::test]
async fn values_stand_for_parameters() {
    let published = fixture::publish().await;
    let sql = "SELECT count(*) AS n FROM blocks WHERE number >= $1 AND number < $2";
    let limits = SqlLimits::default();
    let hot = Hot::above(&HotTails::default(), &published.snapshot);
    let prepare = || prepare(&published.lake, &published.snapshot, hot.clone(), sql, &limits);
    let prepared = prepare().await.unwrap();
    let named = |name: &str| (name.to_owned(), Some(DataType::Int64));
    assert_eq!(prepared.parameters().unwrap(), [named("$1"), named("$2")]);
    let mut answer = prepared.run(vec![ScalarValue::Int64(Some(3)), ScalarValue::Int64(Some(6))]);
    let first = answer.next().await.unwrap().unwrap();
    assert_eq!((first.num_rows(), first.schema().field(0).name().as_str()), (0, "n"));
    let second = answer.next().await.unwrap().unwrap();
    assert_eq!(ScalarValue::try_from_array(second.column(0), 0).unwrap(), ScalarValue::Int64(Some(3)));
    assert!(answer.next().await.is_none() && answer.next().await.is_none());
    let mut none = prepare().await.unwrap().run(Vec::new());
    let mut last = none.next().await;
    while let Some(Ok(_)) = last {
        last = none.next().await;
    }
    assert!(matches!(last, Some(Err(SqlError::Failed { .. }))), "{last:?}");
}
