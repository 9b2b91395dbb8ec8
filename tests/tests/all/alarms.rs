//! Roots on chain that are not ours, and claims beyond what was due: named, and never adopted.

use tributary_accounting::{Alarm, AlarmKind, Input, alarms, settle};
use tributary_schemas::column::{Decimal38, hex_text};
use tributary_schemas::facts::{PublishedRootRow, RewardClaimRow, Rows};
use tributary_schemas::money;
use tributary_tests::tables::{Shape, context, extend};
use tributary_tests::world::{World, token, vault};

/// A world with its first epoch settled and published as it should be, one row a token.
async fn published() -> (Rows, money::Rows, Vec<PublishedRootRow>) {
    let mut world = World::new(5);
    (world.facts.published_roots, world.facts.reward_claims) = (Vec::new(), Vec::new());
    let input = Input { chain_id: 1612, epoch: world.epochs[0], ..Input::default() };
    let ctx = context(Shape::default(), &world.facts, &money::Rows::default());
    let settled = settle(&ctx, &input).await.unwrap().unwrap();
    let mut rows = money::Rows::default();
    extend(&mut rows, settled.tables.rows());
    let published = rows.epochs.iter().map(|row| PublishedRootRow {
        epoch: row.epoch + 1,
        block_number: row.last_block + 3,
        log_index: 0,
        vault: row.vault.clone(),
        settled_epoch: row.epoch,
        token: row.token.clone(),
        root: row.root.clone(),
        total: row.cumulative,
        last_block: row.last_block,
        ledger_digest: row.ledger_digest.clone(),
    });
    let published = published.collect();
    (world.facts, rows, published)
}

async fn found(
    facts: &Rows,
    rows: &money::Rows,
    published: &[PublishedRootRow],
    claims: &[RewardClaimRow],
) -> Vec<Alarm> {
    let mut facts = facts.clone();
    facts.published_roots = published.to_vec();
    facts.reward_claims = claims.to_vec();
    alarms(&context(Shape::default(), &facts, rows)).await.unwrap()
}

#[tokio::test]
async fn a_root_on_chain_that_is_not_ours_is_an_alarm_that_names_the_first_account() {
    let (facts, rows, right) = published().await;
    assert!(found(&facts, &rows, &right, &[]).await.is_empty());

    let mut wrong = right.clone();
    wrong[0].root = hex_text([0xab; 32]);
    let one = found(&facts, &rows, &wrong, &[]).await;
    assert_eq!(one.iter().map(|alarm| alarm.kind).collect::<Vec<_>>(), [AlarmKind::RootDiffers]);
    assert!(one[0].detail.ends_with("no claim under it shows where"), "{}", one[0]);

    // Two accounts claim under that root: the second in two steps what our leaf says, the first one unit more.
    let leaves = rows.merkle_leaves.iter().filter(|leaf| leaf.vault == wrong[0].vault);
    let mut leaves: Vec<_> = leaves.filter(|leaf| leaf.cumulative.0 > 1).collect();
    leaves.sort_by(|a, b| (&a.account, &a.token).cmp(&(&b.account, &b.token)));
    let claim = |leaf: &money::MerkleLeafRow, root_epoch, amount, log_index| RewardClaimRow {
        epoch: wrong[0].epoch,
        event_id: hex_text([u8::try_from(log_index).unwrap(); 32]),
        block_number: wrong[0].block_number + 1,
        log_index,
        tx_hash: hex_text([1; 32]),
        vault: leaf.vault.clone(),
        root_epoch,
        account: leaf.account.clone(),
        token: leaf.token.clone(),
        amount: Decimal38(amount),
    };
    let (first, second, epoch) = (leaves[0], leaves[1], wrong[0].settled_epoch);
    let honest = [
        claim(second, epoch - 1, 1, 1),
        claim(second, epoch, second.cumulative.0 - 1, 2),
        claim(first, epoch, first.cumulative.0, 3),
    ];
    let one = found(&facts, &rows, &wrong, &honest).await;
    assert!(one[0].detail.ends_with("no claim under it shows where"), "{}", one[0]);
    let mut greedy = honest.to_vec();
    greedy[2].amount.0 += 1;
    let one = found(&facts, &rows, &wrong, &greedy).await;
    assert_eq!(one[0].account.map(hex_text), Some(first.account.clone()));
    let named = format!("it claimed {} of token", first.cumulative.0 + 1);
    assert!(one[0].detail.contains(&named) && one[0].detail.ends_with(&format!("expected {}", first.cumulative.0)));

    // The same root with another digest.
    let mut digest = right.clone();
    digest[0].ledger_digest = hex_text([7; 32]);
    let one = found(&facts, &rows, &digest, &[]).await;
    assert_eq!(one.iter().map(|alarm| alarm.kind).collect::<Vec<_>>(), [AlarmKind::ManifestDiffers]);
    assert!(one[0].detail.contains("the journal's digest on chain is 0x0707"), "{}", one[0]);
    // One that is not settled here yet says nothing so far.
    let mut early = right;
    for row in &mut early {
        (row.settled_epoch, row.root) = (row.settled_epoch + 9, hex_text([0xab; 32]));
    }
    assert!(found(&facts, &rows, &early, &[]).await.is_empty());
}

#[tokio::test]
async fn a_vault_that_is_short_is_an_alarm_until_it_is_not() {
    let row = |epoch, state: &str, held: Option<i128>| money::FundingRow {
        epoch,
        block_number: epoch * 100,
        vault: vault(0),
        token: token(1),
        state: state.to_owned(),
        owed: Decimal38(70),
        held: held.map(Decimal38),
        granted: Decimal38(0),
        waiting: Decimal38(if state == "covered" { 0 } else { 25 }),
    };
    let (short, covered) = (row(3, "short", Some(45)), row(4, "covered", Some(70)));
    let unread = row(5, "not_compared", None);
    let other = money::FundingRow { vault: vault(1), ..row(3, "covered", Some(70)) };
    let found_in = async |rows: &[&money::FundingRow]| {
        let rows = money::Rows { fundings: rows.iter().copied().cloned().collect(), ..money::Rows::default() };
        found(&Rows::default(), &rows, &[], &[]).await
    };
    let one = found_in(&[&short, &other]).await;
    assert_eq!(one.len(), 1);
    assert_eq!((one[0].kind, one[0].epoch, one[0].block), (AlarmKind::VaultShort, 3, 300));
    assert_eq!((hex_text(one[0].vault), hex_text(one[0].token)), (vault(0), token(1)));
    assert_eq!(one[0].detail, "it held 45 for claims: expected 70 at least, what it owes; 25 wait unfunded");
    assert!(!one[0].kind.is_difference(), "nothing on chain contradicts the settlement");
    // Not to look is not to find that it holds enough.
    assert_eq!(found_in(&[&short, &unread]).await, one);
    assert_eq!(found_in(&[&short, &covered, &unread]).await, []);
}
