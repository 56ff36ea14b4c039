//! Azure: vends a signature for each folder of a table, for accounts with a hierarchical namespace (user delegation SAS, or
//! service SAS if the catalog has the account's key).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat};
use http::header::CONTENT_TYPE;
use object_store::azure::{AzureAuthorizer, AzureCredential, AzureCredentialProvider};
use object_store::client::{HttpRequest, HttpRequestBody};
use parking_lot::Mutex;
use serde::Deserialize;
use tidewater_core::location::Location;
use tidewater_core::storage::azure_sas::{DelegationKeyName, SAS_VERSION, SasTerms, directory_sas};
use tidewater_core::storage::{Access, AdlsProfile, AzureContainer, StorageProfile};

use super::service::Service;
use super::vendor::{Advice, Vendor};
use super::{Issued, Settings, ValidLocations, VendingError, s3};
use crate::base::flight::{Flight, Joined};
use crate::base::secret::Secret;
use crate::storage::{Budget, OpenError, Storage, StorageCredentials};

const BLOB_SERVICE: &str = "Azure's blob service";
/// Signatures are valid from this long before now, because clocks differ.
const SKEW_MS: i64 = 5 * 60_000;
/// How long a delegation key is used before a new one is requested.
const KEY_SIGNS_MS: i64 = 24 * 3_600_000;

/// Vends signatures for the folders of a container.
#[derive(Debug)]
pub(super) struct AzureVendor {
    profile: AdlsProfile,
    container: AzureContainer,
    /// The catalog's own credentials.
    own: AzureCredentialProvider,
    /// The account's key, if the catalog signs in with it.
    account_key: Option<Secret<String>>,
    blob: Service,
    /// The delegation key for all tables.
    delegation_key: Mutex<Option<Arc<DelegationKey>>>,
    /// Makes concurrent requests for a key share one fetch.
    flight: Flight<VendingError>,
}

#[derive(Debug)]
struct DelegationKey {
    name: DelegationKeyName,
    value: Secret<String>,
    expires_ms: i64,
}

impl AzureVendor {
    /// Creates the vendor of a warehouse with this profile and the credentials of `storage`. Returns none if the storage is not
    /// on Azure.
    ///
    /// # Errors
    /// Fails if its HTTP client cannot be created.
    pub(super) fn new(profile: AdlsProfile, storage: &Storage, budget: Budget) -> Result<Option<Self>, OpenError> {
        let (Some(own), Some(root)) = (storage.azure_credentials(), storage.root()) else { return Ok(None) };
        let Ok(container) = AzureContainer::parse(root) else { return Ok(None) };
        let blob = Service::new(BLOB_SERVICE, &profile.blob_endpoint(&container), budget)?;
        Ok(Some(Self {
            container,
            own: Arc::clone(own),
            account_key: storage.azure_account_key().cloned(),
            blob,
            delegation_key: Mutex::default(),
            flight: Flight::default(),
            profile,
        }))
    }

