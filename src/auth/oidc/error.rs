//! Why a provider's token is refused.

use std::sync::Arc;

/// Why a token of an identity provider is refused. The texts say what to do, and never repeat the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderTokenError {
    /// It is too long.
    #[error("the token has {bytes} bytes, and at most {most} are read: put fewer groups into it")]
    TooLong {
        /// Its size.
        bytes: usize,
        /// The largest accepted size.
        most: usize,
    },
    /// It is not a signed JSON Web Token.
    #[error("the token cannot be read: {0}")]
    Malformed(&'static str),
    /// Its header has extensions that must be understood.
    #[error("the token's header has 'crit', which this server does not accept")]
    Critical,
    /// It is another kind of token.
    #[error("the token is of type '{0}': send an access token or an ID token")]
    Kind(String),
    /// Its algorithm is not accepted.
    #[error("the token is signed with '{algorithm}', which is not accepted from the provider '{provider}'")]
    Algorithm {
        /// The algorithm.
        algorithm: String,
        /// The provider's name.
        provider: Arc<str>,
    },
    /// Its issuer is not configured.
    #[error("the token's issuer '{0}' is not a provider of this catalog: compare it with `auth.issuers`")]
    UnknownIssuer(String),
    /// It is for another audience.
    #[error("the token is not for this catalog: its audience (aud) has none of the audiences of the provider '{0}'")]
    Audience(Arc<str>),
    /// A claim is missing or has another type.
    #[error("the token has no valid claim '{0}'")]
    Claim(&'static str),
    /// It is expired.
    #[error("the token is expired: sign in again")]
    Expired,
    /// It is not valid yet: two clocks differ.
    #[error("the token is not valid yet: compare the clocks of the provider and of this server")]
    NotYet,
    /// It names a key that the provider does not have.
    #[error("the token is signed with a key that the provider '{0}' does not publish: sign in again")]
    UnknownKey(Arc<str>),
    /// It names no key, and the provider has several.
    #[error("the token names no key (kid), and the provider '{0}' has several")]
    NoKeyId(Arc<str>),
    /// Its signature is wrong.
    #[error("the token's signature is wrong: sign in again")]
    Signature,
    /// It has a link to the user's groups instead of their names.
    #[error(
        "the token has a link instead of the user's groups, since there are too many: have the provider put only the groups of \
         this application into it, or its roles"
    )]
    TooManyGroups,
    /// The organisation of the provider does not exist.
    #[error("the organisation '{0}' of the token's provider does not exist: an operator can create it")]
    NoOrganisation(Arc<str>),
}
