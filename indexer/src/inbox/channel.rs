//! Frames become channels.
//!
//! Two sets of rules. Until Holocene, frames of many channels are buffered and may come in any order; a channel is
//! read when it has its last frame and all before it. From Holocene there is one staging channel: a first frame
//! begins it (and ends an unclosed one without result), every other frame has to be the next one, anything else is
//! dropped (specs/protocol/holocene/derivation.md, "Frame Queue" and "Channel Bank"). Under both, a channel whose
//! frames come too late is lost.
//!
//! Before Canyon a channel also waited for those opened before it. That changes when a channel is read, not what it
//! holds, so it is not modelled.

use super::compression::{self, Decompressed};
use super::frame::{ChannelId, FRAME_OVERHEAD, Frame};
use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Forks that changed how an inbox is read, oldest first. Which one holds is judged by the time of the L1 block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fork {
    /// Everything before Fjord.
    Bedrock,
    /// Brotli; ten times larger channels.
    Fjord,
    /// A channel times out after 50 L1 blocks.
    Granite,
    /// Frames in order.
    Holocene,
}

/// The rules of a fork. All bounds are op-node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Whether frames must come in order (Holocene).
    pub ordered: bool,
    /// L1 blocks after its first frame in which a channel's frames count.
    pub timeout_blocks: u64,
    /// Whether a channel may be brotli.
    pub brotli: bool,
    /// Most bytes a channel may decompress to (`MAX_RLP_BYTES_PER_CHANNEL`); what is beyond is cut off. With
    /// `ordered` also the most its frames may weigh: above it the channel is dropped.
    pub channel_bytes_max: usize,
    /// Most bytes all open channels may weigh (`MAX_CHANNEL_BANK_SIZE`); above it the oldest is dropped.
    pub open_bytes_max: usize,
}

impl Rules {
    /// The rules in force from a fork on.
    #[must_use]
    pub const fn of(fork: Fork) -> Self {
        let fjord = !matches!(fork, Fork::Bedrock);
        Self {
            ordered: matches!(fork, Fork::Holocene),
            timeout_blocks: if matches!(fork, Fork::Bedrock | Fork::Fjord) { 300 } else { 50 },
            brotli: fjord,
            channel_bytes_max: if fjord { 100_000_000 } else { 10_000_000 },
            open_bytes_max: if fjord { 1_000_000_000 } else { 100_000_000 },
        }
    }
}

/// Which posting carried a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// Number of the L1 block.
    pub l1_block: u64,
    /// Hash of the L1 transaction.
    pub l1_tx: B256,
    /// keccak256 of the alt-DA commitment; `None` for calldata and for blobs.
    pub commitment: Option<B256>,
    /// Place of the EIP-4844 blob among those of the transaction; `None` for everything else.
    pub blob: Option<u32>,
}

/// A frame that was taken, with where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its bytes of the channel.
    pub data: Vec<u8>,
    /// The posting that carried it.
    pub source: Source,
}

/// A channel with all its frames, in order from number zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name.
    pub id: ChannelId,
    /// Its frames.
    pub parts: Vec<Part>,
}

impl Channel {
    /// Decompresses it, within the bounds of the rules.
    #[must_use]
    pub fn decompress(&self, rules: &Rules) -> Decompressed {
        let parts: Vec<&[u8]> = self.parts.iter().map(|part| part.data.as_slice()).collect();
        compression::decompress(&parts, rules.channel_bytes_max, rules.brotli)
    }
}

/// What came of a payload's frames.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Channels that are complete now, in order.
    pub ready: Vec<Channel>,
    /// Frames that were not used, by their index in the payload.
    pub dropped: Vec<(usize, Dropped)>,
    /// Channels that were given up.
    pub lost: Vec<(ChannelId, Lost)>,
}

/// Why a frame was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Its number is not the next one (ordered rules).
    OutOfOrder {
        /// The number that would have been taken.
        expected: u16,
    },
    /// There is such a frame already.
    Duplicate,
    /// Its channel has its last frame, and this would come after it, or be another last one.
    AfterLast,
    /// Not a first frame, and its channel is not open (ordered rules).
    NotOpen,
    /// Its channel was given up for a later one of the same payload (ordered rules).
    Replaced,
}

