//! What the manifest says of a table: its rows, and one hash over them in the order they are published in.
//!
//! keccak256 over the concatenated hashes of every 65,536 rows. A row is a mask (u16be, bit i for column i of the table)
//! of the columns that differ from the row before, followed by these columns; the first row of 65,536 has them all.
//! Rows are sorted, so most of an id is said once. A column is an i64 (8 bytes) or an i128 (16 bytes), big-endian, or
//! text: a length u16be and the bytes. Hex text after 0x is its bytes, with the length's top bit set; NULL is ffff, and −1
//! for an epoch.

use alloy_primitives::{B256, Keccak256, hex};
use std::ops::Range;
use tributary_schemas::column::hex_text;
use tributary_schemas::money::{BalanceRow, ClaimRow, EntitlementRow, MoneyFlowRow};

use crate::{keccak, threads};

/// Rows that are hashed together.
const ROWS: usize = 65_536;
/// Rows that are bytes at a time.
const ROWS_A_TIME: usize = 256;
/// The length that means NULL.
const NULL: u16 = u16::MAX;
/// The bit of a length that means bytes which the table shows as hex.
const HEX: u16 = 1 << 15;

/// Rows as they are hashed: columns in the order of the table, then [`Self::end`], row by row.
#[derive(Debug, Default)]
pub(crate) struct Digest {
    bytes: Vec<u8>,
    /// Where the row at hand begins.
    begin: usize,
    before: Vec<Vec<u8>>,
    column: usize,
    mask: u16,
}

impl Digest {
    /// An integer.
    pub(crate) fn int(&mut self, value: i64) {
        self.put(&[], &value.to_be_bytes());
    }
    /// Money.
    pub(crate) fn money(&mut self, value: i128) {
        self.put(&[], &value.to_be_bytes());
    }
    /// Bytes that the table shows as hex.
    pub(crate) fn bytes(&mut self, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        let length = u16::try_from(value.len()).unwrap_or(HEX) | HEX;
        self.put(&length.to_be_bytes(), value);
    }
    /// An id, or NULL.
    pub(crate) fn id(&mut self, value: Option<B256>) {
        match value {
            Some(id) => self.bytes(id),
            None => self.put(&NULL.to_be_bytes(), &[]),
        }
    }
    /// Text of the table: words as they are, hex as its bytes.
    pub(crate) fn text(&mut self, value: &str) {
        let mut bytes = [0; 32];
        let digits = value.strip_prefix("0x").unwrap_or_default();
        let room = bytes.get_mut(..digits.len() / 2);
        let lower = !digits.is_empty() && digits.bytes().all(|byte| !byte.is_ascii_uppercase());
        if let Some(room) = room
            && lower
            && hex::decode_to_slice(digits, room).is_ok()
        {
            let length = digits.len() / 2;
            self.bytes(&bytes[..length]);
            return;
        }
        let length = u16::try_from(value.len()).unwrap_or(HEX - 1);
        self.put(&length.to_be_bytes(), value.as_bytes());
    }
    /// As [`Self::text`], or NULL.
    pub(crate) fn text_or_null(&mut self, value: Option<&str>) {
        match value {
            Some(text) => self.text(text),
            None => self.put(&NULL.to_be_bytes(), &[]),
        }
    }

    fn put(&mut self, length: &[u8], value: &[u8]) {
        if self.column == 0 {
            self.begin = self.bytes.len();
            self.bytes.extend_from_slice(&[0; 2]);
        }
        if self.before.len() == self.column {
            self.before.push(Vec::new());
        }
        let before = &mut self.before[self.column];
        let same = before.strip_prefix(length).is_some_and(|rest| rest == value) && !before.is_empty();
        if !same {
            before.clear();
            before.extend_from_slice(length);
            before.extend_from_slice(value);
            self.bytes.extend_from_slice(before);
            self.mask |= 1 << self.column;
        }
        self.column += 1;
    }

    /// Ends a row.
    pub(crate) fn end(&mut self) {
        self.bytes[self.begin..][..2].copy_from_slice(&self.mask.to_be_bytes());
        (self.column, self.mask) = (0, 0);
    }
}

/// What the manifest says of so many rows, which are written range by range: what is hashed together is written
/// together, the others at the same time.
pub(crate) fn in_pieces(rows: usize, write: impl Fn(Range<usize>, &mut Digest) + Sync) -> serde_json::Value {
    let pieces = rows.div_ceil(ROWS);
    let hashes = threads::pieces(pieces.div_ceil(keccak::LANES), |number| {
        let first = number * keccak::LANES;
        let count = std::cmp::min(keccak::LANES, pieces - first);
        let mut written: Vec<(Digest, Range<usize>)> = (first..first + count)
            .map(|piece| (Digest::default(), piece * ROWS..std::cmp::min((piece + 1) * ROWS, rows)))
            .collect();
        keccak::together(count, |lane, bytes| {
            let (digest, left) = &mut written[lane];
            let some = left.start..std::cmp::min(left.start + ROWS_A_TIME, left.end);
            left.start = some.end;
            std::mem::swap(&mut digest.bytes, bytes);
            write(some, digest);
            std::mem::swap(&mut digest.bytes, bytes);
            left.start == left.end
        })
    });
    let mut hash = Keccak256::new();
    for one in hashes.iter().flatten() {
        hash.update(one);
    }
    serde_json::json!({ "rows": rows.to_string(), "keccak256": hex_text(hash.finalize()) })
}

