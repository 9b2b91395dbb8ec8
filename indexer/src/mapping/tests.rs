use alloy_primitives::Address;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;

use super::{BUILT_IN, BuiltIn, Contracts, Mapping, MappingFile, REFERENCE, abi_files, json_schema, skeleton};

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

/// A rule whose field `uri` is `expr`; its other field is sound.
fn of_uri(expr: &str) -> String {
    let event = "X(bytes32 a, bytes b, string t, uint8[] l, (address owner, uint64 n) s)";
    rule("any", event, "MetadataUpdated", &format!("[rule.fields]\nentity = \"a\"\nhash = \"a\"\nuri = {expr}"))
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
        (rule("reward_vaults", PAY, "PayoutAddressSet", FIELDS), "nearest is \"reward_vault\""),
        (rule("any", "X(uint8 a)", "Nope", ""), "no kind \"Nope\""),
        (rule("any", "X(uint8 a", "RoleSet", ""), "event"),
        (rule("any", "X(uint8 a)", "BatchVoided", ""), "system fact"),
        (rule("any", "X(uint8 a)", "MetadataUpdated", "[rule.fields]\nfoo = \"a\""), "no field \"foo\""),
        (rule("any", "X(uint8 a)", "MetadataUpdated", "[rule.fields]\nuri = \"b\""), "no argument \"b\""),
        (rule("any", "X(uint8 a)", "MetadataUpdated", "[rule.fields]\nuri = \"a\""), "field entity"),
        (rule("any", "X(bytes32 a)", "MetadataUpdated", "[rule.fields]\nentity = \"a\"\nuri = \"a\""), "field uri"),
        (rule("any", "X(bytes31 a)", "VersionDeprecated", "[rule.fields]\nversion = \"a\"\nreason = \"a\""), "version"),
        (rule("any", "X(function a)", "RoleSet", ""), "has no reading here"),
        (rule("any", "X(uint8 a)", "RoleSet", "[rule.fields]\nrole = { arg = \"a\", cast = 1 }"), "keys"),
        (format!("{}\nfoo = 1", rule("any", "X(uint8 a)", "RoleSet", "")), "unknown field `foo`"),
        (format!("{}\nemiter = 1", rule("any", "X(uint8 a)", "RoleSet", "")), "nearest is \"emitter\""),
        (of_uri("{ state = \"a\" }"), "returns (RESULTS)"),
        (of_uri("{ utf = \"b\" }"), "nearest is \"utf8\""),
        (of_uri("{ utf8 = \"b\", of = \"b\" }"), "beside utf8 no \"of\""),
        (of_uri("{ utf8 = \"b\", json = \"b\" }"), "expected one operator"),
        (of_uri("{ utf8 = \"t\" }"), "got text: expected bytes"),
        (of_uri("{ json = \"b\", path = \"a\" }"), "got bytes: expected text"),
        (of_uri("{ json = \"t\" }"), "expected path beside it"),
        (of_uri("{ from = \"tx.form\" }"), "nearest is \"tx.from\""),
        (of_uri("{ abi = \"uint8 x\", of = \"b\", take = \"y\" }"), "no argument \"y\""),
        (of_uri("\"s.owned\""), "nearest is \"owner\""),
        (of_uri("\"l[]\""), "goes through 1 lists"),
        (of_uri("{ concat = [{ const = 1 }] }"), "give a number one with cast"),
        (of_uri("{ first = [\"c\", \"t\"] }"), "no argument \"c\""),
        (of_uri("{ if_joined = \"t\" }"), "no join"),
        (of_uri(&format!("{}\"t\"{}", "{ arg = ".repeat(20), " }".repeat(20))), "16 deep"),
    ];
    for (toml, words) in cases {
        let said = refusal(&toml);
        assert!(said.contains(words) && said.contains("x.toml"), "{toml}\nsaid: {said}");
    }
}

