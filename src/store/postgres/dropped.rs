//! Dropped tables and views.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, TableId};
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::{change, transact};
use super::connection::Transaction;
use super::convert::{Failure, get};
use super::dropped_record::{columns, dropped_at, event_object, lock_dropped, remove_row};
use super::events::event_add;
use super::forget_rows::forget_access_and_reports;
use super::location_rows::location_forget;
use super::pages::{one_more, page_of};
use super::params::params;
use super::restore::restore;
use super::state_rows::lock_for;
use super::table_rows::kind_text;
use crate::store::{
    Answer, Change, Dropped, DroppedFilter, DroppedState, DroppedStore, Operation, Page, PageRequest, Progress,
    Resource, Restore, Result, StoreError, TableKind, TimedPage, WarehouseRef, name_details,
};

type Outcome<T> = std::result::Result<T, Failure>;

/// Reads a page of the dropped tables and views of a warehouse.
pub(super) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM dropped
     WHERE organisation = $1 AND warehouse = $2 AND (dropped_ms, id) < ($3, $4)
           AND ($5::text IS NULL OR namespace = $5) AND ($6::text IS NULL OR name = $6)
           AND ($7::text IS NULL OR kind = $7)
     ORDER BY dropped_ms DESC, id DESC LIMIT $8"
);

const GET: &str =
    concat!("SELECT ", columns!(), " FROM dropped WHERE organisation = $1 AND id = $3 AND warehouse = $2");

/// Locks tables whose files are due for removal. Skips those that another server is claiming.
pub(super) const DUE_TO_PURGE: &str =
    "SELECT organisation, id FROM dropped WHERE due_ms <= $1 AND purge ORDER BY due_ms LIMIT $2 FOR UPDATE SKIP LOCKED";

/// Leases tables.
pub(super) const CLAIM: &str = concat!(
    "UPDATE dropped SET state = CASE state WHEN 'kept' THEN 'removing' ELSE state END, attempts = attempts + 1,
                        due_ms = $3, message = NULL
     FROM unnest($1::uuid[], $2::uuid[]) AS due (organisation, id)
     WHERE dropped.organisation = due.organisation AND dropped.id = due.id
     RETURNING ",
    columns!()
);

/// Finds dropped tables and views whose restore time has ended and whose files stay.
pub(super) const DUE: &str =
    "SELECT organisation, id FROM dropped WHERE due_ms <= $1 AND NOT purge ORDER BY due_ms LIMIT $2";

/// Reads those of them that are still due under the organisation's lock.
const STILL_DUE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM dropped WHERE organisation = $1 AND id = ANY ($2) AND due_ms <= $3 AND NOT purge ORDER BY due_ms
     FOR UPDATE SKIP LOCKED"
);

/// Ends the restore time of a dropped table or view now, as [`DroppedStore::dropped_remove`] says.
pub(super) async fn remove(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    id: TableId,
    purge: Option<bool>,
    change: &Change,
) -> Outcome<bool> {
    let (organisation, now_ms) = (warehouse_ref.organisation, change.at_ms);
    lock_for(transaction, organisation, Resource::Table).await?;
    let dropped = lock_dropped(transaction, warehouse_ref, id).await?;
    let has_files = dropped.kind == TableKind::Table && dropped.state != DroppedState::Replaced;
    if !(purge.unwrap_or(dropped.purge) && has_files) {
        // A request to keep the files during their removal has written the event already.
        let is_told = matches!(dropped.state, DroppedState::Removing | DroppedState::Finishing) && !dropped.purge;
        if !is_told {
            add_forget_event(transaction, &dropped, change).await?;
        }
        if dropped.is_leased(now_ms) {
            // The server that removes the files checks this before the next files, and then forgets the row.
            transaction
                .query(
                    "UPDATE dropped SET purge = false WHERE organisation = $1 AND id = $2",
                    params![organisation.0, id.0],
                )
                .await?;
            return Ok(false);
        }
        forget(transaction, organisation, id).await?;
        return Ok(true);
    }
    let (object, details) = (event_object(&dropped), name_details(&dropped.ident));
    event_add(transaction, change, warehouse_ref, Operation::RequestPurge, &object, &details).await?;
    // A removal in progress stays with the server that has its lease.
    transaction
        .query(
            "UPDATE dropped SET purge = true, restorable_until_ms = least(restorable_until_ms, $3), due_ms = $3,
                                state = CASE state WHEN 'finishing' THEN state ELSE 'removing' END
             WHERE organisation = $1 AND id = $2
                   AND (state IN ('kept', 'blocked') OR message IS NOT NULL OR NOT purge)",
            params![organisation.0, id.0, now_ms],
        )
        .await?;
    Ok(false)
}