impl fmt::Display for Dropped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfOrder { expected } => write!(formatter, "out of order, expected number {expected}"),
            Self::Duplicate => write!(formatter, "the channel has a frame of this number"),
            Self::AfterLast => write!(formatter, "the channel has its last frame"),
            Self::NotOpen => write!(formatter, "not a first frame, and its channel is not open"),
            Self::Replaced => write!(formatter, "its unclosed channel gave way to a later one"),
        }
    }
}

/// Why an open channel was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Another one began (ordered rules).
    Replaced,
    /// Its time was over.
    TimedOut,
    /// It weighed too much, or it was the oldest of too many.
    TooLarge,
    /// The rules changed.
    RulesChanged,
}

/// The channels that are open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channels {
    rules: Rules,
    /// By order of opening. With ordered rules there is at most one.
    open: BTreeMap<u64, Open>,
    /// Their keys in `open`.
    keys: BTreeMap<ChannelId, u64>,
    opened: u64,
    bytes: usize,
}

impl Channels {
    /// None is open.
    #[must_use]
    pub const fn new(rules: Rules) -> Self {
        Self { rules, open: BTreeMap::new(), keys: BTreeMap::new(), opened: 0, bytes: 0 }
    }

    /// Other rules from now on. Where frames begin to need their order, all that is open is lost.
    pub fn change_rules(&mut self, rules: Rules) -> Vec<(ChannelId, Lost)> {
        let mut taken = Taken::default();
        if rules.ordered != self.rules.ordered {
            self.give_up(|_| true, Lost::RulesChanged, &mut taken);
        }
        self.rules = rules;
        taken.lost
    }

