//! `tidewater warehouse`.

pub(crate) mod storage_file;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use tidewater_core::location::Location;
use tidewater_core::name::check_warehouse_name;
use tidewater_core::purge::PurgeTime;
use tidewater_core::scan::mode::{PLANNING_MODE, PlanningMode};

use super::client::{Client, encoded};
use super::output::{self, Format, text};
use super::scope::{IfNotExists, Organisation, OrganisationArgument, no_such_warehouse};
use super::time;
use storage_file::StorageArgument;

/// Commands for warehouses.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a warehouse after testing its storage; an organisation's first warehouse becomes its default
    #[command(after_help = "Examples:\n  tidewater warehouse create lake --org acme --root file:///srv/lake\n  \
                            tidewater warehouse create lake --org acme --root s3://bucket/lake --storage s3.toml --dry-run")]
    Create(CreateArguments),
    /// Test a warehouse's storage
    Check {
        /// Its name
        name: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Show a warehouse's root and storage settings, without credentials
    #[command(after_help = "Example:\n  tidewater warehouse show lake --org acme")]
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Change a warehouse's storage settings or credentials after testing them
    SetStorage {
        /// Its name
        name: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        storage: StorageArgument,
        /// Do not test the storage, for example because this machine cannot reach it
        #[arg(long)]
        unchecked: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Change when purges remove files, whether clients may remove files, and who plans scans
    #[command(after_help = "Examples:\n  tidewater warehouse set-options lake --purge at-once\n  \
                            tidewater warehouse set-options lake --no-delete\n  \
                            tidewater warehouse set-options lake --purge after-retention --allow-delete\n  \
                            tidewater warehouse set-options lake --scan-planning-mode server")]
    SetOptions {
        /// Its name
        name: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        options: OptionArguments,
        #[command(flatten)]
        format: Format,
    },
    /// Reseal all storage credentials with the first master key, after you put a new key first
    Reseal {
        /// Continue although the previous master key is lost. The command lists the warehouses whose credentials cannot be
        /// opened; set these again with set-storage
        #[arg(long)]
        key_is_lost: bool,
        #[command(flatten)]
        format: Format,
    },
    /// List an organisation's warehouses
    List {
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Choose the warehouse for clients that do not name one
    SetDefault {
        /// Its name
        name: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Delete a warehouse without namespaces and dropped tables; its files stay
    #[command(alias = "drop")]
    Delete {
        /// Its name
        name: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        format: Format,
    },
}

/// Arguments of `warehouse create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    /// Its name, which clients pass as `warehouse`
    name: String,
    #[command(flatten)]
    organisation: OrganisationArgument,
    /// The location of its tables: file:///folder, s3://bucket/folder, gs://bucket/folder or
    /// abfss://container@account.dfs.core.windows.net/folder
    #[arg(long, value_name = "LOCATION", value_parser = parse_root)]
    root: Location,
    #[command(flatten)]
    storage: StorageArgument,
    /// When a drop with a purge removes the table's files: after-retention or at-once. With at-once, it cannot be restored
    #[arg(long, value_name = "TIME", default_value = "after-retention")]
    purge: PurgeTime,
    /// Vend credentials that cannot remove files: only the catalog removes files. Not for the local disk, which vends no
    /// credentials
    #[arg(long)]
    no_delete: bool,
    /// Who plans the scans of its tables: client, server or unset. Clients that know this setting follow it; with unset, they choose
    #[arg(long, value_name = "MODE", default_value = "unset")]
    scan_planning_mode: PlanningMode,
    /// Only test the storage
    #[arg(long)]
    dry_run: bool,
    /// Do not test the storage, for example because this machine cannot reach it
    #[arg(long, conflicts_with = "dry_run")]
    unchecked: bool,
    #[command(flatten)]
    if_not_exists: IfNotExists,
    #[command(flatten)]
    format: Format,
}

/// The options that `warehouse set-options` changes.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct OptionArguments {
    /// When later drops with a purge remove the table's files: after-retention or at-once
    #[arg(long, value_name = "TIME")]
    purge: Option<PurgeTime>,
    /// From now on, vend credentials that cannot remove files: only the catalog removes files
    #[arg(long, conflicts_with = "allow_delete")]
    no_delete: bool,
    /// From now on, vend writers credentials that can remove files
    #[arg(long)]
    allow_delete: bool,
    /// From now on, who plans the scans of its tables: client, server or unset. Clients that know this setting follow it; with unset, they
    /// choose
    #[arg(long, value_name = "MODE")]
    scan_planning_mode: Option<PlanningMode>,
}

/// Runs a command.
pub(crate) async fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::Create(arguments) => create(client, arguments).await,
        Command::Check { name, organisation, format } => {
            let (path, warehouse) = load(client, organisation, name).await?;
            output::note(&format!("testing {}", text(&warehouse, "root")));
            let check = client.post(&format!("{path}/check"), &json!({})).await?;
            print_steps(&check);
            ensure!(check["ok"] == true, "the storage test failed: see the steps above");
            output::done(*format, &format!("Warehouse '{name}' works."), &as_json(&warehouse))
        }
        Command::Show { name, organisation, format } => show(&load(client, organisation, name).await?.1, *format),
        Command::SetStorage { name, organisation, storage, unchecked, format } => {
            let (path, warehouse) = load(client, organisation, name).await?;
            let storage = storage.read_for(&Location::parse(&text(&warehouse, "root"))?)?;
            let sentence = format!("Changed the storage settings of warehouse '{name}'.");
            if !unchecked {
                output::note(&format!("testing {}", text(&warehouse, "root")));
            }
            update(client, &path, &json!({ "storage": storage, "check": !unchecked }), &sentence, *format).await
        }
        Command::SetOptions { name, organisation, options, format } => {
            let (path, _) = load(client, organisation, name).await?;
            let mut changed = json!({});
            if let Some(purge) = options.purge {
                changed["purge"] = json!(purge.as_str());
            }
            if options.no_delete || options.allow_delete {
                changed["no-delete"] = json!(options.no_delete);
            }
            if let Some(mode) = options.scan_planning_mode {
                changed[PLANNING_MODE] = json!(mode.as_str());
            }
            update(client, &path, &json!({ "options": changed }), &format!("Changed warehouse '{name}'."), *format)
                .await
        }
        Command::Reseal { key_is_lost, format } => reseal(client, *key_is_lost, *format).await,
        Command::List { organisation, format } => {
            let organisation = organisation.find(client).await?;
            list(&client.list(&organisation.path("/warehouses"), "warehouses").await?, *format)
        }
        Command::SetDefault { name, organisation, format } => {
            let organisation = organisation.find(client).await?;
            client.send(Method::PATCH, &path(&organisation, name), Some(&json!({ "default": true }))).await?;
            let sentence = format!("'{name}' is the default warehouse of organisation '{}'.", organisation.name);
            output::done(*format, &sentence, &json!({ "name": name, "default": true }))
        }
        Command::Delete { name, organisation, format } => {
            let organisation = organisation.find(client).await?;
            client.send(Method::DELETE, &path(&organisation, name), None).await?;
            let sentence =
                format!("Deleted warehouse '{name}' of organisation '{}'. Its files stay.", organisation.name);
            output::done(*format, &sentence, &json!({ "name": name }))
        }
    }
}

