//! What most commands name: the organisation and the warehouse that they are about.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail, ensure};
use clap::Args;
use http::StatusCode;
use serde_json::Value;
use tidewater_core::limits::Tier;
use tidewater_core::name::NamespaceIdent;

use super::client::{Client, encoded, has_status};
use super::output::text;

/// The name or id of the organisation.
#[derive(Debug, Clone, Args)]
pub(crate) struct OrganisationArgument {
    /// The organisation; not needed when there is only one
    #[arg(long, value_name = "NAME", env = "TIDEWATER_ORG")]
    pub(crate) org: Option<String>,
}

/// The warehouse, and its organisation.
#[derive(Debug, Clone, Args)]
pub(crate) struct WarehouseArgument {
    #[command(flatten)]
    organisation: OrganisationArgument,

    /// The warehouse [default: the organisation's default]
    #[arg(long, value_name = "NAME", env = "TIDEWATER_WAREHOUSE")]
    warehouse: Option<String>,
}

/// Whether it is fine that an object exists already.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct IfNotExists {
    /// Succeed, and change nothing, when there is one of that name
    #[arg(long)]
    if_not_exists: bool,
}

impl IfNotExists {
    /// Fails unless it is.
    pub(crate) fn allow(self, what: &str) -> Result<()> {
        ensure!(self.if_not_exists, "{what} exists already: choose another name, or pass --if-not-exists");
        Ok(())
    }
}

/// An organisation.
#[derive(Debug, Clone)]
pub(crate) struct Organisation {
    /// Its name.
    pub(crate) name: String,
    /// All that the catalog says of it.
    pub(crate) shown: Value,
}

impl Organisation {
    /// The path of the organisation in the management API, with `rest` below it.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/management/v1/organisations/{}{rest}", encoded(&self.name))
    }
}

/// A warehouse of an organisation.
#[derive(Debug, Clone)]
pub(crate) struct Warehouse {
    /// Its name.
    pub(crate) name: String,
    path: String,
}

impl Warehouse {
    /// The path of the warehouse in the management API, with `rest` below it.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("{}{rest}", self.path)
    }
}

/// A namespace as a segment of a path, or as a parameter.
pub(crate) fn encoded_namespace(namespace: &NamespaceIdent) -> String {
    namespace.levels().map(encoded).collect::<Vec<_>>().join("%1F")
}

impl OrganisationArgument {
    /// Finds the organisation.
    pub(crate) async fn find(&self, client: &Client) -> Result<Organisation> {
        if let Some(name) = &self.org {
            let found = client.find(&format!("/management/v1/organisations/{}", encoded(name))).await?;
            let shown = found.ok_or_else(|| anyhow!("there is no organisation '{name}': see `tidewater org list`"))?;
            return Ok(organisation(shown));
        }
        let all = client.list("/management/v1/organisations", "organisations").await;
        let mut all = all.map_err(|error| match has_status(&error, StatusCode::FORBIDDEN) {
            true => anyhow!("name the organisation of your key with --org"),
            false => error,
        })?;
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(organisation(only)),
            (None, _) => bail!("there is no organisation yet: make one with `tidewater org create`"),
            (Some(_), false) => {
                bail!("there are several organisations: choose one with --org (see `tidewater org list`)")
            }
        }
    }
}

fn organisation(shown: Value) -> Organisation {
    Organisation { name: text(&shown, "name"), shown }
}

impl WarehouseArgument {
    /// Returns the organisation alone.
    pub(crate) const fn organisation(&self) -> &OrganisationArgument {
        &self.organisation
    }

    /// Finds the warehouse.
    pub(crate) async fn find(&self, client: &Client) -> Result<Warehouse> {
        let organisation = self.organisation.find(client).await?;
        let all = client.list(&organisation.path("/warehouses"), "warehouses").await?;
        let found = match &self.warehouse {
            Some(name) => all.iter().find(|warehouse| warehouse["name"] == **name),
            None => all.iter().find(|warehouse| warehouse["default"] == true),
        };
        let path = |name: &str| organisation.path(&format!("/warehouses/{}", encoded(name)));
        let found = found.ok_or_else(|| match &self.warehouse {
            Some(name) => {
                anyhow!("organisation '{}' has no warehouse '{name}': see `tidewater warehouse list`", organisation.name)
            }
            None => anyhow!(
                "organisation '{}' has no default warehouse: choose one with --warehouse (see `tidewater warehouse list`)",
                organisation.name
            ),
        })?;
        let name = text(found, "name");
        Ok(Warehouse { path: path(&name), name })
    }
}

/// The tiers that are in force.
pub(crate) struct Tiers {
    /// By name.
    pub(crate) known: BTreeMap<String, Tier>,
    /// Whether a running server has said so.
    of_server: bool,
}

impl Tiers {
    /// Asks for the tiers.
    pub(crate) async fn load(client: &Client) -> Result<Self> {
        let mut answer = client.get("/management/v1/tiers").await?;
        Ok(Self { known: serde_json::from_value(answer["tiers"].take())?, of_server: !client.is_in_process() })
    }

    /// Fails when there is no tier of that name.
    pub(crate) fn check(&self, tier: &str) -> Result<()> {
        let known = self.known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        ensure!(
            self.known.contains_key(tier) || !self.of_server,
            "the running server does not know the tier '{tier}': it knows {known}. Use one of these, or put '{tier}' into the \
             server's configuration and run `tidewater reload` first"
        );
        ensure!(self.known.contains_key(tier), "there is no tier '{tier}': use one of {known}");
        Ok(())
    }
}
