//! The maximum numbers of an organisation's roles, assignments and grants.

use tidewater_core::ids::OrganisationId;

use super::{Admin, AdminError};
use crate::base::keyed_lock::KeyGuard;

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum AccessKind {
    /// Principal roles.
    PrincipalRoles,
    /// Catalog roles, of all warehouses.
    CatalogRoles,
    /// Assignments of principal roles to principals, and of catalog roles to principal roles.
    Assignments,
    /// Grants of all catalog roles.
    Grants,
}

impl Admin {
    /// Waits for the organisation's turn, and checks that one more is within the limit. The turn ends when the guard is dropped, so
    /// that two requests cannot both take the last place.
    ///
    /// # Errors
    /// `TooMany`.
    pub(super) async fn access_turn(
        &self,
        organisation: OrganisationId,
        kind: AccessKind,
    ) -> Result<KeyGuard<'_, OrganisationId>, AdminError> {
        let turn = self.shared.names.enter(organisation).await;
        let (now, limits) = (self.store.access_counts(organisation).await?, &self.config.access);
        let (count, limit, name, setting) = match kind {
            AccessKind::PrincipalRoles => {
                (now.principal_roles, limits.principal_roles, "principal roles", "principal_roles")
            }
            AccessKind::CatalogRoles => (now.catalog_roles, limits.catalog_roles, "catalog roles", "catalog_roles"),
            AccessKind::Assignments => (now.assignments, limits.assignments, "assignments of roles", "assignments"),
            AccessKind::Grants => (now.grants, limits.grants, "grants", "grants"),
        };
        if count < limit {
            return Ok(turn);
        }
        Err(AdminError::TooMany(format!(
            "The organisation already has {limit} {name}, the maximum (setting access.{setting}): remove some first"
        )))
    }

    /// Does the same if something is added.
    ///
    /// # Errors
    /// `TooMany`.
    pub(super) async fn turn_if(
        &self,
        is_added: bool,
        organisation: OrganisationId,
        kind: AccessKind,
    ) -> Result<Option<KeyGuard<'_, OrganisationId>>, AdminError> {
        if is_added { self.access_turn(organisation, kind).await.map(Some) } else { Ok(None) }
    }
}
