//! Warehouses: create, list, show, check, change and drop.

use std::path::Path;

use serde_json::Value;
use tidewater_core::ids::WarehouseId;
use tidewater_core::location::Location;
use tidewater_core::name::check_warehouse_name;
use tidewater_core::purge::PurgeTime;
use tidewater_core::scan::mode::PlanningMode;
use tidewater_core::storage::StorageProfile;

use super::{Admin, AdminError};
use crate::base::clock::fresh_ordered_uuid;
use crate::data_folder::owner::Owner;
use crate::sealing::KeyFileError;
use crate::sealing::master_key::MasterKeyError;
use crate::storage::StorageCredentials;
use crate::store::{
    Change, EventFilter, Operation, Organisation, Resource, StoreError, Warehouse, WarehouseOptions,
    WarehouseOptionsUpdate, WarehouseRef, WarehouseStorage,
};
use crate::warehouse::{
    OpenWarehouse, SettingsSealError, StorageSettings, Trial, check_options, check_owner_can_write, test_storage,
};

/// The options of a new warehouse.
#[derive(Debug, Clone)]
pub struct WarehouseRequest {
    /// Its name.
    pub name: String,
    /// Its root: the location of its tables.
    pub root: String,
    /// The settings of its storage, credentials included. `None` for the local disk.
    pub storage: Option<Value>,
    /// Its options.
    pub options: WarehouseOptions,
    /// Whether it becomes the default.
    pub is_default: bool,
    /// Whether its storage is tested first.
    pub check: bool,
    /// Whether its storage is only tested, and the warehouse not created.
    pub dry_run: bool,
    /// Whether the server's own disk and cloud identity may be used.
    pub own_storage: OwnStorage,
}

/// Whether a warehouse may use the server's own disk and cloud identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnStorage {
    /// It may use them.
    Allowed,
    /// It may not use them: an organisation's admin has no rights to the server's files.
    Refused,
}

/// The changes to a warehouse. A field that is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct WarehouseUpdate {
    /// The settings of its storage, credentials included.
    pub storage: Option<Value>,
    /// Whether it becomes the default.
    pub make_default: bool,
    /// When a drop with a purge removes the table's files.
    pub purge: Option<PurgeTime>,
    /// Whether vended credentials for its tables cannot remove files.
    pub no_delete: Option<bool>,
    /// Who plans the scans of its tables.
    pub scan_planning: Option<PlanningMode>,
    /// Whether new storage settings are used without a test.
    pub unchecked: bool,
}

impl Admin {
    /// Creates a warehouse, after a test of its storage if `check` is set. An organisation's first warehouse becomes its default.
    /// Returns the warehouse and the outcome of the test. A dry run returns the warehouse without creating it.
    ///
    /// # Errors
    /// `Invalid`, also if the test fails; `Forbidden`; `Exists`; `Conflict` if its root overlaps another's; `TooMany`.
    pub async fn warehouse_create(
        &self,
        organisation: &Organisation,
        mut request: WarehouseRequest,
        change: &Change,
    ) -> Result<(Warehouse, Trial), AdminError> {
        check_warehouse_name(&request.name).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let root = Location::parse(&request.root).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let wanted = StorageSettings::parse(request.storage.take(), &root)?;
        check_own(&wanted, &root, request.own_storage)?;
        check_is_tested(request.check, request.own_storage)?;
        check_options(request.options, &wanted.profile)?;
        let mut new = Warehouse {
            id: WarehouseId(fresh_ordered_uuid()),
            organisation: organisation.id,
            name: std::mem::take(&mut request.name),
            root: root.to_string(),
            storage: WarehouseStorage { profile: wanted.profile.clone(), sealed_credentials: None },
            options: request.options,
            is_default: request.is_default,
            created_ms: change.at_ms,
        };
        let trial = match request.own_storage {
            // Checked before anything is written, and again in the transaction that creates the warehouse.
            OwnStorage::Allowed => {
                self.check_root(organisation, &new, &root).await?;
                self.try_out_folder(new.clone(), &root, &wanted.credentials, &request).await?
            }
            // Only a caller who can write to the root learns that it is taken (docs/decisions/0040).
            OwnStorage::Refused => {
                let trial = self.try_out(new.clone(), &wanted.credentials, true).await?.into_result()?;
                self.check_root(organisation, &new, &root).await?;
                trial
            }
        };
        if request.dry_run {
            return Ok((new, trial));
        }
        new.storage = self.seal(wanted, warehouse_ref(&new), request.own_storage).await?;
        let created = self.store.warehouse_create(&new, change).await;
        created.map_err(|error| about(organisation, &new.name, error))?;
        // The store decides whether it became the default.
        let all = self.store.warehouse_list(organisation.id).await?;
        Ok((all.into_iter().find(|one| one.id == new.id).unwrap_or(new), trial))
    }

    /// Lists an organisation's warehouses by name.
    ///
    /// # Errors
    /// `Store`.
    pub async fn warehouse_list(&self, organisation: &Organisation) -> Result<Vec<Warehouse>, AdminError> {
        Ok(self.store.warehouse_list(organisation.id).await?)
    }

