//! The tails that this process follows into, for queries about blocks that are not sealed yet.
//!
//! sled is opened by the process that follows (ruling 28), and what it keeps of a block can be read by nobody but whoever
//! wrote it. So that process offers each of its tails here, with how rows are made of bodies, and takes the offer back
//! before it lets go of the tail; what answers queries holds blocks through [`HotTails::hold`] and never has the tail.

use alloy_primitives::B256;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use tributary_schemas::BlockRef;
use tributary_schemas::facts::Columns;

use crate::error::StoreError;
use crate::lake::Heads;
use crate::tail::{Held, HeldHead, Tail};

/// Makes rows of what the tail keeps of a block.
pub trait Bodies: Debug + Send + Sync {
    /// Adds the rows of a block to the tables that are wanted, by their names.
    fn rows(
        &self,
        block: &BlockRef,
        body: &[u8],
        wanted: &BTreeSet<&str>,
        rows: &mut Columns,
    ) -> Result<(), StoreError>;
}

/// The sealed block of a snapshot, and the ledger it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedAt {
    /// Mapping set of the ledger.
    pub mapping_set_hash: B256,
    /// The block.
    pub block: HeldHead,
}

impl From<&Heads> for SealedAt {
    fn from(heads: &Heads) -> Self {
        let block = HeldHead { number: heads.block_number, hash: heads.block_hash };
        Self { mapping_set_hash: heads.mapping_set_hash, block }
    }
}

/// The tails of this process by the mapping sets of their ledgers. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct HotTails(Arc<RwLock<BTreeMap<B256, Followed>>>);

#[derive(Debug)]
struct Followed {
    tail: Arc<Tail>,
    bodies: Arc<dyn Bodies>,
}

/// A tail on offer, for as long as this is kept.
#[derive(Debug)]
pub struct Offer {
    tails: HotTails,
    mapping_set_hash: B256,
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.tails.write().remove(&self.mapping_set_hash);
    }
}

impl HotTails {
    /// Offers the tail of a ledger until the offer is dropped.
    #[must_use]
    pub fn offer(&self, mapping_set_hash: B256, tail: Arc<Tail>, bodies: Arc<dyn Bodies>) -> Offer {
        self.write().insert(mapping_set_hash, Followed { tail, bodies });
        Offer { tails: self.clone(), mapping_set_hash }
    }

    /// Holds the blocks above a sealed one, up to another or to the newest, with how their rows are made.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFollowed`] where no tail of the ledger is on offer, otherwise those of [`Tail::hold`].
    pub fn hold(&self, above: SealedAt, upto: Option<HeldHead>) -> Result<(Held, Arc<dyn Bodies>), StoreError> {
        let tails = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let SealedAt { mapping_set_hash, block } = above;
        let followed = tails.get(&mapping_set_hash).ok_or(StoreError::NotFollowed { mapping_set_hash })?;
        Ok((followed.tail.hold(block, upto)?, Arc::clone(&followed.bodies)))
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<B256, Followed>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tail::TailOptions;

    #[derive(Debug)]
    struct Rowless;

    impl Bodies for Rowless {
        fn rows(&self, _: &BlockRef, _: &[u8], _: &BTreeSet<&str>, _: &mut Columns) -> Result<(), StoreError> {
            Ok(())
        }
    }

    #[test]
    fn a_tail_is_let_go_of_with_its_offer() {
        let dir = tempfile::tempdir().unwrap();
        let tail = Arc::new(Tail::open(dir.path(), TailOptions::default()).unwrap());
        let sealed = BlockRef { number: 5, hash: B256::with_last_byte(5), ..BlockRef::default() };
        tail.seal(sealed, Vec::new()).unwrap();
        let tails = HotTails::default();
        let set = B256::with_last_byte(1);
        let at = SealedAt { mapping_set_hash: set, block: HeldHead { number: 5, hash: sealed.hash } };
        let refused = tails.hold(at, None);
        assert!(matches!(refused, Err(StoreError::NotFollowed { mapping_set_hash }) if mapping_set_hash == set));
        let offer = tails.offer(set, tail, Arc::new(Rowless));
        let (held, _) = tails.clone().hold(at, None).unwrap();
        drop(offer);
        assert!(matches!(tails.hold(at, None), Err(StoreError::NotFollowed { .. })));
        // What is held does not keep the folder from whoever follows next.
        let again = Tail::open(dir.path(), TailOptions::default()).unwrap();
        assert_eq!((held.head(), again.sealed()), (at.block, Some(sealed)));
    }
}
