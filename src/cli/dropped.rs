//! What `tidewater table` and `tidewater view` do with what was dropped: list, restore, remove for good.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use serde_json::json;
use tidewater_core::ids::TableId;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::output::{self, Format};
use super::session::{Session, WarehouseArgument, place};
use super::table_name::{parse_namespace, parse_table, shown};
use super::time;
use tidewater::catalog::missing_document;
use tidewater::metadata::{Documents, MetadataError};
use tidewater::store::{
    Dropped, DroppedFilter, DroppedState, Place, Resource, Restore, Store, StoreError, TableKind, TimedPage,
};
use tidewater::warehouse::OpenWarehouse;

/// Which dropped tables or views are listed.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Only those of this namespace (levels joined by dots)
    #[arg(value_parser = parse_namespace)]
    namespace: Option<NamespaceIdent>,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    #[command(flatten)]
    format: Format,
}

/// Which one is restored.
#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The name that it had: namespace and name, joined by dots. Of several, the one that was dropped last
    #[arg(value_parser = parse_table, required_unless_present = "id")]
    name: Option<TableIdent>,
    /// The one with this id, as it is listed
    #[arg(long, conflicts_with = "name", value_name = "ID")]
    id: Option<TableId>,
    /// Restore it under this name instead
    #[arg(long = "as", value_name = "NAME", value_parser = parse_table)]
    new_name: Option<TableIdent>,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    #[command(flatten)]
    format: Format,
}

/// Which one is removed.
#[derive(Debug, Args)]
pub(crate) struct RemoveArguments {
    /// Its id, as it is listed
    id: TableId,
    #[command(flatten)]
    warehouse: WarehouseArgument,
    #[command(flatten)]
    format: Format,
}

/// What becomes of the files.
#[derive(Debug, Args)]
pub(crate) struct FilesArguments {
    /// Remove its files too, whatever its drop said; a running server does so
    #[arg(long, conflicts_with = "keep_files")]
    purge: bool,
    /// Leave its files where they are, whatever its drop said
    #[arg(long)]
    keep_files: bool,
}

impl FilesArguments {
    fn purge(&self) -> Option<bool> {
        if self.purge { Some(true) } else { self.keep_files.then_some(false) }
    }
}

/// What a person calls it.
pub(super) const fn word(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Table => "table",
        TableKind::View => "view",
    }
}

