//! `tidewater signing-key`.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use super::output::{self, Format};
use super::session::Session;
use super::time;
use tidewater::auth::{AuthSettings, Authenticator, OlderKeys};
use tidewater::store::{SigningKey, Store};

/// What can be done with the keys that sign tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign new tokens with a new key, from two minutes on, when every server knows it
    #[command(after_help = "\
Tokens that were signed with an older key stay good until they expire, so nobody notices. With --remove-older they are
refused, and every client signs in again: for when a signing key may have been seen by others.")]
    Rotate {
        /// Remove the older keys now
        #[arg(long)]
        remove_older: bool,
    },
    /// List the keys, newest first, without their secrets
    List {
        #[command(flatten)]
        format: Format,
    },
}

/// Does one of them.
pub(crate) async fn run(session: &Session, command: &Command) -> Result<()> {
    let store = session.store()?;
    match command {
        Command::Rotate { remove_older } => {
            let older = if *remove_older { OlderKeys::Remove } else { OlderKeys::Retire };
            // Nobody signs in here, so neither tiers nor lifetimes matter.
            let settings = AuthSettings::default();
            let authenticator = Authenticator::new(Arc::new(store), &BTreeMap::new(), session.clock.clone(), &settings);
            authenticator.rotate_signing_key(older).await?;
            output::line("there is a new signing key: see `tidewater signing-key list`")
        }
        Command::List { format } => {
            let keys = store.signing_key_list().await?;
            if format.json {
                let shown = |key: &SigningKey| json!({"id": key.id, "created": time::shown(key.created_ms)});
                return output::json(&keys.iter().map(shown).collect::<Vec<_>>());
            }
            let rows: Vec<_> = keys.iter().map(|key| vec![key.id.clone(), time::shown(key.created_ms)]).collect();
            output::table(
                &["id", "created"],
                &rows,
                "there is no signing key yet: the first start of a server makes one",
            )
        }
    }
}
