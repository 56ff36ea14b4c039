//! Read restrictions and trusted engines.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::{OrganisationId, PrincipalId, PrincipalRoleId, TableId};
use tidewater_core::name::TableIdent;
use tidewater_core::restrictions::Restriction;

use super::SqliteStore;
use super::convert::{bounded, id, namespace};
use super::events::event_add;
use super::grants::{PRINCIPAL, after_id, principal_at};
use super::pages::{one_more, page_of, row_bytes};
use super::restricted::restriction_at;
use super::roles::principal_role_name;
use crate::store::pages::PageFill;
use crate::store::{
    Change, EventDetails, EventObject, ObjectKind, Operation, Page, PageRequest, PrincipalRecord, Resource,
    RestrictionRecord, RestrictionStore, Result, StoreError, TableKind, WarehouseRef, note_name,
};

/// Returns the name of a table.
fn table_name(connection: &Connection, warehouse_ref: WarehouseRef, table: TableId) -> Result<TableIdent> {
    let mut statement = connection.prepare_cached(
        "SELECT namespace, name FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3 AND kind = 'table'",
    )?;
    let key =
        params![warehouse_ref.organisation.0.as_bytes(), warehouse_ref.warehouse.0.as_bytes(), table.0.as_bytes()];
    let found: Option<(String, String)> = statement.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (of, name) = found.ok_or(StoreError::NotFound(Resource::Table))?;
    TableIdent::new(namespace(&of)?, &name).map_err(|error| StoreError::Corrupt(format!("tabular: {error}")))
}

fn restriction_set(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    (table, role): (TableId, PrincipalRoleId),
    restriction: &Restriction,
    limit: u64,
    change: &Change,
) -> Result<()> {
    let organisation = warehouse_ref.organisation;
    let ident = table_name(connection, warehouse_ref, table)?;
    let role_name = principal_role_name(connection, organisation, role)?;
    let text = restriction.to_json();
    let changed = connection
        .prepare_cached(
            "INSERT INTO read_restriction (organisation, tabular, principal_role, warehouse, restriction, updated_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (organisation, tabular, principal_role)
             DO UPDATE SET restriction = excluded.restriction, updated_ms = excluded.updated_ms
             WHERE restriction <> excluded.restriction",
        )?
        .execute(params![
            organisation.0.as_bytes(),
            table.0.as_bytes(),
            role.0.as_bytes(),
            warehouse_ref.warehouse.0.as_bytes(),
            text,
            change.at_ms
        ])?;
    if changed == 0 {
        return Ok(());
    }
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM read_restriction WHERE organisation = ?1")?
        .query_row([organisation.0.as_bytes()], |row| row.get(0))?;
    if count > bounded(limit) {
        return Err(StoreError::LimitReached { limit });
    }
    let mut details = EventDetails::new();
    details.insert("principal-role".to_owned(), role_name.into());
    details.insert("restriction".to_owned(), text.into());
    note_name(&mut details, &ident);
    let object = EventObject::new(TableKind::Table, Some(table.0), ident.to_string());
    event_add(connection, change, warehouse_ref, Operation::SetRestriction, &object, &details)
}

fn restriction_remove(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    (table, role): (TableId, PrincipalRoleId),
    change: &Change,
) -> Result<()> {
    let organisation = warehouse_ref.organisation;
    let ident = table_name(connection, warehouse_ref, table)?;
    let role_name = principal_role_name(connection, organisation, role)?;
    let removed = connection
        .prepare_cached(
            "DELETE FROM read_restriction WHERE organisation = ?1 AND tabular = ?2 AND principal_role = ?3",
        )?
        .execute(params![organisation.0.as_bytes(), table.0.as_bytes(), role.0.as_bytes()])?;
    if removed == 0 {
        return Ok(());
    }
    let mut details = EventDetails::new();
    details.insert("principal-role".to_owned(), role_name.into());
    note_name(&mut details, &ident);
    let object = EventObject::new(TableKind::Table, Some(table.0), ident.to_string());
    event_add(connection, change, warehouse_ref, Operation::RemoveRestriction, &object, &details)
}

/// The columns of a restriction, without a condition for the role. [`record_at`] reads them in this order.
const RECORDS: &str = "SELECT role.id, role.name, one.restriction, one.updated_ms FROM read_restriction AS one
    JOIN principal_role AS role ON role.organisation = one.organisation AND role.id = one.principal_role
    WHERE one.organisation = ?1 AND one.tabular = ?2 AND one.warehouse = ?3";

fn record_at(row: &Row<'_>) -> Result<RestrictionRecord> {
    Ok(RestrictionRecord {
        role: id(PrincipalRoleId, row.get(0)?),
        role_name: row.get(1)?,
        restriction: restriction_at(row, 2)?,
        updated_ms: row.get(3)?,
    })
}

