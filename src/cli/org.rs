//! `tidewater org`.

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;
use serde_json::json;
use tidewater_core::access::check_organisation_name;
use tidewater_core::ids::OrganisationId;
use tidewater_core::limits::day_of;

use super::output::{self, Format};
use super::session::{OrganisationArgument, Session};
use super::time;
use tidewater::clock::fresh_ordered_uuid;
use tidewater::store::{Organisation, Resource, Store, StoreError};

/// What can be done with organisations.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add an organisation
    #[command(after_help = "Example:\n  tidewater org create acme --tier professional")]
    Create {
        /// Its name
        name: String,
        /// What it gets: a tier of the configuration, which has free, professional, premium and enterprise unless changed
        #[arg(long, default_value = "enterprise")]
        tier: String,
    },
    /// List all organisations
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Move an organisation to another tier; a running server sees it within seconds
    #[command(after_help = "Example:\n  tidewater org set-tier acme premium")]
    SetTier {
        /// Its name
        name: String,
        /// The tier
        tier: String,
    },
    /// Show what an organisation has used today, of what its tier includes
    Usage {
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        format: Format,
    },
}

/// Does one of them.
pub(crate) async fn run(session: &Session, command: &Command) -> Result<()> {
    match command {
        Command::Create { name, tier } => create(session, name, tier).await,
        Command::List { format } => list(session, *format).await,
        Command::SetTier { name, tier } => set_tier(session, name, tier).await,
        Command::Usage { organisation, format } => usage(session, organisation, *format).await,
    }
}

async fn create(session: &Session, name: &str, tier: &str) -> Result<()> {
    check_organisation_name(name)?;
    check_tier(session, tier)?;
    let store = session.store_or_new()?;
    let new = Organisation {
        id: OrganisationId(fresh_ordered_uuid()),
        name: name.to_owned(),
        tier: tier.to_owned(),
        created_ms: session.clock.now_ms(),
    };
    store.organisation_create(&new).await.map_err(|error| match error {
        StoreError::AlreadyExists(Resource::Organisation) => {
            anyhow::anyhow!("there is an organisation '{name}' already")
        }
        other => other.into(),
    })?;
    output::line(&format!("organisation '{name}' is there, in tier '{tier}'"))?;
    output::note(&format!(
        "next: tidewater warehouse create lake --org {name} --root file:///some/folder\n      \
         tidewater key create first --org {name} --role admin"
    ));
    Ok(())
}

async fn list(session: &Session, format: Format) -> Result<()> {
    let all = session.store()?.organisation_list().await?;
    if format.json {
        let all: Vec<_> = all
            .iter()
            .map(
                |org| json!({"id": org.id, "name": org.name, "tier": org.tier, "created": time::shown(org.created_ms)}),
            )
            .collect();
        return output::json(&all);
    }
    let rows: Vec<_> = all.into_iter().map(|org| vec![org.name, org.tier, time::shown(org.created_ms)]).collect();
    output::table(&["name", "tier", "created"], &rows, "there is no organisation yet")
}

async fn set_tier(session: &Session, name: &str, tier: &str) -> Result<()> {
    check_tier(session, tier)?;
    let store = session.store()?;
    let organisation = OrganisationArgument { org: Some(name.to_owned()) }.find(&store).await?;
    store.organisation_set_tier(organisation.id, tier).await?;
    output::line(&format!("organisation '{name}' is in tier '{tier}'; it was in '{}'", organisation.tier))
}

async fn usage(session: &Session, organisation: &OrganisationArgument, format: Format) -> Result<()> {
    let store = session.store()?;
    let organisation = organisation.find(&store).await?;
    let tier = session.config.tiers.get(&organisation.tier).with_context(|| {
        format!("organisation '{}' is in tier '{}', which is not configured", organisation.name, organisation.tier)
    })?;
    let requests = store.usage_get(organisation.id, day_of(session.clock.now_ms())).await?;
    let tables = store.table_count(organisation.id).await?;
    if format.json {
        return output::json(&json!({
            "organisation": organisation.name,
            "tier": organisation.tier,
            "requests_today": requests,
            "requests_per_day": tier.requests_per_day,
            "tables": tables,
            "max_tables": tier.max_tables,
        }));
    }
    let of = |limit: Option<u64>| limit.map_or_else(|| "without limit".to_owned(), |limit| format!("of {limit}"));
    output::line(&format!("organisation    {}", organisation.name))?;
    output::line(&format!("tier            {}", organisation.tier))?;
    output::line(&format!("requests today  {requests} {}", of(tier.requests_per_day)))?;
    output::line(&format!("tables          {tables} {}", of(tier.max_tables)))?;
    if tier.requests_per_day.is_some() {
        // A server takes requests from the day's budget in slices, and gives back what it has not spent when it stops.
        output::note("a running server counts in slices: up to a hundredth of the limit may be counted ahead");
    }
    Ok(())
}

fn check_tier(session: &Session, tier: &str) -> Result<()> {
    let known = &session.config.tiers;
    let names = || known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    ensure!(known.contains_key(tier), "there is no tier '{tier}': use one of {}", names());
    Ok(())
}
