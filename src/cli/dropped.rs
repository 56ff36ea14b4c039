//! Dropped tables and views in `tidewater table` and `tidewater view`: list, restore, delete for good.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tidewater_core::ids::TableId;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::client::{Client, NOT_FOUND, has_status, not_found, with_message};
use super::number::parse_id;
use super::output::{self, Format};
use super::scope::{Warehouse, WarehouseArgument, encoded_namespace};
use super::table_name::{parse_namespace, parse_table, shown};
use super::time;
use tidewater::base::clock::Clock;
use tidewater::store::TableKind;

/// How long to wait for the lease of a removal of files that a killed server began.
const LEASE_TIME: Duration = Duration::from_secs(45);

/// How often to check whether that lease has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Arguments of `table dropped` and `view dropped`.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Only list this namespace (levels joined by dots)
    #[arg(value_parser = parse_namespace)]
    namespace: Option<NamespaceIdent>,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    #[command(flatten)]
    format: Format,
}

/// Arguments of `table restore` and `view restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// Its name before the drop: namespace and name, joined by dots. If several had the name, the last dropped is restored
    #[arg(value_parser = parse_table, required_unless_present = "id")]
    name: Option<TableIdent>,
    /// Its id, as in the list of dropped objects
    #[arg(long, conflicts_with = "name", value_name = "ID", value_parser = parse_id)]
    id: Option<TableId>,
    /// Restore it under this name
    #[arg(long = "as", value_name = "NAME", value_parser = parse_table)]
    new_name: Option<TableIdent>,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    #[command(flatten)]
    format: Format,
}

/// Arguments of `table delete` and `view delete`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArguments {
    /// Its id, as in the list of dropped objects
    #[arg(value_parser = parse_id)]
    id: TableId,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    #[command(flatten)]
    format: Format,
}

/// Options of `table delete` that override the drop's choice about files.
#[derive(Debug, Args)]
pub(crate) struct FilesArguments {
    /// Remove its files too, even if it was dropped without a purge. A running server removes them
    #[arg(long, conflicts_with = "keep_files")]
    purge: bool,
    /// Keep its files, even if it was dropped with a purge
    #[arg(long)]
    keep_files: bool,
}

impl FilesArguments {
    fn purge(&self) -> Option<bool> {
        if self.purge { Some(true) } else { self.keep_files.then_some(false) }
    }
}

/// Returns the word for a kind in messages and in the management API.
pub(super) const fn word(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Table => "table",
        TableKind::View => "view",
    }
}

/// A dropped table or view, as the management API returns it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Dropped {
    id: TableId,
    identifier: Identifier,
    metadata_location: String,
    location: String,
    dropped_ms: i64,
    restorable_until_ms: i64,
    restorable: bool,
    purge_requested: bool,
    state: String,
    attempts: u32,
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Identifier {
    namespace: Vec<String>,
    name: String,
}

impl Dropped {
    fn ident(&self) -> Result<TableIdent> {
        Ok(TableIdent::new(NamespaceIdent::new(&self.identifier.namespace)?, &self.identifier.name)?)
    }

    /// Returns when the removal of its files may begin, or `None` if they stay.
    fn files_go_ms(&self) -> Option<i64> {
        let stay = !self.purge_requested || matches!(self.state.as_str(), "blocked" | "replaced");
        (!stay).then_some(self.restorable_until_ms)
    }

    /// Returns the text of [`Self::files_go_ms`] for people.
    fn files_go(&self, now_ms: i64) -> String {
        match self.files_go_ms() {
            Some(at_ms) if at_ms <= now_ms => "now".to_owned(),
            Some(at_ms) => time::shown(at_ms),
            None => "never".to_owned(),
        }
    }

    fn as_json(&self) -> Value {
        json!({
            "id": self.id,
            "namespace": self.identifier.namespace,
            "name": self.identifier.name,
            "metadata-location": self.metadata_location,
            "location": self.location,
            "dropped": time::shown(self.dropped_ms),
            "restorable": self.restorable,
            "restorable-until": time::shown(self.restorable_until_ms),
            "purge": self.purge_requested,
            "files-go": self.files_go_ms().map(time::shown),
            "state": self.state,
            "attempts": self.attempts,
            "message": self.message,
        })
    }
}

/// Lists dropped tables or views, newest drop first.
pub(crate) async fn list(client: &Client, kind: TableKind, arguments: &ListArguments) -> Result<()> {
    let warehouse = arguments.warehouse.find(client).await?;
    let all = load(client, &warehouse, kind, arguments.namespace.as_ref()).await?;
    let now_ms = Clock::System.now_ms();
    if arguments.format.json {
        return output::json(&all.iter().map(Dropped::as_json).collect::<Vec<_>>());
    }
    let row = |one: &Dropped| {
        Ok(vec![
            one.id.to_string(),
            dotted(&one.ident()?),
            time::shown(one.dropped_ms),
            if one.restorable { time::shown(one.restorable_until_ms) } else { "no".to_owned() },
            one.files_go(now_ms),
            one.state.clone(),
            one.message.clone().unwrap_or_default(),
        ])
    };
    let rows = all.iter().map(row).collect::<Result<Vec<_>>>()?;
    let headings = ["id", word(kind), "dropped", "restorable until", "files go", "state", "message"];
    output::table(&headings, &rows, &format!("there is no dropped {}", word(kind)))
}

