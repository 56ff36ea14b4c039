//! `tidewater view`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::client::Client;
use super::output::Format;
use super::scope::WarehouseArgument;
use super::table::{field, items, list, moment, show, text, type_name};
use super::{check, dropped, table_name};
use tidewater::store::TableKind;

/// Commands for views.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the views of a namespace
    #[command(after_help = "Example:\n  tidewater view list demo")]
    List {
        /// Its name, levels joined by dots (a dot in a name as \.)
        #[arg(value_parser = table_name::parse_namespace)]
        namespace: NamespaceIdent,
        #[command(flatten)]
        warehouse: WarehouseArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Show a view's query in each dialect, and its history
    #[command(after_help = "\
Examples:
  tidewater view show demo.high_tides
  tidewater view show demo.high_tides --json | jq .metadata.properties")]
    Show {
        /// Namespace and view, joined by dots (a dot in a name as \.)
        #[arg(value_parser = table_name::parse_table)]
        view: TableIdent,
        #[command(flatten)]
        warehouse: WarehouseArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Check that every engine can read the metadata of a view, or of all views
    ///
    /// Lists violations of the Iceberg specification, and fails if there are any.
    #[command(after_help = "Examples:\n  tidewater view check\n  tidewater view check demo.high_tides")]
    Check(check::Arguments),
    /// List dropped views that are not yet deleted for good
    #[command(after_help = "Example:\n  tidewater view dropped demo")]
    Dropped(dropped::ListArguments),
    /// Restore a dropped view
    #[command(after_help = "Example:\n  tidewater view restore demo.high_tides")]
    Restore(dropped::RestoreArguments),
    /// Delete a dropped view for good, now; its files stay
    #[command(alias = "remove")]
    Delete(dropped::RemoveArguments),
}

/// Runs a command.
pub(crate) async fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::Check(arguments) => check::run(client, TableKind::View, arguments).await,
        Command::Dropped(arguments) => dropped::list(client, TableKind::View, arguments).await,
        Command::Restore(arguments) => dropped::restore(client, TableKind::View, arguments).await,
        Command::Delete(arguments) => dropped::remove(client, TableKind::View, arguments, None).await,
        Command::List { namespace, warehouse, format } => {
            list(client, TableKind::View, namespace, warehouse, *format).await
        }
        Command::Show { view, warehouse, format } => {
            show(client, TableKind::View, view, warehouse, *format, summary).await
        }
    }
}

/// Returns a summary of a metadata document, as lines. A query keeps its line breaks.
fn summary(metadata: &Value) -> Vec<String> {
    let mut lines = vec![
        field("uuid", metadata["view-uuid"].as_str().unwrap_or("none")),
        field("location", metadata["location"].as_str().unwrap_or("none")),
    ];
    let version = |id: &Value| items(&metadata["versions"]).find(|version| version["version-id"] == *id);
    if let Some(current) = version(&metadata["current-version-id"]) {
        let schema = items(&metadata["schemas"]).find(|schema| schema["schema-id"] == current["schema-id"]);
        for column in schema.into_iter().flat_map(|schema| items(&schema["fields"])) {
            lines.push(field("column", &format!("{} {}", text(&column["name"]), type_name(&column["type"]))));
        }
        for representation in items(&current["representations"]).filter(|one| one["dialect"].is_string()) {
            let sql = text(&representation["sql"]);
            let labels = std::iter::once(text(&representation["dialect"])).chain(std::iter::repeat(String::new()));
            lines.extend(labels.zip(sql.lines()).map(|(label, line)| field(&label, line)));
        }
    }
    for entry in items(&metadata["version-log"]) {
        lines.push(field("version", &format!("{} since {}", entry["version-id"], moment(&entry["timestamp-ms"]))));
    }
    for (key, value) in metadata["properties"].as_object().into_iter().flatten() {
        lines.push(field("property", &format!("{key} = {}", text(value))));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn summary_of_a_view_shows_its_current_version() {
        let metadata = json!({
            "view-uuid": "u", "location": "file:///w/v", "current-version-id": 2,
            "schemas": [
                {"schema-id": 0, "fields": [{"id": 1, "name": "old", "type": "int"}]},
                {"schema-id": 1, "fields": [{"id": 1, "name": "a", "type": "long"}]},
            ],
            "versions": [
                {"version-id": 1, "schema-id": 0, "representations": [{"type": "sql", "sql": "before", "dialect": "spark"}]},
                {"version-id": 2, "schema-id": 1, "representations": [
                    {"type": "sql", "sql": "select a\nfrom t", "dialect": "spark"}, {"type": "other"}]},
            ],
            "version-log": [{"version-id": 1, "timestamp-ms": 0}, {"version-id": 2, "timestamp-ms": 1000}],
            "properties": {"k": "v"},
        });
        assert_eq!(
            summary(&metadata),
            [
                "uuid          u",
                "location      file:///w/v",
                "column        a long",
                "spark         select a",
                "              from t",
                "version       1 since 1970-01-01T00:00:00Z",
                "version       2 since 1970-01-01T00:00:01Z",
                "property      k = v",
            ]
        );
    }
}
