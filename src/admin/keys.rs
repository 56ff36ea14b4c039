//! API keys of an organisation: create, list, show, change, rotate and revoke.

use tidewater_core::access::{Role, check_key_name};
use tidewater_core::ids::KeyId;

use super::limits::{KEYS, LATEST_MS, OVERLAP_S};
use super::organisations::millis;
use super::{Admin, AdminError};
use crate::auth::{IssueError, NewKey, entropy, issue_key, new_key};
use crate::base::secret::Secret;
use crate::store::{ApiKey, Change, KeyUpdate, Organisation, Resource, StoreError};

/// The default time for which a rotated key still works, in seconds: a day.
const DEFAULT_OVERLAP_S: u64 = 86_400;

/// The options of a new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRequest {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Whether its vended credentials cannot remove files.
    pub no_delete: bool,
    /// When it expires, in milliseconds since 1970.
    pub expires_ms: Option<i64>,
}

/// A new key with its text, which is shown only once.
#[derive(Debug)]
pub struct IssuedKey {
    /// The stored key.
    pub key: ApiKey,
    /// Its text.
    pub text: Secret<String>,
}

/// Whether a key can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It can be used.
    Active,
    /// It expired.
    Expired,
    /// It was revoked.
    Revoked,
}

impl KeyState {
    /// Returns the state's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// Returns whether a key can be used at `now_ms`.
#[must_use]
pub fn key_state(key: &ApiKey, now_ms: i64) -> KeyState {
    if key.revoked_ms.is_some() {
        KeyState::Revoked
    } else if key.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
        KeyState::Expired
    } else {
        KeyState::Active
    }
}

impl Admin {
    /// Creates a key of an organisation. Its text cannot be shown again.
    ///
    /// # Errors
    /// `Invalid`; `NotFound`; `Exists` if a usable key has the name; `TooMany`.
    pub async fn key_create(
        &self,
        organisation: &Organisation,
        request: &KeyRequest,
        change: &Change,
    ) -> Result<IssuedKey, AdminError> {
        check_expiry(request.expires_ms, change.at_ms)?;
        let _turn = self.shared.names.enter(organisation.id).await;
        let keys = self.store.key_list(organisation.id).await?;
        check_name_free(organisation, &keys, &request.name, None, change.at_ms)?;
        check_room(organisation, &keys, KEYS, change.at_ms)?;
        let KeyRequest { name, role, no_delete, expires_ms } = request;
        let new = NewKey { name, role: *role, no_delete: *no_delete, expires_ms: *expires_ms };
        let issued = issue_key(self.store.as_ref(), organisation.id, &new, change, &entropy()?).await;
        let (key, text) = issued.map_err(|error| match error {
            // Another server was faster.
            IssueError::Store(StoreError::AlreadyExists(Resource::Key)) => name_taken(organisation, name, None),
            error => error.into(),
        })?;
        Ok(IssuedKey { key, text })
    }

    /// Lists all keys of an organisation, revoked ones included, oldest first.
    ///
    /// # Errors
    /// `Store`.
    pub async fn key_list(&self, organisation: &Organisation) -> Result<Vec<ApiKey>, AdminError> {
        Ok(self.store.key_list(organisation.id).await?)
    }

    /// Returns the key of that id, or the only usable key of that name. If no key of that name is usable, returns the only one
    /// that is not revoked.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if several have the name.
    pub async fn key_find(&self, organisation: &Organisation, named: &str) -> Result<ApiKey, AdminError> {
        choose(organisation, self.store.key_list(organisation.id).await?, named, self.clock.now_ms())
    }

    /// Changes a key's name, role, expiry or options. The change takes effect at once.
    ///
    /// # Errors
    /// `Invalid`; `NotFound`; `Exists` if another usable key has the name; `Conflict` if it is revoked; `TooMany` if it is
    /// expired and would become usable again.
    pub async fn key_update(
        &self,
        organisation: &Organisation,
        key: &ApiKey,
        update: &KeyUpdate,
        change: &Change,
    ) -> Result<ApiKey, AdminError> {
        check_not_revoked(key)?;
        check_expiry(update.expires_ms.flatten(), change.at_ms)?;
        let _turn = self.shared.names.enter(organisation.id).await;
        let new_name = update.name.as_deref().filter(|name| *name != key.name);
        new_name.map_or(Ok(()), check_key_name)?;
        // An expired key that becomes usable again is one more usable key, with a name that may be taken by now.
        let returns = update.expires_ms.is_some() && key_state(key, change.at_ms) == KeyState::Expired;
        if new_name.is_some() || returns {
            let keys = self.store.key_list(organisation.id).await?;
            check_name_free(organisation, &keys, new_name.unwrap_or(&key.name), Some(key.id), change.at_ms)?;
            if returns {
                check_room(organisation, &keys, KEYS, change.at_ms)?;
            }
        }
        let updated = self.store.key_update(organisation.id, key.id, update, change).await;
        updated.map_err(|error| match error {
            // Another server was faster.
            StoreError::AlreadyExists(Resource::Key) => name_taken(organisation, new_name.unwrap_or(&key.name), None),
            error => about(organisation, &key.name, error),
        })
    }

