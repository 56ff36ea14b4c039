//! Events: records of changes.

use async_trait::async_trait;
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId, WarehouseId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::connection::Transaction;
use super::convert::{Failure, get};
use super::feed_removed::NOTE_REMOVED;
use super::params::params;
use crate::store::pages::PageFill;
use crate::store::{
    Actor, Change, EngineKey, Event, EventDetails, EventFilter, EventObject, EventPage, EventStore, ObjectKind,
    Operation, Result, StoreError, WarehouseRef,
};

/// The most events that one statement reads.
const MOST_AT_ONCE: usize = 1_000;

/// The columns of an event. [`event_at`] reads them in this order.
pub(super) const COLUMNS: &str =
    "id, organisation, warehouse, at_ms, actor_kind, actor_id, actor_name, operation, object_kind,
    object_id, object_name, new_name, request_id, client, details, engine_id, engine_name, agent, role";

/// An expression for the id of a new event: the database's clock in microseconds, times 4, plus a number from 0 to 3.
///
/// Evaluate it after the change has locked its object: then the events of one object ascend. Two changes of one organisation may get the same id in
/// the same microsecond. Then the key is violated, and the change is made again (`Failure::again`). Up to the year 2041, an
/// id is below 2^53, so a reader of JSON whose numbers are 64-bit floats reads it exactly.
pub(super) const NEW_ID: &str =
    "((extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 4 + floor(random() * 4)::bigint)";

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

/// Writes the event of a change. The caller's transaction makes both of them, or neither.
pub(super) async fn event_add(
    transaction: &Transaction,
    change: &Change,
    scope: impl Into<Scope> + Send,
    operation: Operation,
    object: &EventObject,
    details: &EventDetails,
) -> std::result::Result<(), Failure> {
    let event = NewEvent { operation, object: object.clone(), details: details.clone() };
    events_add(transaction, change, scope, &[event]).await
}

/// Writes the events of a change, in their order, in one statement. The caller's transaction makes all of them, or none.
pub(super) async fn events_add(
    transaction: &Transaction,
    change: &Change,
    scope: impl Into<Scope> + Send,
    events: &[NewEvent],
) -> std::result::Result<(), Failure> {
    if events.is_empty() {
        return Ok(());
    }
    let scope = scope.into();
    let engine = change.actor.engine();
    let details = events.iter().map(|event| details_text(&event.details)).collect::<Result<Vec<_>>>()?;
    let sql = format!(
        "INSERT INTO event (organisation, warehouse, at_ms, actor_kind, actor_id, actor_name, engine_id, engine_name, request_id,
                            client, agent, role, id, operation, object_kind, object_id, object_name, new_name, details)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $17, $18, (SELECT {NEW_ID}) + new.number, new.operation, new.object_kind,
                new.object_id, new.object_name, new.new_name, new.details
         FROM unnest($11::text[], $12::text[], $13::uuid[], $14::text[], $15::text[], $16::text[])
              WITH ORDINALITY AS new (operation, object_kind, object_id, object_name, new_name, details, number)"
    );
    transaction
        .query(
            &sql,
            params![
                organisation_column(scope.organisation),
                scope.warehouse.map(|id| id.0),
                change.at_ms,
                change.actor.kind(),
                change.actor.id(),
                change.actor.name(),
                engine.map(|engine| engine.id.0),
                engine.map(|engine| &*engine.name),
                change.request_id.as_deref(),
                change.client.map(|client| client.to_string()),
                events.iter().map(|event| event.operation.as_str()).collect::<Vec<_>>(),
                events.iter().map(|event| event.object.kind.as_str()).collect::<Vec<_>>(),
                events.iter().map(|event| event.object.id).collect::<Vec<_>>(),
                events.iter().map(|event| event.object.name.as_str()).collect::<Vec<_>>(),
                events.iter().map(|event| event.object.new_name.as_deref()).collect::<Vec<_>>(),
                details,
                change.agent.as_deref(),
                change.role.map(Role::as_str),
            ],
        )
        .await?;
    Ok(())
}