    const fn why_none(&self) -> &'static str {
        if self.profile.hierarchical_namespace {
            "`vended-credentials` is off: clients use their own credentials"
        } else {
            "without a hierarchical namespace a signature cannot be limited to one table, so none is vended: clients use their \
             own credentials"
        }
    }

    /// Returns the service's address for clients, without a `/` at its end, if the warehouse has one.
    fn client_endpoint(&self) -> Option<&str> {
        let endpoint = self.profile.client_endpoint.as_deref().or(self.profile.endpoint.as_deref());
        endpoint.map(|endpoint| endpoint.trim_end_matches('/'))
    }

    /// Returns the settings for each location, with a signature that expires at `expires_ms`.
    fn sign_all(
        &self,
        locations: &ValidLocations,
        access: Access,
        now_ms: i64,
        expires_ms: i64,
        key: Option<&DelegationKeyName>,
        secret: &Secret<String>,
    ) -> Result<BTreeMap<Location, BTreeMap<String, String>>, VendingError> {
        let (start, expiry) = (timestamp(now_ms - SKEW_MS), timestamp(expires_ms));
        let allow_http = self.client_endpoint().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let terms = SasTerms { access, start: &start, expiry: &expiry, allow_http, version: SAS_VERSION, key };
        let sign = |location: &Location| {
            let unsigned = directory_sas(&self.container, location, &terms)?;
            let signature = signature(&unsigned.string_to_sign, secret.expose())
                .ok_or_else(|| self.blob.refused("the signing key is not valid base64"))?;
            Ok((location.clone(), self.for_clients(&unsigned.signed(&signature), expires_ms)))
        };
        locations.as_slice().iter().map(sign).collect()
    }

    /// Returns the settings with a signature, by the names that clients read.
    fn for_clients(&self, sas: &str, expires_ms: i64) -> BTreeMap<String, String> {
        let (account, host) = (self.container.account(), self.container.dfs_host());
        let expires = expires_ms.to_string();
        let mut settings = BTreeMap::from([
            // PyIceberg, iceberg-rust.
            ("adls.sas-token".to_owned(), sas.to_owned()),
            // Java since 1.10 reads the account's name in refreshed credentials and its host in a loaded table. Trino, DuckDB
            // and ClickHouse read the host too. Older versions read only one of the two.
            (format!("adls.sas-token.{account}"), sas.to_owned()),
            (format!("adls.sas-token.{host}"), sas.to_owned()),
            (format!("adls.sas-token-expires-at-ms.{account}"), expires.clone()),
            (format!("adls.sas-token-expires-at-ms.{host}"), expires.clone()),
            ("expiration-time".to_owned(), expires),
        ]);
        if let Some(endpoint) = self.client_endpoint() {
            // fsspec has no other setting for an endpoint.
            let text = format!("BlobEndpoint={endpoint};SharedAccessSignature={sas}");
            settings.insert("adls.connection-string".to_owned(), text);
        }
        settings
    }

    /// Returns a delegation key that stays valid at least as long as a signature. Requests a new one if needed.
    async fn delegation_key(&self, now_ms: i64) -> Result<Arc<DelegationKey>, VendingError> {
        let session_ms = i64::from(self.profile.session_duration_s) * 1_000;
        let known = || self.delegation_key.lock().clone().filter(|key| key.expires_ms - now_ms >= session_ms);
        if let Some(key) = known() {
            return Ok(key);
        }
        let _turn = match self.flight.join(known).await? {
            Joined::Ready(key) => return Ok(key),
            Joined::Ask(turn) => turn,
        };
        let key = self.fetch_delegation_key(session_ms, now_ms).await.map_err(|error| self.flight.fail(error))?;
        let key = Arc::new(key);
        *self.delegation_key.lock() = Some(Arc::clone(&key));
        Ok(key)
    }

    async fn fetch_delegation_key(&self, session_ms: i64, now_ms: i64) -> Result<DelegationKey, VendingError> {
        let (start, expiry) = (timestamp(now_ms - SKEW_MS), timestamp(now_ms + session_ms + KEY_SIGNS_MS));
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><KeyInfo><Start>{start}</Start><Expiry>{expiry}</Expiry></KeyInfo>"
        );
        let answer = self.blob.ask(|| self.key_request(&body), explain).await?;
        read_key(&answer).ok_or_else(|| self.blob.unavailable("its answer cannot be read"))
    }

    /// Builds the request for a delegation key (Azure Storage, "Get User Delegation Key").
    async fn key_request(&self, body: &str) -> Result<HttpRequest, VendingError> {
        let own = self.own.get_credential().await.map_err(|error| self.blob.unavailable(error.to_string()))?;
        if !matches!(*own, AzureCredential::BearerToken(_)) {
            let why =
                "the catalog's own credentials cannot be restricted to a folder: set `account-key` or use an identity";
            return Err(self.blob.refused(why));
        }
        let endpoint = self.profile.blob_endpoint(&self.container);
        let request = http::Request::post(format!("{endpoint}/?restype=service&comp=userdelegationkey"))
            .header(CONTENT_TYPE, "application/xml")
            .body(HttpRequestBody::from(body.to_owned()));
        let mut request = request.map_err(|error| self.blob.refused(error.to_string()))?;
        let authorized = AzureAuthorizer::new(&own, self.container.account()).try_authorize(&mut request);
        authorized.map_err(|error| self.blob.refused(error.to_string()))?;
        Ok(request)
    }
}

#[async_trait]
impl Vendor for AzureVendor {
    fn has_credentials(&self) -> bool {
        self.profile.vended_credentials && self.profile.hierarchical_namespace
    }

    /// Returns the account's name and address.
    fn settings(&self) -> Settings {
        let mut settings = Settings::from([
            ("adls.account-name".to_owned(), self.container.account().to_owned()),
            // PyIceberg 0.12 uses Arrow for a staged table, and Arrow reads `container@account` as the container's name.
            ("py-io-impl".to_owned(), "pyiceberg.io.fsspec.FsspecFileIO".to_owned()),
        ]);
        let mut put = |name: &str, value: String| settings.insert(name.to_owned(), value);
        if let Some(endpoint) = self.client_endpoint() {
            // Java uses it as the service's address.
            put(&format!("adls.connection-string.{}", self.container.dfs_host()), endpoint.to_owned());
            if let Some((scheme, authority)) = emulator(endpoint, self.container.account()) {
                // PyArrow.
                for service in ["blob", "dfs"] {
                    put(&format!("adls.{service}-storage-scheme"), scheme.to_owned());
                    put(&format!("adls.{service}-storage-authority"), authority.to_owned());
                }
            }
        } else if let Some((blob, dfs)) = self.container.unusual_authorities() {
            // fsspec reads the first, PyArrow the others.
            put("adls.account-host", self.container.blob_host());
            put("adls.blob-storage-authority", blob);
            put("adls.dfs-storage-authority", dfs);
        }
        settings
    }

