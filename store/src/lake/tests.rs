use super::*;
use alloy_primitives::B256;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tributary_schemas::column::{Binary, Decimal38};
use tributary_schemas::facts::{AccountRow, RawLogRow};
use tributary_schemas::money::ClaimRow;

fn heads(block: u64) -> Heads {
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

fn raw_log(epoch: i64, block: i64, index: i64) -> RawLogRow {
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

fn account(name: &str, payout: &str, from: i64, to: Option<i64>) -> AccountRow {
    AccountRow {
        account: name.to_owned(),
        payout: Some(payout.to_owned()),
        quarantined: false,
        valid_from_block: from,
        valid_to_block: to,
    }
}

fn claim(epoch: i64, account: &str, cumulative: i128) -> ClaimRow {
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
    [raw_log(1, 12, 0), raw_log(0, 11, 3), raw_log(0, 10, 1)]
        .into_iter()
        .for_each(|row| change.facts.push(&row.into()));
    [account("0x01", "0xaa", 10, None), account("0x02", "0xaa", 10, None)]
        .into_iter()
        .for_each(|row| change.facts.push(&row.into()));
    let first = lake.publish(None, heads(12), change).await.unwrap();
    assert_eq!((first.version, first.parent), (0, None));
    assert_eq!(first.tables["raw_logs"], TableRef { delta_version: 0, rows: 3 });
    assert_eq!(lake.files(&first, "raw_logs").await.unwrap().len(), 2);

    let mut change = Change::default();
    [account("0x01", "0xbb", 13, None)].into_iter().for_each(|row| change.facts.push(&row.into()));
    [claim(0, "0x01", 5)].into_iter().for_each(|row| change.money.push(&row.into()));
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

/// A change of block `block`: a fact, a state of an account that changes every time, and money.
fn change(block: i64) -> Change {
    let mut change = Change::default();
    [raw_log(block / 2, block, 0), raw_log(block / 2, block, 1)]
        .into_iter()
        .for_each(|row| change.facts.push(&row.into()));
    [account("0x01", &format!("0x{block}"), block, None)].into_iter().for_each(|row| change.facts.push(&row.into()));
    [claim(block, "0x01", block.into())].into_iter().for_each(|row| change.money.push(&row.into()));
    change
}

/// Everything a reader of a snapshot sees of the tables that [`change`] fills.
async fn seen(lake: &Lake, snapshot: &Snapshot) -> (Vec<RawLogRow>, Vec<AccountRow>, Vec<ClaimRow>) {
    let mut logs = lake.read::<RawLogRow>(snapshot).await.unwrap();
    logs.sort_by_key(|row| (row.block_number, row.log_index));
    let mut accounts = lake.read::<AccountRow>(snapshot).await.unwrap();
    accounts.sort_by_key(|row| (row.account.clone(), row.valid_from_block));
    let mut claims = lake.read::<ClaimRow>(snapshot).await.unwrap();
    claims.sort_by_key(|row| row.epoch);
    let rows = [logs.len(), accounts.len(), claims.len()].map(|rows| u64::try_from(rows).unwrap());
    for (name, rows) in ["raw_logs", "accounts", "claims"].into_iter().zip(rows) {
        assert_eq!(snapshot.tables.get(name).map_or(0, |table| table.rows), rows, "{name}");
    }
    (logs, accounts, claims)
}

fn crash() -> StoreError {
    StoreError::Worker { reason: "the test ends it here".to_owned() }
}

#[tokio::test]
async fn a_publication_killed_at_any_step_leaves_nothing_behind() {
    let steps = [
        Step::Written(1),
        Step::Written(3),
        Step::Committed(1),
        Step::Committed(2),
        Step::Committed(3),
        Step::Published,
    ];
    let clean_dir = tempfile::tempdir().unwrap();
    let clean = Lake::open(clean_dir.path()).await.unwrap();
    let mut expected = None;
    for block in [1, 2, 3] {
        let heads = heads(u64::try_from(block).unwrap());
        expected = Some(clean.publish(expected.as_deref(), heads, change(block)).await.unwrap());
    }
    let expected = seen(&clean, &expected.unwrap()).await;

    // First and later publications, killed once or twice, done again by the same change or with another in between.
    for (step, (victim, times)) in steps.iter().flat_map(|step| [(1, 1), (2, 1), (3, 2)].map(|how| (*step, how))) {
        let dir = tempfile::tempdir().unwrap();
        let mut base: Option<Arc<Snapshot>> = None;
        for block in [1, 2, 3] {
            let heads = heads(u64::try_from(block).unwrap());
            let lake = Lake::open(dir.path()).await.unwrap();
            for _ in 0..if block == victim { times } else { 0 } {
                let hook = move |at: Step| if at == step { Err(crash()) } else { Ok(()) };
                let before = lake.latest().await.unwrap();
                // What is killed differs from what is done in the end, so that a leak would show.
                let mut other = change(block);
                other.facts.push(&raw_log(99, block, 9).into());
                other.facts.push(&account("0xff", "0x00", block, None).into());
                let ends = if step == Step::Published { change(block) } else { other };
                let error = lake.publish_hooked(base.as_deref(), heads.clone(), ends, &hook).await.unwrap_err();
                assert!(matches!(error, StoreError::Worker { .. } | StoreError::SnapshotTaken { .. }), "{error}");
                let fresh = Lake::open(dir.path()).await.unwrap();
                if step != Step::Published {
                    assert_eq!(fresh.latest().await.unwrap(), before);
                }
            }
            let lake = Lake::open(dir.path()).await.unwrap();
            let latest = lake.latest().await.unwrap();
            let done = latest.as_ref().is_some_and(|latest| latest.heads == heads);
            base = if done { latest } else { Some(lake.publish(base.as_deref(), heads, change(block)).await.unwrap()) };
        }
        let lake = Lake::open(dir.path()).await.unwrap();
        assert_eq!(seen(&lake, &base.unwrap()).await, expected, "killed at {step:?} of {victim}");
    }
}

#[tokio::test]
async fn of_two_publishers_one_wins_and_the_other_rebases() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Lake::open(dir.path()).await.unwrap(), Lake::open(dir.path()).await.unwrap());
    let base = one.publish(None, heads(1), change(1)).await.unwrap();
    // `two` publishes while `one` has committed and not yet named its commits.
    let second = {
        let two = two.clone();
        let base = Arc::clone(&base);
        Mutex::new(Some(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            std::thread::spawn(move || runtime.block_on(two.publish(Some(&base), heads(2), change(2))).unwrap())
                .join()
                .unwrap()
        }))
    };
    let won = Mutex::new(None);
    let hook = |at: Step| {
        if at == Step::Committed(2) {
            *won.lock().unwrap() = Some(second.lock().unwrap().take().unwrap()());
        }
        Ok(())
    };
    let error = one.publish_hooked(Some(&base), heads(3), change(3), &hook).await.unwrap_err();
    assert!(matches!(error, StoreError::SnapshotTaken { version: 1 }), "{error}");
    assert_eq!(error.remedy(), crate::Remedy::Retry);
    let won = won.lock().unwrap().take().unwrap();
    assert_eq!(one.latest().await.unwrap(), Some(Arc::clone(&won)));
    assert_eq!(seen(&one, &won).await.2, vec![claim(1, "0x01", 1), claim(2, "0x01", 2)]);
    // The loser's base is stale from now on; on the newest it succeeds.
    let error = one.publish(Some(&base), heads(3), change(3)).await.unwrap_err();
    assert!(matches!(error, StoreError::SnapshotTaken { version: 1 }), "{error}");
    let third = one.publish(Some(&won), heads(3), change(3)).await.unwrap();
    let (logs, accounts, claims) = seen(&two, &third).await;
    assert_eq!((logs.len(), accounts.len(), claims.len()), (6, 3, 3));
}

