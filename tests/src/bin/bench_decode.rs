//! Measures decoding by the rules of a mapping against a decoder written by hand: `bench_decode [LOGS [ROUNDS]]`; 60,000
//! logs and 20 rounds by default, one line of JSON.

use std::io::Write as _;
use std::process::ExitCode;
use tributary_tests::decoding::bench;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).filter_map(|text| text.parse().ok());
    let (logs, rounds) = (numbers.next().unwrap_or(60_000), numbers.next().unwrap_or(20));
    let shown = match bench(logs, rounds) {
        Ok(line) => writeln!(std::io::stdout(), "{line}"),
        Err(error) => {
            writeln!(std::io::stderr(), "bench_decode: {error}").and_then(|()| Err(std::io::ErrorKind::Other.into()))
        }
    };
    if shown.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
