//! Warehouses: create, list, show, check, change and drop.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use tidewater_core::ids::WarehouseId;
use tidewater_core::location::Location;
use tidewater_core::name::check_warehouse_name;
use tidewater_core::purge::PurgeTime;
use tidewater_core::storage::StorageProfile;

use super::{Admin, AdminError};
use crate::base::clock::fresh_ordered_uuid;
use crate::data_folder::owner::Owner;
use crate::sealing::master_key::{MasterKeyError, check_or_make};
use crate::storage::StorageCredentials;
use crate::store::{
    Change, EventFilter, Operation, Organisation, Place, Resource, StoreError, Warehouse, WarehouseOptions,
    WarehouseStorage,
};
use crate::warehouse::{CheckStep, OpenWarehouse, seal_credentials, warehouse_check};

/// The address that issues tokens to Google's service accounts.
const GOOGLE_TOKENS: &str = "https://oauth2.googleapis.com/token";

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
    /// Whether new storage settings are used without a test.
    pub unchecked: bool,
}

/// The outcome of a test of a warehouse's storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// Each step, in order.
    pub steps: Vec<CheckStep>,
}

impl Trial {
    /// Returns whether all steps succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.steps.iter().all(|step| step.outcome.is_ok())
    }

    fn check(self) -> Result<Self, AdminError> {
        if self.is_ok() {
            return Ok(self);
        }
        let failed =
            self.steps.iter().filter_map(|step| Some(format!("{}: {}", step.what, step.outcome.as_ref().err()?)));
        Err(AdminError::Invalid(format!("The storage test failed. {}", failed.collect::<Vec<_>>().join("; "))))
    }
}

/// The requested storage of a warehouse.
#[derive(Debug)]
struct Wanted {
    profile: StorageProfile,
    credentials: StorageCredentials,
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
        let wanted = Wanted::read(request.storage.take(), &root)?;
        wanted.check_own(&root, request.own_storage)?;
        check_is_checked(request.check, request.own_storage)?;
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
            // Before anything is written anywhere; once more in the transaction that makes it.
            OwnStorage::Allowed => {
                self.check_root(organisation, &new, &root).await?;
                self.try_out_folder(new.clone(), &root, &wanted.credentials, &request).await?
            }
            // Only who can write there is told whether the root is another's (docs/decisions/0040).
            OwnStorage::Refused => {
                let trial = self.try_out(new.clone(), &wanted.credentials, true).await?.check()?;
                self.check_root(organisation, &new, &root).await?;
                trial
            }
        };
        if request.dry_run {
            return Ok((new, trial));
        }
        new.storage = self.seal(wanted, place(&new), request.own_storage).await?;
        let created = self.store.warehouse_create(&new, change).await;
        self.catalog.forget_warehouses(organisation.id);
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
        self.try_out_open(open).await
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
                let wanted = Wanted::read(storage, &root)?;
                wanted.check_own(&root, own_storage)?;
                check_is_checked(!update.unchecked, own_storage)?;
                Some(wanted)
            }
        };
        let options = WarehouseOptions {
            purge: update.purge.unwrap_or(warehouse.options.purge),
            no_delete: update.no_delete.unwrap_or(warehouse.options.no_delete),
        };
        let profile = wanted.as_ref().map_or(&warehouse.storage.profile, |wanted| &wanted.profile);
        check_options(options, profile)?;
        let changed = async {
            if let Some(wanted) = wanted {
                let storage = WarehouseStorage { profile: wanted.profile.clone(), sealed_credentials: None };
                let new = Warehouse { storage, options, ..warehouse.clone() };
                self.try_out(new, &wanted.credentials, !update.unchecked).await?.check()?;
                let storage = self.seal(wanted, place(&warehouse), own_storage).await?;
                let set = self.store.warehouse_set_storage(organisation.id, &warehouse.name, &storage, change).await;
                set.map_err(|error| about(organisation, &warehouse.name, error))?;
            }
            if options != warehouse.options {
                let set = self.store.warehouse_set_options(organisation.id, &warehouse.name, &options, change).await;
                set.map_err(|error| about(organisation, &warehouse.name, error))?;
            }
            if update.make_default && !warehouse.is_default {
                let set = self.store.warehouse_set_default(organisation.id, &warehouse.name, change).await;
                set.map_err(|error| about(organisation, &warehouse.name, error))?;
            }
            Ok::<_, AdminError>(())
        };
        let changed = changed.await;
        self.catalog.forget_warehouses(organisation.id);
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
        self.catalog.forget_warehouses(organisation.id);
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

    /// Tries out a new warehouse, which may be a folder that root makes for the user of the server.
    async fn try_out_folder(
        &self,
        new: Warehouse,
        root: &Location,
        credentials: &StorageCredentials,
        request: &WarehouseRequest,
    ) -> Result<Trial, AdminError> {
        let path = Path::new(root.path());
        let owner = Owner::for_root(&self.config.data_dir).filter(|_| root.scheme() == "file");
        if let Some(owner) = owner.filter(|_| !request.dry_run) {
            // The trial would make it as root's.
            let made = owner.make_folder(path);
            made.map_err(|error| AdminError::Invalid(format!("Cannot make the folder {}: {error}", root.path())))?;
        }
        let trial = self.try_out(new, credentials, request.check).await?.check()?;
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
        if check { self.try_out_open(open).await } else { Ok(Trial::default()) }
    }

    /// Tests a warehouse in a separate task, so that its test objects are removed even if the client disconnects.
    async fn try_out_open(&self, open: OpenWarehouse) -> Result<Trial, AdminError> {
        let clock = self.clock.clone();
        let trial = tokio::spawn(async move {
            let mut steps = Vec::new();
            warehouse_check(&open, &clock, |step| steps.push(step.clone())).await;
            Trial { steps }
        });
        trial.await.map_err(|error| AdminError::Failed(error.to_string().into()))
    }

    /// Seals credentials for their warehouse. Does not store the machine's own credentials. Details of an error of the master
    /// key are only for a caller who may use the server's own storage.
    async fn seal(
        &self,
        wanted: Wanted,
        place: Place,
        own_storage: OwnStorage,
    ) -> Result<WarehouseStorage, AdminError> {
        let sealed_credentials = match &wanted.credentials {
            StorageCredentials::Ambient => None,
            credentials => {
                let failed = |error: &dyn std::fmt::Display| AdminError::Failed(error.to_string().into());
                let keys =
                    check_or_make(self.store.as_ref(), &self.access.keys).await.map_err(|error| match error {
                        MasterKeyError::Missing { .. } | MasterKeyError::Other { .. }
                            if own_storage == OwnStorage::Allowed =>
                        {
                            AdminError::Conflict(error.to_string())
                        }
                        error => failed(&error),
                    })?;
                Some(seal_credentials(&keys, place, credentials).map_err(|error| failed(&error))?)
            }
        };
        Ok(WarehouseStorage { profile: wanted.profile, sealed_credentials })
    }
}

