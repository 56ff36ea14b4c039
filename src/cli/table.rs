//! `tidewater table`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::client::{Client, encoded};
use super::dropped::word;
use super::namespace::names_in;
use super::not_found::explain;
use super::output::{self, Format};
use super::scope::{WarehouseArgument, encoded_namespace};
use super::{check, dropped, reports, table_name, time};
use tidewater::store::TableKind;

/// Commands for tables.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the tables of a namespace
    #[command(after_help = "Example:\n  tidewater table list demo")]
    List {
        /// Its name, levels joined by dots (a dot in a name as \.)
        #[arg(value_parser = table_name::parse_namespace)]
        namespace: NamespaceIdent,
        #[command(flatten)]
        warehouse: WarehouseArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Find the tables, views and namespaces of a warehouse whose name contains a text
    #[command(after_help = "Examples:\n  tidewater table find orders\n  tidewater table find eu.ord --json")]
    Find {
        /// A part of the name, in upper or lower case. With a dot, also of the whole name: les.ord finds sales.orders
        text: String,
        #[command(flatten)]
        warehouse: WarehouseArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Show the location and a summary of a table's metadata
    #[command(after_help = "\
Examples:
  tidewater table show demo.tides
  tidewater table show demo.tides --json | jq .metadata.properties")]
    Show {
        /// Namespace and table, joined by dots (a dot in a name as \.)
        #[arg(value_parser = table_name::parse_table)]
        table: TableIdent,
        #[command(flatten)]
        warehouse: WarehouseArgument,
        /// Show this many of the newest snapshots
        #[arg(long, default_value_t = 10, value_name = "NUMBER")]
        snapshots: usize,
        #[command(flatten)]
        format: Format,
    },
    /// Check that every engine can read the metadata of a table, or of all tables
    ///
    /// Lists violations of the Iceberg specification, and fails if there are any. Tables that another catalog or an older
    /// version wrote may have some. The next commit to a table repairs most of them.
    #[command(after_help = "Examples:\n  tidewater table check\n  tidewater table check demo.tides --json")]
    Check(check::Arguments),
    /// Show the metrics reports that clients sent about their scans and commits
    #[command(after_help = "Example:\n  tidewater table metrics demo.tides --type scan-report --since 1d")]
    Metrics(reports::Arguments),
    /// List dropped tables that are not yet deleted for good
    #[command(after_help = "Example:\n  tidewater table dropped demo")]
    Dropped(dropped::ListArguments),
    /// Restore a dropped table
    #[command(after_help = "\
Examples:
  tidewater table restore demo.tides
  tidewater table restore demo.tides --as demo.old_tides")]
    Restore(dropped::RestoreArguments),
    /// Delete a dropped table for good, now
    #[command(alias = "remove")]
    Delete {
        #[command(flatten)]
        table: dropped::RemoveArguments,
        #[command(flatten)]
        files: dropped::FilesArguments,
    },
}

/// Runs a command.
pub(crate) async fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::Check(arguments) => check::run(client, TableKind::Table, arguments).await,
        Command::Metrics(arguments) => reports::run(client, arguments).await,
        Command::Dropped(arguments) => dropped::list(client, TableKind::Table, arguments).await,
        Command::Restore(arguments) => dropped::restore(client, TableKind::Table, arguments).await,
        Command::Delete { table, files } => dropped::remove(client, TableKind::Table, table, Some(files)).await,
        Command::List { namespace, warehouse, format } => {
            list(client, TableKind::Table, namespace, warehouse, *format).await
        }
        Command::Find { text, warehouse, format } => find(client, text, warehouse, *format).await,
        Command::Show { table, warehouse, snapshots, format } => {
            let summary = |metadata: &Value| summary(metadata, *snapshots);
            show(client, TableKind::Table, table, warehouse, *format, summary).await
        }
    }
}

/// Lists the tables or views of a namespace.
pub(super) async fn list(
    client: &Client,
    kind: TableKind,
    namespace: &NamespaceIdent,
    warehouse: &WarehouseArgument,
    format: Format,
) -> Result<()> {
    let names = names_in(client, &warehouse.find(client).await?, namespace, kind).await?;
    if format.json {
        return output::json(&names);
    }
    let rows: Vec<_> = names.into_iter().map(|name| vec![name]).collect();
    output::table(&[word(kind)], &rows, &format!("the namespace has no {}s", word(kind)))
}

