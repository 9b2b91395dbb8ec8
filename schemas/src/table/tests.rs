use crate::column::{Decimal38, Micros, hex_text};
use crate::facts::{self, Columns, PaymentRow, Rows};
use crate::money;
use crate::table::{Growth, Table};
use std::collections::BTreeSet;

fn payment(sk: i64) -> PaymentRow {
    PaymentRow {
        epoch: 1,
        payment_sk: sk,
        payment_id: hex_text([1; 32]),
        event_id: hex_text([2; 32]),
        block_number: 9,
        tx_index: 0,
        log_index: 4_294_967_295,
        tx_hash: hex_text([3; 32]),
        timestamp: Micros::from_seconds(1),
        vault: hex_text([4; 20]),
        subject_kind: "agent".to_owned(),
        subject_id: hex_text([5; 32]),
        subject_sk: 0,
        payer: hex_text([6; 20]),
        token: hex_text([0; 20]),
        amount: Decimal38(10_i128.pow(38) - 1),
        reference: (sk % 2 == 0).then(|| hex_text([7; 32])),
        backing: "vault".to_owned(),
        flags: String::new(),
    }
}

#[test]
fn rows_come_back_from_arrow() {
    let rows: Vec<_> = (0..5).map(payment).collect();
    assert_eq!(PaymentRow::from_batch(&PaymentRow::to_batch(&rows)).unwrap(), rows);
    let mut all = Rows::default();
    for row in rows {
        all.push(row.into());
    }
    assert_eq!(all.len(), 5);
    assert_eq!(
        Columns::from(all).into_batches().into_iter().map(|(name, batch)| (name, batch.num_rows())).collect::<Vec<_>>(),
        [("payments", 5)]
    );
}

#[test]
fn growing_columns_know_how_much_they_take() {
    let mut columns = Columns::default();
    assert_eq!(columns.bytes(), 0);
    for row in (0..1000).map(payment) {
        columns.push(&row.into());
    }
    let told = columns.bytes();
    let taken: usize = columns
        .into_batches()
        .iter()
        .flat_map(|(_, batch)| batch.columns())
        .map(|column| column.to_data().get_slice_memory_size().unwrap())
        .sum();
    // The maps of what is NULL, a bit a row, are not counted.
    assert!(taken.abs_diff(told) * 50 < taken, "{told} of {taken} bytes");
}

#[test]
fn a_missing_column_is_named() {
    let batch = PaymentRow::to_batch(&[payment(1)]).project(&[0, 1]).unwrap();
    assert_eq!(PaymentRow::from_batch(&batch).unwrap_err().to_string(), "table payments: column payment_id: is absent");
}

#[test]
fn tables_are_declared_whole() {
    let mut names = BTreeSet::new();
    for table in facts::all().into_iter().chain(money::all()) {
        assert!(names.insert(table.name), "{} twice", table.name);
        let columns: BTreeSet<_> = table.columns.iter().map(|column| column.name).collect();
        for name in table.sort.iter().chain(table.key).chain(table.bloom) {
            assert!(columns.contains(name), "{}: no column {name}", table.name);
        }
        assert!(
            !table.doc.is_empty() && table.columns.iter().all(|column| !column.doc.is_empty()),
            "{}: no words",
            table.name
        );
        let state = columns.contains("valid_from_block") && columns.contains("valid_to_block") && !table.key.is_empty();
        assert_eq!(table.growth == Growth::State, state, "{}", table.name);
        assert!(
            table.growth == Growth::State || table.name == "blocks" || columns.contains("epoch"),
            "{}: no epoch",
            table.name
        );
    }
}
