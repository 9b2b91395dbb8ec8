//! Lists of entitlements as CSV: columns by the name in the header, numbers as decimal text, read exactly.
//!
//! A list is somebody else's: everything in it that could mean two things is refused, with the row it stands in. An
//! account twice would be paid once, an address in mixed case that fails its checksum is likely a typing error, and an
//! amount like `1e18` or `1_000` is read differently by different programs.

use alloy_primitives::{Address, U256};
use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format as Csv;
use arrow::datatypes::{DataType, Field, Schema};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use super::format::{Entitlement, Indexed, NodeRewards, Share};
use crate::error::AccountingError;

/// Rows that are text at a time.
const ROWS: usize = 8192;
/// So many times as many are cut into cells ahead.
const BATCHES_AHEAD: usize = 4;
/// Decimal digits of 2^256 − 1.
const DIGITS: usize = 78;
/// Decimal digits of which any so many fit in 64 bits, and the number one with as many zeros.
const WORD_DIGITS: usize = 19;
const WORD_BASE: u64 = 10_u64.pow(19);
/// What begins a UTF-8 file that a spreadsheet wrote.
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// A list, read for one of the formats.
#[derive(Debug)]
pub(super) struct List {
    path: String,
    file: File,
    columns: Vec<String>,
    start: u64,
}