async fn load(
    client: &Client,
    warehouse: &Warehouse,
    kind: TableKind,
    namespace: Option<&NamespaceIdent>,
) -> Result<Vec<Dropped>> {
    let mut path = warehouse.path(&format!("/dropped?type={}", word(kind)));
    if let Some(namespace) = namespace {
        path.push_str(&format!("&namespace={}", encoded_namespace(namespace)));
    }
    let all = client.list(&path, "dropped").await?.into_iter();
    all.map(|one| Ok(serde_json::from_value(one)?)).collect()
}

/// Formats a name so that [`parse_table`] reads it.
pub(crate) fn dotted(ident: &TableIdent) -> String {
    let name = ident.name().replace('\\', r"\\").replace('.', r"\.");
    format!("{}.{name}", shown(&ident.namespace))
}

/// Restores a dropped table or view.
pub(crate) async fn restore(client: &Client, kind: TableKind, arguments: &RestoreArguments) -> Result<()> {
    let warehouse = arguments.warehouse.find(client).await?;
    let dropped = find(client, &warehouse, kind, arguments).await?;
    let old = dropped.ident()?;
    let ident = arguments.new_name.as_ref().unwrap_or(&old);
    let levels: Vec<&str> = ident.namespace.levels().collect();
    let wanted = json!({ "identifier": { "namespace": levels, "name": ident.name() } });
    let path = warehouse.path(&format!("/dropped/{}/restore", dropped.id));
    client.post(&path, &wanted).await.map_err(|error| explain(error, kind, &old, ident))?;
    output::done(
        arguments.format,
        &format!("Restored {} '{}'.", word(kind), dotted(ident)),
        &json!({ "id": dropped.id, "namespace": levels, "name": ident.name() }),
    )
}

/// Adds what to do to the error of a refused restore.
fn explain(error: anyhow::Error, kind: TableKind, old: &TableIdent, ident: &TableIdent) -> anyhow::Error {
    with_message(error, |refused| match refused.kind.as_str() {
        "NoSuchNamespaceException" => {
            let namespace = shown(&ident.namespace);
            format!("there is no namespace '{namespace}': create it, or restore under another name with --as")
        }
        "AlreadyExistsException" => format!("{refused}: restore under another name with --as"),
        _ => format!("{} '{}' cannot be restored: {refused}", word(kind), dotted(old)),
    })
}

async fn find(
    client: &Client,
    warehouse: &Warehouse,
    kind: TableKind,
    arguments: &RestoreArguments,
) -> Result<Dropped> {
    let what = word(kind);
    let namespace = arguments.name.as_ref().map(|name| &name.namespace);
    let all = load(client, warehouse, kind, namespace).await?;
    match (&arguments.name, arguments.id) {
        (_, Some(id)) => all.into_iter().find(|one| one.id == id).ok_or_else(|| no_such(kind, id)),
        (Some(name), None) => {
            // The newest drop comes first.
            let found = all.into_iter().find(|one| one.identifier.name == name.name());
            found.ok_or_else(|| {
                let message =
                    format!("no dropped {what} was called '{}': see `tidewater {what} dropped`", dotted(name));
                not_found(NOT_FOUND, message)
            })
        }
        (None, None) => bail!("give the {what}'s name or its id (--id)"),
    }
}

fn no_such(kind: TableKind, id: TableId) -> anyhow::Error {
    let what = word(kind);
    not_found(NOT_FOUND, format!("no dropped {what} has the id {id}: see `tidewater {what} dropped`"))
}

/// Deletes a dropped table or view for good.
pub(crate) async fn remove(
    client: &Client,
    kind: TableKind,
    arguments: &RemoveArguments,
    files: Option<&FilesArguments>,
) -> Result<()> {
    let warehouse = arguments.warehouse.find(client).await?;
    let (what, id) = (word(kind), arguments.id);
    let all = load(client, &warehouse, kind, None).await?;
    let dropped = all.into_iter().find(|one| one.id == id).ok_or_else(|| no_such(kind, id))?;
    let purge = files.and_then(FilesArguments::purge);
    let path = warehouse.path(&format!("/dropped/{id}"));
    let query = purge.map_or_else(String::new, |purge| format!("?purge-requested={purge}"));
    let remove = format!("{path}{query}");
    client.send(Method::DELETE, &remove, None).await?;
    let mut is_gone = client.find(&path).await?.is_none();
    let until = Instant::now() + LEASE_TIME;
    while !is_gone && purge == Some(false) && Instant::now() < until {
        // A killed server began the removal. Its lease ends soon.
        tokio::time::sleep(LOOK_INTERVAL).await;
        is_gone = match client.send(Method::DELETE, &remove, None).await {
            Err(error) if has_status(&error, StatusCode::NOT_FOUND) => true,
            removed => removed.map(|_| false)?,
        };
    }
    let name = dotted(&dropped.ident()?);
    let report =
        |sentence: &str, state: &str| output::done(arguments.format, sentence, &json!({ "id": id, "state": state }));
    if !is_gone && purge == Some(false) {
        bail!(
            "the removal of the files of {what} '{name}' has not stopped yet, and more files may be removed: see \
             `tidewater {what} dropped`, and try again"
        );
    }
    let files_go = purge.unwrap_or(dropped.purge_requested) && dropped.state != "replaced";
    match (is_gone, files_go) {
        (true, false) if dropped.state == "removing" => report(
            &format!(
                "Deleted {what} '{name}' for good; the removal of its files had begun and was stopped: those that are left \
                 stay."
            ),
            "gone",
        ),
        (true, false) => report(&format!("Deleted {what} '{name}' for good; its files stay."), "gone"),
        _ => {
            let sentence = format!("{what} '{name}' can no longer be restored; a running server removes its files.");
            report(&sentence, "removing")
        }
    }
}
