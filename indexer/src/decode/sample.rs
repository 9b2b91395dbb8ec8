//! Encodings that a rule is tried on when it is loaded.

use super::abi::{Kind, Static};

const WORD: usize = 32;

/// A sequence of heads with the tails behind them, every word filled alike.
pub(super) struct Sample {
    fill: u8,
    heads_size: usize,
    heads: Vec<u8>,
    tails: Vec<u8>,
}

impl Sample {
    pub(super) const fn new(fill: u8, heads_size: usize) -> Self {
        Self { fill, heads_size, heads: Vec::new(), tails: Vec::new() }
    }

    /// The word of a topic or a static argument; of what has no word of its own, one byte of text.
    pub(super) fn word(&self, kind: &Kind) -> [u8; WORD] {
        let mut word = [0; WORD];
        match kind {
            Kind::Static(Static::Fixed(_)) => word[0] = self.fill,
            Kind::Static(_) => word[WORD - 1] = self.fill,
            // Valid UTF-8 whatever the fill.
            _ => word[0] = b'0' + self.fill,
        }
        word
    }

    pub(super) fn push(&mut self, kind: &Kind) {
        match kind {
            Kind::Static(_) => self.heads.extend(self.word(kind)),
            Kind::Tuple(parts) if !kind.is_dynamic() => parts.iter().for_each(|(_, part)| self.push(part)),
            Kind::Fixed(element, count) if !kind.is_dynamic() => (0..*count).for_each(|_| self.push(element)),
            _ => {
                self.heads.extend(number(self.heads_size + self.tails.len()));
                self.tails.extend(self.body(kind));
            }
        }
    }

    fn body(&self, kind: &Kind) -> Vec<u8> {
        let inner = |heads_size| Self::new(self.fill, heads_size);
        let mut out = Vec::new();
        match kind {
            Kind::Tuple(parts) => {
                let mut sequence = inner(parts.iter().map(|(_, part)| part.head()).sum());
                parts.iter().for_each(|(_, part)| sequence.push(part));
                out.extend(sequence.finish());
            }
            Kind::Fixed(element, count) => {
                let mut sequence = inner(element.head().saturating_mul(*count));
                (0..*count).for_each(|_| sequence.push(element));
                out.extend(sequence.finish());
            }
            Kind::List(element) => {
                let mut sequence = inner(element.head());
                sequence.push(element);
                out.extend(number(1));
                out.extend(sequence.finish());
            }
            Kind::Static(_) | Kind::Bytes | Kind::Text => {
                out.extend(number(1));
                out.extend(self.word(kind));
            }
        }
        out
    }

    pub(super) fn finish(self) -> Vec<u8> {
        [self.heads, self.tails].concat()
    }
}

fn number(value: usize) -> [u8; WORD] {
    let mut word = [0; WORD];
    word[WORD - 8..].copy_from_slice(&u64::try_from(value).unwrap_or(u64::MAX).to_be_bytes());
    word
}
