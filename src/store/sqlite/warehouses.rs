//! Warehouses.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tidewater_core::ids::{OrganisationId, WarehouseId};
use tidewater_core::location::Location;
use tidewater_core::storage::{StorageProfile, roots_overlap};

use super::SqliteStore;
use super::convert::{Violation, id, not_inserted, profile, profile_text, purge_time, violation};
use super::entities::entity_touch;
use super::events::{details, event_add};
use super::maintenance::warehouse_maintenance_forget;
use crate::store::{
    Change, EventDetails, EventObject, ObjectKind, Operation, Resource, Result, StoreError, Warehouse,
    WarehouseOptions, WarehouseOptionsUpdate, WarehouseRef, WarehouseStorage, WarehouseStore,
};

pub(super) fn warehouse_create(connection: &Connection, new: &Warehouse, change: &Change) -> Result<()> {
    let organisation = new.organisation.0.as_bytes();
    if new.is_default {
        clear_default(connection, new.organisation)?;
    }
    connection
        .prepare_cached(
            "INSERT INTO warehouse (organisation, id, name, root, is_default, created_ms, profile, sealed_credentials,
                                    purge, no_delete)
             SELECT ?1, ?2, ?3, ?4, ?5 OR NOT EXISTS (SELECT 1 FROM warehouse WHERE organisation = ?1), ?6, ?7, ?8, ?9, ?10",
        )?
        .execute(params![
            organisation,
            new.id.0.as_bytes(),
            new.name,
            new.root,
            new.is_default,
            new.created_ms,
            profile_text(&new.storage.profile)?,
            new.storage.sealed_credentials,
            new.options.purge.as_str(),
            new.options.no_delete,
        ])
        .map_err(|error| not_inserted(error, Resource::Warehouse))?;
    // Checked last, so that a taken name is reported first. After an error here, the caller undoes the insert.
    root_is_free(connection, new.id, &new.root, &new.storage.profile)?;
    let details = details([("root", new.root.as_str().into())]);
    add_warehouse_event(connection, new.organisation, (new.id, &new.name), Operation::CreateWarehouse, &details, change)
}

/// Writes the event of a change of a warehouse, and raises its version.
fn add_warehouse_event(
    connection: &Connection,
    organisation: OrganisationId,
    (warehouse, name): (WarehouseId, &str),
    operation: Operation,
    details: &EventDetails,
    change: &Change,
) -> Result<()> {
    let object = EventObject::new(ObjectKind::Warehouse, Some(warehouse.0), name);
    if !matches!(operation, Operation::CreateWarehouse | Operation::DropWarehouse) {
        entity_touch(connection, organisation, warehouse.0, change.at_ms)?;
    }
    event_add(connection, change, WarehouseRef { organisation, warehouse }, operation, &object, details)
}

pub(super) fn warehouse_list(connection: &Connection, organisation: OrganisationId) -> Result<Vec<Warehouse>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, organisation, name, root, is_default, created_ms, profile, sealed_credentials, purge,
                no_delete
         FROM warehouse WHERE organisation = ?1 ORDER BY name",
    )?;
    statement
        .query_and_then([organisation.0.as_bytes()], |row| {
            Ok(Warehouse {
                id: id(WarehouseId, row.get(0)?),
                organisation: id(OrganisationId, row.get(1)?),
                name: row.get(2)?,
                root: row.get(3)?,
                is_default: row.get(4)?,
                created_ms: row.get(5)?,
                storage: WarehouseStorage {
                    profile: profile(row.get_ref(6)?.as_str().map_err(rusqlite::Error::from)?)?,
                    sealed_credentials: row.get(7)?,
                },
                options: WarehouseOptions {
                    purge: purge_time(row.get_ref(8)?.as_str().map_err(rusqlite::Error::from)?)?,
                    no_delete: row.get(9)?,
                },
            })
        })?
        .collect()
}

