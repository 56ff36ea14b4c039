//! `tidewater namespace`.

use anyhow::{Result, anyhow};
use clap::Subcommand;
use serde_json::json;
use tidewater_core::name::NamespaceIdent;

use super::output::{self, Format};
use super::session::{Session, WarehouseArgument, place};
use super::table_name;
use tidewater::store::{PageRequest, Resource, Store, StoreError, TableKind};

/// How namespaces can be looked at.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the namespaces at the top, or below one
    #[command(after_help = "Example:\n  tidewater namespace list --parent sales")]
    List {
        #[command(flatten)]
        warehouse: WarehouseArgument,
        /// Those directly below this one, such as sales.eu
        #[arg(long, value_name = "NAMESPACE", value_parser = table_name::parse_namespace)]
        parent: Option<NamespaceIdent>,
        #[command(flatten)]
        format: Format,
    },
    /// Show a namespace's properties, and what it holds
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

/// Does one of them.
pub(crate) async fn run(session: &Session, command: &Command) -> Result<()> {
    let store = session.store()?;
    match command {
        Command::List { warehouse, parent, format } => {
            let place = place(&warehouse.find(&store).await?);
            let listed = store.namespace_list(place, parent.as_ref(), &PageRequest::default()).await;
            let listed = listed.map_err(|error| explain(error, parent.as_ref()))?;
            let names: Vec<String> = listed.items.iter().map(table_name::shown).collect();
            if format.json {
                return output::json(&names);
            }
            let rows: Vec<_> = names.into_iter().map(|name| vec![name]).collect();
            output::table(&["namespace"], &rows, "there is no namespace here")
        }
        Command::Show { namespace, warehouse, format } => {
            let place = place(&warehouse.find(&store).await?);
            let properties = store.namespace_get(place, namespace).await?;
            let properties =
                properties.ok_or_else(|| explain(StoreError::NotFound(Resource::Namespace), Some(namespace)))?;
            let all = PageRequest::default();
            let below = store.namespace_list(place, Some(namespace), &all).await?.items.clone();
            let below: Vec<String> = below.iter().map(table_name::shown).collect();
            let tables = store.table_list(place, namespace, TableKind::Table, &all).await?.items.clone();
            let views = store.table_list(place, namespace, TableKind::View, &all).await?.items.clone();
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

fn explain(error: StoreError, namespace: Option<&NamespaceIdent>) -> anyhow::Error {
    match (error, namespace) {
        (StoreError::NotFound(Resource::Namespace), Some(namespace)) => {
            anyhow!("there is no namespace '{}': see `tidewater namespace list`", table_name::shown(namespace))
        }
        (other, _) => other.into(),
    }
}
