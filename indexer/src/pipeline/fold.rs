//! Folding one block, once what its rules ask of contracts is answered.

use std::collections::BTreeSet;
use tributary_schemas::BlockRef;

use super::{Pipeline, TailState};
use crate::inbox::anchor::L2Block;
use crate::reads::{Answers, Reader, StateCall};
use crate::seal::{Body, ingest_block};
use crate::state::{Key, Overlay, StateView, Writes};
use crate::{IndexerError, VerifiedBlock};

impl Pipeline {
    /// Decodes and folds a block over what earlier ones wrote, and what it wrote. Answers that are not there are asked for
    /// and put beside the block; until they are, it is not folded.
    #[tracing::instrument(level = "debug", skip_all, fields(block = block.block.number))]
    pub(super) async fn fold(
        &mut self,
        base: &TailState,
        written: &mut Overlay,
        block: &mut VerifiedBlock,
    ) -> Result<(Body, Writes), IndexerError> {
        loop {
            match self.fold_over(base, written, block) {
                // Each round answers at least one more, and a log asks for so many at most.
                Err(IndexerError::Unread { number, hash, calls }) => {
                    let answers = self.answers(&block.block, &calls).await?;
                    if answers.is_empty() {
                        return Err(IndexerError::Unread { number, hash, calls });
                    }
                    block.reads.extend(answers);
                }
                done => return done,
            }
        }
    }

    fn fold_over(
        &self,
        base: &TailState,
        written: &mut Overlay,
        block: &VerifiedBlock,
    ) -> Result<(Body, Writes), IndexerError> {
        let mut state = StateView::resume(base, std::mem::take(written));
        let folded = ingest_block(&mut state, &self.chronology, &self.mapping, block);
        let folded = folded.and_then(|body| {
            if self.anchoring.is_some() {
                state.put(Key::l2_block(block.block.number), &L2Block::of(block))?;
            }
            Ok((body, state.take_writes()))
        });
        *written = state.into_taken();
        folded
    }

    /// What contracts answer at the end of a block: what is published of it, else what nodes say, if there are any.
    async fn answers(&mut self, block: &BlockRef, calls: &BTreeSet<StateCall>) -> Result<Answers, IndexerError> {
        if let Some(published) = &mut self.published_reads {
            let found = published.find(block, calls).await?;
            if !found.is_empty() {
                self.count("published_reads", found.len());
                return Ok(found);
            }
        }
        match self.reader.clone() {
            Some(reader) => self.ask(&reader, block, calls.clone()).await,
            None => Ok(Answers::new()),
        }
    }

    async fn ask(
        &mut self,
        reader: &Reader,
        block: &BlockRef,
        calls: BTreeSet<StateCall>,
    ) -> Result<Answers, IndexerError> {
        let count = calls.len();
        let answers = tokio::select! {
            biased;
            () = self.room.shutdown.cancelled() => return Err(IndexerError::Stopped),
            answers = reader.ask(block, calls) => answers,
        };
        let was = self.unheard.take();
        self.unheard = answers.as_ref().err().map(ToString::to_string);
        if self.unheard != was {
            self.report()?;
        }
        self.count("state_reads", count);
        answers
    }
}
