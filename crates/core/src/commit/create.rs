//! Creates a table.

use std::sync::Arc;

use super::apply::{Draft, check_format_version, empty};
use super::{CommitError, Context, utf8};
use crate::document::json::{Object, excerpt};
use crate::document::{DEFAULT_FORMAT_VERSION, FreshIds, PartitionSpec, Properties, Schema, SortOrder, TableMetadata};

/// Properties that instruct the catalog and are not stored (reference implementation, `TableProperties`).
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

/// The default compression of a new table's Parquet files. Without the property, engines use the older gzip.
const PARQUET_COMPRESSION: (&str, &str) = ("write.parquet.compression-codec", "zstd");

const ENCRYPTION: [&str; 2] = ["encryption.key-id", "encryption.data-key-length"];

/// The prefix of properties that set the metrics mode of a column.
const METRICS_OF_COLUMN: &str = "write.metadata.metrics.column.";

const COMMIT_NUMBERS: [&str; 4] = [
    "commit.retry.num-retries",
    "commit.retry.min-wait-ms",
    "commit.retry.max-wait-ms",
    "commit.retry.total-timeout-ms",
];

/// A request to register a table from an existing metadata document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterTable {
    /// Its name.
    pub name: String,
    /// The location of its metadata document.
    pub metadata_location: String,
    /// Whether to replace a table of that name.
    pub overwrite: bool,
}

impl RegisterTable {
    /// Parses the body of a request (REST specification, `RegisterTableRequest`).
    ///
    /// # Errors
    /// [`CommitError::BadRequest`] if it is malformed, or lacks the name or the location.
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
    /// Its columns. They get new ids.
    pub schema: Schema,
    /// Its partitioning. The sources are ids of `schema`.
    pub partition_spec: Option<PartitionSpec>,
    /// Its sort order. The sources are ids of `schema`.
    pub write_order: Option<SortOrder>,
    /// The wanted location.
    pub location: Option<String>,
    /// Whether to return the document only; a later commit creates the table.
    pub stage_create: bool,
    /// Its properties.
    pub properties: Properties,
    /// The length of the request body, in bytes.
    pub body_bytes: u64,
}

impl CreateTable {
    /// Parses the body of a request.
    ///
    /// # Errors
    /// [`CommitError::BadRequest`] if it is malformed, or has no name or schema.
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

/// Returns the first document of a table: field ids from 1, partition field ids from 1000, schema 0 and spec 0, sort order
/// 1 (0 if it does not sort). The property `format-version` sets the format version, which is 2 by default.
///
/// # Errors
/// [`CommitError::BadRequest`] if the schema, spec, order or properties break a rule; [`CommitError::Stopped`].
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

/// Fails if a property sets the metrics mode of a column that the table does not have.
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
