//! Mapping files as somebody may write them: refused with the place and a reason, or sound and always the same set.
#![no_main]

use alloy_primitives::Address;
use libfuzzer_sys::fuzz_target;
use tributary_indexer::mapping::{BUILT_IN, MappingFile, abi_files};
use tributary_indexer::{Contracts, Mapping};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut contracts = Contracts::new();
    for role in ["datanet_registry", "model_registry", "agent_registry", "attribution_hub", "reward_vault"] {
        contracts.insert(role.to_owned(), [Address::repeat_byte(1)].into());
    }
    for file in BUILT_IN {
        drop(file.file(&mut contracts));
    }
    assert!(abi_files(text).len() <= text.len());
    let file = MappingFile { name: "f.toml".to_owned(), toml: text.to_owned(), ..MappingFile::default() };
    match Mapping::check(std::slice::from_ref(&file), 1, &contracts) {
        Ok(mapping) => {
            let again = Mapping::load(&[file], 1, &contracts).expect("it was sound a moment ago");
            assert_eq!(mapping.hash(), again.hash());
            assert!(mapping.topics().count() <= text.len());
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(problems.iter().all(|one| one.line > 0 && !one.reason.is_empty()), "{problems:?}");
        }
    }
});
