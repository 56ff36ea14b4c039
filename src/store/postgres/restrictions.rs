//! Read restrictions and trusted engines.

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, PrincipalId, PrincipalRoleId, TableId};
use tidewater_core::name::TableIdent;
use tidewater_core::restrictions::Restriction;
use tokio_postgres::Row;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, column, get};
use super::events::event_add;
use super::generations::raise;
use super::grants::{principal_at, principal_columns};
use super::pages::{after_id, after_name, one_more, page_of};
use super::params::params;
use super::restricted::restriction_at;
use super::roles::principal_role_name;
use super::state_rows::{self, Affected};
use super::table_rows::namespace;
use crate::store::pages::{MOST_LARGE_ITEMS, PageFill};
use crate::store::{
    Change, EventDetails, EventObject, ObjectKind, Operation, Page, PageRequest, PrincipalRecord, Resource,
    RestrictionRecord, RestrictionStore, Result, StoreError, TableKind, WarehouseRef, note_name,
};

/// The columns of a restriction, without a condition for the role. [`record_at`] reads them in this order.
macro_rules! restriction_records {
    () => {
        "SELECT role.id, role.name, one.restriction, one.updated_ms FROM read_restriction AS one
         JOIN principal_role AS role ON role.organisation = one.organisation AND role.id = one.principal_role
         WHERE one.organisation = $1 AND one.tabular = $2 AND one.warehouse = $3"
    };
}

type Outcome<T> = std::result::Result<T, Failure>;

fn record_at(row: &Row) -> Result<RestrictionRecord> {
    Ok(RestrictionRecord {
        role: PrincipalRoleId(get(row, 0)?),
        role_name: get(row, 1)?,
        restriction: restriction_at(row, 2)?,
        updated_ms: get(row, 3)?,
    })
}

/// Locks the organisation, and returns the names of the table and the role of a restriction.
async fn lock_names(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    (table, role): (TableId, PrincipalRoleId),
) -> Outcome<(TableIdent, String)> {
    state_rows::lock_for(transaction, warehouse_ref.organisation, Resource::Table).await?;
    let row = transaction
        .query_first(
            "SELECT namespace, name FROM tabular WHERE organisation = $1 AND warehouse = $2 AND id = $3 AND kind = 'table'",
            params![warehouse_ref.organisation.0, warehouse_ref.warehouse.0, table.0],
        )
        .await?
        .ok_or(StoreError::NotFound(Resource::Table))?;
    let ident = TableIdent::new(namespace(get(&row, 0)?)?, get(&row, 1)?);
    let ident = ident.map_err(|error| StoreError::Corrupt(format!("tabular: {error}")))?;
    Ok((ident, principal_role_name(transaction, warehouse_ref.organisation, role).await?))
}

async fn restriction_set(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    (table, role): (TableId, PrincipalRoleId),
    restriction: &Restriction,
    limit: u64,
    change: &Change,
) -> Outcome<()> {
    let organisation = warehouse_ref.organisation;
    let (ident, role_name) = lock_names(transaction, warehouse_ref, (table, role)).await?;
    let text = restriction.to_json();
    let changed = transaction
        .count(
            "INSERT INTO read_restriction (organisation, tabular, principal_role, warehouse, restriction, updated_ms)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (organisation, tabular, principal_role)
             DO UPDATE SET restriction = excluded.restriction, updated_ms = excluded.updated_ms
             WHERE read_restriction.restriction <> excluded.restriction RETURNING 1",
            params![organisation.0, table.0, role.0, warehouse_ref.warehouse.0, &*text, change.at_ms],
        )
        .await?;
    if changed == 0 {
        return Ok(());
    }
    let beyond = transaction
        .query_first(
            "SELECT 1 FROM read_restriction WHERE organisation = $1 OFFSET $2 LIMIT 1",
            params![organisation.0, column(limit)],
        )
        .await?;
    if beyond.is_some() {
        return Err(StoreError::LimitReached { limit }.into());
    }
    raise(transaction, organisation, &[Affected::PrincipalRole(role)]).await?;
    let mut details = EventDetails::new();
    details.insert("principal-role".to_owned(), role_name.into());
    details.insert("restriction".to_owned(), text.into());
    note_name(&mut details, &ident);
    let object = EventObject::new(TableKind::Table, Some(table.0), ident.to_string());
    event_add(transaction, change, warehouse_ref, Operation::SetRestriction, &object, &details).await
}

async fn restriction_remove(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    (table, role): (TableId, PrincipalRoleId),
    change: &Change,
) -> Outcome<()> {
    let organisation = warehouse_ref.organisation;
    let (ident, role_name) = lock_names(transaction, warehouse_ref, (table, role)).await?;
    let removed = transaction
        .count(
            "DELETE FROM read_restriction WHERE organisation = $1 AND tabular = $2 AND principal_role = $3 RETURNING 1",
            params![organisation.0, table.0, role.0],
        )
        .await?;
    if removed == 0 {
        return Ok(());
    }
    raise(transaction, organisation, &[Affected::PrincipalRole(role)]).await?;
    let mut details = EventDetails::new();
    details.insert("principal-role".to_owned(), role_name.into());
    note_name(&mut details, &ident);
    let object = EventObject::new(TableKind::Table, Some(table.0), ident.to_string());
    event_add(transaction, change, warehouse_ref, Operation::RemoveRestriction, &object, &details).await
}

