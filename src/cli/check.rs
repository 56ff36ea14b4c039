//! `tidewater table check` and `tidewater view check`: whether every engine can read the metadata.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::dropped::word;
use super::output::{self, Format};
use super::session::{Session, WarehouseArgument};
use super::table_name;
use tidewater::metadata::{Documents, MetadataError};
use tidewater::newer_documents::newest_beside;
use tidewater::store::{PageRequest, Place, Store, TableKind, TableRecord};
use tidewater::warehouse::OpenWarehouse;

/// What is checked.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Namespace and name, joined by dots (a dot in a name as \.). Without it, all of the warehouse are checked
    #[arg(value_parser = table_name::parse_table, value_name = "NAME")]
    name: Option<TableIdent>,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    #[command(flatten)]
    format: Format,
}

/// A table or view whose metadata has problems, or that has a newer document than the one that it points at.
struct Finding {
    name: String,
    metadata_location: String,
    problems: Vec<String>,
    newer_document: Option<PathBuf>,
}

/// Checks one table or view, or all of them, and prints what is wrong.
///
/// # Errors
/// When metadata has problems, so that a script notices. A newer document alone is none.
pub(crate) async fn run(session: &Session, kind: TableKind, arguments: &Arguments) -> Result<()> {
    let store = session.store()?;
    let (warehouse, checked, findings) = match &arguments.name {
        Some(name) => {
            let (warehouse, record) = session.tabular(&arguments.warehouse, name, kind).await?;
            let findings: Vec<Finding> = check(&warehouse, kind, name, &record).await.into_iter().collect();
            (warehouse, 1, findings)
        }
        None => {
            let warehouse = session.open(arguments.warehouse.find(&store).await?)?;
            let (checked, findings) = check_all(&store, &warehouse, kind).await?;
            (warehouse, checked, findings)
        }
    };
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    if arguments.format.json {
        let found: Vec<_> = findings
            .iter()
            .map(|one| {
                json!({"name": one.name, "metadata_location": one.metadata_location, "problems": one.problems,
                    "newer_document": one.newer_document})
            })
            .collect();
        output::json(&json!({ "checked": checked, "findings": found }))?;
    } else {
        for one in &findings {
            output::line(&format!("{} ({})", one.name, one.metadata_location))?;
            one.problems
                .iter()
                .try_for_each(|problem| output::line(&format!("  {}", problem.replace('\n', "\n  "))))?;
            if let Some(newer) = &one.newer_document {
                output::line(&format!(
                    "  note: there is a newer document, {}: a last change that was lost or never acknowledged. If it is \
                     wanted, register it with `overwrite`",
                    newer.display()
                ))?;
            }
        }
    }
    let with_problems = findings.iter().filter(|one| !one.problems.is_empty()).count();
    if with_problems == 0 {
        output::note(&format!("Checked {} of warehouse '{}': no problems", count(checked, word(kind)), warehouse.name));
        return Ok(());
    }
    bail!("{with_problems} of {} with problems", count(checked, word(kind)))
}

/// Checks all tables, or views, of a warehouse. Gives how many there are, and those with problems.
async fn check_all(store: &dyn Store, warehouse: &OpenWarehouse, kind: TableKind) -> Result<(usize, Vec<Finding>)> {
    let (mut checked, mut findings) = (0, Vec::new());
    for namespace in all_namespaces(store, warehouse.place).await? {
        for name in store.table_list(warehouse.place, &namespace, kind, &PageRequest::default()).await?.items.clone() {
            let ident = TableIdent::new(namespace.clone(), &name)?;
            // One that was dropped meanwhile is none to check.
            let Some(record) = store.table_get(warehouse.place, &ident).await? else { continue };
            checked += 1;
            findings.extend(check(warehouse, kind, &ident, &record).await);
        }
    }
    Ok((checked, findings))
}

/// The namespaces of a warehouse on all levels, each after the one that it is in.
async fn all_namespaces(store: &dyn Store, place: Place) -> Result<Vec<NamespaceIdent>> {
    let mut found = store.namespace_list(place, None, &PageRequest::default()).await?.items.clone();
    let mut next = 0;
    while let Some(parent) = found.get(next).cloned() {
        found.extend(store.namespace_list(place, Some(&parent), &PageRequest::default()).await?.items.clone());
        next += 1;
    }
    Ok(found)
}

/// What there is to say of one table or view, if anything.
async fn check(
    warehouse: &OpenWarehouse,
    kind: TableKind,
    ident: &TableIdent,
    record: &TableRecord,
) -> Option<Finding> {
    let problems = problems(warehouse, kind, &record.metadata_location).await;
    let problems = problems.unwrap_or_else(|error| vec![error.to_string()]);
    let name = format!("{}.{}", table_name::shown(&ident.namespace), ident.name());
    let newer_document = newest_beside(&record.metadata_location).await;
    let is_worth_telling = !problems.is_empty() || newer_document.is_some();
    let metadata_location = record.metadata_location.clone();
    is_worth_telling.then_some(Finding { name, metadata_location, problems, newer_document })
}

async fn problems(warehouse: &OpenWarehouse, kind: TableKind, location: &str) -> Result<Vec<String>, MetadataError> {
    let documents = Documents::new(0);
    Ok(match kind {
        TableKind::Table => {
            let document = documents.get(&warehouse.storage, location).await?;
            let mut problems = document.problems();
            problems.extend(document.metadata.tolerated());
            problems
        }
        TableKind::View => documents.get_view(&warehouse.storage, location).await?.problems(),
    })
}
