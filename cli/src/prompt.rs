//! A prompt on a terminal: a line that is edited, what was typed before, and names that are completed.
//!
//! It is here because the ready ones (rustyline, reedline) turn on features of libc and mio, under everything else.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Lines that are remembered.
const HISTORY_MAX: usize = 1_000;

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Sign(char),
    Left,
    Right,
    Home,
    End,
    Older,
    Newer,
    Backspace,
    Delete,
    KillToEnd,
    KillLine,
    KillWord,
    Complete,
    Enter,
    Abandon,
    EndOfInput,
    Nothing,
}

/// A prompt, with what was typed before and the words that may be completed.
#[derive(Debug, Default)]
pub(crate) struct Prompt {
    history: Vec<String>,
    /// Where the history is kept, if anywhere.
    file: Option<PathBuf>,
    words: Vec<String>,
}

/// A line that is being edited.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    signs: Vec<char>,
    at: usize,
    /// How many lines back in the history it is from.
    back: usize,
    /// Words that it could go on with, to be shown.
    offered: Vec<String>,
}

/// What a line came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    Line(String),
    /// The line was given up.
    Abandoned,
    /// There will be no more.
    End,
}

impl Prompt {
    /// A prompt that completes these words; the history is read from `file` and written there.
    pub(crate) fn new(file: Option<PathBuf>, words: Vec<String>) -> Self {
        let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        Self { history: text.lines().map(str::to_owned).collect(), file, words }
    }

    /// Reads a line from the terminal.
    pub(crate) fn read(&mut self, prompt: &str) -> std::io::Result<Typed> {
        let _raw = Raw::enter()?;
        let mut line = Line::default();
        loop {
            line.show(prompt)?;
            match key()? {
                Key::Enter => {
                    say("\r\n")?;
                    let text = line.text();
                    self.remember(&text);
                    return Ok(Typed::Line(text));
                }
                Key::Abandon => {
                    say("^C\r\n")?;
                    return Ok(Typed::Abandoned);
                }
                Key::EndOfInput if line.signs.is_empty() => {
                    say("\r\n")?;
                    return Ok(Typed::End);
                }
                key => line.take(key, &self.history, &self.words),
            }
        }
    }

    fn remember(&mut self, text: &str) {
        if text.trim().is_empty() || self.history.last().is_some_and(|last| last == text) {
            return;
        }
        self.history.push(text.to_owned());
        let excess = self.history.len().saturating_sub(HISTORY_MAX);
        self.history.drain(..excess);
        let Some(file) = &self.file else { return };
        let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = folder.and_then(|()| std::fs::write(file, self.history.join("\n") + "\n")) {
            tracing::debug!(%error, "the history of the prompt cannot be kept");
        }
    }
}

impl Line {
    fn text(&self) -> String {
        self.signs.iter().collect()
    }

    fn take(&mut self, key: Key, history: &[String], words: &[String]) {
        self.offered.clear();
        match key {
            Key::Sign(sign) => {
                self.signs.insert(self.at, sign);
                self.at += 1;
            }
            Key::Left => self.at = self.at.saturating_sub(1),
            Key::Right => self.at = std::cmp::min(self.at + 1, self.signs.len()),
            Key::Home => self.at = 0,
            Key::End => self.at = self.signs.len(),
            Key::Older => self.turn(std::cmp::min(self.back + 1, history.len()), history),
            Key::Newer => self.turn(self.back.saturating_sub(1), history),
            Key::Backspace if self.at > 0 => {
                self.at -= 1;
                self.signs.remove(self.at);
            }
            Key::Delete | Key::EndOfInput if self.at < self.signs.len() => {
                self.signs.remove(self.at);
            }
            Key::KillToEnd => self.signs.truncate(self.at),
            Key::KillLine => self.cut(0),
            Key::KillWord => {
                let spaces = self.signs[..self.at].iter().rev().take_while(|sign| sign.is_whitespace()).count();
                let word = self.signs[..self.at - spaces].iter().rev().take_while(|sign| !sign.is_whitespace()).count();
                self.cut(self.at - spaces - word);
            }
            Key::Complete => self.complete(words),
            _ => {}
        }
    }

