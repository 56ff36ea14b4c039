//! Opens a warehouse: unseals its credentials and opens its storage.

use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};
use tidewater_core::labels::NamespaceLabels;
use tidewater_core::location::{Location, LocationError};
use uuid::Uuid;

use crate::base::measure::Calls;
use crate::base::secret::Secret;
use crate::sealing::master_key::{MasterKeyError, check_or_make};
use crate::sealing::{KeyFileError, KeyRing, KeySource, PassKeys, SealError};
use crate::storage::{Budget, OpenError, Setup, Storage, StorageCredentials};
use crate::store::{Store, Warehouse, WarehouseOptions, WarehouseRef};
use crate::vending::{Vendor, open_vendor};

/// A warehouse that a request may use, because its organisation owns it.
#[derive(Debug, Clone)]
pub struct OpenWarehouse {
    /// The ids of its organisation and of the warehouse, the key of all its rows.
    pub warehouse_ref: WarehouseRef,
    /// Its name, which is the `prefix` in API paths.
    pub name: String,
    /// The location that contains all its tables.
    pub root: Location,
    /// Whether it serves the paths without a prefix.
    pub is_default: bool,
    /// The handle on its storage.
    pub storage: Storage,
    /// Vends access to its storage.
    pub vendor: Arc<dyn Vendor>,
    /// Its options.
    pub options: WarehouseOptions,
    /// The labels of its namespaces.
    pub labels: Arc<NamespaceLabels>,
}

