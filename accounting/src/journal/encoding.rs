//! The bytes that ids and the journal's digest are made of.

use alloy_primitives::{Address, B256, hex, keccak256};

use super::{Body, RULE_NUMBER};
use crate::keccak;
use crate::names::{Names, Party};

/// Entries whose hashes are made together.
pub(super) const AT_ONCE: usize = 1024;
/// Bytes that an id is made of.
const IDENTITY: usize = 10 + 8 + 4 + 1 + 2 * 20 + 3 * 32;
/// Bytes of an entry's encoding.
const ENTRY: usize = 16 + 8 + 2 * 20 + 2 * 32 + 16 + 2 + 32 + 8;
/// What the name of a payee's account begins with.
const PAYABLE: &[u8; 8] = b"payable:";

/// Fields one after the other.
struct Bytes<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Bytes<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }
    fn put(&mut self, field: &[u8]) {
        self.bytes[self.length..][..field.len()].copy_from_slice(field);
        self.length += field.len();
    }
    fn whole(self) -> [u8; N] {
        debug_assert_eq!(self.length, N, "every field is there");
        self.bytes
    }
}

/// What an entry's id is the hash of.
pub(super) fn identity(epoch: i64, entry: &Body<'_>, debit: B256, credit: B256) -> [u8; IDENTITY] {
    let mut bytes = Bytes::new();
    bytes.put(b"trib/jrn/1");
    bytes.put(&epoch.to_be_bytes());
    bytes.put(&RULE_NUMBER.to_be_bytes());
    bytes.put(&[entry.code.number()]);
    bytes.put(entry.purse.0.as_slice());
    bytes.put(entry.purse.1.as_slice());
    bytes.put(debit.as_slice());
    bytes.put(credit.as_slice());
    bytes.put(entry.source.as_slice());
    bytes.whole()
}

/// The id that begins a hash.
pub(super) fn begin(hash: B256) -> [u8; 16] {
    hash.0.first_chunk().copied().unwrap_or_default()
}

/// An entry as the digest takes it.
pub(super) fn entry(epoch: i64, id: &[u8; 16], entry: &Body<'_>, debit: B256, credit: B256) -> [u8; ENTRY] {
    let mut bytes = Bytes::new();
    bytes.put(id);
    bytes.put(&epoch.to_be_bytes());
    bytes.put(entry.purse.0.as_slice());
    bytes.put(entry.purse.1.as_slice());
    bytes.put(debit.as_slice());
    bytes.put(credit.as_slice());
    bytes.put(&entry.amount.to_be_bytes());
    bytes.put(&[entry.code.number(), entry.phase.number()]);
    bytes.put(entry.source.as_slice());
    bytes.put(&entry.adjusts.unwrap_or(-1).to_be_bytes());
    bytes.whole()
}

/// keccak256 of the names of parties: of payees, who are nearly all, several at a time and without making text of them.
pub(super) fn hashes_of_names(names: &Names, parties: impl Iterator<Item = u32>) -> Vec<B256> {
    let parties: Vec<Party> = parties.map(|number| names.party(number)).collect();
    let mut hashes = Vec::with_capacity(parties.len());
    let name = |at: usize| {
        let account = if let Party::Account(account) = parties[at] { account } else { Address::ZERO };
        let mut name = [0; PAYABLE.len() + 42];
        name[..PAYABLE.len()].copy_from_slice(PAYABLE);
        name[PAYABLE.len()..].copy_from_slice(hex::Buffer::<20, true>::new().format(&account.0.0).as_bytes());
        name
    };
    keccak::each(parties.len(), name, |_, hash| hashes.push(hash));
    for (hash, party) in hashes.iter_mut().zip(parties) {
        if !matches!(party, Party::Account(_)) {
            *hash = keccak256(names.name(party));
        }
    }
    hashes
}
