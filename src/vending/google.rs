//! Google Cloud: tokens restricted to a table's locations by an access boundary (Security Token Service, token exchange).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use form_urlencoded::Serializer;
use http::header::CONTENT_TYPE;
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::gcp::GcpCredentialProvider;
use parking_lot::Mutex;
use serde::Deserialize;
use tidewater_core::storage::gcs_boundary::access_boundary;
use tidewater_core::storage::{Access, GcsProfile, StorageProfile};

use super::google_key::ServiceAccountKey;
use super::service::Service;
use super::vendor::{Advice, Vendor};
use super::{Issued, Settings, ValidLocations, VendingError};
use crate::base::flight::{Flight, Joined};
use crate::base::secret::Secret;
use crate::storage::{Budget, OpenError, Storage, StorageCredentials};

const STS: &str = "Google's token service";
const STS_ENDPOINT: &str = "https://sts.googleapis.com/v1/token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The assumed lifetime of a token if no service names one. The tokens of a machine's metadata server have at least this left.
const LEAST_LIFE_MS: i64 = 4 * 60_000;

/// Vends tokens for the folders of a bucket.
#[derive(Debug)]
pub(super) struct GoogleVendor {
    profile: GcsProfile,
    /// The catalog's own credentials.
    own: GcpCredentialProvider,
    /// Set if the catalog signs in with a service account's key. Google's token service does not restrict the tokens that such
    /// a key signs for the store, so the catalog exchanges the key for an access token first.
    account: Option<Account>,
    sts: Service,
    sts_endpoint: String,
}

/// A service account with its cached access token.
#[derive(Debug)]
struct Account {
    key: ServiceAccountKey,
    service: Service,
    token: Mutex<Option<Arc<Token>>>,
    /// Makes concurrent requests for a token share one fetch.
    flight: Flight<VendingError>,
}

/// A token and its lifetime.
#[derive(Debug)]
struct Token {
    token: Secret<String>,
    issued_ms: i64,
    /// None if the service named no lifetime.
    expires_ms: Option<i64>,
}

impl GoogleVendor {
    /// Creates the vendor of a warehouse with this profile and the credentials of `storage`. Returns none if the storage is not
    /// on Google Cloud.
    ///
    /// # Errors
    /// Fails if its HTTP client cannot be created.
    pub(super) fn new(profile: GcsProfile, storage: &Storage, budget: Budget) -> Result<Option<Self>, OpenError> {
        let Some(own) = storage.gcp_credentials() else { return Ok(None) };
        let sts_endpoint = sts_endpoint(profile.sts_endpoint.as_deref());
        let account = match storage.gcp_service_account_key().and_then(ServiceAccountKey::parse) {
            Some(key) => {
                let service = Service::new(STS, key.token_uri(), budget)?;
                Some(Account { key, service, token: Mutex::default(), flight: Flight::default() })
            }
            None => None,
        };
        let sts = Service::new(STS, &sts_endpoint, budget)?;
        Ok(Some(Self { profile, own: Arc::clone(own), account, sts, sts_endpoint }))
    }

    /// Returns the catalog's own access token. A token of a service account has at least half of its lifetime left.
    async fn own_token(&self, now_ms: i64) -> Result<Arc<Token>, VendingError> {
        let Some(account) = &self.account else {
            let own = self.own.get_credential().await.map_err(|error| self.sts.unavailable(error.to_string()))?;
            if own.bearer.is_empty() {
                return Err(self.sts.refused("the catalog has no credentials that can be restricted to a table"));
            }
            return Ok(Arc::new(Token { token: Secret::new(own.bearer.clone()), issued_ms: now_ms, expires_ms: None }));
        };
        let known = || account.token.lock().clone().filter(|token| token.is_fresh(now_ms));
        if let Some(token) = known() {
            return Ok(token);
        }
        let _turn = match account.flight.join(known).await? {
            Joined::Ready(token) => return Ok(token),
            Joined::Ask(turn) => turn,
        };
        let token = self.fetch_token(account, now_ms).await.map_err(|error| account.flight.fail(error))?;
        let token = Arc::new(token);
        *account.token.lock() = Some(Arc::clone(&token));
        Ok(token)
    }

