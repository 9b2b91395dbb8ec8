//! Signatures as Solidity writes them, with the names of components: `Sold(uint256 indexed id, (address to, uint8 n)[] lots)`.
//!
//! The ABI crate reads signatures too, but no names inside tuples, and those are what paths are made of.

use alloy_json_abi::{Event as AbiEvent, EventParam, Param as AbiParam};
use alloy_primitives::{Selector, keccak256};

use crate::decode::Kind;

/// Deepest nesting of tuples.
const DEPTH_MAX: usize = 8;

/// Reads the signature of an event.
pub(crate) fn event(text: &str) -> Result<AbiEvent, String> {
    let trimmed = text.trim();
    let trimmed = trimmed.strip_prefix("event ").unwrap_or(trimmed).trim_end_matches(';').trim();
    let (name, rest) = trimmed.split_once('(').ok_or_else(|| format!("event {text:?}: expected NAME(ARGUMENTS)"))?;
    let name = name.trim();
    if !is_name(name) {
        return Err(format!("event {text:?}: {name:?} is no name"));
    }
    let (list, rest) = rest.rsplit_once(')').ok_or_else(|| format!("event {text:?}: expected ) at its end"))?;
    let anonymous = match rest.trim() {
        "" => false,
        "anonymous" => true,
        other => return Err(format!("event {text:?}: {other:?} follows it")),
    };
    let params = list_of(list, 0).map_err(|reason| format!("event {text:?}: {reason}"))?;
    let inputs = params.into_iter().map(|(param, indexed)| EventParam {
        ty: param.ty,
        name: param.name,
        indexed,
        components: param.components,
        internal_type: None,
    });
    Ok(AbiEvent { name: name.to_owned(), inputs: inputs.collect(), anonymous })
}

/// Reads the signature of a function; its selector and its parameters.
pub(crate) fn function(text: &str) -> Result<(Selector, Vec<AbiParam>), String> {
    let trimmed = text.trim();
    let trimmed = trimmed.strip_prefix("function ").unwrap_or(trimmed).trim_end_matches(';').trim();
    let expected = || format!("function {text:?}: expected NAME(ARGUMENTS)");
    let (name, list) = trimmed.strip_suffix(')').and_then(|rest| rest.split_once('(')).ok_or_else(expected)?;
    if !is_name(name.trim()) {
        return Err(expected());
    }
    let inputs = parameters(list)?;
    let types: Vec<_> = inputs.iter().map(AbiParam::selector_type).collect();
    let hash = keccak256(format!("{}({})", name.trim(), types.join(",")));
    Ok((Selector::from_slice(&hash[..4]), inputs))
}

/// Reads a list of parameters: `uint256 amount, string uri`.
pub(super) fn parameters(text: &str) -> Result<Vec<AbiParam>, String> {
    let params = list_of(text, 0).map_err(|reason| format!("abi {text:?}: {reason}"))?;
    match params.iter().find(|(_, indexed)| *indexed) {
        Some((param, _)) => {
            Err(format!("abi {text:?}: {:?} is indexed, which only an event's argument can be", param.name))
        }
        None => Ok(params.into_iter().map(|(param, _)| param).collect()),
    }
}

fn list_of(text: &str, depth: usize) -> Result<Vec<(AbiParam, bool)>, String> {
    if depth > DEPTH_MAX {
        return Err(format!("tuples are nested more than {DEPTH_MAX} deep"));
    }
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    split(text)?.into_iter().map(|part| parameter(part.trim(), depth)).collect()
}

/// The parts between the commas that stand in no parentheses.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut open, mut start) = (Vec::new(), 0_usize, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => open += 1,
            ')' => open = open.checked_sub(1).ok_or("a ) too many")?,
            ',' if open == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if open > 0 {
        return Err("a ( too many".to_owned());
    }
    parts.push(&text[start..]);
    Ok(parts)
}

/// `TYPE [indexed] [NAME]`.
fn parameter(text: &str, depth: usize) -> Result<(AbiParam, bool), String> {
    let inner = text.strip_prefix("tuple").unwrap_or(text);
    let (ty, components, rest) = match inner.strip_prefix('(') {
        Some(inner) => {
            let (list, rest) = inner.rsplit_once(')').ok_or_else(|| format!("{text:?}: expected )"))?;
            let end = rest.find(|letter: char| letter.is_whitespace()).unwrap_or(rest.len());
            let components = list_of(list, depth + 1)?.into_iter().map(|(param, _)| param).collect();
            (format!("tuple{}", &rest[..end]), components, &rest[end..])
        }
        None => {
            let end = text.find(|letter: char| letter.is_whitespace()).unwrap_or(text.len());
            (canonical(&text[..end]), Vec::new(), &text[end..])
        }
    };
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (indexed, name) = match words.as_slice() {
        [] => (false, ""),
        ["indexed"] => (true, ""),
        ["indexed", name] => (true, *name),
        [name] => (false, *name),
        _ => return Err(format!("{text:?}: expected TYPE [indexed] [NAME]")),
    };
    if !(name.is_empty() || is_name(name)) {
        return Err(format!("{text:?}: {name:?} is no name"));
    }
    Kind::parse(&ty, &components, depth)?;
    Ok((AbiParam { ty, name: name.to_owned(), components, internal_type: None }, indexed))
}

/// `uint` and `int` stand for the widest ones.
fn canonical(ty: &str) -> String {
    let (base, arrays) = ty.split_at(ty.find('[').unwrap_or(ty.len()));
    match base {
        "uint" | "int" => format!("{base}256{arrays}"),
        _ => ty.to_owned(),
    }
}

fn is_name(text: &str) -> bool {
    let letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_' || letter == '$';
    text.starts_with(letter) && text.chars().all(|one| letter(one) || one.is_ascii_digit())
}
