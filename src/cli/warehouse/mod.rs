//! `tidewater warehouse`.

pub(crate) mod storage_file;

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidewater_core::ids::WarehouseId;
use tidewater_core::location::Location;
use tidewater_core::name::check_warehouse_name;
use tidewater_core::purge::PurgeTime;
use tidewater_core::storage::{StorageProfile, overlap};

use super::output::{self, Format};
use super::session::{IfNotExists, OrganisationArgument, Session, place};
use super::time;
use storage_file::StorageArgument;
use tidewater::app::storage_access;
use tidewater::catalog::{CheckStep, warehouse_check};
use tidewater::clock::fresh_ordered_uuid;
use tidewater::master_key;
use tidewater::owner::Owner;
use tidewater::storage::StorageCredentials;
use tidewater::store::{Resource, Store, StoreError, Warehouse, WarehouseOptions, WarehouseStorage};
use tidewater::warehouse::OpenWarehouse;

/// What can be done with warehouses.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add a warehouse, once its storage was tried out; an organisation's first becomes its default
    #[command(after_help = "Examples:\n  tidewater warehouse create lake --org acme --root file:///srv/lake\n  \
                            tidewater warehouse create lake --org acme --root s3://bucket/lake --storage s3.toml --dry-run")]
    Create(CreateArguments),
    /// Try a warehouse's storage out as it is set up, and say what is wrong
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
    /// Give a warehouse other settings or credentials for its storage, once they were tried out
    SetStorage {
        /// Its name
        name: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        storage: StorageArgument,
        /// Do not try the storage out, as when this machine does not reach it
        #[arg(long)]
        unchecked: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Change when purges remove files, and whether clients may
    #[command(after_help = "Examples:\n  tidewater warehouse set-options lake --purge at-once\n  \
                            tidewater warehouse set-options lake --no-delete\n  \
                            tidewater warehouse set-options lake --purge after-retention --allow-delete")]
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
    /// Seal all storage credentials anew with the first of the master keys, after a new one was put there
    Reseal {
        /// Go on with this master key though the one before is lost: credentials that do not open are named, and have to be
        /// given again with set-storage
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
    /// Choose the warehouse that serves clients which name none
    SetDefault {
        /// Its name
        name: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Delete a warehouse that holds no namespace and nothing dropped; its files stay
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

/// Which warehouse is created, and how.
#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    /// Its name: clients name it as `warehouse`
    name: String,
    #[command(flatten)]
    organisation: OrganisationArgument,
    /// Where its tables are put: file:///folder, s3://bucket/folder, gs://bucket/folder or
    /// abfss://container@account.dfs.core.windows.net/folder
    #[arg(long, value_name = "LOCATION", value_parser = parse_root)]
    root: Location,
    #[command(flatten)]
    storage: StorageArgument,
    /// When the files of a table go that is dropped with a purge: after-retention or at-once. At once, it cannot be restored
    #[arg(long, value_name = "TIME", default_value = "after-retention")]
    purge: PurgeTime,
    /// What is vended removes no files: the catalog alone does. Not for a warehouse on the local disk, which vends nothing
    #[arg(long)]
    no_delete: bool,
    /// Only try the storage out, and say what is wrong
    #[arg(long)]
    dry_run: bool,
    /// Do not try the storage out, as when this machine does not reach it
    #[arg(long, conflicts_with = "dry_run")]
    unchecked: bool,
    #[command(flatten)]
    if_not_exists: IfNotExists,
    #[command(flatten)]
    format: Format,
}

/// What is changed of a warehouse.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct OptionArguments {
    /// When the files of a table go that is dropped with a purge from now on: after-retention or at-once
    #[arg(long, value_name = "TIME")]
    purge: Option<PurgeTime>,
    /// What is vended from now on removes no files: the catalog alone does
    #[arg(long, conflicts_with = "allow_delete")]
    no_delete: bool,
    /// What is vended to writers from now on removes files too
    #[arg(long)]
    allow_delete: bool,
}

/// Does one of them.
pub(crate) async fn run(session: &Session, command: &Command) -> Result<()> {
    let store = session.store()?;
    match command {
        Command::Create(arguments) => create(session, store.as_ref(), arguments).await,
        Command::Check { name, organisation, format } => {
            let warehouse = find(store.as_ref(), organisation, name).await?;
            try_out_open(session, &session.open(warehouse.clone())?).await?;
            output::done(*format, &format!("Warehouse '{name}' works."), &as_json(&warehouse))
        }
        Command::Show { name, organisation, format } => show(&find(store.as_ref(), organisation, name).await?, *format),
        Command::SetStorage { name, organisation, storage, unchecked, format } => {
            let warehouse = find(store.as_ref(), organisation, name).await?;
            let file = storage.read_for(&Location::parse(&warehouse.root)?)?;
            let profile = WarehouseStorage { profile: file.profile.clone(), sealed_credentials: None };
            try_out(session, Warehouse { storage: profile, ..warehouse.clone() }, &file.credentials, *unchecked)
                .await?;
            let storage = file.seal(session, store.as_ref(), place(&warehouse)).await?;
            let set = store.warehouse_set_storage(warehouse.organisation, name, &storage, &session.change()).await;
            set.map_err(|error| explain(error, "", name))?;
            let sentence =
                format!("Changed the storage settings of warehouse '{name}'. Servers see them within seconds.");
            output::done(*format, &sentence, &as_json(&Warehouse { storage, ..warehouse }))
        }
        Command::SetOptions { name, organisation, options, format } => {
            set_options(session, store.as_ref(), &find(store.as_ref(), organisation, name).await?, options, *format)
                .await
        }
        Command::Reseal { key_is_lost, format } => reseal(session, store.as_ref(), *key_is_lost, *format).await,
        Command::List { organisation, format } => {
            let organisation = organisation.find(store.as_ref()).await?;
            list(&store.warehouse_list(organisation.id).await?, *format)
        }
        Command::SetDefault { name, organisation, format } => {
            let organisation = organisation.find(store.as_ref()).await?;
            let set = store.warehouse_set_default(organisation.id, name, &session.change()).await;
            set.map_err(|error| explain(error, &organisation.name, name))?;
            let sentence = format!("'{name}' is the default warehouse of organisation '{}'.", organisation.name);
            output::done(*format, &sentence, &json!({ "name": name, "default": true }))
        }
        Command::Delete { name, organisation, format } => {
            let organisation = organisation.find(store.as_ref()).await?;
            let dropped = store.warehouse_drop(organisation.id, name, &session.change()).await;
            dropped.map_err(|error| explain(error, &organisation.name, name))?;
            let sentence =
                format!("Deleted warehouse '{name}' of organisation '{}'. Its files stay.", organisation.name);
            output::done(*format, &sentence, &json!({ "name": name }))
        }
    }
}

async fn create(session: &Session, store: &dyn Store, arguments: &CreateArguments) -> Result<()> {
    let CreateArguments { name, organisation, root, storage, dry_run, unchecked, if_not_exists, format, .. } =
        arguments;
    let options = WarehouseOptions { purge: arguments.purge, no_delete: arguments.no_delete };
    check_warehouse_name(name)?;
    let organisation = organisation.find(store).await?;
    if let Some(found) = store.warehouse_list(organisation.id).await?.iter().find(|found| found.name == *name) {
        if_not_exists.allow(&format!("warehouse '{name}' of organisation '{}'", organisation.name))?;
        ensure!(
            found.root == root.to_string(),
            "warehouse '{name}' of organisation '{}' exists already, with another root: {}",
            organisation.name,
            found.root
        );
        let sentence = format!("Warehouse '{name}' exists already, at {root}.");
        return output::done(*format, &sentence, &as_json(found));
    }
    let file = storage.read_for(root)?;
    check_options(options, &file.profile)?;
    let mut new = Warehouse {
        id: WarehouseId(fresh_ordered_uuid()),
        organisation: organisation.id,
        name: name.clone(),
        root: root.to_string(),
        storage: WarehouseStorage { profile: file.profile.clone(), sealed_credentials: None },
        options,
        is_default: false,
        created_ms: session.clock.now_ms(),
    };
    // Before anything is written anywhere; once more in the transaction that makes it.
    is_free(store, &new).await.map_err(|error| explain(error, &organisation.name, name))?;
    let owner = Owner::for_root(&session.config.data_dir).filter(|_| root.scheme() == "file");
    if let Some(owner) = owner.filter(|_| !*dry_run) {
        // The trial would make it as root's.
        owner.make_folder(Path::new(root.path())).with_context(|| format!("cannot make the folder {}", root.path()))?;
    }
    try_out(session, new.clone(), &file.credentials, *unchecked).await?;
    if let Some(owner) = owner.filter(|_| !*unchecked) {
        check_owner_can_write(owner, Path::new(root.path()))?;
    }
    if *dry_run {
        let sentence = format!("Warehouse '{name}' would work. It was not created.");
        return output::done(*format, &sentence, &json!({ "name": name, "root": root.to_string(), "created": null }));
    }
    new.storage = file.seal(session, store, place(&new)).await?;
    store.warehouse_create(&new, &session.change()).await.map_err(|error| explain(error, &organisation.name, name))?;
    let sentence = format!("Created warehouse '{name}' of organisation '{}', at {root}.", organisation.name);
    // Whether it became the default is the store's decision.
    let created = store.warehouse_list(organisation.id).await?.into_iter().find(|one| one.id == new.id);
    output::done(*format, &sentence, &as_json(&created.unwrap_or(new)))
}

/// Fails when the user that the server runs as, to whom the data folder belongs, may not write in a warehouse's root.
fn check_owner_can_write(owner: Owner, root: &Path) -> Result<()> {
    if !root.exists() {
        return Ok(());
    }
    let can_write = owner.can_write(root);
    let (root, owner_name) = (root.display(), owner.name());
    match can_write {
        Some(true) => Ok(()),
        Some(false) => bail!(
            "root may write in {root}, and {owner_name}, to whom the data folder belongs, may not: give the folder over with \
             `chown -R`, or pass --unchecked if the server runs as somebody else"
        ),
        None => {
            output::note(&format!(
                "whether {owner_name}, to whom the data folder belongs, may write in {root} is not known"
            ));
            Ok(())
        }
    }
}

/// Changes a warehouse's options.
async fn set_options(
    session: &Session,
    store: &dyn Store,
    warehouse: &Warehouse,
    changed: &OptionArguments,
    format: Format,
) -> Result<()> {
    let known = warehouse.options;
    let no_delete = changed.no_delete || (known.no_delete && !changed.allow_delete);
    let options = WarehouseOptions { purge: changed.purge.unwrap_or(known.purge), no_delete };
    check_options(options, &warehouse.storage.profile)?;
    let set = store.warehouse_set_options(warehouse.organisation, &warehouse.name, &options, &session.change()).await;
    set.map_err(|error| explain(error, "", &warehouse.name))?;
    let sentence = format!("Changed warehouse '{}'. Servers see it within seconds.", warehouse.name);
    output::done(format, &sentence, &as_json(&Warehouse { options, ..warehouse.clone() }))
}

/// Fails when an option promises what the storage cannot hold.
fn check_options(options: WarehouseOptions, storage: &StorageProfile) -> Result<()> {
    ensure!(
        !(options.no_delete && *storage == StorageProfile::File),
        "--no-delete cannot hold on the local disk: engines reach the files there as the system's users, and nothing is vended. \
         Set the rights of the folder instead"
    );
    Ok(())
}

/// Whether a warehouse of that name and at that place could be made.
async fn is_free(store: &dyn Store, new: &Warehouse) -> Result<(), StoreError> {
    let root = Location::parse(&new.root).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    for organisation in store.organisation_list().await? {
        for other in store.warehouse_list(organisation.id).await? {
            if other.organisation == new.organisation && other.name == new.name {
                return Err(StoreError::AlreadyExists(Resource::Warehouse));
            }
            let is_there = |at: Location| overlap((&new.storage.profile, &root), (&other.storage.profile, &at));
            if Location::parse(&other.root).is_ok_and(is_there) {
                return Err(StoreError::LocationTaken(new.root.clone()));
            }
        }
    }
    Ok(())
}

/// Fails when something does not work, after each step was told. Nothing of the credentials is kept.
async fn try_out(
    session: &Session,
    warehouse: Warehouse,
    credentials: &StorageCredentials,
    unchecked: bool,
) -> Result<()> {
    let warehouse = storage_access(&session.config).open_with(warehouse, credentials)?;
    if unchecked { Ok(()) } else { try_out_open(session, &warehouse).await }
}

async fn try_out_open(session: &Session, warehouse: &OpenWarehouse) -> Result<()> {
    let tell = |step: &CheckStep| match &step.outcome {
        Ok(remark) if remark.is_empty() => output::note(&format!("  ok      {}", step.what)),
        Ok(remark) => output::note(&format!("  ok      {}: {remark}", step.what)),
        Err(wrong) => output::note(&format!("  FAILED  {}: {wrong}", step.what)),
    };
    output::note(&format!("trying out {}", warehouse.root));
    ensure!(warehouse_check(warehouse, &session.clock, tell).await, "the storage does not work as it is set up");
    Ok(())
}

async fn find(store: &dyn Store, organisation: &OrganisationArgument, name: &str) -> Result<Warehouse> {
    let organisation = organisation.find(store).await?;
    let all = store.warehouse_list(organisation.id).await?;
    let found = all.into_iter().find(|warehouse| warehouse.name == name);
    found.ok_or_else(|| explain(StoreError::NotFound(Resource::Warehouse), &organisation.name, name))
}

async fn reseal(session: &Session, store: &dyn Store, key_is_lost: bool, format: Format) -> Result<()> {
    let access = storage_access(&session.config);
    if !key_is_lost {
        // Else a wrong key would be taken for a new one.
        master_key::check(store, &access.keys).await?;
    }
    let keys = access.keys.read()?;
    let (mut anew, mut kept, mut lost) = (0, 0, Vec::new());
    for organisation in store.organisation_list().await? {
        for warehouse in store.warehouse_list(organisation.id).await? {
            let Some(sealed) = &warehouse.storage.sealed_credentials else { continue };
            if key_is_lost && !keys.made(sealed) {
                lost.push(format!("'{}' of '{}'", warehouse.name, organisation.name));
                continue;
            }
            let resealed = access.reseal(place(&warehouse), sealed);
            let resealed =
                resealed.with_context(|| format!("warehouse '{}' of '{}'", warehouse.name, organisation.name))?;
            let Some(sealed) = resealed else {
                kept += 1;
                continue;
            };
            let storage = WarehouseStorage { sealed_credentials: Some(sealed), ..warehouse.storage };
            store.warehouse_set_storage(organisation.id, &warehouse.name, &storage, &session.change()).await?;
            anew += 1;
        }
    }
    master_key::adopt(store, &keys).await?;
    let mut sentence = format!("Sealed {anew} anew; {kept} were sealed with the first master key already.");
    if !lost.is_empty() {
        let names = lost.join(", ");
        sentence.push_str(&format!(
            " These do not open: give them credentials again with `warehouse set-storage`: {names}."
        ));
    }
    output::done(format, &sentence, &json!({ "sealed_anew": anew, "unchanged": kept, "lost": lost }))
}

fn as_json(one: &Warehouse) -> Value {
    json!({
        "id": one.id,
        "name": one.name,
        "root": one.root,
        "storage": one.storage.profile,
        "purge": one.options.purge.as_str(),
        "no_delete": one.options.no_delete,
        "default": one.is_default,
        "created": time::shown(one.created_ms),
    })
}

fn show(one: &Warehouse, format: Format) -> Result<()> {
    if format.json {
        return output::json(&as_json(one));
    }
    let credentials = if one.storage.sealed_credentials.is_some() { "sealed" } else { "none, or the server's own" };
    output::fields(&[
        ("warehouse", one.name.clone()),
        ("id", one.id.to_string()),
        ("default", if one.is_default { "yes" } else { "no" }.to_owned()),
        ("root", one.root.clone()),
        ("storage", serde_json::to_string(&one.storage.profile)?),
        ("credentials", credentials.to_owned()),
        ("purge", one.options.purge.as_str().to_owned()),
        ("clients remove files", if one.options.no_delete { "no" } else { "yes" }.to_owned()),
        ("created", time::shown(one.created_ms)),
    ])
}

fn list(all: &[Warehouse], format: Format) -> Result<()> {
    if format.json {
        return output::json(&all.iter().map(as_json).collect::<Vec<_>>());
    }
    let row = |one: &Warehouse| {
        let default = if one.is_default { "yes" } else { "" };
        vec![one.name.clone(), default.to_owned(), one.root.clone(), time::shown(one.created_ms)]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    output::table(&["name", "default", "root", "created"], &rows, "the organisation has no warehouse yet")
}

fn parse_root(text: &str) -> Result<Location, String> {
    Location::parse(text).map_err(|error| error.to_string())
}

fn explain(error: StoreError, organisation: &str, name: &str) -> anyhow::Error {
    match error {
        StoreError::AlreadyExists(Resource::Warehouse) => {
            anyhow!("organisation '{organisation}' has a warehouse '{name}' already")
        }
        StoreError::NotFound(Resource::Warehouse) => {
            anyhow!("organisation '{organisation}' has no warehouse '{name}': see `tidewater warehouse list`")
        }
        StoreError::LocationTaken(_) => {
            anyhow!("its root is that of another warehouse, or inside or around it: choose a folder that no other uses")
        }
        StoreError::NotEmpty(_) => {
            anyhow!(
                "warehouse '{name}' still holds namespaces, or dropped tables or views that can be restored: drop those, and \
                 delete these (see `tidewater table dropped` and `tidewater view dropped`)"
            )
        }
        other => other.into(),
    }
}