async fn trusted_engine_set(
    transaction: &Transaction,
    organisation: OrganisationId,
    principal: PrincipalId,
    trusted: bool,
    change: &Change,
) -> Outcome<()> {
    state_rows::lock_for(transaction, organisation, Resource::Principal).await?;
    let row = transaction
        .query_first(
            "SELECT name, issuer IS NOT NULL FROM principal WHERE organisation = $1 AND id = $2",
            params![organisation.0, principal.0],
        )
        .await?
        .ok_or(StoreError::NotFound(Resource::Principal))?;
    let (name, is_user): (String, bool) = (get(&row, 0)?, get(&row, 1)?);
    let (sql, operation) = match trusted {
        true => (
            "INSERT INTO trusted_engine (organisation, principal) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1",
            Operation::TrustEngine,
        ),
        false => (
            "DELETE FROM trusted_engine WHERE organisation = $1 AND principal = $2 RETURNING 1",
            Operation::DistrustEngine,
        ),
    };
    if transaction.count(sql, params![organisation.0, principal.0]).await? == 0 {
        return Ok(());
    }
    raise(transaction, organisation, &[Affected::Principal(principal)]).await?;
    let kind = if is_user { ObjectKind::User } else { ObjectKind::Key };
    let object = EventObject::new(kind, Some(principal.0), name);
    event_add(transaction, change, organisation, operation, &object, &EventDetails::new()).await
}

#[async_trait]
impl RestrictionStore for PostgresStore {
    async fn restriction_set(
        &self,
        warehouse_ref: WarehouseRef,
        on: (TableId, PrincipalRoleId),
        restriction: &Restriction,
        limit: u64,
        change: &Change,
    ) -> Result<()> {
        transact!(self, for warehouse_ref.organisation, transaction => {
            restriction_set(transaction, warehouse_ref, on, restriction, limit, change)
        })
    }

    async fn restriction_remove(
        &self,
        warehouse_ref: WarehouseRef,
        on: (TableId, PrincipalRoleId),
        change: &Change,
    ) -> Result<()> {
        transact!(self, for warehouse_ref.organisation, transaction => {
            restriction_remove(transaction, warehouse_ref, on, change)
        })
    }

    async fn restriction_get(
        &self,
        warehouse_ref: WarehouseRef,
        (table, role): (TableId, PrincipalRoleId),
    ) -> Result<Option<RestrictionRecord>> {
        let sql = concat!(restriction_records!(), " AND one.principal_role = $4");
        let key = params![warehouse_ref.organisation.0, table.0, warehouse_ref.warehouse.0, role.0];
        self.read(sql, key).await?.first().map(record_at).transpose()
    }

    async fn restriction_list(
        &self,
        warehouse_ref: WarehouseRef,
        table: TableId,
        page: &PageRequest,
    ) -> Result<Page<RestrictionRecord>> {
        let sql = concat!(restriction_records!(), " AND role.name > $4 ORDER BY role.name LIMIT $5");
        let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
        // One more than a page: another one means that another page follows.
        let most = i64::from(MOST_LARGE_ITEMS) + 1;
        let rows = self.read(sql, params![organisation, table.0, warehouse, after_name(page), most]).await?;
        let (mut items, mut fill) = (Vec::new(), PageFill::of_large_items(page.limit));
        for row in &rows {
            if fill.is_full() {
                return Ok(Page { items, more: true });
            }
            fill.count_row(row.raw_size_bytes(), true);
            items.push(record_at(row)?);
        }
        Ok(Page { items, more: false })
    }

    async fn trusted_engine_set(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        trusted: bool,
        change: &Change,
    ) -> Result<()> {
        transact!(self, for organisation, transaction => {
            trusted_engine_set(transaction, organisation, principal, trusted, change)
        })
    }

    async fn trusted_engine_list(
        &self,
        organisation: OrganisationId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRecord>> {
        const PAGE: &str = concat!(
            "SELECT ",
            principal_columns!(),
            " FROM trusted_engine
              JOIN principal ON principal.organisation = trusted_engine.organisation
                            AND principal.id = trusted_engine.principal
              WHERE trusted_engine.organisation = $1 AND principal.id > $2 ORDER BY principal.id LIMIT $3"
        );
        let rows = self.read(PAGE, params![organisation.0, after_id(page), one_more(page)]).await?;
        Ok(page_of(rows.iter().map(principal_at).collect::<Result<Vec<_>>>()?, page))
    }
}
