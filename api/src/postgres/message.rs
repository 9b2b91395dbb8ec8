//! The messages of the protocol, version 3.0, by the PostgreSQL manual's chapter "Message Formats".
//!
//! They are declared here because what a stranger sends may be anything: the reader of the crate `pgwire` ends in a panic
//! where a message is shorter than it says, and its server bounds neither portals nor waiting.

use std::collections::BTreeMap;

/// A message that is none; says what was wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) String);

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// TLS or encryption by Kerberos is asked for.
    Encryption,
    /// A query of another connection is to be stopped.
    Cancel { process: i32, secret: i32 },
    /// The client's settings; `minor` is the version of the protocol beyond 3.
    Start { minor: u16, settings: BTreeMap<String, String> },
}

impl Opening {
    /// Reads what follows the length.
    pub(super) fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(body);
        match (fields.u16()?, fields.u16()?) {
            (1234, 5679 | 5680) => Ok(Self::Encryption),
            (1234, 5678) => Ok(Self::Cancel { process: fields.i32()?, secret: fields.i32()? }),
            (3, minor) => {
                let mut settings = BTreeMap::new();
                loop {
                    let name = fields.text()?;
                    if name.is_empty() {
                        return Ok(Self::Start { minor, settings });
                    }
                    settings.insert(name, fields.text()?);
                }
            }
            (major, minor) => Err(Malformed(format!("protocol {major}.{minor} is not spoken: expected 3.0"))),
        }
    }
}

/// What a statement or portal is called; the empty name is one, too.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Statement(String),
    Portal(String),
}

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Password(String),
    Query(String),
    Parse {
        name: String,
        query: String,
        types: Vec<u32>,
    },
    Bind(Bind),
    Describe(Target),
    Execute {
        portal: String,
        rows: usize,
    },
    Close(Target),
    Flush,
    Sync,
    Terminate,
    /// Data of a COPY, which is never under way.
    Copy,
}

/// Values for a statement.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) formats: Vec<i16>,
    pub(super) values: Vec<Option<Vec<u8>>>,
    pub(super) results: Vec<i16>,
}

impl Said {
    /// Reads what follows the kind and the length.
    pub(super) fn read(kind: u8, body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(body);
        let said = match kind {
            b'p' => Self::Password(fields.text()?),
            b'Q' => Self::Query(fields.text()?),
            b'P' => Self::Parse {
                name: fields.text()?,
                query: fields.text()?,
                types: fields.list(|fields| fields.i32().map(i32::cast_unsigned))?,
            },
            b'B' => Self::Bind(Bind {
                portal: fields.text()?,
                statement: fields.text()?,
                formats: fields.list(Fields::i16)?,
                values: fields.list(Fields::value)?,
                results: fields.list(Fields::i16)?,
            }),
            b'D' => Self::Describe(fields.target()?),
            b'E' => Self::Execute { portal: fields.text()?, rows: usize::try_from(fields.i32()?).unwrap_or(0) },
            b'C' => Self::Close(fields.target()?),
            b'H' => Self::Flush,
            b'S' => Self::Sync,
            b'X' => Self::Terminate,
            b'd' | b'c' | b'f' => return Ok(Self::Copy),
            other => return Err(Malformed(format!("a message of kind {other:#04x} is not known"))),
        };
        if fields.0.is_empty() { Ok(said) } else { Err(Malformed("a message is longer than what it says".to_owned())) }
    }
}

/// What is left of a message.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or_else(short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.take().map(u16::from_be_bytes)
    }

    fn i16(&mut self) -> Result<i16, Malformed> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, Malformed> {
        self.take().map(i32::from_be_bytes)
    }

    /// Text up to a zero byte.
    fn text(&mut self) -> Result<String, Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(short)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        String::from_utf8(text.to_vec()).map_err(|_cause| Malformed("a text is not UTF-8".to_owned()))
    }

    /// A length and that many bytes; −1 is NULL.
    fn value(&mut self) -> Result<Option<Vec<u8>>, Malformed> {
        let Ok(length) = usize::try_from(self.i32()?) else { return Ok(None) };
        let (value, rest) = self.0.split_at_checked(length).ok_or_else(short)?;
        self.0 = rest;
        Ok(Some(value.to_vec()))
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        (0..self.u16()?).map(|_| one(self)).collect()
    }

    fn target(&mut self) -> Result<Target, Malformed> {
        match self.take()? {
            [b'S'] => self.text().map(Target::Statement),
            [b'P'] => self.text().map(Target::Portal),
            [other] => Err(Malformed(format!("{other:#04x} is neither a statement nor a portal"))),
        }
    }
}

fn short() -> Malformed {
    Malformed("a message is shorter than what it says".to_owned())
}

/// A column of an answer.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) oid: u32,
    pub(super) size: i16,
    pub(super) modifier: i32,
    /// 0 for text, 1 for binary.
    pub(super) format: i16,
}

/// Messages to a client, ready to be sent.
#[derive(Debug, Default)]
pub(super) struct Out(pub(super) Vec<u8>);