#[tokio::test]
async fn states_agree_with_the_obvious_version() {
    for seed in 0..6 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(dir.path()).await.unwrap();
        // The obvious version: rows in a list, searched from the front.
        let mut rows: Vec<AccountRow> = Vec::new();
        let mut base = None;
        let mut block = 0;
        for _ in 0..8 {
            let mut change = Change::default();
            for _ in 0..rng.random_range(0..25) {
                block += rng.random_range(0..2);
                let name = format!("0x{:02}", rng.random_range(0..9));
                let open = rows.iter().position(|row| row.account == name && row.valid_to_block.is_none());
                let ends = rng.random_bool(0.25);
                if ends && open.is_none() {
                    continue;
                }
                if let Some(open) = open {
                    rows[open].valid_to_block = Some(block);
                    if rows[open].valid_from_block == block {
                        rows.remove(open);
                    }
                }
                let row = account(&name, &format!("0x{}", rng.random::<u32>()), block, ends.then_some(block));
                if !ends {
                    rows.push(row.clone());
                }
                change.facts.push(&row.into());
            }
            let snapshot = lake.publish(base.as_deref(), heads(u64::try_from(block).unwrap()), change).await.unwrap();
            rows.sort_by_key(|row| (row.account.clone(), row.valid_from_block));
            assert_eq!(seen(&lake, &snapshot).await.1, rows, "seed {seed}, block {block}");
            base = Some(snapshot);
        }
        assert!(rows.iter().any(|row| row.valid_to_block.is_some()));
    }
}

