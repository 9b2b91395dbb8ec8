//! What strangers say with authority's words, for every fact of authority there is.

use alloy_primitives::{Address, B256};
use tributary_schemas::code::Reason;
use tributary_schemas::{BlockRef, Payload};

use super::{Decoded, ROLES, block, decode_block, mapping};
use crate::fold::{Chronology, fold_block};
use crate::mapping::{Contracts, Mapping, REFERENCE, Rule, is_authority};
use crate::state::{MemoryState, StateView};

const STRANGER: Address = Address::repeat_byte(0xff);

/// The facts of authority, each with the rule of the reference set that makes it.
fn facts_of_authority(mapping: &Mapping) -> Vec<(&'static str, &Rule)> {
    let kinds = Payload::KINDS.iter().copied().filter(|kind| is_authority(kind));
    let of = |kind: &str| super::super::kind_index(kind).ok();
    let found = kinds.map(|kind| (kind, mapping.rules().iter().find(|rule| rule.kind == of(kind)).unwrap()));
    found.collect()
}

/// A log of a rule's event: its topics and data.
fn sample(rule: &Rule) -> (Vec<B256>, Vec<u8>) {
    let (mut topics, data) = rule.shape.sample(1);
    topics[0] = rule.topic0;
    (topics, data)
}

/// The one fact of a rule's log from an emitter.
fn said(mapping: &Mapping, rule: &Rule, emitter: Address) -> Decoded {
    let (topics, data) = sample(rule);
    let mut decoded = decode_block(mapping, &block(vec![(emitter, topics, data)]));
    assert_eq!(decoded.len(), 1, "{}: {decoded:?}", rule.name);
    decoded.remove(0)
}

#[test]
fn a_stranger_who_says_a_fact_of_authority_is_kept_as_refused_and_changes_nothing() {
    let mapping = mapping();
    let facts = facts_of_authority(&mapping);
    assert_eq!(facts.len(), 19);
    for (kind, rule) in facts {
        let believed = said(&mapping, rule, Address::repeat_byte(1));
        assert_eq!((believed.payload.kind(), &believed.refused), (kind, &None));
        let refused = said(&mapping, rule, STRANGER);
        assert_eq!(refused.payload.kind(), kind);
        assert!(matches!(refused.refused, Some((Reason::Unauthorized, _))), "{kind}: {refused:?}");

        let chronology = Chronology { chain_id: 1612, epoch_origin: 0, epoch_seconds: 100 };
        let mut state = MemoryState::default();
        let mut view = StateView::new(&state);
        // The first block says which mapping is in force.
        let first = BlockRef { number: 4, ..BlockRef::default() };
        fold_block(&mut view, &chronology, &mapping, &first, &[], Vec::new()).unwrap();
        let writes = view.take_writes();
        state.apply(writes);
        let mut view = StateView::new(&state);
        let at = BlockRef { number: 5, ..BlockRef::default() };
        let folded = fold_block(&mut view, &chronology, &mapping, &at, &[], vec![refused]).unwrap();
        let [event] = folded.events.as_slice() else { panic!("{kind}: {:?}", folded.events) };
        assert_eq!((event.event.reason, event.event.emitter), (Some(Reason::Unauthorized), STRANGER), "{kind}");
        assert!(folded.rows.is_empty() && view.take_writes().is_empty(), "{kind} of a stranger changed something");
    }
}

#[test]
fn a_file_that_lets_anybody_say_a_fact_of_authority_is_refused() {
    let contracts: Contracts =
        ROLES.iter().map(|role| ((*role).to_owned(), [Address::repeat_byte(1)].into())).collect();
    let set: toml::Value = toml::from_str(REFERENCE).unwrap();
    let rules = set["rule"].as_array().unwrap().iter();
    let mut refused = 0;
    for rule in rules.filter(|rule| is_authority(rule["emit"].as_str().unwrap())) {
        let with = |key: &str, value: toml::Value| {
            let mut rule = rule.clone();
            rule.as_table_mut().unwrap().insert(key.to_owned(), value);
            let mut set = set.clone();
            set.as_table_mut().unwrap().insert("rule".to_owned(), vec![rule].into());
            Mapping::parse("t.toml", &toml::to_string(&set).unwrap(), 1612, &contracts)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        let kind = &rule["emit"];
        assert_eq!(with("authority", true.into()), Ok(()), "{kind} as it stands");
        let of_anybody = with("emitter", "any".into()).unwrap_err();
        assert!(of_anybody.contains("would let every stranger say it"), "{kind}: {of_anybody}");
        let among_others = vec![toml::Value::from("reward_vault"), "any".into()];
        let among_others = with("emitter", among_others.into()).unwrap_err();
        assert!(among_others.contains("\"any\""), "{kind}: {among_others}");
        let unsaid = with("authority", false.into()).unwrap_err();
        assert!(unsaid.contains("expected authority = true"), "{kind}: {unsaid}");
        refused += 1;
    }
    assert_eq!(refused, 19);
}

#[test]
fn who_is_believed_by_one_rule_is_no_stranger_to_another() {
    let contracts: Contracts = [("one", [Address::repeat_byte(1)].into()), ("two", [Address::repeat_byte(2)].into())]
        .map(|(role, list)| (role.to_owned(), list))
        .into();
    let rule = |name: &str| {
        format!(
            "[[rule]]\nname = \"{name}\"\nemitter = \"{name}\"\nauthority = true\n\
             event = \"PayoutAddressSet(address indexed account, address indexed payout)\"\nemit = \"PayoutAddressSet\"\n\
             [rule.fields]\naccount = \"account\"\npayout = \"payout\"\n"
        )
    };
    let text = format!("name = \"t\"\nversion = 1\n{}{}", rule("one"), rule("two"));
    let mapping = Mapping::parse("t.toml", &text, 1612, &contracts).unwrap();
    let (topics, data) = sample(&mapping.rules()[0]);
    let logs = [1, 2, 3].map(|byte| (Address::repeat_byte(byte), topics.clone(), data.clone())).to_vec();
    let told: Vec<_> = decode_block(&mapping, &block(logs))
        .into_iter()
        .map(|one| (one.position.log_index, one.rule.to_string(), one.refused.map(|(reason, _)| reason)))
        .collect();
    let stranger = Some(Reason::Unauthorized);
    let expected = [(0, "one", None), (1, "two", None), (2, "one", stranger), (2, "two", stranger)];
    assert_eq!(told, expected.map(|(log, rule, refused)| (log, rule.to_owned(), refused)));
}
