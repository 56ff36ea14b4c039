//! Tokens: JSON Web Tokens (RFC 7519) that this catalog signs and verifies. Without state.
//!
//! Only HS256 is accepted, regardless of the token's header, and only with the catalog's own keys. The header's `kid` chooses
//! one of them. Nothing in a token can name another key or an address to fetch one from.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId, PrincipalRoleId};
use uuid::Uuid;

use super::grants::Selected;
use crate::base::secret::Secret;
use crate::store::SigningKey;

/// The issuer of the catalog's tokens: their `iss`.
pub const ISSUER: &str = "tidewater";

/// The audience of the catalog's tokens: their `aud`.
pub const AUDIENCE: &str = "tidewater-catalog";

/// The audience of operators' tokens. Servers of older versions, and all that needs an organisation, refuse it.
pub const OPERATOR_AUDIENCE: &str = "tidewater-operator";

/// The longest lifetime of an operator's token, in milliseconds. The console renews it while it is used.
pub const OPERATOR_LIFETIME_MS: i64 = 15 * 60 * 1_000;

/// The accepted difference between the clocks of two servers, in milliseconds.
pub const LEEWAY_MS: i64 = 10_000;

/// The longest accepted token, in bytes. The catalog's tokens have about 400, and with the roles of a user and an engine up to
/// 2,500.
pub const MAX_TOKEN_BYTES: usize = 4 << 10;

/// The most principal roles that a token can be narrowed to.
pub const MAX_SELECTED_ROLES: usize = 16;

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a token, or lacks a required claim.
    #[error("the token cannot be read: get a new one from /v1/oauth/tokens")]
    Malformed,
    /// It has another algorithm than HS256, or none.
    #[error("the token is not signed the way this server signs: get one from /v1/oauth/tokens")]
    Algorithm,
    /// Its signing key is unknown or was removed.
    #[error("the token was signed by a key that this server does not have: get a new one from /v1/oauth/tokens")]
    UnknownSigner,
    /// Its signature is wrong.
    #[error("the token's signature is wrong: get a new one from /v1/oauth/tokens")]
    Signature,
    /// It has another issuer or audience.
    #[error("the token is not one for this catalog: get one from /v1/oauth/tokens")]
    NotForUs,
    /// It is not valid yet: two clocks differ.
    #[error("the token is not valid yet: compare the servers' clocks")]
    NotYet,
    /// It is expired.
    #[error("the token is expired: get a new one from /v1/oauth/tokens")]
    Expired,
    /// Its API key does not exist.
    #[error("the token's API key does not exist any more: sign in with another")]
    UnknownKey,
    /// The key of its engine may not act for users, or cannot be used.
    #[error(
        "the engine of this token may not act for users: its key is revoked or expired, or an administrator has taken this \
         permission away"
    )]
    Engine,
}

/// The subject of a token: its `sub`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An API key.
    Key(KeyId),
    /// A user of an identity provider.
    User(PrincipalId),
}

/// The claims of a token with a valid signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Its API key or user.
    pub subject: Subject,
    /// The organisation of that key or user.
    pub organisation: OrganisationId,
    /// The highest role of its holder.
    pub role: Role,
    /// The principal roles that it is narrowed to.
    pub selected: Selected,
    /// The engine that acts for its subject.
    pub engine: Option<EngineClaims>,
    /// The time of the sign-in with an API key or a provider's token, in milliseconds since 1970 (whole seconds). An exchanged token keeps the time of
    /// the old token.
    pub signed_in_ms: i64,
    /// When it was issued, in milliseconds since 1970 (whole seconds).
    pub issued_ms: i64,
    /// When it expires, in milliseconds since 1970 (whole seconds).
    pub expires_ms: i64,
}

/// The claims about the engine that acts for a token's subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineClaims {
    /// The engine's API key. It belongs to the same organisation.
    pub key: KeyId,
    /// The highest role of the engine.
    pub role: Role,
    /// The principal roles that the engine is narrowed to.
    pub selected: Selected,
}

impl Claims {
    /// Checks that now is within its validity, with a tolerance of [`LEEWAY_MS`].
    ///
    /// # Errors
    /// `NotYet`, `Expired`.
    pub const fn check_time(&self, now_ms: i64) -> Result<(), TokenError> {
        check_time(self.issued_ms, self.expires_ms, now_ms)
    }
}

