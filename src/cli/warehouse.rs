//! `tidewater warehouse`.

use anyhow::{Result, anyhow};
use clap::Subcommand;
use serde_json::json;
use tidewater_core::ids::WarehouseId;
use tidewater_core::location::Location;
use tidewater_core::name::check_warehouse_name;

use super::output::{self, Format};
use super::session::{OrganisationArgument, Session};
use super::time;
use tidewater::clock::fresh_ordered_uuid;
use tidewater::store::{Resource, Store, StoreError, Warehouse};

/// What can be done with warehouses.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add a warehouse; an organisation's first becomes its default
    #[command(after_help = "Example:\n  tidewater warehouse create lake --org acme --root file:///srv/lake")]
    Create {
        /// Its name: clients name it as `warehouse`
        name: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        /// Where its tables are put; today a folder on this machine's disk, as file:///path
        #[arg(long, value_name = "LOCATION", value_parser = parse_root)]
        root: Location,
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
    },
    /// Remove a warehouse that holds no namespace and nothing dropped; its files stay
    Drop {
        /// Its name
        name: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
    },
}

/// Does one of them.
pub(crate) async fn run(session: &Session, command: &Command) -> Result<()> {
    let store = session.store()?;
    match command {
        Command::Create { name, organisation, root } => {
            check_warehouse_name(name)?;
            let organisation = organisation.find(&store).await?;
            let new = Warehouse {
                id: WarehouseId(fresh_ordered_uuid()),
                organisation: organisation.id,
                name: name.clone(),
                root: root.to_string(),
                is_default: false,
                created_ms: session.clock.now_ms(),
            };
            store.warehouse_create(&new).await.map_err(|error| explain(error, &organisation.name, name))?;
            output::line(&format!("warehouse '{name}' of organisation '{}' is there, at {root}", organisation.name))
        }
        Command::List { organisation, format } => {
            let organisation = organisation.find(&store).await?;
            list(&store.warehouse_list(organisation.id).await?, *format)
        }
        Command::SetDefault { name, organisation } => {
            let organisation = organisation.find(&store).await?;
            let set = store.warehouse_set_default(organisation.id, name).await;
            set.map_err(|error| explain(error, &organisation.name, name))?;
            output::line(&format!("'{name}' is the default warehouse of organisation '{}'", organisation.name))
        }
        Command::Drop { name, organisation } => {
            let organisation = organisation.find(&store).await?;
            let dropped = store.warehouse_drop(organisation.id, name).await;
            dropped.map_err(|error| explain(error, &organisation.name, name))?;
            output::line(&format!("warehouse '{name}' of organisation '{}' is gone; its files stay", organisation.name))
        }
    }
}

fn list(all: &[Warehouse], format: Format) -> Result<()> {
    if format.json {
        let shown = |one: &Warehouse| {
            json!({
                "id": one.id,
                "name": one.name,
                "root": one.root,
                "default": one.is_default,
                "created": time::shown(one.created_ms),
            })
        };
        return output::json(&all.iter().map(shown).collect::<Vec<_>>());
    }
    let row = |one: &Warehouse| {
        let default = if one.is_default { "yes" } else { "" };
        vec![one.name.clone(), default.to_owned(), one.root.clone(), time::shown(one.created_ms)]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    output::table(&["name", "default", "root", "created"], &rows, "the organisation has no warehouse yet")
}

/// Only what a server of this version can read and write.
fn parse_root(text: &str) -> Result<Location, String> {
    let root = Location::parse(text).map_err(|error| error.to_string())?;
    match root.scheme() {
        "file" if root.path().is_empty() => Err("the whole disk is no warehouse: name a folder".to_owned()),
        "file" => Ok(root),
        other => Err(format!("{other}:// is not supported yet: name a folder as file:///path")),
    }
}

fn explain(error: StoreError, organisation: &str, name: &str) -> anyhow::Error {
    match error {
        StoreError::AlreadyExists(Resource::Warehouse) => {
            anyhow!("organisation '{organisation}' has a warehouse '{name}' already")
        }
        StoreError::NotFound(Resource::Warehouse) => {
            anyhow!("organisation '{organisation}' has no warehouse '{name}': see `tidewater warehouse list`")
        }
        StoreError::NotEmpty(_) => {
            anyhow!(
                "warehouse '{name}' still holds namespaces, or dropped tables or views that can be restored: drop those, and \
                 remove these (see `tidewater table dropped` and `tidewater view dropped`)"
            )
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_a_folder_that_the_server_can_use() {
        assert_eq!(parse_root("/srv/lake/").unwrap().as_str(), "file:///srv/lake");
        for wrong in ["/", "file:///", "lake", "s3://bucket/lake"] {
            assert!(parse_root(wrong).is_err(), "{wrong}");
        }
    }
}
