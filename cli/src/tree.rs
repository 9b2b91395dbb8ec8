//! `tributary tree`: trees of anybody's lists, without a store.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde_json::{Map, Value, json};
use tributary_accounting::tree::claims::{Claim, Claims, Kind, Said};

use crate::arguments::{TreeBuild, TreeFormat};
use crate::failure::{Exit, Failure};
use crate::output;

/// Builds a tree; exit 3 when its root is not the one that was named.
pub(crate) fn build(arguments: &TreeBuild) -> Result<ExitCode, Failure> {
    let claims = Claims::read(kind(arguments.format), &arguments.file, arguments.token)?;
    let proofs = arguments.proof.map(|account| claims.claims(account, arguments.token)).unwrap_or_default();
    if let Some(account) = arguments.proof.filter(|_| proofs.is_empty()) {
        let token = arguments.token.map_or_else(String::new, |token| format!(" for token {token}"));
        return Err(anyhow!("{account} is not in {}{token}", arguments.file.display()).into());
    }
    if let Some(file) = &arguments.nodes {
        write_nodes(&claims, file).with_context(|| format!("writing {}", file.display()))?;
    }
    let leaves = if arguments.leaves { claims.leaves() } else { Vec::new() };
    let mut shown = json!({
        "root": claims.root(), "leaves": claims.nodes().leaf_count(), "entries": claims.entry_count(),
    });
    if arguments.proof.is_some() {
        shown["proofs"] = proofs.iter().map(proof).collect();
    }
    if arguments.leaves {
        shown["tree"] = leaves.iter().map(|(leaf, says)| with(says, "leaf", json!(leaf))).collect();
    }
    if arguments.json {
        output::json(&shown)?;
    } else {
        output::result(&words(&claims, &proofs, &leaves));
    }
    match arguments.root {
        Some(root) if root != claims.root() => {
            let differs = anyhow!("the root is {}: {root} was expected", claims.root());
            Err(Failure::new(Exit::Difference, differs))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

const fn kind(format: TreeFormat) -> Kind {
    match format {
        TreeFormat::Oz => Kind::OpenZeppelin,
        TreeFormat::CumulativeDrop => Kind::CumulativeDrop,
        TreeFormat::Merkl => Kind::Merkl,
        TreeFormat::Uniswap => Kind::Uniswap,
        TreeFormat::Eigen => Kind::Eigen,
        TreeFormat::Rocket => Kind::Rocket,
    }
}

fn write_nodes(claims: &Claims, file: &Path) -> std::io::Result<()> {
    let mut to = BufWriter::new(File::create(file)?);
    claims.nodes().write(&mut to)?;
    to.flush()
}

fn with(says: &Said, name: &str, value: Value) -> Value {
    let said = says.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
    Value::Object(said.chain([(name.to_owned(), value)]).collect::<Map<String, Value>>())
}

fn proof(claim: &Claim) -> Value {
    with(&claim.says, "branches", json!(claim.branches))
}

fn words(claims: &Claims, proofs: &[Claim], leaves: &[(alloy_primitives::B256, Said)]) -> String {
    let mut rows = vec![
        vec!["root".to_owned(), claims.root().to_string()],
        vec!["leaves".to_owned(), claims.nodes().leaf_count().to_string()],
        vec!["entries".to_owned(), claims.entry_count().to_string()],
    ];
    let said = |says: &Said| says.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
    for claim in proofs {
        rows.push(vec!["proof".to_owned(), said(&claim.says)]);
        for branch in &claim.branches {
            rows.push(vec![format!("leaf {}", branch.index), branch.leaf.to_string()]);
            rows.extend(branch.siblings.iter().map(|one| vec!["sibling".to_owned(), one.to_string()]));
            rows.push(vec!["root".to_owned(), branch.root.to_string()]);
        }
    }
    rows.extend(leaves.iter().map(|(leaf, says)| vec![leaf.to_string(), said(says)]));
    output::table(&["", ""], &rows)
}
