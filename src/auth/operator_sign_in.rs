//! Tokens of operators: short-lived, with an audience of their own, and renewed up to the end of the sign-in.
//!
//! docs/decisions/0090 says what such a token may do.

use std::sync::Arc;

use super::authenticator::Authenticator;
use super::caller::{Identity, OperatorCaller};
use super::form::Form;
use super::oauth_error::{OAuthError, OAuthErrorKind};
use super::scope::OPERATOR_SCOPE;
use super::sign_in::{ACCESS_TOKEN, SignIn, TokenResponse, check_token_types};
use super::token::{OPERATOR_LIFETIME_MS, OperatorClaims};

impl Authenticator {
    /// Exchanges an operator's token for a newer one of the same sign-in.
    ///
    /// # Errors
    /// `InvalidRequest` with another credential; `InvalidGrant` for an invalid or expired token, a revoked operator, or a sign-in that has
    /// ended.
    pub(super) async fn renew_operator(&self, form: &Form, request: &SignIn<'_>) -> Result<TokenResponse, OAuthError> {
        check_token_types(form)?;
        let others = ["client_id", "client_secret", "actor_token"];
        if request.authorization.is_some() || others.iter().any(|name| form.get(name).is_some()) {
            return Err(OAuthError::new(
                OAuthErrorKind::InvalidRequest,
                "an operator's token is exchanged alone: leave out other credentials",
            ));
        }
        let token = form.get("subject_token").unwrap_or_default().as_bytes();
        let invalid_grant = |error| OAuthError::refused(OAuthErrorKind::InvalidGrant, &error);
        let identity = self.check_confirmed(token, request.source).await.map_err(invalid_grant)?;
        let Identity::Operator(operator) = identity else {
            return Err(OAuthError::new(OAuthErrorKind::InvalidGrant, "the token is not an operator's"));
        };
        let signed_in_ms = self.signed_in_ms(token).await.map_err(invalid_grant)?;
        self.issue_operator(operator, signed_in_ms).await
    }

    /// Signs a token for an operator. It ends no later than the sign-in.
    ///
    /// # Errors
    /// `InvalidGrant` if the sign-in has ended; `TemporarilyUnavailable`; `ServerError`.
    pub(super) async fn issue_operator(
        &self,
        operator: Arc<OperatorCaller>,
        signed_in_ms: i64,
    ) -> Result<TokenResponse, OAuthError> {
        let now_ms = self.now_ms();
        let session_end_ms = signed_in_ms.saturating_add(self.session_ms);
        if session_end_ms <= now_ms {
            return Err(OAuthError::new(
                OAuthErrorKind::InvalidGrant,
                "the sign-in that this token comes from is too long ago: sign in again with the operator's key",
            ));
        }
        let lifetime_ms = self.token_lifetime_ms.min(OPERATOR_LIFETIME_MS);
        let claims = OperatorClaims {
            operator: operator.id(),
            name: operator.name().to_owned(),
            signed_in_ms,
            issued_ms: now_ms,
            expires_ms: now_ms.saturating_add(lifetime_ms).min(session_end_ms),
        };
        let token = self.signing.sign_operator(&claims, now_ms).await;
        let access_token = token.map_err(|error| OAuthError::refused(OAuthErrorKind::ServerError, &error))?;
        Ok(TokenResponse {
            access_token,
            token_type: "bearer",
            expires_in_s: (claims.expires_ms.div_euclid(1_000) - now_ms.div_euclid(1_000)).max(0),
            issued_token_type: ACCESS_TOKEN,
            scope: OPERATOR_SCOPE.to_owned(),
            identity: Identity::Operator(operator),
            method: "",
        })
    }
}
