//! Datanets: who owns them, what is offered to them, and what their versions hold.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use rand::Rng;
use tributary_schemas::{
    code::{Decision, RemovalCause, Visibility},
    encoding::manifest_root,
    id::{ContributionId, DatasetId},
};

use crate::{
    chain::Call,
    chance::{heavy, percent, skewed, word},
    keys::Keyring,
    suite::{DatanetRegistry as Abi, key, key_of, log},
    truth::Make,
    world::{World, transaction},
};

/// A datanet.
#[derive(Debug)]
pub(super) struct Datanet {
    pub(super) number: u64,
    pub(super) id: DatasetId,
    pub(super) owner: Address,
    pub(super) visibility: Visibility,
    pub(super) license: B256,
    /// Who may contribute when it is not public, the owner aside.
    pub(super) invited: Vec<Address>,
    pub(super) version: u32,
    /// Submitted or flagged, waiting for a review.
    pub(super) waiting: Vec<Contribution>,
    /// Approved and in no version yet.
    pub(super) approved: Vec<Contribution>,
    /// In the last version.
    pub(super) members: Vec<Contribution>,
    /// Withdrawn since, so that the next version drops them.
    pub(super) leaving: BTreeSet<ContributionId>,
}

/// A contribution.
#[derive(Clone, Debug)]
pub(super) struct Contribution {
    pub(super) id: ContributionId,
    pub(super) contributor: Address,
    pub(super) content: B256,
    pub(super) rows: u64,
}

/// Licences of the world: datanets and models take one of these.
pub(super) fn license(which: usize) -> B256 {
    const NAMES: [&str; 4] = ["CC-BY-4.0", "CC-BY-SA-4.0", "MIT", "proprietary"];
    keccak256(NAMES[which % NAMES.len()])
}

impl World {
    pub(super) fn found_datanet(&mut self, keys: &mut Keyring) -> Call {
        let owner = self.person(keys, "datanet owner", 2, 60);
        let number = u64::try_from(self.datanets.len()).unwrap_or_default().saturating_add(1);
        let license = license(skewed(&mut self.chance, 4));
        // The first two are public, so that the opening finds contributors.
        let visibility = match self.chance.random_range(0..10) {
            0 if number > 2 => Visibility::Private,
            1 | 2 if number > 2 => Visibility::Permissioned,
            _ => Visibility::Public,
        };
        let registry = self.contracts.datanet_registry;
        let metadata = word(&mut self.chance);
        let uri = format!("ipfs://datanet/{number}");
        let event = Abi::DatanetCreated {
            datanetId: U256::from(number),
            owner,
            visibility: visibility.number(),
            licenseId: license,
            metadataHash: metadata,
            metadataURI: uri.clone(),
        };
        self.datanets.push(Datanet {
            number,
            id: DatasetId::native(self.chain_id, registry, key(number)),
            owner,
            visibility,
            license,
            invited: Vec::new(),
            version: 0,
            waiting: Vec::new(),
            approved: Vec::new(),
            members: Vec::new(),
            leaving: BTreeSet::new(),
        });
        let call = Abi::createDatanetCall {
            visibility: visibility.number(),
            licenseId: license,
            metadataHash: metadata,
            metadataURI: uri,
        };
        transaction(owner, registry, &call, vec![log(registry, &event)])
    }

    pub(super) fn submit(&mut self, keys: &mut Keyring) -> Option<Call> {
        let at = skewed(&mut self.chance, self.datanets.len());
        let anyone = self.person(keys, "contributor", 4, 400);
        let doubled = percent(&mut self.chance, 3);
        let registry = self.contracts.datanet_registry;
        let datanet = self.datanets.get(at)?;
        let contributor = if datanet.visibility == Visibility::Public {
            anyone
        } else {
            let guest = self.chance.random_range(0..=datanet.invited.len());
            datanet.invited.get(guest).copied().unwrap_or(datanet.owner)
        };
        let again = datanet.members.first().filter(|_| doubled).map(|member| member.content);
        let content = again.unwrap_or_else(|| word(&mut self.chance));
        let rows = heavy(&mut self.chance, 10, 14);
        let bytes = rows.saturating_mul(self.chance.random_range(40..4_000));
        let data = Bytes::from(format!("ar://{content}").into_bytes());
        let (number, license) = (datanet.number, datanet.license);
        let native = key_of(contributor, self.nonce(registry, contributor));
        let event = Abi::ContributionSubmitted {
            contributionId: native,
            datanetId: U256::from(number),
            contributor,
            contentHash: content,
            rowCount: rows,
            byteCount: bytes,
            licenseId: license,
            dataRef: data.clone(),
        };
        let id = ContributionId::native(self.chain_id, registry, native);
        self.datanets[at].waiting.push(Contribution { id, contributor, content, rows });
        let call = Abi::submitCall {
            datanetId: U256::from(number),
            contentHash: content,
            rowCount: rows,
            byteCount: bytes,
            licenseId: license,
            dataRef: data,
        };
        Some(transaction(contributor, registry, &call, vec![log(registry, &event)]))
    }

