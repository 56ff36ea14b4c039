//! What a scan is about: from a request, or from a plan task.

use serde_json::value::RawValue;
use tidewater_core::document::TableMetadata;
use tidewater_core::scan::columns::{ColumnNames, is_metadata_column};
use tidewater_core::scan::range::resolve;
use tidewater_core::scan::request::{PlanRequest, SnapshotRange};

use super::error::PlanError;
use super::prepared::{Prepared, column_ids, index_of};
use super::source::SnapshotLists;
use super::token::{PlanTask, Range};
use super::within::Within;

/// What a scan is about.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) range: Option<Range>,
    pub(super) schema_id: i32,
    pub(super) filter: Option<Box<RawValue>>,
    pub(super) case_sensitive: bool,
    pub(super) statistics: Vec<i32>,
    /// The restrictions of the caller.
    pub(super) within: Option<Within>,
}

impl Wanted {
    /// Resolves a request against the present state of its table, and binds its filter.
    ///
    /// # Errors
    /// `BadRequest` if it names a snapshot or column that the table does not have; those of [`Prepared::new`].
    pub(super) fn from_request(
        table: &TableMetadata,
        request: PlanRequest,
        within: Option<Within>,
    ) -> Result<(Self, Prepared), PlanError> {
        let bad = |error: &dyn std::fmt::Display| PlanError::BadRequest(error.to_string());
        let source = resolve(request.snapshots, request.use_snapshot_schema, table).map_err(|error| bad(&error))?;
        let range = match request.snapshots {
            SnapshotRange::Current => table.current_snapshot_id().map(Range::At),
            SnapshotRange::At(id) => Some(Range::At(id)),
            SnapshotRange::Appended { after, until } => Some(Range::Between(after, until)),
        };
        let (schema_id, current) = (source.schema.id(), table.current_schema_id());
        let bind = |schema_id| bind_names(table, schema_id, &request, within.as_ref());
        let (schema_id, prepared) = match bind(schema_id) {
            Ok(prepared) => (schema_id, prepared),
            // Java's client asks for the snapshot's schema also where it names the columns of the current one.
            Err(error @ PlanError::BadRequest(_)) if schema_id != current => {
                (current, bind(current).map_err(|_| error)?)
            }
            Err(error) => return Err(error),
        };
        let (case_sensitive, statistics) = (request.case_sensitive, prepared.statistics.clone());
        let filter = request.filter.map(|text| RawValue::from_string(text.into())).transpose();
        let filter = filter.map_err(|error| bad(&error))?;
        Ok((Self { range, schema_id, filter, case_sensitive, statistics, within }, prepared))
    }

    /// Returns what a plan task is about.
    pub(super) fn from_task(task: PlanTask, within: Option<Within>) -> Self {
        let PlanTask { range, schema_id, filter, case_sensitive, statistics, .. } = task;
        Self { range: Some(range), schema_id, filter, case_sensitive, statistics, within }
    }

    /// Binds the filter in the present state of the table.
    ///
    /// # Errors
    /// `NoSuchTask` if the schema was removed; those of [`Prepared::new`].
    pub(super) fn prepare(&self, table: &TableMetadata) -> Result<Prepared, PlanError> {
        let filter = (self.filter.as_deref().map(RawValue::get), self.case_sensitive);
        let restriction = self.within.as_ref().map(|within| within.to_scan(table)).transpose()?;
        Prepared::new(table, &index_of(table, self.schema_id)?, filter, self.statistics.clone(), restriction.as_ref())
    }

    /// Returns the length of the filter in bytes.
    pub(super) fn filter_bytes(&self) -> u64 {
        self.filter.as_ref().map_or(0, |filter| filter.get().len() as u64)
    }

    /// Finds the manifest lists in the present state of the table.
    ///
    /// # Errors
    /// `NoSuchTask` if a snapshot was removed; `Unsupported` if one has no manifest list.
    pub(super) fn lists(&self, table: &TableMetadata) -> Result<SnapshotLists, PlanError> {
        let range = match self.range {
            None => SnapshotRange::Current,
            Some(Range::At(id)) => SnapshotRange::At(id),
            Some(Range::Between(after, until)) => SnapshotRange::Appended { after, until },
        };
        let source = resolve(range, false, table).map_err(|_| PlanError::NoSuchTask)?;
        SnapshotLists::new(&source.snapshots)
    }
}

/// Finds the columns of a request in a schema, and binds its filter.
///
/// # Errors
/// `BadRequest` if a name is unknown or ambiguous; those of [`Prepared::new`].
fn bind_names(
    table: &TableMetadata,
    schema_id: i32,
    request: &PlanRequest,
    within: Option<&Within>,
) -> Result<Prepared, PlanError> {
    let (index, case_sensitive) = (index_of(table, schema_id)?, request.case_sensitive);
    let known = ColumnNames::new(&index, case_sensitive);
    // Only checked: the answer has whole files.
    column_ids(&known, request.select.iter().flatten().filter(|name| !is_metadata_column(name)))?;
    let statistics = column_ids(&known, &request.stats_fields)?;
    let restriction = within.map(|within| within.to_scan(table)).transpose()?;
    Prepared::new(table, &index, (request.filter.as_deref(), case_sensitive), statistics, restriction.as_ref())
}