    /// Takes out what is between a place and the cursor.
    fn cut(&mut self, from: usize) {
        self.signs.drain(from..self.at);
        self.at = from;
    }

    fn turn(&mut self, back: usize, history: &[String]) {
        self.back = back;
        let line = history.len().checked_sub(back).and_then(|at| history.get(at));
        self.signs = line.map(|line| line.chars().collect()).unwrap_or_default();
        self.at = self.signs.len();
    }

    /// Goes on with what all words have in common that begin as the word before the cursor does; when that is nothing
    /// more, they are offered.
    fn complete(&mut self, words: &[String]) {
        let is_name = |sign: &&char| sign.is_alphanumeric() || **sign == '_' || **sign == '.';
        let length = self.signs[..self.at].iter().rev().take_while(is_name).count();
        let begun: String = self.signs[self.at - length..self.at].iter().collect();
        let lower = begun.to_lowercase();
        let mut found: Vec<&String> =
            words.iter().filter(|word| !begun.is_empty() && word.to_lowercase().starts_with(&lower)).collect();
        found.sort();
        found.dedup();
        let Some(first) = found.first() else { return };
        let common = found.iter().fold(first.chars().count(), |common, word| {
            let same = first.chars().zip(word.chars()).take_while(|(a, b)| a == b).count();
            std::cmp::min(common, same)
        });
        let rest: Vec<char> = first.chars().take(common).skip(length).collect();
        if rest.is_empty() && found.len() > 1 {
            self.offered = found.into_iter().cloned().collect();
        }
        let count = rest.len();
        self.signs.splice(self.at..self.at, rest);
        self.at += count;
    }

    /// Draws the part of the line around the cursor that fits.
    fn show(&self, prompt: &str) -> std::io::Result<()> {
        if !self.offered.is_empty() {
            say(&format!("\r\n{}\r\n", self.offered.join("  ")))?;
        }
        // A terminal that does not know its width says 0.
        let width = tcgetwinsize(std::io::stderr()).map_or(0, |size| usize::from(size.ws_col));
        let width = if width == 0 { 80 } else { width };
        let room = std::cmp::max(width.saturating_sub(prompt.chars().count() + 1), 8);
        let first = self.at.saturating_sub(room);
        let shown: String = self.signs.iter().skip(first).take(room).collect();
        let column = prompt.chars().count() + self.at - first;
        say(&format!("\r{prompt}{shown}\x1b[K\r\x1b[{column}C"))
    }
}

fn say(text: &str) -> std::io::Result<()> {
    let mut err = std::io::stderr().lock();
    err.write_all(text.as_bytes())?;
    err.flush()
}

/// The next key, as terminals send it (ECMA-48).
fn key() -> std::io::Result<Key> {
    let Some(first) = byte()? else { return Ok(Key::EndOfInput) };
    Ok(match first {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Complete,
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Abandon,
        0x04 => Key::EndOfInput,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x08 | 0x7f => Key::Backspace,
        0x0b => Key::KillToEnd,
        0x0e => Key::Newer,
        0x10 => Key::Older,
        0x15 => Key::KillLine,
        0x17 => Key::KillWord,
        0x1b => escaped()?,
        0x00..=0x1f => Key::Nothing,
        first => sign(first)?,
    })
}

