//! The pages of a table.

use askama::Template;
use serde_json::Value;

use crate::browse::Location;
use crate::columns::{ComparedRow, MAX_COLUMNS, columns, compare};
use crate::doctor::Snippet;
use crate::format;
use crate::frame::Frame;
use crate::snapshots::{Commits, History, Shape};
use crate::texts as t;

/// The most characters of a metadata document that its page shows.
const MAX_DOCUMENT: usize = 400_000;

/// The most properties, partition fields and the like that a page shows.
const MAX_ROWS: usize = 1_000;

/// A section of a table's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Columns, partitions and sort orders.
    Schema,
    /// Snapshots, branches and tags.
    History,
    /// The first rows.
    Rows,
    /// Data files and delete files, by size and partition.
    Files,
    /// Health, policies and runs.
    Maintenance,
    /// Properties.
    Properties,
    /// What the caller would be vended.
    Credentials,
    /// How engines read it.
    Connect,
    /// The metadata document.
    Metadata,
}

impl Section {
    /// All sections in their order.
    pub const ALL: [Self; 9] = [
        Self::Schema,
        Self::History,
        Self::Rows,
        Self::Files,
        Self::Maintenance,
        Self::Properties,
        Self::Credentials,
        Self::Connect,
        Self::Metadata,
    ];

    /// Returns the value of the query parameter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::History => "history",
            Self::Rows => "rows",
            Self::Files => "files",
            Self::Maintenance => "maintenance",
            Self::Properties => "properties",
            Self::Credentials => "credentials",
            Self::Connect => "connect",
            Self::Metadata => "metadata",
        }
    }

    /// Returns its name for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Schema => t::SCHEMA,
            Self::History => t::HISTORY,
            Self::Rows => t::care::FIRST_ROWS,
            Self::Files => t::FILES,
            Self::Maintenance => t::care::MAINTENANCE,
            Self::Properties => t::PROPERTIES,
            Self::Credentials => t::CREDENTIALS,
            Self::Connect => t::NAV_CONNECT,
            Self::Metadata => t::METADATA,
        }
    }

    /// Returns whether the section is a page of its own. The others are parts of one page.
    const fn is_page(self) -> bool {
        matches!(self, Self::Rows | Self::Files | Self::Maintenance)
    }

    /// Returns whether only admins get it from the API.
    const fn is_for_admins(self) -> bool {
        matches!(self, Self::Files | Self::Maintenance)
    }

    /// Returns the section of a query parameter, or the first one.
    #[must_use]
    pub fn parse(name: Option<&str>) -> Self {
        let mut parts = Self::ALL.into_iter().filter(|one| !one.is_page());
        parts.find(|one| Some(one.name()) == name).unwrap_or(Self::Schema)
    }
}

/// A link to a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tab {
    /// Its name.
    pub label: &'static str,
    /// Where it leads.
    pub href: String,
    /// Whether the page shows it.
    pub is_here: bool,
}

/// A fact about a table: its name and value.
pub type Fact = (&'static str, String);

/// A field of a partition spec or sort order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecField {
    /// The name of the column or columns.
    pub source: String,
    /// The transform.
    pub transform: String,
    /// The name of the partition field, or the direction of the order.
    pub result: String,
}

/// A partition spec or sort order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its id.
    pub id: i64,
    /// Whether new data uses it.
    pub is_default: bool,
    /// Its fields; none if the table is not partitioned or sorted by it.
    pub fields: Vec<SpecField>,
}

/// The ids of a table's schemas, and the two that are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaChoice {
    /// All ids.
    pub ids: Vec<i64>,
    /// The older one, if two are compared.
    pub left: Option<i64>,
    /// The shown or newer one.
    pub right: i64,
}

impl SchemaChoice {
    /// Returns whether this is the older schema.
    #[must_use]
    pub fn is_left(&self, id: &i64) -> bool {
        self.left == Some(*id)
    }
}

/// The schema section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaView {
    /// The schemas.
    pub choice: SchemaChoice,
    /// The rows: one schema, or two side by side.
    pub rows: Vec<ComparedRow>,
    /// Whether there are more columns than rows.
    pub is_cut: bool,
    /// The partition specs.
    pub partitions: Vec<Spec>,
    /// The sort orders.
    pub orders: Vec<Spec>,
}

/// The partition specs or the sort orders, with their texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecGroup<'a> {
    /// The heading.
    pub heading: &'static str,
    /// The text for one without fields.
    pub none: &'static str,
    /// The heading of what a field gives.
    pub result: &'static str,
    /// The specs or orders.
    pub specs: &'a [Spec],
}

