//! S3: sessions of a role, restricted to a table's locations (AWS STS, `AssumeRole`).

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::DateTime;
use form_urlencoded::Serializer;
use http::header::CONTENT_TYPE;
use object_store::aws::{AwsAuthorizer, AwsCredential, AwsCredentialProvider};
use object_store::client::{HttpRequest, HttpRequestBody};
use serde::Deserialize;
use tidewater_core::location::Location;
use tidewater_core::storage::s3_policy::session_policy;
use tidewater_core::storage::s3_request::S3Request;
use tidewater_core::storage::{Access, S3Profile, StorageProfile};

use super::s3_signing::{self, S3Signer};
use super::s3_trial::SigningTrial;
use super::service::Service;
use super::vendor::{Advice, Vendor};
use super::{Issued, Settings, Signed, ValidLocations, VendingError};
use crate::base::secret::Secret;
use crate::storage::{Budget, OpenError, StorageCredentials, check_address, hints};

const STS: &str = "The security token service";
/// The version of the service's interface; there is only one.
const STS_VERSION: &str = "2011-06-15";
/// A session's name has 2 to 64 characters (AWS STS, `RoleSessionName`).
const MAX_SESSION_NAME: usize = 64;

/// Vends sessions of a warehouse's role.
#[derive(Debug)]
pub(super) struct S3Vendor {
    profile: S3Profile,
    /// The catalog's own credentials.
    own: AwsCredentialProvider,
    sts: Service,
    sts_endpoint: String,
}

impl S3Vendor {
    /// Creates the vendor of a warehouse with this profile and the catalog's credentials `own`.
    ///
    /// # Errors
    /// Fails if its HTTP client cannot be created.
    pub(super) fn new(profile: S3Profile, own: AwsCredentialProvider, budget: Budget) -> Result<Self, OpenError> {
        let sts_endpoint = sts_endpoint(&profile);
        check_address(&sts_endpoint)?;
        let sts = Service::new(STS, &sts_endpoint, budget)?;
        Ok(Self { profile, own, sts, sts_endpoint })
    }

    /// Returns the form of the request for a session (AWS STS, `AssumeRole`).
    fn assume_role_form(&self, policy: &str, session_name: &str) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("Action", "AssumeRole")
            .append_pair("Version", STS_VERSION)
            .append_pair("RoleArn", self.profile.role_arn.as_deref().unwrap_or_default())
            .append_pair("RoleSessionName", session_name)
            .append_pair("DurationSeconds", &self.profile.session_duration_s.to_string())
            .append_pair("Policy", policy);
        if let Some(id) = &self.profile.external_id {
            form.append_pair("ExternalId", id);
        }
        for (number, (key, value)) in (1..).zip(&self.profile.session_tags) {
            form.append_pair(&format!("Tags.member.{number}.Key"), key);
            form.append_pair(&format!("Tags.member.{number}.Value"), value);
        }
        // A form encodes a space as `+`, which not every store decodes. All decode `%20`.
        form.finish().replace('+', "%20")
    }

    /// Builds a request to the token service, signed with the catalog's own credentials at the present time.
    async fn signed_request(&self, form: &str) -> Result<HttpRequest, VendingError> {
        let own = self.own.get_credential().await.map_err(|error| self.sts.unavailable(error.to_string()))?;
        let request = http::Request::post(&self.sts_endpoint)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(HttpRequestBody::from(form.to_owned()));
        let mut request = request.map_err(|error| self.sts.refused(error.to_string()))?;
        sign(&own, "sts", &self.profile.region, &mut request).map_err(|error| self.sts.refused(error))?;
        Ok(request)
    }

    fn signer(&self) -> S3Signer<'_> {
        S3Signer { profile: &self.profile, own: &self.own }
    }
}

#[async_trait]
impl Vendor for S3Vendor {
    fn has_credentials(&self) -> bool {
        self.profile.role_arn.is_some()
    }

    /// Returns the store's region and address.
    fn settings(&self) -> Settings {
        let S3Profile { region, endpoint, client_endpoint, path_style, .. } = &self.profile;
        let mut settings = Settings::from([
            // Java and DuckDB read the first, PyIceberg the second.
            ("client.region".to_owned(), region.clone()),
            ("s3.region".to_owned(), region.clone()),
        ]);
        if let Some(endpoint) = client_endpoint.as_ref().or(endpoint.as_ref()) {
            settings.insert("s3.endpoint".to_owned(), endpoint_for_clients(endpoint));
        }
        if *path_style {
            settings.insert("s3.path-style-access".to_owned(), "true".to_owned());
            // PyIceberg's name for the opposite.
            settings.insert("s3.force-virtual-addressing".to_owned(), "false".to_owned());
        }
        settings
    }

