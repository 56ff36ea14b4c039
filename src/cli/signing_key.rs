//! `tidewater signing-key`.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{self, Format};
use super::session::Session;
use super::time;
use tidewater::auth::{ACTIVE_AFTER_MS, AuthSettings, Authenticator, OlderKeys, active_signing_key};
use tidewater::store::SigningKey;

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
        #[command(flatten)]
        format: Format,
    },
    /// Show a key, without its secret
    Show {
        /// Its id, as `signing-key list` shows it
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

/// Does one of them.
pub(crate) async fn run(session: &Session, command: &Command) -> Result<()> {
    let store = session.store()?;
    match command {
        Command::Rotate { remove_older, format } => {
            let older = if *remove_older { OlderKeys::Remove } else { OlderKeys::Retire };
            // Nobody signs in here, so neither tiers nor lifetimes matter.
            let settings = AuthSettings::default();
            let authenticator =
                Authenticator::new(Arc::clone(&store), &BTreeMap::new(), session.clock.clone(), &settings);
            authenticator.rotate_signing_key(older, &session.change()).await?;
            let keys = store.signing_key_list().await?;
            let states = states(&keys, session.clock.now_ms());
            let shown: Vec<_> = keys.iter().zip(&states).map(as_json).collect();
            output::done(*format, "Created a signing key: see `tidewater signing-key list`.", &shown)
        }
        Command::Show { id, format } => {
            let keys = store.signing_key_list().await?;
            let states = states(&keys, session.clock.now_ms());
            let found = keys.iter().zip(&states).find(|(key, _)| key.id == *id);
            let (key, state) =
                found.ok_or_else(|| anyhow!("there is no signing key '{id}': see `tidewater signing-key list`"))?;
            if format.json {
                return output::json(&as_json((key, state)));
            }
            output::fields(&[
                ("signing key", key.id.clone()),
                ("state", state.word().to_owned()),
                ("created", time::shown(key.created_ms)),
                ("meaning", state.meaning(key)),
            ])
        }
        Command::List { format } => {
            let keys = store.signing_key_list().await?;
            let states = states(&keys, session.clock.now_ms());
            if format.json {
                return output::json(&keys.iter().zip(&states).map(as_json).collect::<Vec<_>>());
            }
            let row = |(key, state): (&SigningKey, &State)| {
                vec![key.id.clone(), state.word().to_owned(), time::shown(key.created_ms), state.meaning(key)]
            };
            output::table(
                &["id", "state", "created", ""],
                &keys.iter().zip(&states).map(row).collect::<Vec<_>>(),
                "there is no signing key yet: the first start of a server makes one",
            )
        }
    }
}

fn as_json((key, state): (&SigningKey, &State)) -> Value {
    json!({ "id": key.id, "created": time::shown(key.created_ms), "state": state.word() })
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It verifies, and is about to sign.
    Next,
    /// It signs.
    Active,
    /// It has signed, and verifies as long as that may matter.
    Retired,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }

    fn meaning(self, key: &SigningKey) -> String {
        match self {
            Self::Next => format!("signs from {} on", time::shown(key.created_ms.saturating_add(ACTIVE_AFTER_MS))),
            Self::Active => "signs new tokens".to_owned(),
            Self::Retired => "its tokens are good until they expire".to_owned(),
        }
    }
}

/// What each of the keys does, which are newest first.
fn states(keys: &[SigningKey], now_ms: i64) -> Vec<State> {
    let active = active_signing_key(keys, now_ms).map(|key| &key.id);
    let mut state = State::Next;
    let each = keys.iter().map(|key| {
        if Some(&key.id) == active {
            state = State::Retired;
            return State::Active;
        }
        state
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use tidewater::secret::Secret;

    use super::*;

    #[test]
    fn one_key_signs_those_after_it_will_and_those_before_it_have() {
        let key = |created_ms| SigningKey { id: format!("k{created_ms}"), secret: Secret::new([0; 32]), created_ms };
        let keys = [key(ACTIVE_AFTER_MS * 3), key(ACTIVE_AFTER_MS), key(0)];
        let at = |now_ms| states(&keys, now_ms);
        assert_eq!(at(ACTIVE_AFTER_MS * 3), [State::Next, State::Active, State::Retired]);
        assert_eq!(at(ACTIVE_AFTER_MS * 4), [State::Active, State::Retired, State::Retired]);
        assert_eq!(at(0), [State::Next, State::Next, State::Active], "the only one that can");
        assert_eq!(states(&[], 0), []);
    }
}