/// Formats the details of an event for their column, as a JSON object. JSON escapes U+0000, which no column can hold.
pub(super) fn details_text(details: &EventDetails) -> Result<String> {
    serde_json::to_string(details).map_err(|error| StoreError::NotMade(Box::new(error)))
}

/// Returns the details of an event from pairs of names and values.
pub(super) fn details<const N: usize>(pairs: [(&str, serde_json::Value); N]) -> EventDetails {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the column of an event's organisation: the nil UUID for the server itself, since a key's column cannot be NULL.
fn organisation_column(organisation: Option<OrganisationId>) -> Uuid {
    organisation.map_or(Uuid::nil(), |organisation| organisation.0)
}

/// Returns the statement that reads the newest `$2` events before `$1` that may match a filter, each row by an index. `$3` is the
/// organisation, `$4` the name of the object.
fn list_statement(of_organisation: bool, of_object: bool) -> String {
    let newest =
        |condition: &str| format!("SELECT {COLUMNS} FROM event WHERE id < $1 {condition} ORDER BY id DESC LIMIT $2");
    match (of_organisation, of_object) {
        (false, _) => newest(""),
        (true, false) => newest("AND organisation = $3"),
        (true, true) => {
            let old = newest("AND organisation = $3 AND md5(object_name) = md5($4) AND object_name = $4");
            let new = newest(
                "AND organisation = $3 AND new_name IS NOT NULL AND md5(new_name) = md5($4) AND new_name = $4
                 AND object_name <> $4",
            );
            format!("SELECT {COLUMNS} FROM (({old}) UNION ALL ({new})) AS event ORDER BY id DESC LIMIT $2")
        }
    }
}

impl PostgresStore {
    /// Reads the newest events before `before` that may match a filter.
    async fn events_before(
        &self,
        organisation: Option<OrganisationId>,
        object: Option<&str>,
        before: i64,
        at_most: usize,
    ) -> Result<Vec<Row>> {
        let sql = list_statement(organisation.is_some(), object.is_some());
        let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
        match (organisation, object) {
            (None, _) => self.read(&sql, params![before, at_most]).await,
            (Some(organisation), None) => {
                self.read_for(organisation, &sql, params![before, at_most, organisation.0]).await
            }
            (Some(organisation), Some(object)) => {
                self.read_for(organisation, &sql, params![before, at_most, organisation.0, object]).await
            }
        }
    }
}

#[async_trait]
impl EventStore for PostgresStore {
    async fn event_list(
        &self,
        organisation: Option<OrganisationId>,
        filter: &EventFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage> {
        // No column can hold U+0000, so no object has such a name.
        if filter.object.as_deref().is_some_and(|name| name.contains('\0')) {
            return Ok(EventPage { events: Vec::new(), before: None });
        }
        let (mut events, mut fill, mut last) = (Vec::new(), PageFill::new(limit), before);
        // One more than the page: another event means that another page follows.
        let mut at_once = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1).min(MOST_AT_ONCE);
        loop {
            let object = filter.object.as_deref();
            let rows = self.events_before(organisation, object, last.unwrap_or(i64::MAX), at_once).await?;
            let ended = rows.len() < at_once;
            for row in &rows {
                if fill.is_full() {
                    return Ok(EventPage { events, before: last });
                }
                let event = event_at(row)?;
                last = Some(event.id);
                let matches = filter.matches(&event);
                fill.count_row(row.raw_size_bytes(), matches);
                if matches {
                    events.push(event);
                }
            }
            if ended {
                return Ok(EventPage { events, before: None });
            }
            at_once = MOST_AT_ONCE;
        }
    }

    async fn event_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64> {
        let sql = format!(
            "WITH gone AS (
                 DELETE FROM event USING (SELECT organisation, id FROM
                     (SELECT organisation, id, at_ms FROM event ORDER BY id LIMIT $2) AS oldest WHERE at_ms < $1) AS old
                 WHERE event.organisation = old.organisation AND event.id = old.id
                 RETURNING event.organisation, event.position)
             {NOTE_REMOVED}"
        );
        let removed = self.change_rows(&sql, params![before_ms, i64::from(at_most)]).await?;
        Ok(removed.len() as u64)
    }

    async fn event_surplus(&self, most: u32) -> Result<Vec<(OrganisationId, i64)>> {
        let rows = self
            .read(
                "SELECT organisation.id, surplus.id
                 FROM organisation CROSS JOIN LATERAL
                     (SELECT event.id FROM event WHERE event.organisation = organisation.id
                      ORDER BY event.id DESC LIMIT 1 OFFSET $1) AS surplus",
                params![i64::from(most)],
            )
            .await?;
        rows.iter().map(|row| Ok((OrganisationId(get(row, 0)?), get(row, 1)?))).collect()
    }

    async fn event_remove_up_to(&self, organisation: OrganisationId, last: i64, at_most: u32) -> Result<u64> {
        let sql = format!(
            "WITH gone AS (
                 DELETE FROM event WHERE organisation = $1 AND id IN
                     (SELECT id FROM event WHERE organisation = $1 AND id <= $2 ORDER BY id LIMIT $3)
                 RETURNING organisation, position)
             {NOTE_REMOVED}"
        );
        let removed = self.change_rows(&sql, params![organisation.0, last, i64::from(at_most)]).await?;
        Ok(removed.len() as u64)
    }
}