impl Wanted {
    /// Parses the settings of a storage, credentials included, for a warehouse at `root`. No error repeats a value of the
    /// credentials.
    fn read(storage: Option<Value>, root: &Location) -> Result<Self, AdminError> {
        let Some(storage) = storage else {
            if root.scheme() == "file" {
                return Ok(Self { profile: StorageProfile::File, credentials: StorageCredentials::Ambient });
            }
            return Err(AdminError::Invalid(format!(
                "{root} is not on the server's disk: pass the settings of its storage in `storage`"
            )));
        };
        let Value::Object(mut fields) = storage else {
            return Err(AdminError::Invalid("`storage` must be an object".to_owned()));
        };
        let credentials = match fields.remove("credentials") {
            None | Some(Value::Null) => StorageCredentials::Ambient,
            Some(section) => StorageCredentials::deserialize(section).map_err(|error| {
                AdminError::Invalid(format!("`storage.credentials`: {}", without_values(&error.to_string())))
            })?,
        };
        let profile = StorageProfile::deserialize(Value::Object(fields));
        let profile = profile
            .map_err(|error| AdminError::Invalid(format!("`storage`: {}", without_values(&error.to_string()))))?;
        Ok(Self { profile, credentials })
    }

    /// Fails if the storage is the server's own and may not be used.
    fn check_own(&self, root: &Location, own_storage: OwnStorage) -> Result<(), AdminError> {
        if own_storage == OwnStorage::Allowed {
            return Ok(());
        }
        if self.profile == StorageProfile::File {
            return Err(AdminError::Forbidden(format!(
                "{root} is on the server's own disk: only an operator creates warehouses there"
            )));
        }
        if self.credentials == StorageCredentials::Ambient {
            return Err(AdminError::Forbidden(
                "Without `storage.credentials` the server's own identity would be used: only an operator may do that"
                    .to_owned(),
            ));
        }
        match self.named_address() {
            None => Ok(()),
            Some(field) => Err(AdminError::Forbidden(format!(
                "`storage.{field}` names an address that the server would send requests to: only an operator may do that. Without \
                 it, the cloud's own address is used"
            ))),
        }
    }

