//! Measures what checking certificates costs of following a chain: `bench_share [BLOCKS] [DENSE]`; a line of JSON for
//! the devnet's chain of so many blocks, 2,000 by default, and one for a chain of 250 payments a block and a batch of a
//! good megabyte every hundredth, 600 blocks by default.

use std::io::Write as _;
use std::process::ExitCode;
use tributary_tests::share::{Load, bench};

const BLOCKS: [u64; 2] = [2_000, 600];
const BATCH_EVERY: u64 = 100;

fn main() -> ExitCode {
    let given: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let blocks = |at: usize| given.get(at).copied().unwrap_or(BLOCKS[at]);
    for load in [Load::sparse(blocks(0)), Load::dense(blocks(1), BATCH_EVERY)] {
        if writeln!(std::io::stdout(), "{}", bench(1, load)).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
