//! Lists of entitlements as other people's programs write them, and how long their trees take.

use alloy_primitives::{Address, U256, keccak256};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;
use tributary_accounting::AccountingError;
use tributary_accounting::tree::claims::{Claims, Kind};
use tributary_accounting::tree::format::{CumulativeDrop, EigenEarner, Merkl, OpenZeppelin, Rocket, Uniswap};
use tributary_accounting::tree::nodes::{Shape, siblings};

use crate::measure;

/// Every format: its name on the command line and the columns of its list.
pub const FORMATS: [(&str, Kind, &str); 6] = [
    ("oz", Kind::OpenZeppelin, "account,token,amount"),
    ("cumulative-drop", Kind::CumulativeDrop, "account,amount"),
    ("merkl", Kind::Merkl, "account,token,amount"),
    ("uniswap", Kind::Uniswap, "index,account,amount"),
    ("eigen", Kind::Eigen, "account,token,amount"),
    ("rocket", Kind::Rocket, "account,network,rpl,eth"),
];

/// Proofs that are timed.
const PROOFS: u32 = 1_000;

/// A list with these columns and so many accounts; the same every time.
#[must_use]
pub fn list(columns: &str, rows: u32) -> String {
    let mut out = format!("{columns}\n");
    for row in 0..rows {
        let drawn = keccak256(row.to_be_bytes());
        let amount = U256::from_be_bytes(drawn.0) >> usize::from(drawn[0]);
        let cells = columns.split(',').map(|column| match column {
            "account" => format!("{:#x}", account(row)),
            "token" => format!("{:#x}", Address::repeat_byte(0x22)),
            "index" | "network" => row.to_string(),
            _ => amount.to_string(),
        });
        writeln!(out, "{}", cells.collect::<Vec<_>>().join(",")).expect("a String takes everything");
    }
    out
}

/// The account of a row.
#[must_use]
pub fn account(row: u32) -> Address {
    Address::from_slice(&keccak256(row.to_be_bytes())[12..])
}

fn shape(kind: Kind) -> Shape {
    match kind {
        Kind::OpenZeppelin => Shape::of::<OpenZeppelin>(),
        Kind::CumulativeDrop => Shape::of::<CumulativeDrop>(),
        Kind::Merkl => Shape::of::<Merkl>(),
        Kind::Uniswap => Shape::of::<Uniswap>(),
        Kind::Eigen => Shape::of::<EigenEarner>(),
        Kind::Rocket => Shape::of::<Rocket>(),
    }
}

/// Times a tree of each format: the list read and the root made, a proof from memory, a proof from the file of nodes.
///
/// # Panics
/// When a proof does not lead to the root.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub fn bench(folder: &Path, rows: u32) -> Result<Vec<Value>, AccountingError> {
    let mut out = Vec::new();
    for (name, kind, columns) in FORMATS {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |source| AccountingError::File { action: "write", path, source }
        };
        let path = folder.join(format!("{name}.csv"));
        std::fs::write(&path, list(columns, rows)).map_err(failed(&path))?;
        let began = Instant::now();
        let claims = Claims::read(kind, &path, None)?;
        let built = began.elapsed();

        let nodes = folder.join(format!("{name}.nodes"));
        let mut file = std::io::BufWriter::new(std::fs::File::create(&nodes).map_err(failed(&nodes))?);
        claims.nodes().write(&mut file).and_then(|()| file.flush()).map_err(failed(&nodes))?;
        drop(file);
        // spread over the list
        let drawn: Vec<u32> = (0..PROOFS).map(|one| one.wrapping_mul(2_654_435_761) % rows).collect();
        let began = Instant::now();
        let proofs: Vec<_> = drawn.iter().flat_map(|row| claims.claims(account(*row), None)).collect();
        let proved = began.elapsed();
        let branches: Vec<_> = proofs.iter().filter_map(|claim| claim.branches.last()).collect();
        assert_eq!(branches.len(), drawn.len(), "every account has its proof");
        let leaves = u64::try_from(claims.nodes().leaf_count()).unwrap_or(u64::MAX);
        let began = Instant::now();
        for branch in branches {
            let found = siblings(shape(kind), &nodes, branch.index, leaves)?;
            assert_eq!(shape(kind).climb(branch.leaf, branch.index, &found), claims.root(), "{name}");
        }
        let read = began.elapsed();
        out.push(json!({
            "format": name, "leaves": leaves, "root": claims.root(),
            "root_seconds": built.as_secs_f64(),
            "proof_microseconds": proved.as_secs_f64() * 1e6 / f64::from(PROOFS),
            "proof_from_file_microseconds": read.as_secs_f64() * 1e6 / f64::from(PROOFS),
            "peak_rss_mib": measure::peak_rss(std::process::id()) >> 20,
        }));
    }
    Ok(out)
}
