//! Ids make a repeat nothing and a difference a fault.

use alloy_primitives::{Address, B256};

use super::{CLEARING, Code, ESCROW, Entry, Journal, Names, Phase, control};

fn entry(amount: u128, source: u8) -> Entry {
    Entry {
        purse: (Address::repeat_byte(1), Address::ZERO),
        debit: ESCROW.to_owned(),
        credit: CLEARING.to_owned(),
        amount,
        code: Code::Receive,
        phase: Phase::Single,
        source: B256::repeat_byte(source),
        adjusts: None,
    }
}

#[test]
fn the_same_entry_again_changes_nothing_and_another_under_its_id_is_refused() {
    let mut journal = Journal::new(3);
    journal.write(entry(5, 1)).unwrap();
    let digest = journal.digest(&Names::default(), B256::ZERO);
    journal.write(entry(5, 1)).unwrap();
    assert_eq!((journal.len(), journal.digest(&Names::default(), B256::ZERO)), (1, digest));
    for other in
        [entry(6, 1), Entry { phase: Phase::Pending, ..entry(5, 1) }, Entry { adjusts: Some(1), ..entry(5, 1) }]
    {
        let error = journal.write(other).unwrap_err().to_string();
        assert!(error.contains("two entries have the id"), "{error}");
    }
    journal.write(entry(5, 2)).unwrap();
    assert_eq!(journal.len(), 2, "another source is another entry");
}

#[test]
fn the_ids_of_a_receipt_are_those_it_is_booked_under() {
    let one = entry(5, 1);
    let journal = Journal::new(3);
    let id = journal.id(&one.body(), alloy_primitives::keccak256(ESCROW), alloy_primitives::keccak256(CLEARING));
    assert!(Journal::receipts(3, one.purse, one.source).contains(&id));
    assert!(!Journal::receipts(4, one.purse, one.source).contains(&id));
}

#[test]
fn payees_are_one_account_of_the_trial_balance_and_so_is_all_that_is_held_for_a_reason() {
    for (account, expected) in [
        ("payable:0x01", "payable"),
        ("pending:1:2:3:0x01", "pending"),
        ("suspense:overflow", "suspense:overflow"),
        ("suspense:blob_missing:0x01", "suspense:blob_missing"),
        ("receivable:platform", "receivable:platform"),
        ("treasury", "treasury"),
    ] {
        assert_eq!(control(account), expected);
    }
}
