//! `tidewater table check` and `tidewater view check`: checks that every engine can read the metadata.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::client::{Client, page_path};
use super::dropped::{dotted, word};
use super::not_found::explain;
use super::output::{self, Format};
use super::scope::WarehouseArgument;
use super::table_name;
use tidewater::store::TableKind;

/// Arguments of `table check` and `view check`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Namespace and name, joined by dots (a dot in a name as \.) [default: all of the warehouse]
    #[arg(value_parser = table_name::parse_table, value_name = "NAME")]
    name: Option<TableIdent>,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    #[command(flatten)]
    format: Format,
}

/// A table or view whose metadata has problems, or whose pointer is behind its newest metadata document.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Finding {
    identifier: Identifier,
    metadata_location: String,
    problems: Vec<String>,
    newer_document: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Identifier {
    namespace: Vec<String>,
    name: String,
}

impl Finding {
    /// Returns the name as the commands accept it.
    fn name(&self) -> Result<String> {
        let namespace = NamespaceIdent::new(&self.identifier.namespace)?;
        Ok(dotted(&TableIdent::new(namespace, &self.identifier.name)?))
    }
}

/// Checks one or all tables or views, and prints their problems.
///
/// # Errors
/// Fails if metadata has problems, so that a script notices. A newer document alone is not a problem.
pub(crate) async fn run(client: &Client, kind: TableKind, arguments: &Arguments) -> Result<()> {
    let warehouse = arguments.warehouse.find(client).await?;
    let mut wanted = json!({ "kind": word(kind) });
    if let Some(name) = &arguments.name {
        let levels: Vec<&str> = name.namespace.levels().collect();
        wanted["identifier"] = json!({ "namespace": levels, "name": name.name() });
    }
    let (mut checked, mut findings) = (0, Vec::new());
    let path = warehouse.path("/tables/check");
    let mut page = path.clone();
    loop {
        let answer = client.post(&page, &wanted).await;
        let answer = answer.map_err(|error| match &arguments.name {
            Some(name) => explain(error, kind, name),
            None => error,
        })?;
        checked += usize::try_from(answer["checked"].as_u64().unwrap_or(0))?;
        findings.extend(serde_json::from_value::<Vec<Finding>>(answer["findings"].clone())?);
        match answer["next-page-token"].as_str() {
            Some(token) => page = page_path(&path, None, Some(token)),
            None => break,
        }
    }
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    if arguments.format.json {
        let found = findings
            .iter()
            .map(|one| {
                Ok(json!({"name": one.name()?, "metadata-location": one.metadata_location, "problems": one.problems,
                    "newer-document": one.newer_document}))
            })
            .collect::<Result<Vec<_>>>()?;
        output::json(&json!({ "checked": checked, "findings": found }))?;
    } else {
        for one in &findings {
            output::line(&format!("{} ({})", one.name()?, one.metadata_location))?;
            one.problems
                .iter()
                .try_for_each(|problem| output::line(&format!("  {}", problem.replace('\n', "\n  "))))?;
            if let Some(newer) = &one.newer_document {
                output::line(&format!(
                    "  note: there is a newer document, {}: the last change was lost or never acknowledged. To use the \
                     document, register it with `overwrite`",
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
    bail!("{with_problems} of {} checked in warehouse '{}' have problems", count(checked, word(kind)), warehouse.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_with_a_dot_in_a_finding_can_be_passed_to_a_command() {
        let found = json!({ "identifier": { "namespace": ["a.b", "c"], "name": "d.e" }, "metadata-location": "file:///m",
            "problems": [] });
        let name = serde_json::from_value::<Finding>(found).unwrap().name().unwrap();
        assert_eq!(name, r"a\.b.c.d\.e");
        let ident = table_name::parse_table(&name).unwrap();
        assert_eq!((ident.namespace.levels().count(), ident.name()), (2, "d.e"));
    }
}
