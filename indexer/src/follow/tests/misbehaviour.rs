//! Kinds of misbehaving endpoints, as a table: what each does, and what following makes of it when it happens once,
//! when it goes on and nobody else can be asked, and when it goes on beside two honest nodes that stand after it in the
//! configuration. Whatever happens, no block is stored that is not the chain's, and every run ends.
//!
//! `MISBEHAVIOUR.md` is the same table for people; a test compares the two.

mod answers;
mod envelopes;
mod heads;
mod node;
mod reads;
mod sockets;
mod wire;

use futures::{StreamExt as _, stream};
use tributary_devnet::{Devnet, DevnetConfig, L2_CHAIN_ID};

use super::*;
use node::{Deed, Node};

/// The chain of these tests: so many blocks, of which the first are final.
const HEAD: u64 = 16;
const FINALIZED: u64 = 8;

/// Rounds in which following may come to something.
const ROUNDS: usize = 10;

/// How following ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All blocks are there, and what is final is known to be.
    Follows,
    /// All blocks are there; nobody is believed about what is final.
    Unfinal,
    /// Nothing is wrong with what there is, and not all is there.
    Lags,
    /// It asks again and again, and says what is wrong.
    Waits(&'static str),
    /// It stops and says what is wrong.
    Stops(&'static str),
}

/// What is thought of the endpoint in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// Nothing bad.
    Up,
    /// It is asked after others, for this reason.
    Last(&'static str),
    /// It is not asked any more, for this reason.
    Out(&'static str),
}

/// What a good node does.
const GOOD: Deed = Deed::Answer("", |_| {});

/// A row of the table.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    deed: Deed,
    once: End,
    alone: End,
    beside: (End, Stand),
    /// How long an answer may take: little, where there is none.
    deadline_ms: u64,
}

const fn kind(name: &'static str, deed: Deed, once: End, alone: End, beside: (End, Stand)) -> Kind {
    Kind { name, deed, once, alone, beside, deadline_ms: 10_000 }
}

/// A kind that leaves a question without an answer.
const fn silent(name: &'static str, deed: Deed, once: End, alone: End, beside: (End, Stand)) -> Kind {
    Kind { name, deed, once, alone, beside, deadline_ms: 250 }
}

fn kinds() -> Vec<(&'static str, Vec<Kind>)> {
    vec![
        ("Blocks and receipts", answers::blocks()),
        ("The way values are written", answers::values()),
        ("Heads and finality", heads::heads()),
        ("JSON-RPC", envelopes::envelopes()),
        ("HTTP and below", wire::wire()),
        ("WebSocket", sockets::sockets()),
    ]
}

/// What a run came to.
struct Ran {
    end: End,
    said: String,
    health: crate::endpoint::EndpointHealth,
}

async fn follow(kind: Kind, honest: &Devnet, times: u32, beside: bool) -> Ran {
    let first = honest.l2_http();
    let (node, second) = (Node::start(2, kind.deed, &first, times).await, Node::start(3, GOOD, &first, 0).await);
    let mut urls = vec![node.url.as_str()];
    urls.extend([first.as_str(), &second.url].into_iter().filter(|_| beside));
    let deadline = Duration::from_millis(kind.deadline_ms);
    let endpoint = EndpointOptions { deadline, response_bytes_max: 1 << 20, attempts_max: 3, ..Default::default() };
    let mut ledger = Ledger::default();
    let (mut follower, pool) = follower_of(L2_CHAIN_ID, &urls, &ledger, options(), endpoint);
    let mut said = String::new();
    let mut end = End::Lags;
    for _ in 0..ROUNDS {
        match follower.advance(&mut ledger).await {
            Ok(_) => end = End::Lags,
            Err(error) if error.remedy() == Remedy::Halt => {
                (end, said) = (End::Stops(""), error.to_string());
                break;
            }
            Err(error) => (end, said) = (End::Waits(""), error.to_string()),
        }
        if ledger.head().unwrap().is_some_and(|head| head.hash == honest.head().1) {
            end = End::Unfinal;
            if ledger.finalized().is_some_and(|block| block.number >= FINALIZED) {
                end = End::Follows;
                break;
            }
        }
    }
    for block in ledger.blocks() {
        let truth = honest.block(block.block.number).unwrap();
        assert_eq!(block.header, truth.header, "{}", kind.name);
        let logs = truth.entries.iter().map(|entry| entry.logs.len()).sum::<usize>();
        assert_eq!(block.logs.len(), logs, "{}", kind.name);
    }
    Ran { end, said, health: pool.health().swap_remove(0) }
}

impl End {
    /// Whether a run ended so; the words are a part of what was said.
    fn is(self, ran: &Ran) -> bool {
        match (self, ran.end) {
            (Self::Waits(words), Self::Waits(_)) | (Self::Stops(words), Self::Stops(_)) => ran.said.contains(words),
            (expected, got) => expected == got,
        }
    }
}

impl Stand {
    fn is(self, ran: &Ran) -> bool {
        let reason = ran.health.reason.as_deref().unwrap_or_default();
        match (self, ran.health.state) {
            (Self::Up, EndpointState::Up) => true,
            (Self::Last(words), EndpointState::Failing) | (Self::Out(words), EndpointState::Quarantined) => {
                reason.contains(words)
            }
            _ => false,
        }
    }
}

async fn check_kind(kind: Kind, honest: &Devnet) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut note = |when: &str, ran: &Ran, expected: String| {
        let (state, reason) = (ran.health.state, ran.health.reason.as_deref().unwrap_or_default());
        wrong.push(format!(
            "{:?}, {when}: expected {expected}, got {:?} {:?}, endpoint {state:?} {reason:?}",
            kind.name, ran.end, ran.said
        ));
    };
    let once = follow(kind, honest, 1, false).await;
    if !kind.once.is(&once) {
        note("once", &once, format!("{:?}", kind.once));
    }
    let alone = follow(kind, honest, u32::MAX, false).await;
    if !kind.alone.is(&alone) {
        note("alone", &alone, format!("{:?}", kind.alone));
    }
    let beside = follow(kind, honest, u32::MAX, true).await;
    if !kind.beside.0.is(&beside) || !kind.beside.1.is(&beside) {
        note("beside", &beside, format!("{:?}", kind.beside));
    }
    wrong
}