    /// Returns a signature for each location.
    ///
    /// # Errors
    /// All of [`VendingError`].
    async fn issue(&self, locations: &ValidLocations, access: Access, now_ms: i64) -> Result<Issued, VendingError> {
        let mut expires_ms = now_ms + i64::from(self.profile.session_duration_s) * 1_000;
        let by_location = if let Some(key) = &self.account_key {
            self.sign_all(locations, access, now_ms, expires_ms, None, key)?
        } else {
            let key = self.delegation_key(now_ms).await?;
            expires_ms = expires_ms.min(key.expires_ms);
            self.sign_all(locations, access, now_ms, expires_ms, Some(&key.name), &key.value)?
        };
        Ok(Issued { by_location, ..Issued::new(BTreeMap::new(), now_ms, expires_ms) })
    }

    /// Repeats the settings that are named after the host of the service `dfs` under the host of `blob`, for locations with
    /// the scheme `wasb`: Java looks for settings under the host in the location.
    fn with_host_of(&self, spelling: &Location, mut settings: Settings) -> Settings {
        if matches!(spelling.scheme(), "wasb" | "wasbs") {
            let (dfs, blob) = (self.container.dfs_host(), self.container.blob_host());
            let of_dfs = |(name, value): (&String, &String)| {
                Some((format!("{}{blob}", name.strip_suffix(dfs.as_str())?), value.clone()))
            };
            let of_blob: Vec<_> = settings.iter().filter_map(of_dfs).collect();
            settings.extend(of_blob);
        }
        settings
    }

    fn profile(&self) -> Option<StorageProfile> {
        Some(StorageProfile::Adls(self.profile.clone()))
    }

    fn as_credentials(&self, settings: &BTreeMap<String, String>) -> Option<StorageCredentials> {
        credentials(settings)
    }

    fn advice(&self) -> Advice {
        Advice {
            why_none: self.why_none(),
            when_too_wide: "the store does not restrict signatures to their folder: set `vended-credentials = false`",
            when_refused: "check the account's name in the root and `account-key`, or that the identity has the role 'Storage Blob \
                           Data Contributor' on the container",
            when_not_found: "check the container's name, the part of the root before the '@': the container must exist",
            when_unavailable: "check the account's name in the root, `endpoint` and the section [credentials], and that this \
                               machine reaches the store",
            when_vended_is_refused: "if the account has no hierarchical namespace (Data Lake Storage Gen2), set \
                                     `hierarchical-namespace = false`: no signatures are vended then, because the account cannot \
                                     restrict them to one table",
            when_overwritten: "it ignores the conditions of requests, as emulators do, so it cannot store metadata safely",
        }
    }

    fn refresh_setting(&self) -> Option<&'static str> {
        Some("adls.refresh-credentials-endpoint")
    }
}

/// Returns the signature in vended settings.
fn credentials(settings: &BTreeMap<String, String>) -> Option<StorageCredentials> {
    settings.get("adls.sas-token").map(|sas| StorageCredentials::AzureSas { sas_token: Secret::new(sas.clone()) })
}

/// Returns the scheme and the authority of an endpoint that has the account in its path. Emulators have such endpoints.
fn emulator<'a>(endpoint: &'a str, account: &str) -> Option<(&'a str, &'a str)> {
    let (scheme, rest) = endpoint.split_once("://")?;
    let (authority, path) = rest.split_once('/')?;
    (path == account).then_some((scheme, authority))
}

/// Formats a time in whole seconds, as signatures need it.
fn timestamp(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Computes HMAC-SHA256 with a key in base64. Returns none if the key is not valid base64.
fn signature(string_to_sign: &str, key: &str) -> Option<String> {
    let key = BASE64_STANDARD.decode(key).ok()?;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), string_to_sign.as_bytes());
    Some(BASE64_STANDARD.encode(tag.as_ref()))
}

