//! Proofs: what an account shows to the vault, and how anyone checks it offline.

use alloy_primitives::{Address, B256};
use datafusion::prelude::SessionContext;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tributary_schemas::Amount;
use tributary_schemas::column::hex_text;
use tributary_schemas::money::MerkleLeafRow;

use crate::error::AccountingError;
use crate::next::epoch_folder;
use crate::read::{address, amount, hash, rows};
use crate::tree::{Leaf, climb, siblings};

/// A proof that an account is entitled to a cumulative amount under a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Account.
    pub account: Address,
    /// Token; the zero address is the native token.
    pub token: Address,
    /// Cumulative base units.
    pub cumulative: Amount,
    /// The leaf.
    pub leaf: B256,
    /// Siblings from the leaf up.
    pub siblings: Vec<B256>,
    /// The root.
    pub root: B256,
    /// Epoch of the root.
    pub epoch: i64,
    /// Vault that the root is for.
    pub vault: Address,
}

/// The proof of an account in the tree of a settled epoch: of `vault`, else of the first vault that owes it this token.
/// `None` when the account has no leaf there.
pub async fn proof(
    ctx: &SessionContext,
    data_dir: &Path,
    account: Address,
    token: Address,
    epoch: i64,
    vault: Option<Address>,
) -> Result<Option<Proof>, AccountingError> {
    let filter = format!("epoch = {epoch} AND account = '{}' AND token = '{}'", hex_text(account), hex_text(token));
    let mut leaves: Vec<MerkleLeafRow> = rows(ctx, &filter).await?;
    leaves.sort_by(|a, b| a.vault.cmp(&b.vault));
    let wanted = vault.map(hex_text);
    let Some(row) = leaves.into_iter().find(|row| wanted.as_ref().is_none_or(|wanted| *wanted == row.vault)) else {
        return Ok(None);
    };
    let file = epoch_folder(data_dir, epoch).join(format!("{}.nodes", row.vault));
    let length = std::fs::metadata(&file)
        .map_err(|source| AccountingError::File { action: "read", path: file.display().to_string(), source })?
        .len();
    let index = u64::try_from(row.leaf_index).unwrap_or(u64::MAX);
    let siblings = siblings(&file, index, (length / 32).div_ceil(2))?;
    let leaf = hash(&row.leaf)?;
    let proof = Proof {
        account,
        token,
        cumulative: Amount::new(amount(row.cumulative.0)?)?,
        leaf,
        root: climb(leaf, &siblings),
        siblings,
        epoch,
        vault: address(&row.vault)?,
    };
    Ok(Some(proof))
}

/// Whether a proof holds: its leaf says what it claims and leads to its root. Whether that root is the one on chain is
/// for the reader to compare.
#[must_use]
pub fn verify_proof(proof: &Proof) -> bool {
    let leaf = Leaf::new(proof.account, proof.token, proof.cumulative.units()).hash;
    leaf == proof.leaf && climb(leaf, &proof.siblings) == proof.root
}
