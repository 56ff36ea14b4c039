//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use tidewater_core::ids::{OrganisationId, WarehouseId};
use uuid::Uuid;

use super::PostgresStore;
use crate::store::*;

#[async_trait]
impl EventStore for PostgresStore {
    async fn event_list(
        &self,
        organisation: Option<OrganisationId>,
        filter: &EventFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage> {
        todo!()
    }
    async fn event_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64> {
        todo!()
    }
    async fn event_surplus(&self, most: u32) -> Result<Vec<(OrganisationId, i64)>> {
        todo!()
    }
    async fn event_remove_up_to(&self, organisation: OrganisationId, last: i64, at_most: u32) -> Result<u64> {
        todo!()
    }
}

/// The owner of a changed object: the server, an organisation, or a warehouse.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    organisation: Option<OrganisationId>,
    warehouse: Option<WarehouseId>,
}

impl Scope {
    pub(super) const SERVER: Self = Self { organisation: None, warehouse: None };
}

impl From<OrganisationId> for Scope {
    fn from(organisation: OrganisationId) -> Self {
        Self { organisation: Some(organisation), warehouse: None }
    }
}

impl From<WarehouseRef> for Scope {
    fn from(warehouse_ref: WarehouseRef) -> Self {
        Self { organisation: Some(warehouse_ref.organisation), warehouse: Some(warehouse_ref.warehouse) }
    }
}

/// An event to be written.
pub(super) struct NewEvent {
    pub(super) operation: Operation,
    pub(super) object: EventObject,
    pub(super) details: EventDetails,
}

/// Writes the events of a change, in their order. The caller's transaction makes all of them, or none.
pub(super) async fn events_add(
    transaction: &super::connection::Transaction,
    change: &Change,
    scope: impl Into<Scope> + Send,
    events: &[NewEvent],
) -> std::result::Result<(), super::convert::Failure> {
    Ok(())
}

/// Writes the event of a change. The caller's transaction makes both of them, or neither.
pub(super) async fn event_add(
    transaction: &super::connection::Transaction,
    change: &Change,
    scope: impl Into<Scope> + Send,
    operation: Operation,
    object: &EventObject,
    details: &EventDetails,
) -> std::result::Result<(), super::convert::Failure> {
    let event = NewEvent { operation, object: object.clone(), details: details.clone() };
    events_add(transaction, change, scope, &[event]).await
}