fn file(name: &str, toml: &str) -> MappingFile {
    MappingFile { name: name.to_owned(), toml: toml.to_owned(), ..MappingFile::default() }
}

fn problems(files: &[MappingFile]) -> Vec<String> {
    let found = Mapping::check(files, 1, &contracts()).map(|_| ()).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn every_problem_is_told_with_its_line() {
    let one = "name = \"x\"\nversion = 1\n\n[[rule]]\nname = \"a\"\nemitter = \"any\"\nevent = \"X(bytes32 a)\"\n\
               emit = \"MetadataUpdated\"\n[rule.fields]\nentity = \"a\"\nhash = \"a\"\nuri = \"b\"\n\n\
               [[rule]]\nname = \"b\"\nemitter = \"any\"\nevent = \"Y(bytes32 a)\"\nemit = \"MetadataUpdate\"\n";
    let said = problems(&[file("x.toml", one), file("y.toml", "name = \"y\"\nversion = one\n")]);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].starts_with("y.toml:2: "), "{said:?}");
    assert!(said[1].starts_with("x.toml:12: rule \"a\": field \"uri\": no argument \"b\""), "{said:?}");
    assert!(
        said[2].starts_with("x.toml:18: rule \"b\": no kind \"MetadataUpdate\": the nearest is \"MetadataUpdated\""),
        "{said:?}"
    );
}

/// A rule that counts an event of the vault as revenue.
fn paid(name: &str, event: &str, rest: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\nemitter = \"reward_vault\"\nauthority = true\nevent = \"{event}\"\n\
         emit = \"RevenueReceived\"\nrevenue = \"recognise\"\n{rest}[rule.fields]\npayment = \"id\"\nkey = \"id\"\nsubject = \"id\"\n\
         payer = \"who\"\ntoken = \"who\"\namount = \"sum\"\nbacking = {{ const = \"vault\" }}\n"
    )
}

#[test]
fn money_is_counted_once() {
    const HEAD: &str = "name = \"x\"\nversion = 1\n";
    const PAID: &str = "Paid(bytes32 id, address who, uint256 sum)";
    let twice =
        |rest: &str, other: &str| problems(&[file("x.toml", &format!("{HEAD}{}{other}", paid("a", PAID, rest)))]);
    assert_eq!(twice("", ""), [""; 0]);
    let same = twice("", &paid("b", PAID, ""));
    assert!(same.len() == 1 && same[0].contains("recognises as revenue what rule \"a\" recognises"), "{same:?}");
    let told_again = twice("", &paid("b", "Told(bytes32 id, address who, uint256 sum)", ""));
    assert!(told_again.len() == 1 && told_again[0].contains("could be recognised twice"), "{told_again:?}");
    // One after the other, or told apart by what they say.
    assert_eq!(twice("to_block = 9\n", &paid("b", PAID, "from_block = 10\n")), [""; 0]);
    let to = |n: u8| format!("where = {{ who = \"{:#x}\" }}\n", Address::repeat_byte(n));
    assert_eq!(twice(&to(1), &paid("b", PAID, &to(2))), [""; 0]);
    // What is counted elsewhere is said so, and makes nothing.
    let elsewhere = |revenue: &str| {
        format!("[[rule]]\nname = \"b\"\nemitter = \"reward_vault\"\nevent = \"Shared(uint256 sum)\"\n{revenue}")
    };
    assert_eq!(twice("", &elsewhere("revenue = \"distribution\"\n")), [""; 0]);
    assert!(twice("", &elsewhere(""))[0].contains("emits nothing"));
    let silent = HEAD.to_owned() + &paid("a", PAID, "").replace("revenue = \"recognise\"\n", "");
    assert!(problems(&[file("x.toml", &silent)])[0].contains("expected revenue = \"recognise\""));
}