/// The claims of an operator's token with a valid signature. It names no organisation and no role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorClaims {
    /// The operator.
    pub operator: KeyId,
    /// The operator's name at the sign-in, to be shown.
    pub name: String,
    /// The time of the sign-in with the operator's key, in milliseconds since 1970 (whole seconds), as the other times.
    pub signed_in_ms: i64,
    /// When the token was issued.
    pub issued_ms: i64,
    /// When it expires.
    pub expires_ms: i64,
}

impl OperatorClaims {
    /// Checks that now is within its validity, with a tolerance of [`LEEWAY_MS`].
    ///
    /// # Errors
    /// `NotYet`, `Expired`.
    pub const fn check_time(&self, now_ms: i64) -> Result<(), TokenError> {
        check_time(self.issued_ms, self.expires_ms, now_ms)
    }
}

/// The claims of a token with a valid signature. Its audience tells which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verified {
    Caller(Claims),
    Operator(OperatorClaims),
}

const fn check_time(issued_ms: i64, expires_ms: i64, now_ms: i64) -> Result<(), TokenError> {
    if issued_ms > now_ms.saturating_add(LEEWAY_MS) {
        return Err(TokenError::NotYet);
    }
    if expires_ms.saturating_add(LEEWAY_MS) <= now_ms {
        return Err(TokenError::Expired);
    }
    Ok(())
}

/// The serialized claims: names of RFC 7519, times in seconds.
#[derive(Debug, Serialize, Deserialize)]
struct Wire {
    iss: String,
    aud: String,
    sub: Uuid,
    /// Whether the subject is a user, and not an API key. Tokens of older versions do not have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    user: bool,
    org: OrganisationId,
    role: String,
    /// The principal roles that it is narrowed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<PrincipalRoleId>>,
    /// The engine that acts for the subject (RFC 8693, section 4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<WireEngine>,
    iat: i64,
    /// The time of the sign-in (OpenID Connect Core, section 2). Tokens of older versions do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    exp: i64,
}

/// The serialized claims of an operator's token.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireOperator {
    iss: String,
    aud: String,
    sub: KeyId,
    name: String,
    iat: i64,
    auth_time: i64,
    exp: i64,
}

/// The part of a token's claims that tells which other ones it has.
#[derive(Debug, Deserialize)]
struct WireAudience {
    iss: String,
    aud: String,
}

/// The claim `act`. It has no `act` itself: an engine acts for a user, not for another engine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireEngine {
    sub: KeyId,
    role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<PrincipalRoleId>>,
}

/// The part of a token's header that is read before its signature is checked.
#[derive(Debug, Deserialize)]
struct WireHeader {
    alg: String,
    kid: Option<String>,
}

/// A signing key, ready for use.
pub(super) struct LoadedKey {
    pub(super) id: String,
    pub(super) created_ms: i64,
    sign: EncodingKey,
    verify: DecodingKey,
}

impl LoadedKey {
    pub(super) fn new(key: &SigningKey) -> Self {
        Self {
            id: key.id.clone(),
            created_ms: key.created_ms,
            sign: EncodingKey::from_secret(key.secret.expose()),
            verify: DecodingKey::from_secret(key.secret.expose()),
        }
    }
}

/// Writes and signs a token.
pub(super) fn sign(claims: &Claims, key: &LoadedKey) -> Result<Secret<String>, TokenError> {
    let wire = Wire {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: match claims.subject {
            Subject::Key(id) => id.0,
            Subject::User(id) => id.0,
        },
        user: matches!(claims.subject, Subject::User(_)),
        org: claims.organisation,
        role: claims.role.as_str().to_owned(),
        roles: claims.selected.as_deref().map(<[_]>::to_vec),
        act: claims.engine.as_ref().map(|engine| WireEngine {
            sub: engine.key,
            role: engine.role.as_str().to_owned(),
            roles: engine.selected.as_deref().map(<[_]>::to_vec),
        }),
        iat: claims.issued_ms.div_euclid(1_000),
        auth_time: Some(claims.signed_in_ms.div_euclid(1_000)),
        nbf: None,
        exp: claims.expires_ms.div_euclid(1_000),
    };
    encode(&wire, key)
}

/// Writes and signs an operator's token.
pub(super) fn sign_operator(claims: &OperatorClaims, key: &LoadedKey) -> Result<Secret<String>, TokenError> {
    let wire = WireOperator {
        iss: ISSUER.to_owned(),
        aud: OPERATOR_AUDIENCE.to_owned(),
        sub: claims.operator,
        name: claims.name.clone(),
        iat: claims.issued_ms.div_euclid(1_000),
        auth_time: claims.signed_in_ms.div_euclid(1_000),
        exp: claims.expires_ms.div_euclid(1_000),
    };
    encode(&wire, key)
}