async fn create(client: &Client, arguments: &CreateArguments) -> Result<()> {
    let CreateArguments {
        name,
        organisation,
        root,
        storage,
        purge,
        no_delete,
        scan_planning_mode,
        dry_run,
        unchecked,
        if_not_exists,
        format,
    } = arguments;
    check_warehouse_name(name)?;
    let organisation = organisation.find(client).await?;
    let storage = storage.read_for(root)?;
    let found = client.find(&path(&organisation, name)).await?;
    if let Some(found) = found {
        if_not_exists.allow(&format!("warehouse '{name}' of organisation '{}'", organisation.name))?;
        let there = text(&found, "root");
        ensure!(
            there == root.to_string(),
            "warehouse '{name}' of organisation '{}' exists already, with another root: {there}",
            organisation.name
        );
        return output::done(*format, &format!("Warehouse '{name}' exists already, at {there}."), &as_json(&found));
    }
    let mut new = json!({
        "name": name,
        "root": root.to_string(),
        "storage": storage,
        "options": { "purge": purge.as_str(), "no-delete": no_delete, PLANNING_MODE: scan_planning_mode.as_str() },
        "check": !unchecked,
        "dry-run": dry_run,
    });
    if storage.is_none() {
        // The local disk needs no settings.
        new.as_object_mut().map(|new| new.remove("storage"));
    }
    if !unchecked {
        output::note(&format!("testing {root}"));
    }
    let created = client.post(&organisation.path("/warehouses"), &new).await?;
    print_steps(&created["check"]);
    if *dry_run {
        let sentence = format!("The storage of warehouse '{name}' works. The warehouse was not created (--dry-run).");
        return output::done(*format, &sentence, &json!({ "name": name, "root": root.to_string(), "created": null }));
    }
    let sentence = format!("Created warehouse '{name}' of organisation '{}' at {root}.", organisation.name);
    output::done(*format, &sentence, &as_json(&created))
}

