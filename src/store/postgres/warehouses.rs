//! Warehouses.

use std::str::FromStr;

use async_trait::async_trait;
use tidewater_core::ids::{CatalogRoleId, OrganisationId, WarehouseId};
use tidewater_core::location::Location;
use tidewater_core::purge::PurgeTime;
use tidewater_core::storage::{StorageProfile, roots_overlap};
use tokio_postgres::Row;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, Violation, get, violation};
use super::entities::entity_touch;
use super::events::{details, event_add};
use super::generations::raise;
use super::maintenance::warehouse_maintenance_forget;
use super::pages::is_storable;
use super::params::params;
use super::roles::remove_catalog_role;
use super::state_rows::{self, Added, Affected, CatalogLock};
use crate::store::{
    Change, EventDetails, EventObject, ObjectKind, Operation, Resource, Result, StoreError, Warehouse,
    WarehouseOptions, WarehouseOptionsUpdate, WarehouseRef, WarehouseStorage, WarehouseStore,
};

/// The columns of a warehouse.
macro_rules! warehouse_columns {
    () => {
        "id, organisation, name, root, is_default, created_ms, profile, sealed_credentials, purge, no_delete"
    };
}

fn warehouse_at(row: &Row) -> Result<Warehouse> {
    Ok(Warehouse {
        id: WarehouseId(get(row, 0)?),
        organisation: OrganisationId(get(row, 1)?),
        name: get(row, 2)?,
        root: get(row, 3)?,
        is_default: get(row, 4)?,
        created_ms: get(row, 5)?,
        storage: WarehouseStorage { profile: profile(get(row, 6)?)?, sealed_credentials: get(row, 7)? },
        options: WarehouseOptions { purge: purge_time(get(row, 8)?)?, no_delete: get(row, 9)? },
    })
}

/// Formats a storage profile for its column, as JSON.
fn profile_text(profile: &StorageProfile) -> Result<String> {
    serde_json::to_string(profile).map_err(|error| StoreError::Unavailable(Box::new(error)))
}

/// Parses a storage profile from its column.
fn profile(text: &str) -> Result<StorageProfile> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("warehouse.profile: {error}")))
}

/// Parses a time of purges from its column.
fn purge_time(text: &str) -> Result<PurgeTime> {
    PurgeTime::from_str(text).map_err(|error| StoreError::Corrupt(format!("warehouse.purge: {error}")))
}

/// Adds a warehouse. Its organisation's lock comes first, then the lock of all roots.
async fn warehouse_create(
    transaction: &Transaction,
    new: &Warehouse,
    change: &Change,
) -> std::result::Result<(), Failure> {
    let organisation = new.organisation;
    state_rows::lock(transaction, organisation, Added::default()).await?;
    state_rows::lock_catalog(transaction, CatalogLock::Roots).await?;
    if new.is_default {
        clear_default(transaction, organisation).await?;
    }
    let added = transaction
        .count(
            "INSERT INTO warehouse (organisation, id, name, root, is_default, created_ms, profile, sealed_credentials,
                                    purge, no_delete)
             SELECT $1, $2, $3, $4, $5 OR NOT EXISTS (SELECT 1 FROM warehouse WHERE organisation = $1), $6, $7, $8, $9, $10
             ON CONFLICT DO NOTHING RETURNING 1",
            params![
                organisation.0,
                new.id.0,
                new.name,
                new.root,
                new.is_default,
                new.created_ms,
                profile_text(&new.storage.profile)?,
                new.storage.sealed_credentials,
                new.options.purge.as_str(),
                new.options.no_delete
            ],
        )
        .await?;
    if added == 0 {
        return Err(StoreError::AlreadyExists(Resource::Warehouse).into());
    }
    // Checked last, so that a taken name is reported first. After an error here, the caller undoes the insert.
    check_root_free(transaction, new.id, &new.root, &new.storage.profile).await?;
    let details = details([("root", new.root.as_str().into())]);
    let warehouse_ref = WarehouseRef { organisation, warehouse: new.id };
    finish(transaction, warehouse_ref, &new.name, Operation::CreateWarehouse, &details, change).await
}

/// Raises the version of a changed warehouse and the organisation's generation, and writes the event.
async fn finish(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    name: &str,
    operation: Operation,
    details: &EventDetails,
    change: &Change,
) -> std::result::Result<(), Failure> {
    let WarehouseRef { organisation, warehouse } = warehouse_ref;
    if !matches!(operation, Operation::CreateWarehouse | Operation::DropWarehouse) {
        entity_touch(transaction, organisation, warehouse.0, change.at_ms).await?;
    }
    raise(transaction, organisation, &[Affected::Organisation]).await?;
    let object = EventObject::new(ObjectKind::Warehouse, Some(warehouse.0), name);
    event_add(transaction, change, warehouse_ref, operation, &object, details).await
}

