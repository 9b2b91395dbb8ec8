//! What lies below lines of explanations: however many lines of an answer ask, each level is read once for all of them.

use std::sync::Arc;

use async_graphql::dataloader::Loader;
use tributary_accounting::explain::{Payer, RecordKey, below};
use tributary_accounting::{Origins, Stand};

#[expect(clippy::disallowed_types, reason = "the loader's interface; it is looked into by key, never walked")]
use super::Loaded;
use super::Loads;
use crate::error::Refusal;
use crate::pinned::OriginKey;

/// A batch by surrogate key; none for what stands on no inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BatchKey(pub(crate) Option<i64>);

impl Loader<OriginKey> for Loads {
    type Value = Arc<Origins>;
    type Error = Refusal;

    #[expect(clippy::disallowed_types, reason = "the loader's interface; it is looked into by key, never walked")]
    async fn load(&self, keys: &[OriginKey]) -> Result<Loaded<OriginKey, Self::Value>, Refusal> {
        Ok(self.pinned()?.origins(keys).await?.into_iter().collect())
    }
}

macro_rules! levels {
    ($($key:ty => $value:ty, $read:path, $part:expr, $what:literal;)*) => {$(
        impl Loader<$key> for Loads {
            type Value = $value;
            type Error = Refusal;

            #[expect(clippy::disallowed_types, reason = "the loader's interface; it is looked into by key, never walked")]
            async fn load(&self, keys: &[$key]) -> Result<Loaded<$key, Self::Value>, Refusal> {
                let pinned = self.pinned()?;
                pinned.count_read();
                let session = pinned.session().await?;
                // What each of them brought is the line's to say.
                let page = keys.iter().copied().map($part).map(|key| (key, 0)).collect::<Vec<_>>();
                let rows = Box::pin($read(session, &page)).await;
                let rows = rows.map_err(|cause| Refusal::internal($what, &cause))?;
                Ok(keys.iter().copied().zip(rows.into_iter().map(|row| row.of)).collect())
            }
        }
    )*};
}
levels! {
    Stand => below::Inference, below::inferences, |key| key, "reading inferences";
    BatchKey => Option<below::Batch>, below::batches, |key: BatchKey| key.0, "reading batches";
    Payer => below::Payment, below::payments, |key| key, "reading payments";
    RecordKey => below::Record, below::records, |key| key, "reading records";
}
