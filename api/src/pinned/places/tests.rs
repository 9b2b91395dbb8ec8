use std::collections::BTreeMap;
use std::path::Path;

use alloy_primitives::{Address, B256};
use tributary_schemas::column::Decimal38;
use tributary_schemas::money::Rows;
use tributary_store::{Change, Heads, Lake};

use super::*;
use crate::fixture;
use crate::pinned::Shelf;

/// Epochs of a drawn world.
const EPOCHS: i64 = 22;

/// Numbers that look random and are the same every time (splitmix64).
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn one_of(&mut self, beginning: u8, count: u64) -> Address {
        Address::with_last_byte(beginning + u8::try_from(self.below(count)).unwrap())
    }
}

/// What was earned and claimed, by account, vault and token.
type Positions = BTreeMap<[Address; 3], (i128, i128)>;

fn entry(drawn: &mut Drawn, epoch: i64, positions: &mut Positions) -> LedgerEntryRow {
    let [account, vault, token] = [drawn.one_of(0xa0, 7), drawn.one_of(0xe0, 2), drawn.one_of(0, 2)];
    let amount = i128::from(drawn.below(1_000)) + 1;
    let (earned, claimed) = positions.entry([account, vault, token]).or_default();
    let (debit, credit, code) = match drawn.below(4) {
        0 => (format!("payable:{}", hex_text(account)), "claimed".to_owned(), "claim"),
        1 => (format!("receivable:{}", hex_text(account)), "distributor".to_owned(), "claim"),
        _ => ("clearing".to_owned(), format!("payable:{}", hex_text(account)), "credit"),
    };
    *(if code == "credit" { earned } else { claimed }) += amount;
    LedgerEntryRow {
        epoch,
        entry_id: format!("0x{:016x}{:016x}", drawn.below(u64::MAX), drawn.below(u64::MAX)),
        vault: hex_text(vault),
        token: hex_text(token),
        debit,
        credit,
        amount: Decimal38(amount),
        code: code.to_owned(),
        phase: "single".to_owned(),
        source: hex_text(B256::with_last_byte(7)),
        adjusts_epoch: None,
    }
}

/// An epoch's journal and positions.
fn epoch(drawn: &mut Drawn, epoch: i64, positions: &mut Positions) -> Rows {
    let ledger_entries = (0..40).map(|_| entry(drawn, epoch, positions)).collect();
    let claims = positions.iter().map(|([account, vault, token], (earned, claimed))| ClaimRow {
        epoch,
        vault: hex_text(vault),
        account: hex_text(account),
        token: hex_text(token),
        cumulative: Decimal38(*earned),
        claimed: Decimal38(*claimed),
        claimable: Decimal38(0),
    });
    Rows { ledger_entries, claims: claims.collect(), ..Rows::default() }
}

/// Publishes a world epoch by epoch, each in two parts; every sixth epoch has no rows.
async fn drawn_world(folder: &Path) -> Lake {
    let lake = Lake::open(folder).await.unwrap();
    let (mut drawn, mut positions, mut newest) = (Drawn(1), Positions::new(), None);
    for number in (0..EPOCHS).filter(|number| number % 6 != 5) {
        let mut money = epoch(&mut drawn, number, &mut positions);
        let first = Rows { ledger_entries: money.ledger_entries.split_off(25), ..Rows::default() };
        for money in [first, money] {
            let heads = Heads { settled_epoch: Some(number), ..Heads::default() };
            let change = Change { money: money.into(), ..Change::default() };
            newest = Some(lake.publish(newest.as_deref(), heads, change).await.unwrap());
        }
    }
    lake
}

/// Compares a statement with the one that SQL gives; the number of its lines.
async fn compare(pinned: &Pinned, of: StatementOf) -> usize {
    let session = pinned.session().await.unwrap();
    let by_sql = Box::pin(tributary_accounting::statement(session, of)).await;
    let found = pinned.statement(of).await.unwrap();
    assert_eq!(found, by_sql.unwrap(), "{of:?}");
    found.lines.len()
}

