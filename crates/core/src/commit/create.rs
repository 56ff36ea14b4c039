//! Creating a table.

use std::sync::Arc;

use super::apply::{Draft, check_format_version, empty};
use super::{CommitError, Context, utf8};
use crate::document::json::{Object, excerpt};
use crate::document::{DEFAULT_FORMAT_VERSION, FreshIds, PartitionSpec, Properties, Schema, SortOrder, TableMetadata};

/// Properties that speak to the catalog, and are not kept (reference implementation, `TableProperties`).
const RESERVED: [&str; 9] = [
    "format-version",
    "uuid",
    "snapshot-count",
    "current-snapshot-id",
    "current-snapshot-summary",
    "current-snapshot-timestamp-ms",
    "current-schema",
    "default-partition-spec",
    "default-sort-order",
];

/// What a new table's files are compressed with unless it says otherwise. Engines take an absent value for the older gzip.
const PARQUET_COMPRESSION: (&str, &str) = ("write.parquet.compression-codec", "zstd");

const ENCRYPTION: [&str; 2] = ["encryption.key-id", "encryption.data-key-length"];

/// What the properties begin with that say how the metrics of a column are kept.
const METRICS_OF_COLUMN: &str = "write.metadata.metrics.column.";

const COMMIT_NUMBERS: [&str; 4] = [
    "commit.retry.num-retries",
    "commit.retry.min-wait-ms",
    "commit.retry.max-wait-ms",
    "commit.retry.total-timeout-ms",
];

/// A request to add a table whose metadata exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterTable {
    /// Its name.
    pub name: String,
    /// Where its metadata is.
    pub metadata_location: String,
    /// Whether a table of that name is to be replaced.
    pub overwrite: bool,
}

impl RegisterTable {
    /// Reads the body of a request (REST specification, `RegisterTableRequest`).
    ///
    /// # Errors
    /// [`CommitError::BadRequest`] when it is malformed, or lacks the name or the location.
    pub fn parse(body: &[u8]) -> Result<Self, CommitError> {
        let object = Object::parse("register table request", utf8(body)?)?;
        Ok(Self {
            name: object.string("name")?,
            metadata_location: object.string("metadata-location")?,
            overwrite: object.optional_bool("overwrite")?.unwrap_or(false),
        })
    }
}

/// A request to create a table.
#[derive(Debug, Clone)]
pub struct CreateTable {
    /// Its name.
    pub name: String,
    /// Its columns; their ids are given anew.
    pub schema: Schema,
    /// How it is partitioned; its sources are ids of `schema`.
    pub partition_spec: Option<PartitionSpec>,
    /// How it is sorted; its sources are ids of `schema`.
    pub write_order: Option<SortOrder>,
    /// Where it is to be put.
    pub location: Option<String>,
    /// Whether the document is only to be shown, and created by a later commit.
    pub stage_create: bool,
    /// Its properties.
    pub properties: Properties,
    /// How long the body of the request was, in bytes.
    pub body_bytes: u64,
}

impl CreateTable {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`CommitError::BadRequest`] when it is malformed, or has no name or schema.
    pub fn parse(body: &[u8]) -> Result<Self, CommitError> {
        let object = Object::parse("create table request", utf8(body)?)?;
        Ok(Self {
            name: object.string("name")?,
            schema: Schema::parse(object.required("schema")?)?,
            partition_spec: object.get("partition-spec").map(PartitionSpec::parse).transpose()?,
            write_order: object.get("write-order").map(SortOrder::parse).transpose()?,
            location: object.optional_string("location")?,
            stage_create: object.optional_bool("stage-create")?.unwrap_or(false),
            properties: object.optional_read("properties", "a map of strings")?.unwrap_or_default(),
            body_bytes: body.len() as u64,
        })
    }
}

/// The first document of a table: field ids from 1, partition field ids from 1000, schema and spec 0, sort order 1 (0 when
/// it does not sort). The format version is that of the property `format-version`, else 2.
///
/// # Errors
/// [`CommitError::BadRequest`] when the schema, spec, order or properties break a rule; [`CommitError::Stopped`].
pub fn create_table(
    request: &CreateTable,
    location: &str,
    context: &Context<'_>,
) -> Result<TableMetadata, CommitError> {
    let format_version = match request.properties.get("format-version") {
        None => DEFAULT_FORMAT_VERSION,
        Some(text) => {
            let version = text.trim().parse();
            check_format_version(version.map_err(|_| CommitError::bad(format!("Invalid format-version: {text}")))?)?
        }
    };
    let mut document = empty(format_version, location, context);
    document.properties = Arc::new(persisted(&request.properties, format_version)?);

    let mut ids = FreshIds::default();
    let schema = request.schema.with_fresh_ids(&mut ids)?;
    context.stop.check()?;
    schema.check_format_version(format_version)?;
    let spec = match &request.partition_spec {
        Some(spec) => spec.with_fresh_ids(&ids)?,
        None => PartitionSpec::unpartitioned()?,
    };
    let order = match &request.write_order {
        Some(order) => order.with_fresh_ids(&ids)?,
        None => SortOrder::unsorted()?,
    };
    check_metrics_columns(&document.properties, &schema)?;
    spec.check_new(&schema.index()?, format_version)?;
    order.check_new(&schema.index()?, format_version)?;

    context.stop.check()?;

    document.last_column_id = ids.last();
    document.last_partition_id = spec.highest_field_id();
    document.default_sort_order_id = order.id();
    document.schemas.push(Arc::new(schema));
    document.partition_specs.push(Arc::new(spec));
    document.sort_orders.push(Arc::new(order));
    let mut draft = Draft::new(document, context.now_ms, true);
    draft.columns_changed = true;
    draft.finish(None, context.stop)
}

/// Properties that say how the metrics of one column are kept name a column of the table.
fn check_metrics_columns(properties: &Properties, schema: &Schema) -> Result<(), CommitError> {
    let columns = schema.index()?;
    let mut named = properties.keys().filter_map(|key| Some((key, key.strip_prefix(METRICS_OF_COLUMN)?)));
    match named.find(|(_, column)| columns.id_of(column).is_none()) {
        Some((key, column)) => Err(CommitError::bad(format!(
            "Invalid metrics config, could not find column {} from table prop {}",
            excerpt(column),
            excerpt(key)
        ))),
        None => Ok(()),
    }
}

fn persisted(asked: &Properties, format_version: u8) -> Result<Properties, CommitError> {
    let mut properties = Properties::new();
    properties.insert(PARQUET_COMPRESSION.0.to_owned(), PARQUET_COMPRESSION.1.to_owned());
    for (key, value) in asked.iter().filter(|(key, _)| !RESERVED.contains(&key.as_str())) {
        properties.insert(key.clone(), value.clone());
    }
    for key in COMMIT_NUMBERS {
        if properties.get(key).is_some_and(|value| !value.parse::<i32>().is_ok_and(|number| number >= 0)) {
            return Err(CommitError::bad(format!("Table property {key} must have non negative integer value")));
        }
    }
    if let Some(key) = ENCRYPTION.into_iter().find(|key| format_version < 3 && properties.contains_key(*key)) {
        return Err(CommitError::bad(format!("Invalid properties for v{format_version}: [{key}]")));
    }
    Ok(properties)
}