    /// How many channels are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// What the open channels weigh: the data of their frames and [`FRAME_OVERHEAD`] for each.
    #[must_use]
    pub const fn open_bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the frames of one payload. Payloads have to be given in L1 order.
    pub fn take(&mut self, frames: &[Frame<'_>], source: &Source) -> Taken {
        let mut taken = Taken::default();
        let timeout = self.rules.timeout_blocks;
        self.give_up(|open| open.l1_block.saturating_add(timeout) < source.l1_block, Lost::TimedOut, &mut taken);
        let kept: Vec<usize> =
            if self.rules.ordered { prune(frames, &mut taken.dropped) } else { (0..frames.len()).collect() };
        for index in kept {
            let frame = &frames[index];
            let added = if self.rules.ordered {
                self.add_ordered(frame, source, &mut taken)
            } else {
                self.add_any(frame, source, &mut taken)
            };
            if let Err(dropped) = added {
                taken.dropped.push((index, dropped));
            }
        }
        taken.dropped.sort_by_key(|(index, _)| *index);
        taken
    }

    fn add_ordered(&mut self, frame: &Frame<'_>, source: &Source, taken: &mut Taken) -> Result<(), Dropped> {
        if frame.number == 0 {
            self.give_up(|_| true, Lost::Replaced, taken);
            self.begin(frame.channel, source);
        }
        let key = *self.keys.get(&frame.channel).ok_or(Dropped::NotOpen)?;
        let expected = self.open.get(&key).map_or(0, |open| u16::try_from(open.parts.len()).unwrap_or(u16::MAX));
        if frame.number != expected {
            return Err(Dropped::OutOfOrder { expected });
        }
        self.add(key, frame, source)?;
        if self.bytes > self.rules.channel_bytes_max {
            self.give_up(|_| true, Lost::TooLarge, taken);
        } else if frame.last {
            taken.ready.extend(self.remove(key).map(Open::close));
        }
        Ok(())
    }

    fn add_any(&mut self, frame: &Frame<'_>, source: &Source, taken: &mut Taken) -> Result<(), Dropped> {
        let key = match self.keys.get(&frame.channel) {
            Some(key) => *key,
            None => self.begin(frame.channel, source),
        };
        self.add(key, frame, source)?;
        if self.open.get(&key).is_some_and(Open::is_complete) {
            taken.ready.extend(self.remove(key).map(Open::close));
        }
        while self.bytes > self.rules.open_bytes_max
            && let Some(oldest) = self.open.keys().next().copied()
        {
            taken.lost.extend(self.remove(oldest).map(|open| (open.id, Lost::TooLarge)));
        }
        Ok(())
    }

    fn begin(&mut self, id: ChannelId, source: &Source) -> u64 {
        let key = self.opened;
        self.opened += 1;
        self.keys.insert(id, key);
        self.open.insert(key, Open::new(id, source));
        key
    }

    fn add(&mut self, key: u64, frame: &Frame<'_>, source: &Source) -> Result<(), Dropped> {
        let open = self.open.get_mut(&key).ok_or(Dropped::NotOpen)?;
        self.bytes -= open.bytes;
        let added = open.add(frame, source);
        self.bytes += open.bytes;
        added
    }

    fn remove(&mut self, key: u64) -> Option<Open> {
        let open = self.open.remove(&key)?;
        self.keys.remove(&open.id);
        self.bytes -= open.bytes;
        Some(open)
    }

    fn give_up(&mut self, which: impl Fn(&Open) -> bool, why: Lost, taken: &mut Taken) {
        let keys: Vec<u64> = self.open.iter().filter(|(_, open)| which(open)).map(|(key, _)| *key).collect();
        for key in keys {
            taken.lost.extend(self.remove(key).map(|open| (open.id, why)));
        }
    }
}

/// The frame queue of Holocene: which frames of a payload go on to the staging channel. A frame that does not follow
/// its predecessor is dropped; a first frame drops the frames of an unclosed channel before it.
fn prune(frames: &[Frame<'_>], dropped: &mut Vec<(usize, Dropped)>) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::with_capacity(frames.len());
    for (index, frame) in frames.iter().enumerate() {
        let Some(before) = kept.last().map(|last| &frames[*last]) else {
            kept.push(index);
            continue;
        };
        let refusal = match (before.channel == frame.channel, before.last) {
            (true, true) => Some(Dropped::AfterLast),
            (true, false) => {
                let expected = before.number.saturating_add(1);
                (frame.number != expected).then_some(Dropped::OutOfOrder { expected })
            }
            (false, _) => (frame.number != 0).then_some(Dropped::NotOpen),
        };
        if let Some(refusal) = refusal {
            dropped.push((index, refusal));
            continue;
        }
        if before.channel != frame.channel {
            while let Some(last) = kept.pop_if(|last| frames[*last].channel != frame.channel && !frames[*last].last) {
                dropped.push((last, Dropped::Replaced));
            }
        }
        kept.push(index);
    }
    kept
}

/// A channel that is not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    id: ChannelId,
    /// L1 block of the first frame that came.
    l1_block: u64,
    parts: BTreeMap<u16, Part>,
    /// Number of its last frame, once that is known.
    last: Option<u16>,
    bytes: usize,
}

impl Open {
    const fn new(id: ChannelId, source: &Source) -> Self {
        Self { id, l1_block: source.l1_block, parts: BTreeMap::new(), last: None, bytes: 0 }
    }

    fn add(&mut self, frame: &Frame<'_>, source: &Source) -> Result<(), Dropped> {
        if self.last.is_some_and(|last| frame.last || frame.number >= last) {
            return Err(Dropped::AfterLast);
        }
        if self.parts.contains_key(&frame.number) {
            return Err(Dropped::Duplicate);
        }
        if frame.last {
            self.last = Some(frame.number);
            // Frames that came early and lie beyond the end do not count (ChannelBank.IngestFrame).
            for (_, beyond) in self.parts.extract_if(frame.number.., |_, _| true) {
                self.bytes -= beyond.data.len() + FRAME_OVERHEAD;
            }
        }
        self.bytes += frame.data.len() + FRAME_OVERHEAD;
        self.parts.insert(frame.number, Part { data: frame.data.to_vec(), source: *source });
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.last.is_some_and(|last| self.parts.len() == usize::from(last) + 1)
    }

    fn close(self) -> Channel {
        Channel { id: self.id, parts: self.parts.into_values().collect() }
    }
}

#[cfg(test)]
mod tests;