impl List {
    /// Opens a list and reads its header.
    pub(super) fn open(path: &Path) -> Result<Self, AccountingError> {
        let shown = path.display().to_string();
        let failed = |source| AccountingError::File { action: "read", path: shown.clone(), source };
        let mut file = File::open(path).map_err(failed)?;
        let mut mark = Vec::new();
        (&mut file).take(3).read_to_end(&mut mark).map_err(failed)?;
        let start = if mark == BYTE_ORDER_MARK { 3 } else { 0 };
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        let wrong = |what: String| AccountingError::List { path: shown.clone(), what };
        let header = Csv::default().with_header(true).infer_schema(&file, Some(0));
        let (header, _) = header.map_err(|error| wrong(error.to_string()))?;
        let columns: Vec<String> = header.fields().iter().map(|field| field.name().trim().to_owned()).collect();
        if columns.is_empty() {
            return Err(wrong("the file is empty: expected a header that names the columns, and rows".to_owned()));
        }
        let mut sorted = columns.clone();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(wrong(format!("the column {:?} is there twice", twice[0])));
        }
        Ok(Self { path: shown, file, columns, start })
    }

    /// (account, token, amount) of every row.
    pub(super) fn entitlements(mut self) -> Result<Vec<Entitlement>, AccountingError> {
        let [account, token, amount] = [self.needs("account")?, self.needs("token")?, self.amount()?];
        self.rows(&[account, token, amount], |row| {
            let (account, token) = (row.account(0)?, row.address(1)?);
            Ok(Some(Entitlement { account, token, amount: row.number(2)? }))
        })
    }

    /// (account, amount) of every row of one token.
    pub(super) fn shares(mut self, token: Option<Address>) -> Result<Vec<Share>, AccountingError> {
        let (mut columns, mut one) = (vec![self.needs("account")?, self.amount()?], OneToken::new(token));
        columns.extend(self.has("token"));
        one.check(columns.len() > 2).map_err(|what| self.wrong(what))?;
        self.rows(&columns, |row| {
            let share = Share { account: row.account(0)?, amount: row.number(1)? };
            Ok(one.takes(row, 2)?.then_some(share))
        })
    }

    /// (account, index, amount) of every row of one token. Without a column of indexes they are given as Uniswap's own
    /// script does: by the text of the checksummed address.
    pub(super) fn indexed(mut self, token: Option<Address>) -> Result<Vec<Indexed>, AccountingError> {
        let (mut columns, mut one) = (vec![self.needs("account")?, self.amount()?], OneToken::new(token));
        let (index, has_token) = (self.has("index"), self.has("token"));
        columns.extend(index);
        let token_at = columns.len();
        columns.extend(has_token);
        one.check(has_token.is_some()).map_err(|what| self.wrong(what))?;
        let mut rows = self.rows(&columns, |row| {
            let account = row.account(0)?;
            let position = if index.is_some() { row.number(2)? } else { U256::ZERO };
            let indexed = Indexed { account, index: position, amount: row.number(1)? };
            Ok(one.takes(row, token_at)?.then_some(indexed))
        })?;
        if index.is_none() {
            rows.sort_by_cached_key(|row| row.account.to_checksum(None));
            for (position, row) in (0_u64..).zip(&mut rows) {
                row.index = U256::from(position);
            }
        }
        Ok(rows)
    }

    /// (account, network, rpl, eth, and voter where there is such a column) of every row.
    pub(super) fn nodes(mut self) -> Result<Vec<NodeRewards>, AccountingError> {
        let mut columns = ["account", "network", "rpl", "eth"]
            .map(|name| self.needs(name))
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        let voter = self.has("voter");
        columns.extend(voter);
        self.rows(&columns, |row| {
            let node = row.account(0)?;
            let [network, rpl, eth] = [row.number(1)?, row.number(2)?, row.number(3)?];
            let voter = voter.map(|_| row.number(4)).transpose()?;
            Ok(Some(NodeRewards { node, network, rpl, eth, voter }))
        })
    }

    fn has(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    fn needs(&self, name: &str) -> Result<usize, AccountingError> {
        self.has(name).ok_or_else(|| {
            self.wrong(format!("there is no column {name:?}: its columns are {}", self.columns.join(", ")))
        })
    }

    /// The column of amounts: `amount`, or `cumulative` as our own tables call it.
    fn amount(&self) -> Result<usize, AccountingError> {
        match (self.has("amount"), self.has("cumulative")) {
            (Some(_), Some(_)) => Err(self.wrong("it has both amount and cumulative: expected one of them".to_owned())),
            (Some(at), None) | (None, Some(at)) => Ok(at),
            (None, None) => self.needs("amount"),
        }
    }

    fn wrong(&self, what: String) -> AccountingError {
        AccountingError::List { path: self.path.clone(), what }
    }

    fn rows<T>(
        &mut self,
        columns: &[usize],
        mut take: impl FnMut(&Row<'_>) -> Result<Option<T>, String>,
    ) -> Result<Vec<T>, AccountingError> {
        let failed = |source| AccountingError::File { action: "read", path: self.path.clone(), source };
        self.file.seek(SeekFrom::Start(self.start)).map_err(failed)?;
        let fields: Vec<Field> = self.columns.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        let reader = ReaderBuilder::new(Arc::new(Schema::new(fields))).with_header(true).with_batch_size(ROWS);
        let batches = reader.build(&self.file).map_err(|error| self.wrong(error.to_string()))?;
        let (mut out, mut number) = (Vec::new(), 0_u64);
        let mut add = |batch: RecordBatch| {
            let texts: Vec<(&str, &StringArray)> =
                columns.iter().map(|at| (self.columns[*at].as_str(), batch.column(*at).as_string::<i32>())).collect();
            for at in 0..batch.num_rows() {
                number += 1;
                let row = take(&Row { texts: &texts, at });
                out.extend(row.map_err(|what| self.wrong(format!("row {number}: {what}")))?);
            }
            Ok::<(), AccountingError>(())
        };
        // The file is cut into cells on a thread of its own, while the cells before are read as numbers here.
        std::thread::scope(|scope| {
            let (ahead, cut) = sync_channel(BATCHES_AHEAD);
            scope.spawn(move || {
                // Nobody takes any more after the first row that is wrong.
                let _gone = batches.map(|batch| ahead.send(batch)).find(Result::is_err);
            });
            cut.into_iter().try_for_each(|batch| add(batch.map_err(|error| self.wrong(error.to_string()))?))
        })?;
        if number == 0 {
            return Err(self.wrong("there are no rows after the header".to_owned()));
        }
        Ok(out)
    }
}

/// One row: the columns that were asked for, in that order.
struct Row<'a> {
    texts: &'a [(&'a str, &'a StringArray)],
    at: usize,
}

