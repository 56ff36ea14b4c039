//! One run of one operation on a table, and its record.

use std::sync::Arc;

use parking_lot::Mutex;
use tidewater_core::location::Location;
use tidewater_core::purge::allows_removal;
use tidewater_core::upkeep::{MaintenanceOperation, MaintenancePolicy};
use tokio::time::Instant;

use super::lease::Held;
use super::measures::Ending;
use super::parts::Parts;
use super::policies::TablePolicy;
use crate::access::action::CommitTable;
use crate::access::{Authorizer, Table};
use crate::catalog::{CatalogError, EditedTable, TableEdit};
use crate::metadata::{Document, MetadataError};
use crate::store::{Change, MaintenanceRun, RunDetails, RunItem, RunOutcome, StoreError, TableRecord};
use crate::vending::ValidLocations;

/// The most objects that the record of a run lists.
const ITEMS: usize = 500;

/// The longest message in a record, in characters.
const MESSAGE_CHARS: usize = 1_000;

/// Why a run did not succeed.
#[derive(Debug)]
pub(super) enum RunError {
    /// It failed. The text says why, and what to do.
    Failed(String),
    /// It failed because commits of others came first. The text says what to do.
    Conflict(String),
    /// The server stops, the time is over, or another server has the lease. A later run continues.
    Stopped(&'static str),
}

impl From<StoreError> for RunError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<MetadataError> for RunError {
    fn from(error: MetadataError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<CatalogError> for RunError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::CommitFailed(_) => Self::Conflict(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// Why an edit of a table was not made.
#[derive(Debug)]
pub(super) struct EditError {
    /// Why.
    pub(super) error: RunError,
    /// Whether it is certain that the table was not changed, and will not be.
    pub(super) is_certain: bool,
}

impl From<EditError> for RunError {
    fn from(failed: EditError) -> Self {
        failed.error
    }
}

impl EditError {
    /// Creates the error of an edit that was not begun.
    fn not_begun(error: impl Into<RunError>) -> Self {
        Self { error: error.into(), is_certain: true }
    }

    /// Creates the error of an edit that was begun.
    fn begun(error: CatalogError) -> Self {
        // All others may hide a change that the store made, or makes later.
        let is_certain = matches!(
            error,
            CatalogError::NoSuchTable(_)
                | CatalogError::CommitFailed(_)
                | CatalogError::BadRequest(_)
                | CatalogError::Forbidden(_)
                | CatalogError::Denied(_)
                | CatalogError::Hidden(_)
                | CatalogError::Refused(_)
        );
        Self { error: error.into(), is_certain }
    }
}

/// A run of an operation on a table whose lease is held.
pub(super) struct Run<'a> {
    pub(super) parts: &'a Parts,
    pub(super) held: &'a Held,
    pub(super) table: Table,
    policy: TablePolicy,
    record: MaintenanceRun,
    authorizer: Authorizer<CommitTable>,
    change: Change,
    begun: Instant,
    details: Mutex<RunDetails>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        parts: &'a Parts,
        held: &'a Held,
        table: Table,
        policy: TablePolicy,
        record: MaintenanceRun,
        (authorizer, change): (Authorizer<CommitTable>, Change),
    ) -> Self {
        let details = Mutex::new(record.details.clone());
        Self { parts, held, table, policy, record, authorizer, change, begun: Instant::now(), details }
    }

    /// Returns the operation.
    pub(super) const fn operation(&self) -> MaintenanceOperation {
        self.record.operation
    }

    /// Stores the outcome of the operation.
    pub(super) async fn conclude(&self, outcome: Result<(), RunError>) {
        let (outcome, ending) = match outcome {
            Ok(()) => (RunOutcome::Succeeded, Ending::of_success(&self.details.lock())),
            Err(RunError::Stopped(why)) => {
                self.note(|details| details.message = Some(why.to_owned()));
                (RunOutcome::Stopped, Ending::Stopped)
            }
            Err(RunError::Failed(message)) => (self.note_failure(&message), Ending::Failed),
            Err(RunError::Conflict(message)) => (self.note_failure(&message), Ending::Conflict),
        };
        self.end(outcome, ending).await;
    }

    fn note_failure(&self, message: &str) -> RunOutcome {
        let message: String = message.chars().take(MESSAGE_CHARS).collect();
        let (table, operation) = (&self.table.ident, self.record.operation);
        tracing::warn!(%table, %operation, message, "the maintenance of a table failed");
        self.note(|details| details.message = Some(message));
        RunOutcome::Failed
    }

    async fn end(&self, outcome: RunOutcome, ending: Ending) {
        let details = self.details.lock().clone();
        if !self.record.dry_run {
            self.parts.measures.ended(self.record.operation, ending, (&details, self.begun.elapsed()));
        }
        let ended_ms = Some(self.parts.clock.now_ms());
        let ended = MaintenanceRun { ended_ms, outcome, details, ..self.record.clone() };
        if let Err(error) = self.parts.store.run_update(&ended).await {
            // A later look, or the next holder of the lease, ends it as abandoned.
            tracing::warn!(table = %self.table.ident, %error, "could not record the end of a table's maintenance");
        }
    }

    /// Returns whether the run only shows what it would do.
    pub(super) const fn is_dry(&self) -> bool {
        self.record.dry_run
    }

    /// Changes the details of the record.
    pub(super) fn note(&self, change: impl FnOnce(&mut RunDetails)) {
        change(&mut self.details.lock());
    }

    /// Adds an object to the list of the record, unless it is full.
    pub(super) fn add_item(&self, item: impl FnOnce() -> RunItem) {
        self.note(|details| match details.items.len() < ITEMS {
            true => details.items.push(item()),
            false => details.more_items = true,
        });
    }

    /// Fails if the run has to end.
    pub(super) fn check_goes_on(&self) -> Result<(), RunError> {
        if !self.held.is_held() {
            return Err(RunError::Stopped(
                "the server stops, or another server has taken over: the next run continues",
            ));
        }
        if self.begun.elapsed() > self.parts.config.run_time() {
            return Err(RunError::Stopped("the time of the run (maintenance.run_s) is over: the next run continues"));
        }
        Ok(())
    }

    /// Reads the table's pointer.
    pub(super) async fn pointer(&self) -> Result<TableRecord, RunError> {
        let found = self.parts.store.table_by_id(self.table.warehouse.warehouse_ref, self.table.record.id).await?;
        found.ok_or(RunError::Stopped("the table was dropped"))
    }

    /// Reads the table's current document. Fails if the table's properties forbid the removal of files.
    pub(super) async fn document(&self) -> Result<Arc<Document>, RunError> {
        let record = self.pointer().await?;
        let document = self.parts.documents.get(&self.table.warehouse.storage, &record.metadata_location).await?;
        if !allows_removal(document.metadata.properties()) {
            let message = "the table's property 'gc.enabled' is not true, so none of its files may be removed";
            return Err(RunError::Failed(message.to_owned()));
        }
        Ok(document)
    }

    /// Returns the policy of the table with this document.
    pub(super) fn policy(&self, document: &Document) -> Result<MaintenancePolicy, RunError> {
        let properties = MaintenancePolicy::from_properties(document.metadata.properties());
        let properties = properties.map_err(|error| RunError::Failed(error.to_string()))?;
        Ok(self.policy.own.clone().within(&properties).within(&self.policy.outer))
    }

    /// Returns the table's locations that overlap no other table. Only there may files be removed.
    pub(super) async fn own_locations(&self, document: &Document) -> Result<Vec<Location>, RunError> {
        let valid = ValidLocations::from_table(&document.metadata, &self.table.warehouse.root);
        let valid = valid.map_err(|refused| RunError::Failed(refused.to_string()))?;
        let (warehouse_ref, table) = (self.table.warehouse.warehouse_ref, self.table.record.id);
        // The store prevents overlaps. Check again nevertheless, since a removed file is lost.
        let alone = self.parts.store.location_alone(warehouse_ref, table, valid.as_slice()).await?;
        if alone.len() < valid.as_slice().len() {
            tracing::warn!(table = %self.table.ident, "a table shares locations with others: its files there stay");
        }
        Ok(alone)
    }

    /// Changes the table by an edit, as an ordinary commit.
    pub(super) async fn edit(&self, edit: Arc<dyn TableEdit>) -> Result<EditedTable, EditError> {
        let (warehouse, ident) = (Arc::clone(&self.table.warehouse), self.table.ident.clone());
        let found = self.parts.catalog.table_find(self.authorizer.clone(), warehouse, ident).await;
        let permit = found.map_err(EditError::not_begun)?;
        if permit.record.id != self.table.record.id {
            return Err(EditError::not_begun(RunError::Stopped("another table has the name now")));
        }
        let change = self.change.with_time(self.parts.clock.now_ms()).without_receipt();
        self.parts.catalog.table_edit(permit, edit, &change).await.map_err(EditError::begun)
    }
}
