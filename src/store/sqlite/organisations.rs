//! Organisations.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::OrganisationId;

use super::SqliteStore;
use super::convert::{id, not_inserted};
use super::events::{details, event_add};
use crate::store::{
    Change, Deletion, EventDetails, EventObject, ObjectKind, Operation, Organisation, OrganisationStore,
    OrganisationUpdate, Page, PageRequest, Resource, Result, Standing, StoreError,
};

pub(super) const ORGANISATION: &str = "organisation.id, organisation.name, organisation.tier, organisation.created_ms,
    organisation.suspended_ms, organisation.delete_after_ms, organisation.delete_purge";

pub(super) fn organisation_at(row: &Row<'_>, first: usize) -> Result<Organisation> {
    Ok(Organisation {
        id: id(OrganisationId, row.get(first)?),
        name: row.get(first + 1)?,
        tier: row.get(first + 2)?,
        created_ms: row.get(first + 3)?,
        standing: Standing {
            suspended_ms: row.get(first + 4)?,
            deletion: match row.get(first + 5)? {
                Some(after_ms) => Some(Deletion { after_ms, purge: row.get(first + 6)? }),
                None => None,
            },
        },
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
    if before == tier {
        return Ok(());
    }
    connection
        .prepare_cached("UPDATE organisation SET tier = ?2 WHERE id = ?1")?
        .execute(params![id.0.as_bytes(), tier])?;
    let object = EventObject::new(ObjectKind::Organisation, Some(id.0), name);
    let details = details([("before", before.into()), ("after", tier.into())]);
    event_add(connection, change, id, Operation::SetTier, &object, &details)
}

pub(super) fn organisation_get(connection: &Connection, id: OrganisationId) -> Result<Option<Organisation>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {ORGANISATION} FROM organisation WHERE id = ?1"))?;
    let mut rows = statement.query([id.0.as_bytes()])?;
    rows.next()?.map(|row| organisation_at(row, 0)).transpose()
}

pub(super) fn organisation_page(connection: &Connection, page: &PageRequest) -> Result<Page<Organisation>> {
    let limit = page.limit.map_or(i64::MAX, i64::from);
    let mut statement = connection
        .prepare_cached(&format!("SELECT {ORGANISATION} FROM organisation WHERE name > ?1 ORDER BY name LIMIT ?2"))?;
    let after = page.after.as_deref().unwrap_or_default();
    // One row more than the page's size shows whether another page follows.
    let found = statement.query_and_then(params![after, limit.saturating_add(1)], |row| organisation_at(row, 0))?;
    let mut items = found.collect::<Result<Vec<Organisation>>>()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    Ok(Page { items, more })
}

pub(super) fn organisation_due(connection: &Connection, now_ms: i64, at_most: u32) -> Result<Vec<Organisation>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {ORGANISATION} FROM organisation WHERE delete_after_ms <= ?1 ORDER BY delete_after_ms, id LIMIT ?2"
    ))?;
    statement.query_and_then(params![now_ms, at_most], |row| organisation_at(row, 0))?.collect()
}

/// Returns an organisation.
///
/// # Errors
/// `NotFound` if it does not exist.
fn existing_organisation(connection: &Connection, id: OrganisationId) -> Result<Organisation> {
    organisation_get(connection, id)?.ok_or(StoreError::NotFound(Resource::Organisation))
}

/// Returns the object of an organisation's events.
fn object(organisation: &Organisation) -> EventObject {
    EventObject::new(ObjectKind::Organisation, Some(organisation.id.0), organisation.name.as_str())
}

pub(super) fn organisation_update(
    connection: &Connection,
    id: OrganisationId,
    update: &OrganisationUpdate,
    change: &Change,
) -> Result<Organisation> {
    let before = existing_organisation(connection, id)?;
    let suspended_ms = match update.suspended {
        None => before.standing.suspended_ms,
        Some(true) => before.standing.suspended_ms.or(Some(change.at_ms)),
        Some(false) => None,
    };
    let after = Organisation {
        name: update.name.clone().unwrap_or_else(|| before.name.clone()),
        tier: update.tier.clone().unwrap_or_else(|| before.tier.clone()),
        standing: Standing { suspended_ms, ..before.standing },
        ..before.clone()
    };
    connection
        .prepare_cached("UPDATE organisation SET name = ?2, tier = ?3, suspended_ms = ?4 WHERE id = ?1")?
        .execute(params![id.0.as_bytes(), after.name, after.tier, suspended_ms])
        .map_err(|error| not_inserted(error, Resource::Organisation))?;
    let (object, none) = (object(&before), EventDetails::new());
    if after.name != before.name {
        let renamed = object.clone().renamed(after.name.as_str());
        event_add(connection, change, id, Operation::RenameOrganisation, &renamed, &none)?;
    }
    if after.tier != before.tier {
        let details = details([("before", before.tier.as_str().into()), ("after", after.tier.as_str().into())]);
        event_add(connection, change, id, Operation::SetTier, &object, &details)?;
    }
    match (before.standing.suspended_ms, suspended_ms) {
        (None, Some(_)) => event_add(connection, change, id, Operation::SuspendOrganisation, &object, &none)?,
        (Some(_), None) => event_add(connection, change, id, Operation::ResumeOrganisation, &object, &none)?,
        _ => {}
    }
    Ok(after)
}

pub(super) fn organisation_delete(
    connection: &Connection,
    id: OrganisationId,
    deletion: Deletion,
    change: &Change,
) -> Result<()> {
    let organisation = existing_organisation(connection, id)?;
    connection
        .prepare_cached("UPDATE organisation SET delete_after_ms = ?2, delete_purge = ?3 WHERE id = ?1")?
        .execute(params![id.0.as_bytes(), deletion.after_ms, deletion.purge])?;
    let details = details([("delete-after-ms", deletion.after_ms.into()), ("purge", deletion.purge.into())]);
    event_add(connection, change, id, Operation::DeleteOrganisation, &object(&organisation), &details)
}

pub(super) fn organisation_restore(
    connection: &Connection,
    id: OrganisationId,
    change: &Change,
) -> Result<Organisation> {
    let organisation = existing_organisation(connection, id)?;
    let Some(deletion) = organisation.standing.deletion else { return Ok(organisation) };
    if deletion.after_ms <= change.at_ms {
        return Err(StoreError::NotRestorable("its rows are being removed".to_owned()));
    }
    connection
        .prepare_cached("UPDATE organisation SET delete_after_ms = NULL, delete_purge = 0 WHERE id = ?1")?
        .execute([id.0.as_bytes()])?;
    event_add(connection, change, id, Operation::RestoreOrganisation, &object(&organisation), &EventDetails::new())?;
    Ok(Organisation { standing: Standing { deletion: None, ..organisation.standing }, ..organisation })
}

#[async_trait]
impl OrganisationStore for SqliteStore {
    async fn organisation_create(&self, new: &Organisation, change: &Change) -> Result<()> {
        let (new, change) = (new.clone(), change.clone());
        self.write(move |connection| organisation_create(connection, &new, &change)).await
    }

    async fn organisation_list(&self) -> Result<Vec<Organisation>> {
        self.read_list(None, organisation_list).await
    }

    async fn organisation_by_name(&self, name: &str) -> Result<Option<Organisation>> {
        self.read(|connection| organisation_by_name(connection, name))
    }

    async fn organisation_set_tier(&self, id: OrganisationId, tier: &str, change: &Change) -> Result<()> {
        let (tier, change) = (tier.to_owned(), change.clone());
        self.write(move |connection| organisation_set_tier(connection, id, &tier, &change)).await
    }
}
