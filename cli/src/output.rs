//! The only place that writes to the terminal: results on standard output, everything said to a person on standard
//! error, so that any command can be piped.

use std::io::Write as _;

/// A result, on standard output. A reader that went away is no error of ours.
pub(crate) fn result(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).is_err() {
        tracing::debug!("standard output was closed");
    }
}

/// A result that is no text, on standard output as it is.
pub(crate) fn bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
        tracing::debug!("standard output was closed");
    }
}

/// A result as JSON, indented for a person and stable for a program.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), crate::failure::Failure> {
    result(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Something said to a person, on standard error.
pub(crate) fn say(text: &str) {
    let mut err = std::io::stderr().lock();
    if err.write_all(text.as_bytes()).and_then(|()| err.write_all(b"\n")).is_err() {
        tracing::debug!("standard error was closed");
    }
}

/// A table of left-aligned columns.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = std::cmp::max(*width, cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let mut out = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            out.push_str(&format!("{cell:<width$}  "));
        }
        out.trim_end().to_owned()
    };
    let mut out = vec![line(header.to_vec())];
    out.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    out.join("\n")
}