#[tokio::test]
async fn a_state_that_goes_back_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path()).await.unwrap();
    let mut change = Change::default();
    [account("0x01", "0xaa", 10, None), account("0x01", "0xbb", 9, None)]
        .into_iter()
        .for_each(|row| change.facts.push(&row.into()));
    let error = lake.publish(None, heads(10), change).await.unwrap_err();
    assert!(matches!(error, StoreError::StateOrder { table: "accounts", got: 9, expected: 10 }), "{error}");
    assert_eq!(lake.latest().await.unwrap(), None);
}

#[tokio::test]
async fn staged_files_move_in_and_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path()).await.unwrap();
    let info = RawLogRow::info();
    let rows = (0..2000).map(|index| raw_log(4, 40, index % 20)).collect::<Vec<_>>();
    let staged = dir.path().join("staged.parquet");
    let file = std::fs::File::create(&staged).unwrap();
    let properties = writer_properties(&info, rows.len());
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, Arc::clone(&info.schema), Some(properties)).unwrap();
    writer.write(&RawLogRow::to_batch(&rows)).unwrap();
    writer.close().unwrap();
    let change =
        || Change { staged: vec![Staged { table: "raw_logs", path: staged.clone(), epoch: 4 }], ..Change::default() };
    let hook = |at: Step| if at == Step::Committed(1) { Err(crash()) } else { Ok(()) };
    lake.publish_hooked(None, heads(40), change(), &hook).await.unwrap_err();
    assert!(staged.try_exists().unwrap());
    let snapshot = lake.publish(None, heads(40), change()).await.unwrap();
    assert!(!staged.try_exists().unwrap());
    assert_eq!(lake.read::<RawLogRow>(&snapshot).await.unwrap(), rows);
    // The second attempt found everything committed already.
    assert_eq!(snapshot.tables["raw_logs"], TableRef { delta_version: 0, rows: 2000 });
}

#[tokio::test]
async fn old_snapshots_stay_readable_past_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path()).await.unwrap();
    let mut snapshots: Vec<Arc<Snapshot>> = Vec::new();
    for epoch in 0..104 {
        let mut change = Change::default();
        [claim(epoch, "0x01", epoch.into())].into_iter().for_each(|row| change.money.push(&row.into()));
        let heads = heads(u64::try_from(epoch).unwrap());
        snapshots.push(lake.publish(snapshots.last().map(|last| &**last), heads, change).await.unwrap());
    }
    let log = dir.path().join("tables").join("claims").join("_delta_log");
    assert!(log.join("_last_checkpoint").try_exists().unwrap());
    let lake = Lake::open(dir.path()).await.unwrap();
    for version in [103, 0, 49, 50, 51, 99, 100, 101, 7] {
        let rows = lake.read::<ClaimRow>(&snapshots[version]).await.unwrap();
        assert_eq!(rows.len(), version + 1, "at {version}");
        assert_eq!(lake.snapshot(u64::try_from(version).unwrap()).await.unwrap(), snapshots[version]);
    }
}

#[test]
fn a_snapshot_is_canonical_json() {
    let snapshot = Snapshot {
        version: 1,
        parent: Some(0),
        heads: heads(3),
        tables: BTreeMap::from([("blocks".to_owned(), TableRef { delta_version: 2, rows: 9 })]),
    };
    let text = durable::canonical_json(&snapshot, Path::new("it")).unwrap();
    assert!(text.starts_with(r#"{"heads":{"block_hash":"0x"#), "{text}");
    assert!(text.ends_with("\"tables\":{\"blocks\":{\"delta_version\":2,\"rows\":9}},\"version\":1}\n"), "{text}");
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
}

#[tokio::test]
async fn small_files_become_one_and_open_states_stay_apart_by_key() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path()).await.unwrap();
    let mut snapshots: Vec<Arc<Snapshot>> = Vec::new();
    for block in 0..40 {
        let mut change = Change::default();
        [raw_log(block / 20, block, 0)].into_iter().for_each(|row| change.facts.push(&row.into()));
        [account("0x01", &format!("0x{block}"), block, None)]
            .into_iter()
            .for_each(|row| change.facts.push(&row.into()));
        let heads = heads(u64::try_from(block).unwrap());
        snapshots.push(lake.publish(snapshots.last().map(|last| &**last), heads, change).await.unwrap());
    }
    for lake in [lake, Lake::open(dir.path()).await.unwrap()] {
        for version in [39, 0, 16, 17, 20] {
            let (logs, accounts, _) = seen(&lake, &snapshots[version]).await;
            let blocks = i64::try_from(version).unwrap() + 1;
            assert_eq!(logs, (0..blocks).map(|block| raw_log(block / 20, block, 0)).collect::<Vec<_>>());
            let ends = |block| (block + 1 < blocks).then_some(block + 1);
            let states = (0..blocks).map(|block| account("0x01", &format!("0x{block}"), block, ends(block)));
            assert_eq!(accounts, states.collect::<Vec<_>>());
        }
        assert!(lake.files(&snapshots[39], "raw_logs").await.unwrap().len() <= 2 * 17);
        assert!(lake.files(&snapshots[39], "accounts").await.unwrap().len() <= 18);
        assert_eq!(lake.files(&snapshots[15], "raw_logs").await.unwrap().len(), 16);
        assert_eq!(lake.files(&snapshots[16], "raw_logs").await.unwrap().len(), 2);
    }
}