fn path(organisation: &Organisation, name: &str) -> String {
    organisation.path(&format!("/warehouses/{}", encoded(name)))
}

/// Loads a warehouse. Returns it with its path in the management API.
async fn load(client: &Client, organisation: &OrganisationArgument, name: &str) -> Result<(String, Value)> {
    let organisation = organisation.find(client).await?;
    let path = path(&organisation, name);
    let found = client.find(&path).await?.ok_or_else(|| no_such_warehouse(&organisation, name))?;
    Ok((path, found))
}

async fn update(client: &Client, path: &str, change: &Value, sentence: &str, format: Format) -> Result<()> {
    let updated = client.send(Method::PATCH, path, Some(change)).await?;
    output::done(format, sentence, &as_json(&updated))
}

/// Prints the outcome of each step of a storage test.
fn print_steps(check: &Value) {
    for step in check["steps"].as_array().into_iter().flatten() {
        let (name, detail) = (text(step, "name"), text(step, "detail"));
        let outcome = if step["ok"] == true { "ok    " } else { "FAILED" };
        let separator = if detail.is_empty() { "" } else { ": " };
        output::note(&format!("  {outcome}  {name}{separator}{detail}"));
    }
}

async fn reseal(client: &Client, key_is_lost: bool, format: Format) -> Result<()> {
    let done = client.post("/management/v1/reseal", &json!({ "key-is-lost": key_is_lost })).await?;
    let lost: Vec<String> = serde_json::from_value(done["lost"].clone())?;
    let mut sentence = format!(
        "Sealed {} anew; {} were sealed with the first master key already.",
        done["sealed-anew"], done["unchanged"]
    );
    if !lost.is_empty() {
        let names = lost.join(", ");
        sentence.push_str(&format!(
            " These could not be opened: {names}. Set their credentials again with `warehouse set-storage`."
        ));
    }
    let json = json!({ "sealed-anew": done["sealed-anew"], "unchanged": done["unchanged"], "lost": lost });
    output::done(format, &sentence, &json)
}

fn as_json(one: &Value) -> Value {
    json!({
        "id": one["id"],
        "name": one["name"],
        "root": one["root"],
        "storage": one["storage"],
        "purge": one["options"]["purge"],
        "no-delete": one["options"]["no-delete"],
        PLANNING_MODE: one["options"][PLANNING_MODE],
        "default": one["default"],
        "created": created(one),
    })
}

fn created(one: &Value) -> String {
    time::shown_or(one["created-ms"].as_i64(), "")
}

fn show(one: &Value, format: Format) -> Result<()> {
    if format.json {
        return output::json(&as_json(one));
    }
    let credentials = if one["credentials"] == "sealed" { "sealed" } else { "none, or the server's own" };
    output::fields(&[
        ("warehouse", text(one, "name")),
        ("id", text(one, "id")),
        ("default", if one["default"] == true { "yes" } else { "no" }.to_owned()),
        ("root", text(one, "root")),
        ("storage", one["storage"].to_string()),
        ("credentials", credentials.to_owned()),
        ("purge", text(&one["options"], "purge")),
        ("clients remove files", if one["options"]["no-delete"] == true { "no" } else { "yes" }.to_owned()),
        ("scan planning mode", text(&one["options"], PLANNING_MODE)),
        ("created", created(one)),
    ])
}

fn list(all: &[Value], format: Format) -> Result<()> {
    if format.json {
        return output::json(&all.iter().map(as_json).collect::<Vec<_>>());
    }
    let row = |one: &Value| {
        let default = if one["default"] == true { "yes" } else { "" };
        vec![text(one, "name"), default.to_owned(), text(one, "root"), created(one)]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    output::table(&["name", "default", "root", "created"], &rows, "the organisation has no warehouse yet")
}

fn parse_root(text: &str) -> Result<Location, String> {
    Location::parse(text).map_err(|error| error.to_string())
}
