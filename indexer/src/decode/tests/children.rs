//! Children of factories: whom a factory announces is heard, from when on, and until it is taken back.

use alloy_dyn_abi::DynSolValue as V;
use alloy_primitives::{Address, B256};
use tributary_schemas::code::Reason;
use tributary_schemas::{BlockRef, Payload};

use super::language::{EMITTER, block, load, log};
use crate::decode::{Decoded, Unknown, decode_block, trace_block};
use crate::fold::{Chronology, fold_verified};
use crate::mapping::{Contracts, Mapping};
use crate::seal::ingest_block;
use crate::state::{MemoryState, StateView, Writes};
use crate::{IndexerError, VerifiedBlock};

const MALL: Address = EMITTER;
const CHILD: Address = Address::repeat_byte(0xc1);
const OTHER: Address = Address::repeat_byte(0xc2);
const PAYOUT: &str = "PayoutAddressSet(address indexed account, address indexed payout)";
const MADE: &str = "Made(address indexed stall, uint8 size)";
const FACTORY: &str = "factory = \"mall\", event = \"Made(address indexed stall, uint8 size)\", child = \"stall\"";

type Log = (Address, Vec<B256>, Vec<u8>);

fn contracts() -> Contracts {
    [("mall".to_owned(), [MALL].into()), ("vault".to_owned(), [Address::repeat_byte(0xaa)].into())].into()
}

/// A rule of authority for these emitters.
fn rule(name: &str, emitter: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\nemitter = {emitter}\nauthority = true\nevent = \"{PAYOUT}\"\n\
         emit = \"PayoutAddressSet\"\nfields = {{ account = \"account\", payout = \"payout\" }}\n"
    )
}

fn of(emitter: Address, (_, topics, data): Log) -> Log {
    (emitter, topics, data)
}

fn made(factory: Address, child: Address) -> Log {
    of(factory, log(MADE, &[V::Address(child), V::Uint(alloy_primitives::U256::from(1), 8)]))
}

fn said(emitter: Address) -> Log {
    of(emitter, log(PAYOUT, &[V::Address(emitter), V::Address(MALL)]))
}

/// What became of each log: believed, or why not.
fn verdicts(decoded: &[Decoded]) -> Vec<(u32, Option<Reason>)> {
    decoded.iter().map(|one| (one.position.log_index, one.refused.as_ref().map(|(reason, _)| *reason))).collect()
}

fn refusal(emitter: &str) -> String {
    let text = format!("name = \"t\"\nversion = 1\n{}", rule("r", emitter));
    Mapping::parse("t.toml", &text, 1, &contracts())
        .map(|_| "sound".to_owned())
        .unwrap_or_else(|error| error.to_string())
}

#[test]
fn a_child_is_heard_in_all_of_the_transaction_that_names_it() {
    let mapping = load(&rule("r", &format!("{{ {FACTORY} }}")), &contracts());
    // Before and after its name is said; a stranger's factory names nobody.
    let logs = vec![said(CHILD), said(OTHER), made(OTHER, OTHER), made(MALL, CHILD), said(CHILD), said(OTHER)];
    let stranger = Some(Reason::Unauthorized);
    let one = block(logs, Vec::new());
    assert_eq!(verdicts(&decode_block(&mapping, &one, &Unknown)), [(0, None), (1, stranger), (4, None), (5, stranger)]);
    let told: Vec<_> =
        trace_block(&mapping, &one).into_iter().map(|one| (one.log_index, one.rule, one.reason)).collect();
    assert!(told[2].1 == "r: factory" && told[2].2.contains("is not among the emitters"), "{told:?}");
    assert!(told[3].1 == "r: factory" && told[3].2.contains("its child is an emitter"), "{told:?}");

    // In the block's transactions before it is not.
    let mut two = block(vec![said(CHILD), made(MALL, CHILD), said(CHILD)], Vec::new());
    for (log, tx_index) in two.logs.iter_mut().zip([0, 1, 2]) {
        log.tx_index = tx_index;
    }
    assert_eq!(verdicts(&decode_block(&mapping, &two, &Unknown)), [(0, stranger), (2, None)]);
}

