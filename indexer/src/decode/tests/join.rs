//! Payments and the Transfers behind them, in one transaction.

use alloy_dyn_abi::DynSolValue as V;
use alloy_primitives::{Address, B256, U256};
use tributary_schemas::Payload;
use tributary_schemas::code::{Backing, Reason};

use super::language::{EMITTER, block, load, log};
use crate::decode::{Decoded, Unknown, decode_block};
use crate::mapping::{Contracts, Mapping};

const SHOP: Address = EMITTER;
const TOKEN: Address = Address::repeat_byte(2);
const ESCROW: Address = Address::repeat_byte(3);
const PAYER: Address = Address::repeat_byte(4);
const PAID: &str = "Paid(bytes32 id, bytes32 subject, uint256 sum)";
const TRANSFER: &str = "Transfer(address indexed from, address indexed to, uint256 value)";

fn contracts() -> Contracts {
    [("shop", SHOP), ("token", TOKEN), ("escrow", ESCROW)].map(|(role, one)| (role.to_owned(), [one].into())).into()
}

/// A rule for the shop's payments, joined to their Transfer.
fn rule(join: &str, backing: &str) -> String {
    format!(
        "[[rule]]\nname = \"r\"\nemitter = \"shop\"\nauthority = true\nrevenue = \"recognise\"\nevent = \"{PAID}\"\n\
         emit = \"RevenueReceived\"\n[rule.join]\nevent = \"{TRANSFER}\"\nemitter = \"token\"\n{join}\n\
         on = {{ to = {{ role = \"escrow\" }}, value = \"sum\" }}\n[rule.fields]\npayment = {{ native = \"payment\", key = \"id\" }}\n\
         key = \"id\"\nsubject = \"subject\"\npayer = {{ if_joined = \"joined.from\", else = {{ from = \"emitter\" }} }}\n\
         token = {{ if_joined = {{ from = \"joined.emitter\" }}, else = {{ from = \"emitter\" }} }}\namount = \"sum\"\nbacking = {backing}\n"
    )
}

type Log = (Address, Vec<B256>, Vec<u8>);
/// A payment that holds: its log, who paid, what stands behind it.
type Held = (u32, Address, Backing);

fn paid(id: u8, sum: u64) -> Log {
    let word = |byte: u8| V::FixedBytes(B256::repeat_byte(byte), 32);
    log(PAID, &[word(id), word(9), V::Uint(U256::from(sum), 256)])
}

fn transfer(to: Address, sum: u64) -> Log {
    let (_, topics, data) = log(TRANSFER, &[V::Address(PAYER), V::Address(to), V::Uint(U256::from(sum), 256)]);
    (TOKEN, topics, data)
}

fn of(emitter: Address, (_, topics, data): Log) -> Log {
    (emitter, topics, data)
}

/// The payments that hold, and the refusals with their logs.
fn payments(rules: &str, logs: Vec<Log>) -> (Vec<Held>, Vec<(u32, Reason)>) {
    let (mut held, mut refused) = (Vec::new(), Vec::new());
    for one in decode_block(&load(rules, &contracts()), &block(logs, Vec::new()), &Unknown) {
        let at = one.position.log_index;
        match one {
            Decoded { refused: Some((reason, _)), .. } => refused.push((at, reason)),
            Decoded { payload: Payload::RevenueReceived { payer, backing, .. }, .. } => held.push((at, payer, backing)),
            other => panic!("{other:?}"),
        }
    }
    (held, refused)
}

#[test]
fn one_transfer_backs_one_payment() {
    let rule = rule("", "{ const = \"transfer\" }");
    let check = |logs: Vec<Log>, expected: &[u32]| {
        let (held, refused) = payments(&rule, logs);
        assert_eq!(refused, []);
        assert_eq!(held, expected.iter().map(|at| (*at, PAYER, Backing::Transfer)).collect::<Vec<_>>());
    };
    // Before or after it, with other logs between.
    check(vec![transfer(ESCROW, 5), paid(1, 5)], &[1]);
    check(vec![paid(1, 5), transfer(PAYER, 5), transfer(ESCROW, 6), transfer(ESCROW, 5)], &[0]);
    // The second payment has none; with another Transfer it has.
    check(vec![transfer(ESCROW, 5), paid(1, 5), paid(2, 5)], &[1]);
    check(vec![transfer(ESCROW, 5), paid(1, 5), paid(2, 5), transfer(ESCROW, 5)], &[1, 2]);
    // To somebody else, of another sum, of another token: none.
    check(vec![transfer(PAYER, 5), paid(1, 5), transfer(ESCROW, 4), of(SHOP, transfer(ESCROW, 5))], &[]);
}

