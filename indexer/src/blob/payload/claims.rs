//! What a Parquet file claims of itself, in Thrift, walked before the reader believes it.
//!
//! The reader reserves memory for as many row groups as a list *says* it holds (up to 2^31, which ends the process),
//! fills a dictionary of as many values as its page says, and passes over lists of booleans, which take no bytes to
//! it, one claimed element at a time. And it reads a field it knows as what that field should be, whatever type stands
//! before it. So the footer and the page headers are walked first, by the same grammar: every known field has its
//! type, no list claims more elements than [`LIST_MAX`], every element takes a byte at least, and pages claim no more
//! values and bytes than there can be.
//!
//! The tables are those of `parquet.thrift`; what they leave out is passed over here as it is there.

use super::{Unreadable, malformed};

/// Most elements of a list in the footer or a page header. Ordinals of row groups have 16 bits anyway.
const LIST_MAX: u64 = 1 << 15;
/// Most structures inside each other; Parquet's own are nine deep.
const DEPTH_MAX: usize = 16;

/// The type of a field.
#[derive(Clone, Copy)]
enum Kind {
    Bool,
    Byte,
    I16,
    I32,
    I64,
    Binary,
    List(&'static Self),
    Struct(Fields),
    /// Of no column of ours: what is encrypted, and places on the globe.
    Never,
}

/// The fields of a structure that the reader reads, by id.
type Fields = &'static [(i16, Kind)];

use Kind::{Binary, Bool, Byte, I16, I32, I64, List, Never, Struct};

const STATISTICS: Fields =
    &[(1, Binary), (2, Binary), (3, I64), (4, I64), (5, Binary), (6, Binary), (7, Bool), (8, Bool)];
const KEY_VALUE: Fields = &[(1, Binary), (2, Binary)];
const UNIT: Fields = &[(1, Struct(&[])), (2, Struct(&[])), (3, Struct(&[]))];
const LOGICAL: Fields = &[
    (1, Struct(&[])),
    (2, Struct(&[])),
    (3, Struct(&[])),
    (4, Struct(&[])),
    (5, Struct(&[(1, I32), (2, I32)])),
    (6, Struct(&[])),
    (7, Struct(&[(1, Bool), (2, Struct(UNIT))])),
    (8, Struct(&[(1, Bool), (2, Struct(UNIT))])),
    (10, Struct(&[(1, Byte), (2, Bool)])),
    (11, Struct(&[])),
    (12, Struct(&[])),
    (13, Struct(&[])),
    (14, Struct(&[])),
    (15, Struct(&[])),
    (16, Struct(&[(1, Byte)])),
    (17, Never),
    (18, Never),
];
const SCHEMA: Fields = &[
    (1, I32),
    (2, I32),
    (3, I32),
    (4, Binary),
    (5, I32),
    (6, I32),
    (7, I32),
    (8, I32),
    (9, I32),
    (10, Struct(LOGICAL)),
];
const COLUMN: Fields = &[
    (1, I32),
    (2, List(&I32)),
    (3, List(&Binary)),
    (4, I32),
    (5, I64),
    (6, I64),
    (7, I64),
    (8, List(&Struct(KEY_VALUE))),
    (9, I64),
    (10, I64),
    (11, I64),
    (12, Struct(STATISTICS)),
    (13, List(&Struct(&[(1, I32), (2, I32), (3, I32)]))),
    (14, I64),
    (15, I32),
    (16, Struct(&[(1, I64), (2, List(&I64)), (3, List(&I64))])),
    (17, Never),
];
const CHUNK: Fields =
    &[(1, Binary), (2, I64), (3, Struct(COLUMN)), (4, I64), (5, I32), (6, I64), (7, I32), (8, Never), (9, Never)];
const ROW_GROUP: Fields = &[
    (1, List(&Struct(CHUNK))),
    (2, I64),
    (3, I64),
    (4, List(&Struct(&[(1, I32), (2, Bool), (3, Bool)]))),
    (5, I64),
    (6, I64),
    (7, I16),
];
const FILE: Fields = &[
    (1, I32),
    (2, List(&Struct(SCHEMA))),
    (3, I64),
    (4, List(&Struct(ROW_GROUP))),
    (5, List(&Struct(KEY_VALUE))),
    (6, Binary),
    (7, List(&Struct(&[(1, Struct(&[])), (2, Struct(&[]))]))),
    (8, Never),
    (9, Never),
];
const PAGE: Fields = &[
    (1, I32),
    (2, I32),
    (3, I32),
    (4, I32),
    (5, Struct(&[(1, I32), (2, I32), (3, I32), (4, I32), (5, Struct(STATISTICS))])),
    (6, Struct(&[])),
    (7, Struct(&[(1, I32), (2, I32), (3, Bool)])),
    (8, Struct(&[(1, I32), (2, I32), (3, I32), (4, I32), (5, I32), (6, I32), (7, Bool), (8, Struct(STATISTICS))])),
];

/// Walks the footer of a file.
pub(super) fn footer(file: &[u8]) -> Result<(), Unreadable> {
    let Some((rest, [a, b, c, d, b'P', b'A', b'R', b'1'])) = file.split_last_chunk::<8>() else {
        return Err(malformed("no Parquet footer"));
    };
    let length = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
    let start = rest.len().checked_sub(length).ok_or_else(|| malformed("a footer longer than the file"))?;
    let mut walk = Walk { rest: &rest[start..], path: Vec::new() };
    walk.fields(FILE, &mut |_, _| Ok(()))
}

/// Walks the headers of the pages in the bytes of a column chunk: no page may claim more than so many values, nor all of
/// them together more than so many bytes.
pub(super) fn pages(mut chunk: &[u8], values_max: u64, bytes_max: u64) -> Result<(), Unreadable> {
    let mut bytes = 0_u64;
    while !chunk.is_empty() {
        let mut compressed = None;
        let mut walk = Walk { rest: chunk, path: Vec::new() };
        walk.fields(PAGE, &mut |path, value| {
            let count = || u64::try_from(value).map_err(|_negative| malformed(format!("a page claims {value}")));
            match path {
                [2] => bytes = bytes.saturating_add(count()?),
                [3] => compressed = Some(count()?),
                [5 | 7 | 8, 1] if count()? > values_max => {
                    return Err(malformed(format!("a page claims {value} values: expected at most {values_max}")));
                }
                _ => {}
            }
            Ok(())
        })?;
        if bytes > bytes_max {
            return Err(malformed(format!("pages claim {bytes} bytes: expected at most {bytes_max}")));
        }
        let compressed = compressed.and_then(|length| usize::try_from(length).ok());
        chunk = compressed
            .and_then(|length| walk.rest.get(length..))
            .ok_or_else(|| malformed("a page is longer than its column"))?;
    }
    Ok(())
}

/// Whoever is told the numbers, with the ids of the fields that lead to each.
type Told<'t> = &'t mut dyn FnMut(&[i16], i64) -> Result<(), Unreadable>;

/// Thrift's compact protocol, from the front.
struct Walk<'a> {
    rest: &'a [u8],
    path: Vec<i16>,
}

