//! Answers that are published: those of a ledger by other rules, for the one that is built beside it.

use alloy_primitives::{Address, B256};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tributary_schemas::BlockRef;
use tributary_schemas::facts::StateReadRow;
use tributary_store::{Lake, Snapshot};

use super::{Answer, Answers, Reply, StateCall};
use crate::IndexerError;
use crate::tables::{Files, broken};

/// The table `state_reads` of a ledger that was sealed by other rules.
#[derive(Debug, Clone)]
pub struct PublishedReads {
    lake: Lake,
    snapshot: Arc<Snapshot>,
}

impl PublishedReads {
    /// The table in this snapshot.
    #[must_use]
    pub const fn new(lake: Lake, snapshot: Arc<Snapshot>) -> Self {
        Self { lake, snapshot }
    }
}

/// Looks answers up, block after block. Going back is allowed, and begins anew.
pub(crate) struct LookUp {
    published: PublishedReads,
    /// Where it is. Nobody else ever locks it: a reader of files can be sent between threads and not shared.
    begun: Mutex<Option<Begun>>,
}

/// The block that was looked at last, and the files after it.
struct Begun {
    number: u64,
    rows: Vec<(B256, StateCall, Answer)>,
    files: Files<StateReadRow>,
}

impl LookUp {
    pub(crate) const fn new(published: PublishedReads) -> Self {
        Self { published, begun: Mutex::new(None) }
    }

    /// What is published of these calls at the end of a block.
    ///
    /// # Errors
    ///
    /// When a file of the table cannot be read.
    pub(crate) async fn find(
        &mut self,
        block: &BlockRef,
        calls: &BTreeSet<StateCall>,
    ) -> Result<Answers, IndexerError> {
        if block.number > self.published.snapshot.heads.block_number {
            return Ok(Answers::new());
        }
        let before = self.begun.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let begun = match before {
            Some(begun) if begun.number == block.number => begun,
            before => self.look(before, block.number).await?,
        };
        let asked = |(hash, call, _): &&(B256, StateCall, Answer)| *hash == block.hash && calls.contains(call);
        let found = begun.rows.iter().filter(asked).map(|(_, call, answer)| (call.clone(), answer.clone())).collect();
        *self.begun.get_mut().unwrap_or_else(PoisonError::into_inner) = Some(begun);
        Ok(found)
    }

    /// Looks at a block, from where it is or from the start.
    async fn look(&self, before: Option<Begun>, number: u64) -> Result<Begun, IndexerError> {
        let place = i64::try_from(number).map_err(|error| broken(error.to_string()))?;
        let mut files = match before.filter(|begun| begun.number < number) {
            Some(begun) => begun.files,
            None => Files::open(&self.published.lake, &self.published.snapshot, place).await?,
        };
        files.pass(place)?;
        let rows = files.take_block(place)?.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Begun { number, rows, files })
    }
}

impl fmt::Debug for LookUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookUp").field("published", &self.published).finish_non_exhaustive()
    }
}

/// A row: the block's hash, what was asked and what came back.
fn read(row: StateReadRow) -> Result<(B256, StateCall, Answer), IndexerError> {
    let refused = |what: &dyn fmt::Display| broken(format!("state_reads of block {}: {what}", row.block_number));
    let hash: B256 = row.block_hash.parse().map_err(|error| refused(&error))?;
    let to: Address = row.contract.parse().map_err(|error| refused(&error))?;
    let reply = Reply::of(&row.outcome, row.answer.0.into());
    let expected = || refused(&format!("outcome {:?}: expected returned, reverted or oversize", row.outcome));
    let reply = reply.ok_or_else(expected)?;
    let agreeing = u32::try_from(row.agreeing).map_err(|error| refused(&error))?;
    Ok((hash, StateCall { to, data: row.calldata.0.into() }, Answer { reply, agreeing }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_schemas::column::{Binary, hex_text};
    use tributary_schemas::facts::Columns;
    use tributary_store::{Change, Heads};

    fn row(block: u64, ordinal: i64, outcome: &str) -> StateReadRow {
        StateReadRow {
            epoch: 0,
            block_number: i64::try_from(block).unwrap(),
            ordinal,
            block_hash: hex_text(hash(block)),
            contract: hex_text(Address::repeat_byte(1)),
            calldata: Binary(vec![u8::try_from(ordinal).unwrap(); 4]),
            outcome: outcome.to_owned(),
            answer: Binary(if outcome == "returned" { vec![9] } else { Vec::new() }),
            agreeing: 3,
        }
    }

    fn hash(block: u64) -> B256 {
        B256::with_last_byte(u8::try_from(block).unwrap())
    }

    fn call(ordinal: u8) -> StateCall {
        StateCall { to: Address::repeat_byte(1), data: vec![ordinal; 4].into() }
    }

    async fn published(dir: &std::path::Path, rows: Vec<StateReadRow>) -> LookUp {
        let lake = Lake::open(dir).await.unwrap();
        let mut facts = Columns::default();
        rows.into_iter().for_each(|row| facts.push(&row.into()));
        let heads = Heads { block_number: 20, ..Heads::default() };
        let snapshot = lake.publish(None, heads, Change { facts, ..Change::default() }).await.unwrap();
        LookUp::new(PublishedReads::new(lake, snapshot))
    }

    #[tokio::test]
    async fn what_was_asked_of_the_same_block_is_answered_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let rows = vec![row(4, 0, "returned"), row(4, 1, "reverted"), row(9, 0, "oversize"), row(20, 0, "returned")];
        let mut lookup = published(dir.path(), rows).await;
        let calls = BTreeSet::from([call(0), call(1), call(2)]);
        let answer = |reply| Answer { reply, agreeing: 3 };
        let returned = || answer(Reply::Returned(vec![9].into()));
        let block = |number, hash| BlockRef { number, hash, ..BlockRef::default() };
        for (number, of, expected) in [
            (3, hash(3), vec![]),
            (4, hash(4), vec![(call(0), returned()), (call(1), answer(Reply::Reverted))]),
            (4, hash(5), vec![]),
            (9, hash(9), vec![(call(0), answer(Reply::Oversize))]),
            // Back, and forward over blocks in between.
            (4, hash(4), vec![(call(0), returned()), (call(1), answer(Reply::Reverted))]),
            (20, hash(20), vec![(call(0), returned())]),
            // Above what is sealed nothing is looked for.
            (21, hash(21), vec![]),
        ] {
            let found = lookup.find(&block(number, of), &calls).await.unwrap();
            assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "block {number}");
        }
        let one = lookup.find(&block(4, hash(4)), &[call(1)].into()).await.unwrap();
        assert_eq!(one.into_keys().collect::<Vec<_>>(), [call(1)]);
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut lookup = published(dir.path(), vec![row(4, 0, "vanished")]).await;
        let block = BlockRef { number: 4, hash: hash(4), ..BlockRef::default() };
        let said = lookup.find(&block, &[call(0)].into()).await.unwrap_err().to_string();
        assert!(said.contains("block 4") && said.contains("vanished"), "{said}");
    }
}