/// The blocks in a file, in the order in which they stand there.
fn blocks_of(path: &Path) -> Vec<i64> {
    let rows = file::read(path).unwrap();
    rows.iter().flat_map(|rows| RawLogRow::from_batch(rows).unwrap()).map(|row| row.block_number).collect()
}

#[tokio::test]
async fn small_files_whose_rows_follow_each_other_are_gathered_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path()).await.unwrap();
    let mut last = None;
    for block in 0..17 {
        let mut change = Change::default();
        change.facts.push(&raw_log(0, 2 * block, 0).into());
        change.facts.push(&raw_log(0, 2 * block + 1, 1).into());
        last = Some(lake.publish(last.as_deref(), heads(u64::try_from(block).unwrap()), change).await.unwrap());
    }
    let mut files = lake.files(&last.unwrap(), "raw_logs").await.unwrap();
    files.sort_by_key(|file| file.rows);
    let [new, gathered] = files.as_slice() else { panic!("{files:?}: expected the new one and the gathered one") };
    assert_eq!(blocks_of(&new.path), [32, 33]);
    assert_eq!(blocks_of(&gathered.path), (0..32).collect::<Vec<_>>());
}

#[tokio::test]
async fn small_files_that_are_large_in_memory_are_gathered_a_few_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path()).await.unwrap();
    let long = "0".repeat(3 << 20);
    let mut last: Option<Arc<Snapshot>> = None;
    // Each publication ends the state before it; all those states have one key, so their files overlap.
    for block in 0..18 {
        let mut change = Change::default();
        change.facts.push(&account("0x01", &format!("{block}{long}"), block, None).into());
        last = Some(lake.publish(last.as_deref(), heads(u64::try_from(block).unwrap()), change).await.unwrap());
    }
    let last = last.unwrap();
    let rows: Vec<u64> = lake.files(&last, "accounts").await.unwrap().iter().map(|file| file.rows).collect();
    // Six of three megabytes are more than sixteen megabytes.
    let most = rows.iter().max().copied().unwrap();
    assert!((2..=6).contains(&most), "{rows:?}");
    assert_eq!(rows.iter().filter(|rows| **rows > 1).count(), 1, "{rows:?}");
    let (_, accounts, _) = seen(&lake, &last).await;
    assert_eq!(accounts.len(), 18);
    let begins: Vec<i64> = accounts.iter().map(|row| row.valid_from_block).collect();
    assert_eq!(begins, (0..18).collect::<Vec<_>>());
}

#[test]
fn only_files_whose_bounds_hold_a_key_of_the_change_are_touched() {
    let info = AccountRow::info();
    let file = |name: &str, rows: u64, low: &str, high: &str| {
        let mut stats = stats::Stats::default();
        stats.add(&AccountRow::to_batch(&[account(low, "0xaa", 1, None), account(high, "0xaa", 1, None)]));
        DataFile { name: name.to_owned(), rows, bytes: 1, stats: stats.json() }
    };
    let many = u64::try_from(GROUP_ROWS).unwrap();
    let files = [file("a", many, "0x1", "0x3"), file("b", many, "0x4", "0x6"), file("c", 9, "0x7", "0x9")];
    let change = |name: &str| AccountRow::to_batch(&[account(name, "0xbb", 2, None)]);
    assert_eq!(gather::touched(&info, files.iter(), &change("0x2")), ["a", "c"]);
    assert_eq!(gather::touched(&info, files.iter(), &change("0x6")), ["b", "c"]);
    assert_eq!(gather::touched(&info, files.iter(), &change("0x8")), ["c"]);
    assert_eq!(gather::touched(&info, files[..2].iter(), &change("0x8")), Vec::<String>::new());
}