#[tokio::test]
async fn statements_of_a_drawn_world_are_those_of_sql() {
    let folder = tempfile::tempdir().unwrap();
    let lake = drawn_world(folder.path()).await;
    let pinned = Shelf::new(lake, folder.path().to_owned()).newest().await.unwrap();
    let last = EPOCHS - 1;
    let ranges = [(0, last), (0, 0), (2, 4), (5, 5), (4, 7), (-3, 9), (last, last), (last + 1, last + 5)];
    let (mut lines, mut none) = (0, 0);
    for account in 0..8 {
        for (at, epochs) in ranges.into_iter().enumerate() {
            let vault = [None, Some(Address::with_last_byte(0xe0)), Some(Address::with_last_byte(0xee))];
            let of = StatementOf {
                account: Address::with_last_byte(0xa0 + account),
                token: Address::with_last_byte(u8::try_from(at % 2).unwrap()),
                epochs,
                vault: vault[(usize::from(account) + at) % 3],
            };
            match compare(&pinned, of).await {
                0 => none += 1,
                count => lines += count,
            }
        }
    }
    // Somebody who has no account, a vault that there is not, and epochs that hold nothing are among them.
    assert!(lines > 200 && none > 8, "{lines} lines, {none} without");

    // Where the log does not say which epochs a file has, the file does.
    for files in pinned.files.lock().await.values_mut() {
        *files = files.iter().map(|file| TableFile { epochs: None, ..file.clone() }).collect();
    }
    for epochs in ranges {
        let (account, token) = (Address::with_last_byte(0xa1), Address::ZERO);
        compare(&pinned, StatementOf { account, token, epochs, vault: None }).await;
    }
}

#[tokio::test]
async fn statements_of_the_fixture_are_those_of_sql() {
    let published = fixture::publish().await;
    let shelf = Shelf::new(published.lake.clone(), published.dir.path().to_owned());
    let pinned = shelf.newest().await.unwrap();
    for (account, lines) in [(fixture::ANN, 3), (fixture::BOB, 1), (fixture::OWNER, 1), (fixture::BUYER, 0)] {
        let (account, token) = (account.parse().unwrap(), Address::ZERO);
        for epochs in [(0, 0), (1, 1), (0, 1)] {
            let found = compare(&pinned, StatementOf { account, token, epochs, vault: None }).await;
            assert!(epochs != (0, 1) || found == lines, "{account}: {found} lines");
        }
    }
}

#[tokio::test]
async fn what_is_known_of_a_file_is_known_for_every_snapshot_that_has_it() {
    let published = fixture::publish().await;
    let shelf = Shelf::new(published.lake.clone(), published.dir.path().to_owned());
    let of = |account: &str, epochs| {
        let account = account.parse().unwrap();
        StatementOf { account, token: Address::ZERO, epochs, vault: None }
    };
    let first = shelf.newest().await.unwrap();
    let ann = first.statement(of(fixture::ANN, (1, 1))).await.unwrap();
    // Two files of positions and one of the journal: where whose rows are, and the rows.
    assert_eq!(first.reads(), 6);
    first.statement(of(fixture::BOB, (1, 1))).await.unwrap();
    assert_eq!(first.reads(), 6, "another account");
    first.statement(of(fixture::BOB, (0, 1))).await.unwrap();
    assert_eq!(first.reads(), 8, "another epoch");
    let heads = Heads { block_number: 21, ..published.snapshot.heads.clone() };
    published.lake.publish(Some(&published.snapshot), heads, Change::default()).await.unwrap();
    let second = shelf.newest().await.unwrap();
    assert_eq!(second.number(), 21);
    assert_eq!(second.statement(of(fixture::ANN, (1, 1))).await.unwrap(), ann);
    assert_eq!(second.reads(), 0);
}

#[tokio::test]
async fn files_with_more_rows_than_are_held_are_left_to_the_engine() {
    let published = fixture::publish().await;
    let pinned = Shelf::new(published.lake.clone(), published.dir.path().to_owned()).newest().await.unwrap();
    pinned.files::<LedgerEntryRow>().await.unwrap();
    for files in pinned.files.lock().await.values_mut() {
        *files = files.iter().map(|file| TableFile { rows: 2_000_000, ..file.clone() }).collect();
    }
    let of = StatementOf { account: fixture::ANN.parse().unwrap(), token: Address::ZERO, epochs: (0, 1), vault: None };
    assert_eq!(compare(&pinned, of).await, 3);
    assert_eq!(pinned.reads(), 3, "two positions, and the lines");
}
