//! The token endpoint, `POST /v1/oauth/tokens` (RFC 6749, RFC 8693, Iceberg REST specification): exchanges a key for a token,
//! and a token for a newer one. This module knows no HTTP.
//!
//! Clients put the key into different fields (`client_id`, `client_secret`, either half of HTTP Basic). All of them are
//! accepted, and the other half may be anything.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use tidewater_core::ids::OrganisationId;

use crate::base::secret::Secret;

use super::authenticator::Authenticator;
use super::caller::Caller;
use super::error::AuthError;
use super::form::{Form, is_in_query};
use super::header::{self, Authorization, HeaderError};
use super::key;
use super::oauth_error::{OAuthError, OAuthErrorKind};
use super::token::{Claims, TokenError};

const CLIENT_CREDENTIALS: &str = "client_credentials";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The default scope of a token: the one that Iceberg clients request.
const DEFAULT_SCOPE: &str = "catalog";

/// The longest accepted scope, in bytes.
const MAX_SCOPE_BYTES: usize = 1_000;

/// A token request.
#[derive(Clone, Copy)]
pub struct SignIn<'a> {
    /// The `Content-Type` header.
    pub content_type: Option<&'a [u8]>,
    /// The `Authorization` header.
    pub authorization: Option<&'a [u8]>,
    /// The URL's query.
    pub query: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// The answer to a granted token request. It must be sent with `Cache-Control: no-store`.
#[derive(Debug, Clone, Serialize)]
pub struct TokenResponse {
    /// The token.
    #[serde(serialize_with = "exposed")]
    pub access_token: Secret<String>,
    /// `bearer`.
    pub token_type: &'static str,
    /// Its lifetime in seconds.
    #[serde(rename = "expires_in")]
    pub expires_in_s: i64,
    /// The token's type. Java clients need it to renew the token.
    pub issued_token_type: &'static str,
    /// The requested scope.
    pub scope: String,
    /// The caller, for the log.
    #[serde(skip)]
    pub caller: Arc<Caller>,
}

