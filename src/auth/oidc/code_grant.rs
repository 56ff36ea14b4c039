//! The authorization code grant with PKCE for browsers (RFC 6749, 4.1; RFC 7636; OpenID Connect Core 1.0, 3.1): where a provider
//! signs people in, and the exchange of its code for tokens.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use url::{Host, Url};

use super::fetch::{Connection, discovery_address, read_file};
use super::jws::Unverified;
use crate::auth::pkce;
use crate::base::clock::Clock;
use crate::base::secret::Secret;
use crate::config::IssuerConfig;

/// The most requests to providers at a time. Anyone can begin a sign-in, so more are refused at once.
const MAX_REQUESTS: usize = 16;

/// How long a provider's endpoints are remembered, in milliseconds.
const ENDPOINTS_MS: i64 = 300_000;

/// The longest accepted text of a token, in bytes.
const MAX_TOKEN_BYTES: usize = 64 << 10;

/// The longest text of a provider's error that is shown, in characters.
const MAX_ERROR_CHARS: usize = 300;

/// A browser's sign-in at a provider.
#[derive(Debug, Clone, Copy)]
pub struct CodeRequest<'a> {
    /// Where the provider sends the browser back to.
    pub redirect_uri: &'a str,
    /// A random text that the answer must repeat.
    pub state: &'a str,
    /// A random text that the ID token must have.
    pub nonce: &'a str,
    /// The secret of the sign-in (RFC 7636).
    pub verifier: &'a str,
}

/// Why a sign-in with a provider failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeError {
    /// Too many sign-ins run. Another try may succeed.
    Busy,
    /// The provider refuses the code. The text is for people.
    Refused(String),
    /// The provider is not set up for it, or does not answer as it should. The text is for people.
    Failed(String),
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("too many sign-ins run at once: try again in a few seconds"),
            Self::Refused(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

impl From<String> for CodeError {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// The parts of a discovery document (OpenID Connect Discovery, section 3) for a sign-in.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    // Basic is the default (RFC 8414, section 2).
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

/// Where a provider signs people in.
#[derive(Debug, Clone)]
struct Endpoints {
    authorization: Url,
    token: Url,
    /// Whether the client's secret belongs into the form, and not into the header.
    takes_secret_in_form: bool,
}

/// The answer of a token endpoint.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<String>,
    id_token: Option<String>,
}

/// The error of a token endpoint (RFC 6749, 5.2).
#[derive(Default, Deserialize)]
struct TokenRefusal {
    error: String,
    error_description: Option<String>,
}

/// Signs browsers in at providers.
pub struct CodeGrant {
    clock: Clock,
    requests: Semaphore,
    /// Endpoints by issuer, each with the time of its read. There are as many as configured providers.
    known: Mutex<HashMap<String, (i64, Endpoints)>>,
}

impl CodeGrant {
    pub(in crate::auth) fn new(clock: Clock) -> Self {
        Self { clock, requests: Semaphore::new(MAX_REQUESTS), known: Mutex::default() }
    }

    /// Returns the address at which a browser signs in.
    ///
    /// # Errors
    /// `Busy`; `Failed` if the provider has no client for the console, or its discovery document cannot be read.
    pub async fn address(&self, config: &IssuerConfig, request: CodeRequest<'_>) -> Result<String, CodeError> {
        let client = client_id(config)?;
        let turn = self.turn()?;
        let mut address = self.endpoints(config, &turn).await?.authorization;
        address.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", request.redirect_uri),
            ("scope", &config.login_scopes.join(" ")),
            ("state", request.state),
            ("nonce", request.nonce),
            ("code_challenge", &pkce::challenge(request.verifier)),
            ("code_challenge_method", pkce::METHOD),
        ]);
        Ok(address.into())
    }

    /// Exchanges a code for the provider's tokens. Returns those that this server may know, in the order in which to try them.
    ///
    /// # Errors
    /// `Busy`; `Refused`; `Failed` if the provider does not answer, or its ID token is not of this sign-in.
    pub async fn exchange(
        &self,
        config: &IssuerConfig,
        request: CodeRequest<'_>,
        code: &Secret<String>,
    ) -> Result<Vec<Secret<String>>, CodeError> {
        let client = client_id(config)?;
        let turn = self.turn()?;
        let endpoints = self.endpoints(config, &turn).await?;
        let secret = match &config.console_client_secret_file {
            Some(file) => {
                let text = String::from_utf8(read_file(file).await?);
                let text = text.map_err(|_| format!("{} has no secret", file.display()))?;
                Some(Secret::new(text.trim().to_owned()))
            }
            None => None,
        };
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose().as_str()),
            ("redirect_uri", request.redirect_uri),
            ("code_verifier", request.verifier),
            ("client_id", client),
        ];
        let mut basic = None;
        match &secret {
            Some(secret) if endpoints.takes_secret_in_form => form.push(("client_secret", secret.expose())),
            Some(secret) => basic = Some(basic_of(client, secret)),
            None => {}
        }
        let connection = Connection::new(config).await?;
        let (is_granted, text) = connection.post(&endpoints.token, &form, basic.as_ref()).await?;
        if !is_granted {
            return Err(CodeError::Refused(refusal(&text, &endpoints.token)));
        }
        candidates(config, client, request.nonce, &text).map_err(CodeError::Failed)
    }

    /// Takes a place among the requests that run.
    fn turn(&self) -> Result<SemaphorePermit<'_>, CodeError> {
        self.requests.try_acquire().map_err(|_| CodeError::Busy)
    }

    /// Returns a provider's endpoints: known ones, or those of its discovery document.
    async fn endpoints(&self, config: &IssuerConfig, _turn: &SemaphorePermit<'_>) -> Result<Endpoints, String> {
        let now_ms = self.clock.now_ms();
        let is_new = |read_ms: &i64| (0..ENDPOINTS_MS).contains(&now_ms.saturating_sub(*read_ms));
        if let Some((_, endpoints)) = self.known.lock().get(&config.issuer).filter(|(read_ms, _)| is_new(read_ms)) {
            return Ok(endpoints.clone());
        }
        let address = discovery_address(config)?;
        let text = Connection::new(config).await?.get(&address).await?;
        let found: Discovery = serde_json::from_slice(&text)
            .map_err(|error| format!("{address} is not a discovery document for sign-ins: {error}"))?;
        if !config.spellings().any(|spelling| spelling == found.issuer) {
            return Err(format!("{address} is of the issuer '{}', not '{}'", found.issuer, config.issuer));
        }
        let private = |text: &str| match Url::parse(text) {
            Ok(url) if is_private(&url) => Ok(url),
            Ok(url) => Err(format!("{address} names {url}, which has no https")),
            Err(error) => Err(format!("{address} names '{text}': {error}")),
        };
        let found = Endpoints {
            authorization: private(&found.authorization_endpoint)?,
            token: private(&found.token_endpoint)?,
            takes_secret_in_form: found
                .token_endpoint_auth_methods_supported
                .iter()
                .any(|method| method == "client_secret_post"),
        };
        self.known.lock().insert(config.issuer.clone(), (now_ms, found.clone()));
        Ok(found)
    }
}

