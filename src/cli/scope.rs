//! Arguments of most commands: the organisation and the warehouse.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail, ensure};
use clap::Args;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use tidewater_core::limits::Tier;
use tidewater_core::name::NamespaceIdent;

use super::client::{Client, NO_SUCH_WAREHOUSE, NOT_FOUND, encoded, has_status, not_found, with_message};
use super::output::text;

/// The option for the organisation.
#[derive(Debug, Clone, Args)]
pub(crate) struct OrganisationArgument {
    /// The organisation; not needed when there is only one
    #[arg(long, value_name = "NAME", env = "TIDEWATER_ORG")]
    pub(crate) org: Option<String>,
}

/// The options for the warehouse and its organisation.
#[derive(Debug, Clone, Args)]
pub(crate) struct WarehouseArgument {
    #[command(flatten)]
    organisation: OrganisationArgument,

    /// The warehouse [default: the organisation's default]
    #[arg(long, value_name = "NAME", env = "TIDEWATER_WAREHOUSE")]
    warehouse: Option<String>,
}

/// The option that accepts an existing object.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct IfNotExists {
    /// Succeed without a change if the name exists already
    #[arg(long)]
    if_not_exists: bool,
}

impl IfNotExists {
    /// Fails unless the option is set. `what` is the existing object.
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
    /// The organisation as the management API returns it.
    pub(crate) shown: Value,
}

impl Organisation {
    /// Returns the path of the organisation in the management API, followed by `rest`.
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
    /// Returns the path of the warehouse in the management API, followed by `rest`.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("{}{rest}", self.path)
    }
}

/// Encodes a namespace for a path segment or a query parameter.
pub(crate) fn encoded_namespace(namespace: &NamespaceIdent) -> String {
    namespace.levels().map(encoded).collect::<Vec<_>>().join("%1F")
}

impl OrganisationArgument {
    /// Finds the organisation.
    pub(crate) async fn find(&self, client: &Client) -> Result<Organisation> {
        if let Some(name) = &self.org {
            let found = client.find(&format!("/management/v1/organisations/{}", encoded(name))).await?;
            let shown = found.ok_or_else(|| {
                not_found(NOT_FOUND, format!("there is no organisation '{name}': see `tidewater org list`"))
            })?;
            return Ok(organisation(shown));
        }
        let all = client.list("/management/v1/organisations", "organisations").await;
        let mut all = all.map_err(|error| match has_status(&error, StatusCode::FORBIDDEN) {
            true => {
                with_message(error, |_| "your key cannot list organisations: give its organisation with --org".into())
            }
            false => error,
        })?;
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(organisation(only)),
            (None, _) => bail!("there is no organisation yet: create one with `tidewater org create`"),
            (Some(_), false) => {
                bail!("there are several organisations: choose one with --org (see `tidewater org list`)")
            }
        }
    }
}

fn organisation(shown: Value) -> Organisation {
    Organisation { name: text(&shown, "name"), shown }
}

/// Returns the error for a warehouse that an organisation does not have.
pub(crate) fn no_such_warehouse(organisation: &Organisation, name: &str) -> anyhow::Error {
    let owner = &organisation.name;
    let message = format!("organisation '{owner}' has no warehouse '{name}': see `tidewater warehouse list`");
    not_found(NO_SUCH_WAREHOUSE, message)
}

impl WarehouseArgument {
    /// Returns the organisation.
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
            Some(name) => no_such_warehouse(&organisation, name),
            None => anyhow!(
                "organisation '{}' has no default warehouse: choose one with --warehouse (see `tidewater warehouse list`)",
                organisation.name
            ),
        })?;
        let name = text(found, "name");
        Ok(Warehouse { path: path(&name), name })
    }
}

/// The configured tiers.
pub(crate) struct Tiers {
    /// The tiers by name.
    pub(crate) known: BTreeMap<String, Tier>,
    /// Whether they come from a running server.
    of_server: bool,
}

/// A tier, as the management API returns it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TierEntry {
    catalog: bool,
    requests_per_day: Option<u64>,
    max_tables: Option<u64>,
    requests_per_second: Option<u32>,
    burst: Option<u32>,
    requests_per_second_per_key: Option<u32>,
    burst_per_key: Option<u32>,
}

impl From<TierEntry> for Tier {
    fn from(entry: TierEntry) -> Self {
        Self {
            catalog: entry.catalog,
            requests_per_day: entry.requests_per_day,
            max_tables: entry.max_tables,
            requests_per_second: entry.requests_per_second,
            burst: entry.burst,
            requests_per_second_per_key: entry.requests_per_second_per_key,
            burst_per_key: entry.burst_per_key,
        }
    }
}

impl Tiers {
    /// Loads the tiers from the catalog.
    pub(crate) async fn load(client: &Client) -> Result<Self> {
        let mut answer = client.get("/management/v1/tiers").await?;
        let tiers: BTreeMap<String, TierEntry> = serde_json::from_value(answer["tiers"].take())?;
        let known = tiers.into_iter().map(|(name, tier)| (name, tier.into())).collect();
        Ok(Self { known, of_server: !client.is_in_process() })
    }

    /// Fails if there is no tier of that name.
    pub(crate) fn check(&self, tier: &str) -> Result<()> {
        let known = self.known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        ensure!(
            self.known.contains_key(tier) || !self.of_server,
            "the running server does not know the tier '{tier}': use one of {known}, or add '{tier}' to the server's \
             configuration and run `tidewater reload` first"
        );
        ensure!(self.known.contains_key(tier), "there is no tier '{tier}': use one of {known}");
        Ok(())
    }
}
