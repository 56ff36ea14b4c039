//! An organisation's row of counts and of its generation. Changes that need a lock over more than their own rows lock it first.

use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, PrincipalRoleId, TableId};

use super::connection::Transaction;
use super::convert::{Failure, count, get};
use super::params::params;
use crate::store::{Resource, StoreError};

/// The counts of an organisation, after the change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) tables: u64,
    pub(super) principal_roles: u64,
    pub(super) catalog_roles: u64,
    pub(super) assignments: u64,
    pub(super) grants: u64,
}

/// What a change adds to the counts of an organisation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) tables: i64,
    pub(super) principal_roles: i64,
    pub(super) catalog_roles: i64,
    pub(super) assignments: i64,
    pub(super) grants: i64,
}

/// Locks an organisation's row until the end of the transaction, adds to its counts, and returns them. Every transaction that needs
/// the lock takes it before any other, so that none waits for another in a circle. What the next statement reads includes all
/// changes of those who had the lock before.
///
/// # Errors
/// `NotFound` for the organisation.
pub(super) async fn lock(
    transaction: &Transaction,
    organisation: OrganisationId,
    added: Added,
) -> Result<State, Failure> {
    let row = transaction
        .query_first(
            "UPDATE organisation_state SET tables = tables + $2, principal_roles = principal_roles + $3,
                    catalog_roles = catalog_roles + $4, assignments = assignments + $5, grants = grants + $6
             WHERE organisation = $1
             RETURNING tables, principal_roles, catalog_roles, assignments, grants",
            params![
                organisation.0,
                added.tables,
                added.principal_roles,
                added.catalog_roles,
                added.assignments,
                added.grants
            ],
        )
        .await?
        .ok_or(StoreError::NotFound(Resource::Organisation))?;
    Ok(State {
        tables: count(get(&row, 0)?),
        principal_roles: count(get(&row, 1)?),
        catalog_roles: count(get(&row, 2)?),
        assignments: count(get(&row, 3)?),
        grants: count(get(&row, 4)?),
    })
}

/// Locks an organisation's row as [`lock`] does, for a change of one of its objects.
///
/// # Errors
/// `NotFound` for the object if the organisation does not exist: then the object does not either.
pub(super) async fn lock_for(
    transaction: &Transaction,
    organisation: OrganisationId,
    object: Resource,
) -> Result<State, Failure> {
    lock(transaction, organisation, Added::default()).await.map_err(|failure| match failure {
        Failure::Refused(StoreError::NotFound(Resource::Organisation)) => StoreError::NotFound(object).into(),
        failure => failure,
    })
}

/// Adds to an organisation's counts. The transaction has its lock already.
pub(super) async fn add(transaction: &Transaction, organisation: OrganisationId, added: Added) -> Result<(), Failure> {
    if added == Added::default() { Ok(()) } else { lock(transaction, organisation, added).await.map(drop) }
}

/// A lock that changes of all organisations share.
#[derive(Debug, Clone, Copy)]
pub(super) enum CatalogLock {
    /// The roots of all warehouses, which never overlap.
    Roots,
    /// The keys that sign tokens.
    SigningKeys,
}

/// Takes a lock of the catalog until the end of the transaction. A transaction that also locks its organisation's row locks that
/// first.
pub(super) async fn lock_catalog(transaction: &Transaction, lock: CatalogLock) -> Result<(), Failure> {
    let name = match lock {
        CatalogLock::Roots => "roots",
        CatalogLock::SigningKeys => "signing-keys",
    };
    transaction.query("SELECT 1 FROM catalog_lock WHERE name = $1 FOR UPDATE", params![name]).await.map(drop)
}

/// Whose access a change affects.
#[derive(Debug, Clone, Copy)]
pub(super) enum Affected {
    /// A principal: its roles, or the namespaces that it owns.
    Principal(PrincipalId),
    /// The principals that have a principal role.
    PrincipalRole(PrincipalRoleId),
    /// The principals that have a catalog role.
    CatalogRole(CatalogRoleId),
    /// The principals that have a grant on a table or view.
    GrantOn(TableId),
    /// The owner of a table or view in a namespace, if it owns no other there: then its list of namespaces changes.
    OwnerOfOne(TableId),
    /// No principal, but the organisation itself: its keys, its standing or its warehouses.
    Organisation,
}
