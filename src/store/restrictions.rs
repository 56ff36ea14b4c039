//! Read restrictions of principal roles on tables, and trusted engines.

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, PrincipalId, PrincipalRoleId, TableId};
use tidewater_core::restrictions::Restriction;

use super::change::Change;
use super::error::Result;
use super::grants::PrincipalRecord;
use super::pages::{Page, PageRequest};
use super::warehouses::WarehouseRef;

/// The restriction of a principal role on a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestrictionRecord {
    /// The principal role.
    pub role: PrincipalRoleId,
    /// The name of the principal role.
    pub role_name: String,
    /// The restriction.
    pub restriction: Restriction,
    /// When it was set, in milliseconds since 1970.
    pub updated_ms: i64,
}

/// Stores read restrictions and trusted engines. A restriction stays with its table through renames, commits, a drop and a restore, and is
/// removed with the table or the role. A table that is registered at the location of a dropped one gets its restrictions.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// A repeated change changes nothing, and leaves no event.
#[async_trait]
pub trait RestrictionStore: Send + Sync + 'static {
    /// Sets the restriction of a principal role on a table.
    ///
    /// # Errors
    /// `NotFound` for the table or the role; `LimitReached` if the organisation already has `limit` restrictions.
    async fn restriction_set(
        &self,
        warehouse_ref: WarehouseRef,
        on: (TableId, PrincipalRoleId),
        restriction: &Restriction,
        limit: u64,
        change: &Change,
    ) -> Result<()>;

    /// Removes the restriction of a principal role on a table. Succeeds without one.
    ///
    /// # Errors
    /// `NotFound` for the table or the role.
    async fn restriction_remove(
        &self,
        warehouse_ref: WarehouseRef,
        on: (TableId, PrincipalRoleId),
        change: &Change,
    ) -> Result<()>;

    /// Returns the restriction of a principal role on a table.
    async fn restriction_get(
        &self,
        warehouse_ref: WarehouseRef,
        on: (TableId, PrincipalRoleId),
    ) -> Result<Option<RestrictionRecord>>;

    /// Lists the restrictions on a table, by the name of the role. A page ends early if it has many bytes.
    async fn restriction_list(
        &self,
        warehouse_ref: WarehouseRef,
        table: TableId,
        page: &PageRequest,
    ) -> Result<Page<RestrictionRecord>>;

    /// Marks a principal as a trusted engine, or removes the mark.
    ///
    /// # Errors
    /// `NotFound` for the principal.
    async fn trusted_engine_set(
        &self,
        organisation: OrganisationId,
        principal: PrincipalId,
        trusted: bool,
        change: &Change,
    ) -> Result<()>;

    /// Lists the trusted engines by id.
    async fn trusted_engine_list(
        &self,
        organisation: OrganisationId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRecord>>;
}
