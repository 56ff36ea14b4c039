//! `storageConfigInfo`: the storage of a catalog, converted to and from the settings of a warehouse.
//!
//! Polaris reads its own credentials from its environment. Here they are the server's own, which only an operator may use, or
//! they are in write-only properties, such as `tidewater.credentials.kind`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tidewater_core::location::Location;
use tidewater_core::storage::StorageProfile;

use super::details::Properties;
use crate::api::error::ApiError;

/// The prefix of the properties with the storage's credentials. They are sealed, and never shown.
const CREDENTIALS: &str = "tidewater.credentials.";

/// The property with the tenant of an Azure catalog.
const AZURE_TENANT: &str = "tidewater.azure-tenant-id";

/// The region of stores without regions.
const ANY_REGION: &str = "us-east-1";

/// The storage of a catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "storageType", rename_all = "UPPERCASE")]
pub(super) enum StorageConfigInfo {
    S3(Aws),
    Azure(Azure),
    Gcs(Google),
    File(File),
}

/// Amazon S3, or a store with the same protocol.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Aws {
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_locations: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint_internal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sts_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sts_unavailable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_style_access: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_unavailable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_kms_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_kms_keys: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_keys: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decryption_keys: Option<Vec<String>>,
}

/// Azure storage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Azure {
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_locations: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_name: Option<String>,
    tenant_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_tenant_app_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hierarchical: Option<bool>,
}

/// Google Cloud Storage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Google {
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_locations: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gcs_service_account: Option<String>,
}

/// The server's own disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_locations: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_name: Option<String>,
}

impl StorageConfigInfo {
    /// Returns the storage of an existing warehouse.
    pub(super) fn from_warehouse(root: &str, profile: &StorageProfile, properties: &Properties) -> Self {
        let allowed_locations = Some(vec![root.to_owned()]);
        match profile {
            StorageProfile::File => Self::File(File { allowed_locations, storage_name: None }),
            StorageProfile::Gcs(_) => Self::Gcs(Google { allowed_locations, ..Google::default() }),
            StorageProfile::Adls(profile) => Self::Azure(Azure {
                allowed_locations,
                tenant_id: properties.get(AZURE_TENANT).cloned().unwrap_or_default(),
                hierarchical: Some(profile.hierarchical_namespace),
                ..Azure::default()
            }),
            StorageProfile::S3(profile) => Self::S3(Aws {
                allowed_locations,
                role_arn: profile.role_arn.clone(),
                external_id: profile.external_id.clone(),
                region: Some(profile.region.clone()),
                endpoint: profile.client_endpoint.clone().or_else(|| profile.endpoint.clone()),
                endpoint_internal: profile.client_endpoint.as_ref().and(profile.endpoint.clone()),
                sts_endpoint: profile.sts_endpoint.clone(),
                sts_unavailable: Some(profile.role_arn.is_none()),
                path_style_access: Some(profile.path_style),
                current_kms_key: profile.kms_key_arn.clone(),
                ..Aws::default()
            }),
        }
    }

    /// Returns the settings of a warehouse's storage, credentials included, in the form of `/management/v1`. `None` for the
    /// local disk. Moves the credentials out of the properties.
    ///
    /// # Errors
    /// 400 for a field that Tidewater does not apply, and for an allowed location outside of the root.
    pub(super) fn settings(&self, root: &Location, properties: &mut Properties) -> Result<Option<Value>, ApiError> {
        let credentials = take_credentials(properties);
        self.check_common(root)?;
        let settings = match self {
            Self::File(_) if credentials.is_some() => {
                return Err(ApiError::bad_request("Storage of the type FILE has no credentials"));
            }
            Self::File(_) => return Ok(None),
            Self::S3(aws) => aws.settings()?,
            Self::Azure(azure) => azure.settings(properties)?,
            Self::Gcs(google) => google.settings()?,
        };
        Ok(Some(with_credentials(settings, credentials)))
    }

