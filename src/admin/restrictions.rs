//! Read restrictions of principal roles on tables, and trusted engines.

use tidewater_core::ids::TableId;
use tidewater_core::restrictions::{Restriction, RestrictionError};

use super::{Admin, AdminError};
use crate::store::{
    Change, Organisation, Page, PageRequest, PrincipalRecord, Resource, RestrictionRecord, StoreError, WarehouseRef,
};

/// The most restrictions of an organisation. Those of a principal's roles are in memory while it sends requests.
const MAX_RESTRICTIONS: u64 = 5_000;

impl From<RestrictionError> for AdminError {
    fn from(error: RestrictionError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl Admin {
    /// Sets the restriction of a principal role on a table.
    ///
    /// # Errors
    /// `NotFound` for the role or the table; `TooMany`.
    pub async fn restriction_set(
        &self,
        (organisation, warehouse_ref): (&Organisation, WarehouseRef),
        (table, role): (TableId, &str),
        restriction: &Restriction,
        change: &Change,
    ) -> Result<(), AdminError> {
        let role = self.principal_role(organisation, role).await?;
        let set =
            self.store.restriction_set(warehouse_ref, (table, role.id), restriction, MAX_RESTRICTIONS, change).await;
        set.map_err(|error| match error {
            StoreError::LimitReached { limit } => AdminError::TooMany(format!(
                "Organisation '{}' already has {limit} restrictions, the maximum: remove some first",
                organisation.name
            )),
            error => missing(error),
        })
    }

    /// Removes the restriction of a principal role on a table. Succeeds without one.
    ///
    /// # Errors
    /// `NotFound` for the role or the table.
    pub async fn restriction_remove(
        &self,
        (organisation, warehouse_ref): (&Organisation, WarehouseRef),
        (table, role): (TableId, &str),
        change: &Change,
    ) -> Result<(), AdminError> {
        let role = self.principal_role(organisation, role).await?;
        self.store.restriction_remove(warehouse_ref, (table, role.id), change).await.map_err(missing)
    }

    /// Returns the restriction of a principal role on a table.
    ///
    /// # Errors
    /// `NotFound` for the role, or if it has none.
    pub async fn restriction_get(
        &self,
        (organisation, warehouse_ref): (&Organisation, WarehouseRef),
        (table, role): (TableId, &str),
    ) -> Result<RestrictionRecord, AdminError> {
        let role = self.principal_role(organisation, role).await?;
        let found = self.store.restriction_get(warehouse_ref, (table, role.id)).await?;
        let missing =
            || AdminError::NotFound(format!("Principal role '{}' has no restriction on the table", role.name));
        found.ok_or_else(missing)
    }

    /// Lists the restrictions on a table, by the name of the role. A page ends early if it has many bytes.
    ///
    /// # Errors
    /// `Store`.
    pub async fn restriction_list(
        &self,
        warehouse_ref: WarehouseRef,
        table: TableId,
        page: &PageRequest,
    ) -> Result<Page<RestrictionRecord>, AdminError> {
        Ok(self.store.restriction_list(warehouse_ref, table, page).await?)
    }

    /// Marks the principal of a key or user as a trusted engine, or removes the mark. See [`Self::principal_find`].
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn trusted_engine_set(
        &self,
        organisation: &Organisation,
        principal: &str,
        trusted: bool,
        change: &Change,
    ) -> Result<(), AdminError> {
        let principal = self.principal_find(organisation, principal).await?;
        self.store.trusted_engine_set(organisation.id, principal.id, trusted, change).await.map_err(missing)
    }

    /// Lists the trusted engines by id.
    ///
    /// # Errors
    /// `Store`.
    pub async fn trusted_engine_list(
        &self,
        organisation: &Organisation,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRecord>, AdminError> {
        Ok(self.store.trusted_engine_list(organisation.id, page).await?)
    }
}

fn missing(error: StoreError) -> AdminError {
    match error {
        StoreError::NotFound(Resource::Table) => AdminError::NotFound("The table was dropped".to_owned()),
        StoreError::NotFound(Resource::PrincipalRole) => {
            AdminError::NotFound("The principal role was deleted".to_owned())
        }
        StoreError::NotFound(Resource::Principal) => AdminError::NotFound("The principal was deleted".to_owned()),
        error => AdminError::Store(error),
    }
}
