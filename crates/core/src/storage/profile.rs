//! The settings of a warehouse's storage, in the terms of its cloud, without secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::AzureContainer;
use crate::location::Location;

/// The settings of a warehouse's storage. Stored as JSON; people write them as TOML.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum StorageProfile {
    /// The local disk.
    File,
    /// Amazon S3, or a store with the same protocol.
    S3(S3Profile),
    /// Azure Data Lake Storage Gen2, or Azure Blob Storage.
    Adls(AdlsProfile),
    /// Google Cloud Storage.
    Gcs(GcsProfile),
}

/// Amazon S3, or a store with the same protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct S3Profile {
    /// The bucket's region, such as `eu-central-1`. Stores without regions accept any.
    pub region: String,
    /// The address of the store. Default: Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The address of the store for clients, if they reach it by another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_endpoint: Option<String>,
    /// Whether URLs have the bucket in the path instead of the host name. Most stores other than Amazon's need this.
    #[serde(default)]
    pub path_style: bool,
    /// The role whose rights are vended, limited to one table (`AssumeRole`). Without a role, nothing is vended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The id that the role's trust policy can require, so that only this catalog can assume the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The address of the security token service. Default: the store's own endpoint, or Amazon's in the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sts_endpoint: Option<String>,
    /// The lifetime of vended credentials, in seconds.
    #[serde(default = "an_hour")]
    pub session_duration_s: u32,
    /// Tags of the session, for the account's own policies and logs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub session_tags: BTreeMap<String, String>,
    /// The customer-managed key that encrypts the bucket's objects, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_arn: Option<String>,
    /// Whether the catalog signs single requests of clients. Default: yes if it has no role to vend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_signing: Option<bool>,
    /// Whether the store honours `If-None-Match: *`, which prevents overwriting. Without it, only the random names of
    /// metadata files do.
    #[serde(default = "yes")]
    pub conditional_writes: bool,
    /// Whether the catalog's signatures leave out the SHA-256 of written content. Then TLS protects the content, so the
    /// store's address must be `https://`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsigned_payload: bool,
}

/// Azure Data Lake Storage Gen2, or Azure Blob Storage. The warehouse's root names the account and the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AdlsProfile {
    /// The address of the account's blob service, for an emulator (`http://127.0.0.1:10000/devstoreaccount1`). Default: the
    /// service in the cloud of the root's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The address of the service for clients, if they reach it by another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_endpoint: Option<String>,
    /// Whether the account has a hierarchical namespace (Data Lake Storage Gen2). Without one, a signature covers a single
    /// file or the whole container, so nothing is vended.
    #[serde(default = "yes")]
    pub hierarchical_namespace: bool,
    /// Whether clients get signatures for their tables.
    #[serde(default = "yes")]
    pub vended_credentials: bool,
    /// The lifetime of vended signatures, in seconds.
    #[serde(default = "an_hour")]
    pub session_duration_s: u32,
}

/// Google Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GcsProfile {
    /// The address of the store, for an emulator. Default: Google's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The address of the store for clients, if they reach it by another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_endpoint: Option<String>,
    /// The address that exchanges a token for a limited one. Default: Google's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sts_endpoint: Option<String>,
    /// The project for clients; few need one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Whether clients get tokens for their tables.
    #[serde(default = "yes")]
    pub vended_credentials: bool,
}

const fn an_hour() -> u32 {
    3_600
}

const fn yes() -> bool {
    true
}

/// Why a profile is refused, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProfileError(String);