    /// Returns credentials that reach exactly these locations.
    ///
    /// # Errors
    /// All of [`VendingError`].
    async fn issue(&self, locations: &ValidLocations, access: Access, now_ms: i64) -> Result<Issued, VendingError> {
        let policy = session_policy(
            locations.as_slice(),
            access,
            self.profile.partition(),
            self.profile.kms_key_arn.as_deref(),
        )?;
        let form = self.assume_role_form(&policy, &session_name(locations.table(), access));
        let answer = self.sts.ask(|| self.signed_request(&form), explain_session).await?;
        let session = read_session(&answer).ok_or_else(|| self.sts.unavailable("its answer cannot be read"))?;
        let settings = BTreeMap::from([
            ("s3.access-key-id".to_owned(), session.access_key_id),
            ("s3.secret-access-key".to_owned(), session.secret_access_key),
            ("s3.session-token".to_owned(), session.session_token),
            ("s3.session-token-expires-at-ms".to_owned(), session.expires_ms.to_string()),
            // Older clients read this name.
            ("expiration-time".to_owned(), session.expires_ms.to_string()),
        ]);
        Ok(Issued::new(settings, now_ms, session.expires_ms))
    }

    fn signs(&self) -> bool {
        self.profile.signs()
    }

    fn profile(&self) -> Option<StorageProfile> {
        Some(StorageProfile::S3(self.profile.clone()))
    }

    fn as_credentials(&self, settings: &BTreeMap<String, String>) -> Option<StorageCredentials> {
        credentials(settings)
    }

    fn advice(&self) -> Advice {
        Advice {
            why_none: "`role-arn` is not set",
            when_too_wide: "the store does not enforce session policies: remove `role-arn`, and let the catalog sign requests \
                            instead",
            when_refused: "check `access-key-id` and `secret-access-key` in the section [credentials], and that the policy of that \
                           key allows reading, writing, listing and removing objects below the root",
            when_not_found: "check the bucket's name in the root, `region` and `endpoint`; most stores but Amazon's need \
                             `path-style = true`",
            when_unavailable: "check `endpoint`, `region` and the bucket's name in the root, and that this machine reaches the \
                               store; most stores but Amazon's need `path-style = true`",
            when_vended_is_refused: "check the policy of the role in `role-arn`",
            when_overwritten: "it ignores `If-None-Match: *`. To use it nevertheless, set `conditional-writes = false`: metadata \
                               files have random names",
        }
    }

    fn refresh_setting(&self) -> Option<&'static str> {
        Some("client.refresh-credentials-endpoint")
    }

    fn signing_settings(&self, endpoint: &str) -> Settings {
        s3_signing::settings(endpoint)
    }

    async fn sign(
        &self,
        locations: &ValidLocations,
        access: Access,
        request: &S3Request<'_>,
        now_ms: i64,
    ) -> Result<Signed, VendingError> {
        if !self.signs() {
            return Err(VendingError::NoSigning);
        }
        self.signer().sign(locations, access, request, now_ms).await
    }

    async fn try_signing(&self, trial: &SigningTrial<'_>, budget: Budget, now_ms: i64) -> Option<Result<(), String>> {
        if !self.signs() {
            return None;
        }
        Some(self.signer().try_signing(trial, budget, now_ms).await)
    }
}

fn sign(own: &AwsCredential, service: &str, region: &str, request: &mut HttpRequest) -> Result<(), String> {
    AwsAuthorizer::new(own, service, region).try_authorize(request, None).map_err(|error| error.to_string())
}

/// Returns the credentials in vended settings.
fn credentials(settings: &BTreeMap<String, String>) -> Option<StorageCredentials> {
    Some(StorageCredentials::AwsKey {
        access_key_id: settings.get("s3.access-key-id")?.clone(),
        secret_access_key: Secret::new(settings.get("s3.secret-access-key")?.clone()),
        session_token: settings.get("s3.session-token").cloned().map(Secret::new),
    })
}

/// Returns the address of the token service: `sts-endpoint`, else the store's `endpoint`, else Amazon's in the region.
fn sts_endpoint(profile: &S3Profile) -> String {
    let named = profile.sts_endpoint.as_ref().or(profile.endpoint.as_ref());
    named.map_or_else(
        || {
            let suffix = if profile.partition() == "aws-cn" { ".cn" } else { "" };
            format!("https://sts.{}.amazonaws.com{suffix}/", profile.region)
        },
        |endpoint| format!("{}/", endpoint.trim_end_matches('/')),
    )
}

/// Returns the endpoint for clients. ClickHouse appends a path and needs the slash; others accept it.
fn endpoint_for_clients(endpoint: &str) -> String {
    format!("{}/", endpoint.trim_end_matches('/'))
}

