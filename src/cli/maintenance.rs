//! `tidewater maintenance`.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Map, Value, json};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::upkeep::MaintenanceOperation;
use uuid::Uuid;

use super::client::{Client, NOT_FOUND, not_found, with_parameters};
use super::output::{self, Format, text};
use super::scope::{Warehouse, WarehouseArgument};
use super::size::size;
use super::table_name::{parse_namespace, parse_table};
use super::time;

/// How often a run that goes on is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The most runs that `list` shows.
const MOST_RUNS: usize = 50;

/// The object of a policy.
#[derive(Debug, Args)]
pub(crate) struct Object {
    /// The policy of this namespace [default: of the warehouse]
    #[arg(long, value_name = "NAME", value_parser = parse_namespace, conflicts_with = "table")]
    namespace: Option<NamespaceIdent>,
    /// The policy of this table
    #[arg(long, value_name = "NAME", value_parser = parse_table)]
    table: Option<TableIdent>,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    #[command(flatten)]
    format: Format,
}

impl Object {
    fn path(&self, warehouse: &Warehouse) -> String {
        let path = warehouse.path("/maintenance/policy");
        match (&self.table, &self.namespace) {
            (Some(table), _) => of_table(&path, table),
            (None, namespace) => {
                with_parameters(&path, [("namespace", namespace.as_ref().map(|one| one.as_key().to_owned()))])
            }
        }
    }

    fn shown(&self, warehouse: &Warehouse) -> String {
        match (&self.table, &self.namespace) {
            (Some(table), _) => format!("table {table}"),
            (None, Some(namespace)) => format!("namespace {namespace}"),
            (None, None) => format!("warehouse '{}'", warehouse.name),
        }
    }
}

/// A table of a warehouse.
#[derive(Debug, Args)]
pub(crate) struct TableArgument {
    /// The table: namespace and name, joined by dots
    #[arg(value_parser = parse_table)]
    table: TableIdent,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    #[command(flatten)]
    format: Format,
}

/// Whether an operation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// It runs.
    On,
    /// It does not run.
    Off,
}

/// The fields of a policy that change.
#[derive(Debug, Args)]
pub(crate) struct Fields {
    /// Whether old snapshots expire
    #[arg(long, value_name = "ON|OFF")]
    expire_snapshots: Option<Switch>,
    /// How often snapshots expire, such as 1d
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
    expire_interval: Option<i64>,
    /// The age from which snapshots expire, such as 5d
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
    max_snapshot_age: Option<i64>,
    /// How many snapshots each branch keeps at least
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    min_snapshots: Option<u32>,
    /// The age from which branches and tags expire, such as 90d
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
    max_ref_age: Option<i64>,
    /// Whether small data files are compacted
    #[arg(long, value_name = "ON|OFF")]
    compact_files: Option<Switch>,
    /// How often small data files are compacted, such as 1h
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
    compact_interval: Option<i64>,
    /// How many small data files of a partition are worth a rewrite
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(2..))]
    min_input_files: Option<u32>,
    /// Whether small manifests are rewritten
    #[arg(long, value_name = "ON|OFF")]
    rewrite_manifests: Option<Switch>,
    /// How often small manifests are rewritten, such as 1d
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
    manifests_interval: Option<i64>,
    /// How many small manifests are worth a rewrite
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(2..))]
    min_manifests: Option<u32>,
    /// Whether statistics are computed
    #[arg(long, value_name = "ON|OFF")]
    compute_statistics: Option<Switch>,
    /// How often statistics are computed, such as 1d
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
    statistics_interval: Option<i64>,
    /// Whether orphan files are removed
    #[arg(long, value_name = "ON|OFF")]
    remove_orphan_files: Option<Switch>,
    /// How often orphan files are removed, such as 7d
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
    orphan_interval: Option<i64>,
    /// The age of files from which they can be orphans, such as 3d
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
    orphan_age: Option<i64>,
}

