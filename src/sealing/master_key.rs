//! Checks that the master key is the catalog's own. The database has its fingerprint, so a lost key is never replaced silently,
//! and a wrong one is never used.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::sealing::{Fingerprint, KeyFileError, KeyRing, KeySource, SealError};
use crate::store::{Store, StoreError};

/// How many warehouses a message names.
const NAMED: usize = 5;

/// How long a check of the key is cached.
const BELIEVED_FOR: Duration = Duration::from_secs(5);

/// The advice for a missing key, appended to the message.
const ADVICE: &str = "Put the right key back, from its backup. If it is lost for good: make a new one (`openssl rand -base64 32`), \
                      run `tidewater warehouse reseal --key-is-lost`, and give each of these warehouses its credentials again \
                      (`tidewater warehouse set-storage`)";

/// Why the master key cannot be used for this catalog.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// It is not there.
    #[error("the master key of this catalog is missing ({place}). {needed_for}. {ADVICE}")]
    Missing {
        /// Where it was looked for.
        place: String,
        /// What is sealed with it.
        needed_for: String,
    },
    /// It is another one.
    #[error("the master key ({place}) is not the one that this catalog was made with. {needed_for}. {ADVICE}")]
    Other {
        /// Where it is from.
        place: String,
        /// What is sealed with the right one.
        needed_for: String,
    },
    /// It cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// It cannot be worked with.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks that the master key is the catalog's own, and stores its fingerprint if the catalog has none yet. Returns the keys, if
/// there are any: a catalog without secrets needs none.
///
/// # Errors
/// `Missing`, `Other` when the catalog has another; `Keys` when the keys cannot be read; `Store`.
pub async fn check(store: &dyn Store, source: &KeySource) -> Result<Option<KeyRing>, MasterKeyError> {
    let known = store.master_key_get().await?;
    let ring = match source.read() {
        Ok(ring) => Some(ring),
        Err(error) if error.is_missing() => None,
        Err(error) => return Err(error.into()),
    };
    let place = || source.place();
    let Some(ring) = ring else {
        let needs_one = known.is_some() || !sealed(store).await?.is_empty();
        return match needs_one {
            true => Err(MasterKeyError::Missing { place: place(), needed_for: needed_for(store, None).await? }),
            false => Ok(None),
        };
    };
    let is_known = match known {
        Some(known) => ring.fingerprints()?.contains(&known),
        // From before the catalog knew its key: what is sealed tells.
        None => sealed(store).await?.iter().all(|one| ring.made(&one.seal)),
    };
    if !is_known {
        return Err(MasterKeyError::Other { place: place(), needed_for: needed_for(store, Some(&ring)).await? });
    }
    if known.is_none() {
        remember(store, &ring).await?;
    }
    Ok(Some(ring))
}

/// Returns the catalog's master keys. Creates a key if the catalog has none and the settings allow that.
///
/// # Errors
/// As [`check`]; `Keys` when there are none and they are somebody's to make.
pub async fn check_or_make(store: &dyn Store, source: &KeySource) -> Result<KeyRing, MasterKeyError> {
    if let Some(ring) = check(store, source).await? {
        return Ok(ring);
    }
    source.read_or_make()?;
    // Another process may have made one at the same time, or remembered another.
    match check(store, source).await? {
        Some(ring) => Ok(ring),
        None => Ok(source.read()?),
    }
}

/// Makes the first of the keys the catalog's own.
///
/// # Errors
/// `Seal`; `Store`.
pub async fn adopt(store: &dyn Store, ring: &KeyRing) -> Result<(), MasterKeyError> {
    if let Some(first) = ring.fingerprints()?.first() {
        store.master_key_set(*first, false).await?;
    }
    Ok(())
}

/// Keeps the key that is needed the longest: while keys are changed, the last that something is sealed with.
async fn remember(store: &dyn Store, ring: &KeyRing) -> Result<(), MasterKeyError> {
    let seals = sealed(store).await?;
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

async fn sealed(store: &dyn Store) -> Result<Vec<Sealed>, StoreError> {
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

/// Names the warehouses whose credentials no key of the ring opens.
async fn needed_for(store: &dyn Store, ring: Option<&KeyRing>) -> Result<String, StoreError> {
    let mut names: Vec<String> = sealed(store)
        .await?
        .into_iter()
        .filter(|one| ring.is_none_or(|ring| !ring.made(&one.seal)))
        .map(|one| one.name)
        .collect();
    if names.is_empty() {
        return Ok("No credentials are sealed with the missing one at the moment".to_owned());
    }
    let all = names.len();
    names.truncate(NAMED);
    if all > NAMED {
        names.push(format!("{} more", all - NAMED));
    }
    Ok(format!("The credentials of these warehouses are sealed with it: {}", names.join(", ")))
}

/// Checks the master key while a server runs, for `GET /health`.
pub struct MasterKeyWatch {
    store: Arc<dyn Store>,
    source: KeySource,
    last: Mutex<Option<(Instant, bool)>>,
}

impl MasterKeyWatch {
    /// A watch over the key of the catalog in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, source: KeySource) -> Self {
        Self { store, source, last: Mutex::new(None) }
    }

    /// Whether the catalog's master key is there, as of the last few seconds. Also where it needs none.
    pub async fn is_well(&self) -> bool {
        let last = *self.last.lock();
        if let Some((at, is_well)) = last
            && at.elapsed() < BELIEVED_FOR
        {
            return is_well;
        }
        let is_well = match self.store.master_key_get().await {
            Ok(Some(known)) => self.has(known, last.is_none_or(|(_, was_well)| was_well)),
            // That the store does not answer is told by others.
            Ok(None) | Err(_) => true,
        };
        *self.last.lock() = Some((Instant::now(), is_well));
        is_well
    }

    fn has(&self, known: Fingerprint, tell: bool) -> bool {
        let place = self.source.place();
        match self.source.read().map(|ring| ring.fingerprints().is_ok_and(|all| all.contains(&known))) {
            Ok(true) => true,
            Ok(false) => {
                if tell {
                    tracing::error!(place, "the master key is not this catalog's any more: put the right one back");
                }
                false
            }
            Err(error) => {
                if tell {
                    tracing::error!(place, %error, "the master key cannot be read any more: put it back");
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