fn read_key(answer: &[u8]) -> Option<DelegationKey> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        signed_oid: String,
        signed_tid: String,
        signed_start: String,
        signed_expiry: String,
        signed_service: String,
        signed_version: String,
        value: String,
    }
    let answer: Answer = quick_xml::de::from_reader(without_mark(answer)).ok()?;
    let expires_ms = DateTime::parse_from_rfc3339(&answer.signed_expiry).ok()?.timestamp_millis();
    let name = DelegationKeyName {
        object_id: answer.signed_oid,
        tenant_id: answer.signed_tid,
        start: answer.signed_start,
        expiry: answer.signed_expiry,
        service: answer.signed_service,
        version: answer.signed_version,
    };
    Some(DelegationKey { name, value: Secret::new(answer.value), expires_ms })
}

/// Returns the message of an error of the service, with the role that a request for a key needs.
fn explain(answer: &[u8]) -> Option<String> {
    let text = s3::explain(without_mark(answer))?;
    // The other lines are the request's id and the time.
    let first = text.lines().next().unwrap_or_default();
    let advice = if first.starts_with("Authorization") {
        "; the catalog's identity needs the role 'Storage Blob Delegator' on the storage account, and 'Storage Blob Data \
         Contributor' on the container"
    } else {
        ""
    };
    Some(format!("{first}{advice}"))
}

/// Returns an answer without the byte order mark with which Azure begins its documents.
fn without_mark(answer: &[u8]) -> &[u8] {
    answer.strip_prefix(b"\xef\xbb\xbf").unwrap_or(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expects the signatures of Microsoft's own library (azure-storage-file-datalake 12.26), which knows this version.
    #[test]
    fn signature_equals_that_of_microsofts_library() {
        let key = BASE64_STANDARD.encode(b"0123456789abcdef0123456789abcdef");
        let by_account = "racwdl\n2026-11-24T09:55:00Z\n2026-11-24T11:00:00Z\n/blob/acct/lake/wh/t 1/\u{fc}%20x\n\n\nhttps\n\
                          2026-10-06\nd\n\n\n\n\n\n\n";
        assert_eq!(signature(by_account, &key).unwrap(), "Zj/YdKNQCr0n7F14Kn6dHLwZGvy4M1Q/3+PgyuWBjV8=");
        let by_delegation = "racwdl\n2026-11-24T09:55:00Z\n2026-11-24T11:00:00Z\n/blob/acct/lake/wh/t 1/\u{fc}%20x\n\
             aaaaaaaa-0000-4000-8000-000000000001\nbbbbbbbb-0000-4000-8000-000000000002\n2026-11-24T09:55:00Z\n\
             2026-11-25T11:00:00Z\nb\n2023-11-03\n\n\n\n\n\n\nhttps\n2026-10-06\nd\n\n\n\n\n\n\n\n\n";
        assert_eq!(signature(by_delegation, &key).unwrap(), "eoV2mdxr3DNydUZm3o9RW9L5kF3KWQxI8bcqp19pHxU=");
        assert_eq!(signature("", "not base64"), None);
    }

    #[test]
    fn delegation_key_is_parsed_from_the_services_answer() {
        let answer = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><UserDelegationKey><SignedOid>oid</SignedOid>\
            <SignedTid>tid</SignedTid><SignedStart>2026-11-24T09:55:00Z</SignedStart>\
            <SignedExpiry>2026-11-25T11:00:00Z</SignedExpiry><SignedService>b</SignedService>\
            <SignedVersion>2023-11-03</SignedVersion><Value>a2V5</Value></UserDelegationKey>";
        let key = read_key(answer.as_bytes()).unwrap();
        assert_eq!((key.name.object_id.as_str(), key.name.expiry.as_str()), ("oid", "2026-11-25T11:00:00Z"));
        assert_eq!(timestamp(key.expires_ms), "2026-11-25T11:00:00Z");
        assert!(!format!("{key:?}").contains("a2V5"));
        assert!(read_key(b"<html>").is_none() && read_key(b"").is_none());
    }

    #[test]
    fn refusal_names_the_missing_role() {
        let answer = "\u{feff}<?xml version=\"1.0\"?><Error><Code>AuthorizationPermissionMismatch</Code>\
            <Message>This request is not authorized.\nRequestId:1\nTime:now</Message></Error>";
        let message = explain(answer.as_bytes()).unwrap();
        assert!(message.starts_with("AuthorizationPermissionMismatch: This request is not authorized.;"), "{message}");
        assert!(message.contains("'Storage Blob Delegator'") && !message.contains("RequestId"), "{message}");
        assert_eq!(explain(b"<Error><Code>AuthenticationFailed</Code></Error>").unwrap(), "AuthenticationFailed");
    }

    #[test]
    fn endpoint_with_the_account_in_its_path_is_an_emulator() {
        assert_eq!(emulator("http://127.0.0.1:1/acct", "acct"), Some(("http", "127.0.0.1:1")));
        assert_eq!(emulator("https://acct.blob.example.com", "acct"), None);
    }
}
