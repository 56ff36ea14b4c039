//! The filter of a scan, prepared for each partition spec of the table.

use std::collections::HashMap;
use std::sync::Arc;

use tidewater_core::document::{PartitionSpec, SchemaIndex, TableMetadata};
use tidewater_core::restrictions::planning::ScanRestriction;
use tidewater_core::scan::bound::{Bound, bind};
use tidewater_core::scan::columns::ColumnNames;
use tidewater_core::scan::expression::Expression;
use tidewater_core::scan::partition::{PartitionFilter, client_types};
use tidewater_core::scan::project::inclusive;
use tidewater_core::scan::residual::Residuals;
use tidewater_core::scan::value::ValueType;

use super::error::PlanError;

/// The most bytes of filters for all partition specs of a table: the filter's length times their number. In memory it takes many times
/// as much.
const MAX_PROJECTED_BYTES: usize = 8 << 20;

/// The filter of a scan, and the wanted statistics.
#[derive(Debug)]
pub(super) struct Prepared {
    specs: HashMap<i32, SpecFilter>,
    /// The field ids of columns whose statistics are wanted.
    pub(super) statistics: Vec<i32>,
    /// Whether the answer must not depend on the statistics of hidden rows and masked columns.
    pub(super) hides: bool,
}

/// The filter for the files of a partition spec.
#[derive(Debug)]
pub(super) struct SpecFilter {
    pub(super) spec_id: i32,
    /// Which partitions may have matching rows.
    pub(super) inclusive: PartitionFilter,
    /// What is left of the filter in each partition.
    pub(super) residuals: Residuals,
    /// What is left of the filter of visible rows in each partition. `None` if the caller may know of all rows.
    pub(super) visible: Option<Residuals>,
    /// The types of the partition's values, as clients expect them.
    pub(super) types: Vec<Option<ValueType>>,
}

impl Prepared {
    /// Binds a filter to the columns of a schema, and projects it onto all partition specs. `filter` is its JSON. With a restriction, only
    /// rows that it shows match.
    ///
    /// # Errors
    /// `BadRequest` if the filter is malformed or does not fit the schema; `Unsupported` if it is too long for so many specs;
    /// `Restricted` if it tests a masked column.
    pub(super) fn new(
        table: &TableMetadata,
        index: &SchemaIndex<'_>,
        (filter, case_sensitive): (Option<&str>, bool),
        statistics: Vec<i32>,
        restriction: Option<&ScanRestriction>,
    ) -> Result<Self, PlanError> {
        let mut bound = filter.map_or(Ok(Bound::True), |text| bind_filter(text, index, case_sensitive))?;
        let (filter_bytes, specs) = (filter.map_or(0, str::len), table.partition_specs().count());
        if filter_bytes.saturating_mul(specs) > MAX_PROJECTED_BYTES && specs > 1 {
            return Err(PlanError::Unsupported(format!(
                "The filter has {filter_bytes} bytes, which is too long for a table with {specs} partition specs"
            )));
        }
        let mut hidden = None;
        if let Some(restriction) = restriction {
            restriction.check_filter(&bound, index)?;
            let visible = restriction.visible(index);
            bound = Bound::and([visible.clone(), bound]);
            hidden = restriction.hides().then_some(visible);
        }
        let statistics = if hidden.is_some() { Vec::new() } else { statistics };
        // Clients know the partition specs with the current schema.
        let current = index_of(table, table.current_schema_id())?;
        let prepare = |spec: &PartitionSpec| {
            let (inclusive, residuals) = (inclusive(&bound, spec, index), Residuals::new(&bound, spec, index));
            let visible = hidden.as_ref().map(|visible| Residuals::new(visible, spec, index));
            SpecFilter { spec_id: spec.id(), inclusive, residuals, visible, types: client_types(spec, &current) }
        };
        let specs = table.partition_specs().map(|spec| (spec.id(), prepare(spec))).collect();
        Ok(Self { specs, statistics, hides: hidden.is_some() })
    }

    /// Returns the filter for a partition spec.
    ///
    /// # Errors
    /// `Unsupported` if the table has no such spec.
    pub(super) fn spec(&self, spec_id: i32) -> Result<&SpecFilter, PlanError> {
        let unknown = || {
            PlanError::Unsupported(format!(
                "A manifest has the partition spec {spec_id}, which the table does not have"
            ))
        };
        self.specs.get(&spec_id).ok_or_else(unknown)
    }
}

fn bind_filter(text: &str, index: &SchemaIndex<'_>, case_sensitive: bool) -> Result<Bound, PlanError> {
    bind(&Expression::parse(text).map_err(bad)?, index, case_sensitive).map_err(bad)
}

/// Returns the ids of columns by their names.
///
/// # Errors
/// `BadRequest` if a name is unknown or ambiguous.
pub(super) fn column_ids<'n>(
    known: &ColumnNames<'_>,
    names: impl IntoIterator<Item = &'n String>,
) -> Result<Vec<i32>, PlanError> {
    let mut ids = names.into_iter().map(|name| known.id(name).map_err(bad)).collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Returns the index of a schema of the table.
///
/// # Errors
/// `NoSuchTask` if the table does not have the schema any more.
pub(super) fn index_of(table: &TableMetadata, schema_id: i32) -> Result<SchemaIndex<'_>, PlanError> {
    let schema = table.schema(schema_id).ok_or(PlanError::NoSuchTask)?;
    schema.index().map_err(|error| PlanError::Unsupported(format!("The table's schema cannot be used: {error}")))
}

fn bad(error: impl std::fmt::Display) -> PlanError {
    PlanError::BadRequest(error.to_string())
}

/// What is left of a filter in one partition.
#[derive(Debug)]
pub(super) struct Rest {
    /// The filter of rows.
    pub(super) filter: Bound,
    /// The filter that statistics are compared with, if some rows of the partition may be hidden: the filter of visible rows alone.
    /// Otherwise a caller would learn from the absence of a file what its hidden rows are.
    pub(super) shows: Option<Bound>,
    /// Its JSON, for clients.
    pub(super) json: Box<[u8]>,
}

/// What the filter says about one partition.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// No row matches.
    Excluded,
    /// Rows may match.
    Kept(Arc<Rest>),
}
