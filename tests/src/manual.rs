//! The manual of the program: what `--help` says of every command, asked of the built program.

use crate::program::tributary;

const HEAD: &str = "# The command line\n\nGenerated: what `tributary --help` and the help of every command say. Exit codes \
are at the end of the first.\n";

/// The help of the program and of every command below it, as Markdown.
///
/// # Errors
/// When the program is not built or a command has no help.
pub fn markdown() -> std::io::Result<String> {
    let mut out = HEAD.to_owned();
    pages(&mut Vec::new(), &mut out)?;
    Ok(out)
}

fn pages(path: &mut Vec<String>, out: &mut String) -> std::io::Result<()> {
    let text = help(path)?;
    let title = std::iter::once("tributary").chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    out.push_str(&format!("\n## {title}\n\n```text\n{}\n```\n", text.trim_end()));
    for command in commands(&text) {
        path.push(command);
        pages(path, out)?;
        path.pop();
    }
    Ok(())
}

fn help(path: &[String]) -> std::io::Result<String> {
    let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    // The width is that of whoever asks; here it is always the same.
    let output = tributary(&arguments).env("COLUMNS", "100").env("NO_COLOR", "1").output()?;
    if !output.status.success() {
        return Err(std::io::Error::other(format!("tributary {arguments:?} ended with {}", output.status)));
    }
    let text = String::from_utf8(output.stdout).map_err(std::io::Error::other)?;
    // Text is trimmed line by line: a column of explanations may leave blanks behind it.
    Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

/// The commands that a help lists, without `help` itself.
fn commands(text: &str) -> Vec<String> {
    let listed = text.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}