#[test]
fn a_stranger_does_not_use_up_a_transfer() {
    let logs = vec![transfer(ESCROW, 5), of(PAYER, paid(1, 5)), paid(2, 5)];
    let (held, refused) = payments(&rule("", "{ const = \"transfer\" }"), logs);
    assert_eq!(held, [(2, PAYER, Backing::Transfer)]);
    assert_eq!(refused, [(1, Reason::Unauthorized)]);
}

#[test]
fn a_payment_may_do_without_and_says_so() {
    let backing = "{ if_joined = { const = \"transfer\" }, else = { const = \"asserted\" } }";
    let logs = vec![paid(1, 5), transfer(ESCROW, 5), paid(2, 5)];
    let (held, refused) = payments(&rule("optional = true", backing), logs);
    assert_eq!((held, refused), (vec![(0, PAYER, Backing::Transfer), (2, SHOP, Backing::Asserted)], vec![]));
}

/// x402 pays by an authorisation of EIP-3009: the nonce names the payment, the Transfer has the sum.
#[test]
fn an_authorisation_is_joined_to_its_transfer() {
    const USED: &str = "AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)";
    let rule = format!(
        "[[rule]]\nname = \"x402\"\nemitter = \"token\"\nauthority = true\nrevenue = \"recognise\"\nevent = \"{USED}\"\n\
         emit = \"RevenueReceived\"\n[rule.join]\nevent = \"{TRANSFER}\"\nemitter = \"token\"\n\
         on = {{ from = \"authorizer\", to = {{ role = \"escrow\" }} }}\n[rule.fields]\n\
         payment = {{ native = \"payment\", key = \"nonce\" }}\nkey = \"nonce\"\nsubject = \"nonce\"\npayer = \"authorizer\"\n\
         token = {{ from = \"emitter\" }}\namount = \"joined.value\"\nbacking = {{ const = \"transfer\" }}\n"
    );
    let used = |nonce: u8| of(TOKEN, log(USED, &[V::Address(PAYER), V::FixedBytes(B256::repeat_byte(nonce), 32)]));
    let logs = vec![used(1), transfer(ESCROW, 5), used(2), transfer(ESCROW, 6), used(3), transfer(PAYER, 7)];
    let decoded = decode_block(&load(&rule, &contracts()), &block(logs, Vec::new()), &Unknown);
    let told = decoded.iter().map(|one| match &one.payload {
        Payload::RevenueReceived { key, amount, .. } => (key.0[0], amount.units()),
        other => panic!("{other:?}"),
    });
    assert_eq!(told.collect::<Vec<_>>(), [(1, 5), (2, 6)]);
}

#[test]
fn a_join_that_could_deceive_is_refused() {
    let sound = rule("", "{ const = \"transfer\" }");
    let told = |rules: &str| {
        let text = format!("name = \"t\"\nversion = 1\n{rules}");
        Mapping::parse("t.toml", &text, 1, &contracts()).unwrap_err().to_string()
    };
    let alone = sound.split("[rule.join]").next().unwrap().to_owned()
        + "[rule.fields]\npayment = \"id\"\nkey = \"id\"\nsubject = \"id\"\npayer = { from = \"emitter\" }\n\
           token = { from = \"emitter\" }\namount = \"sum\"\nbacking = { const = \"transfer\" }\n";
    let cases = [
        (sound.replace("emitter = \"token\"", "emitter = \"any\""), "a stranger's log would back a payment"),
        (sound.replace("value = \"sum\"", "value = \"some\""), "the nearest is \"sum\""),
        (sound.replace("value = \"sum\"", "valu = \"sum\""), "the nearest is \"value\""),
        (sound.replace("on = { to = { role = \"escrow\" }, value = \"sum\" }", "on = {}"), "on is empty"),
        (
            rule("optional = true", "{ const = \"transfer\" }")
                .replace("{ if_joined = \"joined.from\", else", "{ arg = \"joined.from\", or"),
            "expected it behind if_joined",
        ),
        (alone, "expected [rule.join] with the Transfer"),
    ];
    for (rules, words) in cases {
        let said = told(&rules);
        assert!(said.contains(words), "{rules}\nsaid: {said}");
    }
}
