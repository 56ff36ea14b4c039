//! Events: records of changes.

use async_trait::async_trait;
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row, params};
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId, WarehouseId};
use uuid::Uuid;

use super::SqliteStore;
use super::convert::id;
use super::feed_removed::note_removed;
use super::pages::row_bytes;
use crate::store::pages::PageFill;
use crate::store::{
    Actor, Change, EngineKey, Event, EventDetails, EventFilter, EventObject, EventPage, EventStore, ObjectKind,
    Operation, Result, StoreError, WarehouseRef,
};

pub(super) const COLUMNS: &str =
    "id, organisation, warehouse, at_ms, actor_kind, actor_id, actor_name, operation, object_kind,
    object_id, object_name, new_name, request_id, client, details, engine_id, engine_name, agent, role";

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

/// Writes the event of a change. The caller's transaction makes both of them, or neither.
pub(super) fn event_add(
    connection: &Connection,
    change: &Change,
    scope: impl Into<Scope>,
    operation: Operation,
    object: &EventObject,
    details: &EventDetails,
) -> Result<()> {
    let scope = scope.into();
    let key = change.actor.id().map(Uuid::into_bytes);
    let engine = change.actor.engine();
    let details = serde_json::to_string(details).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    connection
        .prepare_cached(
            "INSERT INTO event (organisation, warehouse, at_ms, actor_kind, actor_id, actor_name, operation, object_kind,
                                object_id, object_name, new_name, request_id, client, details, engine_id, engine_name,
                                agent, role)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        )?
        .execute(params![
            scope.organisation.map(|id| id.0.into_bytes()),
            scope.warehouse.map(|id| id.0.into_bytes()),
            change.at_ms,
            change.actor.kind(),
            key,
            change.actor.name(),
            operation.as_str(),
            object.kind.as_str(),
            object.id.map(Uuid::into_bytes),
            object.name,
            object.new_name,
            change.request_id.as_deref(),
            change.client.map(|client| client.to_string()),
            details,
            engine.map(|engine| engine.id.0.into_bytes()),
            engine.map(|engine| &*engine.name),
            change.agent.as_deref(),
            change.role.map(Role::as_str),
        ])?;
    Ok(())
}

pub(super) fn event_list(
    connection: &Connection,
    organisation: Option<OrganisationId>,
    filter: &EventFilter,
    before: Option<i64>,
    limit: u32,
) -> Result<EventPage> {
    let (sql, parameters) = statement(organisation, filter, before.unwrap_or(i64::MAX));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(&*parameters.iter().map(AsRef::as_ref).collect::<Vec<&dyn ToSql>>())?;
    let (mut events, mut fill, mut last) = (Vec::new(), PageFill::new(limit), None);
    while let Some(row) = rows.next()? {
        if fill.is_full() {
            return Ok(EventPage { events, before: last });
        }
        let event = event_at(row)?;
        last = Some(event.id);
        let matches = filter.matches(&event);
        fill.count_row(row_bytes(row), matches);
        if matches {
            events.push(event);
        }
    }
    Ok(EventPage { events, before: None })
}

/// Lists the events after an event number, oldest first.
pub(super) fn events_after(connection: &Connection, after: i64, limit: u32) -> Result<Vec<Event>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM event WHERE id > ?1 ORDER BY id LIMIT ?2"))?;
    statement.query_and_then(params![after, limit], event_at)?.collect()
}

type Parameters = Vec<Box<dyn ToSql>>;

/// Returns the statement and parameters that read the events that may match, newest first, each row by an index.
fn statement(organisation: Option<OrganisationId>, filter: &EventFilter, before: i64) -> (String, Parameters) {
    let Some(organisation) = organisation else {
        return (format!("SELECT {COLUMNS} FROM event WHERE id < ?1 ORDER BY id DESC"), vec![Box::new(before)]);
    };
    let mut parameters: Parameters = vec![Box::new(organisation.0.into_bytes()), Box::new(before)];
    let of_organisation = format!("SELECT {COLUMNS} FROM event WHERE organisation = ?1 AND id < ?2");
    let sql = match &filter.object {
        None => format!("{of_organisation} ORDER BY id DESC"),
        Some(name) => {
            parameters.push(Box::new(name.clone()));
            // SQLite merges two scans of an index.
            format!(
                "{of_organisation} AND object_name = ?3
                 UNION ALL {of_organisation} AND new_name = ?3 AND object_name <> ?3 ORDER BY id DESC"
            )
        }
    };
    (sql, parameters)
}

pub(super) fn event_remove_before(connection: &Connection, before_ms: i64, at_most: u32) -> Result<u64> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM event WHERE id IN
             (SELECT id FROM (SELECT id, at_ms FROM event ORDER BY id LIMIT ?2) WHERE at_ms < ?1)
         RETURNING organisation, id",
    )?;
    let removed = statement.query_map(params![before_ms, at_most], |row| Ok((row.get(0)?, row.get(1)?)))?;
    note_removed(connection, removed.collect::<rusqlite::Result<Vec<_>>>()?)
}

