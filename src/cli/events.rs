//! `tidewater events`.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::client::{Client, with_parameters};
use super::number::parse_limit;
use super::output::{self, Format};
use super::scope::OrganisationArgument;
use super::time;
use tidewater::store::Operation;

/// Arguments of `events`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewater events --object sales.orders
  tidewater events --operation drop-table --since 7d
  tidewater events --actor ci --limit 20 --json

The newest come first. Write a table's name with its namespace, joined by dots.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    organisation: OrganisationArgument,
    /// Show the events of all organisations and of the server itself
    #[arg(long, conflicts_with = "org")]
    all: bool,
    /// Only show events about objects of this name, before or after a rename
    #[arg(long, value_name = "NAME")]
    object: Option<String>,
    /// Only show changes by the key of this name or id, by this user of the machine, or by the catalog
    #[arg(long, value_name = "NAME|ID")]
    actor: Option<String>,
    /// Only show this operation, such as drop-table
    #[arg(long, value_name = "OPERATION")]
    operation: Option<Operation>,
    /// Only show events of this long ago or less, such as 12h
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
    since: Option<i64>,
    /// Show at most this many
    #[arg(long, default_value = "50", value_name = "NUMBER", value_parser = parse_limit)]
    limit: usize,
    #[command(flatten)]
    format: Format,
}

/// Shows events.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<()> {
    let path = match arguments.all {
        true => "/management/v1/events".to_owned(),
        false => arguments.organisation.find(client).await?.path("/events"),
    };
    let parameters = [
        ("object", arguments.object.clone()),
        ("actor", arguments.actor.clone()),
        ("operation", arguments.operation.map(|operation| operation.as_str().to_owned())),
        ("since", arguments.since.map(time::ago)),
    ];
    let events = client.list_at_most(&with_parameters(&path, parameters), "events", arguments.limit).await?;
    if arguments.format.json {
        return output::json(&events);
    }
    let headings = ["time", "actor", "operation", "object", "address", "request"];
    output::table(&headings, &events.iter().map(row).collect::<Vec<_>>(), "no event matches")
}

fn row(event: &Value) -> Vec<String> {
    let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let at_ms = event["at-ms"].as_i64().unwrap_or(0);
    vec![time::shown(at_ms), actor(event), text("operation"), object(event), text("address"), text("request-id")]
}

/// Returns the name of the object of an event or an audit record, and its new one if it has one.
pub(super) fn object(of: &Value) -> String {
    let name = of["object"].as_str().unwrap_or_default();
    match of["new-name"].as_str() {
        Some(new_name) => format!("{name} -> {new_name}"),
        None => name.to_owned(),
    }
}

/// Tells who made a change. A key may be named as the machine's user or the catalog is, so its kind and id are shown.
fn actor(event: &Value) -> String {
    let text = |field: &str| event[field].as_str().unwrap_or_default();
    let actor = match text("actor-type") {
        "command-line" => format!("machine {}", text("actor")),
        kind @ ("key" | "user" | "operator") => format!("{kind} '{}' ({})", text("actor"), text("actor-id")),
        kind => kind.to_owned(),
    };
    match event["engine"].as_str() {
        Some(engine) => format!("{actor} via engine '{engine}' ({})", text("engine-id")),
        None => actor,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn key_named_like_the_machines_user_or_the_catalog_is_told_apart() {
        let event =
            |kind: &str, name: &str, id: Option<&str>| json!({ "actor-type": kind, "actor": name, "actor-id": id });
        let mut through = event("key", "ana", Some("0198"));
        through["engine"] = json!("trino");
        through["engine-id"] = json!("0199");
        assert_eq!(actor(&through), "key 'ana' (0198) via engine 'trino' (0199)");
        assert_eq!(actor(&event("key", "root", Some("0198"))), "key 'root' (0198)");
        assert_eq!(actor(&event("user", "root", Some("0197"))), "user 'root' (0197)");
        assert_eq!(actor(&event("operator", "catalog", Some("0199"))), "operator 'catalog' (0199)");
        assert_eq!(actor(&event("command-line", "root", None)), "machine root");
        assert_eq!(actor(&event("catalog", "catalog", None)), "catalog");
    }
}
