//! Dropped tables and views.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::{OrganisationId, PrincipalId, TableId, WarehouseId};
use tidewater_core::name::TableIdent;

use super::SqliteStore;
use super::convert::{Violation, id, kind, kind_text, namespace, violation};
use super::events::event_add;
use super::grants::grants_forget;
use super::location_rows::{check_free, location_forget, replace_locations, reserved};
use super::maintenance::maintenance_forget;
use super::pages::{before, one_more_before, page_of};
use super::pointers::{check_limit, move_pointer, resource};
use super::reports::report_forget;
use super::restricted::restrictions_forget;
use super::table_rows::table_get;
use crate::store::{
    Answer, Change, Dropped, DroppedFilter, DroppedState, DroppedStore, EventDetails, EventObject, Operation, Origin,
    Page, PageRequest, Past, Progress, Resource, Restore, Result, StoreError, Swap, TableKind, TimedPage, WarehouseRef,
    name_details, note_new_name,
};

const COLUMNS: &str = "organisation, warehouse, id, namespace, name, kind, metadata_location, location, dropped_ms,
    restorable_until_ms, purge, state, attempts, due_ms, message, owner";

const NOT_FOUND: StoreError = StoreError::NotFound(Resource::Table);

fn dropped_at(row: &Row<'_>) -> Result<Dropped> {
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("dropped: {error}"));
    let namespace = namespace(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?;
    let name: String = row.get(4)?;
    Ok(Dropped {
        warehouse_ref: WarehouseRef {
            organisation: id(OrganisationId, row.get(0)?),
            warehouse: id(WarehouseId, row.get(1)?),
        },
        id: id(TableId, row.get(2)?),
        ident: TableIdent::new(namespace, &name).map_err(|error| corrupt(&error))?,
        kind: kind(row.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?)?,
        metadata_location: row.get(6)?,
        location: row.get(7)?,
        dropped_ms: row.get(8)?,
        restorable_until_ms: row.get(9)?,
        purge: row.get(10)?,
        state: match row.get_ref(11)?.as_str().map_err(rusqlite::Error::from)? {
            "kept" => DroppedState::Kept,
            "removing" => DroppedState::Removing,
            "finishing" => DroppedState::Finishing,
            "blocked" => DroppedState::Blocked,
            "replaced" => DroppedState::Replaced,
            other => return Err(corrupt(&format!("the state '{other}'"))),
        },
        attempts: row.get(12)?,
        due_ms: row.get(13)?,
        message: row.get(14)?,
        owner: row.get::<_, Option<[u8; 16]>>(15)?.map(|owner| id(PrincipalId, owner)),
    })
}

pub(super) fn dropped_list(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    filter: &DroppedFilter,
    page: &TimedPage,
) -> Result<Page<Dropped>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM dropped
         WHERE organisation = ?1 AND warehouse = ?2 AND (dropped_ms, id) < (?3, ?4)
         AND (?5 IS NULL OR namespace = ?5) AND (?6 IS NULL OR name = ?6) AND (?7 IS NULL OR kind = ?7)
         ORDER BY dropped_ms DESC, id DESC LIMIT ?8"
    ))?;
    let (at_ms, before) = before(page);
    let rows = statement.query_and_then(
        params![
            warehouse_ref.organisation.0.as_bytes(),
            warehouse_ref.warehouse.0.as_bytes(),
            at_ms,
            before,
            filter.namespace.as_ref().map(|namespace| namespace.as_key()),
            filter.name,
            filter.kind.map(kind_text),
            one_more_before(page),
        ],
        dropped_at,
    )?;
    Ok(page_of(rows.collect::<Result<Vec<_>>>()?, &PageRequest { after: None, limit: page.limit }))
}

pub(super) fn dropped_get(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    id: TableId,
) -> Result<Option<Dropped>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM dropped WHERE organisation = ?1 AND id = ?3 AND warehouse = ?2"
    ))?;
    let mut rows = statement.query(params![
        warehouse_ref.organisation.0.as_bytes(),
        warehouse_ref.warehouse.0.as_bytes(),
        id.0.as_bytes()
    ])?;
    rows.next()?.map(dropped_at).transpose()
}

