//! Opens a warehouse's storage from its settings.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use tidewater_core::location::Location;
use tidewater_core::storage::{AdlsProfile, AzureContainer, GcsProfile, ProfileError, S3Profile, StorageProfile};
use url::Url;
use uuid::Uuid;

use super::azure_delete::SingleDelete;
use super::budget::Budget;
use super::http::TracedConnector;
use super::{Backend, Storage, StorageCredentials};
use crate::base::measure::{Calls, Subject};
use crate::base::named_file;
use crate::base::secret::Secret;

/// Why a warehouse's storage cannot be used with its settings.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings are not valid.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The credentials are for another cloud.
    #[error("credentials of the kind '{credentials}' are not for storage of the type '{profile}'")]
    OtherCloud {
        /// The kind of the credentials.
        credentials: &'static str,
        /// The type of the storage.
        profile: &'static str,
    },
    /// The store's client cannot be created with the settings.
    #[error("the storage cannot be used with its settings: {0}")]
    Client(#[from] object_store::Error),
}

/// The arguments of [`Storage::open`].
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// An id of the storage with its present settings. Caches use it as a key.
    pub id: Uuid,
    /// The warehouse's root. The handle reaches only locations below it.
    pub root: &'a Location,
    /// The storage's settings.
    pub profile: &'a StorageProfile,
    /// The catalog's credentials.
    pub credentials: &'a StorageCredentials,
    /// The time limits of calls.
    pub budget: Budget,
}

impl Storage {
    /// Opens a handle on a warehouse's storage. Sends no request to the store.
    ///
    /// # Errors
    /// All of [`OpenError`].
    pub fn open(setup: &Setup<'_>) -> Result<Self, OpenError> {
        setup.profile.check(setup.root)?;
        let backend = match setup.profile {
            StorageProfile::File => match setup.credentials {
                StorageCredentials::Ambient => Backend::local(),
                _ => return Err(other_cloud(setup)),
            },
            StorageProfile::S3(profile) => s3(setup, profile)?,
            StorageProfile::Adls(profile) => adls(setup, profile)?,
            StorageProfile::Gcs(profile) => gcs(setup, profile)?,
        };
        Ok(Self {
            id: setup.id,
            owner: Uuid::nil(),
            root: Some(Arc::new(setup.root.clone())),
            backend,
            budget: setup.budget,
            calls: Calls::new(Subject::Storage),
        })
    }
}

fn other_cloud(setup: &Setup<'_>) -> OpenError {
    OpenError::OtherCloud { credentials: setup.credentials.kind(), profile: setup.profile.kind() }
}

fn s3(setup: &Setup<'_>, profile: &S3Profile) -> Result<Backend, OpenError> {
    let store = Arc::new(s3_builder(setup, profile)?.build()?);
    Ok(Backend::S3 { store, conditional: profile.conditional_writes })
}

fn s3_builder(setup: &Setup<'_>, profile: &S3Profile) -> Result<AmazonS3Builder, OpenError> {
    let mut builder = match setup.credentials {
        StorageCredentials::Ambient => AmazonS3Builder::from_env(),
        StorageCredentials::AwsKey { access_key_id, secret_access_key, session_token } => {
            let builder = AmazonS3Builder::new()
                .with_access_key_id(access_key_id)
                .with_secret_access_key(secret_access_key.expose());
            match session_token {
                Some(token) => builder.with_token(token.expose()),
                None => builder,
            }
        }
        _ => return Err(other_cloud(setup)),
    };
    builder = builder
        .with_bucket_name(setup.root.authority())
        .with_region(&profile.region)
        .with_virtual_hosted_style_request(!profile.path_style)
        .with_retry(retries(setup.budget))
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // Not all stores support bulk deletes, and some check permission for the bucket instead of the object.
        .with_disable_bulk_delete(true);
    if profile.unsigned_payload {
        // The profile's check allows this only with TLS, which protects the content.
        builder = builder.with_unsigned_payload(true);
    }
    if let Some(key) = &profile.kms_key_arn {
        builder = builder.with_sse_kms_encryption(key);
    }
    if let Some(endpoint) = &profile.endpoint {
        let endpoint = bucket_endpoint(endpoint, setup.root.authority(), profile.path_style);
        check_address(&endpoint).map_err(|error| match profile.path_style {
            true => error,
            false => ProfileError::new(format!(
                "{error}. The bucket's name goes before the endpoint's host, which must be a name and not an IP address: set \
                 `path-style = true`"
            )),
        })?;
        builder = builder.with_endpoint(endpoint);
    }
    Ok(builder
        .with_client_options(client(setup.budget, profile.endpoint.as_deref()))
        .with_http_connector(TracedConnector))
}

