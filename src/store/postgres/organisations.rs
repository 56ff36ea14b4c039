//! Stub.
#![allow(unused_imports, unused_variables, clippy::todo, reason = "being written")]
use async_trait::async_trait;
use tidewater_core::ids::OrganisationId;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::Failure;
use super::events::event_add;
use super::params::params;
use crate::store::*;

#[async_trait]
impl OrganisationStore for PostgresStore {
    async fn organisation_create(&self, new: &Organisation, change: &Change) -> Result<()> {
        transact!(self, transaction => organisation_create(transaction, new, change))
    }
    async fn organisation_list(&self) -> Result<Vec<Organisation>> {
        todo!()
    }
    async fn organisation_by_name(&self, name: &str) -> Result<Option<Organisation>> {
        todo!()
    }
    async fn organisation_set_tier(&self, id: OrganisationId, tier: &str, change: &Change) -> Result<()> {
        todo!()
    }
}

/// Adds an organisation, and its row of counts.
async fn organisation_create(
    transaction: &Transaction,
    new: &Organisation,
    change: &Change,
) -> std::result::Result<(), Failure> {
    let added = transaction
        .count(
            "WITH added AS (INSERT INTO organisation (id, name, tier, created_ms) VALUES ($1, $2, $3, $4)
                            ON CONFLICT DO NOTHING RETURNING id)
             INSERT INTO organisation_state (organisation) SELECT id FROM added RETURNING 1",
            params![new.id.0, new.name, new.tier, new.created_ms],
        )
        .await?;
    if added == 0 {
        return Err(StoreError::AlreadyExists(Resource::Organisation).into());
    }
    let object = EventObject::new(ObjectKind::Organisation, Some(new.id.0), new.name.as_str());
    let details = EventDetails::from_iter([("tier".to_owned(), new.tier.as_str().into())]);
    event_add(transaction, change, new.id, Operation::CreateOrganisation, &object, &details).await
}
