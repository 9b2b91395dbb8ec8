use super::*;
use crate::fixture::{Published, publish};
use crate::sql_gate::{Found, Prepared, prepare, query};
use tributary_schemas::column::{Decimal38, Micros, hex_text};
use tributary_schemas::facts::{BlockRow, RefundRow};
use tributary_store::{BlockRef, Bodies, Offer, StoreError, Tail, TailBlock, TailOptions};

/// Each body is the number of refunds of its block.
#[derive(Debug)]
struct Counted;

impl Bodies for Counted {
    fn rows(
        &self,
        block: &BlockRef,
        body: &[u8],
        wanted: &BTreeSet<&str>,
        rows: &mut Columns,
    ) -> Result<(), StoreError> {
        let number = i64::try_from(block.number).unwrap();
        if wanted.contains("blocks") {
            let row = BlockRow {
                number,
                hash: hex_text(block.hash),
                parent_hash: hex_text(block.parent_hash),
                timestamp: Micros::from_seconds(block.timestamp),
                epoch: 2,
                l1_origin_number: None,
                tx_count: 1,
                log_count: 1,
                event_count: 1,
                finality: String::new(),
                trust: "full".to_owned(),
                log_root: String::new(),
            };
            rows.push(&row.into());
        }
        if wanted.contains("refunds") {
            for log_index in 0..i64::from(body[0]) {
                rows.push(&refund(number, log_index).into());
            }
        }
        Ok(())
    }
}

fn refund(block_number: i64, log_index: i64) -> RefundRow {
    let text = || "0x00".to_owned();
    RefundRow {
        epoch: 2,
        event_id: text(),
        block_number,
        log_index,
        payment_sk: 0,
        payment_id: text(),
        account: text(),
        token: text(),
        amount: Decimal38(1),
    }
}

struct World {
    published: Published,
    tails: HotTails,
    tail: Arc<Tail>,
    _offer: Offer,
    _dir: tempfile::TempDir,
}

impl World {
    /// A published world whose tail is sealed up to the same block, with so many blocks above it.
    async fn begin(blocks: u64) -> Self {
        let published = publish().await;
        let dir = tempfile::tempdir().unwrap();
        let tail = Arc::new(Tail::open(dir.path(), TailOptions::default()).unwrap());
        let heads = &published.snapshot.heads;
        let sealed = BlockRef { number: heads.block_number, hash: heads.block_hash, ..BlockRef::default() };
        tail.seal(sealed, Vec::new()).unwrap();
        let tails = HotTails::default();
        let offer = tails.offer(heads.mapping_set_hash, Arc::clone(&tail), Arc::new(Counted));
        let world = Self { published, tails, tail, _offer: offer, _dir: dir };
        world.mine(blocks, 1);
        world
    }

    fn mine(&self, blocks: u64, fork: u8) {
        for _ in 0..blocks {
            let parent = self.tail.head().unwrap();
            let number = parent.number + 1;
            let hash = alloy_primitives::keccak256([&parent.hash[..], &[fork]].concat());
            let block = BlockRef { number, hash, parent_hash: parent.hash, timestamp: number };
            self.tail.append(vec![TailBlock { block, body: vec![fork], writes: Vec::new() }]).unwrap();
        }
    }

    fn hot(&self) -> Hot {
        Hot::above(&self.tails, &self.published.snapshot)
    }

    async fn ask(&self, sql: &str) -> Result<Found, SqlError> {
        let limits = SqlLimits::default();
        query(&self.published.lake, &self.published.snapshot, self.hot(), sql, &limits).await
    }

    async fn plan(&self, sql: &str, limits: &SqlLimits) -> Result<Prepared, SqlError> {
        prepare(&self.published.lake, &self.published.snapshot, self.hot(), sql, limits).await
    }

    /// The one number that a query gives.
    async fn number(&self, sql: &str) -> i64 {
        one(&self.ask(sql).await.unwrap().batches)
    }
}

fn one(batches: &[RecordBatch]) -> i64 {
    let batch = batches.iter().find(|batch| batch.num_rows() > 0).unwrap();
    let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Int64).unwrap();
    arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&column).value(0)
}

fn head(block: BlockRef) -> HeldHead {
    HeldHead { number: block.number, hash: block.hash }
}

