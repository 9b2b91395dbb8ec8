//! State reads of a block: which were asked for, and what their answers say. Nobody is asked here.

use alloy_primitives::Address;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use super::abi::{Kind, Static};
use super::eval::{BuildError, Field, Value, unfit};
use super::make;
use crate::mapping::{StateRead, Type};
use crate::reads::{Answers, READS_MAX, Reply, StateCall};

/// The answers that there are, those that were looked at, and the calls that have none.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    answers: &'a Answers,
    /// How many reads the rule may still ask for the log.
    left: Cell<usize>,
    asked: RefCell<Asked>,
}

/// What a block was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Calls whose answers were there.
    pub(crate) read: BTreeSet<StateCall>,
    /// Calls whose answers were not.
    pub(crate) unread: BTreeSet<StateCall>,
}

impl<'a> Reading<'a> {
    pub(crate) const fn of(answers: &'a Answers) -> Self {
        let asked = Asked { read: BTreeSet::new(), unread: BTreeSet::new() };
        Self { answers, left: Cell::new(READS_MAX), asked: RefCell::new(asked) }
    }

    /// Before a rule is read for a log.
    pub(super) fn begin(&self) {
        self.left.set(READS_MAX);
    }

    pub(crate) fn into_asked(self) -> Asked {
        self.asked.into_inner()
    }

    fn answer(&self, call: StateCall) -> Result<&'a Reply, BuildError> {
        let left = self.left.get().checked_sub(1);
        let spent = || BuildError::Shape(format!("the log asks for more state reads than {READS_MAX} by one rule"));
        self.left.set(left.ok_or_else(spent)?);
        let mut asked = self.asked.borrow_mut();
        if let Some(answer) = self.answers.get(&call) {
            asked.read.insert(call);
            return Ok(&answer.reply);
        }
        let error = BuildError::Shape(format!("no answer to {call} at the end of the block is there"));
        asked.unread.insert(call);
        Err(error)
    }
}

impl<'a> Field<'a> {
    /// What a contract answers. As in Solidity it is no answer when there is no code, or other bytes come back.
    pub(super) fn state(self, read: &'a StateRead) -> Result<Value<'a>, BuildError> {
        let to = Field { expr: &read.of, ..self }.address()?;
        let data = self.calldata(read)?.into();
        let reply = self.source.reading.answer(StateCall { to, data })?;
        self.source.charge(reply.bytes().len())?;
        let taken = match reply {
            Reply::Returned(bytes) => {
                let args = read.returns.decode_call(bytes).map_err(BuildError::Shape);
                args.and_then(|args| make::taken(&args, &read.take))
            }
            Reply::Reverted => Err(BuildError::Shape("it reverted".to_owned())),
            Reply::Oversize => Err(BuildError::Shape("its answer is too long".to_owned())),
        };
        match taken {
            Err(_) if read.may_revert => Ok(Value::Nothing),
            Err(error) => Err(BuildError::Shape(format!("{} of {to:#x} gave no answer: {error}", read.signature))),
            value => value,
        }
    }

    /// Selector and arguments, as `abi.encode` writes them.
    fn calldata(self, read: &'a StateRead) -> Result<Vec<u8>, BuildError> {
        let heads = read.with.len().saturating_mul(32);
        let (mut head, mut tail) = (read.selector.to_vec(), Vec::new());
        for (kind, expr) in &read.with {
            let value = Field { expr, ..self }.value()?;
            if let Kind::Static(word) = kind {
                head.extend(encoded(value, *word)?);
                continue;
            }
            head.extend(number(heads.saturating_add(tail.len())));
            let bytes = value.packed("an argument")?;
            self.source.charge(bytes.len())?;
            tail.extend(number(bytes.len()));
            tail.extend_from_slice(&bytes);
            tail.resize(tail.len().next_multiple_of(32), 0);
        }
        head.extend(tail);
        Ok(head)
    }
}

fn encoded(value: Value<'_>, word: Static) -> Result<[u8; 32], BuildError> {
    if let (Value::Bool(truth), Static::Bool) = (&value, word) {
        return Ok(number(usize::from(*truth)));
    }
    let mut out = [0; 32];
    match make::cast(value, &Type::Word(word))? {
        Value::Unsigned(word, _) | Value::Signed(word, _) | Value::Id(word) => out = word,
        Value::Address(address) => return Ok(Address::from(address).into_word().0),
        Value::Bytes(bytes) if bytes.len() <= 32 => out[..bytes.len()].copy_from_slice(&bytes),
        other => return Err(unfit(other.what(), "an argument")),
    }
    Ok(out)
}

fn number(value: usize) -> [u8; 32] {
    alloy_primitives::U256::from(value).to_be_bytes()
}