    /// Returns the warehouse of that name or id.
    ///
    /// # Errors
    /// `NoSuchWarehouse`.
    pub async fn warehouse_find(&self, organisation: &Organisation, named: &str) -> Result<Warehouse, AdminError> {
        let id = named.parse().ok().map(WarehouseId);
        let all = self.store.warehouse_list(organisation.id).await?;
        let found = all.iter().find(|one| one.name == named).or_else(|| all.iter().find(|one| Some(one.id) == id));
        found.cloned().ok_or_else(|| no_such_warehouse(organisation, named))
    }

    /// Tests a warehouse's storage.
    ///
    /// # Errors
    /// `Invalid` if the storage cannot be opened with its settings.
    pub async fn warehouse_check(&self, warehouse: Warehouse) -> Result<Trial, AdminError> {
        let open = self.access.open(warehouse).map_err(|error| AdminError::Invalid(error.to_string()))?;
        self.test(open).await
    }

    /// Changes a warehouse's storage, its options, or whether it is the default. Tests new storage unless `unchecked` is set.
    ///
    /// # Errors
    /// `Invalid`, also if the test fails; `Forbidden`; `NoSuchWarehouse`; `Conflict`.
    pub async fn warehouse_update(
        &self,
        organisation: &Organisation,
        warehouse: Warehouse,
        update: WarehouseUpdate,
        own_storage: OwnStorage,
        change: &Change,
    ) -> Result<Warehouse, AdminError> {
        let root = Location::parse(&warehouse.root).map_err(|error| AdminError::Failed(error.to_string().into()))?;
        let wanted = match update.storage {
            None => None,
            storage => {
                let wanted = StorageSettings::parse(storage, &root)?;
                check_own(&wanted, &root, own_storage)?;
                check_is_tested(!update.unchecked, own_storage)?;
                Some(wanted)
            }
        };
        let WarehouseUpdate { purge, no_delete, scan_planning, .. } = update;
        let new_options = WarehouseOptionsUpdate { purge, no_delete, scan_planning };
        let options = new_options.apply(warehouse.options);
        let profile = wanted.as_ref().map_or(&warehouse.storage.profile, |wanted| &wanted.profile);
        check_options(options, profile)?;
        let changed = async {
            if let Some(wanted) = wanted {
                let storage = WarehouseStorage { profile: wanted.profile.clone(), sealed_credentials: None };
                let new = Warehouse { storage, options, ..warehouse.clone() };
                self.try_out(new, &wanted.credentials, !update.unchecked).await?.into_result()?;
                let storage = self.seal(wanted, warehouse_ref(&warehouse), own_storage).await?;
                let set = self.store.warehouse_set_storage(organisation.id, &warehouse.name, &storage, change).await;
                set.map_err(|error| about(organisation, &warehouse.name, error))?;
            }
            if new_options != WarehouseOptionsUpdate::default() {
                let name = &warehouse.name;
                let set = self.store.warehouse_set_options(organisation.id, name, &new_options, change).await;
                set.map_err(|error| about(organisation, &warehouse.name, error))?;
            }
            if update.make_default {
                let set = self.store.warehouse_set_default(organisation.id, &warehouse.name, change).await;
                set.map_err(|error| about(organisation, &warehouse.name, error))?;
            }
            Ok::<_, AdminError>(())
        };
        let changed = changed.await;
        changed?;
        self.warehouse_find(organisation, &warehouse.id.to_string()).await
    }

    /// Deletes a warehouse without namespaces and without dropped tables. Its files stay. Has no effect on a deleted warehouse.
    ///
    /// # Errors
    /// `NoSuchWarehouse`; `Conflict` if it is not empty.
    pub async fn warehouse_drop(
        &self,
        organisation: &Organisation,
        named: &str,
        change: &Change,
    ) -> Result<(), AdminError> {
        let warehouse = match self.warehouse_find(organisation, named).await {
            Err(error @ AdminError::NoSuchWarehouse(_)) => {
                return if self.was_dropped(organisation, named).await? { Ok(()) } else { Err(error) };
            }
            found => found?,
        };
        let dropped = self.store.warehouse_drop(organisation.id, &warehouse.name, change).await;
        dropped.map_err(|error| about(organisation, &warehouse.name, error))
    }

    /// Returns whether the events show that the organisation had a warehouse of that name.
    async fn was_dropped(&self, organisation: &Organisation, name: &str) -> Result<bool, AdminError> {
        let filter = EventFilter {
            object: Some(name.to_owned()),
            operation: Some(Operation::DropWarehouse),
            ..EventFilter::default()
        };
        Ok(!self.store.event_list(Some(organisation.id), &filter, None, 1).await?.events.is_empty())
    }