#[test]
fn whom_the_set_names_no_factory_can_name() {
    let vault = Address::repeat_byte(0xaa);
    let mapping = load(&rule("r", &format!("{{ {FACTORY} }}")), &contracts());
    let logs = vec![made(MALL, vault), made(MALL, MALL), made(MALL, Address::ZERO), said(vault), said(MALL)];
    let refused = Some(Reason::Unauthorized);
    assert_eq!(verdicts(&decode_block(&mapping, &block(logs, Vec::new()), &Unknown)), [(3, refused), (4, refused)]);
    // So of one event, one rule for the named and one for the children say nothing twice.
    let both = rule("named", "\"vault\"") + &rule("children", &format!("{{ {FACTORY} }}"));
    let logs = vec![made(MALL, CHILD), made(MALL, vault), said(vault), said(CHILD)];
    let decoded = decode_block(&load(&both, &contracts()), &block(logs, Vec::new()), &Unknown);
    let told: Vec<_> = decoded.iter().map(|one| (&*one.rule, one.refused.is_none())).collect();
    assert_eq!(told, [("named", true), ("children", true)]);
}

#[test]
fn announcements_that_cannot_be_read_or_are_too_many_are_kept_as_refused() {
    let mapping = load(&rule("r", &format!("{{ {FACTORY}, children_max = 1 }}")), &contracts());
    let mut broken = made(MALL, OTHER);
    broken.2.push(0);
    let logs = vec![broken, made(MALL, CHILD), made(MALL, CHILD), made(MALL, OTHER), said(CHILD), said(OTHER)];
    let one = block(logs, Vec::new());
    let decoded = decode_block(&mapping, &one, &Unknown);
    let expected =
        [(0, Some(Reason::DecodeError)), (3, Some(Reason::OutOfRange)), (4, None), (5, Some(Reason::Unauthorized))];
    assert_eq!(verdicts(&decoded), expected);
    assert!(matches!(&decoded[1].payload, Payload::Undecodable { rule, .. } if rule == "r: factory"), "{decoded:?}");
    let traced: usize = trace_block(&mapping, &one).iter().map(|trace| trace.facts.len()).sum();
    assert_eq!(traced, decoded.len());
}

#[test]
fn factories_of_factories_are_heard_in_one_transaction_too() {
    let builder = "{ factory = { factory = \"mall\", event = \"Built(address at)\", child = \"at\" }, \
                   event = \"Made(address indexed stall, uint8 size)\", child = \"stall\" }";
    let mapping = load(&rule("r", builder), &contracts());
    // The stall speaks, the mall names it, and only then the builder names the mall.
    let built = of(MALL, log("Built(address at)", &[V::Address(OTHER)]));
    let logs = vec![said(CHILD), made(OTHER, CHILD), built, made(MALL, Address::repeat_byte(0xc3))];
    let decoded = decode_block(&mapping, &block(logs, Vec::new()), &Unknown);
    assert_eq!(verdicts(&decoded), [(0, None)]);
    // The builder itself names no stall.
    assert!(mapping.families().len() == 2 && &*mapping.families()[0].0 == "r: factory: factory");
}

fn fold(
    state: &mut MemoryState,
    mapping: &Mapping,
    number: u64,
    logs: Vec<Log>,
) -> Result<(usize, Writes), IndexerError> {
    let mut block: VerifiedBlock = block(logs, Vec::new());
    block.block = BlockRef { number, ..BlockRef::default() };
    let chronology = Chronology { chain_id: 1, epoch_origin: 0, epoch_seconds: 100 };
    let mut view = StateView::new(state);
    let folded = fold_verified(&mut view, &chronology, mapping, &block)?;
    let writes = view.take_writes();
    let valid = folded.events.iter().filter(|one| one.event.is_valid() && one.rule == "r").count();
    Ok((valid, state.apply(writes)))
}

