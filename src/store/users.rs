//! Users: principals who sign in with an identity provider.

use async_trait::async_trait;
use tidewater_core::access::Role;
use tidewater_core::ids::{OrganisationId, PrincipalId};

use super::change::Change;
use super::error::Result;
use super::organisations::Organisation;
use super::pages::{Page, PageRequest};

/// A user. All times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id in the catalog.
    pub id: PrincipalId,
    /// The organisation that it belongs to.
    pub organisation: OrganisationId,
    /// The URL of its provider.
    pub issuer: String,
    /// Its id at the provider. It is unique among the organisation's users of the provider.
    pub subject: String,
    /// Its name, for people. It is not unique.
    pub name: String,
    /// Its email address.
    pub email: Option<String>,
    /// Its built-in role.
    pub role: Role,
    /// Whether credentials vended for it cannot delete files, whatever its role.
    pub no_delete: bool,
    /// When it was first seen.
    pub created_ms: i64,
    /// When it was last seen, to within a minute.
    pub last_seen_ms: Option<i64>,
    /// When it was disabled, if it is.
    pub disabled_ms: Option<i64>,
    /// When the token was issued from which its name, email address, role and groups are.
    pub issued_ms: i64,
}

/// What a provider's token says about a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSignIn {
    /// The organisation.
    pub organisation: OrganisationId,
    /// The URL of the provider.
    pub issuer: String,
    /// The user's id at the provider.
    pub subject: String,
    /// The id for a user that is not known yet.
    pub new_id: PrincipalId,
    /// The user's name.
    pub name: String,
    /// The user's email address.
    pub email: Option<String>,
    /// The built-in role.
    pub role: Role,
    /// The names of the principal roles of the user's groups.
    pub principal_roles: Vec<String>,
    /// Whether principal roles that do not exist are created.
    pub create_roles: bool,
    /// When the token was issued, in milliseconds since 1970.
    pub issued_ms: i64,
}

/// The outcome of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedInUser {
    /// The user's id.
    pub id: PrincipalId,
    /// Whether anything about the user changed.
    pub changed: bool,
    /// The principal roles that do not exist.
    pub missing_roles: Vec<String>,
}

/// Changes of a user. Fields that are `None` stay as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserUpdate {
    /// Whether it is disabled.
    pub disabled: Option<bool>,
    /// Whether credentials vended for it cannot delete files.
    pub no_delete: Option<bool>,
}

/// Stores users, and the principal roles of their groups.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
#[async_trait]
pub trait UserStore: Send + Sync + 'static {
    /// Records a sign-in: adds the user if it is new, and takes over its name, email address, role and groups if the token is
    /// newer than the one they are from. Changes nothing about a disabled user. The user is the actor of the events.
    ///
    /// Principal roles of groups are assigned beside those that an administrator assigned, and revoked with the groups.
    ///
    /// # Errors
    /// `NotFound` for the organisation.
    async fn user_sign_in(&self, sign_in: &UserSignIn, change: &Change) -> Result<SignedInUser>;

    /// Returns a user, disabled or not, and its organisation: one read serves a request.
    async fn user_get(&self, organisation: OrganisationId, id: PrincipalId) -> Result<Option<(User, Organisation)>>;

    /// Lists users by id, which is the order in which they were first seen.
    async fn user_list(&self, organisation: OrganisationId, page: &PageRequest) -> Result<Page<User>>;

    /// Lists the users whose id, subject, email address or name is `named`. Email addresses are compared without case.
    async fn user_find(&self, organisation: OrganisationId, named: &str) -> Result<Vec<User>>;

    /// Changes a user. Returns the changed user.
    ///
    /// # Errors
    /// `NotFound`.
    async fn user_update(
        &self,
        organisation: OrganisationId,
        id: PrincipalId,
        update: UserUpdate,
        change: &Change,
    ) -> Result<User>;

    /// Removes a user, with its assignments. Its tables stay. If it signs in again, it is a new user.
    ///
    /// # Errors
    /// `NotFound`.
    async fn user_delete(&self, organisation: OrganisationId, id: PrincipalId, change: &Change) -> Result<()>;

    /// Records when users were last seen. A time never moves back; unknown users are ignored.
    async fn user_touch(&self, last_seen_ms: &[(OrganisationId, PrincipalId, i64)]) -> Result<()>;
}
