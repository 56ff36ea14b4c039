//! A warehouse that can be worked in: its record, with its credentials unsealed and its storage opened.

use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};
use tidewater_core::location::{Location, LocationError};
use uuid::Uuid;

use crate::base::secret::Secret;
use crate::sealing::{KeyFileError, KeyRing, KeySource, PassKeys, SealError};
use crate::storage::{Budget, OpenError, Setup, Storage, StorageCredentials};
use crate::store::{Place, Warehouse, WarehouseOptions};
use crate::vending::{Vendor, open_vendor};

/// A warehouse that a request may use, because its organisation owns it.
#[derive(Debug)]
pub struct OpenWarehouse {
    /// What every row of it is under.
    pub place: Place,
    /// Its name: the `prefix` of its paths.
    pub name: String,
    /// Where its tables are.
    pub root: Location,
    /// Whether it serves the paths without a prefix.
    pub is_default: bool,
    /// Its objects.
    pub storage: Storage,
    /// What of them can be given away.
    pub vendor: Arc<dyn Vendor>,
    /// What can be chosen of it.
    pub options: WarehouseOptions,
}

/// Why a warehouse's storage cannot be reached as it is set up.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// Its root is not a location.
    #[error(transparent)]
    Root(#[from] LocationError),
    /// There are no master keys to open its credentials with.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// Its credentials do not open.
    #[error("its credentials cannot be read: {0}")]
    Sealed(#[from] SealError),
    /// What was sealed is not credentials.
    #[error("its credentials cannot be read: they are not in a form that this version knows")]
    Unknown,
    /// Its settings do not fit.
    #[error(transparent)]
    Storage(#[from] OpenError),
}

/// What warehouses are opened with.
#[derive(Debug, Clone)]
pub struct StorageAccess {
    /// Where the master keys are that credentials are sealed with.
    pub keys: KeySource,
    /// How long storage may take.
    pub budget: Budget,
    /// What is sealed with for clients, once it was needed: derived from the master keys, and only in memory.
    pub passes: Arc<OnceLock<PassKeys>>,
}

impl StorageAccess {
    /// Opens a warehouse's storage. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// All of [`WarehouseError`].
    pub fn open(&self, record: Warehouse) -> Result<OpenWarehouse, WarehouseError> {
        let place = Place { organisation: record.organisation, warehouse: record.id };
        let credentials = match &record.storage.sealed_credentials {
            Some(sealed) => self.unseal(place, sealed)?,
            None => StorageCredentials::Ambient,
        };
        self.open_with(record, &credentials)
    }

    /// The same with credentials that are not, or not yet, in the record.
    ///
    /// # Errors
    /// `Root`; `Storage`.
    pub fn open_with(
        &self,
        record: Warehouse,
        credentials: &StorageCredentials,
    ) -> Result<OpenWarehouse, WarehouseError> {
        let place = Place { organisation: record.organisation, warehouse: record.id };
        let root = Location::parse(&record.root)?;
        let (profile, budget) = (&record.storage.profile, self.budget);
        let setup = Setup { id: fingerprint(&record), root: &root, profile, credentials, budget };
        let storage = Storage::open(&setup)?.owned_by(record.organisation.0);
        let vendor = open_vendor(profile, &storage, budget)?;
        Ok(OpenWarehouse {
            place,
            name: record.name,
            root,
            is_default: record.is_default,
            storage,
            vendor,
            options: record.options,
        })
    }

    /// The same seal with the master key that seals now; nothing when it is that already.
    ///
    /// # Errors
    /// `Keys`; `Sealed`.
    pub fn reseal(&self, place: Place, sealed: &[u8]) -> Result<Option<Vec<u8>>, WarehouseError> {
        let keys = self.keys.read()?;
        if keys.is_current(sealed) {
            return Ok(None);
        }
        let text = keys.open(sealed, &owner(place))?;
        Ok(Some(keys.seal(text.expose(), &owner(place))?))
    }

    fn unseal(&self, place: Place, sealed: &[u8]) -> Result<StorageCredentials, WarehouseError> {
        let text = self.keys.read()?.open(sealed, &owner(place))?;
        serde_json::from_slice(text.expose()).map_err(|_| WarehouseError::Unknown)
    }
}

/// Seals credentials for the warehouse that they are for.
///
/// # Errors
/// `Sealed`.
pub(super) fn seal_credentials(
    keys: &KeyRing,
    place: Place,
    credentials: &StorageCredentials,
) -> Result<Vec<u8>, WarehouseError> {
    let text = serde_json::to_vec(credentials).map_err(|_| WarehouseError::Unknown)?;
    Ok(keys.seal(&text, &owner(place))?)
}

/// Seals what a client is to bring back to the same warehouse.
///
/// # Errors
/// `NoEntropy`.
pub fn seal_pass(keys: &PassKeys, place: Place, pass: &[u8]) -> Result<Vec<u8>, SealError> {
    keys.seal(pass, &pass_owner(place))
}

/// Opens what [`seal_pass`] made.
///
/// # Errors
/// `Broken`.
pub fn open_pass(keys: &PassKeys, place: Place, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
    keys.open(sealed, &pass_owner(place))
}

/// Credentials open only for the warehouse that they were sealed for, wherever the row is moved.
fn owner(place: Place) -> [u8; 32] {
    let mut owner = [0; 32];
    owner[..16].copy_from_slice(place.organisation.0.as_bytes());
    owner[16..].copy_from_slice(place.warehouse.0.as_bytes());
    owner
}

/// What a client brings is never taken for credentials, nor they for it.
fn pass_owner(place: Place) -> Vec<u8> {
    [b"pass".as_slice(), &owner(place)].concat()
}

/// Stands for a warehouse's storage as it is set up: another set-up is another storage, of which nothing is remembered.
fn fingerprint(record: &Warehouse) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(owner(Place { organisation: record.organisation, warehouse: record.id }));
    // A profile is plain values: its debug form tells all of them, and holds no secret.
    for part in [record.root.as_bytes(), format!("{:?}", record.storage.profile).as_bytes()] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.update(record.storage.sealed_credentials.as_deref().unwrap_or_default());
    let digest = hash.finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(id)
}