fn client_id(config: &IssuerConfig) -> Result<&str, CodeError> {
    let missing = || CodeError::Failed(format!("set `console_client_id` of the provider '{}'", config.name));
    config.console_client_id.as_deref().ok_or_else(missing)
}

/// Returns the value of `Authorization` for a client with a secret (RFC 6749, 2.3.1).
fn basic_of(client: &str, secret: &Secret<String>) -> Secret<String> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    Secret::new(format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(client), encoded(secret.expose())))))
}

/// Returns a refusal of a token endpoint for people.
fn refusal(text: &[u8], address: &Url) -> String {
    let refused: TokenRefusal = serde_json::from_slice(text).unwrap_or_default();
    let why = match (refused.error.as_str(), refused.error_description) {
        ("", _) => return format!("{address} refused the code without a reason"),
        (error, Some(description)) => format!("{error}: {description}"),
        (error, None) => error.to_owned(),
    };
    format!("{address} refused the code: {}", why.chars().take(MAX_ERROR_CHARS).collect::<String>())
}

/// Returns the tokens of an answer: the access token if it is a JWT, and the ID token. An access token of another form is for the
/// provider's own services. The ID token must be of this sign-in. It comes from the provider itself, so its signature is checked with the
/// exchange for a token of the catalog (OpenID Connect Core, 3.1.3.7).
fn candidates(config: &IssuerConfig, client: &str, nonce: &str, text: &[u8]) -> Result<Vec<Secret<String>>, String> {
    let issuer = &config.issuer;
    let answer: TokenAnswer =
        serde_json::from_slice(text).map_err(|_| format!("{issuer} answered the code without tokens"))?;
    match &answer.id_token {
        Some(token) => check_id_token(config, client, nonce, token)?,
        None if config.login_scopes.iter().any(|scope| scope == "openid") => {
            return Err(format!("{issuer} gave no ID token, although `login_scopes` has 'openid'"));
        }
        None => {}
    }
    let is_jwt = |token: &String| token.split('.').count() == 3;
    let found = answer.access_token.into_iter().filter(is_jwt).chain(answer.id_token);
    let found: Vec<_> = found.filter(|token| token.len() <= MAX_TOKEN_BYTES).map(Secret::new).collect();
    if found.is_empty() {
        return Err(format!("{issuer} gave no JWT: add 'openid' to `login_scopes`"));
    }
    Ok(found)
}