impl ProfileError {
    /// Creates an error from a text that says what is wrong and what to do.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl StorageProfile {
    /// Returns the profile's `type`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::File => "file",
            Self::S3(_) => "s3",
            Self::Adls(_) => "adls",
            Self::Gcs(_) => "gcs",
        }
    }

    /// Checks the profile for a warehouse at `root`, without any request.
    ///
    /// # Errors
    /// The first problem.
    pub fn check(&self, root: &Location) -> Result<(), ProfileError> {
        let schemes: &[&str] = match self {
            Self::File => &["file"],
            Self::S3(_) => &["s3"],
            Self::Adls(_) => &["abfss", "wasbs"],
            Self::Gcs(_) => &["gs"],
        };
        if !schemes.contains(&root.scheme()) {
            return Err(ProfileError::new(format!(
                "a warehouse of type '{}' has a root such as {}, not {root}",
                self.kind(),
                self.example_root()
            )));
        }
        match self {
            Self::File if root.path().is_empty() => {
                Err(ProfileError::new("a warehouse cannot be the whole disk: name a folder"))
            }
            Self::S3(profile) => profile.check(),
            Self::Adls(profile) => {
                AzureContainer::parse(root).map_err(|error| ProfileError::new(error.to_string()))?;
                check_endpoint("endpoint", profile.endpoint.as_deref())?;
                check_endpoint("client-endpoint", profile.client_endpoint.as_deref())?;
                // A delegation key lasts seven days, and is renewed after it has signed for a day.
                check_duration(profile.session_duration_s, 300, 6 * 86_400)
            }
            Self::Gcs(profile) => {
                check_endpoint("endpoint", profile.endpoint.as_deref())?;
                check_endpoint("client-endpoint", profile.client_endpoint.as_deref())?;
                check_endpoint("sts-endpoint", profile.sts_endpoint.as_deref())
            }
            Self::File => Ok(()),
        }
    }

    const fn example_root(&self) -> &'static str {
        match self {
            Self::File => "file:///srv/lake",
            Self::S3(_) => "s3://bucket/lake",
            Self::Adls(_) => "abfss://container@account.dfs.core.windows.net/lake",
            Self::Gcs(_) => "gs://bucket/lake",
        }
    }
}

impl AdlsProfile {
    /// Returns the address of the blob service of a container's account, without a trailing slash.
    #[must_use]
    pub fn blob_endpoint(&self, container: &AzureContainer) -> String {
        match &self.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://{}", container.blob_host()),
        }
    }
}

impl S3Profile {
    /// Returns whether the catalog signs clients' requests.
    #[must_use]
    pub fn signs(&self) -> bool {
        self.remote_signing.unwrap_or(self.role_arn.is_none())
    }

    fn check(&self) -> Result<(), ProfileError> {
        if self.region.is_empty() {
            return Err(ProfileError::new("`region` is empty: name the bucket's, or us-east-1 if it has none"));
        }
        check_endpoint("endpoint", self.endpoint.as_deref())?;
        check_endpoint("client-endpoint", self.client_endpoint.as_deref())?;
        check_endpoint("sts-endpoint", self.sts_endpoint.as_deref())?;
        if self.unsigned_payload && self.endpoint.as_deref().is_some_and(|endpoint| !endpoint.starts_with("https://")) {
            return Err(ProfileError::new(
                "`unsigned-payload` needs an `endpoint` with https://: nothing else protects the content",
            ));
        }
        check_arn("role-arn", "iam", "arn:aws:iam::123456789012:role/name", self.role_arn.as_deref())?;
        check_arn("kms-key-arn", "kms", "arn:aws:kms:region:123456789012:key/id", self.kms_key_arn.as_deref())?;
        if self.role_arn.is_none() && (self.external_id.is_some() || !self.session_tags.is_empty()) {
            return Err(ProfileError::new("`external-id` and `session-tags` need a `role-arn`"));
        }
        // AWS STS, AssumeRole: DurationSeconds.
        check_duration(self.session_duration_s, 900, 43_200)
    }

    /// Returns the partition in the account's resource names: `aws`, `aws-cn`, `aws-us-gov`.
    #[must_use]
    pub fn partition(&self) -> &str {
        let arn = self.role_arn.as_deref().or(self.kms_key_arn.as_deref());
        arn.and_then(|arn| arn.split(':').nth(1)).unwrap_or("aws")
    }
}

