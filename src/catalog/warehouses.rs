//! Which warehouse a request is about, and how its storage is reached.

use std::sync::Arc;

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tidewater_core::ids::OrganisationId;
use tidewater_core::location::{Location, LocationError};
use uuid::Uuid;

use super::{Catalog, CatalogError};
use crate::clock::Clock;
use crate::sealing::{KeyFileError, KeySource, SealError};
use crate::secret::Secret;
use crate::storage::{Budget, OpenError, Setup, Storage, StorageCredentials};
use crate::store::{Place, Store, Warehouse};
use crate::vending::Vendor;

/// For how long a list of warehouses is believed: a new default, or another storage, is seen within this time.
const BELIEVED_MS: i64 = 2_000;

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
    pub vendor: Vendor,
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
        let root = Location::parse(&record.root)?;
        let (profile, budget) = (&record.storage.profile, self.budget);
        let setup = Setup { id: fingerprint(&record), root: &root, profile, credentials: &credentials, budget };
        let storage = Storage::open(&setup)?;
        let vendor = Vendor::open(profile, &storage, budget)?;
        Ok(OpenWarehouse { place, name: record.name, root, is_default: record.is_default, storage, vendor })
    }

    /// Seals credentials for the warehouse that they are for; there is nothing to seal where the machine's are used.
    ///
    /// # Errors
    /// `Keys`; `Sealed`.
    pub fn seal(&self, place: Place, credentials: &StorageCredentials) -> Result<Option<Vec<u8>>, WarehouseError> {
        if *credentials == StorageCredentials::Ambient {
            return Ok(None);
        }
        let text = serde_json::to_vec(credentials).map_err(|_| WarehouseError::Unknown)?;
        Ok(Some(self.keys.read_or_make()?.seal(&text, &owner(place))?))
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

    /// Seals what a client is to bring back to the same warehouse.
    ///
    /// # Errors
    /// `Keys`; `Sealed`.
    pub(super) fn seal_pass(&self, place: Place, pass: &[u8]) -> Result<Vec<u8>, WarehouseError> {
        Ok(self.keys.read_or_make()?.seal(pass, &pass_owner(place))?)
    }

    /// Opens it.
    ///
    /// # Errors
    /// `Keys`; `Sealed`.
    pub(super) fn open_pass(&self, place: Place, sealed: &[u8]) -> Result<Secret<Vec<u8>>, WarehouseError> {
        Ok(self.keys.read()?.open(sealed, &pass_owner(place))?)
    }

    fn unseal(&self, place: Place, sealed: &[u8]) -> Result<StorageCredentials, WarehouseError> {
        let text = self.keys.read()?.open(sealed, &owner(place))?;
        serde_json::from_slice(text.expose()).map_err(|_| WarehouseError::Unknown)
    }
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

/// A warehouse of a list.
struct Listed {
    /// As the store has it.
    record: Warehouse,
    /// Nothing when its storage cannot be reached as it is set up.
    open: Option<Arc<OpenWarehouse>>,
}

struct List {
    at_ms: i64,
    warehouses: Vec<Listed>,
}

/// The warehouses of organisations that were asked for lately.
pub(super) struct Warehouses {
    access: StorageAccess,
    listed: Cache<OrganisationId, Arc<List>>,
}

impl Warehouses {
    pub(super) fn new(access: StorageAccess) -> Self {
        const ORGANISATIONS: usize = 10_000;
        Self { access, listed: Cache::new(ORGANISATIONS) }
    }

    pub(super) const fn access(&self) -> &StorageAccess {
        &self.access
    }

    async fn list(
        &self,
        store: &dyn Store,
        clock: &Clock,
        organisation: OrganisationId,
        fresh: bool,
    ) -> Result<Arc<List>, CatalogError> {
        let now_ms = clock.now_ms();
        let known = self.listed.get(&organisation);
        if let Some(known) = &known
            && !fresh
            && now_ms - known.at_ms < BELIEVED_MS
        {
            return Ok(Arc::clone(known));
        }
        let records = store.warehouse_list(organisation).await.map_err(CatalogError::Store)?;
        let warehouses = records.into_iter().map(|record| self.opened(record, known.as_deref())).collect();
        let list = Arc::new(List { at_ms: now_ms, warehouses });
        self.listed.insert(organisation, Arc::clone(&list));
        Ok(list)
    }

    /// A warehouse that has not changed keeps its connections. One that cannot be opened harms no other.
    fn opened(&self, record: Warehouse, known: Option<&List>) -> Listed {
        let same = known.and_then(|known| known.warehouses.iter().find(|listed| listed.record == record));
        if let Some(Listed { open: Some(open), .. }) = same {
            return Listed { record, open: Some(Arc::clone(open)) };
        }
        match self.access.open(record.clone()) {
            Ok(open) => Listed { record, open: Some(Arc::new(open)) },
            Err(error) => {
                tracing::error!(warehouse = %record.id, name = record.name, %error, "a warehouse cannot be used as it is set up");
                Listed { record, open: None }
            }
        }
    }
}

impl Catalog {
    /// The organisation's warehouse of that name, or its default.
    ///
    /// # Errors
    /// `NoSuchWarehouse`, the same for another organisation's as for none; `NoDefaultWarehouse`; `WarehouseUnusable`;
    /// `Store`.
    pub async fn warehouse(
        &self,
        organisation: OrganisationId,
        name: Option<&str>,
    ) -> Result<Arc<OpenWarehouse>, CatalogError> {
        for fresh in [false, true] {
            let list = self.warehouses.list(self.store.as_ref(), &self.clock, organisation, fresh).await?;
            let wanted = |listed: &&Listed| match name {
                Some(name) => listed.record.name == name,
                None => listed.record.is_default,
            };
            if let Some(found) = list.warehouses.iter().find(wanted) {
                let open = found.open.clone();
                return open.ok_or_else(|| CatalogError::WarehouseUnusable(found.record.name.clone()));
            }
        }
        Err(name.map_or(CatalogError::NoDefaultWarehouse, |name| {
            CatalogError::NoSuchWarehouse(name.chars().take(100).collect())
        }))
    }
}