/// Fails if the root overlaps the root of another warehouse. Compares with all of them: there are few, and creations are rare.
async fn check_root_free(
    transaction: &Transaction,
    own: WarehouseId,
    root: &str,
    storage: &StorageProfile,
) -> std::result::Result<(), Failure> {
    // An invalid root overlaps no other. Opening the warehouse reports it.
    let Ok(root) = Location::parse(root) else { return Ok(()) };
    let others = transaction.query("SELECT root, profile FROM warehouse WHERE id <> $1", params![own.0]).await?;
    for row in &others {
        let (other_root, other) = (Location::parse(get(row, 0)?), profile(get(row, 1)?)?);
        if other_root.is_ok_and(|other_root| roots_overlap((storage, &root), (&other, &other_root))) {
            return Err(StoreError::LocationTaken(root.to_string()).into());
        }
    }
    Ok(())
}

/// Locks the organisation, and returns the warehouse with the name.
async fn lock_warehouse(
    transaction: &Transaction,
    organisation: OrganisationId,
    name: &str,
) -> std::result::Result<Warehouse, Failure> {
    const BY_NAME: &str =
        concat!("SELECT ", warehouse_columns!(), " FROM warehouse WHERE organisation = $1 AND name = $2");
    state_rows::lock_for(transaction, organisation, Resource::Warehouse).await?;
    if !is_storable(name) {
        return Err(StoreError::NotFound(Resource::Warehouse).into());
    }
    let row = transaction.query_first(BY_NAME, params![organisation.0, name]).await?;
    Ok(warehouse_at(&row.ok_or(StoreError::NotFound(Resource::Warehouse))?)?)
}

async fn warehouse_set_storage(
    transaction: &Transaction,
    organisation: OrganisationId,
    name: &str,
    storage: &WarehouseStorage,
    change: &Change,
) -> std::result::Result<(), Failure> {
    let known = lock_warehouse(transaction, organisation, name).await?;
    state_rows::lock_catalog(transaction, CatalogLock::Roots).await?;
    check_root_free(transaction, known.id, &known.root, &storage.profile).await?;
    transaction
        .query(
            "UPDATE warehouse SET profile = $3, sealed_credentials = $4 WHERE organisation = $1 AND id = $2",
            params![organisation.0, known.id.0, profile_text(&storage.profile)?, storage.sealed_credentials],
        )
        .await?;
    let warehouse_ref = WarehouseRef { organisation, warehouse: known.id };
    finish(transaction, warehouse_ref, name, Operation::SetWarehouseStorage, &EventDetails::new(), change).await
}

async fn warehouse_reseal(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    from: &[u8],
    to: &[u8],
    change: &Change,
) -> std::result::Result<bool, Failure> {
    let WarehouseRef { organisation, warehouse } = warehouse_ref;
    state_rows::lock_for(transaction, organisation, Resource::Warehouse).await?;
    let changed = transaction
        .query_first(
            "UPDATE warehouse SET sealed_credentials = $4
             WHERE organisation = $1 AND id = $2 AND sealed_credentials = $3 RETURNING name",
            params![organisation.0, warehouse.0, from.to_vec(), to.to_vec()],
        )
        .await?;
    let Some(row) = changed else { return Ok(false) };
    let (operation, details) = (Operation::SetWarehouseStorage, EventDetails::new());
    finish(transaction, warehouse_ref, get(&row, 0)?, operation, &details, change).await?;
    Ok(true)
}

async fn warehouse_set_options(
    transaction: &Transaction,
    organisation: OrganisationId,
    name: &str,
    update: WarehouseOptionsUpdate,
    change: &Change,
) -> std::result::Result<(), Failure> {
    let known = lock_warehouse(transaction, organisation, name).await?;
    let options = update.apply(known.options);
    if known.options == options {
        return Ok(());
    }
    let (purge, no_delete) = (options.purge.as_str(), options.no_delete);
    transaction
        .query(
            "UPDATE warehouse SET purge = $3, no_delete = $4 WHERE organisation = $1 AND id = $2",
            params![organisation.0, known.id.0, purge, no_delete],
        )
        .await?;
    let details = details([("purge", purge.into()), ("no-delete", no_delete.into())]);
    let warehouse_ref = WarehouseRef { organisation, warehouse: known.id };
    finish(transaction, warehouse_ref, name, Operation::SetWarehouseOptions, &details, change).await
}

async fn warehouse_set_default(
    transaction: &Transaction,
    organisation: OrganisationId,
    name: &str,
    change: &Change,
) -> std::result::Result<(), Failure> {
    let known = lock_warehouse(transaction, organisation, name).await?;
    if known.is_default {
        return Ok(());
    }
    clear_default(transaction, organisation).await?;
    transaction
        .query(
            "UPDATE warehouse SET is_default = true WHERE organisation = $1 AND id = $2",
            params![organisation.0, known.id.0],
        )
        .await?;
    let warehouse_ref = WarehouseRef { organisation, warehouse: known.id };
    finish(transaction, warehouse_ref, name, Operation::SetDefaultWarehouse, &EventDetails::new(), change).await
}