/// Types by their numbers, as they stand before fields and elements.
mod number {
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const BYTE: u8 = 3;
    pub(super) const I16: u8 = 4;
    pub(super) const I32: u8 = 5;
    pub(super) const I64: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BINARY: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const SET: u8 = 10;
    pub(super) const MAP: u8 = 11;
    pub(super) const STRUCT: u8 = 12;
    pub(super) const UUID: u8 = 13;
}

impl Walk<'_> {
    fn fields(&mut self, known: Fields, told: Told<'_>) -> Result<(), Unreadable> {
        if self.path.len() >= DEPTH_MAX {
            return Err(malformed("structures too deep"));
        }
        let mut last = 0_i16;
        loop {
            let byte = self.byte()?;
            let kind = byte & 0x0f;
            if kind == 0 {
                return Ok(());
            }
            let id = match byte >> 4 {
                0 => i16::try_from(self.zigzag()?).map_err(|error| malformed(format!("id of a field: {error}")))?,
                delta => last.checked_add(i16::from(delta)).ok_or_else(|| malformed("id of a field above 32767"))?,
            };
            last = id;
            self.path.push(id);
            match known.iter().find(|(known, _)| *known == id) {
                Some((_, expected)) => self.known(*expected, kind, told)?,
                None => self.pass(kind)?,
            }
            self.path.pop();
        }
    }

    fn known(&mut self, expected: Kind, kind: u8, told: Told<'_>) -> Result<(), Unreadable> {
        let fits = match expected {
            Bool => matches!(kind, number::TRUE | number::FALSE),
            Byte => kind == number::BYTE,
            I16 => kind == number::I16,
            I32 => kind == number::I32,
            I64 => kind == number::I64,
            Binary => kind == number::BINARY,
            List(_) => kind == number::LIST,
            Struct(_) => kind == number::STRUCT,
            Never => false,
        };
        if !fits {
            return Err(malformed(format!("field {:?} has type {kind}", self.path)));
        }
        match expected {
            I16 | I32 | I64 => {
                let value = self.zigzag()?;
                told(&self.path, value)
            }
            List(element) => {
                let (kind, count) = self.list()?;
                (0..count).try_for_each(|_| self.known(*element, kind, told))
            }
            Struct(fields) => self.fields(fields, told),
            Bool | Byte | Binary | Never => self.pass(kind),
        }
    }

    /// Passes over a value of a type.
    fn pass(&mut self, kind: u8) -> Result<(), Unreadable> {
        match kind {
            number::TRUE | number::FALSE => Ok(()),
            number::BYTE => self.take(1),
            number::I16 | number::I32 | number::I64 => self.varint().map(|_value| ()),
            number::DOUBLE => self.take(8),
            number::UUID => self.take(16),
            number::BINARY => {
                let length = self.varint()?;
                self.take(length)
            }
            number::LIST | number::SET => {
                let (kind, count) = self.list()?;
                self.elements(&[kind], count)
            }
            number::MAP => match self.varint()? {
                0 => Ok(()),
                count => {
                    let kinds = self.byte()?;
                    self.elements(&[kinds >> 4, kinds & 0x0f], count)
                }
            },
            number::STRUCT => self.fields(&[], &mut |_, _| Ok(())),
            other => Err(malformed(format!("a value of type {other}"))),
        }
    }

    fn elements(&mut self, kinds: &[u8], count: u64) -> Result<(), Unreadable> {
        // A list inside a list has no field of its own, and is as deep.
        self.path.push(0);
        if self.path.len() >= DEPTH_MAX || count > LIST_MAX {
            return Err(malformed(format!("{count} elements, {} deep", self.path.len())));
        }
        for kind in (0..count).flat_map(|_| kinds) {
            if matches!(*kind, number::TRUE | number::FALSE) {
                return Err(malformed("a list of booleans, which Parquet does not have"));
            }
            self.pass(*kind)?;
        }
        self.path.pop();
        Ok(())
    }

    /// Type and number of the elements of a list.
    fn list(&mut self) -> Result<(u8, u64), Unreadable> {
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => self.varint()?,
            few => u64::from(few),
        };
        if count > LIST_MAX {
            return Err(malformed(format!("a list of {count} elements: expected at most {LIST_MAX}")));
        }
        Ok((header & 0x0f, count))
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        let (byte, rest) = self.rest.split_first().ok_or_else(|| malformed("it ends early"))?;
        self.rest = rest;
        Ok(*byte)
    }

    fn take(&mut self, length: impl TryInto<usize>) -> Result<(), Unreadable> {
        let rest = length.try_into().ok().and_then(|length: usize| self.rest.get(length..));
        self.rest = rest.ok_or_else(|| malformed("it ends early"))?;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed("a number above 64 bits"))
    }

    fn zigzag(&mut self) -> Result<i64, Unreadable> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }
}

#[cfg(test)]
mod tests;