fn exposed<S: Serializer>(secret: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// The subject of a new token.
struct Granted {
    caller: Arc<Caller>,
    /// The time of the sign-in with an API key.
    signed_in_ms: i64,
}

/// What came in the `Authorization` header.
enum Client {
    Nobody,
    Bearer(Vec<u8>),
    Key(Vec<u8>),
}

impl Authenticator {
    /// Answers a token request.
    ///
    /// # Errors
    /// Fails if no token is issued: see [`OAuthErrorKind`].
    pub async fn sign_in(&self, request: SignIn<'_>) -> Result<TokenResponse, OAuthError> {
        if request.query.is_some_and(is_in_query) {
            return Err(OAuthError::new(
                OAuthErrorKind::InvalidRequest,
                "credentials and parameters belong into the body or the Authorization header, never into the URL: \
                 URLs are logged on their way, so have an API key that was sent in one revoked",
            ));
        }
        check_content_type(request.content_type)?;
        let form = Form::parse(request.body)?;
        let scope = scope_of(&form)?;
        let granted = match form.get("grant_type") {
            Some(CLIENT_CREDENTIALS) => self.just_signed_in(self.by_key(&form, request.authorization).await?),
            Some(TOKEN_EXCHANGE) => self.by_token(&form, request.authorization).await?,
            Some(_) => {
                return Err(OAuthError::new(
                    OAuthErrorKind::UnsupportedGrantType,
                    format!("grant_type must be '{CLIENT_CREDENTIALS}' or '{TOKEN_EXCHANGE}'"),
                ));
            }
            None => {
                return Err(OAuthError::new(
                    OAuthErrorKind::InvalidRequest,
                    format!("grant_type is missing: send a form with grant_type={CLIENT_CREDENTIALS}"),
                ));
            }
        };
        self.issue(&granted, scope).await
    }

    fn just_signed_in(&self, caller: Arc<Caller>) -> Granted {
        Granted { caller, signed_in_ms: self.now_ms() }
    }

    /// Handles `client_credentials`, with the key in any field.
    async fn by_key(&self, form: &Form, authorization: Option<&[u8]>) -> Result<Arc<Caller>, OAuthError> {
        let in_form =
            key_among([form.get("client_secret"), form.get("client_id")].map(|half| half.map(str::as_bytes)))?;
        let client = match read_client(authorization) {
            // A client that has no token yet may say so in this header, and have its key in the form.
            Err(_) if in_form.is_some() => Client::Nobody,
            client => client?,
        };
        let found = match (&client, in_form) {
            (Client::Key(key), Some(in_form)) => key_among([Some(key.as_slice()), Some(in_form)])?,
            (Client::Key(key), None) => Some(key.as_slice()),
            (Client::Bearer(bearer), None) if key::looks_like_key(bearer) => Some(bearer.as_slice()),
            (_, in_form) => in_form,
        };
        let Some(found) = found else {
            return Err(OAuthError::new(
                OAuthErrorKind::InvalidClient,
                "no API key (flx_...) found: send it as client_secret, as client_id, or with HTTP Basic",
            ));
        };
        let caller = self.verify(found).await;
        let caller = caller.map_err(|error| OAuthError::refused(OAuthErrorKind::InvalidClient, &error))?;
        self.check_client_id(form.get("client_id"), &caller).await?;
        Ok(caller)
    }

    /// Handles a token exchange: a token of this catalog, or a key, is exchanged for a newer token. All presented credentials
    /// must be valid and of the same organisation. An expired token is renewed only with a key. Without a key, the new token
    /// belongs to the sign-in of the old one.
    async fn by_token(&self, form: &Form, authorization: Option<&[u8]>) -> Result<Granted, OAuthError> {
        check_token_types(form)?;
        let Some(subject) = form.get("subject_token") else {
            return Err(OAuthError::new(OAuthErrorKind::InvalidRequest, "subject_token is missing"));
        };
        let invalid_client = |error| OAuthError::refused(OAuthErrorKind::InvalidClient, &error);
        let in_form =
            key_among([form.get("client_secret"), form.get("client_id")].map(|half| half.map(str::as_bytes)))?;
        let (by_key, presented) = match (read_client(authorization)?, in_form) {
            (Client::Key(key), _) => (true, Some(key)),
            (Client::Bearer(bearer), _) => (key::looks_like_key(&bearer), Some(bearer)),
            (Client::Nobody, in_form) => (in_form.is_some(), in_form.map(<[u8]>::to_vec)),
        };
        let client = match presented {
            Some(presented) => Some(self.verify(&presented).await.map_err(invalid_client)?),
            None => None,
        };
        let invalid_grant = |error| OAuthError::refused(OAuthErrorKind::InvalidGrant, &error);
        let actor = match form.get("actor_token") {
            Some(actor) => Some(self.verify(actor.as_bytes()).await.map_err(invalid_grant)?),
            None => None,
        };
        let others = [client.as_ref(), actor.as_ref()];
        check_same_organisation(client.as_ref(), actor.as_ref().map(|actor| actor.organisation()))?;
        match self.verify(subject.as_bytes()).await {
            Ok(caller) => {
                others.into_iter().try_for_each(|other| check_same_organisation(other, Some(caller.organisation())))?;
                if by_key || key::looks_like_key(subject.as_bytes()) {
                    return Ok(self.just_signed_in(caller));
                }
                let signed_in_ms = self.read_token(subject.as_bytes()).await.map_err(invalid_grant)?.signed_in_ms;
                Ok(Granted { caller, signed_in_ms })
            }
            Err(AuthError::Token(TokenError::Expired)) if by_key => {
                let expired = self.read_token(subject.as_bytes()).await.map_err(invalid_grant)?;
                others.into_iter().try_for_each(|other| check_same_organisation(other, Some(expired.organisation)))?;
                let client = client.ok_or_else(|| invalid_grant(AuthError::Token(TokenError::Expired)))?;
                Ok(self.just_signed_in(client))
            }
            Err(error) => Err(invalid_grant(error)),
        }
    }

    /// Signs a token. It has at most the key's role and ends no later than the key and the sign-in.
    async fn issue(&self, granted: &Granted, scope: String) -> Result<TokenResponse, OAuthError> {
        let Granted { caller, signed_in_ms } = granted;
        let now_ms = self.now_ms();
        let session_end_ms = signed_in_ms.saturating_add(self.session_ms);
        if session_end_ms <= now_ms {
            return Err(OAuthError::new(
                OAuthErrorKind::InvalidGrant,
                "the sign-in that this token comes from is too long ago: show the API key again",
            ));
        }
        let lifetime_end_ms = now_ms.saturating_add(self.token_lifetime_ms).min(session_end_ms);
        let expires_ms = caller.key_expires_ms.map_or(lifetime_end_ms, |key_ms| key_ms.min(lifetime_end_ms));
        let claims = Claims {
            key: caller.key(),
            organisation: caller.organisation(),
            role: caller.role(),
            signed_in_ms: *signed_in_ms,
            issued_ms: now_ms,
            expires_ms,
        };
        let token = self.signing.sign(&claims, now_ms).await;
        let access_token = token.map_err(|error| OAuthError::refused(OAuthErrorKind::ServerError, &error))?;
        Ok(TokenResponse {
            access_token,
            token_type: "bearer",
            expires_in_s: (expires_ms.div_euclid(1_000) - now_ms.div_euclid(1_000)).max(0),
            issued_token_type: ACCESS_TOKEN,
            scope,
            caller: Arc::clone(caller),
        })
    }
}

fn check_content_type(content_type: Option<&[u8]>) -> Result<(), OAuthError> {
    let Some(content_type) = content_type else { return Ok(()) };
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if media_type.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
        return Ok(());
    }
    Err(OAuthError::new(
        OAuthErrorKind::InvalidRequest,
        "the body must be a form: send it as Content-Type: application/x-www-form-urlencoded",
    ))
}