fn encode(wire: &impl Serialize, key: &LoadedKey) -> Result<Secret<String>, TokenError> {
    let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, wire, &key.sign).map(Secret::new).map_err(|_| TokenError::Malformed)
}

/// Returns whether a token says that it is an operator's. Its signature is not checked.
pub(super) fn says_operator(token: &[u8]) -> bool {
    if token.len() > MAX_TOKEN_BYTES {
        return false;
    }
    let payload = token.split(|byte| *byte == b'.').nth(1).unwrap_or_default();
    let claims = URL_SAFE_NO_PAD.decode(payload).ok();
    let audience = claims.and_then(|text| serde_json::from_slice::<WireAudience>(&text).ok());
    audience.is_some_and(|found| found.aud == OPERATOR_AUDIENCE)
}

/// Returns whether a text has the form of a token: three parts of base64url.
pub(super) fn looks_like_token(text: &[u8]) -> bool {
    let part = |part: &[u8]| part.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let mut parts = text.split(|byte| *byte == b'.');
    let header = parts.next().is_some_and(|header| !header.is_empty() && part(header));
    header && parts.next().is_some_and(part) && parts.next().is_some_and(part) && parts.next().is_none()
}

/// Returns the `kid` of a token, before its signature is checked. It only chooses among the catalog's own keys.
pub(super) fn signer_of(token: &[u8]) -> Result<String, TokenError> {
    if token.len() > MAX_TOKEN_BYTES || !looks_like_token(token) {
        return Err(TokenError::Malformed);
    }
    let header = token.split(|byte| *byte == b'.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenError::Malformed)?;
    let header: WireHeader = serde_json::from_slice(&header).map_err(|_| TokenError::Malformed)?;
    if header.alg != "HS256" {
        return Err(TokenError::Algorithm);
    }
    header.kid.ok_or(TokenError::UnknownSigner)
}

/// Checks all of a token except its time. The caller must call [`Claims::check_time`] or [`OperatorClaims::check_time`].
pub(super) fn verify(token: &[u8], key: &LoadedKey) -> Result<Verified, TokenError> {
    // The crate would compare with the system's clock. `Claims::check_time` uses the injected clock instead.
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    validation.validate_aud = false;
    let claims: Value = jsonwebtoken::decode(token, &key.verify, &validation).map_err(refusal)?.claims;
    let WireAudience { iss, aud } = WireAudience::deserialize(&claims).map_err(|_| TokenError::Malformed)?;
    match aud.as_str() {
        _ if iss != ISSUER => Err(TokenError::NotForUs),
        AUDIENCE => caller_claims(Wire::deserialize(&claims).map_err(|_| TokenError::Malformed)?).map(Verified::Caller),
        OPERATOR_AUDIENCE => {
            let wire = WireOperator::deserialize(&claims).map_err(|_| TokenError::Malformed)?;
            Ok(Verified::Operator(OperatorClaims {
                operator: wire.sub,
                name: wire.name,
                signed_in_ms: wire.auth_time.saturating_mul(1_000),
                issued_ms: wire.iat.saturating_mul(1_000),
                expires_ms: wire.exp.saturating_mul(1_000),
            }))
        }
        _ => Err(TokenError::NotForUs),
    }
}

fn caller_claims(wire: Wire) -> Result<Claims, TokenError> {
    let begins_s = wire.nbf.map_or(wire.iat, |nbf| nbf.max(wire.iat));
    Ok(Claims {
        subject: if wire.user { Subject::User(PrincipalId(wire.sub)) } else { Subject::Key(KeyId(wire.sub)) },
        organisation: wire.org,
        role: wire.role.parse().map_err(|_| TokenError::Malformed)?,
        selected: wire.roles.map(Into::into),
        engine: wire.act.map(engine_claims).transpose()?,
        signed_in_ms: wire.auth_time.unwrap_or(wire.iat).saturating_mul(1_000),
        issued_ms: begins_s.saturating_mul(1_000),
        expires_ms: wire.exp.saturating_mul(1_000),
    })
}

fn engine_claims(WireEngine { sub, role, roles }: WireEngine) -> Result<EngineClaims, TokenError> {
    let role = role.parse().map_err(|_| TokenError::Malformed)?;
    Ok(EngineClaims { key: sub, role, selected: roles.map(Into::into) })
}

fn refusal(error: jsonwebtoken::errors::Error) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidAlgorithm | ErrorKind::MissingAlgorithm => TokenError::Algorithm,
        ErrorKind::InvalidSignature => TokenError::Signature,
        _ => TokenError::Malformed,
    }
}