#[test]
fn a_transfer_to_a_contract_that_reports_its_revenue_is_not_counted_too() {
    let mut contracts = contracts();
    let files = ["reference", "erc20-payments"].map(|name| BuiltIn::named(name).unwrap().file(&mut contracts));
    let vault = contracts["reward_vault"].clone();
    let told = |contracts: &Contracts| {
        let found = Mapping::check(&files, 1, contracts).map(|_| ()).err().unwrap_or_default();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    contracts.insert("escrow".to_owned(), [Address::repeat_byte(9)].into());
    assert_eq!(told(&contracts), [""; 0]);
    contracts.insert("escrow".to_owned(), vault);
    let said = told(&contracts);
    assert!(said.len() == 1 && said[0].contains("counts transfers to a contract whose own reports"), "{said:?}");
}

#[test]
fn rules_that_nothing_reaches_or_that_repeat_others_are_told() {
    let rules = |rest: [&str; 2]| {
        let one = |name: &str, rest: &str| {
            format!(
                "[[rule]]\nname = \"{name}\"\nemitter = \"any\"\nevent = \"X(bytes32 a, string t)\"\nemit = \"MetadataUpdated\"\n{rest}\
                 [rule.fields]\nentity = \"a\"\nhash = \"a\"\nuri = \"t\"\n"
            )
        };
        let text = format!("name = \"x\"\nversion = 1\n{}{}", one("a", rest[0]), one("b", rest[1]));
        problems(&[file("x.toml", &text)])
    };
    assert!(rules(["", ""])[0].contains("what rule \"a\" says"));
    assert_eq!(rules(["where.t = \"x\"\n", "where.t = \"y\"\n"]), [""; 0]);
    assert!(rules(["from_block = 9\nto_block = 8\n", "from_block = 10\n"])[0].contains("never reached"));
    assert!(rules(["where.t = 1\n", "where.t = \"y\"\n"])[0].contains("never equal"));
}

#[test]
fn the_files_that_come_with_the_program_are_sound_alone_and_together() {
    let mut contracts = contracts();
    let files: Vec<MappingFile> = BUILT_IN.iter().map(|built_in| built_in.file(&mut contracts)).collect();
    for file in &files {
        let sound = Mapping::check(std::slice::from_ref(file), 1, &contracts);
        assert!(sound.is_ok(), "{}: {:?}", file.name, sound.err());
    }
    let together = Mapping::check(&files, 1, &contracts);
    assert!(together.is_ok(), "{:?}", together.err());
    let hashes: Vec<_> = [&files[..1], &files[..2], &files[1..]]
        .map(|files| Mapping::load(files, 1, &contracts).unwrap().hash())
        .to_vec();
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
}

/// The log roots of chains that are indexed already begin with this hash.
#[test]
fn the_hash_of_the_reference_set_is_what_it_was() {
    let hash = Mapping::reference(1612, &contracts()).unwrap().hash();
    assert_eq!(hash.to_string(), "0xbe648c5ff29a0f10cc14d6aacb4b4ae1c19dd8cb0824083320565b770deca567");
}

#[test]
fn a_skeleton_is_sound_as_it_is_written() {
    let abi = r#"{ "abi": [
        { "type": "event", "name": "LotSold", "anonymous": false, "inputs": [
            { "name": "id", "type": "uint256", "indexed": true },
            { "name": "", "type": "string", "indexed": true },
            { "name": "terms", "type": "tuple[]", "indexed": false, "components": [
                { "name": "to", "type": "address" }, { "name": "parts", "type": "uint32[2]" } ] } ] },
        { "type": "event", "name": "LotSold", "anonymous": false, "inputs": [] },
        { "type": "event", "name": "Hidden", "anonymous": true, "inputs": [] },
        { "type": "function", "name": "f", "inputs": [], "outputs": [], "stateMutability": "view" } ] }"#;
    let text = skeleton("lots", abi).unwrap();
    for words in [
        "LotSold(uint256 indexed id, string indexed arg1, (address to, uint32[2] parts)[] terms)",
        "name = \"lot-sold-2\"",
        "Hidden() is anonymous",
        "arg1 (string, of which the log has the keccak256 alone)",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert_eq!(problems(&[file("lots.toml", &text)]), [""; 0]);
    let by_name = "name = \"x\"\nversion = 1\nabi = [\"lots.json\"]\n".to_owned()
        + "[[rule]]\nname = \"r\"\nemitter = \"any\"\nevent = \"LotSold\"\nemit = \"MetadataUpdated\"\n"
        + "[rule.fields]\nentity = { from = \"tx.hash\" }\nhash = { first = [\"arg1\", { from = \"tx.hash\" }] }\nuri = { const = \"\" }\n";
    let mut named = file("named.toml", &by_name);
    assert!(problems(&[named.clone()])[0].contains("lots.json"));
    assert_eq!(abi_files(&by_name), ["lots.json"]);
    named.abis.insert("lots.json".to_owned(), text_without_names(abi));
    assert_eq!(problems(&[named]), [""; 0]);
}