impl SchemaView {
    /// Returns the partition specs and the sort orders.
    #[must_use]
    pub fn groups(&self) -> [SpecGroup<'_>; 2] {
        let group = |heading, none, result, specs| SpecGroup { heading, none, result, specs };
        [
            group(t::PARTITIONS, t::NOT_PARTITIONED, t::PARTITION_FIELD, &self.partitions),
            group(t::SORT_ORDERS, t::NOT_SORTED, t::DIRECTION, &self.orders),
        ]
    }
}

/// Credentials as a caller would get them, without the secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VendedRow {
    /// The locations for which they are good.
    pub prefix: String,
    /// The names of their settings. Their values are secret, and are not shown.
    pub settings: Vec<String>,
    /// When they expire, or an empty text.
    pub expires: String,
}

/// The part of a page that depends on the section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The schema.
    Schema(SchemaView),
    /// The history.
    History(History),
    /// The properties.
    Properties(Vec<(String, String)>),
    /// Credentials.
    Credentials(Vec<VendedRow>),
    /// How engines read the table, and the address in the snippets. The script replaces it by the browser's, which has the path of a proxy.
    Connect(Vec<Snippet>, String),
    /// The document, and whether it was cut.
    Metadata(String, bool),
}

/// The page of a table.
#[derive(Debug, Template)]
#[template(path = "table.html")]
pub struct TablePage {
    /// The frame.
    pub frame: Frame,
    /// The namespace.
    pub place: Location,
    /// The table's name.
    pub name: String,
    /// The links to the sections.
    pub tabs: Vec<Tab>,
    /// What is known of the table at a glance.
    pub facts: Vec<Fact>,
    /// The shown section.
    pub content: Content,
    /// The link to this page.
    pub own: String,
    /// The link to the preview of a roll-back, without the snapshot.
    pub rollback: String,
}

impl TablePage {
    /// Returns whether the page shows the properties, and with them every fact on a small screen.
    #[must_use]
    pub const fn is_properties(&self) -> bool {
        matches!(self.content, Content::Properties(_))
    }
}

/// Returns whether a fact is long. Small screens show it with the properties only.
#[must_use]
pub fn is_long(label: &str) -> bool {
    [t::UUID, t::LOCATION].contains(&label)
}

/// What the server and the caller's role let a page offer. The API decides what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Whether the caller is an admin.
    pub is_admin: bool,
    /// Whether the server shows rows of tables.
    pub has_rows: bool,
}

/// Returns the links to a table's sections.
#[must_use]
pub fn tabs(place: &Location, name: &str, here: Section, offer: Offer) -> Vec<Tab> {
    let tab = |section: Section| {
        let link = match section.is_page() {
            true => place.object(section.name(), name),
            false => place.object("table", name).with("show", section.name()),
        };
        Tab { label: section.label(), href: link.text(), is_here: section == here }
    };
    let is_offered = |section: &Section| match section {
        Section::Rows => offer.has_rows,
        section => offer.is_admin || !section.is_for_admins(),
    };
    Section::ALL.into_iter().filter(is_offered).map(tab).collect()
}