    /// Creates a key with the same name, role, options and lifetime. The old key expires after `overlap_s` seconds.
    ///
    /// # Errors
    /// `Invalid`; `NotFound`; `Conflict` if it is revoked or expired, or was rotated before; `TooMany`.
    pub async fn key_rotate(
        &self,
        organisation: &Organisation,
        old: &ApiKey,
        overlap_s: Option<u64>,
        change: &Change,
    ) -> Result<IssuedKey, AdminError> {
        let overlap_s = overlap_s.unwrap_or(DEFAULT_OVERLAP_S);
        if overlap_s > OVERLAP_S {
            return Err(AdminError::Invalid(format!("`overlap-s` must be at most {OVERLAP_S}")));
        }
        check_not_revoked(old)?;
        if key_state(old, change.at_ms) == KeyState::Expired {
            return Err(AdminError::Conflict(format!("Key '{}' is expired: create a new one", old.name)));
        }
        let _turn = self.shared.names.enter(organisation.id).await;
        check_room(organisation, &self.store.key_list(organisation.id).await?, KEYS, change.at_ms)?;
        // The new key has the same lifetime as the old one.
        let lifetime_ms = old.expires_ms.map(|expires_ms| expires_ms.saturating_sub(old.created_ms).max(1));
        let expires_ms = lifetime_ms.map(|lifetime_ms| change.at_ms.saturating_add(lifetime_ms).min(LATEST_MS));
        let request = NewKey { name: &old.name, role: old.role, no_delete: old.no_delete, expires_ms };
        let (mut key, text) = new_key(organisation.id, &request, change.at_ms, &entropy()?);
        key.principal = old.principal;
        key.acts_for_users = old.acts_for_users;
        let ends_ms = change.at_ms.saturating_add(millis(overlap_s));
        let rotated = self.store.key_rotate(old.id, ends_ms, &key, change).await;
        rotated.map_err(|error| match error {
            StoreError::AlreadyExists(Resource::Key) => AdminError::Conflict(format!(
                "Key '{}' ({}) was rotated already: rotate its successor, or revoke the successor if its text was lost",
                old.name, old.id
            )),
            error => about(organisation, &old.name, error),
        })?;
        Ok(IssuedKey { key, text })
    }

    /// Revokes the key of that id or name, see [`Self::key_find`]. The key and its tokens are refused from then on. Has no
    /// effect if all keys of that name are revoked.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if several have the name.
    pub async fn key_revoke(
        &self,
        organisation: &Organisation,
        named: &str,
        change: &Change,
    ) -> Result<(), AdminError> {
        let keys = self.store.key_list(organisation.id).await?;
        if are_revoked(&keys, named) {
            return Ok(());
        }
        let key = choose(organisation, keys, named, change.at_ms)?;
        let revoked = self.store.key_revoke(organisation.id, key.id, change).await;
        revoked.map_err(|error| about(organisation, &key.name, error))
    }
}

/// Returns whether keys of that name exist and all of them are revoked.
fn are_revoked(keys: &[ApiKey], name: &str) -> bool {
    let mut of_name = keys.iter().filter(|key| key.name == name).peekable();
    of_name.peek().is_some() && of_name.all(|key| key.revoked_ms.is_some())
}

/// Returns the key of that id or name. See [`Admin::key_find`].
fn choose(organisation: &Organisation, keys: Vec<ApiKey>, named: &str, now_ms: i64) -> Result<ApiKey, AdminError> {
    let id = named.parse().ok().map(KeyId);
    if let Some(key) = keys.iter().find(|key| Some(key.id) == id) {
        return Ok(key.clone());
    }
    let (owner, shown) = (&organisation.name, named.chars().take(100).collect::<String>());
    let (not_revoked, revoked): (Vec<ApiKey>, Vec<ApiKey>) =
        keys.into_iter().filter(|key| key.name == named).partition(|key| key.revoked_ms.is_none());
    // Skip keys that were rotated and have expired.
    let mut active = not_revoked.iter().filter(|key| key_state(key, now_ms) == KeyState::Active);
    if let (Some(only), None) = (active.next(), active.next()) {
        return Ok(only.clone());
    }
    match &not_revoked[..] {
        [only] => Ok(only.clone()),
        [] if revoked.is_empty() => Err(AdminError::NotFound(format!("Organisation '{owner}' has no key '{shown}'"))),
        [] => Err(AdminError::NotFound(format!("All keys '{shown}' of organisation '{owner}' are revoked already"))),
        _ => {
            let ids: Vec<String> = not_revoked.iter().map(|key| key.id.to_string()).collect();
            Err(AdminError::Conflict(format!(
                "Organisation '{owner}' has several keys '{shown}': choose one by its id, {}",
                ids.join(" or ")
            )))
        }
    }
}