    /// Returns the settings of a warehouse's storage after an update, or `None` if they stay. Settings that Polaris does not
    /// have stay as they are.
    ///
    /// # Errors
    /// 400 as for [`Self::settings`], and if changed settings need the sealed credentials again.
    pub(super) fn update(
        &self,
        (root, current, is_sealed): (&Location, &StorageProfile, bool),
        properties: &mut Properties,
    ) -> Result<Option<Value>, ApiError> {
        let has_credentials = properties.keys().any(|name| name.starts_with(CREDENTIALS));
        let unreadable = |error: serde_json::Error| ApiError::internal(&error);
        let before = serde_json::to_value(current).map_err(unreadable)?;
        let shown = Self::from_warehouse(root.as_str(), current, properties);
        if *self == shown && !has_credentials {
            return Ok(None);
        }
        let Some(mut settings) = self.settings(root, properties)? else {
            return if *current == StorageProfile::File { Ok(None) } else { Err(other_type()) };
        };
        let (Some(fields), Some(before)) = (settings.as_object_mut(), before.as_object()) else {
            return Err(other_type());
        };
        if fields.get("type") != before.get("type") {
            return Err(other_type());
        }
        for (name, value) in before.iter().filter(|(name, _)| !OF_POLARIS.contains(&name.as_str())) {
            fields.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let mut profile = fields.clone();
        profile.remove("credentials");
        let profile: StorageProfile = serde_json::from_value(profile.into())
            .map_err(|error| ApiError::bad_request(format!("Invalid storageConfigInfo: {error}")))?;
        if profile == *current && !has_credentials {
            return Ok(None);
        }
        if is_sealed && !has_credentials {
            return Err(ApiError::bad_request(format!(
                "A change of the storage needs its credentials again: send them in the properties '{CREDENTIALS}kind' and so on"
            )));
        }
        Ok(Some(settings))
    }

    /// Checks the fields that every storage has.
    fn check_common(&self, root: &Location) -> Result<(), ApiError> {
        let (locations, name) = match self {
            Self::S3(Aws { allowed_locations, storage_name, .. })
            | Self::Azure(Azure { allowed_locations, storage_name, .. })
            | Self::Gcs(Google { allowed_locations, storage_name, .. })
            | Self::File(File { allowed_locations, storage_name }) => (allowed_locations, storage_name),
        };
        check_absent("storageName", name.is_some(), "the warehouse has its own settings")?;
        for location in locations.iter().flatten() {
            let parsed = Location::parse(location).map_err(|error| ApiError::bad_request(error.to_string()))?;
            if parsed != *root && !root.contains(&parsed) {
                return Err(ApiError::bad_request(format!(
                    "The allowed location {location} is outside of the default base location {root}: a warehouse has one \
                     root. Create another catalog for it"
                )));
            }
        }
        Ok(())
    }
}

/// The fields of a warehouse's storage that `storageConfigInfo` has too.
const OF_POLARIS: [&str; 10] = [
    "type",
    "role-arn",
    "external-id",
    "region",
    "endpoint",
    "client-endpoint",
    "sts-endpoint",
    "path-style",
    "kms-key-arn",
    "hierarchical-namespace",
];

impl Aws {
    fn settings(&self) -> Result<Value, ApiError> {
        check_absent("userArn", self.user_arn.is_some(), "the credentials of the warehouse assume the role")?;
        if self.sts_unavailable == Some(true) && self.role_arn.is_some() {
            return Err(ApiError::bad_request(
                "`stsUnavailable` and `roleArn` contradict each other: without a token service, no role is assumed",
            ));
        }
        let region = match (&self.region, &self.endpoint) {
            (Some(region), _) => region,
            (None, Some(_)) => ANY_REGION,
            (None, None) => return Err(ApiError::bad_request("Give the `region` of the bucket")),
        };
        let (endpoint, client_endpoint) = match &self.endpoint_internal {
            Some(internal) => (Some(internal), self.endpoint.as_ref()),
            None => (self.endpoint.as_ref(), None),
        };
        let settings = json!({
            "type": "s3", "region": region, "endpoint": endpoint, "client-endpoint": client_endpoint,
            "sts-endpoint": self.sts_endpoint, "path-style": self.path_style_access.unwrap_or_default(),
            "role-arn": self.role_arn, "external-id": self.external_id, "kms-key-arn": self.kms_key()?,
        });
        Ok(without_nulls(settings))
    }

    /// Returns the only key that encrypts objects.
    fn kms_key(&self) -> Result<Option<&String>, ApiError> {
        let lists = [&self.allowed_kms_keys, &self.encryption_keys, &self.decryption_keys];
        let mut keys = self.current_kms_key.iter().chain(lists.into_iter().flatten().flatten());
        let first = keys.next();
        if keys.any(|other| Some(other) != first) {
            return Err(ApiError::bad_request("A warehouse has one KMS key: give the same key in all fields"));
        }
        Ok(first)
    }
}

impl Azure {
    fn settings(&self, properties: &mut Properties) -> Result<Value, ApiError> {
        check_absent("multiTenantAppName", self.multi_tenant_app_name.is_some(), "give the application's credentials")?;
        check_absent("consentUrl", self.consent_url.is_some(), "give the application's credentials")?;
        if !self.tenant_id.is_empty() {
            properties.insert(AZURE_TENANT.to_owned(), self.tenant_id.clone());
        }
        Ok(json!({ "type": "adls", "hierarchical-namespace": self.hierarchical.unwrap_or_default() }))
    }
}

impl Google {
    fn settings(&self) -> Result<Value, ApiError> {
        check_absent("gcsServiceAccount", self.gcs_service_account.is_some(), "give the service account's key")?;
        Ok(json!({ "type": "gcs" }))
    }
}

fn check_absent(field: &str, is_present: bool, instead: &str) -> Result<(), ApiError> {
    if is_present {
        return Err(ApiError::bad_request(format!("`{field}` is not supported: {instead}, see docs/polaris.md")));
    }
    Ok(())
}

fn other_type() -> ApiError {
    ApiError::bad_request("The type of a catalog's storage cannot change: create another catalog")
}

/// Takes the credentials out of the properties.
fn take_credentials(properties: &mut Properties) -> Option<Map<String, Value>> {
    let names: Vec<String> = properties.keys().filter(|name| name.starts_with(CREDENTIALS)).cloned().collect();
    let taken = names.into_iter().filter_map(|name| {
        let value = properties.remove(&name)?;
        Some((name.strip_prefix(CREDENTIALS)?.to_owned(), value.into()))
    });
    let taken: Map<String, Value> = taken.collect();
    (!taken.is_empty()).then_some(taken)
}

fn with_credentials(mut settings: Value, credentials: Option<Map<String, Value>>) -> Value {
    if let (Some(fields), Some(credentials)) = (settings.as_object_mut(), credentials) {
        fields.insert("credentials".to_owned(), credentials.into());
    }
    settings
}

fn without_nulls(mut settings: Value) -> Value {
    if let Some(fields) = settings.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    settings
}

#[cfg(test)]
mod tests;
