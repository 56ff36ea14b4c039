//! `tidewater org`.

use anyhow::{Result, bail};
use clap::Subcommand;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tidewater_core::access::check_organisation_name;
use tidewater_core::limits::smallest_tier;

use super::client::{Client, encoded, has_status};
use super::output::{self, Format, text};
use super::scope::{IfNotExists, Organisation, OrganisationArgument, Tiers};
use super::time;

/// The resource in the management API.
const PATH: &str = "/management/v1/organisations";

/// Commands for organisations.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create an organisation
    #[command(after_help = "Example:\n  tidewater org create acme --tier professional")]
    Create {
        /// Its name
        #[arg(env = "TIDEWATER_ORG")]
        name: String,
        /// Its tier: one of the configured tiers (free, professional, premium and enterprise, unless the configuration
        /// changes them) [default: the smallest tier that includes the catalog]
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
    /// Move an organisation to another tier
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
    /// Give an organisation another name
    Rename {
        /// Its name
        name: String,
        /// Its new name
        new_name: String,
        #[command(flatten)]
        format: Format,
    },
    /// Refuse an organisation's keys until it is resumed
    Suspend {
        /// Its name
        name: String,
        #[command(flatten)]
        format: Format,
    },
    /// Accept the keys of a suspended organisation again
    Resume {
        /// Its name
        name: String,
        #[command(flatten)]
        format: Format,
    },
    /// Delete an organisation after a grace time; its keys are refused at once
    #[command(after_help = "Example:\n  tidewater org delete acme --grace 30d")]
    Delete {
        /// Its name
        name: String,
        /// For how long it can be restored, such as 30d [default: 7d]
        #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
        grace: Option<i64>,
        /// Remove the files of its tables too
        #[arg(long)]
        purge: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Undo the deletion of an organisation during its grace time
    Restore {
        /// Its name
        name: String,
        #[command(flatten)]
        format: Format,
    },
    /// Show an organisation's usage of today, or of a range of days
    #[command(after_help = "Examples:\n  tidewater org usage acme\n  \
                            tidewater org usage acme --from 2026-08-01 --to 2026-08-31 --by key")]
    Usage {
        /// Its name; not needed when there is only one
        name: Option<String>,
        /// The organisation, if NAME is not given
        #[arg(long, value_name = "NAME", env = "TIDEWATER_ORG")]
        org: Option<String>,
        /// The first day, such as 2026-08-01 [default: the last day]
        #[arg(long, value_name = "DAY")]
        from: Option<String>,
        /// The last day [default: today]
        #[arg(long, value_name = "DAY")]
        to: Option<String>,
        /// Count by day or by key
        #[arg(long, value_name = "day|key")]
        by: Option<String>,
        #[command(flatten)]
        format: Format,
    },
}

/// Runs a command.
pub(crate) async fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::Create { name, tier, if_not_exists, format } => {
            create(client, name, tier.as_deref(), *if_not_exists, *format).await
        }
        Command::List { format } => list(client, *format).await,
        Command::Show { name, format } => show(client, name.clone(), *format).await,
        Command::SetTier { name, tier, format } => set_tier(client, name.clone(), tier, *format).await,
        Command::Rename { name, new_name, format } => {
            let sentence = format!("Renamed organisation '{name}' to '{new_name}'.");
            update(client, name, &json!({ "name": new_name }), &sentence, *format).await
        }
        Command::Suspend { name, format } => {
            let sentence =
                format!("Suspended organisation '{name}'. Its keys are refused until `tidewater org resume {name}`.");
            update(client, name, &json!({ "suspended": true }), &sentence, *format).await
        }
        Command::Resume { name, format } => {
            let sentence = format!("Resumed organisation '{name}'. Its keys are accepted again.");
            update(client, name, &json!({ "suspended": false }), &sentence, *format).await
        }
        Command::Delete { name, grace, purge, format } => delete(client, name, *grace, *purge, *format).await,
        Command::Restore { name, format } => {
            let found = find(client, Some(name.clone())).await?;
            let restored = client.post(&found.path("/restore"), &json!({})).await?;
            output::done(*format, &format!("Restored organisation '{name}'."), &as_json(&restored))
        }
        Command::Usage { name, org, from, to, by, format } => {
            let found = find(client, name.clone().or_else(|| org.clone())).await?;
            if from.is_none() && to.is_none() && by.is_none() {
                return usage_today(client, &found, *format).await;
            }
            let given = [("from", from.as_deref()), ("to", to.as_deref()), ("by", by.as_deref())];
            usage_of_days(client, &found, given, *format).await
        }
    }
}

