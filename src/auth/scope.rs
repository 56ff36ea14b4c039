//! The scope of a token request (RFC 6749, section 3.3): `PRINCIPAL_ROLE:name` narrows the token to that principal role.
//!
//! `PRINCIPAL_ROLE:ALL` means all roles, as in Polaris, and so does a scope without roles, such as the `catalog` that Iceberg
//! clients send.

use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use tidewater_core::ids::PrincipalRoleId;

use super::authenticator::Authenticator;
use super::caller::Caller;
use super::error::AuthError;
use super::form::Form;
use super::grants::Selected;
use super::oauth_error::{OAuthError, OAuthErrorKind};
use super::token::MAX_SELECTED_ROLES;
use crate::store::PrincipalRole;

/// The default scope of a token: the one that Iceberg clients request.
const DEFAULT_SCOPE: &str = "catalog";

/// The scope with which an operator's key is exchanged for an operator's token. Other keys ignore it.
pub(super) const OPERATOR_SCOPE: &str = "operator";

/// The longest accepted scope, in bytes.
const MAX_SCOPE_BYTES: usize = 1_000;

/// The beginning of a scope that names a principal role.
const ROLE: &str = "PRINCIPAL_ROLE:";

/// The name that means all principal roles.
const ALL: &str = "ALL";

/// The characters of a role's name that a scope cannot have, and `%`.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'\\').add(b'%');

/// The longest part of a role's name in a message, in characters.
const MAX_SHOWN: usize = 100;

/// A requested scope.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestedScope {
    text: String,
    /// The names of the principal roles. Empty for all roles.
    roles: Vec<String>,
}

/// The roles of a new token, and the scope that says so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GivenScope {
    pub(super) selected: Selected,
    pub(super) text: String,
}

impl RequestedScope {
    /// Parses the scope of a request.
    ///
    /// # Errors
    /// `InvalidScope` if it is too long, has other characters than RFC 6749, section 3.3 allows, or names too many roles.
    pub(super) fn parse(form: &Form) -> Result<Self, OAuthError> {
        Self::from_text(form.get("scope").unwrap_or(DEFAULT_SCOPE))
    }

    /// Returns whether the client accepts an operator's token.
    pub(super) fn accepts_operators(&self) -> bool {
        self.text.split(' ').any(|scope| scope == OPERATOR_SCOPE)
    }

    fn from_text(text: &str) -> Result<Self, OAuthError> {
        let allowed = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if text.len() > MAX_SCOPE_BYTES || !text.bytes().all(allowed) {
            return Err(invalid(format!(
                "scope must be at most {MAX_SCOPE_BYTES} characters of ASCII, without quotes and backslashes"
            )));
        }
        let (mut roles, mut all) = (Vec::new(), false);
        for name in text.split(' ').filter_map(|scope| scope.strip_prefix(ROLE)) {
            if name == ALL {
                all = true;
                continue;
            }
            let name = percent_decode_str(name).decode_utf8();
            let name = name.map_err(|_| invalid("scope has a role name that is not UTF-8".to_owned()))?;
            if name.is_empty() {
                return Err(invalid(format!("scope has '{ROLE}' without a role name")));
            }
            roles.push(name.into_owned());
        }
        roles.sort_unstable();
        roles.dedup();
        if all && !roles.is_empty() {
            return Err(invalid(format!("scope has both '{ROLE}{ALL}' and names of roles: send one of them")));
        }
        if roles.len() > MAX_SELECTED_ROLES {
            return Err(invalid(format!("scope names more than {MAX_SELECTED_ROLES} principal roles")));
        }
        Ok(Self { text: text.to_owned(), roles })
    }
}

/// Returns the names of the principal roles to which a scope narrows a token. Empty if it does not.
///
/// # Errors
/// `InvalidScope`.
pub fn roles_of_scope(scope: &str) -> Result<Vec<String>, OAuthError> {
    RequestedScope::from_text(scope).map(|requested| requested.roles)
}

fn invalid(description: String) -> OAuthError {
    OAuthError::new(OAuthErrorKind::InvalidScope, description)
}

