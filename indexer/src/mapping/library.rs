//! The mapping files that come with the program.

use super::{Contracts, MappingFile};

/// A mapping file that comes with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// The roles of contracts that it asks for beside those of the reference contracts.
    pub roles: &'static [&'static str],
    /// Its text.
    pub toml: &'static str,
}

/// The mapping files that come with the program.
pub const BUILT_IN: [BuiltIn; 4] = [
    BuiltIn {
        name: "reference",
        about: "the reference contracts: datasets, models, agents, attribution and the reward vault",
        roles: &[],
        toml: super::REFERENCE,
    },
    BuiltIn {
        name: "eas",
        about: "attestations of the Ethereum Attestation Service, which every OP Stack chain has as a predeploy",
        roles: &["eas", "attribution_hub"],
        toml: include_str!("../../mappings/eas.toml"),
    },
    BuiltIn {
        name: "erc8004",
        about: "agents, feedback and validation of ERC-8004 registries",
        roles: &["erc8004_identity", "erc8004_reputation", "erc8004_validation"],
        toml: include_str!("../../mappings/erc8004.toml"),
    },
    BuiltIn {
        name: "erc20-payments",
        about: "ERC-20 transfers to an escrow address as payments for an agent",
        roles: &["payment_token", "escrow"],
        toml: include_str!("../../mappings/erc20-payments.toml"),
    },
];

impl BuiltIn {
    /// Its file, and the roles it asks for among the contracts.
    #[must_use]
    pub fn file(&self, contracts: &mut Contracts) -> MappingFile {
        for role in self.roles {
            contracts.entry((*role).to_owned()).or_default();
        }
        MappingFile { name: format!("{}.toml", self.name), toml: self.toml.to_owned(), ..MappingFile::default() }
    }

    /// The file of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        BUILT_IN.iter().find(|file| file.name == name)
    }
}
