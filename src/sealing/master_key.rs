//! Checks that the configured master key belongs to this catalog. The database stores the key's fingerprint. So a lost key is
//! never replaced silently, and a wrong key is never used.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::sealing::{Fingerprint, KeyFileError, KeyRing, KeySource, SealError};
use crate::store::{Store, StoreError};

/// The most warehouses that a message names.
const NAMED: usize = 5;

/// How long a check of the key is cached.
const CACHED_FOR: Duration = Duration::from_secs(5);

/// The advice for a missing key, appended to the message.
const ADVICE: &str = "Restore the right key from its backup. If it is lost: create a new key (`openssl rand -base64 32`), run \
                      `tidewater warehouse reseal --key-is-lost`, and set the credentials of each of these warehouses again \
                      (`tidewater warehouse set-storage`)";

/// Why the master key cannot be used for this catalog.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The key does not exist.
    #[error("the master key of this catalog is missing ({place}). {needed_for}. {ADVICE}")]
    Missing {
        /// The file or setting that should have the key.
        place: String,
        /// The warehouses that need the key, as a sentence.
        needed_for: String,
    },
    /// The key belongs to another catalog.
    #[error("the master key ({place}) does not belong to this catalog. {needed_for}. {ADVICE}")]
    Other {
        /// The file or setting that has the key.
        place: String,
        /// The warehouses that need the right key, as a sentence.
        needed_for: String,
    },
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// A fingerprint cannot be derived.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks that one of the keys belongs to this catalog, and stores its fingerprint if the catalog has none yet. Returns the keys,
/// or none if there are no keys and the catalog needs none.
///
/// # Errors
/// `Missing`; `Other` if the catalog has another key; `Keys` if the keys cannot be read; `Seal`; `Store`.
pub async fn check(store: &dyn Store, source: &KeySource) -> Result<Option<KeyRing>, MasterKeyError> {
    let known = store.master_key_get().await?;
    let ring = match source.read() {
        Ok(ring) => Some(ring),
        Err(error) if error.is_missing() => None,
        Err(error) => return Err(error.into()),
    };
    let place = || source.place();
    let Some(ring) = ring else {
        let needs_one = known.is_some() || !list_sealed(store).await?.is_empty();
        return match needs_one {
            true => Err(MasterKeyError::Missing { place: place(), needed_for: needed_for(store, None).await? }),
            false => Ok(None),
        };
    };
    let is_known = match known {
        Some(known) => ring.fingerprints()?.contains(&known),
        // A catalog from before fingerprints: check the keys against the seals.
        None => list_sealed(store).await?.iter().all(|one| ring.has_key_of(&one.seal)),
    };
    if !is_known {
        return Err(MasterKeyError::Other { place: place(), needed_for: needed_for(store, Some(&ring)).await? });
    }
    if known.is_none() {
        store_first_fingerprint(store, &ring).await?;
    }
    Ok(Some(ring))
}

/// Returns the catalog's master keys. Creates a key if the catalog has none and the settings allow that.
///
/// # Errors
/// As [`check`]; `Keys` if there is no key and none may be created.
pub async fn check_or_make(store: &dyn Store, source: &KeySource) -> Result<KeyRing, MasterKeyError> {
    if let Some(ring) = check(store, source).await? {
        return Ok(ring);
    }
    source.read_or_make()?;
    // Another process may have created a key at the same time, or stored another key's fingerprint.
    match check(store, source).await? {
        Some(ring) => Ok(ring),
        None => Ok(source.read()?),
    }
}

/// Stores the fingerprint of the first key as the catalog's own, in place of any other.
///
/// # Errors
/// `Seal`; `Store`.
pub async fn set_fingerprint(store: &dyn Store, ring: &KeyRing) -> Result<(), MasterKeyError> {
    if let Some(first) = ring.fingerprints()?.first() {
        store.master_key_set(*first, false).await?;
    }
    Ok(())
}

/// Stores the first fingerprint of a catalog: that of the last key in the ring that a seal needs. So while keys are changed, the
/// old key stays required until all secrets are resealed.
async fn store_first_fingerprint(store: &dyn Store, ring: &KeyRing) -> Result<(), MasterKeyError> {
    let seals = list_sealed(store).await?;
    let all = ring.fingerprints()?;
    let used = seals.iter().filter_map(|one| ring.position(&one.seal)).max().unwrap_or(0);
    if let Some(fingerprint) = all.get(used) {
        store.master_key_set(*fingerprint, true).await?;
    }
    Ok(())
}

/// A warehouse with sealed credentials.
struct Sealed {
    name: String,
    seal: Vec<u8>,
}

/// Lists all warehouses with sealed credentials.
async fn list_sealed(store: &dyn Store) -> Result<Vec<Sealed>, StoreError> {
    let mut found = Vec::new();
    for organisation in store.organisation_list().await? {
        for warehouse in store.warehouse_list(organisation.id).await? {
            if let Some(seal) = warehouse.storage.sealed_credentials {
                found.push(Sealed { name: format!("'{}' of '{}'", warehouse.name, organisation.name), seal });
            }
        }
    }
    Ok(found)
}

/// Returns a sentence with the warehouses whose credentials no key of the ring opens.
async fn needed_for(store: &dyn Store, ring: Option<&KeyRing>) -> Result<String, StoreError> {
    let mut names: Vec<String> = list_sealed(store)
        .await?
        .into_iter()
        .filter(|one| ring.is_none_or(|ring| !ring.has_key_of(&one.seal)))
        .map(|one| one.name)
        .collect();
    if names.is_empty() {
        return Ok("No credentials are sealed with the missing key at the moment".to_owned());
    }
    let all = names.len();
    names.truncate(NAMED);
    if all > NAMED {
        names.push(format!("{} more", all - NAMED));
    }
    Ok(format!("The credentials of these warehouses are sealed with it: {}", names.join(", ")))
}

/// Checks the master key while a server runs, for `GET /ready`.
pub struct MasterKeyWatch {
    store: Arc<dyn Store>,
    source: KeySource,
    last: Mutex<Option<(Instant, bool)>>,
}

impl MasterKeyWatch {
    /// Creates a watch over the key of the catalog in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, source: KeySource) -> Self {
        Self { store, source, last: Mutex::new(None) }
    }

    /// Returns whether the catalog has its master key or needs none. The answer may be some seconds old.
    pub async fn is_well(&self) -> bool {
        let last = *self.last.lock();
        if let Some((at, is_well)) = last
            && at.elapsed() < CACHED_FOR
        {
            return is_well;
        }
        let is_well = match self.store.master_key_get().await {
            Ok(Some(known)) => self.source_has_key(known, last.is_none_or(|(_, was_well)| was_well)),
            // Other checks report a store that does not answer.
            Ok(None) | Err(_) => true,
        };
        *self.last.lock() = Some((Instant::now(), is_well));
        is_well
    }

    /// Returns whether the source has the key with this fingerprint. Logs an error if not and `log` is set.
    fn source_has_key(&self, known: Fingerprint, log: bool) -> bool {
        let place = self.source.place();
        match self.source.read().map(|ring| ring.fingerprints().is_ok_and(|all| all.contains(&known))) {
            Ok(true) => true,
            Ok(false) => {
                if log {
                    tracing::error!(place, "the master key no longer belongs to this catalog: restore the right key");
                }
                false
            }
            Err(error) => {
                if log {
                    tracing::error!(place, %error, "the master key cannot be read any more: restore it");
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