/// Fails if an organisation has `max` usable keys or more.
fn check_room(organisation: &Organisation, keys: &[ApiKey], max: usize, now_ms: i64) -> Result<(), AdminError> {
    if keys.iter().filter(|key| key_state(key, now_ms) == KeyState::Active).count() < max {
        return Ok(());
    }
    Err(AdminError::TooMany(format!(
        "Organisation '{}' has {max} keys, the maximum: revoke some first",
        organisation.name
    )))
}

fn check_name_free(
    organisation: &Organisation,
    keys: &[ApiKey],
    name: &str,
    own: Option<KeyId>,
    now_ms: i64,
) -> Result<(), AdminError> {
    let taken = |key: &&ApiKey| key.name == name && Some(key.id) != own && key_state(key, now_ms) == KeyState::Active;
    match keys.iter().find(taken) {
        None => Ok(()),
        Some(found) => Err(name_taken(organisation, name, Some(found.id))),
    }
}

/// Returns the error for a name that a usable key has. `by` is that key, if it is known.
fn name_taken(organisation: &Organisation, name: &str, by: Option<KeyId>) -> AdminError {
    let by = by.map(|id| format!(" (id {id})")).unwrap_or_default();
    AdminError::Exists(format!(
        "Organisation '{}' has a key '{name}' already{by}: rotate or revoke it, or choose another name",
        organisation.name
    ))
}

fn check_not_revoked(key: &ApiKey) -> Result<(), AdminError> {
    match key.revoked_ms {
        None => Ok(()),
        Some(_) => Err(AdminError::Conflict(format!("Key '{}' is revoked: create a new one", key.name))),
    }
}

fn check_expiry(expires_ms: Option<i64>, now_ms: i64) -> Result<(), AdminError> {
    match expires_ms {
        Some(expires_ms) if expires_ms <= now_ms => {
            Err(AdminError::Invalid("The key would be expired already: give a time in the future".to_owned()))
        }
        Some(expires_ms) if expires_ms > LATEST_MS => {
            Err(AdminError::Invalid(format!("The key's expiry must be at most {LATEST_MS}")))
        }
        _ => Ok(()),
    }
}

fn about(organisation: &Organisation, name: &str, error: StoreError) -> AdminError {
    match error {
        StoreError::NotFound(Resource::Key) => {
            AdminError::NotFound(format!("Organisation '{}' has no key '{name}'", organisation.name))
        }
        StoreError::NotFound(Resource::Organisation) => AdminError::no_such_organisation(&organisation.name),
        error => AdminError::Store(error),
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::ids::{OrganisationId, PrincipalId};

    use super::*;
    use crate::base::clock::fresh_ordered_uuid;
    use crate::store::KeyDigest;

    fn key(name: &str, revoked_ms: Option<i64>) -> ApiKey {
        let id = fresh_ordered_uuid();
        ApiKey {
            id: KeyId(id),
            organisation: OrganisationId(fresh_ordered_uuid()),
            principal: PrincipalId(id),
            name: name.to_owned(),
            role: Role::Reader,
            no_delete: false,
            acts_for_users: false,
            digest: KeyDigest([0; 32]),
            created_ms: 0,
            expires_ms: None,
            last_used_ms: None,
            revoked_ms,
        }
    }

    #[test]
    fn organisation_with_the_maximum_of_usable_keys_gets_no_other() {
        let acme = Organisation::new(OrganisationId(fresh_ordered_uuid()), "acme", "free", 0);
        let mut rotated = key("a", None);
        rotated.expires_ms = Some(5);
        // After a rotation both keys are usable until the overlap ends.
        let keys = [rotated, key("a", None), key("b", None), key("old", Some(1))];
        let room = |max, now_ms| check_room(&acme, &keys, max, now_ms).map_err(|error| error.to_string());
        assert_eq!(room(3, 4), Err("Organisation 'acme' has 3 keys, the maximum: revoke some first".to_owned()));
        assert_eq!(room(4, 4), Ok(()));
        assert_eq!(room(3, 5), Ok(()), "expired and revoked keys do not count");
        assert!(room(2, 5).is_err());
    }

    #[test]
    fn key_is_found_by_its_id_or_by_its_unique_name() {
        let acme = Organisation::new(OrganisationId(fresh_ordered_uuid()), "acme", "free", 0);
        let keys = [key("ci", Some(1)), key("ci", None), key("two", None), key("two", None), key("old", Some(1))];
        let chosen = |named: &str| choose(&acme, keys.to_vec(), named, 5).map(|key| key.id).map_err(|e| e.to_string());
        assert_eq!(chosen("ci"), Ok(keys[1].id));
        assert_eq!(chosen(&keys[0].id.to_string()), Ok(keys[0].id));
        let mut ended = key("ci", None);
        ended.expires_ms = Some(5);
        let rotated = choose(&acme, vec![ended, keys[1].clone()], "ci", 5).unwrap();
        assert_eq!(rotated.id, keys[1].id, "an expired key is skipped");
        let several = chosen("two").unwrap_err();
        assert!(several.contains(&keys[2].id.to_string()) && several.contains(&keys[3].id.to_string()), "{several}");
        assert!(chosen("old").unwrap_err().contains("are revoked already"));
        assert!(chosen("other").unwrap_err().contains("has no key 'other'"));
    }
}
