//! A mapping file to fill in, from a contract's ABI.

use alloy_json_abi::{Event as AbiEvent, JsonAbi};
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::decode::Shape;

/// A commented mapping file with a rule for every event of a JSON ABI.
///
/// Each rule is sound as it stands: it records the event as an attestation of its contract, until it is told what the
/// event means. Events without a topic cannot be matched and are left out, with a comment.
pub fn skeleton(name: &str, abi: &str) -> Result<String, String> {
    let tree: serde_json::Value = serde_json::from_str(abi).map_err(|error| error.to_string())?;
    let list = tree.get("abi").unwrap_or(&tree).clone();
    let abi: JsonAbi = serde_json::from_value(list).map_err(|error| error.to_string())?;
    let mut out = format!(
        "# Written by `tributary mapping init`. Every rule is sound as it stands and records its event as an attestation of\n\
         # the contract that emitted it. Say what an event means with `emit`, name the fields of that kind, then run\n\
         # `tributary mapping check`. `tributary mapping kinds` lists the kinds and their fields.\n\
         # `emitter` is whose logs are meant: \"any\", an address, or a role of the configured contracts.\n\n\
         name = {name:?}\nversion = 1\n"
    );
    let mut taken = BTreeMap::<String, usize>::new();
    for event in abi.events() {
        let event = named(event);
        if let Err(reason) = Shape::event(&event) {
            line(&mut out, &format!("\n# {}: {reason}", event.signature()));
            continue;
        }
        if event.anonymous {
            line(&mut out, &format!("\n# {} is anonymous: there is no topic to match.", event.signature()));
            continue;
        }
        let count = taken.entry(kebab(&event.name)).and_modify(|count| *count += 1).or_insert(1);
        let suffix = if *count == 1 { String::new() } else { format!("-{count}") };
        rule(&mut out, &event, &format!("{}{suffix}", kebab(&event.name)));
    }
    if taken.is_empty() {
        return Err("the ABI has no event that can be matched: expected at least one".to_owned());
    }
    Ok(out)
}

fn rule(out: &mut String, event: &AbiEvent, name: &str) {
    line(out, "\n[[rule]]");
    line(out, &format!("name = {name:?}\nemitter = \"any\"\nevent = {:?}", signature(event)));
    line(out, "emit = \"AttestationRecorded\"\n# Arguments:");
    for input in &event.inputs {
        let hashed = input.indexed && (!input.components.is_empty() || input.ty.ends_with(']') || is_long(&input.ty));
        let note = if hashed { ", of which the log has the keccak256 alone" } else { "" };
        line(out, &format!("#   {} ({}{note})", input.name, input.selector_type()));
    }
    line(
        out,
        &format!(
            "[rule.fields]\n\
             attestation = {{ native = \"attestation\", key = {{ keccak = [{{ from = \"tx.hash\" }}, {{ from = \"log.index\" }}] }} }}\n\
             schema = {{ const = \"{}\" }}\n\
             subject = {{ cast = \"bytes32\", of = {{ from = \"emitter\" }} }}\n\
             attester = {{ from = \"emitter\" }}\n\
             decimals = {{ const = 0 }}\n\
             tag = {{ const = {:?} }}\n\
             uri = {{ const = \"\" }}\n\
             data_hash = {{ keccak = {{ from = \"log.data\" }} }}",
            event.selector(),
            event.name,
        ),
    );
}

fn is_long(ty: &str) -> bool {
    matches!(ty, "string" | "bytes")
}

/// The event with a name for every argument: each must be one that can be named.
fn named(event: &AbiEvent) -> AbiEvent {
    let mut event = event.clone();
    let mut taken = Vec::<String>::new();
    for (index, input) in event.inputs.iter_mut().enumerate() {
        if input.name.is_empty() || taken.contains(&input.name) {
            input.name = format!("arg{index}");
        }
        taken.push(input.name.clone());
    }
    event
}

/// The signature with indexed marks and the names of arguments and components.
pub(super) fn signature(event: &AbiEvent) -> String {
    let inputs = event.inputs.iter().map(|input| {
        let indexed = if input.indexed { " indexed" } else { "" };
        format!("{}{indexed} {}", full(&input.ty, &input.components), input.name)
    });
    format!("{}({})", event.name, inputs.collect::<Vec<_>>().join(", "))
}

fn full(ty: &str, components: &[alloy_json_abi::Param]) -> String {
    let Some(arrays) = ty.strip_prefix("tuple") else { return ty.to_owned() };
    let parts = components.iter().map(|part| format!("{} {}", full(&part.ty, &part.components), part.name));
    let parts: Vec<String> = parts.map(|part| part.trim_end().to_owned()).collect();
    format!("({}){arrays}", parts.join(", "))
}

fn kebab(name: &str) -> String {
    let mut out = String::new();
    let mut before = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && before {
            out.push('-');
        }
        before = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        out.push(letter.to_ascii_lowercase());
    }
    out.replace('_', "-")
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a String takes everything");
}
