//! Pages of lists: bounds, and cursors that pin what they were made at.
//!
//! A cursor names the block, the first bytes of the log root there and the settled epoch it was made at, and the key of
//! its row. The next page is answered at that block, so a list never shifts under whoever turns its pages; and as the root
//! is of the mapping set too, its pages are of one generation.

use alloy_primitives::hex;
use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{OutputType, SimpleObject};

use crate::error::{ErrorCode, Refusal};

/// Rows of a page when nothing else is asked for.
pub(crate) const FIRST_DEFAULT: usize = 50;
/// Most rows of a page.
pub(crate) const FIRST_MAX: usize = 500;

/// How many there are.
#[derive(Debug, Clone, Copy, SimpleObject)]
pub(crate) struct Total {
    /// How many there are in all pages.
    pub(crate) total_count: i64,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The block.
    pub(crate) number: i64,
    /// First 16 hex digits of the log root there.
    pub(crate) root: String,
    /// The settled epoch.
    pub(crate) cut: Option<i64>,
    /// Key of the row.
    pub(crate) key: String,
}

impl Cursor {
    /// As text that means nothing to people.
    pub(crate) fn encode(&self) -> String {
        let cut = self.cut.map_or_else(String::new, |cut| cut.to_string());
        hex::encode(format!("2/{}/{}/{cut}/{}", self.number, self.root, self.key))
    }

    /// Back from text.
    pub(crate) fn decode(text: &str) -> Result<Self, Refusal> {
        let wrong = || Refusal::new(ErrorCode::BadCursor, "cursor is not one of this server's: take it from pageInfo");
        let bytes = hex::decode(text).ok().ok_or_else(wrong)?;
        let plain = String::from_utf8(bytes).ok().ok_or_else(wrong)?;
        let mut parts = plain.splitn(5, '/');
        let mut next = || parts.next().ok_or_else(wrong);
        if next()? != "2" {
            return Err(wrong());
        }
        let number = next()?.parse().ok().filter(|number| *number >= 0).ok_or_else(wrong)?;
        let root = next()?.to_owned();
        let cut = match next()? {
            "" => None,
            cut => Some(cut.parse().ok().ok_or_else(wrong)?),
        };
        Ok(Self { number, root, cut, key: next()?.to_owned() })
    }
}

/// What was asked for, within bounds.
pub(crate) fn first(asked: Option<i64>) -> Result<usize, Refusal> {
    let Some(asked) = asked else { return Ok(FIRST_DEFAULT) };
    usize::try_from(asked).ok().filter(|first| *first <= FIRST_MAX).ok_or_else(|| {
        Refusal::new(ErrorCode::BadInput, format!("first is {asked}: expected 0 <= first <= {FIRST_MAX}"))
    })
}

/// What was asked of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Rows of the page.
    pub(crate) first: Option<i64>,
    /// The cursor that it comes after.
    pub(crate) after: Option<String>,
}

impl Asked {
    /// How many rows to skip, and how many to take, of a list that goes by places; the cursor must be one of the same
    /// list.
    pub(crate) fn place(&self, list: &str) -> Result<(usize, usize), Refusal> {
        let first = first(self.first)?;
        let Some(cursor) = self.after.as_deref().map(Cursor::decode).transpose()? else { return Ok((first, 0)) };
        let place = cursor.key.split_once('.').filter(|(of, _)| *of == list).and_then(|(_, place)| place.parse().ok());
        let message = "cursor is of a list with another `where` or `orderBy`";
        place.map(|place| (first, place)).ok_or_else(|| Refusal::new(ErrorCode::BadCursor, message))
    }
}

/// A short name of a list, by what defines it.
pub(crate) fn fingerprint(parts: &[&str]) -> String {
    let hash = alloy_primitives::keccak256(parts.join("\n"));
    hex::encode(hash.get(..4).unwrap_or_default())
}

/// Some rows of a list that goes by places.
#[derive(Debug, Clone)]
pub(crate) struct Listed<T> {
    /// The rows.
    pub(crate) rows: Vec<T>,
    /// Rows before them.
    pub(crate) offset: usize,
    /// Rows in all.
    pub(crate) total: i64,
    /// Name of the list.
    pub(crate) list: String,
}

/// A page of a list that goes by places.
pub(crate) fn listed<T, N: OutputType>(
    found: Listed<T>,
    at: &Cursor,
    node: impl Fn(T) -> N,
) -> Connection<String, N, Total, EmptyFields> {
    let Listed { rows, offset, total, list } = found;
    let end = offset.saturating_add(rows.len());
    let more = i64::try_from(end).unwrap_or(i64::MAX) < total;
    let mut connection = Connection::with_additional_fields(offset > 0, more, Total { total_count: total });
    let edge = |(place, row)| {
        let cursor = Cursor { key: format!("{list}.{place}"), ..at.clone() };
        Edge::new(cursor.encode(), node(row))
    };
    connection.edges = (offset.saturating_add(1)..).zip(rows).map(edge).collect();
    connection
}

/// A page of `items`, which are in order and complete: those after the one with the key of the cursor.
pub(crate) fn connect<T, N: OutputType>(
    items: Vec<T>,
    at: &Cursor,
    asked: Option<i64>,
    after: Option<&Cursor>,
    key: impl Fn(&T) -> String,
    node: impl Fn(T) -> N,
) -> Result<Connection<String, N, Total, EmptyFields>, Refusal> {
    let first = first(asked)?;
    let total = items.len();
    let start = match after {
        None => 0,
        Some(after) => items
            .iter()
            .position(|item| key(item) == after.key)
            .map(|at| at + 1)
            .ok_or_else(|| Refusal::new(ErrorCode::BadCursor, "cursor names a row that this list does not have"))?,
    };
    let end = std::cmp::min(start.saturating_add(first), total);
    let counted = Total { total_count: i64::try_from(total).unwrap_or(i64::MAX) };
    let mut connection = Connection::with_additional_fields(start > 0, end < total, counted);
    connection.edges = items
        .into_iter()
        .skip(start)
        .take(first)
        .map(|item| {
            let cursor = Cursor { key: key(&item), ..at.clone() };
            Edge::new(cursor.encode(), node(item))
        })
        .collect();
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_whole_and_nothing_else_passes() {
        for cut in [None, Some(7)] {
            let cursor = Cursor { number: 12, root: "00ff".into(), cut, key: "0xab/c".into() };
            assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
        }
        // The first version named the block's hash alone, and so no generation.
        for wrong in ["", "zz", "31", &hex::encode("2/-1///x"), &hex::encode("1/1/a/1/x"), &hex::encode("2/1/a/x/x")] {
            assert_eq!(Cursor::decode(wrong).unwrap_err().code, ErrorCode::BadCursor, "{wrong}");
        }
    }

    #[test]
    fn pages_are_bounded() {
        for (asked, got) in
            [(None, Some(50)), (Some(0), Some(0)), (Some(500), Some(500)), (Some(501), None), (Some(-1), None)]
        {
            assert_eq!(first(asked).ok(), got, "{asked:?}");
        }
    }
}
