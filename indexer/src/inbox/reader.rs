//! Fixed-width integers, variable-width integers and RLP items from the front of a slice.

use super::InboxError;
use alloy_rlp::Header;

/// Takes values from the front of a slice; nothing is copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not taken yet.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], InboxError> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(InboxError::Truncated { what, expected: len, got: self.rest.len() });
        };
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], InboxError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(InboxError::Truncated { what, expected: N, got: self.rest.len() });
        };
        self.rest = rest;
        Ok(*taken)
    }

    /// A variable-width integer as Go's `binary.ReadUvarint` reads it: seven bits a byte, the least significant
    /// first, at most 64 bits; needlessly long forms are allowed.
    pub(super) fn uvarint(&mut self, what: &'static str) -> Result<u64, InboxError> {
        let mut value = 0_u64;
        for index in 0..10_u32 {
            let [byte] = self.array::<1>(what)?;
            if index == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(InboxError::Unexpected { what, got: "longer than 64 bits".to_owned(), expected: "a 64-bit uvarint" })
    }

    /// The next RLP item with its header, and its content; `list` says which of the two kinds it must be.
    pub(super) fn rlp(&mut self, list: bool, what: &'static str) -> Result<RlpItem<'a>, InboxError> {
        let mut cursor = self.rest;
        let header = Header::decode(&mut cursor).map_err(InboxError::rlp(what))?;
        if header.list != list {
            let source = if list { alloy_rlp::Error::UnexpectedString } else { alloy_rlp::Error::UnexpectedList };
            return Err(InboxError::Rlp { what, source });
        }
        let header_len = self.rest.len() - cursor.len();
        let whole = self.take(header_len + header.payload_length, what)?;
        Ok(RlpItem { whole, content: &whole[header_len..] })
    }
}

/// An RLP item.
#[derive(Debug, Clone, Copy)]
pub(super) struct RlpItem<'a> {
    /// Header and content.
    pub(super) whole: &'a [u8],
    /// The content alone.
    pub(super) content: &'a [u8],
}
