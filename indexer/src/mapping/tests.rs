use alloy_primitives::Address;

use super::{Contracts, Mapping, REFERENCE};

pub(crate) fn contracts() -> Contracts {
    let roles = ["datanet_registry", "model_registry", "agent_registry", "attribution_hub", "reward_vault"];
    roles.iter().zip(1_u8..).map(|(role, n)| ((*role).to_owned(), [Address::repeat_byte(n)].into())).collect()
}

fn refusal(toml: &str) -> String {
    Mapping::parse("x.toml", toml, 1, &contracts()).unwrap_err().to_string()
}

fn rule(emitter: &str, event: &str, emit: &str, rest: &str) -> String {
    format!(
        "name = \"x\"\nversion = 1\n[[rule]]\nname = \"r\"\nemitter = \"{emitter}\"\nevent = \"{event}\"\nemit = \"{emit}\"\n{rest}"
    )
}

#[test]
fn the_reference_set_is_sound_and_its_hash_covers_the_contracts() {
    let mapping = Mapping::reference(1612, &contracts()).unwrap();
    assert!(mapping.rules().len() >= 38);
    let mut other = contracts();
    other.insert("reward_vault".to_owned(), [Address::repeat_byte(9)].into());
    assert_ne!(mapping.hash(), Mapping::reference(1612, &other).unwrap().hash());
    assert_ne!(mapping.hash(), {
        let changed = REFERENCE.replacen("version = 1", "version = 2", 1);
        Mapping::parse("x.toml", &changed, 1612, &contracts()).unwrap().hash()
    });
}

#[test]
fn what_cannot_work_is_refused_by_file_rule_and_reason() {
    const PAY: &str = "PayoutAddressSet(address indexed account, address indexed payout)";
    const FIELDS: &str = "[rule.fields]\naccount = \"account\"\npayout = \"payout\"";
    let cases = [
        (rule("any", PAY, "PayoutAddressSet", &format!("authority = true\n{FIELDS}")), "every stranger"),
        (rule("reward_vault", PAY, "PayoutAddressSet", FIELDS), "expected authority = true"),
        (rule("any", PAY, "PayoutAddressSet", FIELDS), "every stranger"),
        (rule("vault", PAY, "PayoutAddressSet", FIELDS), "no configured contract"),
        (rule("any", "X(uint8 a)", "Nope", ""), "no kind \"Nope\""),
        (rule("any", "X(uint8 a", "RoleSet", ""), "event"),
        (rule("any", "X(uint8 a)", "BatchVoided", ""), "system fact"),
        (rule("any", "X(uint8 a)", "MetadataUpdated", "[rule.fields]\nfoo = \"a\""), "no field \"foo\""),
        (rule("any", "X(uint8 a)", "MetadataUpdated", "[rule.fields]\nuri = \"b\""), "no argument \"b\""),
        (rule("any", "X(uint8 a)", "MetadataUpdated", "[rule.fields]\nuri = \"a\""), "field entity"),
        (rule("any", "X(bytes32 a)", "MetadataUpdated", "[rule.fields]\nentity = \"a\"\nuri = \"a\""), "field uri"),
        (rule("any", "X(bytes31 a)", "VersionDeprecated", "[rule.fields]\nversion = \"a\"\nreason = \"a\""), "version"),
        (rule("any", "X((uint8,uint8) a)", "RoleSet", ""), "has no reading here"),
        (rule("any", "X(uint8 a)", "RoleSet", "[rule.fields]\nrole = { arg = \"a\", cast = 1 }"), "keys"),
        (format!("{}\nfoo = 1", rule("any", "X(uint8 a)", "RoleSet", "")), "unknown field `foo`"),
    ];
    for (toml, words) in cases {
        let said = refusal(&toml);
        assert!(said.contains(words) && said.contains("x.toml"), "{toml}\nsaid: {said}");
    }
}
