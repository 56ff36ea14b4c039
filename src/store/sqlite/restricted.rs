//! The restrictions that apply to a principal, and their copies and removals with tables.

use rusqlite::{Connection, Row, params};
use tidewater_core::access::Restricted;
use tidewater_core::ids::{OrganisationId, PrincipalId, PrincipalRoleId, TableId, WarehouseId};
use tidewater_core::restrictions::Restriction;

use super::convert::id;
use crate::store::{Result, StoreError};

/// Parses a stored restriction. One that cannot be read is an error: the caller must not read the table without it.
pub(super) fn restriction_at(row: &Row<'_>, column: usize) -> Result<Restriction> {
    let text: String = row.get(column)?;
    Restriction::parse(&text).map_err(|error| StoreError::Corrupt(format!("read_restriction: {error}")))
}

/// Returns the restrictions of all roles of a principal, whichever of them its token is narrowed to.
pub(super) fn restrictions_of(
    connection: &Connection,
    organisation: OrganisationId,
    principal: PrincipalId,
) -> Result<Vec<Restricted>> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT one.warehouse, one.tabular, one.principal_role, one.restriction
         FROM principal_role_member AS member
         JOIN read_restriction AS one ON one.organisation = member.organisation AND one.principal_role = member.role
         WHERE member.organisation = ?1 AND member.principal = ?2 ORDER BY one.tabular, one.principal_role",
    )?;
    let rows = statement.query_and_then(params![organisation.0.as_bytes(), principal.0.as_bytes()], |row| {
        Ok::<_, StoreError>(Restricted {
            warehouse: id(WarehouseId, row.get(0)?),
            table: id(TableId, row.get(1)?),
            role: id(PrincipalRoleId, row.get(2)?),
            restriction: restriction_at(row, 3)?,
        })
    })?;
    rows.collect()
}

/// Returns whether a principal is a trusted engine.
pub(super) fn is_trusted_engine(
    connection: &Connection,
    organisation: OrganisationId,
    principal: PrincipalId,
) -> Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT 1 FROM trusted_engine WHERE organisation = ?1 AND principal = ?2")?;
    Ok(statement.exists(params![organisation.0.as_bytes(), principal.0.as_bytes()])?)
}

/// Gives the restrictions of a dropped table to the table that replaces it.
pub(super) fn restrictions_copy(
    connection: &Connection,
    organisation: OrganisationId,
    (from, to): (TableId, TableId),
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO read_restriction (organisation, tabular, principal_role, warehouse, restriction, updated_ms)
             SELECT organisation, ?3, principal_role, warehouse, restriction, updated_ms FROM read_restriction
             WHERE organisation = ?1 AND tabular = ?2 ON CONFLICT DO NOTHING",
        )?
        .execute(params![organisation.0.as_bytes(), from.0.as_bytes(), to.0.as_bytes()])?;
    Ok(())
}

/// Removes the restrictions on a table that can no longer be restored.
pub(super) fn restrictions_forget(connection: &Connection, organisation: OrganisationId, table: TableId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM read_restriction WHERE organisation = ?1 AND tabular = ?2")?
        .execute(params![organisation.0.as_bytes(), table.0.as_bytes()])?;
    Ok(())
}
