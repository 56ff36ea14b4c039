//! `tidewater org`.

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use tidewater_core::access::check_organisation_name;
use tidewater_core::ids::OrganisationId;
use tidewater_core::limits::{day_of, serving_tier, smallest_tier};

use super::output::{self, Format};
use super::session::{IfNotExists, OrganisationArgument, Session};
use super::time;
use tidewater::clock::fresh_ordered_uuid;
use tidewater::store::{Organisation, Resource, Store, StoreError};

/// What can be done with organisations.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create an organisation
    #[command(after_help = "Example:\n  tidewater org create acme --tier professional")]
    Create {
        /// Its name
        #[arg(env = "TIDEWATER_ORG")]
        name: String,
        /// What it gets: a tier of the configuration, which has free, professional, premium and enterprise unless changed
        /// [default: the smallest that includes the catalog]
        #[arg(long)]
        tier: Option<String>,
        #[command(flatten)]
        if_not_exists: IfNotExists,
        #[command(flatten)]
        format: Format,
    },
    /// List all organisations
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Show an organisation
    #[command(after_help = "Example:\n  tidewater org show acme")]
    Show {
        /// Its name; not needed when there is only one
        #[arg(env = "TIDEWATER_ORG")]
        name: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Move an organisation to another tier; a running server sees it within seconds
    #[command(after_help = "Example:\n  tidewater org set-tier acme premium", allow_missing_positional = true)]
    SetTier {
        /// Its name; not needed when there is only one
        #[arg(env = "TIDEWATER_ORG")]
        name: Option<String>,
        /// The tier
        tier: String,
        #[command(flatten)]
        format: Format,
    },
    /// Show what an organisation has used today, of what its tier includes
    Usage {
        /// Its name; not needed when there is only one
        name: Option<String>,
        /// The same, where no name is given
        #[arg(long, value_name = "NAME", env = "TIDEWATER_ORG")]
        org: Option<String>,
        #[command(flatten)]
        format: Format,
    },
}

/// Does one of them.
pub(crate) async fn run(session: &Session, command: &Command) -> Result<()> {
    match command {
        Command::Create { name, tier, if_not_exists, format } => {
            create(session, name, tier.as_deref(), *if_not_exists, *format).await
        }
        Command::List { format } => list(session, *format).await,
        Command::Show { name, format } => show(session, name.clone(), *format).await,
        Command::SetTier { name, tier, format } => set_tier(session, name.clone(), tier, *format).await,
        Command::Usage { name, org, format } => {
            let org = name.clone().or_else(|| org.clone());
            usage(session, &OrganisationArgument { org }, *format).await
        }
    }
}

async fn create(
    session: &Session,
    name: &str,
    tier: Option<&str>,
    if_not_exists: IfNotExists,
    format: Format,
) -> Result<()> {
    check_organisation_name(name)?;
    let tiers = session.tiers().await?;
    let tier = match tier.or_else(|| smallest_tier(&tiers.known)) {
        Some(tier) => tier,
        None => bail!("no configured tier includes the catalog: choose one with --tier"),
    };
    tiers.check(tier)?;
    let store = session.store_or_new()?;
    let new = Organisation::new(
        OrganisationId(fresh_ordered_uuid()),
        name.to_owned(),
        tier.to_owned(),
        session.clock.now_ms(),
    );
    match store.organisation_create(&new, &session.change()).await {
        Ok(()) => {}
        Err(StoreError::AlreadyExists(Resource::Organisation)) => {
            if_not_exists.allow(&format!("organisation '{name}'"))?;
            let found = OrganisationArgument { org: Some(name.to_owned()) }.find(&store).await?;
            return output::done(
                format,
                &format!("Organisation '{name}' exists already, in tier '{}'.", found.tier),
                &as_json(&found),
            );
        }
        Err(other) => return Err(other.into()),
    }
    let folder = session.config.data_dir.display();
    output::done(
        format,
        &format!("Created organisation '{name}' in tier '{tier}' (data folder {folder})."),
        &as_json(&new),
    )?;
    output::note(&format!(
        "next: tidewater warehouse create lake --org {name} --root file:///some/folder\n      \
         tidewater key create first --org {name} --role admin"
    ));
    Ok(())
}

fn as_json(org: &Organisation) -> Value {
    json!({ "id": org.id, "name": org.name, "tier": org.tier, "created": time::shown(org.created_ms) })
}

