use super::{session, session_with_batches};
use datafusion::arrow::array::{AsArray, Decimal128Array, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{Decimal128Type, Int64Type};
use datafusion::functions_aggregate::sum::sum as stock_sum;
use datafusion::prelude::col;
use std::sync::Arc;

fn money(values: Vec<i128>) -> Decimal128Array {
    Decimal128Array::from(values).with_precision_and_scale(38, 0).unwrap()
}

fn table(amounts: Vec<i128>) -> RecordBatch {
    let groups: Vec<i64> = (0..).take(amounts.len()).map(|row| row % 3).collect();
    RecordBatch::try_from_iter([("g", Arc::new(Int64Array::from(groups)) as _), ("x", Arc::new(money(amounts)) as _)])
        .unwrap()
}

#[tokio::test]
async fn cascade_in_sql_telescopes() {
    let context = session_with_batches(None, 2, 3).unwrap();
    let rows = context
        .sql(
            "SELECT cascade(CAST(1000000000000000000000000000001 AS DECIMAL(38,0)), b, w, 10) AS p \
             FROM (VALUES (0,3),(3,0),(3,3),(6,4)) AS t(b,w)",
        )
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    let parts: Vec<i128> =
        rows.iter().flat_map(|batch| batch.column(0).as_primitive::<Decimal128Type>().values().to_vec()).collect();
    assert_eq!(parts.iter().sum::<i128>(), 1_000_000_000_000_000_000_000_000_000_001);
    assert_eq!(parts[1], 0);
}

#[tokio::test]
async fn cascade_refuses_what_is_not_a_split() {
    let context = session(None, 1).unwrap();
    for arguments in ["-1, 0, 1, 1", "1, -1, 1, 1", "1, 1, 1, 1", "1, 0, 1, 0"] {
        let arguments = arguments.replacen(',', "::DECIMAL(38,0),", 1);
        let result = context.sql(&format!("SELECT cascade({arguments})")).await.unwrap().collect().await;
        assert!(result.is_err(), "{arguments}");
    }
}

#[tokio::test]
async fn sum_refuses_to_wrap_in_sql_and_in_data_frames() {
    let context = session(None, 2).unwrap();
    let near = 10i128.pow(38) - 1;
    context.register_batch("t", table(vec![near, 1, 2, 1, 3, 4])).unwrap();
    for query in ["SELECT sum(x) FROM t", "SELECT g, SUM(x) FROM t GROUP BY g", "SELECT sum_checked(x) FROM t"] {
        let error = context.sql(query).await.unwrap().collect().await.unwrap_err().to_string();
        assert!(error.contains("leaves the range"), "{query}: {error}");
    }
    let frame = context.table("t").await.unwrap().aggregate(vec![], vec![stock_sum(col("x"))]).unwrap();
    assert!(frame.collect().await.is_err(), "the stock function is swapped in a DataFrame too");
    let window = context.sql("SELECT sum(x) OVER (ORDER BY g ROWS 1 PRECEDING) FROM t").await.unwrap().collect().await;
    assert!(window.is_err());
}

#[tokio::test]
async fn sum_agrees_with_plain_addition() {
    let context = session_with_batches(None, 3, 2).unwrap();
    context.register_batch("t", table((1..=100).collect())).unwrap();
    let rows = context.sql("SELECT sum(x), sum(g), sum(x) FILTER (WHERE x > 50) FROM t").await.unwrap();
    let rows = rows.collect().await.unwrap();
    assert_eq!(rows[0].column(0).as_primitive::<Decimal128Type>().value(0), 5050);
    assert_eq!(rows[0].column(1).as_primitive::<Int64Type>().value(0), 99);
    assert_eq!(rows[0].column(2).as_primitive::<Decimal128Type>().value(0), 3775);
}