async fn find(client: &Client, org: Option<String>) -> Result<Organisation> {
    OrganisationArgument { org }.find(client).await
}

async fn create(
    client: &Client,
    name: &str,
    tier: Option<&str>,
    if_not_exists: IfNotExists,
    format: Format,
) -> Result<()> {
    check_organisation_name(name)?;
    let tiers = Tiers::load(client).await?;
    let tier = match tier.or_else(|| smallest_tier(&tiers.known)) {
        Some(tier) => tier,
        None => bail!("no configured tier includes the catalog: choose one with --tier"),
    };
    tiers.check(tier)?;
    let created = match client.post(PATH, &json!({ "name": name, "tier": tier })).await {
        Err(error) if has_status(&error, StatusCode::CONFLICT) => {
            if_not_exists.allow(&format!("organisation '{name}'"))?;
            let found = find(client, Some(name.to_owned())).await?.shown;
            let sentence = format!("Organisation '{name}' exists already, in tier '{}'.", text(&found, "tier"));
            return output::done(format, &sentence, &as_json(&found));
        }
        created => created?,
    };
    let catalog = client.catalog();
    let sentence = format!("Created organisation '{name}' in tier '{tier}' ({catalog}).");
    output::done(format, &sentence, &as_json(&created))?;
    output::note(&format!(
        "next: tidewater warehouse create lake --org {name} --root file:///some/folder\n      \
         tidewater key create first --org {name} --role admin"
    ));
    Ok(())
}

fn as_json(org: &Value) -> Value {
    json!({
        "id": org["id"],
        "name": org["name"],
        "tier": org["tier"],
        "created": created(org),
        "suspended": org["suspended"] == true,
        "deleted-after": org["delete-after-ms"].as_i64().map(time::shown),
    })
}

fn created(org: &Value) -> String {
    time::shown_or(org["created-ms"].as_i64(), "")
}

async fn list(client: &Client, format: Format) -> Result<()> {
    let all = client.list(PATH, "organisations").await?;
    if format.json {
        return output::json(&all.iter().map(as_json).collect::<Vec<_>>());
    }
    let rows: Vec<_> =
        all.iter().map(|org| vec![text(org, "name"), text(org, "tier"), created(org), state(org)]).collect();
    output::table(&["name", "tier", "created", "state"], &rows, "there is no organisation yet")
}

/// Returns an organisation's state for people: active, suspended or deleted.
fn state(org: &Value) -> String {
    match (org["delete-after-ms"].as_i64(), org["suspended"] == true) {
        (Some(after_ms), _) => format!("deleted, restorable until {}", time::shown(after_ms)),
        (None, true) => "suspended".to_owned(),
        (None, false) => "active".to_owned(),
    }
}

async fn show(client: &Client, name: Option<String>, format: Format) -> Result<()> {
    let found = find(client, name).await?;
    let shown = client.get(&found.path("")).await?;
    if format.json {
        let mut json = as_json(&shown);
        for (field, value) in [
            ("served-by-tier", &shown["served-by-tier"]),
            ("warehouses", &shown["warehouses"]),
            ("keys", &shown["keys"]),
            ("tables", &shown["tables"]),
        ] {
            json[field] = value.clone();
        }
        return output::json(&json);
    }
    let warehouses: Vec<String> = serde_json::from_value(shown["warehouses"].clone())?;
    let mut fields = vec![
        ("organisation", text(&shown, "name")),
        ("id", text(&shown, "id")),
        ("tier", tier_with_stand_in(&text(&shown, "tier"), shown["served-by-tier"].as_str())),
        ("created", created(&shown)),
        ("warehouses", warehouses.join(", ")),
        ("keys", shown["keys"].to_string()),
        ("tables", shown["tables"].to_string()),
    ];
    if let Some(suspended_ms) = shown["suspended-ms"].as_i64() {
        fields.push(("suspended", time::shown(suspended_ms)));
    }
    if let Some(delete_after_ms) = shown["delete-after-ms"].as_i64() {
        fields.push(("deleted after", time::shown(delete_after_ms)));
    }
    output::fields(&fields)
}