/// Returns the scope of a token that is narrowed to these roles.
fn text_of<'a>(roles: impl Iterator<Item = &'a PrincipalRole>) -> String {
    let scopes: Vec<String> = roles.map(|role| format!("{ROLE}{}", utf8_percent_encode(&role.name, ENCODED))).collect();
    scopes.join(" ")
}

impl Authenticator {
    /// Returns the roles of a new token for `caller`. They are among the caller's own, and among those that the caller's present
    /// token is narrowed to.
    ///
    /// # Errors
    /// `InvalidScope` for another role; `TemporarilyUnavailable`.
    pub(super) async fn give_scope(
        &self,
        caller: &Caller,
        held: Selected,
        requested: RequestedScope,
    ) -> Result<GivenScope, OAuthError> {
        if requested.roles.is_empty() && held.is_none() {
            return Ok(GivenScope { selected: None, text: requested.text });
        }
        let own = self.store().principal_roles(caller.organisation(), caller.principal()).await;
        let own = own.map_err(|error| {
            OAuthError::refused(OAuthErrorKind::InvalidScope, &AuthError::Unavailable(Arc::new(error)))
        })?;
        let may_have = |role: &&PrincipalRole| held.as_ref().is_none_or(|held| held.contains(&role.id));
        let own: Vec<&PrincipalRole> = own.iter().filter(may_have).collect();
        if requested.roles.is_empty() {
            return Ok(GivenScope { selected: held.clone(), text: text_of(own.into_iter()) });
        }
        let mut given = Vec::new();
        for name in &requested.roles {
            let Some(role) = own.iter().find(|role| role.name == *name) else {
                let shown: String = name.chars().take(MAX_SHOWN).collect();
                return Err(invalid(format!(
                    "you do not have the principal role '{shown}': ask an administrator to assign it, or choose one of yours"
                )));
            };
            given.push(*role);
        }
        let mut selected: Vec<PrincipalRoleId> = given.iter().map(|role| role.id).collect();
        selected.sort_unstable();
        Ok(GivenScope { selected: Some(selected.into()), text: text_of(given.into_iter()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_with_names_of_roles_selects_them_and_any_other_selects_all() {
        let roles = |text: &str| RequestedScope::from_text(text).unwrap().roles;
        for all in
            ["catalog", "", "openid profile", "PRINCIPAL_ROLE:ALL", "catalog PRINCIPAL_ROLE:ALL", "principal_role:a"]
        {
            assert!(roles(all).is_empty(), "{all}");
        }
        assert_eq!(roles("PRINCIPAL_ROLE:b catalog PRINCIPAL_ROLE:a PRINCIPAL_ROLE:b"), ["a", "b"]);
        assert_eq!(
            roles("PRINCIPAL_ROLE:Data%20team PRINCIPAL_ROLE:100%25 PRINCIPAL_ROLE:Zo%C3%AB"),
            ["100%", "Data team", "Zoë"]
        );
    }

    #[test]
    fn scope_that_is_not_clear_is_refused() {
        let many: Vec<String> = (0..=MAX_SELECTED_ROLES).map(|number| format!("PRINCIPAL_ROLE:r{number}")).collect();
        for bad in
            ["PRINCIPAL_ROLE:", "PRINCIPAL_ROLE:ALL PRINCIPAL_ROLE:a", "PRINCIPAL_ROLE:%FF", "a\"b", &many.join(" ")]
        {
            assert_eq!(RequestedScope::from_text(bad).unwrap_err().kind, OAuthErrorKind::InvalidScope, "{bad}");
        }
    }

    #[test]
    fn scope_of_a_token_can_be_requested_again() {
        let names = ["100%", "Data team", "Zoë", "a\"b\\c"];
        let roles = names.map(|name| PrincipalRole {
            id: PrincipalRoleId(uuid::Uuid::nil()),
            name: name.into(),
            created_ms: 0,
        });
        assert_eq!(RequestedScope::from_text(&text_of(roles.iter())).unwrap().roles, names);
    }
}