/// Returns the scope for the answer. Accepts any scope: a token's rights follow from its key's role.
///
/// # Errors
/// `InvalidScope` if it is too long, or has other characters than RFC 6749, section 3.3 allows.
fn scope_of(form: &Form) -> Result<String, OAuthError> {
    let scope = form.get("scope").unwrap_or(DEFAULT_SCOPE);
    let allowed = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if scope.len() > MAX_SCOPE_BYTES || !scope.bytes().all(allowed) {
        return Err(OAuthError::new(
            OAuthErrorKind::InvalidScope,
            format!("scope must be at most {MAX_SCOPE_BYTES} characters of ASCII, without quotes and backslashes"),
        ));
    }
    Ok(scope.to_owned())
}

fn check_token_types(form: &Form) -> Result<(), OAuthError> {
    for name in ["subject_token_type", "actor_token_type", "requested_token_type"] {
        if form.get(name).is_some_and(|kind| kind != ACCESS_TOKEN && kind != JWT) {
            return Err(OAuthError::new(
                OAuthErrorKind::InvalidRequest,
                format!("{name} must be '{ACCESS_TOKEN}' or '{JWT}'"),
            ));
        }
    }
    Ok(())
}

fn check_same_organisation(
    caller: Option<&Arc<Caller>>,
    organisation: Option<OrganisationId>,
) -> Result<(), OAuthError> {
    if caller.zip(organisation).is_none_or(|(caller, organisation)| caller.organisation() == organisation) {
        return Ok(());
    }
    Err(OAuthError::new(OAuthErrorKind::InvalidGrant, "the token belongs to another organisation than the credential"))
}

fn read_client(authorization: Option<&[u8]>) -> Result<Client, OAuthError> {
    let Some(authorization) = authorization else { return Ok(Client::Nobody) };
    let refused = |error: HeaderError| OAuthError::new(OAuthErrorKind::InvalidClient, error.to_string());
    match header::parse(authorization).map_err(refused)? {
        Authorization::Bearer(credential) => Ok(Client::Bearer(credential.to_vec())),
        Authorization::Basic(user, password) => {
            let found = key_among([Some(password.as_slice()), Some(user.as_slice())])?.map(<[u8]>::to_vec);
            found.map(Client::Key).ok_or_else(|| {
                OAuthError::new(
                    OAuthErrorKind::InvalidClient,
                    "HTTP Basic holds no API key: send it (flx_...) as the password or as the user",
                )
            })
        }
    }
}

/// Returns the API key among some texts. Refuses two different keys, because they are ambiguous.
fn key_among(texts: [Option<&[u8]>; 2]) -> Result<Option<&[u8]>, OAuthError> {
    let mut keys = texts.into_iter().flatten().filter(|text| key::looks_like_key(text));
    let first = keys.next();
    if keys.any(|other| Some(other) != first) {
        return Err(OAuthError::new(OAuthErrorKind::InvalidRequest, "there are two different API keys: send one"));
    }
    Ok(first)
}