async fn list(session: &Session, format: Format) -> Result<()> {
    let all = session.store()?.organisation_list().await?;
    if format.json {
        return output::json(&all.iter().map(as_json).collect::<Vec<_>>());
    }
    let rows: Vec<_> = all.into_iter().map(|org| vec![org.name, org.tier, time::shown(org.created_ms)]).collect();
    output::table(&["name", "tier", "created"], &rows, "there is no organisation yet")
}

async fn show(session: &Session, name: Option<String>, format: Format) -> Result<()> {
    let store = session.store()?;
    let found = OrganisationArgument { org: name }.find(&store).await?;
    let tiers = session.tiers().await?;
    let served_by = serving_tier(&tiers.known, &found.tier);
    let warehouses = store.warehouse_list(found.id).await?;
    let names: Vec<&str> = warehouses.iter().map(|warehouse| warehouse.name.as_str()).collect();
    let keys = store.key_list(found.id).await?.iter().filter(|key| key.revoked_ms.is_none()).count();
    let tables = store.table_count(found.id).await?;
    if format.json {
        let mut shown = as_json(&found);
        shown["served_by_tier"] = json!(served_by);
        shown["warehouses"] = json!(names);
        shown["keys"] = json!(keys);
        shown["tables"] = json!(tables);
        return output::json(&shown);
    }
    output::fields(&[
        ("organisation", found.name.clone()),
        ("id", found.id.to_string()),
        ("tier", tier_with_stand_in(&found.tier, served_by)),
        ("created", time::shown(found.created_ms)),
        ("warehouses", names.join(", ")),
        ("keys", keys.to_string()),
        ("tables", tables.to_string()),
    ])
}

/// The tier's name and, where it is not configured, which serves in its place.
fn tier_with_stand_in(tier: &str, served_by: Option<&str>) -> String {
    match served_by {
        Some(serving) if serving == tier => tier.to_owned(),
        Some(serving) => format!("{tier} (not configured: served by '{serving}')"),
        None => format!("{tier} (not configured, nor any other with the catalog: refused)"),
    }
}

async fn set_tier(session: &Session, name: Option<String>, tier: &str, format: Format) -> Result<()> {
    session.tiers().await?.check(tier)?;
    let store = session.store()?;
    let before = OrganisationArgument { org: name }.find(&store).await?;
    store.organisation_set_tier(before.id, tier, &session.change()).await?;
    let now = Organisation { tier: tier.to_owned(), ..before.clone() };
    output::done(
        format,
        &format!("Moved organisation '{}' to tier '{tier}' (it was in '{}').", before.name, before.tier),
        &as_json(&now),
    )
}

async fn usage(session: &Session, organisation: &OrganisationArgument, format: Format) -> Result<()> {
    let store = session.store()?;
    let organisation = organisation.find(&store).await?;
    let tiers = session.tiers().await?.known;
    let served_by = serving_tier(&tiers, &organisation.tier);
    let tier = served_by.and_then(|name| tiers.get(name)).with_context(|| {
        format!("organisation '{}' is in tier '{}', which is not configured", organisation.name, organisation.tier)
    })?;
    let requests = store.usage_get(organisation.id, day_of(session.clock.now_ms())).await?;
    let tables = store.table_count(organisation.id).await?;
    if format.json {
        return output::json(&json!({
            "organisation": organisation.name,
            "tier": organisation.tier,
            "served_by_tier": served_by,
            "requests_today": requests,
            "requests_per_day": tier.requests_per_day,
            "tables": tables,
            "max_tables": tier.max_tables,
        }));
    }
    let of = |limit: Option<u64>| limit.map_or_else(|| "without limit".to_owned(), |limit| format!("of {limit}"));
    output::fields(&[
        ("organisation", organisation.name),
        ("tier", tier_with_stand_in(&organisation.tier, served_by)),
        ("requests today", format!("{requests} {}", of(tier.requests_per_day))),
        ("tables", format!("{tables} {}", of(tier.max_tables))),
    ])?;
    if tier.requests_per_day.is_some() {
        // A server takes requests from the day's budget in slices, and gives back what it has not spent when it stops.
        output::note("a running server counts in slices: up to a hundredth of the limit may be counted ahead");
    }
    Ok(())
}
