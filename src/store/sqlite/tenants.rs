//! Organisations, their keys and warehouses, and the keys that sign tokens.

use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::{KeyId, OrganisationId, WarehouseId};
use tidewater_core::location::Location;
use tidewater_core::storage::{StorageProfile, overlap};

use super::convert::{Violation, id, profile, profile_text, purge_time, role, violation};
use super::events::{Scope, event_add};
use crate::secret::Secret;
use crate::store::{
    ApiKey, Change, Deletion, EventDetails, EventObject, KeyDigest, ObjectKind, Operation, Organisation, Place,
    Resource, Result, SigningKey, Standing, StoreError, Warehouse, WarehouseOptions, WarehouseStorage,
};

pub(super) const ORGANISATION: &str = "organisation.id, organisation.name, organisation.tier, organisation.created_ms,
    organisation.suspended_ms, organisation.delete_after_ms, organisation.delete_purge";
pub(super) const KEY: &str = "api_key.id, api_key.organisation, api_key.name, api_key.role, api_key.digest, \
                   api_key.created_ms, api_key.expires_ms, api_key.last_used_ms, api_key.revoked_ms, api_key.no_delete";
const KEY_COLUMNS: usize = 10;

/// The error of an insert whose key may be taken, and whose organisation may be missing.
pub(super) fn not_inserted(error: rusqlite::Error, what: Resource) -> StoreError {
    match violation(&error) {
        Some(Violation::Unique) => StoreError::AlreadyExists(what),
        Some(Violation::ForeignKey) => StoreError::NotFound(Resource::Organisation),
        None => error.into(),
    }
}

pub(super) fn organisation_at(row: &Row<'_>, first: usize) -> Result<Organisation> {
    Ok(Organisation {
        id: id(OrganisationId, row.get(first)?),
        name: row.get(first + 1)?,
        tier: row.get(first + 2)?,
        created_ms: row.get(first + 3)?,
        standing: Standing {
            suspended_ms: row.get(first + 4)?,
            deletion: match row.get(first + 5)? {
                Some(after_ms) => Some(Deletion { after_ms, purge: row.get(first + 6)? }),
                None => None,
            },
        },
    })
}

pub(super) fn organisation_create(connection: &Connection, new: &Organisation, change: &Change) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO organisation (id, name, tier, created_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![new.id.0.as_bytes(), new.name, new.tier, new.created_ms])
        .map_err(|error| not_inserted(error, Resource::Organisation))?;
    let object = EventObject::new(ObjectKind::Organisation, Some(new.id.0), new.name.as_str());
    let details = details([("tier", new.tier.as_str().into())]);
    event_add(connection, change, new.id, Operation::CreateOrganisation, &object, &details)
}

pub(super) fn organisation_list(connection: &Connection) -> Result<Vec<Organisation>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {ORGANISATION} FROM organisation ORDER BY name"))?;
    statement.query_and_then([], |row| organisation_at(row, 0))?.collect()
}

pub(super) fn organisation_by_name(connection: &Connection, name: &str) -> Result<Option<Organisation>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {ORGANISATION} FROM organisation WHERE name = ?1"))?;
    let mut rows = statement.query([name])?;
    rows.next()?.map(|row| organisation_at(row, 0)).transpose()
}

pub(super) fn organisation_set_tier(
    connection: &Connection,
    id: OrganisationId,
    tier: &str,
    change: &Change,
) -> Result<()> {
    let before: Option<(String, String)> = connection
        .prepare_cached("SELECT name, tier FROM organisation WHERE id = ?1")?
        .query_row([id.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (name, before) = before.ok_or(StoreError::NotFound(Resource::Organisation))?;
    connection
        .prepare_cached("UPDATE organisation SET tier = ?2 WHERE id = ?1")?
        .execute(params![id.0.as_bytes(), tier])?;
    let object = EventObject::new(ObjectKind::Organisation, Some(id.0), name);
    let details = details([("before", before.into()), ("after", tier.into())]);
    event_add(connection, change, id, Operation::SetTier, &object, &details)
}

/// The details of an event from pairs.
pub(super) fn details<const N: usize>(pairs: [(&str, serde_json::Value); N]) -> EventDetails {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(super) fn key_at(row: &Row<'_>) -> Result<ApiKey> {
    Ok(ApiKey {
        id: id(KeyId, row.get(0)?),
        organisation: id(OrganisationId, row.get(1)?),
        name: row.get(2)?,
        role: role(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?,
        digest: KeyDigest(row.get(4)?),
        created_ms: row.get(5)?,
        expires_ms: row.get(6)?,
        last_used_ms: row.get(7)?,
        revoked_ms: row.get(8)?,
        no_delete: row.get(9)?,
    })
}

pub(super) fn key_create(connection: &Connection, new: &ApiKey, change: &Change) -> Result<()> {
    key_insert(connection, new)?;
    let object = EventObject::new(ObjectKind::Key, Some(new.id.0), new.name.as_str());
    let details = details([("role", new.role.as_str().into()), ("expires-ms", new.expires_ms.into())]);
    event_add(connection, change, new.organisation, Operation::CreateKey, &object, &details)
}

/// Adds a key, without an event.
pub(super) fn key_insert(connection: &Connection, new: &ApiKey) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO api_key (organisation, id, name, role, digest, created_ms, expires_ms, last_used_ms, revoked_ms,
                                  no_delete)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            new.organisation.0.as_bytes(),
            new.id.0.as_bytes(),
            new.name,
            new.role.as_str(),
            new.digest.0,
            new.created_ms,
            new.expires_ms,
            new.last_used_ms,
            new.revoked_ms,
            new.no_delete,
        ])
        .map_err(|error| not_inserted(error, Resource::Key))?;
    Ok(())
}

pub(super) fn key_list(connection: &Connection, organisation: OrganisationId) -> Result<Vec<ApiKey>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {KEY} FROM api_key WHERE organisation = ?1 ORDER BY created_ms, id"))?;
    statement.query_and_then([organisation.0.as_bytes()], key_at)?.collect()
}