impl Fields {
    /// Writes the given fields into a policy. Returns whether there were any.
    fn write(&self, policy: &mut Value) -> bool {
        let on = |switch: Option<Switch>| switch.map(|switch| json!(switch == Switch::On));
        let number = |number: Option<i64>| number.map(|number| json!(number));
        let count = |count: Option<u32>| count.map(|count| json!(count));
        let fields = [
            ("compact-files", "enabled", on(self.compact_files)),
            ("compact-files", "interval-ms", number(self.compact_interval)),
            ("compact-files", "min-input-files", count(self.min_input_files)),
            ("rewrite-manifests", "enabled", on(self.rewrite_manifests)),
            ("rewrite-manifests", "interval-ms", number(self.manifests_interval)),
            ("rewrite-manifests", "min-manifests", count(self.min_manifests)),
            ("compute-statistics", "enabled", on(self.compute_statistics)),
            ("compute-statistics", "interval-ms", number(self.statistics_interval)),
            ("expire-snapshots", "enabled", on(self.expire_snapshots)),
            ("expire-snapshots", "interval-ms", number(self.expire_interval)),
            ("expire-snapshots", "max-snapshot-age-ms", number(self.max_snapshot_age)),
            ("expire-snapshots", "min-snapshots-to-keep", count(self.min_snapshots)),
            ("expire-snapshots", "max-ref-age-ms", number(self.max_ref_age)),
            ("remove-orphan-files", "enabled", on(self.remove_orphan_files)),
            ("remove-orphan-files", "interval-ms", number(self.orphan_interval)),
            ("remove-orphan-files", "min-age-ms", number(self.orphan_age)),
        ];
        let mut has_any = false;
        for (operation, field, value) in fields {
            let Some(value) = value else { continue };
            has_any = true;
            if !policy[operation].is_object() {
                policy[operation] = Value::Object(Map::new());
            }
            policy[operation][field] = value;
        }
        has_any
    }
}

/// Commands for the maintenance of tables.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the policy of a warehouse, namespace or table, with what it inherits
    Policy(Object),
    /// Change the policy of a warehouse, namespace or table. Other fields stay
    #[command(after_help = "\
Examples:
  tidewater maintenance set-policy --expire-snapshots on --max-snapshot-age 5d
  tidewater maintenance set-policy --table sales.orders --min-snapshots 20
  tidewater maintenance set-policy --namespace sales --clear

Nothing runs unless a policy says so. docs/maintenance.md explains the fields.")]
    SetPolicy {
        #[command(flatten)]
        object: Object,
        #[command(flatten)]
        fields: Fields,
        /// Remove the policy first: the object inherits all fields that are not given
        #[arg(long)]
        clear: bool,
    },
    /// Run an operation on a table now, and wait for its end
    #[command(after_help = "Example:\n  tidewater maintenance run sales.orders expire-snapshots")]
    Run {
        #[command(flatten)]
        table: TableArgument,
        /// The operation: compact-files, rewrite-manifests, compute-statistics, expire-snapshots or remove-orphan-files
        #[arg(value_name = "OPERATION")]
        operation: MaintenanceOperation,
    },
    /// Show what an operation would do to a table, and why. Changes nothing
    Preview {
        #[command(flatten)]
        table: TableArgument,
        /// The operation: compact-files, rewrite-manifests, compute-statistics, expire-snapshots or remove-orphan-files
        #[arg(value_name = "OPERATION")]
        operation: MaintenanceOperation,
    },
    /// List the last runs, newest first
    List {
        /// Only runs on this table
        #[arg(value_parser = parse_table)]
        table: Option<TableIdent>,
        #[command(flatten)]
        warehouse: WarehouseArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Show a run, with what it removed
    Show {
        /// Its id, as in the list
        id: Uuid,
        #[command(flatten)]
        warehouse: WarehouseArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Show the health of a table, with advice
    Health(TableArgument),
}

/// Runs a command.
pub(crate) async fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::Policy(object) => {
            let warehouse = object.warehouse.find(client).await?;
            show_policy(&client.get(&object.path(&warehouse)).await?, object.format)
        }
        Command::SetPolicy { object, fields, clear } => set_policy(client, object, fields, *clear).await,
        Command::Run { table, operation } => start(client, table, *operation, false).await,
        Command::Preview { table, operation } => start(client, table, *operation, true).await,
        Command::List { table, warehouse, format } => {
            let path = warehouse.find(client).await?.path("/maintenance/runs");
            let path = table.as_ref().map_or_else(|| path.clone(), |table| of_table(&path, table));
            list(&client.list_at_most(&path, "runs", MOST_RUNS).await?, *format)
        }
        Command::Show { id, warehouse, format } => {
            show_run(&find_run(client, &warehouse.find(client).await?, &id.to_string()).await?, *format)
        }
        Command::Health(of) => {
            let path = of.warehouse.find(client).await?.path("/maintenance/health");
            show_health(&client.get(&of_table(&path, &of.table)).await?, of.format)
        }
    }
}