    /// Returns the first field with an address that replaces the cloud's own.
    fn named_address(&self) -> Option<&'static str> {
        let (endpoint, sts_endpoint) = match &self.profile {
            StorageProfile::File => (None, None),
            StorageProfile::S3(profile) => (profile.endpoint.as_ref(), profile.sts_endpoint.as_ref()),
            StorageProfile::Adls(profile) => (profile.endpoint.as_ref(), None),
            StorageProfile::Gcs(profile) => (profile.endpoint.as_ref(), profile.sts_endpoint.as_ref()),
        };
        let in_credentials = match &self.credentials {
            StorageCredentials::AzureServicePrincipal { authority_host: Some(_), .. } => {
                Some("credentials.authority-host")
            }
            StorageCredentials::GcsServiceAccount { key } if !asks_google(key.expose()) => Some("credentials.key"),
            _ => None,
        };
        endpoint.map(|_| "endpoint").or(sts_endpoint.map(|_| "sts-endpoint")).or(in_credentials)
    }
}

/// Returns whether a service account's key file has only Google's addresses.
fn asks_google(key: &str) -> bool {
    serde_json::from_str::<Value>(key).is_ok_and(|key| {
        key.get("gcs_base_url").is_none() && key.get("token_uri").is_none_or(|address| address == GOOGLE_TOKENS)
    })
}

/// Returns a parser's message, or a general one if it repeats a value: that may be a secret in the wrong field.
fn without_values(message: &str) -> &str {
    let names_a_field = ["missing field", "unknown field"].iter().any(|start| message.starts_with(start));
    // The `type` or `kind` itself is no secret.
    let names_a_kind = message.starts_with("unknown variant");
    if names_a_field || names_a_kind { message } else { "a field has a value of the wrong type" }
}

/// Fails when an organisation's admin leaves the check out: it proves that the given credentials may write there.
fn check_is_checked(check: bool, own_storage: OwnStorage) -> Result<(), AdminError> {
    if check || own_storage == OwnStorage::Allowed {
        return Ok(());
    }
    Err(AdminError::Forbidden(
        "The check of the storage shows that its credentials may write there: only an operator leaves it out"
            .to_owned(),
    ))
}

/// Fails when an option promises what the storage cannot hold.
fn check_options(options: WarehouseOptions, storage: &StorageProfile) -> Result<(), AdminError> {
    if options.no_delete && *storage == StorageProfile::File {
        return Err(AdminError::Invalid(
            "`no-delete` cannot hold on the local disk: engines reach the files there as the system's users, and nothing is \
             vended. Set the rights of the folder instead"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Fails if the server's user, who owns the data folder, may not write to a warehouse's root.
fn check_owner_can_write(owner: Owner, root: &Path) -> Result<(), AdminError> {
    if root.exists() && owner.can_write(root) == Some(false) {
        return Err(AdminError::Invalid(format!(
            "root may write in {root}, and {owner}, to whom the data folder belongs, may not: give the folder over with \
             `chown -R`, or send `check` as false if the server runs as somebody else",
            root = root.display(),
            owner = owner.name()
        )));
    }
    Ok(())
}

fn place(warehouse: &Warehouse) -> Place {
    Place { organisation: warehouse.organisation, warehouse: warehouse.id }
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
            "Warehouse '{name}' still holds namespaces, or dropped tables or views that can be restored: drop those, and \
             delete these for good (`tidewater table dropped` and `tidewater view dropped` list them)"
        )),
        error => AdminError::Store(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(storage: Value) -> Result<Wanted, String> {
        Wanted::read(Some(storage), &Location::parse("s3://b/lake").unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn storage_holds_settings_and_credentials() {
        let credentials = json!({ "kind": "aws-key", "access-key-id": "AKIA", "secret-access-key": "hush" });
        let wanted = read(json!({ "type": "s3", "region": "a", "credentials": credentials })).unwrap();
        assert_eq!((wanted.profile.kind(), wanted.credentials.kind()), ("s3", "aws-key"));
        assert_eq!(read(json!({ "type": "gcs" })).unwrap().credentials, StorageCredentials::Ambient);
        assert!(Wanted::read(None, &Location::parse("s3://b/lake").unwrap()).is_err());
    }

    #[test]
    fn error_names_the_field_and_no_secret() {
        let with = |credentials: Value| json!({ "type": "s3", "region": "a", "credentials": credentials });
        for (storage, says) in [
            (json!({ "type": "s4" }), "s4"),
            (json!({ "type": "s3", "region": "a", "rolearn": "x" }), "rolearn"),
            (with(json!({ "kind": "aws-key", "secret-access-key": "hush" })), "access-key-id"),
            (with(json!({ "kind": "aws-key", "access-key-id": ["hush"], "secret-access-key": "hush" })), "wrong type"),
            (with(json!("hush")), "wrong type"),
        ] {
            let error = read(storage.clone()).unwrap_err();
            assert!(error.contains(says) && !error.contains("hush"), "{storage}: {error}");
        }
    }
}