impl Out {
    /// A message of a kind: its length is known when its body is.
    pub(super) fn message(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        self.0.push(kind);
        let start = self.0.len();
        self.0.extend([0; 4]);
        body(&mut self.0);
        let length = i32::try_from(self.0.len() - start).unwrap_or(i32::MAX);
        if let Some(place) = self.0.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    pub(super) fn authentication(&mut self, code: i32) {
        self.message(b'R', |body| body.extend(code.to_be_bytes()));
    }

    pub(super) fn setting(&mut self, name: &str, value: &str) {
        self.message(b'S', |body| {
            put_text(body, name);
            put_text(body, value);
        });
    }

    pub(super) fn key(&mut self, process: i32, secret: i32) {
        self.message(b'K', |body| {
            body.extend(process.to_be_bytes());
            body.extend(secret.to_be_bytes());
        });
    }

    /// Says that minor version 0 is spoken, and that none of these settings of the protocol are known.
    pub(super) fn negotiate(&mut self, unknown: &[&str]) {
        self.message(b'v', |body| {
            body.extend(0i32.to_be_bytes());
            body.extend(i32::try_from(unknown.len()).unwrap_or(0).to_be_bytes());
            unknown.iter().for_each(|name| put_text(body, name));
        });
    }

    /// `state` is I outside a transaction, T inside one, E inside one that failed.
    pub(super) fn ready(&mut self, state: u8) {
        self.message(b'Z', |body| body.push(state));
    }

    pub(super) fn complete(&mut self, tag: &str) {
        self.message(b'C', |body| put_text(body, tag));
    }

    /// A message without a body.
    pub(super) fn bare(&mut self, kind: u8) {
        self.message(kind, |_| {});
    }

    pub(super) fn error(&mut self, severity: &str, state: &str, message: &str) {
        self.tell(b'E', severity, state, message);
    }

    /// Something that a client should know of an answer.
    pub(super) fn notice(&mut self, state: &str, message: &str) {
        self.tell(b'N', "WARNING", state, message);
    }

    fn tell(&mut self, kind: u8, severity: &str, state: &str, message: &str) {
        self.message(kind, |body| {
            for (field, value) in [(b'S', severity), (b'V', severity), (b'C', state), (b'M', message)] {
                body.push(field);
                put_text(body, value);
            }
            body.push(0);
        });
    }

    pub(super) fn parameters(&mut self, types: &[u32]) {
        self.message(b't', |body| {
            put_count(body, types.len());
            types.iter().for_each(|oid| body.extend(oid.to_be_bytes()));
        });
    }

    pub(super) fn columns(&mut self, columns: &[Column]) {
        self.message(b'T', |body| {
            put_count(body, columns.len());
            for column in columns {
                put_text(body, &column.name);
                // Of no table, and no column of it.
                body.extend([0; 6]);
                body.extend(column.oid.to_be_bytes());
                body.extend(column.size.to_be_bytes());
                body.extend(column.modifier.to_be_bytes());
                body.extend(column.format.to_be_bytes());
            }
        });
    }
}

/// Text and the zero byte that ends it; zero bytes in it would end it early.
fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend(text.bytes().map(|byte| if byte == 0 { b' ' } else { byte }));
    body.push(0);
}

/// A number of fields; there are at most 1,600 columns in PostgreSQL, and two bytes to say so.
pub(super) fn put_count(body: &mut Vec<u8>, count: usize) {
    body.extend(u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_is_read() {
        let bind = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x02ab\xff\xff\xff\xff\0\0";
        let values = vec![Some(b"ab".to_vec()), None];
        let (portal, statement) = ("p".to_owned(), "s".to_owned());
        let expected = Bind { portal, statement, formats: vec![1], values, results: Vec::new() };
        assert_eq!(Said::read(b'B', bind), Ok(Said::Bind(expected)));
        assert_eq!(Said::read(b'Q', b"select 1\0"), Ok(Said::Query("select 1".to_owned())));
        assert_eq!(Said::read(b'E', b"\0\0\0\0\x05"), Ok(Said::Execute { portal: String::new(), rows: 5 }));
        let settings = BTreeMap::from([("user".to_owned(), "ann".to_owned())]);
        assert_eq!(Opening::read(b"\0\x03\0\0user\0ann\0\0"), Ok(Opening::Start { minor: 0, settings }));
        assert_eq!(Opening::read(b"\x04\xd2\x16\x2f"), Ok(Opening::Encryption));
    }

    #[test]
    fn whatever_is_cut_short_is_refused() {
        let whole: [(u8, &[u8]); 6] = [
            (b'P', b"n\0select 1\0\0\x01\0\0\0\x17"),
            (b'B', b"p\0s\0\0\x01\0\x01\0\x01\0\0\0\x02ab\0\x01\0\x01"),
            (b'D', b"Sname\0"),
            (b'E', b"p\0\0\0\0\x05"),
            (b'Q', b"select 1\0"),
            (b'p', b"secret\0"),
        ];
        for (kind, body) in whole {
            assert!(Said::read(kind, body).is_ok(), "{body:?}");
            for end in 0..body.len() {
                assert!(Said::read(kind, &body[..end]).is_err(), "{:?}", &body[..end]);
            }
            assert!(Said::read(kind, &[body, b"more"].concat()).is_err());
        }
        assert!(Said::read(b'Q', b"\xff\0").is_err() && Said::read(b'?', b"").is_err());
        assert!(Said::read(b'D', b"Xname\0").is_err());
        for end in 0..14 {
            assert!(Opening::read(&b"\0\x03\0\0user\0ann\0\0"[..end]).is_err());
        }
        assert!(Opening::read(b"\0\x02\0\0\0").is_err(), "another version");
    }
}
