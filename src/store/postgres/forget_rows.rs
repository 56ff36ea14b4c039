//! Removes what the store has about a table or view that is gone for good.

use tidewater_core::ids::{CatalogRoleId, OrganisationId, TableId};

use super::connection::Transaction;
use super::convert::{Failure, get};
use super::generations::raise;
use super::maintenance::maintenance_forget;
use super::params::params;
use super::reports::report_forget;
use super::state_rows::{Added, Affected, add};
use crate::store::Result;

type Outcome<T> = std::result::Result<T, Failure>;

/// Removes the grants, the reports and the maintenance of a table or view. The caller holds the organisation's lock.
pub(super) async fn forget_access_and_reports(
    transaction: &Transaction,
    organisation: OrganisationId,
    id: TableId,
) -> Outcome<()> {
    let removed = transaction
        .query(
            "DELETE FROM access_grant WHERE organisation = $1 AND substring(securable FROM 1 FOR 16) = $2 AND kind IN ('table', 'view')
             RETURNING role",
            params![organisation.0, id.0.as_bytes().as_slice()],
        )
        .await?;
    let roles = removed.iter().map(|row| Ok(CatalogRoleId(get(row, 0)?))).collect::<Result<Vec<_>>>()?;
    count_removed_grants(transaction, organisation, roles).await?;
    maintenance_forget(transaction, organisation, id).await?;
    report_forget(transaction, organisation, id).await
}

/// Subtracts grants that were removed from the organisation's count, and records whose access changes.
pub(super) async fn count_removed_grants(
    transaction: &Transaction,
    organisation: OrganisationId,
    roles: Vec<CatalogRoleId>,
) -> Outcome<()> {
    if roles.is_empty() {
        return Ok(());
    }
    let grants = i64::try_from(roles.len()).unwrap_or(i64::MAX);
    let affected: Vec<_> = roles.into_iter().map(Affected::CatalogRole).collect();
    raise(transaction, organisation, &affected).await?;
    add(transaction, organisation, Added { grants: -grants, ..Added::default() }).await
}
