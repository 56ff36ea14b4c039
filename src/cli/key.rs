//! `tidewater key`.

use anyhow::{Result, anyhow};
use clap::Subcommand;
use serde_json::json;
use tidewater_core::access::Role;
use tidewater_core::ids::KeyId;

use super::output::{self, Format};
use super::session::{OrganisationArgument, Session};
use super::time;
use tidewater::auth::{NewKey, entropy, issue_key};
use tidewater::store::ApiKey;

/// What can be done with API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key; it is shown once and cannot be shown again
    #[command(after_help = "\
Examples:
  tidewater key create ci --org acme --role writer --expires-in 90d
  KEY=$(tidewater key create notebook --role reader)

Roles: a reader lists and loads, a writer also creates and commits, an admin also administers the organisation.
Only the key is printed on standard output; what is kept of it is a hash.")]
    Create {
        /// What it is for
        name: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        /// What it may do: reader, writer or admin
        #[arg(long, default_value = "writer")]
        role: Role,
        /// After how long it is refused, such as 90d or 12h [default: never]
        #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
        expires_in: Option<i64>,
        /// What is vended for it removes no files: neither a purge by an engine nor its clean-up does
        #[arg(long)]
        no_delete: bool,
        /// Succeed, and print no key, when the organisation has one of that name that can be used
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
        /// Its id, as `key list` shows it, or its name if no other key that is not revoked has the same
        #[arg(value_name = "ID|NAME")]
        key: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        format: Format,
    },
    /// Refuse a key from now on; a running server does within seconds
    #[command(after_help = "\
Examples:
  tidewater key revoke ci --org acme
  tidewater key revoke 0198c2a4-5e1f-7a60-9d1b-2f6f0c1d2e3a --org acme")]
    Revoke {
        /// Its id, as `key list` shows it, or its name if no other key that is not revoked has the same
        #[arg(value_name = "ID|NAME")]
        key: String,
        #[command(flatten)]
        organisation: OrganisationArgument,
        #[command(flatten)]
        format: Format,
    },
}

/// Does one of them.
pub(crate) async fn run(session: &Session, command: &Command) -> Result<()> {
    let store = session.store()?;
    match command {
        Command::Create { name, organisation, role, expires_in, no_delete, if_not_exists, format } => {
            let organisation = organisation.find(store.as_ref()).await?;
            let now_ms = session.clock.now_ms();
            let is_usable = |key: &ApiKey| key.name == *name && state(key, now_ms) == "active";
            if *if_not_exists && let Some(found) = store.key_list(organisation.id).await?.into_iter().find(is_usable) {
                output::note(&format!("key '{name}' exists already (id {}), and is not shown again", found.id));
                return if format.json { output::json(&as_json(&found, now_ms)) } else { Ok(()) };
            }
            let expires_ms = expires_in.map(|expires_in_ms| now_ms + expires_in_ms);
            let new = NewKey { name, role: *role, no_delete: *no_delete, expires_ms };
            let change = session.change().at(now_ms);
            let (key, text) = issue_key(store.as_ref(), organisation.id, &new, &change, &entropy()?).await?;
            if format.json {
                let mut shown = as_json(&key, now_ms);
                shown["api_key"] = json!(text.expose());
                return output::json(&shown);
            }
            output::note(&format!(
                "key '{name}' of organisation '{}', role {role}, expires {}, id {}; keep it, it is not shown again:",
                organisation.name,
                time::shown_or(expires_ms, "never"),
                key.id
            ));
            output::line(text.expose())
        }
        Command::List { organisation, format } => {
            let organisation = organisation.find(store.as_ref()).await?;
            let keys = store.key_list(organisation.id).await?;
            list(&keys, session.clock.now_ms(), *format)
        }
        Command::Show { key, organisation, format } => {
            let organisation = organisation.find(store.as_ref()).await?;
            let keys = store.key_list(organisation.id).await?;
            let key = meant(&keys, key).map_err(|wrong| anyhow!("organisation '{}' {wrong}", organisation.name))?;
            show(key, &organisation.name, session.clock.now_ms(), *format)
        }
        Command::Revoke { key, organisation, format } => {
            let organisation = organisation.find(store.as_ref()).await?;
            let keys = store.key_list(organisation.id).await?;
            let key = meant(&keys, key).map_err(|wrong| anyhow!("organisation '{}' {wrong}", organisation.name))?;
            let now_ms = session.clock.now_ms();
            store.key_revoke(organisation.id, key.id, &session.change().at(now_ms)).await?;
            let revoked = ApiKey { revoked_ms: key.revoked_ms.or(Some(now_ms)), ..key.clone() };
            let sentence = format!("Revoked key '{}' (id {}).", key.name, key.id);
            output::done(*format, &sentence, &as_json(&revoked, now_ms))
        }
    }
}

