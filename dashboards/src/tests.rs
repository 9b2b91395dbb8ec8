use std::io::Write;
use std::process::{Command, Stdio};

use crate::{Dist, asset, immutable};

/// The first JavaScript may weigh this much, gzipped: what a visitor of the overview waits for.
const FIRST_SCRIPT_BYTES_MAX: usize = 80_000;
/// All files together may weigh this much in the program, `GraphiQL` being two thirds of it.
const ALL_BYTES_MAX: usize = 2_000_000;
/// The pages that are loaded as such, by their addresses.
const PAGES: [&str; 2] = ["/", "/graphiql"];

fn text(path: &str) -> String {
    let (_, bytes) = asset(path).unwrap_or_else(|| panic!("{path} is not in dist/"));
    String::from_utf8(bytes.into_owned()).expect("the files of dist/ are text")
}

/// The values of `name="…"` in `html`.
fn attributes(html: &str, name: &str) -> Vec<String> {
    let marker = format!(" {name}=\"");
    html.split(&marker).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

fn gzipped(bytes: &[u8]) -> Option<usize> {
    let mut gzip = Command::new("gzip").args(["-9", "-c"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    gzip.stdin.take()?.write_all(bytes).ok()?;
    let output = gzip.wait_with_output().ok()?;
    output.status.success().then_some(output.stdout.len())
}

#[test]
fn the_page_and_everything_it_names_is_embedded() {
    for address in PAGES {
        let page = text(address);
        let mut named = attributes(&page, "src");
        named.extend(attributes(&page, "href"));
        assert!(named.iter().any(|path| path.ends_with(".js")), "{address} names no script: {page}");
        assert!(named.iter().any(|path| path.ends_with(".css")), "{address} names no style sheet: {page}");
        for path in named {
            assert!(path.starts_with('/'), "{path} does not lie on our own origin");
            // The schema is the server's own.
            assert!(
                asset(&path).is_some() || path == "/schema.graphql",
                "{address} names {path}, which is not in dist/"
            );
        }
    }
}

#[test]
fn scripts_name_only_files_that_exist() {
    let mut loaded = 0;
    for path in Dist::iter().filter(|path| path.ends_with(".js")) {
        let script = text(&path);
        let named = script.split(['"', '`', '\'']).filter(|word| {
            let stem = word.strip_suffix(".js").or_else(|| word.strip_suffix(".css"));
            stem.is_some_and(|stem| !stem.is_empty())
        });
        for word in named {
            let other =
                if let Some(name) = word.strip_prefix("./") { format!("assets/{name}") } else { word.to_owned() };
            assert!(asset(&other).is_some(), "{path} loads {word}, which is not in dist/");
            loaded += 1;
        }
    }
    assert!(loaded >= 3, "the map and the statement are loaded by name; found {loaded} names");
}

#[test]
fn nothing_inline_that_the_policy_would_block() {
    for page in PAGES.map(text) {
        assert!(!page.contains("<style"), "inline style");
        assert!(!page.contains(" style="), "inline style attribute");
        for script in page.split("<script").skip(1) {
            let (tag, rest) = script.split_once('>').expect("a script tag ends");
            assert!(tag.contains(" src=\"/"), "inline script: <script{tag}>");
            assert!(rest.starts_with("</script>"), "a script tag with a body: {rest:.40}");
        }
    }
}

#[test]
fn the_first_script_holds_its_budget() {
    let page = text("index.html");
    // What the first script imports stands in the page as links, to be loaded beside it.
    let named = attributes(&page, "src").into_iter().chain(attributes(&page, "href"));
    let scripts: Vec<_> = named.filter(|path| path.ends_with(".js")).collect();
    let whole: usize = scripts.iter().map(|path| text(path).len()).sum();
    // Where there is no gzip the raw bytes must hold a bound that no script of ours compresses badly enough to break.
    let measured = scripts.iter().map(|path| gzipped(text(path).as_bytes())).sum::<Option<usize>>();
    match measured {
        Some(bytes) => assert!(bytes <= FIRST_SCRIPT_BYTES_MAX, "first JavaScript is {bytes} bytes gzipped"),
        None => assert!(whole <= 3 * FIRST_SCRIPT_BYTES_MAX, "first JavaScript is {whole} bytes"),
    }
    assert!(scripts.iter().all(|path| !text(path).contains("putImageData")), "the map's painter is not loaded lazily");
}

#[test]
fn graphiql_is_a_page_of_its_own_and_brings_its_licence() {
    assert!(text("/graphiql").contains("<title>GraphiQL"));
    assert!(!text("/").contains("graphiql"), "the first page loads something of GraphiQL's");
    let licences = text("licences.txt");
    for package in ["graphiql 4.", "react 19.", "codemirror 5.", "svelte 5."] {
        assert!(licences.lines().any(|line| line.starts_with(package) && line.ends_with(": MIT")), "{package}");
    }
}

#[test]
fn all_of_it_holds_its_budget() {
    let whole: usize = Dist::iter().filter_map(|path| Dist::get(&path)).map(|file| file.data.len()).sum();
    assert!(whole <= ALL_BYTES_MAX, "dist/ is {whole} bytes");
}

#[test]
fn deep_links_get_the_page_and_missing_files_nothing() {
    let page = asset("index.html");
    assert!(page.is_some());
    assert_eq!(asset(""), page);
    assert_eq!(asset("/account/0x00"), page);
    assert_eq!(asset("/assets/gone.js"), None);
    assert_eq!(asset("/../Cargo.toml"), None);
    assert_eq!(asset("licences.txt").map(|(mime, _)| mime), Some("text/plain; charset=utf-8"));
    assert_eq!(asset("favicon.svg").map(|(mime, _)| mime), Some("image/svg+xml"));
    assert!(immutable("/assets/index.js") && !immutable("/index.html") && !immutable("theme.js"));
}

#[test]
fn the_build_holds_no_path_of_the_machine_it_ran_on() {
    for path in Dist::iter() {
        for trace in ["file://", "node_modules/", "sourceMappingURL"] {
            assert!(!text(&path).contains(trace), "{path} contains {trace}");
        }
    }
}
