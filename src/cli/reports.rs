//! `tidewater table metrics`.

use anyhow::{Result, anyhow};
use clap::Args;
use serde_json::{Value, json};
use tidewater_core::metrics::ReportKind;
use tidewater_core::name::TableIdent;

use super::output::{self, Format};
use super::session::{Session, WarehouseArgument, place};
use super::{table_name, time};
use tidewater::store::{Report, ReportFilter, TableKind, TimedPage};

/// Which reports are shown.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Namespace and table, joined by dots (a dot in a name as \.)
    #[arg(value_parser = table_name::parse_table)]
    table: TableIdent,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    /// Only these: scan-report or commit-report
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<ReportKind>,
    /// Only those of so long ago or less, such as 12h
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
    since: Option<i64>,
    /// At most so many, the newest first
    #[arg(long, default_value_t = 50, value_name = "NUMBER")]
    limit: u32,
    #[command(flatten)]
    format: Format,
}

/// Shows what clients reported on a table.
pub(crate) async fn run(session: &Session, arguments: &Arguments) -> Result<()> {
    let store = session.store()?;
    let place = place(&arguments.warehouse.find(store.as_ref()).await?);
    let (table, namespace) = (&arguments.table, table_name::shown(&arguments.table.namespace));
    let found = store.table_get(place, table).await?.filter(|record| record.kind == TableKind::Table);
    let record = found.ok_or_else(|| {
        anyhow!("there is no table '{}' in '{namespace}': see `tidewater table list {namespace}`", table.name())
    })?;
    let since_ms = arguments.since.map(|ago_ms| session.clock.now_ms() - ago_ms);
    let filter = ReportFilter { table: Some(record.id), kind: arguments.kind, since_ms };
    let page = TimedPage { before: None, limit: Some(arguments.limit) };
    let reports = store.report_list(place, &filter, &page).await?.items.into_iter().map(|kept| kept.report);
    let reports = reports.map(|report| Ok((serde_json::from_str(&report.body)?, report)));
    let reports = reports.collect::<Result<Vec<(Value, Report)>>>()?;
    if arguments.format.json {
        let shown = |(body, report): &(Value, Report)| json!({ "id": report.id, "received": time::shown(report.at_ms), "report": body });
        return output::json(&reports.iter().map(shown).collect::<Vec<_>>());
    }
    let row = |(body, report): &(Value, Report)| {
        vec![time::shown(report.at_ms), report.kind.to_string(), body["snapshot-id"].to_string(), metrics(body)]
    };
    let rows: Vec<_> = reports.iter().map(row).collect();
    output::table(&["received", "type", "snapshot", "metrics"], &rows, "no report on the table is kept")
}

/// The metrics of a report in a line.
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
    fn counters_and_timers_are_shown_in_a_line() {
        let report = json!({ "metrics": { "files": { "unit": "count", "value": 7 },
            "planning": { "count": 2, "time-unit": "nanoseconds", "total-duration": 9 } } });
        assert_eq!(metrics(&report), "files=7 planning=9 nanoseconds in 2");
        assert_eq!(metrics(&json!({})), "");
    }
}