/// Restores a dropped table or view. The caller undoes the transaction after an error.
pub(super) fn dropped_restore(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    restore: &Restore<'_>,
    max_tables: Option<u64>,
    change: &Change,
) -> Result<()> {
    let &Restore { id, ident, locations: now } = restore;
    let now_ms = change.at_ms;
    let dropped = dropped_get(connection, warehouse_ref, id)?.ok_or(NOT_FOUND)?;
    if let Some(reason) = dropped.not_restorable(now_ms) {
        return Err(StoreError::NotRestorable(reason));
    }
    let (organisation, warehouse) = (warehouse_ref.organisation.0.as_bytes(), warehouse_ref.warehouse.0.as_bytes());
    let restored = connection
        .prepare_cached(
            "INSERT INTO tabular (organisation, warehouse, namespace, name, id, kind, metadata_location, location, others, origin,
                                  created_ms, updated_ms, owner, labels)
             SELECT organisation, warehouse, ?4, ?5, id, kind, metadata_location, location, others, origin, created_ms, ?6,
                    owner, labels
             FROM dropped WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3",
        )?
        .execute(params![organisation, warehouse, id.0.as_bytes(), ident.namespace.as_key(), ident.name(), now_ms]);
    if let Err(error) = restored {
        return Err(match violation(&error) {
            Some(Violation::Unique) => {
                let taken_by = table_get(connection, warehouse_ref, ident)?.map_or(dropped.kind, |taken| taken.kind);
                StoreError::AlreadyExists(resource(taken_by))
            }
            Some(Violation::ForeignKey) => StoreError::NotFound(Resource::Namespace),
            None => error.into(),
        });
    }
    remove_row(connection, warehouse_ref.organisation, id)?;
    let object = event_object(&dropped);
    let mut details = name_details(&dropped.ident);
    note_new_name(&mut details, ident);
    let object = if dropped.ident == *ident { object } else { object.renamed(ident.to_string()) };
    event_add(connection, change, warehouse_ref, Operation::restore(dropped.kind), &object, &details)?;
    if dropped.kind == TableKind::View {
        return restore_view_locations(connection, warehouse_ref, restore)
            .and_then(|()| check_limit(connection, warehouse_ref.organisation, max_tables));
    }
    if let Some(now) = now {
        // The pointer stays. The locations stay too, unless the document names others than the store has.
        let pointer = &dropped.metadata_location;
        let (origin, past, details) = (Origin::Catalog, &Past::Kept, &EventDetails::new());
        let ident = Some(ident);
        let swap = Swap { id, ident, expected: pointer, new: pointer, locations: now, origin, past, details };
        if let Some(before) = move_pointer(connection, warehouse_ref, &swap, now_ms)?.before {
            check_free(connection, warehouse_ref, id, now.beyond(&before))?;
        }
    }
    check_limit(connection, warehouse_ref.organisation, max_tables)
}

/// Reserves the locations of a restored view, which must be free: a dropped view reserves none.
fn restore_view_locations(connection: &Connection, warehouse_ref: WarehouseRef, restore: &Restore<'_>) -> Result<()> {
    let id = restore.id;
    let (own, others): (String, String) = connection
        .prepare_cached("SELECT location, others FROM tabular WHERE organisation = ?1 AND id = ?2")?
        .query_row(params![warehouse_ref.organisation.0.as_bytes(), id.0.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let locations = match restore.locations {
        Some(now) => now.reserved().to_vec(),
        None => reserved(TableKind::View, &own, &others)?,
    };
    replace_locations(connection, warehouse_ref, id, &locations)?;
    check_free(connection, warehouse_ref, id, &locations)
}

pub(super) fn dropped_remove(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    id: TableId,
    purge: Option<bool>,
    change: &Change,
) -> Result<bool> {
    let now_ms = change.at_ms;
    let dropped = dropped_get(connection, warehouse_ref, id)?.ok_or(NOT_FOUND)?;
    let has_files = dropped.kind == TableKind::Table && dropped.state != DroppedState::Replaced;
    if !(purge.unwrap_or(dropped.purge) && has_files) {
        // A request to keep the files during their removal has written the event already.
        let is_told = matches!(dropped.state, DroppedState::Removing | DroppedState::Finishing) && !dropped.purge;
        if !is_told {
            forgotten(connection, &dropped, change)?;
        }
        if dropped.is_leased(now_ms) {
            // The server that removes the files checks this before the next files, and then forgets the row.
            connection
                .prepare_cached("UPDATE dropped SET purge = 0 WHERE organisation = ?1 AND id = ?2")?
                .execute(params![warehouse_ref.organisation.0.as_bytes(), id.0.as_bytes()])?;
            return Ok(false);
        }
        forget(connection, warehouse_ref.organisation, id)?;
        return Ok(true);
    }
    event_add(
        connection,
        change,
        warehouse_ref,
        Operation::RequestPurge,
        &event_object(&dropped),
        &name_details(&dropped.ident),
    )?;
    // A removal in progress stays with the server that has its lease.
    connection
        .prepare_cached(
            "UPDATE dropped SET purge = 1, restorable_until_ms = min(restorable_until_ms, ?3), due_ms = ?3,
                                state = CASE state WHEN 'finishing' THEN state ELSE 'removing' END
             WHERE organisation = ?1 AND id = ?2 AND (state IN ('kept', 'blocked') OR message IS NOT NULL OR purge = 0)",
        )?
        .execute(params![warehouse_ref.organisation.0.as_bytes(), id.0.as_bytes(), now_ms])?;
    Ok(false)
}

pub(super) fn dropped_forget_due(connection: &Connection, at_most: u32, change: &Change) -> Result<u64> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM dropped WHERE due_ms <= ?1 AND purge = 0 ORDER BY due_ms LIMIT ?2"
    ))?;
    let due = statement.query_and_then(params![change.at_ms, at_most], dropped_at)?.collect::<Result<Vec<_>>>()?;
    for dropped in &due {
        forgotten(connection, dropped, change)?;
        forget(connection, dropped.warehouse_ref.organisation, dropped.id)?;
    }
    Ok(due.len() as u64)
}

