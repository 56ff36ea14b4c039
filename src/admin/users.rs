//! Users of identity providers: list, show, disable and delete. They appear when they sign in.

use tidewater_core::ids::PrincipalId;

use super::{Admin, AdminError};
use crate::store::{Change, Organisation, Page, PageRequest, PrincipalRecord, Resource, StoreError, User, UserUpdate};

impl Admin {
    /// Lists users in the order in which they were first seen.
    ///
    /// # Errors
    /// `Store`.
    pub async fn user_list(&self, organisation: &Organisation, page: &PageRequest) -> Result<Page<User>, AdminError> {
        Ok(self.store.user_list(organisation.id, page).await?)
    }

    /// Returns the user with that id, or else the only one with that subject, that email address or that name, in this order.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if several have it.
    pub async fn user_find(&self, organisation: &Organisation, named: &str) -> Result<User, AdminError> {
        let found = self.store.user_find(organisation.id, named).await?;
        choose(organisation, found, named)?.ok_or_else(|| no_such_user(organisation, named))
    }

    /// Changes a user. It takes effect at the user's next request.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn user_update(
        &self,
        organisation: &Organisation,
        user: &User,
        update: UserUpdate,
        change: &Change,
    ) -> Result<User, AdminError> {
        let updated = self.store.user_update(organisation.id, user.id, update, change).await;
        updated.map_err(|error| about(organisation, &user.name, error))
    }

    /// Removes a user, with the assignments of roles. Tables that the user created stay, without an owner. A user who signs in
    /// again is a new one.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if several users have the name.
    pub async fn user_delete(
        &self,
        organisation: &Organisation,
        named: &str,
        change: &Change,
    ) -> Result<(), AdminError> {
        let user = self.user_find(organisation, named).await?;
        let deleted = self.store.user_delete(organisation.id, user.id, change).await;
        deleted.map_err(|error| about(organisation, &user.name, error))
    }

    /// Returns the principal of a key, found as by [`Self::key_find`], or of a user, found as by [`Self::user_find`]. A key comes
    /// before a user: administrators choose the names of keys, and people their own.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if several keys or users have the name.
    pub async fn principal_find(
        &self,
        organisation: &Organisation,
        named: &str,
    ) -> Result<PrincipalRecord, AdminError> {
        let missing = match self.key_find(organisation, named).await {
            Ok(key) => {
                return Ok(PrincipalRecord { id: key.principal, name: key.name, role: Some(key.role), is_user: false });
            }
            Err(AdminError::NotFound(missing)) => missing,
            Err(error) => return Err(error),
        };
        let found = self.store.user_find(organisation.id, named).await?;
        let user = choose(organisation, found, named)?.ok_or(AdminError::NotFound(missing))?;
        let role = user.disabled_ms.is_none().then_some(user.role);
        Ok(PrincipalRecord { id: user.id, name: user.name, role, is_user: true })
    }
}

/// Returns the user that a text names. See [`Admin::user_find`].
fn choose(organisation: &Organisation, users: Vec<User>, named: &str) -> Result<Option<User>, AdminError> {
    let id = named.parse().ok().map(PrincipalId);
    let is_email = |user: &User| user.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(named));
    let rules: [&dyn Fn(&User) -> bool; 4] =
        [&|user| Some(user.id) == id, &|user| user.subject == named, &is_email, &|user| user.name == named];
    for rule in rules {
        let found: Vec<&User> = users.iter().filter(|user| rule(user)).collect();
        match &found[..] {
            [] => {}
            [only] => return Ok(Some((*only).clone())),
            several => {
                let ids: Vec<String> = several.iter().take(10).map(|user| user.id.to_string()).collect();
                return Err(AdminError::Conflict(format!(
                    "Organisation '{}' has several users '{}': choose one by its id, {}",
                    organisation.name,
                    shortened(named),
                    ids.join(" or ")
                )));
            }
        }
    }
    Ok(None)
}

fn no_such_user(organisation: &Organisation, named: &str) -> AdminError {
    AdminError::NotFound(format!(
        "Organisation '{}' has no user '{}': users appear when they sign in for the first time",
        organisation.name,
        shortened(named)
    ))
}

fn about(organisation: &Organisation, name: &str, error: StoreError) -> AdminError {
    match error {
        StoreError::NotFound(Resource::Principal) => no_such_user(organisation, name),
        error => AdminError::Store(error),
    }
}

fn shortened(named: &str) -> String {
    named.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use tidewater_core::access::Role;
    use tidewater_core::ids::OrganisationId;

    use super::*;
    use crate::base::clock::fresh_ordered_uuid;

    fn user(subject: &str, email: Option<&str>, name: &str) -> User {
        User {
            id: PrincipalId(fresh_ordered_uuid()),
            organisation: OrganisationId(fresh_ordered_uuid()),
            issuer: "https://sso.example.com".to_owned(),
            subject: subject.to_owned(),
            name: name.to_owned(),
            email: email.map(str::to_owned),
            role: Role::None,
            no_delete: false,
            created_ms: 0,
            last_seen_ms: None,
            disabled_ms: None,
            issued_ms: 0,
        }
    }

    #[test]
    fn user_is_found_by_id_then_subject_then_email_then_name() {
        let acme = Organisation::new(OrganisationId(fresh_ordered_uuid()), "acme", "free", 0);
        let users = [
            user("u1", Some("Alice@example.com"), "Alice"),
            user("u2", Some("bob@example.com"), "u1"),
            user("u3", None, "alice@example.com"),
            user("u4", None, "Alice"),
        ];
        let chosen = |named: &str| choose(&acme, users.to_vec(), named).map(|user| user.map(|user| user.subject));
        let found = |subject: &str| Some(subject.to_owned());
        assert_eq!(chosen(&users[1].id.to_string()).unwrap(), found("u2"));
        assert_eq!(chosen("u1").unwrap(), found("u1"), "a name never hides a subject");
        assert_eq!(chosen("alice@example.com").unwrap(), found("u1"), "nor an email address");
        assert_eq!(chosen("nobody").unwrap(), None);
        let several = chosen("Alice").unwrap_err().to_string();
        assert!(several.contains(&users[0].id.to_string()) && several.contains(&users[3].id.to_string()), "{several}");
    }
}