    /// Exchanges the service account's key for a token.
    async fn fetch_token(&self, account: &Account, now_ms: i64) -> Result<Token, VendingError> {
        let assertion = account.key.assertion(now_ms);
        let assertion = assertion.ok_or_else(|| self.sts.refused("the service account's private key cannot sign"))?;
        let form = Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", &assertion)
            .finish();
        let answer = account.service.ask(|| post(&account.service, account.key.token_uri(), &form), explain).await?;
        read_token(&answer, now_ms).ok_or_else(|| self.sts.unavailable("its answer cannot be read"))
    }
}

#[async_trait]
impl Vendor for GoogleVendor {
    fn has_credentials(&self) -> bool {
        self.profile.vended_credentials
    }

    /// Returns the store's address and project.
    fn settings(&self) -> Settings {
        let mut settings = Settings::new();
        if let Some(endpoint) = self.profile.client_endpoint.as_ref().or(self.profile.endpoint.as_ref()) {
            settings.insert("gcs.service.host".to_owned(), endpoint.trim_end_matches('/').to_owned());
        }
        if let Some(project) = &self.profile.project_id {
            settings.insert("gcs.project-id".to_owned(), project.clone());
        }
        settings
    }

    /// Returns a token that reaches exactly these locations.
    ///
    /// # Errors
    /// All of [`VendingError`].
    async fn issue(&self, locations: &ValidLocations, access: Access, now_ms: i64) -> Result<Issued, VendingError> {
        let boundary = access_boundary(locations.as_slice(), access)?;
        let own = self.own_token(now_ms).await?;
        let form = exchange_form(own.token.expose(), &boundary);
        let answer = self.sts.ask(|| post(&self.sts, &self.sts_endpoint, &form), explain).await?;
        let narrow = read_token(&answer, now_ms).ok_or_else(|| self.sts.unavailable("its answer cannot be read"))?;
        // A restricted token never outlives its source.
        let lives = [narrow.expires_ms, own.expires_ms].into_iter().flatten().min();
        let expires_ms = lives.unwrap_or(now_ms + LEAST_LIFE_MS);
        let settings = BTreeMap::from([
            ("gcs.oauth2.token".to_owned(), narrow.token.expose().clone()),
            ("gcs.oauth2.token-expires-at".to_owned(), expires_ms.to_string()),
            ("expiration-time".to_owned(), expires_ms.to_string()),
        ]);
        Ok(Issued::new(settings, now_ms, expires_ms))
    }

    fn profile(&self) -> Option<StorageProfile> {
        Some(StorageProfile::Gcs(self.profile.clone()))
    }

    fn as_credentials(&self, settings: &BTreeMap<String, String>) -> Option<StorageCredentials> {
        credentials(settings)
    }

    fn advice(&self) -> Advice {
        Advice {
            why_none: "`vended-credentials` is off: clients use their own credentials",
            when_too_wide: "the store does not enforce access boundaries: set `vended-credentials = false`",
            when_refused: "check the credentials, and that the service account has the role 'Storage Object User' on the bucket",
            when_not_found: "check the bucket's name: the bucket must exist",
            when_unavailable: "check `endpoint` and the section [credentials], and that this machine reaches the store",
            when_vended_is_refused: "check that the bucket has uniform bucket-level access: access boundaries need it",
            when_overwritten: "it ignores the conditions of requests, as emulators do, so it cannot store metadata safely",
        }
    }

    fn refresh_setting(&self) -> Option<&'static str> {
        Some("gcs.oauth2.refresh-credentials-endpoint")
    }
}