/// Finds the tables, views and namespaces whose name contains a text.
async fn find(client: &Client, text: &str, warehouse: &WarehouseArgument, format: Format) -> Result<()> {
    let path = warehouse.find(client).await?.path(&format!("/search?name={}", encoded(text)));
    let found = client.list(&path, "objects").await?;
    if format.json {
        return output::json(&found);
    }
    output::table(&["type", "name"], &found.iter().map(found_row).collect::<Vec<_>>(), "no name contains the text")
}

/// Returns an object that was found as a row.
fn found_row(object: &Value) -> Vec<String> {
    let levels = object["namespace"].as_array().into_iter().flatten().chain(object.get("name"));
    vec![text(&object["type"]), table_name::joined(levels.filter_map(Value::as_str))]
}

/// Prints the location of a table's or view's metadata and its `summary`. With `--json`, prints the whole metadata.
pub(super) async fn show(
    client: &Client,
    kind: TableKind,
    ident: &TableIdent,
    warehouse: &WarehouseArgument,
    format: Format,
    summary: impl FnOnce(&Value) -> Vec<String>,
) -> Result<()> {
    let warehouse = warehouse.find(client).await?;
    let word = word(kind);
    let (namespace, name) = (encoded_namespace(&ident.namespace), encoded(ident.name()));
    let path = warehouse.path(&format!("/tables?namespace={namespace}&name={name}&kind={word}"));
    let mut found = client.get(&path).await.map_err(|error| explain(error, kind, ident))?;
    let shown = found["tables"][0].take();
    let (id, location, metadata) = (text(&shown["id"]), text(&shown["metadata-location"]), &shown["metadata"]);
    if format.json {
        return output::json(&json!({"id": id, "metadata-location": location, "metadata": metadata}));
    }
    let head = [(word, ident.to_string()), ("id", id), ("metadata", location)];
    let head = head.map(|(label, value)| field(label, &value));
    head.into_iter().chain(summary(metadata)).try_for_each(|line| output::line(&line))
}

pub(super) fn field(label: &str, value: &str) -> String {
    format!("{label:<13} {value}")
}

/// Returns a summary of a metadata document, as lines. Lists at most `snapshots` snapshots: the newest, newest last.
fn summary(metadata: &Value, snapshots: usize) -> Vec<String> {
    let mut lines = vec![
        field("format", &format!("version {}", metadata["format-version"])),
        field("uuid", metadata["table-uuid"].as_str().unwrap_or("none")),
        field("location", metadata["location"].as_str().unwrap_or("none")),
        field("updated", &moment(&metadata["last-updated-ms"])),
    ];
    let current = |list: &str, id: &str, current: &str| {
        let wanted = &metadata[current];
        items(&metadata[list]).find(|item| item[id] == *wanted).cloned().unwrap_or(Value::Null)
    };
    let schema = current("schemas", "schema-id", "current-schema-id");
    for column in items(&schema["fields"]) {
        let required = if column["required"] == true { " required" } else { "" };
        lines.push(field("column", &format!("{} {}{required}", text(&column["name"]), type_name(&column["type"]))));
    }
    let spec = current("partition-specs", "spec-id", "default-spec-id");
    for part in items(&spec["fields"]) {
        lines.push(field("partition by", &format!("{} ({})", text(&part["name"]), text(&part["transform"]))));
    }
    let order = current("sort-orders", "order-id", "default-sort-order-id");
    for part in items(&order["fields"]) {
        let source = items(&schema["fields"]).find(|column| column["id"] == part["source-id"]);
        let source = source.map_or_else(|| format!("field {}", part["source-id"]), |column| text(&column["name"]));
        lines.push(field("sort by", &format!("{source} {} ({})", text(&part["direction"]), text(&part["transform"]))));
    }
    for (name, reference) in metadata["refs"].as_object().into_iter().flatten() {
        lines.push(field(&text(&reference["type"]), &format!("{name} -> {}", reference["snapshot-id"])));
    }
    let count = items(&metadata["snapshots"]).count();
    lines.push(field("snapshots", &count.to_string()));
    for snapshot in items(&metadata["snapshots"]).skip(count.saturating_sub(snapshots)) {
        lines.push(field("", &snapshot_line(snapshot, snapshot["snapshot-id"] == metadata["current-snapshot-id"])));
    }
    for (key, value) in metadata["properties"].as_object().into_iter().flatten() {
        lines.push(field("property", &format!("{key} = {}", text(value))));
    }
    lines
}