fn check_id_token(config: &IssuerConfig, client: &str, nonce: &str, token: &str) -> Result<(), String> {
    let token = Unverified::parse(token.as_bytes()).map_err(|error| format!("the ID token: {error}"))?;
    let claims = &token.claims;
    if !token.issuer().is_some_and(|issuer| config.spellings().any(|spelling| spelling == issuer)) {
        return Err("the ID token is of another provider".to_owned());
    }
    let is_for_client = match claims.get("aud") {
        Some(serde_json::Value::Array(audiences)) => audiences.iter().any(|one| one.as_str() == Some(client)),
        audience => audience.and_then(|one| one.as_str()) == Some(client),
    };
    if !is_for_client {
        return Err("the ID token is for another client".to_owned());
    }
    if claims.get("nonce").and_then(|found| found.as_str()) != Some(nonce) {
        return Err("the ID token is of another sign-in".to_owned());
    }
    Ok(())
}

/// Returns whether nobody else can read requests to an address: it has https, or is on this machine.
fn is_private(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    fn config() -> IssuerConfig {
        IssuerConfig {
            name: "sso".to_owned(),
            issuer: "https://id.example".to_owned(),
            console_client_id: Some("console".to_owned()),
            ..IssuerConfig::default()
        }
    }

    fn id_token(change: impl FnOnce(&mut Value)) -> String {
        let mut claims = json!({ "iss": "https://id.example", "aud": ["console"], "nonce": "n" });
        change(&mut claims);
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.c2ln", part(&json!({ "alg": "RS256" })), part(&claims))
    }

    fn found(answer: &Value) -> Result<Vec<String>, String> {
        let found = candidates(&config(), "console", "n", answer.to_string().as_bytes())?;
        Ok(found.iter().map(|token| token.expose().clone()).collect())
    }

    #[test]
    fn access_token_is_tried_first_if_it_is_a_jwt() {
        let id = id_token(|_| {});
        assert_eq!(found(&json!({ "access_token": "a.b.c", "id_token": id })).unwrap(), ["a.b.c", &id]);
        assert_eq!(found(&json!({ "access_token": "opaque", "id_token": id })).unwrap(), [id]);
    }

    #[test]
    fn id_token_of_another_sign_in_client_or_provider_is_refused() {
        let refused = |change: fn(&mut Value)| found(&json!({ "id_token": id_token(change) })).unwrap_err();
        assert!(refused(|claims| claims["nonce"] = "other".into()).contains("another sign-in"));
        assert!(refused(|claims| claims["nonce"] = Value::Null).contains("another sign-in"));
        assert!(refused(|claims| claims["aud"] = "other".into()).contains("another client"));
        assert!(refused(|claims| claims["iss"] = "https://evil.example".into()).contains("another provider"));
        assert!(found(&json!({ "access_token": "a.b.c" })).unwrap_err().contains("no ID token"));
        assert!(found(&json!({})).is_err() && found(&json!([])).is_err());
    }

    #[test]
    fn refusal_of_a_provider_is_short() {
        let address = Url::parse("https://id.example/token").unwrap();
        let text = refusal(
            json!({ "error": "invalid_grant", "error_description": "x".repeat(5_000) }).to_string().as_bytes(),
            &address,
        );
        assert!(text.contains("invalid_grant: xxx") && text.len() < 400, "{text}");
        assert!(refusal(b"<html>", &address).contains("without a reason"));
    }

    #[test]
    fn addresses_without_https_are_accepted_on_this_machine_only() {
        for (address, expected) in [
            ("https://id.example/t", true),
            ("http://127.0.0.1:1/t", true),
            ("http://[::1]/t", true),
            ("http://id.example/t", false),
            ("http://10.0.0.1/t", false),
        ] {
            assert_eq!(is_private(&Url::parse(address).unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn secret_of_a_client_is_encoded_twice() {
        let basic = basic_of("a:b", &Secret::new("c d".to_owned()));
        assert_eq!(*basic.expose(), format!("Basic {}", STANDARD.encode("a%3Ab:c+d")));
    }
}