pub(super) fn event_at(row: &Row) -> Result<Event> {
    let corrupt = |problem: &str| StoreError::Corrupt(format!("event: {problem}"));
    let text = |column: usize| get::<Option<String>>(row, column);
    let operation: &str = get(row, 7)?;
    let object_kind: &str = get(row, 8)?;
    let details: &str = get(row, 14)?;
    let organisation: Uuid = get(row, 1)?;
    Ok(Event {
        id: get(row, 0)?,
        organisation: (!organisation.is_nil()).then_some(OrganisationId(organisation)),
        warehouse: get::<Option<Uuid>>(row, 2)?.map(WarehouseId),
        at_ms: get(row, 3)?,
        actor: actor_at(row)?,
        operation: operation.parse().map_err(|_| corrupt(&format!("operation '{operation}'")))?,
        object: EventObject {
            kind: ObjectKind::of_name(object_kind).ok_or_else(|| corrupt(&format!("object '{object_kind}'")))?,
            id: get(row, 9)?,
            name: get(row, 10)?,
            new_name: text(11)?,
        },
        request_id: text(12)?.map(Into::into),
        client: get::<Option<&str>>(row, 13)?.and_then(|client| client.parse().ok()),
        agent: text(17)?.map(Into::into),
        role: get::<Option<&str>>(row, 18)?.and_then(|role| role.parse().ok()),
        details: serde_json::from_str(details).map_err(|error| corrupt(&error.to_string()))?,
    })
}

fn actor_at(row: &Row) -> Result<Actor> {
    let name: Option<String> = get(row, 6)?;
    let actor = match (get::<&str>(row, 4)?, get::<Option<Uuid>>(row, 5)?) {
        ("key", Some(id)) => Actor::Key { id: KeyId(id), name: name.unwrap_or_default().into() },
        ("user", Some(id)) => Actor::User { id: PrincipalId(id), name: name.unwrap_or_default().into() },
        ("operator", Some(id)) => Actor::Operator { id: KeyId(id), name: name.unwrap_or_default().into() },
        ("command-line", _) => Actor::CommandLine(name.map(Into::into)),
        ("catalog", _) => Actor::Catalog,
        (kind, _) => return Err(StoreError::Corrupt(format!("event: an actor of kind '{kind}'"))),
    };
    Ok(match (get::<Option<Uuid>>(row, 15)?, get::<Option<String>>(row, 16)?) {
        (Some(id), Some(name)) => {
            Actor::Through { actor: Box::new(actor), engine: EngineKey { id: KeyId(id), name: name.into() } }
        }
        _ => actor,
    })
}