pub(super) fn warehouse_set_storage(
    connection: &Connection,
    organisation: OrganisationId,
    name: &str,
    storage: &WarehouseStorage,
    change: &Change,
) -> Result<()> {
    let known = connection
        .prepare_cached("SELECT id, root FROM warehouse WHERE organisation = ?1 AND name = ?2")?
        .query_row(params![organisation.0.as_bytes(), name], |row| {
            Ok((id(WarehouseId, row.get(0)?), row.get::<_, String>(1)?))
        })
        .optional()?;
    let (id, root) = known.ok_or(StoreError::NotFound(Resource::Warehouse))?;
    root_is_free(connection, id, &root, &storage.profile)?;
    connection
        .prepare_cached(
            "UPDATE warehouse SET profile = ?3, sealed_credentials = ?4 WHERE organisation = ?1 AND name = ?2",
        )?
        .execute(params![
            organisation.0.as_bytes(),
            name,
            profile_text(&storage.profile)?,
            storage.sealed_credentials
        ])?;
    add_warehouse_event(
        connection,
        organisation,
        (id, name),
        Operation::SetWarehouseStorage,
        &EventDetails::new(),
        change,
    )
}

pub(super) fn warehouse_set_options(
    connection: &Connection,
    organisation: OrganisationId,
    name: &str,
    update: WarehouseOptionsUpdate,
    change: &Change,
) -> Result<()> {
    let known = connection
        .prepare_cached("SELECT id, purge, no_delete FROM warehouse WHERE organisation = ?1 AND name = ?2")?
        .query_row(params![organisation.0.as_bytes(), name], |row| {
            Ok((id(WarehouseId, row.get(0)?), row.get::<_, String>(1)?, row.get(2)?))
        })
        .optional()?;
    let (id, purge, no_delete) = known.ok_or(StoreError::NotFound(Resource::Warehouse))?;
    let known = WarehouseOptions { purge: purge_time(&purge)?, no_delete };
    let options = update.apply(known);
    if options == known {
        return Ok(());
    }
    let (purge, no_delete) = (options.purge.as_str(), options.no_delete);
    connection
        .prepare_cached("UPDATE warehouse SET purge = ?3, no_delete = ?4 WHERE organisation = ?1 AND name = ?2")?
        .execute(params![organisation.0.as_bytes(), name, purge, no_delete])?;
    let details = details([("purge", purge.into()), ("no-delete", no_delete.into())]);
    add_warehouse_event(connection, organisation, (id, name), Operation::SetWarehouseOptions, &details, change)
}

fn warehouse_reseal(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    from: &[u8],
    to: &[u8],
    change: &Change,
) -> Result<bool> {
    let WarehouseRef { organisation, warehouse } = warehouse_ref;
    let name = connection
        .prepare_cached(
            "UPDATE warehouse SET sealed_credentials = ?4
             WHERE organisation = ?1 AND id = ?2 AND sealed_credentials = ?3 RETURNING name",
        )?
        .query_row(params![organisation.0.as_bytes(), warehouse.0.as_bytes(), from, to], |row| row.get::<_, String>(0))
        .optional()?;
    let Some(name) = name else { return Ok(false) };
    let (operation, details) = (Operation::SetWarehouseStorage, EventDetails::new());
    add_warehouse_event(connection, organisation, (warehouse, &name), operation, &details, change)?;
    Ok(true)
}