pub(super) fn dropped_claim(connection: &Connection, now_ms: i64, until_ms: i64, at_most: u32) -> Result<Vec<Dropped>> {
    let mut statement = connection.prepare_cached(&format!(
        "UPDATE dropped SET state = CASE state WHEN 'kept' THEN 'removing' ELSE state END, attempts = attempts + 1,
                            due_ms = ?2, message = NULL
         WHERE (organisation, id) IN
             (SELECT organisation, id FROM dropped WHERE due_ms <= ?1 AND purge = 1 ORDER BY due_ms LIMIT ?3)
         RETURNING {COLUMNS}"
    ))?;
    statement.query_and_then(params![now_ms, until_ms, at_most], dropped_at)?.collect()
}

pub(super) fn dropped_progress(
    connection: &Connection,
    organisation: OrganisationId,
    id: TableId,
    attempt: u32,
    progress: &Progress,
    change: &Change,
) -> Result<bool> {
    let held: Option<bool> = connection
        .prepare_cached(
            "SELECT purge FROM dropped WHERE organisation = ?1 AND id = ?2 AND attempts = ?3
             AND state IN ('removing', 'finishing')",
        )?
        .query_row(params![organisation.0.as_bytes(), id.0.as_bytes(), attempt], |row| row.get(0))
        .optional()?;
    let Some(goes_on) = held else { return Ok(false) };
    if !goes_on {
        // The removal must stop. A renewal of the lease means that it has not stopped yet.
        let has_stopped = !matches!(progress, Progress::Continue { .. });
        if has_stopped {
            forget(connection, organisation, id)?;
        }
        return Ok(has_stopped);
    }
    let (state, due_ms, message) = match progress {
        Progress::Continue { until_ms, finishing } => (finishing.then_some("finishing"), Some(*until_ms), None),
        Progress::Retry { at_ms, message } => (None, Some(*at_ms), message.as_deref()),
        Progress::Blocked { message } => (Some("blocked"), None, Some(message.as_str())),
        // The removal stopped as requested, but a later request continues it.
        Progress::Stopped => return Ok(false),
        Progress::Gone => {
            let mut statement = connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM dropped WHERE organisation = ?1 AND id = ?2"))?;
            let dropped =
                statement.query_and_then(params![organisation.0.as_bytes(), id.0.as_bytes()], dropped_at)?.next();
            if let Some(dropped) = dropped.transpose()? {
                let object = event_object(&dropped);
                event_add(
                    connection,
                    change,
                    dropped.warehouse_ref,
                    Operation::PurgeTable,
                    &object,
                    &name_details(&dropped.ident),
                )?;
            }
            forget(connection, organisation, id)?;
            return Ok(true);
        }
    };
    connection
        .prepare_cached(
            "UPDATE dropped SET state = coalesce(?3, state), due_ms = ?4, message = ?5
             WHERE organisation = ?1 AND id = ?2",
        )?
        .execute(params![organisation.0.as_bytes(), id.0.as_bytes(), state, due_ms, message])?;
    Ok(true)
}