/// What follows an escape.
fn escaped() -> std::io::Result<Key> {
    let Some(b'[' | b'O') = byte()? else { return Ok(Key::Nothing) };
    let mut number = 0u8;
    loop {
        match byte()? {
            Some(digit @ b'0'..=b'9') => number = digit - b'0',
            Some(b';') => {}
            Some(b'A') => return Ok(Key::Older),
            Some(b'B') => return Ok(Key::Newer),
            Some(b'C') => return Ok(Key::Right),
            Some(b'D') => return Ok(Key::Left),
            Some(b'H') => return Ok(Key::Home),
            Some(b'F') => return Ok(Key::End),
            Some(b'~') => {
                return Ok(match number {
                    1 | 7 => Key::Home,
                    3 => Key::Delete,
                    4 | 8 => Key::End,
                    _ => Key::Nothing,
                });
            }
            _ => return Ok(Key::Nothing),
        }
    }
}

/// A sign in UTF-8, by its first byte.
fn sign(first: u8) -> std::io::Result<Key> {
    let mut bytes = vec![first];
    let more = match first {
        0xc0..=0xdf => 1,
        0xe0..=0xef => 2,
        0xf0..=0xf7 => 3,
        _ => 0,
    };
    for _ in 0..more {
        bytes.extend(byte()?);
    }
    let sign = std::str::from_utf8(&bytes).ok().and_then(|text| text.chars().next());
    Ok(sign.map_or(Key::Nothing, Key::Sign))
}

fn byte() -> std::io::Result<Option<u8>> {
    let mut one = [0];
    let read = std::io::stdin().lock().read(&mut one)?;
    Ok((read == 1).then_some(one[0]))
}

/// The terminal without its own editing; as it was when dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.0) {
            tracing::warn!(%error, "the terminal cannot be set as it was");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Line};

    fn typed(keys: &[Key]) -> (String, usize, Vec<String>) {
        let history = ["select 1".to_owned(), "select 2".to_owned()];
        let words = ["epochs", "epoch", "epoch_conservation", "entitlements"].map(str::to_owned);
        let mut line = Line::default();
        keys.iter().for_each(|key| line.take(*key, &history, &words));
        (line.text(), line.at, line.offered)
    }

    fn text(text: &str) -> Vec<Key> {
        text.chars().map(Key::Sign).collect()
    }

    #[test]
    fn a_line_is_edited() {
        for (keys, expected, at) in [
            ([text("ab"), vec![Key::Left, Key::Sign('ü')]].concat(), "aüb", 2),
            ([text("ab"), vec![Key::Home, Key::Delete, Key::End]].concat(), "b", 1),
            ([text("ab"), vec![Key::Backspace, Key::Backspace, Key::Backspace]].concat(), "", 0),
            ([text("one two  "), vec![Key::KillWord]].concat(), "one ", 4),
            ([text("one two"), vec![Key::Left, Key::KillToEnd]].concat(), "one tw", 6),
            ([text("one two"), vec![Key::Left, Key::KillLine]].concat(), "o", 0),
            ([text("x"), vec![Key::Right, Key::Delete, Key::EndOfInput, Key::Nothing]].concat(), "x", 1),
            (vec![Key::Older], "select 2", 8),
            (vec![Key::Older, Key::Older, Key::Older], "select 1", 8),
            (vec![Key::Older, Key::Older, Key::Newer], "select 2", 8),
            (vec![Key::Older, Key::Newer, Key::Newer], "", 0),
        ] {
            let (line, place, _) = typed(&keys);
            assert_eq!((line.as_str(), place), (expected, at), "{keys:?}");
        }
    }

    #[test]
    fn names_are_completed() {
        let complete = |begun: &str| typed(&[text(begun), vec![Key::Complete]].concat());
        assert_eq!(complete("from en").0, "from entitlements");
        assert_eq!(complete("EP").0, "EPoch");
        assert_eq!(complete("from epoch").2, ["epoch", "epoch_conservation", "epochs"]);
        assert_eq!(complete("from epoch_").0, "from epoch_conservation");
        assert_eq!(complete("from nothing").0, "from nothing");
        assert_eq!(complete(""), (String::new(), 0, Vec::new()));
    }
}
