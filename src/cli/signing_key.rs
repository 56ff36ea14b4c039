//! `tidewater signing-key`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, NOT_FOUND, not_found};
use super::output::{self, Format, text};
use super::time;

/// The resource in the management API.
const PATH: &str = "/management/v1/signing-keys";

/// Commands for the keys that sign tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a signing key; new tokens use it after two minutes, when every server knows it
    #[command(after_help = "\
Tokens that an older key signed stay valid until they expire, so clients notice nothing. With --remove-older these tokens
are refused, and every client must sign in again. Use it if others may have seen a signing key.")]
    Rotate {
        /// Remove the older keys now
        #[arg(long)]
        remove_older: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Show a key, without its secret
    Show {
        /// Its id, as in `signing-key list`
        id: String,
        #[command(flatten)]
        format: Format,
    },
    /// List the keys, newest first, without their secrets
    List {
        #[command(flatten)]
        format: Format,
    },
}

/// Runs a command.
pub(crate) async fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::Rotate { remove_older, format } => {
            let keys = keys_in(client.post(PATH, &json!({ "remove-older": remove_older })).await?)?;
            let shown: Vec<_> = keys.iter().map(as_json).collect();
            output::done(*format, "Created a signing key: see `tidewater signing-key list`.", &shown)
        }
        Command::Show { id, format } => {
            let keys = load_all(client).await?;
            let key = keys.iter().find(|key| key["id"] == **id);
            let key = key.ok_or_else(|| {
                not_found(NOT_FOUND, format!("there is no signing key '{id}': see `tidewater signing-key list`"))
            })?;
            if format.json {
                return output::json(&as_json(key));
            }
            output::fields(&[
                ("signing key", text(key, "id")),
                ("state", text(key, "state")),
                ("created", created(key)),
                ("meaning", meaning(key)),
            ])
        }
        Command::List { format } => {
            let keys = load_all(client).await?;
            if format.json {
                return output::json(&keys.iter().map(as_json).collect::<Vec<_>>());
            }
            let row = |key: &Value| vec![text(key, "id"), text(key, "state"), created(key), meaning(key)];
            output::table(
                &["id", "state", "created", ""],
                &keys.iter().map(row).collect::<Vec<_>>(),
                "there is no signing key yet: a server creates one when it first starts",
            )
        }
    }
}

/// Loads all signing keys. Their list has no pages.
async fn load_all(client: &Client) -> Result<Vec<Value>> {
    keys_in(client.get(PATH).await?)
}

fn keys_in(mut answer: Value) -> Result<Vec<Value>> {
    Ok(serde_json::from_value(answer["signing-keys"].take())?)
}

fn as_json(key: &Value) -> Value {
    json!({ "id": key["id"], "created": created(key), "state": key["state"] })
}

fn created(key: &Value) -> String {
    time::shown_or(key["created-ms"].as_i64(), "")
}

/// Returns what a key is used for, for people.
fn meaning(key: &Value) -> String {
    match key["state"].as_str() {
        Some("next") => format!("signs from {} on", time::shown_or(key["signs-from-ms"].as_i64(), "")),
        Some("active") => "signs new tokens".to_owned(),
        _ => "its tokens are valid until they expire".to_owned(),
    }
}
