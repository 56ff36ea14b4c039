//! `tidewater key`.

use anyhow::Result;
use clap::Subcommand;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tidewater_core::access::Role;

use super::client::{Client, encoded, has_status, with_message};
use super::output::{self, Format, text};
use super::scope::{Organisation, OrganisationArgument};
use super::time::{self, Lifetime};
use tidewater::base::clock::Clock;

/// Commands for API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a key, and print it once: it cannot be shown again
    #[command(after_help = "\
Examples:
  tidewater key create ci --org acme --role writer --expires-in 90d
  KEY=$(tidewater key create notebook --role reader)

Roles: a reader lists and loads, a writer also creates and commits, an admin also administers the organisation.
A key with the role none can do only what `tidewater grant` allows.
Standard output has only the key. The catalog stores a hash of it.")]
    Create {
        /// Its name: what it is for
        name: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        /// Its role: none, reader, writer or admin
        #[arg(long, default_value = "writer")]
        role: Role,
        /// When it expires, from now, such as 90d or 12h, or `never` [default: never]
        #[arg(long, value_name = "DURATION|never", value_parser = Lifetime::parse)]
        expires_in: Option<Lifetime>,
        /// Vend it credentials that cannot remove files: purges and clean-ups by engines fail
        #[arg(long)]
        no_delete: bool,
        /// Succeed without printing a key if the organisation has a usable key of that name
        #[arg(long)]
        if_not_exists: bool,
        #[command(flatten)]
        format: Format,
    },
    /// List an organisation's keys, without their secrets
    List {
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Show a key, without its secret
    #[command(after_help = "Example:\n  tidewater key show ci --org acme")]
    Show {
        /// Its id, as in `key list`, or its name if only one key of that name is not revoked
        #[arg(value_name = "ID|NAME")]
        key: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Change a key's name, role or expiry
    #[command(after_help = "Examples:\n  tidewater key update ci --org acme --role reader --expires-in 30d\n  \
                            tidewater key update ci --org acme --expires-in never\n  \
                            tidewater key update trino --org acme --acts-for-users")]
    Update {
        /// Its id, as in `key list`, or its name if only one key of that name is not revoked
        #[arg(value_name = "ID|NAME")]
        key: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        /// Its new name
        #[arg(long)]
        name: Option<String>,
        /// Its new role: none, reader, writer or admin
        #[arg(long)]
        role: Option<Role>,
        /// When it expires, from now, such as 90d or 12h, or `never`
        #[arg(long, value_name = "DURATION|never", value_parser = Lifetime::parse)]
        expires_in: Option<Lifetime>,
        /// Let it act for users, as a trusted engine: it exchanges their tokens, and gets what both may do
        #[arg(long)]
        acts_for_users: bool,
        /// Do not let it act for users any more: its tokens for users are refused at once
        #[arg(long, conflicts_with = "acts_for_users")]
        no_acts_for_users: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Replace a key with a new one of the same name and role; the old key works for some more time
    #[command(after_help = "Example:\n  tidewater key rotate ci --org acme --overlap 2d")]
    Rotate {
        /// Its id, as in `key list`, or its name if only one key of that name is not revoked
        #[arg(value_name = "ID|NAME")]
        key: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        /// How long the old key still works, such as 12h [default: 1d]
        #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
        overlap: Option<i64>,
        #[command(flatten)]
        format: Format,
    },
    /// Revoke a key: it is refused from now on
    #[command(after_help = "\
Examples:
  tidewater key revoke ci --org acme
  tidewater key revoke 0198c2a4-5e1f-7a60-9d1b-2f6f0c1d2e3a --org acme")]
    Revoke {
        /// Its id, as in `key list`, or its name if only one key of that name is not revoked
        #[arg(value_name = "ID|NAME")]
        key: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        format: Format,
    },
}

/// Runs a command.
pub(crate) async fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::Create { name, organisation, role, expires_in, no_delete, if_not_exists, format } => {
            let organisation = organisation.find(client).await?;
            let is_usable = |key: &&Value| key["name"] == **name && key["state"] == "active";
            let keys = organisation.path("/keys");
            if *if_not_exists && let Some(found) = client.list(&keys, "keys").await?.iter().find(is_usable) {
                output::note(&format!(
                    "key '{name}' exists already (id {}); its text cannot be shown again",
                    text(found, "id")
                ));
                return if format.json { output::json(&as_json(found)) } else { Ok(()) };
            }
            let mut new = json!({ "name": name, "role": role.as_str(), "no-delete": no_delete });
            if let Some(Lifetime::Ms(expires_in_ms)) = expires_in {
                new["expires-s"] = json!(expires_in_ms / 1_000);
            }
            let key = client.post(&keys, &new).await?;
            print_new(&key, &organisation.name, *format)
        }
        Command::List { organisation, format } => {
            let organisation = organisation.find(client).await?;
            list(&client.list(&organisation.path("/keys"), "keys").await?, *format)
        }
        Command::Show { key, organisation, format } => {
            let organisation = organisation.find(client).await?;
            show(&load(client, &organisation, key).await?, &organisation.name, *format)
        }
        Command::Update { key, organisation, name, role, expires_in, acts_for_users, no_acts_for_users, format } => {
            let organisation = organisation.find(client).await?;
            let found = load(client, &organisation, key).await?;
            let mut update = json!({});
            if let Some(name) = name {
                update["name"] = json!(name);
            }
            if let Some(role) = role {
                update["role"] = json!(role.as_str());
            }
            if *acts_for_users || *no_acts_for_users {
                update["acts-for-users"] = json!(acts_for_users);
            }
            match expires_in {
                Some(Lifetime::Ms(expires_in_ms)) => {
                    update["expires-ms"] = json!(Clock::System.now_ms() + expires_in_ms);
                }
                Some(Lifetime::Endless) => update["expires-ms"] = Value::Null,
                None => {}
            }
            let updated = client.send(Method::PATCH, &path(&organisation, &found), Some(&update)).await?;
            output::done(*format, &format!("Updated key '{}'.", text(&updated, "name")), &as_json(&updated))
        }
        Command::Rotate { key, organisation, overlap, format } => {
            let organisation = organisation.find(client).await?;
            let found = load(client, &organisation, key).await?;
            let overlap = overlap.map_or_else(|| json!({}), |overlap_ms| json!({ "overlap-s": overlap_ms / 1_000 }));
            let key = client.post(&format!("{}/rotate", path(&organisation, &found)), &overlap).await?;
            print_new(&key, &organisation.name, *format)
        }
        Command::Revoke { key, organisation, format } => {
            let organisation = organisation.find(client).await?;
            let found = load(client, &organisation, key).await?;
            client.send(Method::DELETE, &path(&organisation, &found), None).await?;
            let revoked = client.get(&path(&organisation, &found)).await?;
            let sentence = format!("Revoked key '{}' (id {}).", text(&revoked, "name"), text(&revoked, "id"));
            output::done(*format, &sentence, &as_json(&revoked))
        }
    }
}