/// Forgets those of an organisation's dropped tables and views that are due. Returns how many.
async fn forget_due(
    transaction: &Transaction,
    organisation: OrganisationId,
    ids: &[Uuid],
    change: &Change,
) -> Outcome<u64> {
    lock_for(transaction, organisation, Resource::Table).await?;
    let due = transaction.query(STILL_DUE, params![organisation.0, ids, change.at_ms]).await?;
    for row in &due {
        let dropped = dropped_at(row)?;
        add_forget_event(transaction, &dropped, change).await?;
        forget(transaction, organisation, dropped.id).await?;
    }
    Ok(due.len() as u64)
}

/// Leases tables whose files are due for removal.
async fn claim(transaction: &Transaction, (now_ms, until_ms): (i64, i64), at_most: u32) -> Outcome<Vec<Dropped>> {
    let due = transaction.query(DUE_TO_PURGE, params![now_ms, i64::from(at_most)]).await?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let column = |column: usize| due.iter().map(|row| get::<Uuid>(row, column)).collect::<Result<Vec<_>>>();
    let claimed = transaction.query(CLAIM, params![column(0)?, column(1)?, until_ms]).await?;
    Ok(claimed.iter().map(dropped_at).collect::<Result<_>>()?)
}

/// Records the progress of the removal of a table's files.
async fn progress(
    transaction: &Transaction,
    (organisation, id): (OrganisationId, TableId),
    attempt: u32,
    progress: &Progress,
    change: &Change,
) -> Outcome<bool> {
    let has_stopped = !matches!(progress, Progress::Continue { .. });
    if has_stopped {
        // The row may be forgotten, which frees its locations.
        lock_for(transaction, organisation, Resource::Table).await?;
    }
    let held = transaction
        .query_first(
            concat!(
                "SELECT ",
                columns!(),
                " FROM dropped WHERE organisation = $1 AND id = $2 AND attempts = $3
                 AND state IN ('removing', 'finishing') FOR UPDATE"
            ),
            params![organisation.0, id.0, i64::from(attempt)],
        )
        .await?;
    let Some(held) = held else { return Ok(false) };
    let dropped = dropped_at(&held)?;
    if !dropped.purge {
        // The removal must stop. A renewal of the lease means that it has not stopped yet.
        if has_stopped {
            forget(transaction, organisation, id).await?;
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
            let (object, details) = (event_object(&dropped), name_details(&dropped.ident));
            event_add(transaction, change, dropped.warehouse_ref, Operation::PurgeTable, &object, &details).await?;
            forget(transaction, organisation, id).await?;
            return Ok(true);
        }
    };
    // No column can hold U+0000, which a message of another program may contain.
    let message = message.map(|message| message.replace('\0', "\u{FFFD}"));
    transaction
        .query(
            "UPDATE dropped SET state = coalesce($3, state), due_ms = $4, message = $5
             WHERE organisation = $1 AND id = $2",
            params![organisation.0, id.0, state, due_ms, message],
        )
        .await?;
    Ok(true)
}

/// Writes the event that a dropped table or view is forgotten and its files stay.
async fn add_forget_event(transaction: &Transaction, dropped: &Dropped, change: &Change) -> Outcome<()> {
    let (operation, details) = (Operation::forget(dropped.kind), name_details(&dropped.ident));
    event_add(transaction, change, dropped.warehouse_ref, operation, &event_object(dropped), &details).await
}

/// Removes the row, and the table's locations, grants and reports. The table cannot be restored, and its locations are free.
async fn forget(transaction: &Transaction, organisation: OrganisationId, id: TableId) -> Outcome<()> {
    remove_row(transaction, organisation, id).await?;
    location_forget(transaction, organisation, &[id.0]).await?;
    forget_access_and_reports(transaction, organisation, id).await
}