fn restriction_get(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    (table, role): (TableId, PrincipalRoleId),
) -> Result<Option<RestrictionRecord>> {
    let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
    let mut statement = connection.prepare_cached(&format!("{RECORDS} AND one.principal_role = ?4"))?;
    let key = params![organisation.as_bytes(), table.0.as_bytes(), warehouse.as_bytes(), role.0.as_bytes()];
    statement.query_and_then(key, record_at)?.next().transpose()
}

fn restriction_list(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    table: TableId,
    page: &PageRequest,
) -> Result<Page<RestrictionRecord>> {
    let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
    let mut statement = connection.prepare_cached(&format!("{RECORDS} AND role.name > ?4 ORDER BY role.name"))?;
    let after = page.after.as_deref().unwrap_or_default();
    let mut rows =
        statement.query(params![organisation.as_bytes(), table.0.as_bytes(), warehouse.as_bytes(), after])?;
    let (mut items, mut fill) = (Vec::new(), PageFill::of_large_items(page.limit));
    while let Some(row) = rows.next()? {
        if fill.is_full() {
            return Ok(Page { items, more: true });
        }
        fill.count_row(row_bytes(row), true);
        items.push(record_at(row)?);
    }
    Ok(Page { items, more: false })
}

fn trusted_engine_set(
    connection: &Connection,
    organisation: OrganisationId,
    principal: PrincipalId,
    trusted: bool,
    change: &Change,
) -> Result<()> {
    let key = params![organisation.0.as_bytes(), principal.0.as_bytes()];
    let found: Option<(String, bool)> = connection
        .prepare_cached("SELECT name, issuer IS NOT NULL FROM principal WHERE organisation = ?1 AND id = ?2")?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (name, is_user) = found.ok_or(StoreError::NotFound(Resource::Principal))?;
    let (sql, operation) = match trusted {
        true => (
            "INSERT INTO trusted_engine (organisation, principal) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            Operation::TrustEngine,
        ),
        false => ("DELETE FROM trusted_engine WHERE organisation = ?1 AND principal = ?2", Operation::DistrustEngine),
    };
    if connection.prepare_cached(sql)?.execute(key)? == 0 {
        return Ok(());
    }
    let kind = if is_user { ObjectKind::User } else { ObjectKind::Key };
    let object = EventObject::new(kind, Some(principal.0), name);
    event_add(connection, change, organisation, operation, &object, &EventDetails::new())
}

#[async_trait]
impl RestrictionStore for SqliteStore {
    async fn restriction_set(
        &self,
        warehouse_ref: WarehouseRef,
        on: (TableId, PrincipalRoleId),
        restriction: &Restriction,
        limit: u64,
        change: &Change,
    ) -> Result<()> {
        let (restriction, change) = (restriction.clone(), change.clone());
        self.write(move |connection| restriction_set(connection, warehouse_ref, on, &restriction, limit, &change)).await
    }

    async fn restriction_remove(
        &self,
        warehouse_ref: WarehouseRef,
        on: (TableId, PrincipalRoleId),
        change: &Change,
    ) -> Result<()> {
        let change = change.clone();
        self.write(move |connection| restriction_remove(connection, warehouse_ref, on, &change)).await
    }

    async fn restriction_get(
        &self,
        warehouse_ref: WarehouseRef,
        on: (TableId, PrincipalRoleId),
    ) -> Result<Option<RestrictionRecord>> {
        let get = move |connection: &Connection| restriction_get(connection, warehouse_ref, on);
        self.read_list(Some(warehouse_ref.organisation), get).await
    }

    async fn restriction_list(
        &self,
        warehouse_ref: WarehouseRef,
        table: TableId,
        page: &PageRequest,
    ) -> Result<Page<RestrictionRecord>> {
        let page = page.clone();
        let list = move |connection: &Connection| restriction_list(connection, warehouse_ref, table, &page);
        self.read_list(Some(warehouse_ref.organisation), list).await
    }

    async fn trusted_engine_set(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        trusted: bool,
        change: &Change,
    ) -> Result<()> {
        let change = change.clone();
        self.write(move |connection| trusted_engine_set(connection, organisation, principal, trusted, &change)).await
    }

    async fn trusted_engine_list(
        &self,
        organisation: OrganisationId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRecord>> {
        let page = page.clone();
        let list = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {PRINCIPAL} FROM trusted_engine
                 JOIN principal ON principal.organisation = trusted_engine.organisation
                               AND principal.id = trusted_engine.principal
                 WHERE trusted_engine.organisation = ?1 AND principal.id > ?2 ORDER BY principal.id LIMIT ?3"
            ))?;
            let values = params![organisation.0.as_bytes(), after_id(&page), one_more(&page)];
            Ok(page_of(statement.query_and_then(values, principal_at)?.collect::<Result<Vec<_>>>()?, &page))
        };
        self.read_list(Some(organisation), list).await
    }
}