fn of_table(path: &str, table: &TableIdent) -> String {
    let parameters = [("namespace", table.namespace.as_key().to_owned()), ("table", table.name().to_owned())];
    with_parameters(path, parameters.map(|(name, value)| (name, Some(value))))
}

async fn set_policy(client: &Client, object: &Object, fields: &Fields, clear: bool) -> Result<()> {
    let warehouse = object.warehouse.find(client).await?;
    let path = object.path(&warehouse);
    let known = client.get(&path).await?;
    let mut policy = if clear || known["own"].is_null() { json!({}) } else { known["own"].clone() };
    if !fields.write(&mut policy) && !clear {
        bail!("give the fields to change, such as --expire-snapshots on, or --clear");
    }
    let set = client.send(Method::PUT, &path, Some(&policy)).await?;
    output::done(object.format, &format!("Changed the policy of {}.", object.shown(&warehouse)), &set)
}

async fn start(client: &Client, of: &TableArgument, operation: MaintenanceOperation, dry_run: bool) -> Result<()> {
    let warehouse = of.warehouse.find(client).await?;
    let levels: Vec<&str> = of.table.namespace.levels().collect();
    let body = json!({
        "identifier": { "namespace": levels, "name": of.table.name() },
        "operation": operation.as_str(),
        "dry-run": dry_run,
    });
    let started = client.post(&warehouse.path("/maintenance/runs"), &body).await?;
    let id = text(&started, "run-id");
    let mut is_queued = false;
    let run = loop {
        let run = find_run(client, &warehouse, &id).await?;
        match run["outcome"].as_str() {
            Some("queued") if is_queued => {}
            Some("queued") => {
                is_queued = true;
                output::note(&format!(
                    "Run {id} is queued: other runs go first. See `tidewater maintenance show {id}`."
                ));
            }
            Some("running") => {}
            _ => break run,
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    };
    show_run(&run, of.format)?;
    match run["outcome"].as_str() {
        Some("succeeded") => Ok(()),
        _ => bail!("the run has not succeeded: {}", text(&run, "message")),
    }
}

async fn find_run(client: &Client, warehouse: &Warehouse, id: &str) -> Result<Value> {
    let path = with_parameters(&warehouse.path("/maintenance/runs"), [("run-id", Some(id.to_owned()))]);
    let found = client.list_at_most(&path, "runs", 1).await?.pop();
    found.ok_or_else(|| not_found(NOT_FOUND, format!("there is no run {id}: see `tidewater maintenance list`")))
}

fn show_policy(policy: &Value, format: Format) -> Result<()> {
    if format.json {
        return output::json(policy);
    }
    let mut rows = Vec::new();
    for (operation, fields) in policy["effective"].as_object().into_iter().flatten() {
        for (field, value) in fields.as_object().into_iter().flatten() {
            let own = if policy["own"][operation][field].is_null() { "inherited" } else { "set here" };
            let shown = match value.as_i64().filter(|_| field.ends_with("-ms")) {
                Some(ms) => format!("{} s", ms / 1_000),
                None => value.to_string(),
            };
            rows.push(vec![operation.clone(), field.trim_end_matches("-ms").to_owned(), shown, own.to_owned()]);
        }
    }
    output::table(&["operation", "field", "value", "source"], &rows, "no policy is set: nothing runs")
}

fn list(runs: &[Value], format: Format) -> Result<()> {
    if format.json {
        return output::json(&runs);
    }
    let row = |run: &Value| {
        vec![
            text(run, "id"),
            time::shown_or(run["started-ms"].as_i64(), ""),
            text(run, "table"),
            operation(run),
            text(run, "outcome"),
            run["snapshots"].to_string(),
            run["files"].to_string(),
            size(run["bytes"].as_u64().unwrap_or(0)),
        ]
    };
    let headings = ["id", "started", "table", "operation", "outcome", "snapshots", "files", "bytes"];
    output::table(&headings, &runs.iter().map(row).collect::<Vec<_>>(), "there is no run yet")
}

fn operation(run: &Value) -> String {
    let name = text(run, "operation");
    if run["dry-run"] == true { format!("{name} (dry run)") } else { name }
}

fn show_run(run: &Value, format: Format) -> Result<()> {
    if format.json {
        return output::json(run);
    }
    let verb = if run["dry-run"] == true { "would go" } else { "removed" };
    let kept = run["kept"].as_object().into_iter().flatten();
    let kept: Vec<String> = kept.map(|(reason, count)| format!("{count} {reason}")).collect();
    let number = |field: &str| run[field].to_string();
    let shown_files = |of: &str| {
        let bytes = size(run[format!("{of}-bytes")].as_u64().unwrap_or(0));
        format!("{} ({bytes})", number(&format!("{of}-files")))
    };
    let snapshots = format!("snapshots {verb}");
    let refs = format!("branches and tags {verb}");
    let files = format!("files {verb}");
    output::fields(&[
        ("run", text(run, "id")),
        ("table", text(run, "table")),
        ("operation", operation(run)),
        ("outcome", text(run, "outcome")),
        ("message", text(run, "message")),
        ("started by", run["started-by"].as_str().unwrap_or("policy").to_owned()),
        ("started", time::shown_or(run["started-ms"].as_i64(), "")),
        ("ended", time::shown_or(run["ended-ms"].as_i64(), "")),
        (&snapshots, number("snapshots")),
        (&refs, number("refs")),
        ("files replaced", shown_files("replaced")),
        ("files written", shown_files("written")),
        (&files, format!("{} ({})", number("files"), size(run["bytes"].as_u64().unwrap_or(0)))),
        ("files that stay", kept.join(", ")),
    ])?;
    let items = run["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        return Ok(());
    }
    let row = |item: &Value| {
        let bytes = item["bytes"].as_u64().map(size).unwrap_or_default();
        vec![text(item, "kind"), text(item, "name"), text(item, "reason"), bytes]
    };
    output::table(&["kind", "name", "reason", "size"], &items.iter().map(row).collect::<Vec<_>>(), "")?;
    if run["more-items"] == true {
        output::note("the list has only the first objects");
    }
    Ok(())
}

fn show_health(health: &Value, format: Format) -> Result<()> {
    if format.json {
        return output::json(health);
    }
    let number = |field: &str| health[field].to_string();
    let bytes = |field: &str| size(health[field].as_u64().unwrap_or(0));
    let part = if health["partial"] == true { " (of the first manifests only)" } else { "" };
    output::fields(&[
        ("last commit", time::shown_or(health["last-commit-ms"].as_i64(), "")),
        ("snapshots", number("snapshots")),
        ("branches and tags", number("refs")),
        ("metadata document", bytes("metadata-bytes")),
        ("manifests", format!("{} ({})", number("manifests"), bytes("manifest-bytes"))),
        (
            "data files",
            format!("{} ({}), {} small{part}", number("data-files"), bytes("data-bytes"), number("small-files")),
        ),
        ("records", number("data-records")),
        (
            "delete files",
            format!("{} by position, {} by value", number("position-delete-files"), number("equality-delete-files")),
        ),
        ("deletes", number("delete-records")),
    ])?;
    let findings = health["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |one: &Value| vec![text(one, "kind"), text(one, "message"), text(one, "advice")];
    output::table(&["finding", "what", "advice"], &findings.iter().map(row).collect::<Vec<_>>(), "there is no finding")
}
