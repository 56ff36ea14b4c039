//! `tidewater audit`.

use std::net::IpAddr;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::client::{Client, with_parameters};
use super::events::object;
use super::number::parse_limit;
use super::output::{self, Format};
use super::scope::OrganisationArgument;
use super::time;
use tidewater::store::AuditType;

/// Arguments of `audit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewater audit --decision denied --since 24h
  tidewater audit --type sign-in --address 203.0.113.7
  tidewater audit --all --actor ci --operation load-table --json

The newest come first. Write a table's name with its namespace, joined by dots.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    organisation: OrganisationArgument,
    /// Show the records of all organisations, of the server itself and of unknown actors
    #[arg(long, conflicts_with = "org")]
    all: bool,
    /// Only show records of this type
    #[arg(long, value_name = "TYPE", value_parser = AuditType::ALL.map(AuditType::as_str))]
    r#type: Option<String>,
    /// Only show records about this key, user, operator or engine (name or id), or this kind, such as anonymous
    #[arg(long, value_name = "NAME|ID|KIND")]
    actor: Option<String>,
    /// Only show this operation, such as load-table
    #[arg(long, value_name = "OPERATION")]
    operation: Option<String>,
    /// Only show records about objects of this name
    #[arg(long, value_name = "NAME")]
    object: Option<String>,
    /// Only show requests that were allowed, or denied
    #[arg(long, value_name = "DECISION", value_parser = ["allowed", "denied"])]
    decision: Option<String>,
    /// Only show requests from this address
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// Only show records of this long ago or less, such as 12h
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
    since: Option<i64>,
    /// Only show records of longer ago than this, such as 2h
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
    until: Option<i64>,
    /// Show at most this many
    #[arg(long, default_value = "50", value_name = "NUMBER", value_parser = parse_limit)]
    limit: usize,
    #[command(flatten)]
    format: Format,
}

/// Shows audit records.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<()> {
    let path = match arguments.all {
        true => "/management/v1/audit".to_owned(),
        false => arguments.organisation.find(client).await?.path("/audit"),
    };
    let parameters = [
        ("type", arguments.r#type.clone()),
        ("actor", arguments.actor.clone()),
        ("operation", arguments.operation.clone()),
        ("object", arguments.object.clone()),
        ("decision", arguments.decision.clone()),
        ("address", arguments.address.map(|address| address.to_string())),
        ("since", arguments.since.map(time::ago)),
        ("until", arguments.until.map(time::ago)),
    ];
    let records = client.list_at_most(&with_parameters(&path, parameters), "records", arguments.limit).await?;
    if arguments.format.json {
        return output::json(&records);
    }
    let headings = ["time", "actor", "operation", "object", "decision", "reason", "address", "count"];
    output::table(&headings, &records.iter().map(row).collect::<Vec<_>>(), "no record matches")
}

fn row(record: &Value) -> Vec<String> {
    let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let actor = match record["actor-id"].as_str() {
        Some(id) => format!("{} '{}' ({id})", text("actor-type"), text("actor")),
        None if text("actor") == text("actor-type") => text("actor"),
        None => format!("{} '{}'", text("actor-type"), text("actor")),
    };
    let at_ms = record["at-ms"].as_i64().unwrap_or(0);
    let count = record["count"].as_u64().unwrap_or(1).to_string();
    vec![
        time::shown(at_ms),
        actor,
        text("operation"),
        object(record),
        text("decision"),
        text("reason"),
        text("address"),
        count,
    ]
}
