//! Verifies tokens of identity providers, and records their users.

use std::sync::Arc;

use tidewater_core::ids::{OrganisationId, PrincipalId};

use super::{Authenticator, MISSING_ROLES, SeenToken};
use crate::auth::error::AuthError;
use crate::auth::oidc::{ProviderTokenError, VerifiedToken};
use crate::auth::token::Subject;
use crate::base::clock::fresh_ordered_uuid;
use crate::store::{Change, UserSignIn};

impl Authenticator {
    /// Verifies a provider's token, and records its user.
    pub(super) async fn verify_user(
        &self,
        token: &[u8],
        now_ms: i64,
    ) -> Result<(Subject, OrganisationId, SeenToken), AuthError> {
        let VerifiedToken { provider, user, seen } = self.providers.verify(token, now_ms).await?;
        let store = &self.source.store;
        let unavailable = |error| AuthError::Unavailable(Arc::new(error));
        let found = store.organisation_by_name(&provider.organisation).await.map_err(unavailable)?;
        let no_organisation = || ProviderTokenError::NoOrganisation(provider.organisation.as_str().into());
        let organisation = found.ok_or_else(no_organisation)?;
        if organisation.standing.deletion.is_some() {
            return Err(AuthError::Deleted(organisation.name.into()));
        }
        if organisation.standing.suspended_ms.is_some() {
            return Err(AuthError::Suspended(organisation.name.into()));
        }
        let sign_in = UserSignIn {
            organisation: organisation.id,
            issuer: provider.issuer.clone(),
            subject: user.subject,
            new_id: PrincipalId(fresh_ordered_uuid()),
            name: user.name,
            email: user.email,
            role: user.role,
            principal_roles: user.principal_roles,
            create_roles: provider.create_roles,
            issued_ms: user.issued_ms,
        };
        let recorded = store.user_sign_in(&sign_in, &Change::by_catalog(now_ms)).await.map_err(unavailable)?;
        self.log_missing_roles(&organisation.name, &provider.name, recorded.missing_roles);
        Ok((Subject::User(recorded.id), organisation.id, SeenToken::Provider(seen)))
    }

    /// Logs principal roles of groups that do not exist, each once between two runs of [`Self::maintain`].
    fn log_missing_roles(&self, organisation: &str, provider: &str, roles: Vec<String>) {
        for role in roles {
            let mut logged = self.missing_roles.lock();
            if logged.len() < MISSING_ROLES && logged.insert(format!("{organisation}/{role}")) {
                tracing::warn!(
                    organisation,
                    provider,
                    role,
                    "a user's group is mapped to a principal role that does not exist, so it is ignored: create the role, or set \
                     `create_roles`"
                );
            }
        }
    }
}
