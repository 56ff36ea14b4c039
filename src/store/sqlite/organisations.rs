//! Organisations.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::OrganisationId;

use super::SqliteStore;
use super::convert::{id, not_inserted};
use super::events::{details, event_add};
use crate::store::{
    Change, EventObject, ObjectKind, Operation, Organisation, OrganisationStore, Resource, Result, StoreError,
};

pub(super) const ORGANISATION: &str = "organisation.id, organisation.name, organisation.tier, organisation.created_ms";

pub(super) fn organisation_at(row: &Row<'_>, first: usize) -> Result<Organisation> {
    Ok(Organisation {
        id: id(OrganisationId, row.get(first)?),
        name: row.get(first + 1)?,
        tier: row.get(first + 2)?,
        created_ms: row.get(first + 3)?,
    })
}

pub(super) fn organisation_create(connection: &Connection, new: &Organisation, change: &Change) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO organisation (id, name, tier, created_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![new.id.0.as_bytes(), new.name, new.tier, new.created_ms])
        .map_err(|error| not_inserted(error, Resource::Organisation))?;
    let object = EventObject::new(ObjectKind::Organisation, Some(new.id.0), new.name.as_str());
    let details = details([("tier", new.tier.as_str().into())]);
    event_add(connection, change, new.id, Operation::CreateOrganisation, &object, &details)
}

pub(super) fn organisation_list(connection: &Connection) -> Result<Vec<Organisation>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {ORGANISATION} FROM organisation ORDER BY name"))?;
    statement.query_and_then([], |row| organisation_at(row, 0))?.collect()
}

pub(super) fn organisation_by_name(connection: &Connection, name: &str) -> Result<Option<Organisation>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {ORGANISATION} FROM organisation WHERE name = ?1"))?;
    let mut rows = statement.query([name])?;
    rows.next()?.map(|row| organisation_at(row, 0)).transpose()
}

pub(super) fn organisation_set_tier(
    connection: &Connection,
    id: OrganisationId,
    tier: &str,
    change: &Change,
) -> Result<()> {
    let before: Option<(String, String)> = connection
        .prepare_cached("SELECT name, tier FROM organisation WHERE id = ?1")?
        .query_row([id.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (name, before) = before.ok_or(StoreError::NotFound(Resource::Organisation))?;
    connection
        .prepare_cached("UPDATE organisation SET tier = ?2 WHERE id = ?1")?
        .execute(params![id.0.as_bytes(), tier])?;
    let object = EventObject::new(ObjectKind::Organisation, Some(id.0), name);
    let details = details([("before", before.into()), ("after", tier.into())]);
    event_add(connection, change, id, Operation::SetTier, &object, &details)
}

#[async_trait]
impl OrganisationStore for SqliteStore {
    async fn organisation_create(&self, new: &Organisation, change: &Change) -> Result<()> {
        let (new, change) = (new.clone(), change.clone());
        self.write(move |connection| organisation_create(connection, &new, &change)).await
    }

    async fn organisation_list(&self) -> Result<Vec<Organisation>> {
        self.read_many(organisation_list).await
    }

    async fn organisation_by_name(&self, name: &str) -> Result<Option<Organisation>> {
        self.read(|connection| organisation_by_name(connection, name))
    }

    async fn organisation_set_tier(&self, id: OrganisationId, tier: &str, change: &Change) -> Result<()> {
        let (tier, change) = (tier.to_owned(), change.clone());
        self.write(move |connection| organisation_set_tier(connection, id, &tier, &change)).await
    }
}