async fn clear_default(transaction: &Transaction, organisation: OrganisationId) -> std::result::Result<(), Failure> {
    transaction
        .query(
            "UPDATE warehouse SET is_default = false WHERE organisation = $1 AND is_default",
            params![organisation.0],
        )
        .await?;
    Ok(())
}

async fn warehouse_drop(
    transaction: &Transaction,
    organisation: OrganisationId,
    name: &str,
    change: &Change,
) -> std::result::Result<(), Failure> {
    let known = lock_warehouse(transaction, organisation, name).await?;
    remove_roles(transaction, organisation, known.id).await?;
    let removed = transaction
        .query(
            "WITH details AS (DELETE FROM entity WHERE organisation = $1 AND id = $2)
             DELETE FROM warehouse WHERE organisation = $1 AND id = $2",
            params![organisation.0, known.id.0],
        )
        .await;
    match removed {
        Err(failure) if violation(&failure) == Some(Violation::ForeignKey) => {
            Err(StoreError::NotEmpty(Resource::Warehouse).into())
        }
        Err(failure) => Err(failure),
        Ok(_) => {
            warehouse_maintenance_forget(transaction, organisation, known.id).await?;
            let warehouse_ref = WarehouseRef { organisation, warehouse: known.id };
            finish(transaction, warehouse_ref, name, Operation::DropWarehouse, &EventDetails::new(), change).await
        }
    }
}

/// Removes the catalog roles of a warehouse.
async fn remove_roles(
    transaction: &Transaction,
    organisation: OrganisationId,
    warehouse: WarehouseId,
) -> std::result::Result<(), Failure> {
    let roles = transaction
        .query(
            "SELECT id FROM catalog_role WHERE organisation = $1 AND warehouse = $2",
            params![organisation.0, warehouse.0],
        )
        .await?;
    for row in &roles {
        remove_catalog_role(transaction, organisation, CatalogRoleId(get(row, 0)?)).await?;
    }
    Ok(())
}

/// Returns whether the organisation has the warehouse.
pub(super) async fn warehouse_exists(store: &PostgresStore, warehouse_ref: WarehouseRef) -> Result<bool> {
    let found = store
        .read_first(
            "SELECT 1 FROM warehouse WHERE organisation = $1 AND id = $2",
            params![warehouse_ref.organisation.0, warehouse_ref.warehouse.0],
        )
        .await?;
    Ok(found.is_some())
}

#[async_trait]
impl WarehouseStore for PostgresStore {
    async fn warehouse_create(&self, new: &Warehouse, change: &Change) -> Result<()> {
        transact!(self, for new.organisation, transaction => warehouse_create(transaction, new, change))
    }

    async fn warehouse_list(&self, organisation: OrganisationId) -> Result<Vec<Warehouse>> {
        const ALL: &str =
            concat!("SELECT ", warehouse_columns!(), " FROM warehouse WHERE organisation = $1 ORDER BY name");
        self.read_needed(ALL, params![organisation.0]).await?.iter().map(warehouse_at).collect()
    }

    async fn warehouse_set_storage(
        &self,
        organisation: OrganisationId,
        name: &str,
        storage: &WarehouseStorage,
        change: &Change,
    ) -> Result<()> {
        transact!(self, for organisation, transaction => {
            warehouse_set_storage(transaction, organisation, name, storage, change)
        })
    }

    async fn warehouse_reseal(
        &self,
        warehouse_ref: WarehouseRef,
        from: &[u8],
        to: &[u8],
        change: &Change,
    ) -> Result<bool> {
        transact!(self, for warehouse_ref.organisation, transaction => {
            warehouse_reseal(transaction, warehouse_ref, from, to, change)
        })
    }

    async fn warehouse_set_options(
        &self,
        organisation: OrganisationId,
        name: &str,
        options: &WarehouseOptionsUpdate,
        change: &Change,
    ) -> Result<()> {
        transact!(self, for organisation, transaction => {
            warehouse_set_options(transaction, organisation, name, *options, change)
        })
    }

    async fn warehouse_set_default(&self, organisation: OrganisationId, name: &str, change: &Change) -> Result<()> {
        transact!(self, for organisation, transaction => {
            warehouse_set_default(transaction, organisation, name, change)
        })
    }

    async fn warehouse_drop(&self, organisation: OrganisationId, name: &str, change: &Change) -> Result<()> {
        transact!(self, for organisation, transaction => warehouse_drop(transaction, organisation, name, change))
    }
}