/// Why a warehouse cannot be opened with its settings.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// The root is not a valid location.
    #[error(transparent)]
    Root(#[from] LocationError),
    /// The master keys, which the credentials need, cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The credentials cannot be unsealed.
    #[error("its credentials cannot be read: {0}")]
    Sealed(#[from] SealError),
    /// The unsealed bytes are not credentials.
    #[error("its credentials cannot be read: this version does not know their format")]
    Unknown,
    /// The storage cannot be opened.
    #[error(transparent)]
    Storage(#[from] OpenError),
}

/// The keys and limits with which warehouses are opened.
#[derive(Debug, Clone)]
pub struct StorageAccess {
    /// The source of the master keys.
    pub keys: KeySource,
    /// The time limits of storage calls.
    pub budget: Budget,
    /// The keys that seal passes. They are derived from the master keys when first needed, and stay in memory.
    pub passes: Arc<OnceLock<PassKeys>>,
    /// Where calls to storage are measured.
    pub calls: Calls,
}

impl StorageAccess {
    /// Opens a warehouse with the credentials in its record. Sends no request to its storage.
    ///
    /// # Errors
    /// All of [`WarehouseError`].
    pub fn open(&self, record: Warehouse) -> Result<OpenWarehouse, WarehouseError> {
        let warehouse_ref = WarehouseRef { organisation: record.organisation, warehouse: record.id };
        let credentials = match &record.storage.sealed_credentials {
            Some(sealed) => self.unseal(warehouse_ref, sealed)?,
            None => StorageCredentials::Ambient,
        };
        self.open_with(record, &credentials)
    }

    /// Opens a warehouse with the given credentials instead of those in its record.
    ///
    /// # Errors
    /// `Root`; `Storage`.
    pub fn open_with(
        &self,
        record: Warehouse,
        credentials: &StorageCredentials,
    ) -> Result<OpenWarehouse, WarehouseError> {
        let warehouse_ref = WarehouseRef { organisation: record.organisation, warehouse: record.id };
        let root = Location::parse(&record.root)?;
        let (profile, budget) = (&record.storage.profile, self.budget);
        let setup = Setup { id: fingerprint(&record), root: &root, profile, credentials, budget };
        let storage = Storage::open(&setup)?.owned_by(record.organisation.0).measured_by(&self.calls);
        let vendor = open_vendor(profile, &storage, budget)?;
        Ok(OpenWarehouse {
            warehouse_ref,
            name: record.name,
            root,
            is_default: record.is_default,
            storage,
            vendor,
            options: record.options,
            labels: Arc::default(),
        })
    }

    /// Seals credentials again with the first master key. Returns none if that key sealed them already.
    ///
    /// # Errors
    /// `Keys`; `Sealed`.
    pub fn reseal(&self, warehouse_ref: WarehouseRef, sealed: &[u8]) -> Result<Option<Vec<u8>>, WarehouseError> {
        let keys = self.keys.read()?;
        if keys.is_current(sealed) {
            return Ok(None);
        }
        let text = keys.open(sealed, &owner(warehouse_ref))?;
        Ok(Some(keys.seal(text.expose(), &owner(warehouse_ref))?))
    }

    /// Returns the keys that seal passes. They are in memory, except for the first pass of a catalog without a master key, which is then
    /// created.
    ///
    /// # Errors
    /// All of [`MasterKeyError`].
    pub async fn pass_keys(&self, store: &dyn Store) -> Result<&PassKeys, MasterKeyError> {
        if let Some(known) = self.passes.get() {
            return Ok(known);
        }
        let ring = check_or_make(store, &self.keys).await?;
        Ok(self.passes.get_or_init(|| PassKeys::new(&ring)))
    }

    fn unseal(&self, warehouse_ref: WarehouseRef, sealed: &[u8]) -> Result<StorageCredentials, WarehouseError> {
        let text = self.keys.read()?.open(sealed, &owner(warehouse_ref))?;
        serde_json::from_slice(text.expose()).map_err(|_| WarehouseError::Unknown)
    }
}

/// Seals a warehouse's credentials. They open only for the same warehouse.
///
/// # Errors
/// `Sealed`.
pub(super) fn seal_credentials(
    keys: &KeyRing,
    warehouse_ref: WarehouseRef,
    credentials: &StorageCredentials,
) -> Result<Vec<u8>, WarehouseError> {
    let text = serde_json::to_vec(credentials).map_err(|_| WarehouseError::Unknown)?;
    Ok(keys.seal(&text, &owner(warehouse_ref))?)
}

/// What a pass is for. A pass for one purpose does not open for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassPurpose {
    /// Requests to storage are signed for its holder.
    Signing,
    /// Its holder fetches a part of a planned scan.
    PlanTask,
    /// Its holder reads the next page of a search by label.
    LabelSearch,
}

/// Seals a pass, which a client sends back. It opens only for the same purpose and warehouse.
///
/// # Errors
/// `NoEntropy`.
pub fn seal_pass(
    keys: &PassKeys,
    purpose: PassPurpose,
    warehouse_ref: WarehouseRef,
    pass: &[u8],
) -> Result<Vec<u8>, SealError> {
    keys.seal(pass, &pass_owner(purpose, warehouse_ref))
}

/// Opens a pass of [`seal_pass`].
///
/// # Errors
/// `Broken`.
pub fn open_pass(
    keys: &PassKeys,
    purpose: PassPurpose,
    warehouse_ref: WarehouseRef,
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, SealError> {
    keys.open(sealed, &pass_owner(purpose, warehouse_ref))
}

/// Returns the owner of a warehouse's sealed credentials. So they open for no other warehouse, even if a row is moved.
fn owner(warehouse_ref: WarehouseRef) -> [u8; 32] {
    let mut owner = [0; 32];
    owner[..16].copy_from_slice(warehouse_ref.organisation.0.as_bytes());
    owner[16..].copy_from_slice(warehouse_ref.warehouse.0.as_bytes());
    owner
}

/// Returns the owner of a warehouse's passes. It differs for each purpose, and from that of credentials, so that one is never taken for
/// another.
fn pass_owner(purpose: PassPurpose, warehouse_ref: WarehouseRef) -> Vec<u8> {
    let purpose: &[u8] = match purpose {
        PassPurpose::Signing => b"pass",
        PassPurpose::PlanTask => b"plan-task",
        PassPurpose::LabelSearch => b"label-search",
    };
    [purpose, &owner(warehouse_ref)].concat()
}

/// Returns an id of a warehouse's storage with its present settings. A change of the settings changes the id, so that no cached
/// document or credential of the former settings is used.
fn fingerprint(record: &Warehouse) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(owner(WarehouseRef { organisation: record.organisation, warehouse: record.id }));
    // The debug output of a profile has all its values, and a profile has no secrets.
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