#[test]
fn what_a_reorg_takes_back_was_never_announced() {
    let mapping = load(&rule("r", &format!("{{ {FACTORY} }}")), &contracts());
    let mut state = MemoryState::default();
    let mut heard = |number, logs| fold(&mut state, &mapping, number, logs).unwrap();
    assert_eq!(heard(1, vec![said(CHILD)]).0, 0);
    let (_, undo) = heard(2, vec![made(MALL, CHILD)]);
    let (valid, undo_later) = heard(3, vec![said(CHILD)]);
    assert_eq!(valid, 1, "as long as the chain is this one");
    let before = state.clone();
    drop((state.apply(undo_later), state.apply(undo)));
    assert_ne!(before, state);
    let mut heard = |number, logs| fold(&mut state, &mapping, number, logs).unwrap();
    assert_eq!(heard(2, vec![said(CHILD)]).0, 0, "and not when the announcement is gone");
    // Announced anew, from there on.
    assert_eq!(heard(3, vec![made(MALL, CHILD), said(CHILD), made(MALL, CHILD)]).0, 1);
    assert_eq!(heard(4, vec![said(CHILD)]).0, 1);
}

#[test]
fn what_announces_is_kept_with_the_logs() {
    let mapping = load(&rule("r", &format!("{{ {FACTORY} }}")), &contracts());
    let state = MemoryState::default();
    let mut view = StateView::new(&state);
    let chronology = Chronology { chain_id: 1, epoch_origin: 0, epoch_seconds: 100 };
    let logs = vec![made(MALL, CHILD), made(OTHER, OTHER), said(CHILD)];
    let body = ingest_block(&mut view, &chronology, &mapping, &block(logs, Vec::new())).unwrap();
    assert_eq!(body.raw_logs.iter().map(|log| log.log_index).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn a_factory_that_could_not_work_is_refused_where_it_is_written() {
    let family = |factory: &str| format!("{{ factory = {factory}, event = \"{MADE}\", child = \"stall\" }}");
    let four = family(&family(&family(&family("\"mall\""))));
    assert_eq!(refusal(&family(&family(&family("\"mall\"")))), "sound");
    for (emitter, words) in [
        (four.as_str(), "expected at most 3 levels"),
        (&family("\"any\""), "every stranger could name emitters"),
        (&family("\"mal\""), "the nearest is \"mall\""),
        (&family("7"), "got 7: expected contracts, or a table that names a factory"),
        (&format!("{{ {FACTORY}, childs = 1 }}"), "the nearest is \"child\""),
        (&FACTORY.replace("factory", "{ factory").replace("\"stall\"", "\"size\" }"), "expected an address"),
        (&FACTORY.replace("factory", "{ factory").replace("\"stall\"", "\"stal\" }"), "the nearest is \"stall\""),
        ("{ factory = \"mall\", child = \"stall\" }", "expected event beside it"),
        ("{ factory = \"mall\", event = [], child = \"stall\" }", "expected at least one event"),
        (&format!("{{ {FACTORY}, children_max = -1 }}"), "expected a number from zero"),
        (&format!("{{ {FACTORY}, children_max = 10000001 }}"), "expected at most 10000000"),
    ] {
        let said = refusal(emitter);
        assert!(said.contains(words) && said.contains("t.toml:5"), "{words}: {said}");
    }
}

#[test]
fn what_children_of_two_factories_report_could_be_one_payment() {
    let sale = |name: &str, event: &str, emitter: &str| {
        format!(
            "[[rule]]\nname = \"{name}\"\nemitter = {emitter}\nauthority = true\nrevenue = \"recognise\"\n\
             event = \"{event}(bytes32 id, bytes32 subject, uint256 sum)\"\nemit = \"RevenueReceived\"\n[rule.fields]\n\
             payment = {{ native = \"payment\", key = \"id\" }}\nkey = \"id\"\nsubject = \"subject\"\n\
             payer = {{ from = \"emitter\" }}\ntoken = {{ from = \"emitter\" }}\namount = \"sum\"\nbacking = {{ const = \"asserted\" }}\n"
        )
    };
    let children = format!("{{ {FACTORY} }}");
    let others = children.replace("Made(", "Built(");
    let check = |rules: String| {
        let text = format!("name = \"t\"\nversion = 1\n{rules}");
        Mapping::parse("t.toml", &text, 1, &contracts()).map(|_| ()).map_err(|error| error.to_string())
    };
    let twice = check(sale("a", "Paid", &children) + &sale("b", "Sold", &others)).unwrap_err();
    assert!(twice.contains("one payment could be recognised twice"), "{twice}");
    assert_eq!(check(sale("a", "Paid", &children) + &sale("b", "Sold", "\"vault\"")), Ok(()));
}