pub(super) fn key_by_digest(connection: &Connection, digest: &KeyDigest) -> Result<Option<(ApiKey, Organisation)>> {
    key_where(connection, "api_key.digest = ?1", &digest.0)
}

pub(super) fn key_by_id(connection: &Connection, id: KeyId) -> Result<Option<(ApiKey, Organisation)>> {
    key_where(connection, "api_key.id = ?1", id.0.as_bytes())
}

fn key_where(connection: &Connection, condition: &str, value: &[u8]) -> Result<Option<(ApiKey, Organisation)>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {KEY}, {ORGANISATION} FROM api_key JOIN organisation ON organisation.id = api_key.organisation \
         WHERE {condition}"
    ))?;
    let mut rows = statement.query([value])?;
    rows.next()?.map(|row| Ok((key_at(row)?, organisation_at(row, KEY_COLUMNS)?))).transpose()
}

pub(super) fn key_revoke(
    connection: &Connection,
    organisation: OrganisationId,
    id: KeyId,
    change: &Change,
) -> Result<()> {
    let known: Option<(String, bool)> = connection
        .prepare_cached("SELECT name, revoked_ms IS NOT NULL FROM api_key WHERE organisation = ?1 AND id = ?2")?
        .query_row(params![organisation.0.as_bytes(), id.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (name, is_revoked) = known.ok_or(StoreError::NotFound(Resource::Key))?;
    if is_revoked {
        return Ok(());
    }
    connection
        .prepare_cached("UPDATE api_key SET revoked_ms = ?3 WHERE organisation = ?1 AND id = ?2")?
        .execute(params![organisation.0.as_bytes(), id.0.as_bytes(), change.at_ms])?;
    let object = EventObject::new(ObjectKind::Key, Some(id.0), name);
    event_add(connection, change, organisation, Operation::RevokeKey, &object, &EventDetails::new())
}

pub(super) fn key_touch(connection: &Connection, last_used_ms: &[(KeyId, i64)]) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE api_key SET last_used_ms = ?2 WHERE id = ?1 AND (last_used_ms IS NULL OR last_used_ms < ?2)",
    )?;
    for (id, used_ms) in last_used_ms {
        statement.execute(params![id.0.as_bytes(), used_ms])?;
    }
    Ok(())
}

pub(super) fn signing_key_list(connection: &Connection) -> Result<Vec<SigningKey>> {
    let mut statement = connection
        .prepare_cached("SELECT id, secret, created_ms FROM signing_key ORDER BY created_ms DESC, id DESC")?;
    statement
        .query_and_then([], |row| {
            Ok(SigningKey { id: row.get(0)?, secret: Secret::new(row.get(1)?), created_ms: row.get(2)? })
        })?
        .collect()
}

pub(super) fn signing_key_add(
    connection: &Connection,
    new: &SigningKey,
    only_if_none: bool,
    change: &Change,
) -> Result<Vec<SigningKey>> {
    let added = connection
        .prepare_cached(
            "INSERT INTO signing_key (id, secret, created_ms)
             SELECT ?1, ?2, ?3 WHERE NOT ?4 OR NOT EXISTS (SELECT 1 FROM signing_key)",
        )?
        .execute(params![new.id, new.secret.expose(), new.created_ms, only_if_none])
        .map_err(|error| not_inserted(error, Resource::Key))?;
    if added > 0 {
        let object = EventObject::new(ObjectKind::SigningKey, None, new.id.as_str());
        event_add(connection, change, Scope::SERVER, Operation::AddSigningKey, &object, &EventDetails::new())?;
    }
    signing_key_list(connection)
}