    /// Tests the storage of a new warehouse. If root runs the server's command, creates its folder for the server's user.
    async fn try_out_folder(
        &self,
        new: Warehouse,
        root: &Location,
        credentials: &StorageCredentials,
        request: &WarehouseRequest,
    ) -> Result<Trial, AdminError> {
        let path = Path::new(root.path());
        let owner = self.config.data_folder().and_then(Owner::for_root).filter(|_| root.scheme() == "file");
        if let Some(owner) = owner.filter(|_| !request.dry_run) {
            // The test would create the folder as root's.
            let made = owner.make_folder(path);
            made.map_err(|error| AdminError::Invalid(format!("Cannot create the folder {}: {error}", root.path())))?;
        }
        let trial = self.try_out(new, credentials, request.check).await?.into_result()?;
        if let Some(owner) = owner.filter(|_| request.check) {
            check_owner_can_write(owner, path)?;
        }
        Ok(trial)
    }

    /// Opens a warehouse with credentials that are not stored yet. Tests it if `check` is set.
    async fn try_out(
        &self,
        warehouse: Warehouse,
        credentials: &StorageCredentials,
        check: bool,
    ) -> Result<Trial, AdminError> {
        let opened = self.access.open_with(warehouse, credentials);
        let open = opened.map_err(|error| AdminError::Invalid(error.to_string()))?;
        if check { self.test(open).await } else { Ok(Trial::default()) }
    }

    async fn test(&self, open: OpenWarehouse) -> Result<Trial, AdminError> {
        test_storage(open, &self.clock).await.map_err(|error| AdminError::Failed(error.to_string().into()))
    }

    /// Seals credentials for their warehouse. Details of an error of the master key are only for a caller who may use the
    /// server's own storage.
    async fn seal(
        &self,
        settings: StorageSettings,
        warehouse_ref: WarehouseRef,
        own_storage: OwnStorage,
    ) -> Result<WarehouseStorage, AdminError> {
        self.access.seal(self.store.as_ref(), warehouse_ref, settings).await.map_err(|error| match error {
            SettingsSealError::MasterKey(error @ (MasterKeyError::Missing { .. } | MasterKeyError::Other { .. }))
                if own_storage == OwnStorage::Allowed =>
            {
                AdminError::Conflict(error.to_string())
            }
            SettingsSealError::MasterKey(error @ MasterKeyError::Keys(KeyFileError::Unset)) => {
                AdminError::Conflict(error.to_string())
            }
            error => AdminError::Failed(error.to_string().into()),
        })
    }
}

/// Fails if the storage is the server's own and may not be used.
fn check_own(settings: &StorageSettings, root: &Location, own_storage: OwnStorage) -> Result<(), AdminError> {
    if own_storage == OwnStorage::Allowed {
        return Ok(());
    }
    if settings.profile == StorageProfile::File {
        return Err(AdminError::Forbidden(format!(
            "{root} is on the server's own disk: only an operator creates warehouses there"
        )));
    }
    if settings.credentials == StorageCredentials::Ambient {
        return Err(AdminError::Forbidden(
            "Without `storage.credentials` the server's own identity would be used: only an operator may do that"
                .to_owned(),
        ));
    }
    match settings.named_address() {
        None => Ok(()),
        Some(field) => Err(AdminError::Forbidden(format!(
            "`storage.{field}` names an address that the server would send requests to: only an operator may do that. Without \
             it, the cloud's own address is used"
        ))),
    }
}

/// Fails if an organisation's admin skips the test of the storage, which shows that the credentials can write there.
fn check_is_tested(check: bool, own_storage: OwnStorage) -> Result<(), AdminError> {
    if check || own_storage == OwnStorage::Allowed {
        return Ok(());
    }
    Err(AdminError::Forbidden(
        "Only an operator can skip the test of a warehouse's storage, which shows that its credentials can write there"
            .to_owned(),
    ))
}

fn warehouse_ref(warehouse: &Warehouse) -> WarehouseRef {
    WarehouseRef { organisation: warehouse.organisation, warehouse: warehouse.id }
}

fn no_such_warehouse(organisation: &Organisation, named: &str) -> AdminError {
    let named: String = named.chars().take(100).collect();
    AdminError::NoSuchWarehouse(format!("Organisation '{}' has no warehouse '{named}'", organisation.name))
}

fn about(organisation: &Organisation, name: &str, error: StoreError) -> AdminError {
    match error {
        StoreError::AlreadyExists(Resource::Warehouse) => {
            AdminError::Exists(format!("Organisation '{}' has a warehouse '{name}' already", organisation.name))
        }
        StoreError::NotFound(Resource::Warehouse) => no_such_warehouse(organisation, name),
        StoreError::NotFound(Resource::Organisation) => AdminError::no_such_organisation(&organisation.name),
        StoreError::LocationTaken(root) => AdminError::Conflict(format!(
            "Root {root} overlaps that of another warehouse: choose a folder that no other uses"
        )),
        StoreError::NotEmpty(_) => AdminError::Conflict(format!(
            "Warehouse '{name}' still has namespaces, or dropped tables or views that can be restored. Drop the namespaces, \
             and delete the dropped objects for good (`tidewater table dropped` and `tidewater view dropped` list them)"
        )),
        error => AdminError::Store(error),
    }
}