    pub(super) fn review(&mut self) -> Option<Call> {
        // The longest queue first: reviewers work where the work is.
        let datanet = self.datanets.iter_mut().max_by_key(|datanet| datanet.waiting.len())?;
        if datanet.waiting.is_empty() {
            return None;
        }
        let at = self.chance.random_range(0..datanet.waiting.len());
        let decision = match self.chance.random_range(0..100) {
            0..85 => Decision::Approve,
            85..93 => Decision::Reject,
            _ => Decision::Flag,
        };
        let contribution = datanet.waiting.get(at)?.clone();
        let reviewer = datanet.owner;
        if decision != Decision::Flag {
            datanet.waiting.swap_remove(at);
        }
        if decision == Decision::Approve {
            datanet.approved.push(contribution.clone());
        }
        let registry = self.contracts.datanet_registry;
        let quality = self.chance.random_range(0..1_000_000_i32);
        let reason = if decision == Decision::Approve { B256::ZERO } else { keccak256("quality") };
        let event = Abi::ContributionReviewed {
            contributionId: contribution.id.0,
            reviewer,
            decision: decision.number(),
            qualityScore: quality,
            reason,
        };
        let call = Abi::reviewCall {
            contribution: contribution.id.0,
            decision: decision.number(),
            qualityScore: quality,
            reason,
        };
        Some(transaction(reviewer, registry, &call, vec![log(registry, &event)]))
    }

    pub(super) fn withdraw(&mut self) -> Option<Call> {
        let at = skewed(&mut self.chance, self.datanets.len());
        let datanet = self.datanets.get_mut(at)?;
        // The newest member nobody has taken out yet.
        let member = datanet.members.iter().rev().find(|member| !datanet.leaving.contains(&member.id))?.clone();
        let cause = match self.chance.random_range(0..6) {
            0 => RemovalCause::Revoked,
            1 => RemovalCause::Licence,
            2 => RemovalCause::Slashed,
            _ => RemovalCause::Withdrawn,
        };
        let by = if cause == RemovalCause::Withdrawn { member.contributor } else { datanet.owner };
        datanet.leaving.insert(member.id);
        let registry = self.contracts.datanet_registry;
        let reason = keccak256("asked to");
        let event = Abi::ContributionWithdrawn { contributionId: member.id.0, by, cause: cause.number(), reason };
        let call = Abi::withdrawCall { contribution: member.id.0, cause: cause.number(), reason };
        Some(transaction(by, registry, &call, vec![log(registry, &event)]))
    }

    /// The next version of the datanet with most that is new.
    pub(super) fn publish_dataset(&mut self) -> Option<Call> {
        let fresh = |datanet: &Datanet| datanet.approved.len().saturating_add(datanet.leaving.len());
        let at = (0..self.datanets.len()).max_by_key(|at| self.datanets.get(*at).map_or(0, fresh))?;
        let datanet = self.datanets.get_mut(at).filter(|datanet| fresh(datanet) > 0)?;
        let mut added: Vec<Contribution> = std::mem::take(&mut datanet.approved);
        added.sort_unstable_by_key(|contribution| contribution.id);
        let removed = std::mem::take(&mut datanet.leaving);
        datanet.members.retain(|member| !removed.contains(&member.id));
        let manifest: Vec<u8> =
            added.iter().map(|one| one.id).chain(removed.iter().copied()).flat_map(|id| id.0.0).collect();
        let counts = (u32::try_from(added.len()).ok()?, u32::try_from(removed.len()).ok()?);
        datanet.members.append(&mut added);
        datanet.version = datanet.version.saturating_add(1);
        let root = manifest_root(datanet.members.iter().map(|member| member.id));
        let rows = datanet.members.iter().fold(0_u64, |sum, member| sum.saturating_add(member.rows));
        let (number, version, owner, license) = (datanet.number, datanet.version, datanet.owner, datanet.license);
        let (_, reference) = self.keep_blob(manifest.into(), Make::Sound);
        let registry = self.contracts.datanet_registry;
        let event = Abi::DatanetVersionPublished {
            datanetId: U256::from(number),
            version,
            manifestRoot: root,
            added: counts.0,
            removed: counts.1,
            totalRows: rows,
            licenseId: license,
            manifestRef: reference.clone(),
        };
        let call = Abi::publishVersionCall {
            datanetId: U256::from(number),
            manifestRoot: root,
            added: counts.0,
            removed: counts.1,
            totalRows: rows,
            licenseId: license,
            manifestRef: reference,
        };
        Some(transaction(owner, registry, &call, vec![log(registry, &event)]))
    }
}