/// Returns the session's name, which the account's log shows. It contains the last part of the table's location.
fn session_name(table: &Location, access: Access) -> String {
    let kind = match access {
        Access::Read => "read",
        Access::ReadWriteNoDelete | Access::ReadWrite => "write",
    };
    let last = table.path().rsplit('/').next().unwrap_or_default();
    let is_allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '=' | '.' | '@' | '-');
    let name: String =
        "tidewater-".chars().chain(kind.chars()).chain(['-']).chain(last.chars().filter(is_allowed)).collect();
    name[..name.len().min(MAX_SESSION_NAME)].to_owned()
}

struct Session {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expires_ms: i64,
}

fn read_session(answer: &[u8]) -> Option<Session> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        assume_role_result: AssumeRoleResult,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct AssumeRoleResult {
        credentials: Credentials,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Credentials {
        access_key_id: String,
        secret_access_key: String,
        session_token: String,
        expiration: String,
    }
    let answer: Answer = quick_xml::de::from_reader(answer).ok()?;
    let Credentials { access_key_id, secret_access_key, session_token, expiration } =
        answer.assume_role_result.credentials;
    let expires_ms = DateTime::parse_from_rfc3339(&expiration).ok()?.timestamp_millis();
    Some(Session { access_key_id, secret_access_key, session_token, expires_ms })
}

/// Returns the message of an error of the token service, with the setting to change.
fn explain_session(answer: &[u8]) -> Option<String> {
    let said = explain(answer)?;
    let hint = hints::for_token_service(&said);
    Some(hints::with_hint(said, hint))
}

/// Returns the message of an error of the service: `AccessDenied: User ... is not authorized to perform: sts:AssumeRole`.
pub(super) fn explain(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Problem {
        code: String,
        #[serde(default)]
        message: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        error: Problem,
    }
    let nested = quick_xml::de::from_reader::<_, Answer>(answer).map(|answer| answer.error);
    // Some stores answer without the outer element, as their S3 interface does.
    let problem = nested.or_else(|_| quick_xml::de::from_reader::<_, Problem>(answer)).ok()?;
    let text = if problem.message.is_empty() { problem.code } else { format!("{}: {}", problem.code, problem.message) };
    Some(text.chars().take(500).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(more: serde_json::Value) -> S3Profile {
        let mut profile = serde_json::json!({ "region": "eu-west-1", "role-arn": "arn:aws:iam::1:role/r" });
        profile.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(profile).unwrap()
    }

    #[test]
    fn session_is_parsed_from_the_services_answer() {
        let answer = br#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
            <AssumedRoleUser><AssumedRoleId>A:b</AssumedRoleId></AssumedRoleUser>
            <Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
            <SessionToken>token/+=</SessionToken><Expiration>2026-11-24T12:00:00Z</Expiration></Credentials>
            </AssumeRoleResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AssumeRoleResponse>"#;
        let session = read_session(answer).unwrap();
        assert_eq!((session.access_key_id.as_str(), session.session_token.as_str()), ("ASIA", "token/+="));
        assert_eq!(session.expires_ms, 1_795_521_600_000);
        assert!(read_session(b"<html>").is_none() && read_session(b"").is_none());
    }

    #[test]
    fn refusal_has_the_services_message() {
        let aws = b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
        assert_eq!(explain(aws).as_deref(), Some("AccessDenied: no"));
        assert_eq!(explain(b"<Error><Code>MalformedPolicy</Code></Error>").as_deref(), Some("MalformedPolicy"));
        assert_eq!(explain(b"not xml"), None);
    }

    #[test]
    fn token_service_is_the_configured_one_or_the_store_or_amazons_in_the_region() {
        let endpoint = |more| sts_endpoint(&profile(more));
        assert_eq!(endpoint(serde_json::json!({})), "https://sts.eu-west-1.amazonaws.com/");
        assert_eq!(
            endpoint(serde_json::json!({ "role-arn": "arn:aws-cn:iam::1:role/r", "region": "cn-north-1" })),
            "https://sts.cn-north-1.amazonaws.com.cn/"
        );
        assert_eq!(endpoint(serde_json::json!({ "endpoint": "http://127.0.0.1:9000" })), "http://127.0.0.1:9000/");
        assert_eq!(endpoint(serde_json::json!({ "endpoint": "http://a", "sts-endpoint": "https://b/" })), "https://b/");
    }

    #[test]
    fn session_name_has_only_characters_that_the_service_accepts() {
        let name = |table: &str| session_name(&Location::parse(table).unwrap(), Access::Read);
        assert_eq!(name("s3://b/lake/0199-ab"), "tidewater-read-0199-ab");
        assert_eq!(name("s3://b/lake/a b*\u{fc}"), "tidewater-read-ab");
        assert_eq!(name(&format!("s3://b/{}", "x".repeat(99))).len(), MAX_SESSION_NAME);
    }
}
