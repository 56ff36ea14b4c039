//! The token endpoint, `POST /v1/oauth/tokens` (RFC 6749, RFC 8693, Iceberg REST specification): exchanges a key for a token,
//! and a token for a newer one. This module knows no HTTP.
//!
//! Clients put the key into different fields (`client_id`, `client_secret`, either half of HTTP Basic). All of them are
//! accepted, and the other half may be anything.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use tidewater_core::access::Role;
use tidewater_core::ids::OrganisationId;

use crate::base::secret::Secret;

use super::authenticator::{Authenticator, CredentialSource};
use super::caller::{Caller, Identity};
use super::engine;
use super::error::AuthError;
use super::form::{Form, is_in_query};
use super::grants::Selected;
use super::guesses::{Attempt, too_many};
use super::header::{self, Authorization, HeaderError};
use super::key;
use super::oauth_error::{OAuthError, OAuthErrorKind};
use super::scope::RequestedScope;
use super::token::{Claims, EngineClaims, Subject, TokenError, says_operator};

const CLIENT_CREDENTIALS: &str = "client_credentials";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(super) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

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
    /// The client.
    pub source: CredentialSource<'a>,
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
    /// The scope of the token (RFC 6749, section 5.1). For a narrowed token it has the names of the principal roles.
    pub scope: String,
    /// The caller or operator, for the log.
    #[serde(skip)]
    pub identity: Identity,
    /// How the client signed in, for the audit record: `key` or `token-exchange`.
    #[serde(skip)]
    pub method: &'static str,
}