pub(super) fn event_surplus(connection: &Connection, most: u32) -> Result<Vec<(OrganisationId, i64)>> {
    let mut statement = connection.prepare_cached(
        "SELECT organisation.id, (SELECT event.id FROM event WHERE event.organisation = organisation.id
                                  ORDER BY event.id DESC LIMIT 1 OFFSET ?1) AS last
         FROM organisation WHERE last IS NOT NULL",
    )?;
    let surplus = statement.query_map([most], |row| Ok((id(OrganisationId, row.get(0)?), row.get(1)?)))?;
    Ok(surplus.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn event_remove_up_to(
    connection: &Connection,
    organisation: OrganisationId,
    last: i64,
    at_most: u32,
) -> Result<u64> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM event WHERE id IN
             (SELECT id FROM event WHERE organisation = ?1 AND id <= ?2 ORDER BY id LIMIT ?3)
         RETURNING organisation, id",
    )?;
    let of_organisation = params![organisation.0.into_bytes(), last, at_most];
    let removed = statement.query_map(of_organisation, |row| Ok((row.get(0)?, row.get(1)?)))?;
    note_removed(connection, removed.collect::<rusqlite::Result<Vec<_>>>()?)
}

pub(super) fn event_at(row: &Row<'_>) -> Result<Event> {
    let corrupt = |what: &str| StoreError::Corrupt(format!("event: {what}"));
    let uuid =
        |column: usize| -> Result<Option<Uuid>> { Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(Uuid::from_bytes)) };
    let name: Option<String> = row.get(6)?;
    let actor = match (row.get::<_, String>(4)?.as_str(), uuid(5)?) {
        ("key", Some(id)) => Actor::Key { id: KeyId(id), name: name.unwrap_or_default().into() },
        ("user", Some(id)) => Actor::User { id: PrincipalId(id), name: name.unwrap_or_default().into() },
        ("operator", Some(id)) => Actor::Operator { id: KeyId(id), name: name.unwrap_or_default().into() },
        ("command-line", _) => Actor::CommandLine(name.map(Into::into)),
        ("catalog", _) => Actor::Catalog,
        (kind, _) => return Err(corrupt(&format!("an actor of kind '{kind}'"))),
    };
    let actor = match (uuid(15)?, row.get::<_, Option<String>>(16)?) {
        (Some(id), Some(name)) => {
            Actor::Through { actor: Box::new(actor), engine: EngineKey { id: KeyId(id), name: name.into() } }
        }
        _ => actor,
    };
    let operation: String = row.get(7)?;
    let object_kind: String = row.get(8)?;
    let details: String = row.get(14)?;
    Ok(Event {
        id: row.get(0)?,
        organisation: uuid(1)?.map(OrganisationId),
        warehouse: uuid(2)?.map(WarehouseId),
        at_ms: row.get(3)?,
        actor,
        operation: operation.parse().map_err(|_| corrupt(&format!("operation '{operation}'")))?,
        object: EventObject {
            kind: ObjectKind::of_name(&object_kind).ok_or_else(|| corrupt(&format!("object '{object_kind}'")))?,
            id: uuid(9)?,
            name: row.get(10)?,
            new_name: row.get(11)?,
        },
        request_id: row.get::<_, Option<String>>(12)?.map(Into::into),
        client: row.get::<_, Option<String>>(13)?.and_then(|client| client.parse().ok()),
        agent: row.get::<_, Option<String>>(17)?.map(Into::into),
        role: row.get::<_, Option<String>>(18)?.and_then(|role| role.parse().ok()),
        details: serde_json::from_str(&details).map_err(|error| corrupt(&error.to_string()))?,
    })
}

/// Returns the details of an event from pairs of names and values.
pub(super) fn details<const N: usize>(pairs: [(&str, serde_json::Value); N]) -> EventDetails {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[async_trait]
impl EventStore for SqliteStore {
    async fn event_list(
        &self,
        organisation: Option<OrganisationId>,
        filter: &EventFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage> {
        let filter = filter.clone();
        self.read_list(organisation, move |connection| event_list(connection, organisation, &filter, before, limit))
            .await
    }

    async fn event_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64> {
        self.write(move |connection| event_remove_before(connection, before_ms, at_most)).await
    }

    async fn event_surplus(&self, most: u32) -> Result<Vec<(OrganisationId, i64)>> {
        self.read_list(None, move |connection| event_surplus(connection, most)).await
    }

    async fn event_remove_up_to(&self, organisation: OrganisationId, last: i64, at_most: u32) -> Result<u64> {
        self.write(move |connection| event_remove_up_to(connection, organisation, last, at_most)).await
    }
}