#[tokio::test]
async fn every_kind_of_misbehaviour_is_survived_or_named() {
    let config = DevnetConfig { seed: 11, finalized_lag: HEAD - FINALIZED, safe_lag: 3, ..DevnetConfig::default() };
    let honest = Devnet::start(config).await.unwrap();
    honest.mine_to(HEAD);
    let kinds: Vec<Kind> = kinds().into_iter().flat_map(|(_, kinds)| kinds).collect();
    assert!(kinds.len() >= 40);
    let checks = stream::iter(kinds).map(|kind| check_kind(kind, &honest)).buffer_unordered(8);
    let wrong: Vec<String> = checks.concat().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An unfinal chain and a node that turns to another: what looks like a reorg of everything is none.
#[tokio::test]
async fn a_node_that_turns_to_another_chain_is_found_out() {
    let one = branch(&[], 0, 12, 0);
    let node = Scripted::start(script([view(&one, 99)])).await;
    let mut ledger = Ledger::default();
    let (mut follower, pool) = follower(&[&node.url], &ledger, options());
    settle(&mut follower, &mut ledger).await.unwrap();
    node.with(|script| {
        script.chain_id = 7;
        script.views = [view(&branch(&[], 0, 20, 1), 99)].into();
    });
    let error = settle(&mut follower, &mut ledger).await.unwrap_err();
    assert!(error.to_string().contains("chain id expected 1612, got 7"), "{error}");
    assert_eq!(pool.health()[0].state, EndpointState::Quarantined);
    assert_eq!(ledger.hashes(), expected(&one));
    assert_eq!(ledger.unwinds(), []);
}

/// Two URLs of one node do not make a majority, and do not outvote another.
#[tokio::test]
async fn two_urls_of_one_host_are_one_vote() {
    let one = branch(&[], 0, 20, 0);
    let nodes = [
        Scripted::start_at(1, script([view(&one, 15)])).await,
        Scripted::start_at(1, script([view(&one, 15)])).await,
        Scripted::start_at(2, script([view(&one, 9)])).await,
    ];
    for (count, finality, finalized) in [(2, Finality::Asserted, 15), (3, Finality::Quorum, 9)] {
        let urls: Vec<&str> = nodes[..count].iter().map(|node| node.url.as_str()).collect();
        let mut ledger = Ledger::default();
        let (mut follower, _) = follower(&urls, &ledger, options());
        settle(&mut follower, &mut ledger).await.unwrap();
        assert_eq!((ledger.seen().finality, ledger.finalized().unwrap().number), (finality, finalized));
    }
}

/// The table for people.
fn page() -> String {
    let mut out = String::new();
    for (heading, kinds) in kinds() {
        out.push_str(&format!("### {heading}\n\n| what the node does | once | always, alone | always, beside two honest nodes |\n|---|---|---|---|\n"));
        for kind in kinds {
            let stand = match kind.beside.1 {
                Stand::Up => String::new(),
                Stand::Last(words) => format!("; asked last: “{words}”"),
                Stand::Out(words) => format!("; quarantined: “{words}”"),
            };
            let beside = format!("{}{stand}", kind.beside.0);
            out.push_str(&format!("| {} | {} | {} | {beside} |\n", kind.name, kind.once, kind.alone));
        }
        out.push('\n');
    }
    out.push_str("### Announcements of heads\n\nAll are followed: heads are looked for as well.\n\n| what the node does |\n|---|\n");
    for (name, _) in sockets::announcements() {
        out.push_str(&format!("| {name} |\n"));
    }
    out
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Follows => f.write_str("followed"),
            Self::Unfinal => f.write_str("followed; finality waits"),
            Self::Lags => f.write_str("stands where it is shown"),
            Self::Waits(words) => write!(f, "asks on: “{words}”"),
            Self::Stops(words) => write!(f, "stops: “{words}”"),
        }
    }
}

#[test]
fn the_page_is_the_table_and_the_tests_it_names_are_there() {
    let room = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(room.join("MISBEHAVIOUR.md")).unwrap();
    let page = page();
    assert!(text.contains(&page), "MISBEHAVIOUR.md is not the table any more; it should say:\n\n{page}");
    // Rows `| what | `file` | `test` |` of what is tested elsewhere.
    let named: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| {
            let mut code = line.split('`').skip(1).step_by(2);
            let (file, test) = (code.next()?, code.next()?);
            file.ends_with(".rs").then_some((file, test))
        })
        .collect();
    assert!(named.len() >= 10, "{named:?}");
    for (file, test) in named {
        let source =
            std::fs::read_to_string(room.join("..").join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
    }
}
