//! API keys: whoever has one has a quota of its own, wherever the requests come from.
//!
//! `tributary key` writes them to `keys.json` in the data folder; only hashes are kept. Servers look at the file again
//! whenever it changes, so that a key that was revoked is refused at once.

use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use alloy_primitives::{B256, keccak256};
use axum::http::{HeaderMap, header};
use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, Refusal};

/// The file in the data folder.
pub const FILE: &str = "keys.json";
/// What every secret begins with, so that people and scanners know one when they see one.
pub const PREFIX: &str = "trib_";

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id, which is no secret: the first bytes of the hash.
    pub id: String,
    /// Whose it is, for people.
    pub name: String,
    /// keccak256 of the secret.
    pub hash: B256,
    /// Whether it is refused.
    pub revoked: bool,
}

impl ApiKey {
    /// The key of a secret.
    #[must_use]
    pub fn new(name: &str, secret: &str) -> Self {
        let hash = keccak256(secret);
        let id = alloy_primitives::hex::encode(&hash[..6]);
        Self { id, name: name.to_owned(), hash, revoked: false }
    }

    /// Whom the quota is kept for. Clients by address have zeros in the lower half of an IPv6 address, this has none.
    fn client(&self) -> IpAddr {
        let mut bytes = [0xff; 16];
        bytes[1..].copy_from_slice(&self.hash[..15]);
        bytes[15] |= 1;
        IpAddr::V6(Ipv6Addr::from(bytes))
    }
}

/// Whether a client is one that has a key.
pub(crate) fn has_key(client: IpAddr) -> bool {
    matches!(client, IpAddr::V6(address) if address.to_bits() & u128::from(u64::MAX) != 0)
}

/// The keys of a data folder; none when there is no file.
///
/// # Errors
/// When the file cannot be read or is no list of keys.
pub fn read(dir: &Path) -> std::io::Result<Vec<ApiKey>> {
    match std::fs::read(dir.join(FILE)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(cause),
    }
}

/// When the file was changed, and its length.
type Stamp = Option<(SystemTime, u64)>;

/// The keys that a server knows.
#[derive(Debug)]
pub(crate) struct Ring {
    dir: PathBuf,
    kept: Mutex<(Stamp, Arc<Vec<ApiKey>>)>,
}

impl Ring {
    /// The keys of a data folder.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), kept: Mutex::default() }
    }

    /// Whom the quota is kept for, when the request brings a key; a key that is not known is refused.
    pub(crate) fn client(&self, headers: &HeaderMap) -> Result<Option<IpAddr>, Refusal> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(secret) = given.and_then(|text| text.strip_prefix("Bearer ")).map(str::trim) else { return Ok(None) };
        let message = "this API key is not known or was revoked: send `authorization: Bearer trib_…`, or nothing";
        self.holder(secret)?.map(Some).ok_or_else(|| Refusal::new(ErrorCode::Unauthorized, message))
    }

    /// Whom the quota is kept for of a key; nobody when it is not known.
    pub(crate) fn holder(&self, secret: &str) -> Result<Option<IpAddr>, Refusal> {
        let hash = keccak256(secret);
        let keys = self.known()?;
        let found = keys.iter().find(|key| key.hash == hash && !key.revoked);
        Ok(found.map(ApiKey::client))
    }

    /// Whether there is any key.
    pub(crate) fn is_used(&self) -> Result<bool, Refusal> {
        self.known().map(|keys| keys.iter().any(|key| !key.revoked))
    }

    fn known(&self) -> Result<Arc<Vec<ApiKey>>, Refusal> {
        self.keys().map_err(|cause| Refusal::internal("reading the API keys", &cause))
    }

    fn keys(&self) -> std::io::Result<Arc<Vec<ApiKey>>> {
        let stamp = match std::fs::metadata(self.dir.join(FILE)) {
            Ok(file) => Some((file.modified()?, file.len())),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => None,
            Err(cause) => return Err(cause),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != stamp {
            *kept = (stamp, Arc::new(read(&self.dir)?));
        }
        Ok(Arc::clone(&kept.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearing(secret: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, format!("Bearer {secret}").parse().unwrap())])
    }

    #[test]
    fn a_key_is_known_until_it_is_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let ring = Ring::new(dir.path());
        assert_eq!(ring.client(&HeaderMap::new()), Ok(None));
        assert_eq!(ring.client(&bearing("trib_1")).unwrap_err().code, ErrorCode::Unauthorized);
        let mut keys = vec![ApiKey::new("ann", "trib_1"), ApiKey::new("bob", "trib_2")];
        let write = |keys: &[ApiKey]| std::fs::write(dir.path().join(FILE), serde_json::to_vec(keys).unwrap()).unwrap();
        write(&keys);
        let (ann, bob) = (ring.client(&bearing("trib_1")).unwrap(), ring.client(&bearing("trib_2")).unwrap());
        assert!(ann != bob && ann.is_some_and(has_key) && bob.is_some_and(has_key));
        assert!(!has_key("10.0.0.1".parse().unwrap()) && !has_key("2001:db8:1:2::".parse().unwrap()));
        keys[0].revoked = true;
        write(&keys);
        assert_eq!(ring.client(&bearing("trib_1")).unwrap_err().code, ErrorCode::Unauthorized);
        assert_eq!(ring.client(&bearing("trib_2")).unwrap(), bob);
        let kept = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(!kept.contains("trib_"), "a secret is kept: {kept}");
    }
}