/// The ABI with a name for the argument that has none.
fn text_without_names(abi: &str) -> String {
    abi.replace("\"name\": \"\"", "\"name\": \"arg1\"")
}

#[test]
fn the_schema_knows_the_keys_that_the_reader_knows() {
    let schema = json_schema();
    let rule = &schema["properties"]["rule"]["items"];
    let text = "name = \"x\"\nversion = 1\n[[rule]]\nname = \"r\"\nemitter = \"any\"\nevent = \"X()\"\nnone = 1\n";
    let told = problems(&[file("x.toml", text)]).concat();
    let known: Vec<&str> = rule["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    for key in &known {
        assert!(told.contains(&format!("`{key}`")), "{key} is not read: {told}");
    }
    let read = told.split('`').skip(3).step_by(2).count();
    assert_eq!(read, known.len(), "{told}");

    let factory = &schema["$defs"]["emitter"]["anyOf"][1]["properties"];
    let text = text.replace("\"any\"", "{ none = 1 }").replace("none = 1\n", "");
    let told = problems(&[file("x.toml", &text)]).concat();
    let (_, read) = told.split_once(", of ").unwrap();
    let read: BTreeSet<&str> = read.split(", ").collect();
    assert_eq!(read, factory.as_object().unwrap().keys().map(String::as_str).collect(), "{told}");
}

#[test]
fn damaged_files_are_refused_or_sound_and_never_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut contracts = contracts();
    let mut files: Vec<MappingFile> = BUILT_IN.iter().map(|built_in| built_in.file(&mut contracts)).collect();
    let factory = "{ factory = [\"reward_vault\"], event = [\"Made(address at, (uint8 n, address of)[2] more)\"], \
                   child = \"more[1].of\", children_max = 9 }";
    files.push(file("factory.toml", &REFERENCE.replacen("\"any\"", factory, 1)));
    Mapping::check(&files[BUILT_IN.len()..], 1, &contracts).unwrap();
    let words =
        ["{", "}", "[]", "=", "\"", "(", ")", "uint8", " indexed", "\u{e9}", "-1", "[[rule]]", "keccak", "zip", "99"];
    let (mut refused, mut sound) = (0, 0);
    for round in 0..600 {
        let mut file = files[round % files.len()].clone();
        for _ in 0..rng.random_range(1..4) {
            let mut at = rng.random_range(0..file.toml.len());
            while !file.toml.is_char_boundary(at) {
                at -= 1;
            }
            let rest = file.toml.split_off(at);
            let skip = rest.char_indices().map(|(at, _)| at).nth(rng.random_range(0..4)).unwrap_or(0);
            file.toml.push_str(words[rng.random_range(0..words.len())]);
            file.toml.push_str(&rest[skip..]);
        }
        match Mapping::check(&[file], 1, &contracts) {
            Ok(_) => sound += 1,
            Err(problems) => {
                assert!(problems.iter().all(|problem| problem.line > 0 && !problem.reason.is_empty()), "{problems:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 300 && sound > 10, "{refused} refused, {sound} sound");
}