/// Fails if the root overlaps the root of another warehouse. Compares with all of them: there are few, and creations are rare.
fn root_is_free(connection: &Connection, own: WarehouseId, root: &str, storage: &StorageProfile) -> Result<()> {
    // An invalid root overlaps no other. Opening the warehouse reports it.
    let Ok(root) = Location::parse(root) else { return Ok(()) };
    let mut statement = connection.prepare_cached("SELECT root, profile FROM warehouse WHERE id <> ?1")?;
    let mut rows = statement.query([own.0.as_bytes()])?;
    while let Some(row) = rows.next()? {
        let other_root = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        let other = profile(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
        if Location::parse(other_root).is_ok_and(|other_root| roots_overlap((storage, &root), (&other, &other_root))) {
            return Err(StoreError::LocationTaken(root.to_string()));
        }
    }
    Ok(())
}

pub(super) fn warehouse_set_default(
    connection: &Connection,
    organisation: OrganisationId,
    name: &str,
    change: &Change,
) -> Result<()> {
    let known = connection
        .prepare_cached("SELECT id, is_default FROM warehouse WHERE organisation = ?1 AND name = ?2")?
        .query_row(params![organisation.0.as_bytes(), name], |row| Ok((id(WarehouseId, row.get(0)?), row.get(1)?)))
        .optional()?;
    let (id, is_default) = known.ok_or(StoreError::NotFound(Resource::Warehouse))?;
    if is_default {
        return Ok(());
    }
    clear_default(connection, organisation)?;
    connection
        .prepare_cached("UPDATE warehouse SET is_default = 1 WHERE organisation = ?1 AND name = ?2")?
        .execute(params![organisation.0.as_bytes(), name])?;
    add_warehouse_event(
        connection,
        organisation,
        (id, name),
        Operation::SetDefaultWarehouse,
        &EventDetails::new(),
        change,
    )
}

fn clear_default(connection: &Connection, organisation: OrganisationId) -> Result<()> {
    connection
        .prepare_cached("UPDATE warehouse SET is_default = 0 WHERE organisation = ?1 AND is_default = 1")?
        .execute([organisation.0.as_bytes()])?;
    Ok(())
}

pub(super) fn warehouse_drop(
    connection: &Connection,
    organisation: OrganisationId,
    name: &str,
    change: &Change,
) -> Result<()> {
    let dropped = connection
        .prepare_cached("DELETE FROM warehouse WHERE organisation = ?1 AND name = ?2 RETURNING id")?
        .query_map(params![organisation.0.as_bytes(), name], |row| Ok(id(WarehouseId, row.get(0)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<WarehouseId>>>);
    match dropped.as_deref() {
        Ok([]) => Err(StoreError::NotFound(Resource::Warehouse)),
        Ok([id, ..]) => {
            warehouse_maintenance_forget(connection, organisation, *id)?;
            add_warehouse_event(
                connection,
                organisation,
                (*id, name),
                Operation::DropWarehouse,
                &EventDetails::new(),
                change,
            )
        }
        Err(error) if violation(error) == Some(Violation::ForeignKey) => Err(StoreError::NotEmpty(Resource::Warehouse)),
        Err(_) => dropped.map(drop).map_err(Into::into),
    }
}

/// Returns whether the organisation has the warehouse.
pub(super) fn warehouse_exists(
    connection: &Connection,
    organisation: OrganisationId,
    warehouse: WarehouseId,
) -> Result<bool> {
    let found = connection
        .prepare_cached("SELECT 1 FROM warehouse WHERE organisation = ?1 AND id = ?2")?
        .query_row(params![organisation.0.as_bytes(), warehouse.0.as_bytes()], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

#[async_trait]
impl WarehouseStore for SqliteStore {
    async fn warehouse_create(&self, new: &Warehouse, change: &Change) -> Result<()> {
        let (new, change) = (new.clone(), change.clone());
        self.write(move |connection| warehouse_create(connection, &new, &change)).await
    }

    async fn warehouse_list(&self, organisation: OrganisationId) -> Result<Vec<Warehouse>> {
        self.read_needed(Some(organisation), move |connection| warehouse_list(connection, organisation)).await
    }

    async fn warehouse_set_storage(
        &self,
        organisation: OrganisationId,
        name: &str,
        storage: &WarehouseStorage,
        change: &Change,
    ) -> Result<()> {
        let (name, storage, change) = (name.to_owned(), storage.clone(), change.clone());
        self.write(move |connection| warehouse_set_storage(connection, organisation, &name, &storage, &change)).await
    }

    async fn warehouse_reseal(
        &self,
        warehouse_ref: WarehouseRef,
        from: &[u8],
        to: &[u8],
        change: &Change,
    ) -> Result<bool> {
        let (from, to, change) = (from.to_vec(), to.to_vec(), change.clone());
        self.write(move |connection| warehouse_reseal(connection, warehouse_ref, &from, &to, &change)).await
    }

    async fn warehouse_set_options(
        &self,
        organisation: OrganisationId,
        name: &str,
        options: &WarehouseOptionsUpdate,
        change: &Change,
    ) -> Result<()> {
        let (name, options, change) = (name.to_owned(), *options, change.clone());
        self.write(move |connection| warehouse_set_options(connection, organisation, &name, options, &change)).await
    }

    async fn warehouse_set_default(&self, organisation: OrganisationId, name: &str, change: &Change) -> Result<()> {
        let (name, change) = (name.to_owned(), change.clone());
        self.write(move |connection| warehouse_set_default(connection, organisation, &name, &change)).await
    }

    async fn warehouse_drop(&self, organisation: OrganisationId, name: &str, change: &Change) -> Result<()> {
        let (name, change) = (name.to_owned(), change.clone());
        self.write(move |connection| warehouse_drop(connection, organisation, &name, &change)).await
    }
}
