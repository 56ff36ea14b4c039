//! Principals of API keys: each with its current key, and its principal roles.

use std::collections::BTreeMap;

use tidewater_core::ids::{KeyId, PrincipalId};

use super::{Admin, AdminError, KeyState, key_state};
use crate::store::{ApiKey, Change, Organisation, Page, PageRequest, PrincipalRole};

/// A principal with a usable key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrincipal {
    /// The newest usable key. Its name is the principal's name.
    pub key: ApiKey,
    /// When its first key was created, in milliseconds since 1970.
    pub created_ms: i64,
}

impl KeyPrincipal {
    /// Returns the principal's id.
    #[must_use]
    pub const fn id(&self) -> PrincipalId {
        self.key.principal
    }
}

impl Admin {
    /// Lists the principals with a usable key, by name.
    ///
    /// # Errors
    /// `Store`.
    pub async fn key_principal_list(&self, organisation: &Organisation) -> Result<Vec<KeyPrincipal>, AdminError> {
        Ok(principals(self.store.key_list(organisation.id).await?, self.clock.now_ms()))
    }

    /// Returns the principal of that name with a usable key.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn key_principal_find(
        &self,
        organisation: &Organisation,
        name: &str,
    ) -> Result<KeyPrincipal, AdminError> {
        let all = self.key_principal_list(organisation).await?;
        let found = all.into_iter().find(|principal| principal.key.name == name);
        found.ok_or_else(|| {
            let name: String = name.chars().take(100).collect();
            AdminError::NotFound(format!("Organisation '{}' has no principal '{name}'", organisation.name))
        })
    }

    /// Revokes all keys of a principal, except `kept`.
    ///
    /// # Errors
    /// `Store`.
    pub async fn key_principal_revoke(
        &self,
        organisation: &Organisation,
        principal: PrincipalId,
        kept: Option<KeyId>,
        change: &Change,
    ) -> Result<(), AdminError> {
        let keys = self.store.key_list(organisation.id).await?;
        let revoked = |key: &&ApiKey| key.principal == principal && key.revoked_ms.is_none() && Some(key.id) != kept;
        for key in keys.iter().filter(revoked) {
            self.key_revoke(organisation, &key.id.to_string(), change).await?;
        }
        Ok(())
    }

    /// Lists the principal roles of a principal, by name.
    ///
    /// # Errors
    /// `Store`.
    pub async fn principal_role_list_of(
        &self,
        organisation: &Organisation,
        principal: PrincipalId,
        page: &PageRequest,
    ) -> Result<Page<PrincipalRole>, AdminError> {
        Ok(self.store.principal_role_list_of(organisation.id, principal, page).await?)
    }
}

/// Returns the principals of the usable ones among all keys, oldest first, sorted by name.
fn principals(keys: Vec<ApiKey>, now_ms: i64) -> Vec<KeyPrincipal> {
    let mut created_ms = BTreeMap::new();
    for key in &keys {
        created_ms.entry(key.principal).or_insert(key.created_ms);
    }
    let mut newest = BTreeMap::new();
    for key in keys.into_iter().filter(|key| key_state(key, now_ms) == KeyState::Active) {
        newest.insert(key.principal, key);
    }
    let mut found: Vec<KeyPrincipal> = newest
        .into_iter()
        .map(|(principal, key)| KeyPrincipal {
            created_ms: created_ms.get(&principal).copied().unwrap_or(key.created_ms),
            key,
        })
        .collect();
    found.sort_by(|a, b| a.key.name.cmp(&b.key.name));
    found
}

#[cfg(test)]
mod tests {
    use tidewater_core::access::Role;
    use tidewater_core::ids::OrganisationId;

    use super::*;
    use crate::base::clock::fresh_ordered_uuid;
    use crate::store::KeyDigest;

    fn key(name: &str, created_ms: i64) -> ApiKey {
        let id = fresh_ordered_uuid();
        ApiKey {
            id: KeyId(id),
            organisation: OrganisationId(fresh_ordered_uuid()),
            principal: PrincipalId(id),
            name: name.to_owned(),
            role: Role::None,
            no_delete: false,
            acts_for_users: false,
            digest: KeyDigest([0; 32]),
            created_ms,
            expires_ms: None,
            last_used_ms: None,
            revoked_ms: None,
        }
    }

    #[test]
    fn principal_has_its_newest_usable_key() {
        let old = ApiKey { expires_ms: Some(50), ..key("etl", 1) };
        let new = ApiKey { principal: old.principal, ..key("etl", 2) };
        let revoked = ApiKey { principal: old.principal, revoked_ms: Some(4), ..key("etl", 3) };
        let other = key("a", 4);
        let gone = ApiKey { revoked_ms: Some(6), ..key("gone", 5) };
        let found = principals(vec![old.clone(), new.clone(), revoked, other.clone(), gone], 10);
        let found: Vec<_> = found.iter().map(|one| (one.key.id, one.created_ms)).collect();
        assert_eq!(found, [(other.id, 4), (new.id, 1)]);
    }
}
