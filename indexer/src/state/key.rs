//! The keys of the state: a letter for what it is, then fixed-width parts, big-endian.

use alloy_primitives::{Address, B256};

/// A key, or the prefix of some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) Vec<u8>);

fn key(letter: u8, parts: &[&[u8]]) -> Key {
    let mut bytes = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    bytes.push(letter);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    Key(bytes)
}

impl Key {
    /// Surrogate keys of the datasets; the others follow.
    pub(crate) const DATASETS: u8 = 1;
    pub(crate) const DATASET_VERSIONS: u8 = 2;
    pub(crate) const CONTRIBUTIONS: u8 = 3;
    pub(crate) const MODELS: u8 = 4;
    pub(crate) const MODEL_VERSIONS: u8 = 5;
    pub(crate) const AGENTS: u8 = 6;
    pub(crate) const AGENT_VERSIONS: u8 = 7;
    pub(crate) const PAYMENTS: u8 = 8;
    pub(crate) const BATCHES: u8 = 9;

    pub(crate) fn counter(series: u8) -> Self {
        key(b'#', &[&[series]])
    }
    pub(crate) fn entity(id: B256) -> Self {
        key(b'E', &[id.as_slice()])
    }
    pub(crate) fn version(id: B256) -> Self {
        key(b'V', &[id.as_slice()])
    }
    pub(crate) fn contribution(id: B256) -> Self {
        key(b'C', &[id.as_slice()])
    }
    /// The first contribution approved in a dataset with this content.
    pub(crate) fn content(dataset: B256, hash: B256) -> Self {
        key(b'H', &[dataset.as_slice(), hash.as_slice()])
    }
    /// Until when an account may train on a dataset.
    pub(crate) fn training_grant(dataset: B256, grantee: Address) -> Self {
        key(b'G', &[dataset.as_slice(), grantee.as_slice()])
    }
    /// An edge, derived → source.
    pub(crate) fn edge(src: B256, relation: u8, dst: B256) -> Self {
        key(b'D', &[src.as_slice(), &[relation], dst.as_slice()])
    }
    /// All edges from a version.
    pub(crate) fn edges_from(src: B256) -> Self {
        key(b'D', &[src.as_slice()])
    }
    pub(crate) fn method(id: B256) -> Self {
        key(b'M', &[id.as_slice()])
    }
    /// Whether a producer may speak for a scope at a hub.
    pub(crate) fn permission(hub: Address, scope: B256, producer: Address) -> Self {
        key(b'P', &[hub.as_slice(), scope.as_slice(), producer.as_slice()])
    }
    pub(crate) fn producer(hub: Address, producer: Address) -> Self {
        key(b'Q', &[hub.as_slice(), producer.as_slice()])
    }
    pub(crate) fn batch(id: B256) -> Self {
        key(b'B', &[id.as_slice()])
    }
    pub(crate) fn inference(id: B256) -> Self {
        key(b'I', &[id.as_slice()])
    }
    pub(crate) fn attestation(id: B256) -> Self {
        key(b'T', &[id.as_slice()])
    }
    pub(crate) fn payment(id: B256) -> Self {
        key(b'Y', &[id.as_slice()])
    }
    /// The policy a vault set for a scope; vault zero: the last that any vault set for all.
    pub(crate) fn policy(vault: Address, scope: B256) -> Self {
        key(b'L', &[vault.as_slice(), scope.as_slice()])
    }
    pub(crate) fn account(account: Address) -> Self {
        key(b'U', &[account.as_slice()])
    }
    pub(crate) fn entity_payout(entity: B256) -> Self {
        key(b'W', &[entity.as_slice()])
    }
    /// An epoch's root was published for a token.
    pub(crate) fn published(vault: Address, epoch: u64, token: Address) -> Self {
        key(b'Z', &[vault.as_slice(), &epoch.to_be_bytes(), token.as_slice()])
    }
    /// A fact was told, by the hash of what it is known again by.
    pub(crate) fn told(digest: B256) -> Self {
        key(b'd', &[digest.as_slice()])
    }
    /// Since when a child of a family is heard.
    pub(crate) fn child(family: B256, child: Address) -> Self {
        key(b'F', &[family.as_slice(), child.as_slice()])
    }
    /// How many children a family has.
    pub(crate) fn children(family: B256) -> Self {
        key(b'f', &[family.as_slice()])
    }
    /// The mapping set was announced in the log.
    pub(crate) fn mapping() -> Self {
        key(b'!', &[])
    }

    /// What anchoring needs of an L2 block. Removed when the block is sealed and its sequencing window has passed.
    pub(crate) fn l2_block(number: u64) -> Self {
        key(b'a', &[&number.to_be_bytes()])
    }

    // Written at seal only, so never undone.

    /// The fold over L1-final blocks.
    pub(crate) fn anchoring() -> Self {
        key(b'A', &[])
    }

    /// A member of a dataset.
    pub(crate) fn member(dataset: B256, contribution: B256) -> Self {
        key(b's', &[dataset.as_slice(), contribution.as_slice()])
    }
    /// All members of a dataset, former ones too.
    pub(crate) fn members(dataset: B256) -> Self {
        key(b's', &[dataset.as_slice()])
    }
    /// Number of members of a dataset version whose manifest was read.
    pub(crate) fn resolved_version(version: B256) -> Self {
        key(b'm', &[version.as_slice()])
    }
    /// The batch that covers an inference that has an id of its own.
    pub(crate) fn covered(method: B256, inference: B256) -> Self {
        key(b'j', &[method.as_slice(), inference.as_slice()])
    }
    /// A batch's row as it was last sealed.
    pub(crate) fn batch_row(batch: B256) -> Self {
        key(b'b', &[batch.as_slice()])
    }
    /// A batch whose blob was declared missing and is sought still, by the place of its reference.
    pub(crate) fn missing((block, log): crate::blob::Place) -> Self {
        key(b'x', &[&block.to_be_bytes(), &log.to_be_bytes()])
    }
    /// All of them.
    pub(crate) fn all_missing() -> Self {
        key(b'x', &[])
    }
    /// The log root and counters at the sealed head.
    pub(crate) fn sealed() -> Self {
        key(b'~', &[])
    }
}
