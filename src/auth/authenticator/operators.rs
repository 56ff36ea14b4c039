//! Tokens of operators.

use std::sync::Arc;

use super::{Authenticator, Presented, SeenToken, standing};
use crate::auth::caller::{Identity, OperatorCaller};
use crate::auth::error::AuthError;
use crate::auth::standing::Lookup;
use crate::auth::token::{OperatorClaims, TokenError};
use crate::store::KeyDigest;

impl Authenticator {
    /// Caches an operator's token with a valid signature.
    pub(super) fn remember_operator(&self, claims: OperatorClaims, generation: u64, digest: KeyDigest) -> Presented {
        let key = standing(Lookup::Operator(claims.operator));
        let presented = Presented { key, token: Some(SeenToken::Operator { claims: Arc::new(claims), generation }) };
        self.presented.insert(digest, presented.clone());
        presented
    }
}

/// Returns the operator of a token.
///
/// # Errors
/// `UnknownKey` if the token's subject is not an operator.
pub(super) fn by_token(found: Identity) -> Result<Identity, AuthError> {
    match found {
        Identity::Operator(operator) => {
            Ok(Identity::Operator(Arc::new(OperatorCaller { by_token: true, ..(*operator).clone() })))
        }
        Identity::Key(_) => Err(TokenError::UnknownKey.into()),
    }
}