fn path(organisation: &Organisation, key: &Value) -> String {
    organisation.path(&format!("/keys/{}", text(key, "id")))
}

/// Loads the key of that id, or the usable key of that name.
async fn load(client: &Client, organisation: &Organisation, key: &str) -> Result<Value> {
    let found = client.get(&organisation.path(&format!("/keys/{}", encoded(key)))).await;
    found.map_err(|error| match has_status(&error, StatusCode::NOT_FOUND) {
        true => with_message(error, |refused| format!("{refused}: see `tidewater key list`")),
        false => error,
    })
}

/// Prints a new key. Standard output gets only its text, standard error the rest.
fn print_new(key: &Value, organisation: &str, format: Format) -> Result<()> {
    if format.json {
        let mut shown = as_json(key);
        shown["api_key"] = key["api_key"].clone();
        return output::json(&shown);
    }
    output::note(&format!(
        "key '{}' of organisation '{organisation}', role {}, expires {}, id {}; store it now, it cannot be shown again:",
        text(key, "name"),
        text(key, "role"),
        time::shown_or(key["expires-ms"].as_i64(), "never"),
        text(key, "id")
    ));
    output::line(&text(key, "api_key"))
}

fn list(keys: &[Value], format: Format) -> Result<()> {
    if format.json {
        return output::json(&keys.iter().map(as_json).collect::<Vec<_>>());
    }
    let row = |key: &Value| {
        vec![
            text(key, "id"),
            text(key, "name"),
            text(key, "role"),
            text(key, "state"),
            time::shown_or(key["created-ms"].as_i64(), ""),
            time::shown_or(key["expires-ms"].as_i64(), "never"),
            time::shown_or(key["last-used-ms"].as_i64(), "never"),
        ]
    };
    let headings = ["id", "name", "role", "state", "created", "expires", "last used"];
    output::table(&headings, &keys.iter().map(row).collect::<Vec<_>>(), "the organisation has no keys yet")
}

fn show(key: &Value, organisation: &str, format: Format) -> Result<()> {
    if format.json {
        return output::json(&as_json(key));
    }
    output::fields(&[
        ("key", text(key, "name")),
        ("id", text(key, "id")),
        ("organisation", organisation.to_owned()),
        ("role", text(key, "role")),
        ("removes files", if key["no-delete"] == true { "no" } else { "as its role allows" }.to_owned()),
        ("acts for users", if key["acts-for-users"] == true { "yes" } else { "no" }.to_owned()),
        ("state", text(key, "state")),
        ("created", time::shown_or(key["created-ms"].as_i64(), "")),
        ("expires", time::shown_or(key["expires-ms"].as_i64(), "never")),
        ("last used", time::shown_or(key["last-used-ms"].as_i64(), "never")),
        ("revoked", time::shown_or(key["revoked-ms"].as_i64(), "no")),
    ])
}

fn as_json(key: &Value) -> Value {
    let time = |field: &str| key[field].as_i64().map(time::shown);
    json!({
        "id": key["id"],
        "name": key["name"],
        "role": key["role"],
        "no-delete": key["no-delete"],
        "acts-for-users": key["acts-for-users"],
        "state": key["state"],
        "created": time("created-ms"),
        "expires": time("expires-ms"),
        "last-used": time("last-used-ms"),
        "revoked": time("revoked-ms"),
    })
}