fn snapshot_line(snapshot: &Value, current: bool) -> String {
    let labelled = |key: &str, label: &str| {
        let value = snapshot["summary"][key].as_str()?;
        Some(format!("  {label} {value}"))
    };
    format!(
        "{} {}  {}{}{}{}",
        if current { "*" } else { " " },
        snapshot["snapshot-id"],
        moment(&snapshot["timestamp-ms"]),
        snapshot["summary"]["operation"].as_str().map_or_else(String::new, |operation| format!("  {operation}")),
        labelled("added-records", "added").unwrap_or_default(),
        labelled("total-records", "rows").unwrap_or_default(),
    )
}

pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn moment(ms: &Value) -> String {
    ms.as_i64().map_or_else(|| "never".to_owned(), time::shown)
}

/// Returns a column's type in SQL notation.
pub(super) fn type_name(kind: &Value) -> String {
    match kind["type"].as_str() {
        Some("struct") => {
            let fields =
                items(&kind["fields"]).map(|field| format!("{} {}", text(&field["name"]), type_name(&field["type"])));
            format!("struct<{}>", fields.collect::<Vec<_>>().join(", "))
        }
        Some("list") => format!("list<{}>", type_name(&kind["element"])),
        Some("map") => format!("map<{}, {}>", type_name(&kind["key"]), type_name(&kind["value"])),
        _ => text(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_of_a_table_shows_current_schema_and_newest_snapshots() {
        let metadata = json!({
            "format-version": 2, "table-uuid": "u", "location": "file:///w/t", "last-updated-ms": 0,
            "current-schema-id": 1,
            "schemas": [
                {"schema-id": 0, "fields": [{"id": 1, "name": "old", "required": true, "type": "int"}]},
                {"schema-id": 1, "fields": [
                    {"id": 1, "name": "a", "required": true, "type": "long"},
                    {"id": 2, "name": "b", "required": false, "type": {"type": "map", "key": "string", "value":
                        {"type": "list", "element": {"type": "struct", "fields": [{"name": "c", "type": "date"}]}}}},
                ]},
            ],
            "default-spec-id": 0,
            "partition-specs": [{"spec-id": 0, "fields": [{"source-id": 1, "name": "a_bucket", "transform": "bucket[4]"}]}],
            "default-sort-order-id": 1,
            "sort-orders": [{"order-id": 1, "fields": [{"source-id": 1, "transform": "identity", "direction": "asc"}]}],
            "refs": {"main": {"type": "branch", "snapshot-id": 8}},
            "current-snapshot-id": 8,
            "snapshots": [
                {"snapshot-id": 7, "timestamp-ms": 0},
                {"snapshot-id": 8, "timestamp-ms": 1000,
                 "summary": {"operation": "append", "added-records": "3", "total-records": "9"}},
            ],
            "properties": {"k": "v"},
        });
        let lines = summary(&metadata, 1);
        for wanted in [
            "format        version 2",
            "column        a long required",
            "column        b map<string, list<struct<c date>>>",
            "partition by  a_bucket (bucket[4])",
            "sort by       a asc (identity)",
            "branch        main -> 8",
            "snapshots     2",
            "              * 8  1970-01-01T00:00:01Z  append  added 3  rows 9",
            "property      k = v",
        ] {
            assert!(lines.contains(&wanted.to_owned()), "{wanted} is not in {lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.contains("old") || line.contains(" 7 ")), "{lines:#?}");
    }

    #[test]
    fn summary_of_an_empty_document_does_not_fail() {
        assert!(summary(&json!({}), 10).contains(&"snapshots     0".to_owned()));
    }
}
