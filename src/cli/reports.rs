//! `tidewater table metrics`.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use tidewater_core::metrics::ReportKind;
use tidewater_core::name::TableIdent;

use super::client::{Client, encoded};
use super::not_found::explain;
use super::number::parse_limit;
use super::output::{self, Format};
use super::scope::{WarehouseArgument, encoded_namespace};
use super::{table_name, time};
use tidewater::base::clock::Clock;
use tidewater::store::TableKind;

/// Arguments of `table metrics`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Namespace and table, joined by dots (a dot in a name as \.)
    #[arg(value_parser = table_name::parse_table)]
    table: TableIdent,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    /// Only show this type: scan-report or commit-report
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<ReportKind>,
    /// Only show reports of this long ago or less, such as 12h
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
    since: Option<i64>,
    /// Show at most this many, newest first
    #[arg(long, default_value = "50", value_name = "NUMBER", value_parser = parse_limit)]
    limit: usize,
    #[command(flatten)]
    format: Format,
}

/// Shows the metrics reports of a table.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<()> {
    let warehouse = arguments.warehouse.find(client).await?;
    let table = &arguments.table;
    let (namespace, name) = (encoded_namespace(&table.namespace), encoded(table.name()));
    let mut path = format!("/metrics?namespace={namespace}&table={name}");
    if let Some(kind) = arguments.kind {
        path.push_str(&format!("&report-type={kind}"));
    }
    if let Some(ago_ms) = arguments.since {
        path.push_str(&format!("&since={}", Clock::System.now_ms() - ago_ms));
    }
    let reports = client.list_at_most(&warehouse.path(&path), "reports", arguments.limit).await;
    let reports = reports.map_err(|error| explain(error, TableKind::Table, table))?;
    let received = |one: &Value| time::shown(one["received-ms"].as_i64().unwrap_or(0));
    if arguments.format.json {
        let shown = |one: &Value| json!({ "id": one["id"], "received": received(one), "report": one["report"] });
        return output::json(&reports.iter().map(shown).collect::<Vec<_>>());
    }
    let row = |one: &Value| {
        let body = &one["report"];
        let kind = body["report-type"].as_str().unwrap_or_default().to_owned();
        vec![received(one), kind, body["snapshot-id"].to_string(), metrics(body)]
    };
    let rows: Vec<_> = reports.iter().map(row).collect();
    output::table(&["received", "type", "snapshot", "metrics"], &rows, "there is no metrics report on the table")
}

/// Formats the metrics of a report as one line.
fn metrics(report: &Value) -> String {
    let all = report["metrics"].as_object().into_iter().flatten();
    let shown = all.map(|(name, metric)| match metric["value"].as_i64() {
        Some(value) => format!("{name}={value}"),
        None => format!(
            "{name}={} {} in {}",
            metric["total-duration"],
            metric["time-unit"].as_str().unwrap_or_default(),
            metric["count"]
        ),
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_timers_are_shown_in_one_line() {
        let report = json!({ "metrics": { "files": { "unit": "count", "value": 7 },
            "planning": { "count": 2, "time-unit": "nanoseconds", "total-duration": 9 } } });
        assert_eq!(metrics(&report), "files=7 planning=9 nanoseconds in 2");
        assert_eq!(metrics(&json!({})), "");
    }
}
