//! `tidewater namespace`.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use clap::Subcommand;
use serde_json::json;
use tidewater_core::name::NamespaceIdent;

use super::client::{Client, refusal};
use super::dropped::word;
use super::output::{self, Format};
use super::scope::{Warehouse, WarehouseArgument, encoded_namespace};
use super::table_name;
use tidewater::store::TableKind;

/// Commands for namespaces.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the top-level namespaces, or those below a namespace
    #[command(after_help = "Example:\n  tidewater namespace list --parent sales")]
    List {
        #[command(flatten)]
        warehouse: WarehouseArgument,
        /// List the namespaces directly below this one, such as sales.eu
        #[arg(long, value_name = "NAMESPACE", value_parser = table_name::parse_namespace)]
        parent: Option<NamespaceIdent>,
        #[command(flatten)]
        format: Format,
    },
    /// Show a namespace's properties, child namespaces, tables and views
    #[command(after_help = "Example:\n  tidewater namespace show sales.eu")]
    Show {
        /// Its name, levels joined by dots (a dot in a name as \.)
        #[arg(value_parser = table_name::parse_namespace)]
        namespace: NamespaceIdent,
        #[command(flatten)]
        warehouse: WarehouseArgument,
        #[command(flatten)]
        format: Format,
    },
}

/// Runs a command.
pub(crate) async fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::List { warehouse, parent, format } => {
            let warehouse = warehouse.find(client).await?;
            let names: Vec<String> =
                below(client, &warehouse, parent.as_ref()).await?.iter().map(table_name::shown).collect();
            if format.json {
                return output::json(&names);
            }
            let rows: Vec<_> = names.into_iter().map(|name| vec![name]).collect();
            output::table(&["namespace"], &rows, "there is no namespace here")
        }
        Command::Show { namespace, warehouse, format } => {
            let warehouse = warehouse.find(client).await?;
            let at = warehouse.path(&format!("/namespaces/{}", encoded_namespace(namespace)));
            let found = client.get(&at).await.map_err(|error| explain(error, namespace))?;
            let properties: BTreeMap<String, String> = serde_json::from_value(found["properties"].clone())?;
            let below = below(client, &warehouse, Some(namespace)).await?;
            let below: Vec<String> = below.iter().map(table_name::shown).collect();
            let tables = names_in(client, &warehouse, namespace, TableKind::Table).await?;
            let views = names_in(client, &warehouse, namespace, TableKind::View).await?;
            if format.json {
                return output::json(&json!({
                    "namespace": namespace.levels().collect::<Vec<_>>(),
                    "properties": properties,
                    "namespaces": below,
                    "tables": tables,
                    "views": views,
                }));
            }
            output::line(&format!("namespace   {}", table_name::shown(namespace)))?;
            for (key, value) in &properties {
                output::line(&format!("property    {key} = {value}"))?;
            }
            for name in &below {
                output::line(&format!("namespace   {name}"))?;
            }
            tables.iter().try_for_each(|name| output::line(&format!("table       {name}")))?;
            views.iter().try_for_each(|name| output::line(&format!("view        {name}")))
        }
    }
}

/// Lists the top-level namespaces of a warehouse, or those directly below `parent`.
async fn below(client: &Client, warehouse: &Warehouse, parent: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>> {
    let path = match parent {
        Some(parent) => format!("/namespaces?parent={}", encoded_namespace(parent)),
        None => "/namespaces".to_owned(),
    };
    let listed = client.list(&warehouse.path(&path), "namespaces").await;
    let listed = match parent {
        Some(parent) => listed.map_err(|error| explain(error, parent)),
        None => listed,
    };
    let levels = listed?.into_iter().map(serde_json::from_value::<Vec<String>>);
    levels.map(|levels| Ok(NamespaceIdent::new(&levels?)?)).collect()
}

/// Lists the names of the tables or views in a namespace.
pub(super) async fn names_in(
    client: &Client,
    warehouse: &Warehouse,
    namespace: &NamespaceIdent,
    kind: TableKind,
) -> Result<Vec<String>> {
    let path = format!("/tables?namespace={}&kind={}", encoded_namespace(namespace), word(kind));
    let listed = client.list(&warehouse.path(&path), "tables").await;
    let listed = listed.map_err(|error| explain(error, namespace))?;
    Ok(listed.iter().filter_map(|one| one["name"].as_str()).map(str::to_owned).collect())
}

fn explain(error: anyhow::Error, namespace: &NamespaceIdent) -> anyhow::Error {
    match refusal(&error) {
        Some(refused) if refused.kind == "NoSuchNamespaceException" => {
            anyhow!("there is no namespace '{}': see `tidewater namespace list`", table_name::shown(namespace))
        }
        _ => error,
    }
}