#[tokio::test]
async fn sealed_and_hot_rows_are_one_chain() {
    let world = World::begin(5).await;
    let sealed = i64::try_from(world.published.snapshot.heads.block_number).unwrap();
    let both = "(SELECT number, hash FROM blocks UNION ALL SELECT number, hash FROM hot.blocks)";
    assert_eq!(world.number(&format!("SELECT count(*) FROM {both}")).await, sealed + 6);
    assert_eq!(world.number(&format!("SELECT count(DISTINCT number) FROM {both}")).await, sealed + 6);
    assert_eq!(world.number("SELECT min(number) FROM hot.blocks").await, sealed + 1);
    assert_eq!(world.number("SELECT count(*) FROM hot.blocks WHERE log_root IS NULL AND finality IS NULL").await, 5);
    // Whatever way a table is named, and where nothing is in it.
    for (sql, expected) in [
        (
            "WITH new AS (SELECT * FROM HOT.refunds) SELECT count(*) FROM new JOIN hot.blocks b ON block_number = b.number",
            5,
        ),
        (
            "SELECT count(*) FROM blocks WHERE number < (SELECT min(number) FROM \"datafusion\".hot.\"blocks\")",
            sealed + 1,
        ),
        ("SELECT count(*) FROM hot.payments", 0),
        (
            "SELECT count(*) FROM hot.refunds AS r WHERE EXISTS (SELECT 1 FROM hot.blocks b WHERE b.number = r.block_number)",
            5,
        ),
    ] {
        let found = world.ask(sql).await.unwrap_or_else(|cause| panic!("{sql}: {cause}"));
        assert_eq!(one(&found.batches), expected, "{sql}");
        assert_eq!(found.tail, world.tail.head().map(head), "{sql}");
    }
    let found = world.ask("EXPLAIN SELECT * FROM hot.events").await.unwrap();
    assert_eq!(found.tail, world.tail.head().map(head));
    // A query that names none reads nothing that is not sealed, and says so.
    assert_eq!(world.ask("SELECT count(*) FROM refunds").await.unwrap().tail, None);
}

#[tokio::test]
async fn a_reorg_after_planning_is_no_part_of_the_answer() {
    let world = World::begin(4).await;
    let limits = SqlLimits::default();
    let (before, sql) = (
        world.tail.head().unwrap(),
        "SELECT count(*) FROM hot.refunds r JOIN hot.blocks b ON r.block_number = b.number",
    );
    let prepared = world.plan(sql, &limits).await.unwrap();
    let sealed = world.published.snapshot.heads.block_number;
    world.tail.unwind(sealed + 1).unwrap();
    world.mine(7, 3);
    assert_eq!(prepared.tail(), Some(head(before)));
    let mut answer = prepared.run(Vec::new());
    let mut batches = Vec::new();
    while let Some(batch) = answer.next().await {
        batches.push(batch.unwrap());
    }
    assert_eq!(one(&batches), 4);
    // The next one sees the other chain, whose blocks have three refunds each.
    assert_eq!(world.number(sql).await, 1 + 7 * 3);
    // Up to a block of it, and not up to one that was taken back.
    let upto = world.tail.block(sealed + 3).unwrap().map(head);
    let lake = &world.published.lake;
    let ask = |upto| query(lake, &world.published.snapshot, world.hot().upto(upto), sql, &limits);
    assert_eq!(one(&ask(upto).await.unwrap().batches), 1 + 2 * 3);
    let gone = ask(Some(head(before))).await;
    assert!(matches!(gone, Err(SqlError::Hot { cause: StoreError::NotJoined { .. } })), "{gone:?}");
}

#[tokio::test]
async fn blocks_that_do_not_join_the_snapshot_are_refused_with_what_to_do() {
    let world = World::begin(4).await;
    let sealed = world.published.snapshot.heads.block_number;
    world.tail.seal(world.tail.block(sealed + 2).unwrap().unwrap(), Vec::new()).unwrap();
    let refused = world.ask("SELECT 1 FROM hot.blocks").await.unwrap_err();
    assert_eq!(refused.remedy(), tributary_store::Remedy::Retry);
    let said = refused.to_string();
    assert!(
        said.contains(&format!("blocks up to {} were sealed meanwhile", sealed + 2)) && said.ends_with("ask again"),
        "{said}"
    );
    // What is sealed is answered all the same.
    assert_eq!(world.number("SELECT max(number) FROM blocks").await, i64::try_from(sealed).unwrap());

    let elsewhere = Hot::above(&HotTails::default(), &world.published.snapshot);
    let limits = SqlLimits::default();
    let asked = query(&world.published.lake, &world.published.snapshot, elsewhere, "SELECT 1 FROM hot.blocks", &limits);
    let said = asked.await.unwrap_err().to_string();
    assert!(said.contains("is not followed here") && said.contains("tributary run"), "{said}");
    let unknown = world.ask("SELECT 1 FROM hot.accounts").await.unwrap_err();
    assert!(matches!(unknown, SqlError::Failed { fault: crate::sql_gate::Fault::UnknownTable, .. }), "{unknown}");
}

#[tokio::test]
async fn rows_count_towards_the_memory_of_the_query() {
    let world = World::begin(0).await;
    world.mine(200, 200);
    let small = SqlLimits { memory_bytes: 1 << 20, ..SqlLimits::default() };
    let refused = world.plan("SELECT count(*) FROM hot.refunds", &small).await.unwrap_err();
    assert!(matches!(refused, SqlError::Memory { memory_bytes } if memory_bytes == 1 << 20), "{refused}");
    // Rows are made for what is asked only.
    assert!(world.plan("SELECT count(*) FROM hot.blocks", &small).await.is_ok());
    assert_eq!(world.number("SELECT count(*) FROM hot.refunds").await, 40_000);
}

#[tokio::test]
async fn what_no_plan_filled_is_never_an_empty_answer() {
    let world = World::begin(1).await;
    let session = crate::session::open(&world.published.lake, &world.published.snapshot, 1 << 20, 1).await.unwrap();
    let read = session.sql("SELECT * FROM hot.blocks").await.unwrap().collect().await;
    assert!(read.unwrap_err().to_string().contains("before it is filled"));
}