/// The key with that id, or the one with that name that can still be used.
fn meant<'a>(keys: &'a [ApiKey], wanted: &str) -> Result<&'a ApiKey, String> {
    let id = wanted.parse::<KeyId>().ok();
    if let Some(key) = keys.iter().find(|key| Some(key.id) == id) {
        return Ok(key);
    }
    let named: Vec<&ApiKey> = keys.iter().filter(|key| key.name == wanted).collect();
    let usable: Vec<&ApiKey> = named.iter().copied().filter(|key| key.revoked_ms.is_none()).collect();
    match usable[..] {
        [only] => Ok(only),
        [] if named.is_empty() => Err(format!("has no key '{wanted}': see `tidewater key list`")),
        [] => Err(format!("has no key '{wanted}' that is not revoked already: see `tidewater key list`")),
        _ => {
            let ids: Vec<String> = usable.iter().map(|key| key.id.to_string()).collect();
            Err(format!("has several keys '{wanted}': name one by its id, {}", ids.join(" or ")))
        }
    }
}

fn list(keys: &[ApiKey], now_ms: i64, format: Format) -> Result<()> {
    if format.json {
        return output::json(&keys.iter().map(|key| as_json(key, now_ms)).collect::<Vec<_>>());
    }
    let row = |key: &ApiKey| {
        vec![
            key.id.to_string(),
            key.name.clone(),
            key.role.to_string(),
            state(key, now_ms).to_owned(),
            time::shown(key.created_ms),
            time::shown_or(key.expires_ms, "never"),
            time::shown_or(key.last_used_ms, "never"),
        ]
    };
    let headings = ["id", "name", "role", "state", "created", "expires", "last used"];
    output::table(&headings, &keys.iter().map(row).collect::<Vec<_>>(), "the organisation has no keys yet")
}

fn show(key: &ApiKey, organisation: &str, now_ms: i64, format: Format) -> Result<()> {
    if format.json {
        return output::json(&as_json(key, now_ms));
    }
    output::fields(&[
        ("key", key.name.clone()),
        ("id", key.id.to_string()),
        ("organisation", organisation.to_owned()),
        ("role", key.role.to_string()),
        ("removes files", if key.no_delete { "no" } else { "as its role allows" }.to_owned()),
        ("state", state(key, now_ms).to_owned()),
        ("created", time::shown(key.created_ms)),
        ("expires", time::shown_or(key.expires_ms, "never")),
        ("last used", time::shown_or(key.last_used_ms, "never")),
        ("revoked", time::shown_or(key.revoked_ms, "no")),
    ])
}

fn state(key: &ApiKey, now_ms: i64) -> &'static str {
    if key.revoked_ms.is_some() {
        "revoked"
    } else if key.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
        "expired"
    } else {
        "active"
    }
}

fn as_json(key: &ApiKey, now_ms: i64) -> serde_json::Value {
    json!({
        "id": key.id,
        "name": key.name,
        "role": key.role.as_str(),
        "no_delete": key.no_delete,
        "state": state(key, now_ms),
        "created": time::shown(key.created_ms),
        "expires": key.expires_ms.map(time::shown),
        "last_used": key.last_used_ms.map(time::shown),
        "revoked": key.revoked_ms.map(time::shown),
    })
}

#[cfg(test)]
mod tests {
    use tidewater::clock::fresh_ordered_uuid;
    use tidewater::store::KeyDigest;
    use tidewater_core::ids::OrganisationId;

    use super::*;

    fn key(name: &str, revoked_ms: Option<i64>) -> ApiKey {
        ApiKey {
            id: KeyId(fresh_ordered_uuid()),
            organisation: OrganisationId(fresh_ordered_uuid()),
            name: name.to_owned(),
            role: Role::Reader,
            no_delete: false,
            digest: KeyDigest([0; 32]),
            created_ms: 0,
            expires_ms: None,
            last_used_ms: None,
            revoked_ms,
        }
    }

    #[test]
    fn a_key_is_meant_by_its_id_or_by_a_name_that_only_it_has() {
        let keys = [key("ci", Some(1)), key("ci", None), key("two", None), key("two", None), key("old", Some(1))];
        assert_eq!(meant(&keys, "ci").unwrap().id, keys[1].id);
        assert_eq!(meant(&keys, &keys[0].id.to_string()).unwrap().id, keys[0].id);
        let several = meant(&keys, "two").unwrap_err();
        assert!(several.contains(&keys[2].id.to_string()) && several.contains(&keys[3].id.to_string()), "{several}");
        assert!(meant(&keys, "old").unwrap_err().contains("not revoked already"));
        assert!(meant(&keys, "other").unwrap_err().contains("has no key 'other'"));
    }
}
