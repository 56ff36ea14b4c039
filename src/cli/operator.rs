//! `tidewater operator`.

use anyhow::Result;
use clap::Subcommand;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Client, NOT_FOUND, encoded, has_status, not_found};
use super::output::{self, Format, text};
use super::time;

/// The resource in the management API.
const PATH: &str = "/management/v1/operators";

/// Commands for operators.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create an operator, and print its key once: it cannot be shown again
    #[command(after_help = "\
Examples:
  tidewater operator create terraform
  tidewater operator create terraform --json

An operator manages all organisations. It has no access to tables.")]
    Create {
        /// Its name: what it is for
        name: String,
        /// Succeed without printing a key if an operator of that name exists and is not revoked
        #[arg(long)]
        if_not_exists: bool,
        #[command(flatten)]
        format: Format,
    },
    /// List the operators, without their keys
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Show an operator, without its key
    Show {
        /// Its id, or its name
        #[arg(value_name = "ID|NAME")]
        name: String,
        #[command(flatten)]
        format: Format,
    },
    /// Revoke an operator's key: it is refused from now on
    #[command(after_help = "Example:\n  tidewater operator revoke terraform")]
    Revoke {
        /// Its id, or its name
        #[arg(value_name = "ID|NAME")]
        name: String,
        #[command(flatten)]
        format: Format,
    },
}

/// Runs a command.
pub(crate) async fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::Create { name, if_not_exists, format } => {
            let created = match client.post(PATH, &json!({ "name": name })).await {
                Err(error) if *if_not_exists && has_status(&error, StatusCode::CONFLICT) => {
                    let found = find(client, name).await?;
                    output::note(&format!("operator '{name}' exists already (id {})", text(&found, "id")));
                    return if format.json { output::json(&as_json(&found)) } else { Ok(()) };
                }
                created => created?,
            };
            if format.json {
                let (id, name, key) = (&created["id"], &created["name"], &created["api_key"]);
                return output::json(&json!({ "id": id, "name": name, "api_key": key }));
            }
            output::note(&format!(
                "key of operator '{name}', id {}; store it now, it cannot be shown again:",
                text(&created, "id")
            ));
            output::line(&text(&created, "api_key"))
        }
        Command::List { format } => {
            let all = client.list(PATH, "operators").await?;
            if format.json {
                return output::json(&all.iter().map(as_json).collect::<Vec<_>>());
            }
            let row = |one: &Value| {
                vec![
                    text(one, "id"),
                    text(one, "name"),
                    time::shown_or(one["created-ms"].as_i64(), ""),
                    time::shown_or(one["last-used-ms"].as_i64(), "never"),
                    time::shown_or(one["revoked-ms"].as_i64(), "no"),
                ]
            };
            let headings = ["id", "name", "created", "last used", "revoked"];
            output::table(&headings, &all.iter().map(row).collect::<Vec<_>>(), "there is no operator yet")
        }
        Command::Show { name, format } => {
            let found = find(client, name).await?;
            if format.json {
                return output::json(&as_json(&found));
            }
            output::fields(&[
                ("operator", text(&found, "name")),
                ("id", text(&found, "id")),
                ("created", time::shown_or(found["created-ms"].as_i64(), "")),
                ("last used", time::shown_or(found["last-used-ms"].as_i64(), "never")),
                ("revoked", time::shown_or(found["revoked-ms"].as_i64(), "no")),
            ])
        }
        Command::Revoke { name, format } => {
            let found = find(client, name).await?;
            let id = text(&found, "id");
            client.send(Method::DELETE, &format!("{PATH}/{}", encoded(&id)), None).await?;
            let revoked = find(client, &id).await?;
            output::done(
                *format,
                &format!("Revoked operator '{}' (id {id}).", text(&found, "name")),
                &as_json(&revoked),
            )
        }
    }
}

/// Finds the operator of that id or name. Prefers the one that is not revoked if several have the name.
async fn find(client: &Client, name: &str) -> Result<Value> {
    let all = client.list(PATH, "operators").await?;
    let named: Vec<&Value> = all.iter().filter(|one| one["id"] == *name || one["name"] == *name).collect();
    let found = named.iter().find(|one| one["revoked-ms"].is_null()).or_else(|| named.last());
    found
        .map(|one| (*one).clone())
        .ok_or_else(|| not_found(NOT_FOUND, format!("there is no operator '{name}': see `tidewater operator list`")))
}

fn as_json(one: &Value) -> Value {
    let time = |field: &str| one[field].as_i64().map(time::shown);
    json!({
        "id": one["id"],
        "name": one["name"],
        "created": time("created-ms"),
        "last-used": time("last-used-ms"),
        "revoked": time("revoked-ms"),
    })
}
