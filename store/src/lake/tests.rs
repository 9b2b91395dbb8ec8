use super::*;
use alloy_primitives::B256;
use tributary_schemas::column::{Binary, Decimal38};
use tributary_schemas::facts::{AccountRow, RawLogRow};
use tributary_schemas::money::ClaimRow;

pub(super) fn heads(block: u64) -> Heads {
    Heads {
        chain_id: 1612,
        block_number: block,
        block_hash: B256::with_last_byte(u8::try_from(block % 256).unwrap()),
        block_timestamp: 1_700_000_000 + 2 * block,
        epoch_seconds: 60,
        finality: "asserted".to_owned(),
        trust: "full".to_owned(),
        finalized_number: block,
        ..Heads::default()
    }
}

pub(super) fn raw_log(epoch: i64, block: i64, index: i64) -> RawLogRow {
    RawLogRow {
        epoch,
        block_number: block,
        tx_index: 0,
        log_index: index,
        tx_hash: format!("0x{block:064x}"),
        address: format!("0x{:040x}", index % 7),
        topic0: (index % 2 == 0).then(|| format!("0x{index:064x}")),
        topic1: None,
        topic2: None,
        topic3: None,
        data: Binary(vec![1; usize::try_from(index).unwrap()]),
        tx_value: (index % 3 == 0).then_some(Decimal38(10_i128.pow(37) + i128::from(index))),
    }
}

pub(super) fn account(name: &str, payout: &str, from: i64, to: Option<i64>) -> AccountRow {
    AccountRow {
        account: name.to_owned(),
        payout: Some(payout.to_owned()),
        quarantined: false,
        valid_from_block: from,
        valid_to_block: to,
    }
}

pub(super) fn claim(epoch: i64, account: &str, cumulative: i128) -> ClaimRow {
    ClaimRow {
        epoch,
        vault: "0xaa".to_owned(),
        account: account.to_owned(),
        token: "0x00".to_owned(),
        cumulative: Decimal38(cumulative),
        claimed: Decimal38(0),
        claimable: Decimal38(cumulative),
    }
}

#[tokio::test]
async fn what_is_published_comes_back_at_every_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path()).await.unwrap();
    assert_eq!(lake.latest().await.unwrap(), None);
    assert!(matches!(lake.snapshot(0).await, Err(StoreError::NoSnapshot { version: 0 })));

    let mut change = Change::default();
    // Out of order and over two epochs, so that sorting and cutting show.
    change.facts.raw_logs = vec![raw_log(1, 12, 0), raw_log(0, 11, 3), raw_log(0, 10, 1)];
    change.facts.accounts = vec![account("0x01", "0xaa", 10, None), account("0x02", "0xaa", 10, None)];
    let first = lake.publish(None, heads(12), change).await.unwrap();
    assert_eq!((first.version, first.parent), (0, None));
    assert_eq!(first.tables["raw_logs"], TableRef { delta_version: 0, rows: 3 });
    assert_eq!(lake.files(&first, "raw_logs").await.unwrap().len(), 2);

    let mut change = Change::default();
    change.facts.accounts = vec![account("0x01", "0xbb", 13, None)];
    change.money.claims = vec![claim(0, "0x01", 5)];
    let second = lake.publish(Some(&first), heads(14), change).await.unwrap();
    assert_eq!((second.version, second.parent), (1, Some(0)));
    assert_eq!(second.tables["raw_logs"], first.tables["raw_logs"]);

    for lake in [lake.clone(), Lake::open(dir.path()).await.unwrap()] {
        assert_eq!(lake.latest().await.unwrap().unwrap(), second);
        assert_eq!(lake.snapshot(0).await.unwrap(), first);
        let logs = lake.read::<RawLogRow>(&second).await.unwrap();
        assert_eq!(logs, vec![raw_log(0, 10, 1), raw_log(0, 11, 3), raw_log(1, 12, 0)]);
        let mut accounts = lake.read::<AccountRow>(&first).await.unwrap();
        accounts.sort_by_key(|row| (row.account.clone(), row.valid_from_block));
        assert_eq!(accounts, vec![account("0x01", "0xaa", 10, None), account("0x02", "0xaa", 10, None)]);
        let mut accounts = lake.read::<AccountRow>(&second).await.unwrap();
        accounts.sort_by_key(|row| (row.account.clone(), row.valid_from_block));
        assert_eq!(
            accounts,
            vec![
                account("0x01", "0xaa", 10, Some(13)),
                account("0x01", "0xbb", 13, None),
                account("0x02", "0xaa", 10, None)
            ]
        );
        assert_eq!(lake.read::<ClaimRow>(&first).await.unwrap(), vec![]);
        assert_eq!(lake.read::<ClaimRow>(&second).await.unwrap(), vec![claim(0, "0x01", 5)]);
        assert!(matches!(lake.files(&second, "nonsense").await, Err(StoreError::NoTable { .. })));
    }
}