/// A row of a published table that a manifest has a digest of.
pub(crate) trait Row {
    fn write(&self, to: &mut Digest);
}

/// The digest of rows that are in their order.
pub(crate) fn of_rows<T: Row + Sync>(rows: &[T]) -> serde_json::Value {
    in_pieces(rows.len(), |range, digest| {
        for row in &rows[range] {
            row.write(digest);
            digest.end();
        }
    })
}

impl Row for EntitlementRow {
    fn write(&self, to: &mut Digest) {
        to.int(self.epoch);
        to.text(&self.vault);
        to.text(&self.account);
        to.text(&self.token);
        to.text(&self.role);
        for id in [&self.dataset_id, &self.contribution_id, &self.model_version_id, &self.agent_version_id] {
            to.text_or_null(id.as_deref());
        }
        to.money(self.amount.0);
        to.money(self.rounding.0);
        to.int(self.adjusts_epoch.unwrap_or(-1));
    }
}

impl Row for MoneyFlowRow {
    fn write(&self, to: &mut Digest) {
        to.int(self.epoch);
        to.text(&self.vault);
        to.text(&self.token);
        to.text(&self.step);
        to.int(i64::from(self.depth));
        to.text(&self.src_id);
        to.text(&self.dst_id);
        to.money(self.amount_sub.0);
        to.int(i64::from(self.sub_digits));
    }
}

impl Row for BalanceRow {
    fn write(&self, to: &mut Digest) {
        to.int(self.epoch);
        to.text(&self.vault);
        to.text(&self.token);
        to.text(&self.account);
        for counter in [self.debits_pending, self.debits_posted, self.credits_pending, self.credits_posted] {
            to.money(counter.0);
        }
    }
}

impl Row for ClaimRow {
    fn write(&self, to: &mut Digest) {
        to.int(self.epoch);
        to.text(&self.vault);
        to.text(&self.account);
        to.text(&self.token);
        to.money(self.cumulative.0);
        to.money(self.claimed.0);
        to.money(self.claimable.0);
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, ROWS, Row as _, of_rows};
    use alloy_primitives::keccak256;
    use tributary_schemas::column::Decimal38;
    use tributary_schemas::money::EntitlementRow;

    fn line(account: &str, role: &str, dataset: Option<&str>, amount: i128) -> EntitlementRow {
        EntitlementRow {
            epoch: 1,
            vault: "0x01".to_owned(),
            account: account.to_owned(),
            token: "0x02".to_owned(),
            role: role.to_owned(),
            dataset_id: dataset.map(str::to_owned),
            contribution_id: None,
            model_version_id: None,
            agent_version_id: None,
            amount: Decimal38(amount),
            rounding: Decimal38(0),
            adjusts_epoch: None,
        }
    }

    /// As the front page says it.
    fn one_after_the_other(rows: &[EntitlementRow]) -> String {
        let piece = |rows: &[EntitlementRow]| {
            let mut digest = Digest::default();
            for row in rows {
                row.write(&mut digest);
                digest.end();
            }
            keccak256(digest.bytes).to_vec()
        };
        keccak256(rows.chunks(ROWS).flat_map(piece).collect::<Vec<u8>>()).to_string()
    }

    #[test]
    fn any_difference_makes_another_digest() {
        let base = vec![line("0x0a", "data", Some("0x0b"), 5), line("0x0a", "data", Some("0x0c"), 5)];
        let mut seen = std::collections::BTreeSet::from([of_rows(&base).to_string()]);
        for other in [
            vec![base[0].clone()],
            vec![base[1].clone(), base[0].clone()],
            vec![base[0].clone(), base[0].clone()],
            vec![line("0x0A", "data", Some("0x0b"), 5), base[1].clone()],
            vec![line("\n", "data", Some("0x0b"), 5), base[1].clone()],
            vec![base[0].clone(), line("0x0a", "data", None, 5)],
            vec![base[0].clone(), line("0x0a", "data", Some(""), 5)],
            vec![base[0].clone(), line("0x0a", "data", Some("0x0c"), 6)],
            vec![base[0].clone(), line("0x0a", "agent", Some("0x0c"), 5)],
            vec![],
        ] {
            assert!(seen.insert(of_rows(&other).to_string()), "{other:?}");
        }
    }

    #[test]
    fn more_rows_than_are_hashed_together() {
        let rows: Vec<_> = (0..131_073).map(|amount| line("0x0a", "data", None, amount)).collect();
        let mut other = rows.clone();
        other[65_536].amount = Decimal38(0);
        assert_ne!(of_rows(&rows), of_rows(&other));
        assert_eq!(of_rows(&rows)["rows"], "131073");
        assert_eq!(one_after_the_other(&rows), of_rows(&rows)["keccak256"]);
    }
}