/// Returns the tier's name. If it is not configured, adds the tier that replaces it.
fn tier_with_stand_in(tier: &str, served_by: Option<&str>) -> String {
    match served_by {
        Some(serving) if serving == tier => tier.to_owned(),
        Some(serving) => format!("{tier} (not configured: served by '{serving}')"),
        None => format!("{tier} (not configured, and no configured tier includes the catalog: its keys are refused)"),
    }
}

async fn set_tier(client: &Client, name: Option<String>, tier: &str, format: Format) -> Result<()> {
    Tiers::load(client).await?.check(tier)?;
    let before = find(client, name).await?;
    let now = client.send(Method::PATCH, &before.path(""), Some(&json!({ "tier": tier }))).await?;
    let was = text(&before.shown, "tier");
    let sentence = format!("Moved organisation '{}' to tier '{tier}' (it was in '{was}').", before.name);
    output::done(format, &sentence, &as_json(&now))
}

async fn update(client: &Client, name: &str, change: &Value, sentence: &str, format: Format) -> Result<()> {
    let found = find(client, Some(name.to_owned())).await?;
    let updated = client.send(Method::PATCH, &found.path(""), Some(change)).await?;
    output::done(format, sentence, &as_json(&updated))
}

async fn delete(client: &Client, name: &str, grace_ms: Option<i64>, purge: bool, format: Format) -> Result<()> {
    let found = find(client, Some(name.to_owned())).await?;
    let mut path = found.path(&format!("?purge={purge}"));
    if let Some(grace_ms) = grace_ms {
        path.push_str(&format!("&grace-s={}", grace_ms / 1_000));
    }
    let deleted = client.send(Method::DELETE, &path, None).await?;
    let after = time::shown_or(deleted["delete-after-ms"].as_i64(), "");
    let sentence = format!(
        "Deleted organisation '{name}': its keys are refused from now on, and its data is removed after {after}. Until then, \
         `tidewater org restore {name}` restores it."
    );
    output::done(format, &sentence, &json!({ "name": name, "deleted-after": after, "purge": purge }))
}

async fn usage_today(client: &Client, organisation: &Organisation, format: Format) -> Result<()> {
    let usage = client.get(&organisation.path("/usage")).await?;
    let (tier, served_by) = (text(&usage, "tier"), usage["served-by-tier"].as_str());
    if served_by.is_none() {
        bail!("organisation '{}' is in tier '{tier}', which is not configured", organisation.name);
    }
    let requests = usage["usage"].as_array().into_iter().flatten().filter_map(|day| day["requests"].as_u64());
    let requests: u64 = requests.sum();
    if format.json {
        return output::json(&json!({
            "organisation": organisation.name,
            "tier": tier,
            "served-by-tier": served_by,
            "requests-today": requests,
            "requests-per-day": usage["limit"],
            "tables": usage["tables"],
            "max-tables": usage["max-tables"],
        }));
    }
    let of = |limit: &Value| limit.as_u64().map_or_else(|| "without limit".to_owned(), |limit| format!("of {limit}"));
    output::fields(&[
        ("organisation", organisation.name.clone()),
        ("tier", tier_with_stand_in(&tier, served_by)),
        ("requests today", format!("{requests} {}", of(&usage["limit"]))),
        ("tables", format!("{} {}", usage["tables"], of(&usage["max-tables"]))),
    ])?;
    if usage["limit"].is_u64() {
        // A server takes requests from the day's budget in slices. It returns the unspent rest when it stops.
        output::note(
            "a running server reserves requests in advance: the number may be up to 1 % of the limit too high",
        );
    }
    Ok(())
}

async fn usage_of_days(
    client: &Client,
    organisation: &Organisation,
    given: [(&str, Option<&str>); 3],
    format: Format,
) -> Result<()> {
    let parameters = given.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(value?))));
    let path = organisation.path(&format!("/usage?{}", parameters.collect::<Vec<_>>().join("&")));
    let usage = client.get(&path).await?;
    if format.json {
        return output::json(&usage["usage"]);
    }
    let rows = usage["usage"].as_array().into_iter().flatten();
    let row = |one: &Value| {
        let names = ["key", "user", "key-id"].into_iter().find_map(|name| one[name].as_str());
        let key = names.unwrap_or_default().to_owned();
        vec![text(one, "day"), one["requests"].to_string(), key]
    };
    output::table(&["day", "requests", "key or user"], &rows.map(row).collect::<Vec<_>>(), "no request was counted")
}
