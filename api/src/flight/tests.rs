use super::message::*;
use super::*;
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use tributary_store::HeldHead;

fn row_of(values: Vec<i64>) -> Vec<FlightData> {
    let column: ArrayRef = Arc::new(Int64Array::from(values));
    let batch = RecordBatch::try_from_iter([("1", column)]).unwrap();
    let rows = stream::of_batch(&batch).unwrap();
    futures::executor::block_on(rows.map(|message| message.unwrap()).collect::<Vec<_>>())
}

#[test]
fn a_handle_is_what_was_asked() {
    let (tail_block, tail_hash) = (9, vec![4; 32]);
    let (query, values, generation) = ("SELECT 1".to_owned(), vec![1, 2], vec![3; 32]);
    let handle = Handle { snapshot: 7, query, values, generation, tail_block, tail_hash };
    assert_eq!(handle.tail(), Ok(Some(HeldHead { number: 9, hash: B256::repeat_byte(4) })));
    assert_eq!(Handle::default().tail(), Ok(None));
    assert!(Handle { tail_hash: vec![4; 31], ..Handle::default() }.tail().is_err());
    for any in [Any::statement(&handle), Any::prepared(&handle)] {
        assert_eq!(Command::decode(&any.encode_to_vec()), Ok(Command::Prepared(handle.clone())));
    }
    let query = Any::pack(&StatementQuery { query: "SELECT 2".to_owned() });
    assert_eq!(Command::decode(&query.encode_to_vec()), Ok(Command::Query("SELECT 2".to_owned())));
}

#[test]
fn what_is_no_command_is_named() {
    for bytes in [b"garbage".to_vec(), vec![0xff; 40], Vec::new(), Any::pack(&Empty {}).encode_to_vec()] {
        let refused = Command::decode(&bytes);
        assert!(refused.is_err(), "{bytes:?}: {refused:?}");
    }
    let wrong = Any { type_url: Any::pack(&StatementQuery::default()).type_url, value: vec![0xff; 3] };
    assert!(Command::decode(&wrong.encode_to_vec()).is_err());
}

#[tokio::test]
async fn one_row_of_values_comes_back() {
    let bytes = stream::row(&row_of(vec![42])).await.unwrap();
    assert_eq!(values(&bytes).unwrap(), [ScalarValue::Int64(Some(42))]);
    for rows in [Vec::new(), vec![1, 2]] {
        let refused = stream::row(&row_of(rows.clone())).await.unwrap_err();
        assert!(refused.message().contains("expected one"), "{rows:?}: {}", refused.message());
    }
}

#[tokio::test]
async fn rows_that_are_none_are_refused() {
    let mut bad = row_of(vec![42]);
    bad[1].data_body.truncate(3);
    assert!(stream::row(&bad).await.is_err());
    let mut bad = row_of(vec![42]);
    bad[0].data_header = vec![0xff; 64];
    assert!(stream::row(&bad).await.is_err());
    assert!(stream::row(&[]).await.is_err());
    assert!(values(b"no rows").is_err());
}