impl Row<'_> {
    fn text(&self, column: usize) -> Result<(&str, &str), String> {
        let (name, texts) = self.texts[column];
        if texts.is_null(self.at) || texts.value(self.at).is_empty() {
            return Err(format!("{name} is empty"));
        }
        Ok((name, texts.value(self.at)))
    }

    fn address(&self, column: usize) -> Result<Address, String> {
        let (name, text) = self.text(column)?;
        let hex =
            text.strip_prefix("0x").filter(|hex| hex.len() == 40 && hex.bytes().all(|one| one.is_ascii_hexdigit()));
        let hex = hex.ok_or_else(|| format!("{name} is {:?}: expected 0x and 40 hex digits", begins(text)))?;
        let (lower, upper) =
            (hex.bytes().any(|one| one.is_ascii_lowercase()), hex.bytes().any(|one| one.is_ascii_uppercase()));
        let address: Address = hex.parse().map_err(|error| format!("{name} is {text:?}: {error}"))?;
        // A checksum is a hash: it is made only for those that have one.
        if lower && upper {
            let checksummed = address.to_checksum(None);
            if checksummed != text {
                return Err(format!("{name} is {text}, in mixed case: with its checksum it would be {checksummed}"));
            }
        }
        Ok(address)
    }

    /// An address that can claim.
    fn account(&self, column: usize) -> Result<Address, String> {
        let address = self.address(column)?;
        if address.is_zero() {
            return Err(format!("{} is the zero address, which can claim nothing", self.texts[column].0));
        }
        Ok(address)
    }

    fn number(&self, column: usize) -> Result<U256, String> {
        let (name, text) = self.text(column)?;
        if !text.bytes().all(|one| one.is_ascii_digit()) {
            return Err(format!("{name} is {:?}: expected a whole number in decimal digits", begins(text)));
        }
        decimal(text).ok_or_else(|| format!("{name} is 2^256 or more: {}", begins(text)))
    }
}

/// The number that these decimal digits are; `None` from 2^256 on.
fn decimal(digits: &str) -> Option<U256> {
    let digits = digits.trim_start_matches('0').as_bytes();
    if digits.len() > DIGITS {
        return None;
    }
    let (first, others) = digits.split_at(digits.len() % WORD_DIGITS);
    // A word holds as many digits, so neither its digits nor the base can overflow one.
    let word = |digits: &[u8]| digits.iter().fold(0_u64, |word, digit| word * 10 + u64::from(digit - b'0'));
    others.chunks(WORD_DIGITS).try_fold(U256::from(word(first)), |number, digits| {
        number.checked_mul(U256::from(WORD_BASE))?.checked_add(U256::from(word(digits)))
    })
}

/// As much of a text as a person reads.
fn begins(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The token of a tree that has no token in its leaves.
struct OneToken {
    wanted: Option<Address>,
    found: Option<Address>,
}

impl OneToken {
    const fn new(wanted: Option<Address>) -> Self {
        Self { wanted, found: None }
    }

    fn check(&self, has_column: bool) -> Result<(), String> {
        if self.wanted.is_some() && !has_column {
            return Err("there is no column \"token\" to choose a token by".to_owned());
        }
        Ok(())
    }

    /// Whether the row belongs to the tree; more than one token without a choice is an error.
    fn takes(&mut self, row: &Row<'_>, column: usize) -> Result<bool, String> {
        if column >= row.texts.len() {
            return Ok(true);
        }
        let token = row.address(column)?;
        if let Some(wanted) = self.wanted {
            return Ok(token == wanted);
        }
        let first = *self.found.get_or_insert(token);
        if first != token {
            return Err(format!(
                "token is {token} and was {first} before: this format has a tree for each token, name one"
            ));
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_digits_are_read_as_the_library_reads_them() {
        let ones = (1..=DIGITS).map(|digits| "1".repeat(digits));
        let powers = (0..256_usize).map(|bit| (U256::ONE << bit).to_string());
        let others = ["0", "000", "0001", "9999999999999999999", "10000000000000000000"].map(str::to_owned);
        let largest = [U256::MAX.to_string(), format!("00{}", U256::MAX)];
        for text in ones.chain(powers).chain(others).chain(largest) {
            assert_eq!(decimal(&text), U256::from_str_radix(&text, 10).ok(), "{text}");
        }
        let (largest, last) = (U256::MAX.to_string(), DIGITS - 1);
        assert_eq!(decimal(&format!("{}6", &largest[..last])), None);
        assert_eq!(decimal(&format!("{largest}0")), None);
        assert_eq!(decimal(&"9".repeat(DIGITS)), None);
    }
}
