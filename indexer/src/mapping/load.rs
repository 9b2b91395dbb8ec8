//! A mapping set as it is written, and what becomes of it: read, checked rule by rule and as a whole, or every problem.

use alloy_primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tributary_schemas::eigenda::Mode;

use super::problem::{Fault, Lines};
use super::text::{Abis, RuleText};
use super::{Contracts, Mapping, Problem, REFERENCE, Rule, conflict, family};
use crate::IndexerError;
use crate::decode::prove_rule;

/// A file of a mapping set, with the ABIs it names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingFile {
    /// Its name, for errors.
    pub name: String,
    /// Its text.
    pub toml: String,
    /// The JSON ABIs that it names, by the name it has for them: see [`abi_files`].
    pub abis: BTreeMap<String, String>,
}

/// A whole file as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetText {
    name: String,
    version: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    commitment_mode: Mode,
    /// Their events are in the rules by the time anything is hashed.
    #[serde(default, skip_serializing)]
    abi: Vec<String>,
    rule: Vec<RuleText>,
}

/// The JSON ABIs that a file names, to be read by whoever may read files. What is wrong with it is said when it is parsed.
#[must_use]
pub fn abi_files(toml: &str) -> Vec<String> {
    let set = toml::from_str::<toml::Table>(toml).unwrap_or_default();
    let list = set.get("abi").and_then(toml::Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect()
}

impl Mapping {
    /// Reads and checks a set of one file. `file` names it in errors.
    pub fn parse(file: &str, toml: &str, chain_id: u64, contracts: &Contracts) -> Result<Self, IndexerError> {
        let file = MappingFile { name: file.to_owned(), toml: toml.to_owned(), abis: BTreeMap::new() };
        Self::load(&[file], chain_id, contracts)
    }

    /// Reads and checks a set; the error is the first problem.
    pub fn load(files: &[MappingFile], chain_id: u64, contracts: &Contracts) -> Result<Self, IndexerError> {
        Self::check(files, chain_id, contracts).map_err(|problems| {
            let (place, reason) = problems.first().map_or_else(Default::default, Problem::parts);
            IndexerError::Configuration { what: format!("mapping {place}"), reason }
        })
    }

    /// Reads and checks a set; every problem in it.
    pub fn check(files: &[MappingFile], chain_id: u64, contracts: &Contracts) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut read = Vec::new();
        for file in files {
            match SetText::read(file) {
                Ok(set) => read.push((file, Lines::of(&file.toml), set)),
                Err(problem) => problems.push(problem),
            }
        }
        let mut rules = Vec::new();
        let mut places = Vec::new();
        let mut sources = 0;
        for (file, lines, set) in &read {
            for (index, text) in set.rule.iter().enumerate() {
                let at =
                    |fault: Fault| Problem::new(&file.name, lines.line(index, &fault.at), &text.name, fault.reason);
                match text.compile(contracts).and_then(|compiled| prove(&compiled).map(|()| compiled)) {
                    Ok(mut compiled) => {
                        sources += 1;
                        compiled.iter_mut().for_each(|rule| rule.source = sources);
                        places.extend(compiled.iter().map(|_| (file.name.as_str(), lines.line(index, &["name"]))));
                        rules.extend(compiled);
                    }
                    Err(fault) => problems.push(at(fault)),
                }
            }
        }
        conflict::leave_out_repeated(&mut rules, &mut places);
        problems.extend(conflict::between(&rules, &places));
        let commitment_mode = read.first().map_or_else(Mode::default, |(_, _, set)| set.commitment_mode);
        if let Some((file, ..)) = read.iter().find(|(_, _, set)| set.commitment_mode != commitment_mode) {
            problems.push(Problem::new(&file.name, 1, "", "commitment_mode is not that of the first file".to_owned()));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let sets: Vec<&SetText> = read.iter().map(|(_, _, set)| set).collect();
        let by_topic = by_topic(&rules).map_err(|reason| vec![Problem::new("", 0, "", reason)])?;
        let (families, named) = (family::all_of(&rules), family::named(&rules, contracts));
        let (late, hash) = (rules.iter().any(|rule| rule.late), hash(&sets, contracts));
        Ok(Self { rules, by_topic, families, named, late, hash, chain_id, commitment_mode })
    }

    /// The set of the reference contracts.
    pub fn reference(chain_id: u64, contracts: &Contracts) -> Result<Self, IndexerError> {
        Self::parse("reference.toml", REFERENCE, chain_id, contracts)
    }
}

/// Whether a mode need not be said, so that a set that does not say it keeps its hash.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_default(mode: &Mode) -> bool {
    *mode == Mode::default()
}

fn by_topic(rules: &[Rule]) -> Result<BTreeMap<B256, Vec<u16>>, String> {
    let mut by_topic = BTreeMap::<B256, Vec<u16>>::new();
    for (index, rule) in rules.iter().enumerate() {
        let index = u16::try_from(index).map_err(|error| format!("too many rules: {error}"))?;
        if rule.of_transactions() {
            continue;
        }
        by_topic.entry(rule.topic0).or_default().push(index);
    }
    Ok(by_topic)
}

fn prove(rules: &[Rule]) -> Result<(), Fault> {
    rules.iter().try_for_each(|rule| prove_rule(rule).map_err(|reason| Fault::of_field(&reason)))
}

fn hash(sets: &[&SetText], contracts: &Contracts) -> B256 {
    let canonical = match sets {
        [set] => serde_json::json!({ "contracts": contracts, "mapping": set }),
        sets => serde_json::json!({ "contracts": contracts, "mappings": sets }),
    };
    keccak256(canonical.to_string())
}

impl SetText {
    /// Reads a file, its events by name resolved.
    fn read(file: &MappingFile) -> Result<Self, Problem> {
        let mut set: Self = toml::from_str(&file.toml).map_err(|error| Problem::of_toml(file, &error))?;
        let abis = Abis::read(&set.abi, &file.abis).map_err(|reason| Problem::new(&file.name, 1, "", reason))?;
        let lines = Lines::of(&file.toml);
        for (index, rule) in set.rule.iter_mut().enumerate() {
            let line = lines.line(index, &["event"]);
            rule.resolve(&abis).map_err(|reason| Problem::new(&file.name, line, &rule.name, reason))?;
        }
        Ok(set)
    }
}