/// Checks that an address is a valid URL. The stores' clients panic on others, such as `http://host:99999`.
///
/// # Errors
/// Fails if it is not.
pub fn check_address(address: &str) -> Result<(), ProfileError> {
    let read = Url::parse(address);
    read.map(drop)
        .map_err(|error| ProfileError::new(format!("'{address}' is not an address that can be used: {error}")))
}

/// Returns the store's address. Without `path_style`, puts the bucket's name before the host name.
fn bucket_endpoint(endpoint: &str, bucket: &str, path_style: bool) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    match endpoint.split_once("://") {
        Some((scheme, host)) if !path_style => format!("{scheme}://{bucket}.{host}"),
        _ => endpoint.to_owned(),
    }
}

fn adls(setup: &Setup<'_>, profile: &AdlsProfile) -> Result<Backend, OpenError> {
    let container = AzureContainer::parse(setup.root).map_err(|error| ProfileError::new(error.to_string()))?;
    let builder = match setup.credentials {
        StorageCredentials::Ambient => MicrosoftAzureBuilder::from_env(),
        StorageCredentials::AzureAccountKey { account_key } => {
            MicrosoftAzureBuilder::new().with_access_key(account_key.expose())
        }
        StorageCredentials::AzureServicePrincipal { tenant_id, client_id, client_secret, authority_host } => {
            let builder = MicrosoftAzureBuilder::new().with_client_secret_authorization(
                client_id,
                client_secret.expose(),
                tenant_id,
            );
            match authority_host {
                Some(host) => {
                    check_address(host)?;
                    builder.with_authority_host(host.trim_end_matches('/'))
                }
                None => builder,
            }
        }
        StorageCredentials::AzureSas { sas_token } => {
            MicrosoftAzureBuilder::new().with_config(AzureConfigKey::SasKey, sas_token.expose())
        }
        _ => return Err(other_cloud(setup)),
    };
    // Set in the credentials or in the environment.
    let account_key = builder.get_config_value(&AzureConfigKey::AccessKey).map(Secret::new);
    let endpoint = profile.blob_endpoint(&container);
    check_address(&endpoint)?;
    let options = client(setup.budget, Some(&endpoint));
    let delete = SingleDelete::new(&endpoint, container.account(), container.container(), &options, setup.budget)?;
    let store = builder
        .with_account(container.account())
        .with_container_name(container.container())
        .with_retry(retries(setup.budget))
        .with_client_options(options)
        .with_http_connector(TracedConnector)
        .with_endpoint(endpoint)
        .build()?;
    Ok(Backend::Azure { store: Arc::new(store), account_key, delete })
}

fn gcs(setup: &Setup<'_>, profile: &GcsProfile) -> Result<Backend, OpenError> {
    let builder = match setup.credentials {
        StorageCredentials::Ambient => GoogleCloudStorageBuilder::from_env(),
        StorageCredentials::GcsServiceAccount { key } => {
            GoogleCloudStorageBuilder::new().with_service_account_key(key.expose())
        }
        StorageCredentials::GcsToken { token } => GoogleCloudStorageBuilder::new().with_bearer_token(token.expose()),
        _ => return Err(other_cloud(setup)),
    };
    let service_account_key = service_account_key(&builder);
    let mut builder = builder
        .with_bucket_name(setup.root.authority())
        .with_retry(retries(setup.budget))
        .with_client_options(client(setup.budget, profile.endpoint.as_deref()))
        .with_http_connector(TracedConnector);
    if let Some(endpoint) = &profile.endpoint {
        check_address(endpoint)?;
        builder = builder.with_base_url(endpoint.trim_end_matches('/'));
    }
    Ok(Backend::Gcs { store: Arc::new(builder.build()?), service_account_key })
}