pub(super) fn signing_key_remove_before(
    connection: &Connection,
    created_before_ms: i64,
    change: &Change,
) -> Result<u64> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM signing_key WHERE created_ms < ?1
             AND id <> (SELECT id FROM signing_key ORDER BY created_ms DESC, id DESC LIMIT 1) RETURNING id",
        )?
        .query_map([created_before_ms], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    for id in &removed {
        let object = EventObject::new(ObjectKind::SigningKey, None, id.as_str());
        event_add(connection, change, Scope::SERVER, Operation::RemoveSigningKeys, &object, &EventDetails::new())?;
    }
    Ok(removed.len() as u64)
}

pub(super) fn master_key_get(connection: &Connection) -> Result<Option<[u8; 16]>> {
    let found = connection.prepare_cached("SELECT fingerprint FROM master_key")?.query_row([], |row| row.get(0));
    Ok(found.optional()?)
}

pub(super) fn master_key_set(connection: &Connection, fingerprint: [u8; 16], only_if_none: bool) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO master_key (only_one, fingerprint) VALUES (1, ?1)
             ON CONFLICT (only_one) DO UPDATE SET fingerprint = excluded.fingerprint WHERE NOT ?2",
        )?
        .execute(params![fingerprint, only_if_none])?;
    Ok(())
}

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
    // Last, so that a name that is taken is told first; what fails here is undone as a whole.
    root_is_free(connection, new.id, &new.root, &new.storage.profile)?;
    let details = details([("root", new.root.as_str().into())]);
    tell(connection, new.organisation, (new.id, &new.name), Operation::CreateWarehouse, &details, change)
}

/// Writes the event of a change of a warehouse.
fn tell(
    connection: &Connection,
    organisation: OrganisationId,
    (warehouse, name): (WarehouseId, &str),
    operation: Operation,
    details: &EventDetails,
    change: &Change,
) -> Result<()> {
    let object = EventObject::new(ObjectKind::Warehouse, Some(warehouse.0), name);
    event_add(connection, change, Place { organisation, warehouse }, operation, &object, details)
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
    tell(connection, organisation, (id, name), Operation::SetWarehouseStorage, &EventDetails::new(), change)
}

pub(super) fn warehouse_set_options(
    connection: &Connection,
    organisation: OrganisationId,
    name: &str,
    options: WarehouseOptions,
    change: &Change,
) -> Result<()> {
    let (purge, no_delete) = (options.purge.as_str(), options.no_delete);
    let id = connection
        .prepare_cached(
            "UPDATE warehouse SET purge = ?3, no_delete = ?4 WHERE organisation = ?1 AND name = ?2 RETURNING id",
        )?
        .query_row(params![organisation.0.as_bytes(), name, purge, no_delete], |row| Ok(id(WarehouseId, row.get(0)?)))
        .optional()?;
    let id = id.ok_or(StoreError::NotFound(Resource::Warehouse))?;
    let details = details([("purge", purge.into()), ("no-delete", no_delete.into())]);
    tell(connection, organisation, (id, name), Operation::SetWarehouseOptions, &details, change)
}

/// Fails when a warehouse with that root would share a place with another than itself. There are few warehouses, and one is
/// seldom made: all are looked at.
fn root_is_free(connection: &Connection, own: WarehouseId, root: &str, storage: &StorageProfile) -> Result<()> {
    // What is no location overlaps none, and is told to whoever opens the warehouse.
    let Ok(root) = Location::parse(root) else { return Ok(()) };
    let mut statement = connection.prepare_cached("SELECT root, profile FROM warehouse WHERE id <> ?1")?;
    let mut rows = statement.query([own.0.as_bytes()])?;
    while let Some(row) = rows.next()? {
        let other_root = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        let other = profile(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
        if Location::parse(other_root).is_ok_and(|other_root| overlap((storage, &root), (&other, &other_root))) {
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
    clear_default(connection, organisation)?;
    let id = connection
        .prepare_cached("UPDATE warehouse SET is_default = 1 WHERE organisation = ?1 AND name = ?2 RETURNING id")?
        .query_row(params![organisation.0.as_bytes(), name], |row| Ok(id(WarehouseId, row.get(0)?)))
        .optional()?;
    let id = id.ok_or(StoreError::NotFound(Resource::Warehouse))?;
    tell(connection, organisation, (id, name), Operation::SetDefaultWarehouse, &EventDetails::new(), change)
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
            tell(connection, organisation, (*id, name), Operation::DropWarehouse, &EventDetails::new(), change)
        }
        Err(error) if violation(error) == Some(Violation::ForeignKey) => Err(StoreError::NotEmpty(Resource::Warehouse)),
        Err(_) => dropped.map(drop).map_err(Into::into),
    }
}

/// Whether the organisation has that warehouse.
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
