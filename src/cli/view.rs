//! `tidewater view`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::output::{self, Format};
use super::session::{Session, WarehouseArgument, place};
use super::table::{explain, field, items, moment, print, text, type_name};
use super::{check, dropped, table_name};
use tidewater::store::{PageRequest, Store, TableKind};

/// How views can be looked at.
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
    /// Check that every engine can read a view's metadata, or that of all views
    ///
    /// Lists what breaks a rule of the Iceberg specification, and fails if anything does.
    #[command(after_help = "Examples:\n  tidewater view check\n  tidewater view check demo.high_tides")]
    Check(check::Arguments),
    /// List dropped views that are not gone for good
    #[command(after_help = "Example:\n  tidewater view dropped demo")]
    Dropped(dropped::ListArguments),
    /// Restore a dropped view as it was
    #[command(after_help = "Example:\n  tidewater view restore demo.high_tides")]
    Restore(dropped::RestoreArguments),
    /// Delete a dropped view for good, now; its files stay
    #[command(alias = "remove")]
    Delete(dropped::RemoveArguments),
}

/// Does one of them.
pub(crate) async fn run(session: &Session, command: &Command) -> Result<()> {
    match command {
        Command::Check(arguments) => check::run(session, TableKind::View, arguments).await,
        Command::Dropped(arguments) => dropped::list(session, TableKind::View, arguments).await,
        Command::Restore(arguments) => dropped::restore(session, TableKind::View, arguments).await,
        Command::Delete(arguments) => dropped::remove(session, TableKind::View, arguments, None).await,
        Command::List { namespace, warehouse, format } => list(&session.store()?, namespace, warehouse, *format).await,
        Command::Show { view, warehouse, format } => show(session, view, warehouse, *format).await,
    }
}

async fn list(
    store: &dyn Store,
    namespace: &NamespaceIdent,
    warehouse: &WarehouseArgument,
    format: Format,
) -> Result<()> {
    let place = place(&warehouse.find(store).await?);
    let listed = store.table_list(place, namespace, TableKind::View, &PageRequest::default()).await;
    let names = listed.map_err(|error| explain(error, namespace))?.items.clone();
    if format.json {
        return output::json(&names);
    }
    let rows: Vec<_> = names.into_iter().map(|name| vec![name]).collect();
    output::table(&["view"], &rows, "the namespace has no views")
}

async fn show(session: &Session, view: &TableIdent, warehouse: &WarehouseArgument, format: Format) -> Result<()> {
    let shown = session.tabular(warehouse, view, TableKind::View).await?;
    print(TableKind::View, view, &shown, format, summary).await
}

/// What a metadata document says, a line for each thing; a query of several lines takes as many.
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
    fn a_view_is_summed_up_from_its_metadata() {
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