#[async_trait]
impl DroppedStore for PostgresStore {
    async fn dropped_list(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &DroppedFilter,
        page: &TimedPage,
    ) -> Result<Page<Dropped>> {
        // No column can hold U+0000, so no table has such a name.
        if filter.name.as_deref().is_some_and(|name| name.contains('\0')) {
            return Ok(Page { items: Vec::new(), more: false });
        }
        let (at_ms, before) = page.before.map_or((i64::MAX, Uuid::max()), |moment| (moment.at_ms, moment.id));
        let of_page = PageRequest { after: None, limit: page.limit };
        let rows = self
            .read(
                LIST,
                params![
                    warehouse_ref.organisation.0,
                    warehouse_ref.warehouse.0,
                    at_ms,
                    before,
                    filter.namespace.as_ref().map(|namespace| namespace.as_key()),
                    filter.name.as_deref(),
                    filter.kind.map(kind_text),
                    one_more(&of_page)
                ],
            )
            .await?;
        Ok(page_of(rows.iter().map(dropped_at).collect::<Result<Vec<_>>>()?, &of_page))
    }

    async fn dropped_get(&self, warehouse_ref: WarehouseRef, id: TableId) -> Result<Option<Dropped>> {
        let row = self.read_first(GET, params![warehouse_ref.organisation.0, warehouse_ref.warehouse.0, id.0]).await?;
        row.map(|row| dropped_at(&row)).transpose()
    }

    async fn dropped_restore(
        &self,
        warehouse_ref: WarehouseRef,
        restored: &Restore<'_>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<()> {
        change!(self, warehouse_ref.organisation, change, transaction =>
            restore(transaction, warehouse_ref, restored, max_tables, change), |(): &()| Answer::Done)
    }

    async fn dropped_remove(
        &self,
        warehouse_ref: WarehouseRef,
        id: TableId,
        purge: Option<bool>,
        change: &Change,
    ) -> Result<bool> {
        change!(self, warehouse_ref.organisation, change, transaction =>
            remove(transaction, warehouse_ref, id, purge, change), |_: &bool| Answer::Done)
    }

    async fn dropped_forget_due(&self, at_most: u32, change: &Change) -> Result<u64> {
        let due = self.read(DUE, params![change.at_ms, i64::from(at_most)]).await?;
        let mut by_organisation = BTreeMap::<Uuid, Vec<Uuid>>::new();
        for row in &due {
            by_organisation.entry(get(row, 0)?).or_default().push(get(row, 1)?);
        }
        // A transaction for each organisation: none waits for the lock of one while it has that of another.
        let mut forgotten = 0;
        for (organisation, ids) in by_organisation {
            let organisation = OrganisationId(organisation);
            forgotten += transact!(self, transaction => forget_due(transaction, organisation, &ids, change))?;
        }
        Ok(forgotten)
    }

    async fn dropped_bring_forward(&self, now_ms: i64, latest_ms: i64) -> Result<u64> {
        let sql = "UPDATE dropped SET due_ms = $1 WHERE (organisation, id) IN
                       (SELECT organisation, id FROM dropped WHERE due_ms > $2 AND state IN ('removing', 'finishing')
                        FOR UPDATE SKIP LOCKED) RETURNING 1";
        Ok(self.change_rows(sql, params![now_ms, latest_ms]).await?.len() as u64)
    }

    async fn dropped_claim(&self, now_ms: i64, until_ms: i64, at_most: u32) -> Result<Vec<Dropped>> {
        transact!(self, transaction => claim(transaction, (now_ms, until_ms), at_most))
    }

    async fn dropped_progress(
        &self,
        organisation: OrganisationId,
        id: TableId,
        attempt: u32,
        reported: &Progress,
        change: &Change,
    ) -> Result<bool> {
        let missing = |error| match error {
            StoreError::NotFound(_) => Ok(false),
            error => Err(error),
        };
        let recorded = transact!(self, transaction =>
            progress(transaction, (organisation, id), attempt, reported, change));
        recorded.or_else(missing)
    }
}