fn check_endpoint(field: &str, endpoint: Option<&str>) -> Result<(), ProfileError> {
    let Some(endpoint) = endpoint else { return Ok(()) };
    let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    let is_address = |host: &str| {
        !host.is_empty()
            && !host.contains(['@', '?', '#', '\\'])
            && !host.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    match host {
        Some(host) if is_address(host) => Ok(()),
        _ => Err(ProfileError::new(format!("`{field}` must be an address such as https://storage.example.com"))),
    }
}

fn check_arn(field: &str, service: &str, example: &str, arn: Option<&str>) -> Result<(), ProfileError> {
    let Some(arn) = arn else { return Ok(()) };
    let mut parts = arn.splitn(6, ':');
    let is_arn = parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next() == Some(service)
        && parts.nth(2).is_some_and(|resource| !resource.is_empty())
        && !arn.contains(|c: char| c.is_whitespace() || c.is_control());
    if is_arn { Ok(()) } else { Err(ProfileError::new(format!("`{field}` must be a name such as {example}"))) }
}

fn check_duration(duration_s: u32, least: u32, most: u32) -> Result<(), ProfileError> {
    if (least..=most).contains(&duration_s) {
        Ok(())
    } else {
        Err(ProfileError::new(format!("`session-duration-s` must be from {least} to {most} seconds")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(profile: serde_json::Value, root: &str) -> String {
        let profile: StorageProfile = serde_json::from_value(profile).unwrap();
        profile.check(&Location::parse(root).unwrap()).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn profile_of_another_type_than_its_root_is_refused() {
        assert_eq!(wrong(json!({ "type": "file" }), "file:///srv/lake"), "");
        assert_eq!(wrong(json!({ "type": "s3", "region": "eu-west-1" }), "s3://bucket/lake"), "");
        assert_eq!(wrong(json!({ "type": "adls" }), "abfss://c@a.dfs.core.windows.net/lake"), "");
        assert_eq!(wrong(json!({ "type": "gcs" }), "gs://bucket"), "");
        assert_eq!(wrong(json!({ "type": "adls" }), "wasbs://c@a.blob.core.windows.net/lake"), "");
        assert!(wrong(json!({ "type": "adls" }), "abfs://c@a.dfs.core.windows.net/lake").contains("abfss://"));
        assert!(
            wrong(json!({ "type": "adls" }), "abfss://c@a.blob.core.windows.net/lake").contains("abfss://container@")
        );
        assert!(wrong(json!({ "type": "gcs" }), "s3://bucket").contains("gs://bucket/lake"));
        assert!(wrong(json!({ "type": "file" }), "file:///").contains("whole disk"));
    }

    #[test]
    fn error_names_the_wrong_setting() {
        let s3 = |field: &str, value: serde_json::Value| {
            let mut profile = json!({ "type": "s3", "region": "eu-west-1" });
            profile[field] = value;
            wrong(profile, "s3://bucket")
        };
        assert_eq!(s3("endpoint", json!("https://minio.example.com:9000")), "");
        for endpoint in ["minio", "ftp://x", "https://", "https://user@x", "https://x y"] {
            assert!(s3("endpoint", json!(endpoint)).contains("`endpoint`"), "{endpoint}");
        }
        // Private stores have no account number in their resource names.
        for role in ["arn:aws:iam:::role/tidewater", "arn:aws-cn:iam::123456789012:role/a/b"] {
            assert_eq!(s3("role-arn", json!(role)), "", "{role}");
        }
        for role in ["tidewater", "arn:aws:s3:::bucket", "arn:aws:iam::1", "arn:aws:iam::1:", "arn:aws:iam::1:role/a b"]
        {
            assert!(s3("role-arn", json!(role)).contains("`role-arn`"), "{role}");
        }
        assert!(s3("session-duration-s", json!(60)).contains("from 900 to 43200"));
        assert!(s3("external-id", json!("x")).contains("`role-arn`"));
        assert!(s3("region", json!("")).contains("`region`"));
    }

    #[test]
    fn unsigned_payload_needs_tls() {
        let s3 = |endpoint: Option<&str>| {
            let profile =
                json!({ "type": "s3", "region": "eu-west-1", "endpoint": endpoint, "unsigned-payload": true });
            wrong(profile, "s3://bucket")
        };
        assert_eq!(s3(None), "");
        assert_eq!(s3(Some("https://minio.example.com")), "");
        assert!(s3(Some("http://minio.example.com")).contains("`unsigned-payload` needs"));
    }

    #[test]
    fn unknown_setting_is_refused() {
        let misspelt = json!({ "type": "s3", "region": "eu-west-1", "rolearn": "x" });
        assert!(serde_json::from_value::<StorageProfile>(misspelt).is_err());
    }

    #[test]
    fn signing_defaults_to_stores_without_a_role() {
        let profile = |text: serde_json::Value| match serde_json::from_value(text).unwrap() {
            StorageProfile::S3(profile) => profile,
            other => panic!("{other:?}"),
        };
        assert!(profile(json!({ "type": "s3", "region": "a" })).signs());
        let with_role = json!({ "type": "s3", "region": "a", "role-arn": "arn:aws-cn:iam::1:role/r" });
        assert!(!profile(with_role.clone()).signs());
        assert_eq!(profile(with_role).partition(), "aws-cn");
        assert!(!profile(json!({ "type": "s3", "region": "a", "remote-signing": false })).signs());
    }
}