fn exposed<S: Serializer>(secret: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// The subject of a new token, with the engine that acts for it.
struct Granted {
    caller: Arc<Caller>,
    /// The principal roles that the presented token is narrowed to. The new one has no others.
    held: Selected,
    /// The time of the sign-in with an API key or a provider's token.
    signed_in_ms: i64,
}

impl Granted {
    fn new(caller: Arc<Caller>, signed_in_ms: i64) -> Self {
        let held = caller.grants.selected().clone();
        Self { caller, held, signed_in_ms }
    }
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
        let scope = RequestedScope::parse(&form)?;
        let (method, granted) = match form.get("grant_type") {
            Some(CLIENT_CREDENTIALS) => match self.by_key(&form, &request).await? {
                Identity::Key(caller) => ("key", self.just_signed_in(caller)),
                Identity::Operator(operator) if scope.accepts_operators() => {
                    let issued = self.issue_operator(operator, self.now_ms()).await?;
                    return Ok(TokenResponse { method: "key", ..issued });
                }
                operator @ Identity::Operator(_) => {
                    let refused = operator.into_caller().map(|caller| self.just_signed_in(caller));
                    let invalid = |error| OAuthError::refused(OAuthErrorKind::InvalidClient, &error);
                    ("key", refused.map_err(invalid)?)
                }
            },
            Some(TOKEN_EXCHANGE) if form.get("subject_token").is_some_and(|token| says_operator(token.as_bytes())) => {
                let issued = self.renew_operator(&form, &request).await?;
                return Ok(TokenResponse { method: "token-exchange", ..issued });
            }
            Some(TOKEN_EXCHANGE) => ("token-exchange", self.by_token(&form, &request).await?),
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
        Ok(TokenResponse { method, ..self.issue(granted, scope).await? })
    }

    fn just_signed_in(&self, caller: Arc<Caller>) -> Granted {
        Granted::new(caller, self.now_ms())
    }

    /// Handles `client_credentials`, with the key in any field.
    async fn by_key(&self, form: &Form, request: &SignIn<'_>) -> Result<Identity, OAuthError> {
        let in_form =
            key_among([form.get("client_secret"), form.get("client_id")].map(|half| half.map(str::as_bytes)))?;
        let client = match read_client(request.authorization) {
            // A client that has no token yet may say so in this header, and have its key in the form.
            Err(_) if in_form.is_some() => Client::Nobody,
            client => client.map_err(|error| self.count_wrong(request.source, error))?,
        };
        let found = match (&client, in_form) {
            (Client::Key(key), Some(in_form)) => key_among([Some(key.as_slice()), Some(in_form)])?,
            (Client::Key(key), None) => Some(key.as_slice()),
            (Client::Bearer(bearer), None) if key::looks_like_key(bearer) => Some(bearer.as_slice()),
            (_, in_form) => in_form,
        };
        let Some(found) = found else {
            let error = OAuthError::new(
                OAuthErrorKind::InvalidClient,
                "no API key (flx_...) found: send it as client_secret, as client_id, or with HTTP Basic",
            );
            return Err(self.count_wrong(request.source, error));
        };
        let identity = self.check_confirmed(found, request.source).await;
        let identity = identity.map_err(|error| OAuthError::refused(OAuthErrorKind::InvalidClient, &error))?;
        if let Identity::Key(caller) = &identity {
            self.check_client_id(form.get("client_id"), caller).await?;
        }
        Ok(identity)
    }

    /// Handles a token exchange: a token of this catalog or of a provider, or a key, is exchanged for a newer token. All presented credentials
    /// must be valid and of the same organisation. An expired token is renewed only with a key. Without a key, the new token
    /// belongs to the sign-in of the old one. A client or actor with another principal is an engine that acts for the subject.
    async fn by_token(&self, form: &Form, request: &SignIn<'_>) -> Result<Granted, OAuthError> {
        let source = request.source;
        check_token_types(form)?;
        let Some(subject) = form.get("subject_token") else {
            return Err(OAuthError::new(OAuthErrorKind::InvalidRequest, "subject_token is missing"));
        };
        let invalid_client = |error| OAuthError::refused(OAuthErrorKind::InvalidClient, &error);
        let in_form =
            key_among([form.get("client_secret"), form.get("client_id")].map(|half| half.map(str::as_bytes)))?;
        let client = read_client(request.authorization).map_err(|error| self.count_wrong(source, error))?;
        let (by_key, presented) = match (client, in_form) {
            (Client::Key(key), _) => (true, Some(key)),
            (Client::Bearer(bearer), _) => (key::looks_like_key(&bearer), Some(bearer)),
            (Client::Nobody, in_form) => (in_form.is_some(), in_form.map(<[u8]>::to_vec)),
        };
        let client = match presented {
            Some(presented) => Some(self.verify(&presented, source).await.map_err(invalid_client)?),
            None => None,
        };
        let invalid_grant = |error| OAuthError::refused(OAuthErrorKind::InvalidGrant, &error);
        let actor = match form.get("actor_token") {
            Some(actor) => Some(self.verify(actor.as_bytes(), source).await.map_err(invalid_grant)?),
            None => None,
        };
        let others = [client.as_ref(), actor.as_ref()];
        check_same_organisation(client.as_ref(), actor.as_ref().map(|actor| actor.organisation()))?;
        match self.verify(subject.as_bytes(), source).await {
            Ok(caller) => {
                others.into_iter().try_for_each(|other| check_same_organisation(other, Some(caller.organisation())))?;
                let caller = engine::through(caller, others)?;
                // The key of an engine does not prolong the sign-in of its user.
                let prolongs = by_key && caller.engine().is_none();
                if prolongs || key::looks_like_key(subject.as_bytes()) {
                    return Ok(self.just_signed_in(caller));
                }
                let signed_in_ms = self.signed_in_ms(subject.as_bytes()).await.map_err(invalid_grant)?;
                Ok(Granted::new(caller, signed_in_ms))
            }
            Err(AuthError::Token(TokenError::Expired)) if by_key => {
                let expired = self.read_token(subject.as_bytes()).await.map_err(invalid_grant)?;
                others.into_iter().try_for_each(|other| check_same_organisation(other, Some(expired.organisation)))?;
                let client = client.ok_or_else(|| invalid_grant(AuthError::Token(TokenError::Expired)))?;
                self.check_own(&client, &expired).await?;
                Ok(Granted { held: expired.selected, ..self.just_signed_in(client) })
            }
            Err(error) => Err(invalid_grant(error)),
        }
    }

    /// Counts a request without an API key as a wrong credential of its client. Returns the refusal.
    fn count_wrong(&self, source: CredentialSource<'_>, error: OAuthError) -> OAuthError {
        if error.kind != OAuthErrorKind::InvalidClient {
            return error;
        }
        let wait_ms = source.address.and_then(|address| self.guesses.count_address(&Attempt::new(address, &[])));
        wait_ms.map_or(error, |wait_ms| OAuthError::refused(OAuthErrorKind::InvalidClient, &too_many(wait_ms)))
    }

    /// Checks that an expired token is the client's own, and that no engine has it. The renewal of another principal's token would
    /// be a token with other rights.
    async fn check_own(&self, client: &Caller, expired: &Claims) -> Result<(), OAuthError> {
        let refused = |description: &str| OAuthError::new(OAuthErrorKind::InvalidGrant, description);
        if expired.engine.is_some() {
            return Err(refused("an expired token of an engine cannot be renewed: exchange the user's token again"));
        }
        let unavailable =
            |error| OAuthError::refused(OAuthErrorKind::InvalidGrant, &AuthError::Unavailable(Arc::new(error)));
        let principal = match expired.subject {
            Subject::Key(id) => self.store().key_by_id(id).await.map_err(unavailable)?.map(|(key, _)| key.principal),
            Subject::User(id) => Some(id),
        };
        match principal {
            Some(principal) if principal == client.principal() => Ok(()),
            _ => Err(refused(
                "the expired token belongs to another principal than the key: sign in with that principal's key",
            )),
        }
    }

    /// Signs a token. It has at most the key's role and ends no later than the key and the sign-in.
    async fn issue(&self, granted: Granted, scope: RequestedScope) -> Result<TokenResponse, OAuthError> {
        let Granted { caller, held, signed_in_ms } = granted;
        let now_ms = self.now_ms();
        let session_end_ms = signed_in_ms.saturating_add(self.session_ms);
        if session_end_ms <= now_ms {
            return Err(OAuthError::new(
                OAuthErrorKind::InvalidGrant,
                "the sign-in that this token comes from is too long ago: sign in again with the API key, or with a new token of the provider",
            ));
        }
        let lifetime_end_ms = now_ms.saturating_add(self.token_lifetime_ms).min(session_end_ms);
        let keys = [Some(&caller), caller.engine()].into_iter().flatten();
        let expires_ms = keys.filter_map(|key| key.key_expires_ms()).fold(lifetime_end_ms, i64::min);
        let given = self.give_scope(&caller, held, scope).await?;
        let claims = Claims {
            subject: caller.subject(),
            organisation: caller.organisation(),
            // A narrowed token does not have the built-in role.
            role: if given.selected.is_some() { Role::None } else { caller.role() },
            selected: given.selected,
            engine: caller.engine().map(|engine| EngineClaims {
                key: engine.key(),
                role: engine.role(),
                selected: engine.grants.selected().clone(),
            }),
            signed_in_ms,
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
            scope: given.text,
            identity: Identity::Key(caller),
            method: "",
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

pub(super) fn check_token_types(form: &Form) -> Result<(), OAuthError> {
    for name in ["subject_token_type", "actor_token_type", "requested_token_type"] {
        let accepted = |kind| kind == ACCESS_TOKEN || kind == JWT || (kind == ID_TOKEN && name == "subject_token_type");
        if form.get(name).is_some_and(|kind| !accepted(kind)) {
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