impl Token {
    /// Returns whether at least half of the token's lifetime is left. A token without a known lifetime is never fresh.
    fn is_fresh(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|expires_ms| expires_ms - now_ms >= (expires_ms - self.issued_ms) / 2)
    }
}

/// Returns the token in vended settings.
fn credentials(settings: &BTreeMap<String, String>) -> Option<StorageCredentials> {
    settings.get("gcs.oauth2.token").map(|token| StorageCredentials::GcsToken { token: Secret::new(token.clone()) })
}

/// Returns the address that exchanges tokens: the configured one, with `/v1/token` appended unless it ends in `/token`, or
/// Google's.
fn sts_endpoint(configured: Option<&str>) -> String {
    match configured.map(|configured| configured.trim_end_matches('/')) {
        None => STS_ENDPOINT.to_owned(),
        Some(whole) if whole.ends_with("/token") => whole.to_owned(),
        Some(service) => format!("{service}/v1/token"),
    }
}

/// Returns the form that exchanges the catalog's own token for a restricted one (Google Cloud IAM, "Exchange the OAuth 2.0 access
/// token").
fn exchange_form(own: &str, boundary: &str) -> String {
    Serializer::new(String::new())
        .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
        .append_pair("options", boundary)
        .append_pair("requested_token_type", ACCESS_TOKEN)
        .append_pair("subject_token", own)
        .append_pair("subject_token_type", ACCESS_TOKEN)
        .finish()
}

async fn post(service: &Service, address: &str, form: &str) -> Result<HttpRequest, VendingError> {
    http::Request::post(address)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(HttpRequestBody::from(form.to_owned()))
        .map_err(|error| service.refused(error.to_string()))
}

fn read_token(answer: &[u8], now_ms: i64) -> Option<Token> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: String,
        expires_in: Option<i64>,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    let expires_ms = answer.expires_in.map(|expires_in_s| now_ms.saturating_add(expires_in_s.saturating_mul(1_000)));
    Some(Token { token: Secret::new(answer.access_token), issued_ms: now_ms, expires_ms })
}

/// Returns the message of the service's error, such as `invalid_grant: Invalid JWT Signature.`
fn explain(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    let Answer { error, error_description } = serde_json::from_slice(answer).ok()?;
    let text = if error_description.is_empty() { error } else { format!("{error}: {error_description}") };
    Some(text.chars().take(500).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_parsed_from_the_services_answer() {
        let token = read_token(br#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#, 1_000).unwrap();
        assert_eq!((token.token.expose().as_str(), token.expires_ms), ("ya29.x", Some(3_600_000)));
        assert!(token.is_fresh(1_000) && !token.is_fresh(1_900_000));
        let without_lifetime = read_token(br#"{"access_token":"ya29.x"}"#, 1_000).unwrap();
        assert_eq!(without_lifetime.expires_ms, None);
        assert!(!without_lifetime.is_fresh(1_000));
        assert!(read_token(b"<html>", 0).is_none() && read_token(b"{}", 0).is_none());
    }

    #[test]
    fn refusal_has_the_services_message() {
        let answer = br#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
        assert_eq!(explain(answer).as_deref(), Some("invalid_grant: Invalid JWT Signature."));
        assert_eq!(explain(br#"{"error":"invalid_request"}"#).as_deref(), Some("invalid_request"));
        assert_eq!(explain(b"not json"), None);
    }

    #[test]
    fn request_is_a_token_exchange() {
        assert_eq!(
            exchange_form("ya29.own", r#"{"a":"b c"}"#),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&options=%7B%22a%22%3A%22b+c%22%7D\
             &requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&subject_token=ya29.own\
             &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
        );
        assert_eq!(sts_endpoint(None), "https://sts.googleapis.com/v1/token");
        assert_eq!(sts_endpoint(Some("http://127.0.0.1:1/")), "http://127.0.0.1:1/v1/token");
        assert_eq!(sts_endpoint(Some("https://sts.example.com/v1/token")), "https://sts.example.com/v1/token");
    }
}
