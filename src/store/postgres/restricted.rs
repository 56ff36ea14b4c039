//! Restrictions as rows, and their copies and removals with tables.

use tidewater_core::ids::{OrganisationId, PrincipalRoleId, TableId};
use tidewater_core::restrictions::Restriction;
use tokio_postgres::Row;
use uuid::Uuid;

use super::connection::Transaction;
use super::convert::{Failure, get};
use super::generations::raise;
use super::params::params;
use super::state_rows::Affected;
use crate::store::{Result, StoreError};

type Outcome<T> = std::result::Result<T, Failure>;

/// Parses a stored restriction. One that cannot be read is an error: the caller must not read the table without it.
pub(super) fn restriction_at(row: &Row, column: usize) -> Result<Restriction> {
    Restriction::parse(get(row, column)?).map_err(|error| StoreError::Corrupt(format!("read_restriction: {error}")))
}

/// Gives the restrictions of dropped tables to the table that replaces them. The caller holds the organisation's lock.
pub(super) async fn restrictions_copy(
    transaction: &Transaction,
    organisation: OrganisationId,
    (from, to): (&[Uuid], TableId),
) -> Outcome<()> {
    let roles = transaction
        .query(
            "INSERT INTO read_restriction (organisation, tabular, principal_role, warehouse, restriction, updated_ms)
             SELECT organisation, $3, principal_role, warehouse, restriction, updated_ms FROM read_restriction
             WHERE organisation = $1 AND tabular = ANY($2) ON CONFLICT DO NOTHING RETURNING principal_role",
            params![organisation.0, from.to_vec(), to.0],
        )
        .await?;
    raise_roles(transaction, organisation, &roles).await
}

/// Removes the restrictions on a table that can no longer be restored. The caller holds the organisation's lock.
pub(super) async fn restrictions_forget(
    transaction: &Transaction,
    organisation: OrganisationId,
    table: TableId,
) -> Outcome<()> {
    let roles = transaction
        .query(
            "DELETE FROM read_restriction WHERE organisation = $1 AND tabular = $2 RETURNING principal_role",
            params![organisation.0, table.0],
        )
        .await?;
    raise_roles(transaction, organisation, &roles).await
}

async fn raise_roles(transaction: &Transaction, organisation: OrganisationId, roles: &[Row]) -> Outcome<()> {
    let roles: Vec<Affected> =
        roles.iter().map(|row| Ok(Affected::PrincipalRole(PrincipalRoleId(get(row, 0)?)))).collect::<Result<_>>()?;
    raise(transaction, organisation, &roles).await
}