/// Lists them, the newest drop first.
pub(crate) async fn list(session: &Session, kind: TableKind, arguments: &ListArguments) -> Result<()> {
    let store = session.store()?;
    let place = place(&arguments.warehouse.find(store.as_ref()).await?);
    let filter = DroppedFilter { namespace: arguments.namespace.clone(), name: None, kind: Some(kind) };
    let all = store.dropped_list(place, &filter, &TimedPage::default()).await?.items;
    let now_ms = session.clock.now_ms();
    if arguments.format.json {
        return output::json(&all.iter().map(|one| as_json(one, now_ms)).collect::<Vec<_>>());
    }
    let row = |one: &Dropped| {
        vec![
            one.id.to_string(),
            dotted(&one.ident),
            time::shown(one.dropped_ms),
            if is_restorable(one, now_ms) { time::shown(one.restorable_until_ms) } else { "no".to_owned() },
            files_go(one, now_ms),
            one.state.as_str().to_owned(),
            one.message.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    let headings = ["id", word(kind), "dropped", "restorable until", "files go", "state", "message"];
    output::table(&headings, &rows, &format!("no dropped {} is kept", word(kind)))
}

fn is_restorable(one: &Dropped, now_ms: i64) -> bool {
    one.not_restorable(now_ms).is_none()
}

/// When its files are removed, for a person.
fn files_go(one: &Dropped, now_ms: i64) -> String {
    match files_go_ms(one) {
        Some(at_ms) if at_ms <= now_ms => "now".to_owned(),
        Some(at_ms) => time::shown(at_ms),
        None => "never".to_owned(),
    }
}

/// From when on its files are removed; none when they stay.
fn files_go_ms(one: &Dropped) -> Option<i64> {
    let stay = !one.purge || matches!(one.state, DroppedState::Blocked | DroppedState::Replaced);
    (!stay).then_some(one.restorable_until_ms)
}

fn as_json(one: &Dropped, now_ms: i64) -> serde_json::Value {
    json!({
        "id": one.id,
        "namespace": one.ident.namespace.levels().collect::<Vec<_>>(),
        "name": one.ident.name(),
        "metadata_location": one.metadata_location,
        "location": one.location,
        "dropped": time::shown(one.dropped_ms),
        "restorable": is_restorable(one, now_ms),
        "restorable_until": time::shown(one.restorable_until_ms),
        "purge": one.purge,
        "files_go": files_go_ms(one).map(time::shown),
        "state": one.state.as_str(),
        "attempts": one.attempts,
        "message": one.message,
    })
}

/// A name as [`parse_table`] reads it.
fn dotted(ident: &TableIdent) -> String {
    let name = ident.name().replace('\\', r"\\").replace('.', r"\.");
    format!("{}.{name}", shown(&ident.namespace))
}

/// Restores one.
pub(crate) async fn restore(session: &Session, kind: TableKind, arguments: &RestoreArguments) -> Result<()> {
    let store = session.store()?;
    let warehouse = arguments.warehouse.find(store.as_ref()).await?;
    let place = place(&warehouse);
    let dropped = find(store.as_ref(), place, kind, arguments).await?;
    let organisation = store.organisation_list().await?.into_iter().find(|one| one.id == warehouse.organisation);
    let tier = organisation.and_then(|organisation| session.config.tiers.get(&organisation.tier).cloned());
    let max_tables = tier.and_then(|tier| tier.max_tables);
    let ident = arguments.new_name.as_ref().unwrap_or(&dropped.ident);
    check_document(&session.open(warehouse)?, &dropped).await?;
    // It keeps the locations that it is known to have.
    let restore = Restore { id: dropped.id, ident, locations: None };
    match store.dropped_restore(place, &restore, max_tables, &session.change()).await {
        Ok(()) => output::done(
            arguments.format,
            &format!("Restored {} '{}'.", word(kind), dotted(ident)),
            &json!({ "id": dropped.id, "namespace": ident.namespace.levels().collect::<Vec<_>>(), "name": ident.name() }),
        ),
        Err(StoreError::NotFound(Resource::Namespace)) => {
            let namespace = shown(&ident.namespace);
            bail!("there is no namespace '{namespace}': create it, or restore under another name with --as")
        }
        Err(StoreError::AlreadyExists(taken_by)) => {
            bail!("there is a {taken_by} '{}' by now: restore under another name with --as", dotted(ident))
        }
        Err(StoreError::NotRestorable(reason)) => {
            bail!("{} '{}' can no longer be restored: {reason}", word(kind), dotted(&dropped.ident))
        }
        Err(StoreError::LimitReached { limit }) => {
            bail!("the organisation's tier includes {limit} tables and views, and it has as many")
        }
        Err(other) => Err(other.into()),
    }
}

/// Fails when the metadata of what is to be restored is gone.
async fn check_document(warehouse: &OpenWarehouse, dropped: &Dropped) -> Result<()> {
    let (documents, location) = (Documents::new(0), &dropped.metadata_location);
    let found = match dropped.kind {
        TableKind::Table => documents.get(&warehouse.storage, location).await.map(drop),
        TableKind::View => documents.get_view(&warehouse.storage, location).await.map(drop),
    };
    match found {
        Ok(()) => Ok(()),
        Err(MetadataError::Missing(file)) => {
            let what = word(dropped.kind);
            bail!("{what} '{}' cannot be restored: {}", dotted(&dropped.ident), missing_document(&file))
        }
        Err(error) => Err(error).context("the metadata of what is to be restored cannot be read"),
    }
}

async fn find(store: &dyn Store, place: Place, kind: TableKind, arguments: &RestoreArguments) -> Result<Dropped> {
    let what = word(kind);
    if let Some(id) = arguments.id {
        let found = store.dropped_get(place, id).await?.filter(|dropped| dropped.kind == kind);
        return found.ok_or_else(|| anyhow!("no dropped {what} has the id {id}: see `tidewater {what} dropped`"));
    }
    let Some(name) = &arguments.name else { bail!("name what is to be restored") };
    let filter =
        DroppedFilter { namespace: Some(name.namespace.clone()), name: Some(name.name().to_owned()), kind: Some(kind) };
    let newest = TimedPage { before: None, limit: Some(1) };
    let found = store.dropped_list(place, &filter, &newest).await?.items.into_iter().next();
    found.ok_or_else(|| anyhow!("no dropped {what} was called '{}': see `tidewater {what} dropped`", dotted(name)))
}

/// Ends one for good.
pub(crate) async fn remove(
    session: &Session,
    kind: TableKind,
    arguments: &RemoveArguments,
    files: Option<&FilesArguments>,
) -> Result<()> {
    let store = session.store()?;
    let place = place(&arguments.warehouse.find(store.as_ref()).await?);
    let (what, id) = (word(kind), arguments.id);
    let found = store.dropped_get(place, id).await?.filter(|dropped| dropped.kind == kind);
    let dropped = found.ok_or_else(|| anyhow!("no dropped {what} has the id {id}: see `tidewater {what} dropped`"))?;
    let purge = files.and_then(FilesArguments::purge);
    let is_gone = store.dropped_remove(place, id, purge, &session.change()).await?;
    let name = dotted(&dropped.ident);
    let told =
        |sentence: &str, state: &str| output::done(arguments.format, sentence, &json!({ "id": id, "state": state }));
    if is_gone {
        return told(&format!("Deleted {what} '{name}' for good; its files stay."), "gone");
    }
    if purge != Some(false) {
        let sentence = format!("{what} '{name}' can no longer be restored; a running server removes its files.");
        return told(&sentence, "removing");
    }
    output::note(&format!("a server is removing the files of {what} '{name}': waiting until it has stopped"));
    if wait_until_gone(session, store.as_ref(), place, id).await? {
        let sentence = format!(
            "Deleted {what} '{name}' for good; the removal of its files had begun and has stopped, and those that are left stay."
        );
        told(&sentence, "gone")
    } else {
        bail!(
            "{what} '{name}': the removal of its files has not stopped yet, and more of them may go: see `tidewater {what} dropped`"
        )
    }
}

/// Waits until a removal of files has stopped: at the latest that is when its lease is over, where its server has died.
async fn wait_until_gone(session: &Session, store: &dyn Store, place: Place, id: TableId) -> Result<bool> {
    const LOOK_INTERVAL: Duration = Duration::from_millis(100);
    const LOOKS: u32 = 450;
    for _ in 0..LOOKS {
        let Some(dropped) = store.dropped_get(place, id).await? else { return Ok(true) };
        let now_ms = session.clock.now_ms();
        if !dropped.is_leased(now_ms) {
            return Ok(store.dropped_remove(place, id, Some(false), &session.change()).await?);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(false)
}