/// Returns the object of an event about a dropped table or view.
fn event_object(dropped: &Dropped) -> EventObject {
    EventObject::new(dropped.kind, Some(dropped.id.0), dropped.ident.to_string())
}

/// Writes the event that a dropped table or view is forgotten and its files stay.
fn forgotten(connection: &Connection, dropped: &Dropped, change: &Change) -> Result<()> {
    let operation = Operation::forget(dropped.kind);
    event_add(
        connection,
        change,
        dropped.warehouse_ref,
        operation,
        &event_object(dropped),
        &name_details(&dropped.ident),
    )
}

/// Removes the row, and the table's locations, grants, reports and maintenance. The table cannot be restored, and its locations are free.
fn forget(connection: &Connection, organisation: OrganisationId, id: TableId) -> Result<()> {
    remove_row(connection, organisation, id)?;
    location_forget(connection, organisation, id)?;
    grants_forget(connection, organisation, id)?;
    restrictions_forget(connection, organisation, id)?;
    maintenance_forget(connection, organisation, id)?;
    report_forget(connection, organisation, id)
}

fn remove_row(connection: &Connection, organisation: OrganisationId, id: TableId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM dropped WHERE organisation = ?1 AND id = ?2")?
        .execute(params![organisation.0.as_bytes(), id.0.as_bytes()])?;
    Ok(())
}

#[async_trait]
impl DroppedStore for SqliteStore {
    async fn dropped_list(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &DroppedFilter,
        page: &TimedPage,
    ) -> Result<Page<Dropped>> {
        let (filter, page) = (filter.clone(), *page);
        self.read_list(Some(warehouse_ref.organisation), move |connection| {
            dropped_list(connection, warehouse_ref, &filter, &page)
        })
        .await
    }

    async fn dropped_get(&self, warehouse_ref: WarehouseRef, id: TableId) -> Result<Option<Dropped>> {
        self.read(|connection| dropped_get(connection, warehouse_ref, id))
    }

    async fn dropped_restore(
        &self,
        warehouse_ref: WarehouseRef,
        restore: &Restore<'_>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()> {
        let (id, ident, locations) = (restore.id, restore.ident.clone(), restore.locations.cloned());
        let work = move |connection: &Connection, change: &Change| {
            let restore = Restore { id, ident: &ident, locations: locations.as_ref() };
            dropped_restore(connection, warehouse_ref, &restore, max_tables, change)
        };
        self.change(warehouse_ref.organisation, change, work, |()| Answer::Done).await
    }

    async fn dropped_remove(
        &self,
        warehouse_ref: WarehouseRef,
        id: TableId,
        purge: Option<bool>,
        change: &Change,
    ) -> Result<bool> {
        let work = move |connection: &Connection, change: &Change| {
            dropped_remove(connection, warehouse_ref, id, purge, change)
        };
        self.change(warehouse_ref.organisation, change, work, |_| Answer::Done).await
    }

    async fn dropped_forget_due(&self, at_most: u32, change: &Change) -> Result<u64> {
        let change = change.clone();
        self.write(move |connection| dropped_forget_due(connection, at_most, &change)).await
    }

    async fn dropped_bring_forward(&self, now_ms: i64, latest_ms: i64) -> Result<u64> {
        self.write(move |connection| {
            let sql = "UPDATE dropped SET due_ms = ?1 WHERE due_ms > ?2 AND state IN ('removing', 'finishing')";
            Ok(connection.prepare_cached(sql)?.execute(params![now_ms, latest_ms])? as u64)
        })
        .await
    }

    async fn dropped_claim(&self, now_ms: i64, until_ms: i64, at_most: u32) -> Result<Vec<Dropped>> {
        self.write(move |connection| dropped_claim(connection, now_ms, until_ms, at_most)).await
    }

    async fn dropped_progress(
        &self,
        organisation: OrganisationId,
        id: TableId,
        attempt: u32,
        progress: &Progress,
        change: &Change,
    ) -> Result<bool> {
        let (progress, change) = (progress.clone(), change.clone());
        self.write(move |connection| dropped_progress(connection, organisation, id, attempt, &progress, &change)).await
    }
}
