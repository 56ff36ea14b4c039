//! Removes an organisation's rows in bounded steps, referring rows first.

use rusqlite::{Connection, params};
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::convert::id;
use super::events::{Scope, details, event_add};
use super::organisations::organisation_get;
use super::{dropped, tables};
use crate::store::{
    Change, DropTerms, EventObject, Forgotten, ObjectKind, Operation, Organisation, Result, StoreError, TableKind,
    WarehouseRef,
};

/// The database tables with rows of an organisation, and the columns that identify a row, in the order of removal.
const TABLES: [(&str, &str); 27] = [
    ("tabular", "warehouse, namespace, name"),
    ("dropped", "id"),
    ("location", "warehouse, location, tabular"),
    ("old_document", "location"),
    ("report", "id"),
    ("maintenance_policy", "object"),
    ("maintenance_state", "table_id"),
    ("maintenance_run", "id"),
    ("access_grant", "role, kind, securable, privilege"),
    ("entity", "id"),
    ("catalog_role_member", "principal_role, role"),
    ("principal_role_member", "principal, role, source"),
    ("catalog_role", "id"),
    ("principal_role", "id"),
    // Namespaces with children are removed in a later step.
    ("namespace", "warehouse, key"),
    ("receipt", "principal, key"),
    ("key_usage", "day, key"),
    ("usage", "day"),
    ("api_key", "id"),
    ("principal", "id"),
    ("warehouse", "id"),
    ("dead_letter", "subscription, event"),
    ("subscription", "id"),
    ("feed_consumer", "name"),
    ("feed_removed", "organisation"),
    ("event", "id"),
    ("audit", "id"),
];

/// One row for each organisation.
const COUNTS: [&str; 3] = ["tabular_count", "report_bytes", "access_count"];

pub(super) fn organisation_forget(
    connection: &Connection,
    id: OrganisationId,
    at_most: u32,
    change: &Change,
) -> Result<Forgotten> {
    let Some(organisation) = organisation_get(connection, id)? else { return Ok(Forgotten::All) };
    let Some(deletion) = organisation.standing.deletion.filter(|deletion| deletion.after_ms <= change.at_ms) else {
        return Ok(Forgotten::All);
    };
    if deletion.purge && drop_tables(connection, id, at_most, change)? > 0 {
        return Ok(Forgotten::More);
    }
    if end_dropped(connection, id, deletion.purge, at_most, change)? > 0 {
        return Ok(Forgotten::More);
    }
    if is_purging(connection, id, deletion.purge)? {
        return Ok(Forgotten::Waiting);
    }
    keep_own_events(connection, id)?;
    for (table, key) in TABLES {
        if empty(connection, id, (table, key), at_most)? > 0 {
            return Ok(Forgotten::More);
        }
    }
    remove(connection, &organisation, change)?;
    Ok(Forgotten::All)
}

/// Drops tables with a purge that is due now, and forgets views. Returns how many.
fn drop_tables(connection: &Connection, organisation: OrganisationId, at_most: u32, change: &Change) -> Result<usize> {
    let mut statement = connection
        .prepare_cached("SELECT warehouse, namespace, name, kind, id FROM tabular WHERE organisation = ?1 LIMIT ?2")?;
    let found = statement.query_map(params![organisation.0.as_bytes(), at_most], |row| {
        let warehouse = id(WarehouseId, row.get(0)?);
        let table = id(TableId, row.get(4)?);
        Ok((warehouse, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, String>(3)?, table))
    })?;
    let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(error.to_string());
    for (warehouse, namespace, name, kind, table) in &found {
        let warehouse_ref = WarehouseRef { organisation, warehouse: *warehouse };
        let namespace = NamespaceIdent::from_key(namespace).map_err(|error| corrupt(&error))?;
        let ident = TableIdent::new(namespace, name).map_err(|error| corrupt(&error))?;
        let purge = DropTerms { restorable_until_ms: change.at_ms, purge: true };
        let (kind, terms) = match kind.as_str() {
            "view" => (TableKind::View, None),
            _ => (TableKind::Table, Some(&purge)),
        };
        tables::table_drop(connection, warehouse_ref, &ident, *table, kind, terms, change)?;
    }
    Ok(found.len())
}

/// Ends the restore time of all dropped tables and views. Their files are removed if the drop or this deletion requested a
/// purge. Returns their number.
fn end_dropped(
    connection: &Connection,
    organisation: OrganisationId,
    purge: bool,
    at_most: u32,
    change: &Change,
) -> Result<usize> {
    let mut statement = connection
        .prepare_cached("SELECT warehouse, id FROM dropped WHERE organisation = ?1 AND state = 'kept' LIMIT ?2")?;
    let found = statement.query_map(params![organisation.0.as_bytes(), at_most], |row| {
        Ok((id(WarehouseId, row.get(0)?), id(TableId, row.get(1)?)))
    })?;
    let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    for (warehouse, table) in &found {
        let warehouse_ref = WarehouseRef { organisation, warehouse: *warehouse };
        dropped::dropped_remove(connection, warehouse_ref, *table, purge.then_some(true), change)?;
    }
    Ok(found.len())
}

/// Returns whether files are being removed, or their removal is blocked. A person must look at a blocked removal if this
/// deletion requested the purge.
fn is_purging(connection: &Connection, organisation: OrganisationId, purge: bool) -> Result<bool> {
    let found = connection
        .prepare_cached(
            "SELECT 1 FROM dropped WHERE organisation = ?1
             AND (state IN ('removing', 'finishing') OR (state = 'blocked' AND ?2)) LIMIT 1",
        )?
        .exists(params![organisation.0.as_bytes(), purge])?;
    Ok(found)
}

/// Makes the events about the organisation itself events of the server, so that they still show who deleted it.
fn keep_own_events(connection: &Connection, organisation: OrganisationId) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE event SET organisation = NULL WHERE organisation = ?1 AND object_kind = 'organisation'",
        )?
        .execute([organisation.0.as_bytes()])?;
    Ok(())
}

fn empty(
    connection: &Connection,
    organisation: OrganisationId,
    (table, key): (&str, &str),
    at_most: u32,
) -> Result<usize> {
    let leaves = match table {
        "namespace" => {
            "AND NOT EXISTS (SELECT 1 FROM namespace AS child WHERE child.organisation = namespace.organisation
                             AND child.warehouse = namespace.warehouse AND child.parent = namespace.key)"
        }
        _ => "",
    };
    let removed = connection
        .prepare(&format!(
            "DELETE FROM {table} WHERE organisation = ?1 AND ({key}) IN
                 (SELECT {key} FROM {table} WHERE organisation = ?1 {leaves} LIMIT ?2)"
        ))?
        .execute(params![organisation.0.as_bytes(), at_most])?;
    Ok(removed)
}

fn remove(connection: &Connection, organisation: &Organisation, change: &Change) -> Result<()> {
    for table in COUNTS {
        connection
            .prepare(&format!("DELETE FROM {table} WHERE organisation = ?1"))?
            .execute([organisation.id.0.as_bytes()])?;
    }
    connection.prepare_cached("DELETE FROM organisation WHERE id = ?1")?.execute([organisation.id.0.as_bytes()])?;
    let object = EventObject::new(ObjectKind::Organisation, Some(organisation.id.0), organisation.name.as_str());
    let details =
        details([("tier", organisation.tier.as_str().into()), ("created-ms", organisation.created_ms.into())]);
    event_add(connection, change, Scope::SERVER, Operation::ForgetOrganisation, &object, &details)
}