/// Returns what is known of a table at a glance.
#[must_use]
pub fn facts(metadata: &Value) -> Vec<Fact> {
    let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
    let current = metadata["current-snapshot-id"].as_i64();
    let snapshots = metadata["snapshots"].as_array().into_iter().flatten();
    let summary = snapshots.filter(|one| one["snapshot-id"].as_i64() == current).find_map(|one| one.get("summary"));
    let number = |name: &str| summary?.get(name)?.as_str()?.parse::<i64>().ok();
    let distinct = statistics(metadata, current);
    [
        (t::ROWS, number("total-records").map(format::count).unwrap_or_default()),
        (t::DATA_FILES, number("total-data-files").map(format::count).unwrap_or_default()),
        (t::DELETE_FILES, number("total-delete-files").map(format::count).unwrap_or_default()),
        (t::SIZE, number("total-files-size").map(format::bytes).unwrap_or_default()),
        (t::FORMAT_VERSION, metadata["format-version"].as_i64().map(|version| version.to_string()).unwrap_or_default()),
        (t::UPDATED, metadata["last-updated-ms"].as_i64().map(format::time).unwrap_or_default()),
        (t::STATISTICS, distinct),
        (t::UUID, text("table-uuid")),
        (t::LOCATION, text("location")),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect()
}

/// Returns how many columns have statistics of a snapshot.
fn statistics(metadata: &Value, snapshot: Option<i64>) -> String {
    let files = metadata["statistics"].as_array().into_iter().flatten();
    let file = files.filter(|_| snapshot.is_some()).find(|file| file["snapshot-id"].as_i64() == snapshot);
    let blobs = file.and_then(|file| file["blob-metadata"].as_array()).map_or(0, Vec::len);
    if blobs == 0 { String::new() } else { t::statistics(blobs) }
}

/// Reads the schema section. `left` and `right` are ids of schemas to compare.
#[must_use]
pub fn schema(metadata: &Value, left: Option<i64>, right: Option<i64>) -> SchemaView {
    let schemas = metadata["schemas"].as_array().map(Vec::as_slice).unwrap_or_default();
    let id_of = |schema: &Value| schema["schema-id"].as_i64().unwrap_or_default();
    let find = |id: i64| schemas.iter().find(|schema| id_of(schema) == id);
    let current = metadata["current-schema-id"].as_i64().unwrap_or_default();
    let right = right.filter(|id| find(*id).is_some()).unwrap_or(current);
    let left = left.filter(|id| find(*id).is_some() && *id != right);
    let shown = find(right).unwrap_or(&Value::Null);
    let rows = compare(left.and_then(find).unwrap_or(shown), shown);
    let names = columns(find(current).unwrap_or(&Value::Null));
    SchemaView {
        choice: SchemaChoice { ids: schemas.iter().take(MAX_ROWS).map(id_of).collect(), left, right },
        is_cut: rows.len() >= MAX_COLUMNS,
        rows,
        partitions: specs(metadata, ("partition-specs", "spec-id", "default-spec-id"), &|field| SpecField {
            source: source(field, &names),
            transform: transform(field),
            result: field["name"].as_str().unwrap_or_default().to_owned(),
        }),
        orders: specs(metadata, ("sort-orders", "order-id", "default-sort-order-id"), &|field| SpecField {
            source: source(field, &names),
            transform: transform(field),
            result: [&field["direction"], &field["null-order"]].map(|one| one.as_str().unwrap_or_default()).join(" "),
        }),
    }
}

fn specs(metadata: &Value, (list, id, default): (&str, &str, &str), field: &dyn Fn(&Value) -> SpecField) -> Vec<Spec> {
    let default = metadata[default].as_i64();
    let all = metadata[list].as_array().into_iter().flatten().take(MAX_ROWS);
    all.map(|one| Spec {
        id: one[id].as_i64().unwrap_or_default(),
        is_default: one[id].as_i64() == default,
        fields: one["fields"].as_array().into_iter().flatten().take(MAX_ROWS).map(field).collect(),
    })
    .collect()
}

/// Returns the names of a field's source columns, or their ids if the current schema has none of that id.
fn source(field: &Value, names: &[crate::columns::Column]) -> String {
    let one = field["source-id"].as_i64().into_iter();
    let several = field["source-ids"].as_array().into_iter().flatten().filter_map(Value::as_i64);
    let name = |id: i64| {
        names.iter().find(|column| column.id == id).map_or_else(|| format!("#{id}"), |column| column.name.clone())
    };
    one.chain(several).map(name).collect::<Vec<_>>().join(", ")
}

fn transform(field: &Value) -> String {
    match &field["transform"] {
        Value::String(name) => name.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Reads the properties of a table, view or namespace, by name.
#[must_use]
pub fn properties(properties: &Value) -> Vec<(String, String)> {
    let fields = properties.as_object().into_iter().flatten().take(MAX_ROWS);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut found: Vec<(String, String)> = fields.map(|(name, value)| (name.clone(), text(value))).collect();
    found.sort();
    found
}

/// Reads credentials from the API's answer. Drops all secrets.
#[must_use]
pub fn vended(answer: &Value) -> Vec<VendedRow> {
    let all = answer["storage-credentials"].as_array().into_iter().flatten().take(MAX_ROWS);
    all.map(|one| {
        let config = one["config"].as_object();
        let names = || config.into_iter().flatten();
        let expires = names().find(|(name, _)| name.contains("expires-at-ms"));
        let expires = expires.and_then(|(_, value)| value.as_str()?.parse().ok()).map(format::time);
        VendedRow {
            prefix: one["prefix"].as_str().unwrap_or_default().to_owned(),
            settings: names().map(|(name, _)| name.clone()).collect(),
            expires: expires.unwrap_or_default(),
        }
    })
    .collect()
}

/// Formats a document for people, up to a limit. Returns whether it was cut.
#[must_use]
pub fn document(metadata: &Value) -> (String, bool) {
    let text = serde_json::to_string_pretty(metadata).unwrap_or_default();
    match text.char_indices().nth(MAX_DOCUMENT) {
        None => (text, false),
        Some((end, _)) => (text[..end].to_owned(), true),
    }
}

/// The preview of a roll-back.
#[derive(Debug, Template)]
#[template(path = "rollback.html")]
pub struct RollbackPage {
    /// The frame.
    pub frame: Frame,
    /// The namespace.
    pub place: Location,
    /// The table's name.
    pub name: String,
    /// The branch.
    pub branch: String,
    /// The snapshot to which the branch would point.
    pub target: i64,
    /// The time of this snapshot.
    pub target_time: String,
    /// The snapshots that the branch would no longer have, or have again: id, time, operation, rows.
    pub changed: Vec<[String; 4]>,
    /// Whether the branch points to a newer snapshot then.
    pub is_forward: bool,
    /// The snapshot at which the branch points now.
    pub head: i64,
    /// Where the form returns.
    pub back: String,
}

impl RollbackPage {
    /// Returns the page's texts: what it does, what that means, and the heading of the snapshots.
    #[must_use]
    pub const fn words(&self) -> [&'static str; 3] {
        match self.is_forward {
            true => [t::ROLL_FORWARD, t::ROLL_FORWARD_HINT, t::REGAINED],
            false => [t::ROLL_BACK, t::ROLL_BACK_HINT, t::UNDONE],
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata() -> Value {
        json!({
            "format-version": 2, "table-uuid": "u", "location": "s3://b/t", "last-updated-ms": 0, "current-schema-id": 1,
            "schemas": [
                { "schema-id": 0, "fields": [{ "id": 1, "name": "a", "required": true, "type": "int" }] },
                { "schema-id": 1, "fields": [{ "id": 1, "name": "b", "required": true, "type": "int" }] },
            ],
            "default-spec-id": 1,
            "partition-specs": [
                { "spec-id": 0, "fields": [] },
                { "spec-id": 1, "fields": [{ "source-id": 1, "field-id": 1000, "name": "b_bucket", "transform": "bucket[4]" }] },
            ],
            "default-sort-order-id": 0,
            "sort-orders": [{ "order-id": 0, "fields": [{ "source-ids": [1, 9], "transform": "x", "direction": "asc", "null-order": "nulls-first" }] }],
            "current-snapshot-id": 7,
            "snapshots": [{ "snapshot-id": 7, "summary": { "total-records": "1200", "total-files-size": "2048" } }],
            "statistics": [{ "snapshot-id": 7, "blob-metadata": [{}, {}] }],
        })
    }

    #[test]
    fn table_is_shown_at_a_glance() {
        let facts = facts(&metadata());
        let value = |name: &str| facts.iter().find(|(fact, _)| *fact == name).map(|(_, value)| value.as_str());
        assert_eq!((value(t::ROWS), value(t::SIZE), value(t::DELETE_FILES)), (Some("1,200"), Some("2.0 KiB"), None));
        assert_eq!((value(t::LOCATION), value(t::STATISTICS)), (Some("s3://b/t"), Some(t::statistics(2).as_str())));
        assert!(super::facts(&json!(null)).is_empty());
    }

    #[test]
    fn schemas_are_shown_alone_or_side_by_side() {
        let alone = schema(&metadata(), None, None);
        assert_eq!((alone.choice.left, alone.choice.right, alone.rows.len()), (None, 1, 1));
        let both = schema(&metadata(), Some(0), Some(1));
        assert_eq!((both.choice.left, both.rows[0].change), (Some(0), crate::columns::Change::Changed));
        let missing = schema(&metadata(), Some(9), Some(9));
        assert_eq!((missing.choice.left, missing.choice.right), (None, 1));
        assert!(schema(&json!(null), None, None).rows.is_empty());
    }

    #[test]
    fn partitions_and_orders_name_their_columns() {
        let shown = schema(&metadata(), None, None);
        let spec = &shown.partitions[1];
        assert!(spec.is_default && !shown.partitions[0].is_default);
        assert_eq!((spec.fields[0].source.as_str(), spec.fields[0].transform.as_str()), ("b", "bucket[4]"));
        assert_eq!(
            (shown.orders[0].fields[0].source.as_str(), shown.orders[0].fields[0].result.as_str()),
            ("b, #9", "asc nulls-first")
        );
    }

    #[test]
    fn vended_credentials_are_shown_without_their_secrets() {
        let answer = json!({ "storage-credentials": [{ "prefix": "s3://b/t/", "config": {
            "s3.secret-access-key": "hidden", "s3.session-token-expires-at-ms": "0" } }] });
        let rows = vended(&answer);
        assert_eq!((rows[0].prefix.as_str(), rows[0].expires.as_str()), ("s3://b/t/", "1970-01-01 00:00:00 UTC"));
        assert!(
            rows[0].settings.contains(&"s3.secret-access-key".to_owned()) && !format!("{rows:?}").contains("hidden")
        );
    }

    #[test]
    fn long_document_is_cut() {
        let (text, is_cut) = document(&json!({ "a": "é".repeat(MAX_DOCUMENT) }));
        assert!(is_cut && text.chars().count() == MAX_DOCUMENT);
        assert_eq!(document(&json!({})), ("{}".to_owned(), false));
    }
}