/// Returns the text of the service account's key, from the settings or from a file that the environment names. The caller must
/// check the text: such a file may contain another kind of credentials.
fn service_account_key(builder: &GoogleCloudStorageBuilder) -> Option<Secret<String>> {
    if let Some(key) = builder.get_config_value(&GoogleConfigKey::ServiceAccountKey) {
        return Some(Secret::new(key));
    }
    let files = [GoogleConfigKey::ServiceAccount, GoogleConfigKey::ApplicationCredentials];
    let file = files.iter().find_map(|named| builder.get_config_value(named))?;
    named_file::read_text(file.as_ref()).ok().map(Secret::new)
}

/// Returns the HTTP options of a store's client. Allows plain HTTP only if the endpoint begins with `http://`.
pub(super) fn client(budget: Budget, endpoint: Option<&str>) -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(budget.connect_timeout)
        .with_timeout(budget.request_timeout)
        .with_allow_http(endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")))
}

fn retries(budget: Budget) -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: Budget::RETRIES, retry_timeout: budget.retry_timeout }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(root: &str, profile: serde_json::Value, credentials: &StorageCredentials) -> Result<Storage, OpenError> {
        let root = Location::parse(root).unwrap();
        let profile = serde_json::from_value(profile).unwrap();
        Storage::open(&Setup {
            id: Uuid::nil(),
            root: &root,
            profile: &profile,
            credentials,
            budget: Budget::default(),
        })
    }

    #[test]
    fn credentials_of_another_cloud_are_refused() {
        let key = StorageCredentials::AzureAccountKey { account_key: Secret::new("a2V5".to_owned()) };
        for (root, profile) in [
            ("s3://bucket/lake", serde_json::json!({ "type": "s3", "region": "eu-west-1" })),
            ("gs://bucket/lake", serde_json::json!({ "type": "gcs" })),
            ("file:///srv/lake", serde_json::json!({ "type": "file" })),
        ] {
            let refused = open(root, profile, &key);
            assert!(matches!(refused, Err(OpenError::OtherCloud { .. })), "{root}: {refused:?}");
        }
        let adls = serde_json::json!({ "type": "adls" });
        open("abfss://c@account.dfs.core.windows.net/lake", adls, &key).unwrap();
    }

    #[test]
    fn unsigned_payload_reaches_the_client() {
        for unsigned in [true, false] {
            let (root, mut profile) =
                (Location::parse("s3://bucket/lake").unwrap(), serde_json::json!({ "type": "s3", "region": "a" }));
            profile["unsigned-payload"] = unsigned.into();
            let profile = serde_json::from_value(profile).unwrap();
            let StorageProfile::S3(s3) = &profile else { panic!("{profile:?}") };
            let (credentials, budget) = (&StorageCredentials::Ambient, Budget::default());
            let setup = Setup { id: Uuid::nil(), root: &root, profile: &profile, credentials, budget };
            let builder = s3_builder(&setup, s3).unwrap();
            let set = builder.get_config_value(&object_store::aws::AmazonS3ConfigKey::UnsignedPayload);
            assert_eq!(set.as_deref(), Some(if unsigned { "true" } else { "false" }));
        }
    }

    #[test]
    fn invalid_endpoint_address_is_refused() {
        for endpoint in ["http://127.0.0.1:99999", "http://1.2.3.999", "http://[::1", "http://a b"] {
            for path_style in [true, false] {
                let profile = serde_json::json!({
                    "type": "s3", "region": "a", "endpoint": endpoint, "path-style": path_style
                });
                let refused = open("s3://bucket/lake", profile, &StorageCredentials::Ambient);
                assert!(matches!(refused, Err(OpenError::Profile(_))), "{endpoint}: {refused:?}");
            }
        }
    }

    #[test]
    fn bucket_is_in_the_host_name_unless_path_style_is_set() {
        assert_eq!(bucket_endpoint("https://s3.example.com/", "b", true), "https://s3.example.com");
        assert_eq!(bucket_endpoint("https://s3.example.com", "b", false), "https://b.s3.example.com");
    }
}
