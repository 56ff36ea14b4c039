//! `tidewater user`.

use anyhow::Result;
use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Client, encoded, has_status, with_message};
use super::output::{self, Format, text};
use super::scope::{Organisation, OrganisationArgument};
use super::time;

/// A user of an organisation.
#[derive(Debug, Args)]
pub(crate) struct UserArgument {
    /// Its id, or its subject, email address or name if only one user has it
    #[arg(value_name = "ID|SUBJECT|EMAIL|NAME")]
    user: String,
    #[command(flatten)]
    organisation: OrganisationArgument,
    #[command(flatten)]
    format: Format,
}

/// Commands for users.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the users who have signed in
    List {
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Show a user
    #[command(after_help = "Example:\n  tidewater user show alice@example.com --org acme")]
    Show(UserArgument),
    /// Disable a user: its tokens are refused from now on
    #[command(after_help = "Example:\n  tidewater user disable alice@example.com --org acme")]
    Disable(UserArgument),
    /// Enable a disabled user
    Enable(UserArgument),
    /// Delete a user, with its roles. Its tables stay, without an owner. It can sign in again, as a new user
    Delete(UserArgument),
}

/// Runs a command.
pub(crate) async fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::List { organisation, format } => {
            let organisation = organisation.find(client).await?;
            list(&client.list(&organisation.path("/users"), "users").await?, *format)
        }
        Command::Show(user) => {
            let organisation = user.organisation.find(client).await?;
            show(&load(client, &organisation, &user.user).await?, &organisation.name, user.format)
        }
        Command::Disable(user) => disable(client, user, true).await,
        Command::Enable(user) => disable(client, user, false).await,
        Command::Delete(user) => {
            let organisation = user.organisation.find(client).await?;
            let found = load(client, &organisation, &user.user).await?;
            client.send(Method::DELETE, &path(&organisation, &found), None).await?;
            output::done(user.format, &format!("Deleted user {}.", shown(&found)), &as_json(&found))
        }
    }
}

async fn disable(client: &Client, user: &UserArgument, disabled: bool) -> Result<()> {
    let organisation = user.organisation.find(client).await?;
    let found = load(client, &organisation, &user.user).await?;
    let update = json!({ "disabled": disabled });
    let updated = client.send(Method::PATCH, &path(&organisation, &found), Some(&update)).await?;
    let done = if disabled { "Disabled" } else { "Enabled" };
    output::done(user.format, &format!("{done} user {}.", shown(&updated)), &as_json(&updated))
}

fn path(organisation: &Organisation, user: &Value) -> String {
    organisation.path(&format!("/users/{}", text(user, "id")))
}

/// Loads the user that a text names.
async fn load(client: &Client, organisation: &Organisation, user: &str) -> Result<Value> {
    let found = client.get(&organisation.path(&format!("/users/{}", encoded(user)))).await;
    found.map_err(|error| match has_status(&error, StatusCode::NOT_FOUND) {
        true => with_message(error, |refused| format!("{refused}: see `tidewater user list`")),
        false => error,
    })
}

/// Returns a user's name and id, for messages.
fn shown(user: &Value) -> String {
    format!("'{}' (id {})", text(user, "name"), text(user, "id"))
}

fn list(users: &[Value], format: Format) -> Result<()> {
    if format.json {
        return output::json(&users.iter().map(as_json).collect::<Vec<_>>());
    }
    let row = |user: &Value| {
        vec![
            text(user, "id"),
            text(user, "name"),
            text(user, "email"),
            text(user, "role"),
            text(user, "state"),
            time::shown_or(user["last-seen-ms"].as_i64(), "never"),
        ]
    };
    let headings = ["id", "name", "email", "role", "state", "last seen"];
    output::table(&headings, &users.iter().map(row).collect::<Vec<_>>(), "no user has signed in yet")
}

fn show(user: &Value, organisation: &str, format: Format) -> Result<()> {
    if format.json {
        return output::json(&as_json(user));
    }
    output::fields(&[
        ("user", text(user, "name")),
        ("id", text(user, "id")),
        ("organisation", organisation.to_owned()),
        ("email", text(user, "email")),
        ("issuer", text(user, "issuer")),
        ("subject", text(user, "subject")),
        ("role", text(user, "role")),
        ("removes files", if user["no-delete"] == true { "no" } else { "as its role allows" }.to_owned()),
        ("state", text(user, "state")),
        ("first seen", time::shown_or(user["created-ms"].as_i64(), "")),
        ("last seen", time::shown_or(user["last-seen-ms"].as_i64(), "never")),
        ("disabled", time::shown_or(user["disabled-ms"].as_i64(), "no")),
    ])
}

fn as_json(user: &Value) -> Value {
    let time = |field: &str| user[field].as_i64().map(time::shown);
    json!({
        "id": user["id"],
        "name": user["name"],
        "email": user["email"],
        "issuer": user["issuer"],
        "subject": user["subject"],
        "role": user["role"],
        "no-delete": user["no-delete"],
        "state": user["state"],
        "first-seen": time("created-ms"),
        "last-seen": time("last-seen-ms"),
        "disabled": time("disabled-ms"),
    })
}
