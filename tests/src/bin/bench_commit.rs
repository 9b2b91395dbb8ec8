//! Measures commitments to blobs on two threads: `bench_commit [BYTES...]`; 128 KiB, 1 MiB and 16 MiB by default, a
//! line of JSON each.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use tributary_tests::commit::bench;

const SIZES: [usize; 3] = [128 << 10, 1 << 20, 16 << 20];
const THREADS: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");

fn main() -> ExitCode {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let sizes = if sizes.is_empty() { SIZES.to_vec() } else { sizes };
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::FAILURE };
    for bytes in sizes {
        let shown = match runtime.block_on(bench(bytes, THREADS)) {
            Ok(line) => writeln!(std::io::stdout(), "{line}"),
            Err(error) => writeln!(std::io::stderr(), "bench_commit: {error}")
                .and_then(|()| Err(std::io::ErrorKind::Other.into())),
        };
        if shown.is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
