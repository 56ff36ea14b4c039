//! The settings of a warehouse's storage: parsed, and checked before anything is opened.

use serde::Deserialize;
use serde_json::Value;
use tidewater_core::location::Location;
use tidewater_core::storage::StorageProfile;

use crate::storage::StorageCredentials;
use crate::store::WarehouseOptions;

/// The address that issues tokens to Google's service accounts.
const GOOGLE_TOKENS: &str = "https://oauth2.googleapis.com/token";

/// Settings that cannot be used. The text says why, and repeats no value of the credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSettings(pub(super) String);

/// The settings of a storage.
#[derive(Debug)]
pub struct StorageSettings {
    /// Its kind and address.
    pub profile: StorageProfile,
    /// The credentials for it.
    pub credentials: StorageCredentials,
}

impl StorageSettings {
    /// Parses the settings of a storage, credentials included, for a warehouse at `root`. No error repeats a value of the
    /// credentials.
    ///
    /// # Errors
    /// Fails if `storage` is missing or has another form.
    pub fn parse(storage: Option<Value>, root: &Location) -> Result<Self, InvalidSettings> {
        let Some(storage) = storage else {
            if root.scheme() == "file" {
                return Ok(Self { profile: StorageProfile::File, credentials: StorageCredentials::Ambient });
            }
            return Err(InvalidSettings(format!(
                "{root} is not on the server's disk: pass the settings of its storage in `storage`"
            )));
        };
        let Value::Object(mut fields) = storage else {
            return Err(InvalidSettings("`storage` must be an object".to_owned()));
        };
        let credentials = match fields.remove("credentials") {
            None | Some(Value::Null) => StorageCredentials::Ambient,
            Some(section) => StorageCredentials::deserialize(section).map_err(|error| {
                InvalidSettings(format!("`storage.credentials`: {}", without_values(&error.to_string())))
            })?,
        };
        let profile = StorageProfile::deserialize(Value::Object(fields));
        let profile =
            profile.map_err(|error| InvalidSettings(format!("`storage`: {}", without_values(&error.to_string()))))?;
        Ok(Self { profile, credentials })
    }

    /// Returns the first field with an address that replaces the cloud's own.
    #[must_use]
    pub fn named_address(&self) -> Option<&'static str> {
        let (endpoint, sts_endpoint) = match &self.profile {
            StorageProfile::File => (None, None),
            StorageProfile::S3(profile) => (profile.endpoint.as_ref(), profile.sts_endpoint.as_ref()),
            StorageProfile::Adls(profile) => (profile.endpoint.as_ref(), None),
            StorageProfile::Gcs(profile) => (profile.endpoint.as_ref(), profile.sts_endpoint.as_ref()),
        };
        let in_credentials = match &self.credentials {
            StorageCredentials::AzureServicePrincipal { authority_host: Some(_), .. } => {
                Some("credentials.authority-host")
            }
            StorageCredentials::GcsServiceAccount { key } if !asks_google(key.expose()) => Some("credentials.key"),
            _ => None,
        };
        endpoint.map(|_| "endpoint").or(sts_endpoint.map(|_| "sts-endpoint")).or(in_credentials)
    }
}

/// Returns whether a service account's key file has only Google's addresses.
fn asks_google(key: &str) -> bool {
    serde_json::from_str::<Value>(key).is_ok_and(|key| {
        key.get("gcs_base_url").is_none() && key.get("token_uri").is_none_or(|address| address == GOOGLE_TOKENS)
    })
}

/// Returns a parser's message, or a general one if it repeats a value: that may be a secret in the wrong field.
fn without_values(message: &str) -> &str {
    let names_a_field = ["missing field", "unknown field"].iter().any(|start| message.starts_with(start));
    // The `type` or `kind` itself is no secret.
    let names_a_kind = message.starts_with("unknown variant");
    if names_a_field || names_a_kind { message } else { "a field has a value of the wrong type" }
}

/// Checks that the storage can enforce the options of its warehouse.
///
/// # Errors
/// Fails if it cannot enforce one.
pub fn check_options(options: WarehouseOptions, storage: &StorageProfile) -> Result<(), InvalidSettings> {
    if options.no_delete && *storage == StorageProfile::File {
        return Err(InvalidSettings(
            "`no-delete` is not possible on the local disk: engines reach the files there as the system's users, and nothing is \
             vended. Set the rights of the folder instead"
                .to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(storage: Value) -> Result<StorageSettings, String> {
        StorageSettings::parse(Some(storage), &Location::parse("s3://b/lake").unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn storage_holds_settings_and_credentials() {
        let credentials = json!({ "kind": "aws-key", "access-key-id": "AKIA", "secret-access-key": "hush" });
        let wanted = read(json!({ "type": "s3", "region": "a", "credentials": credentials })).unwrap();
        assert_eq!((wanted.profile.kind(), wanted.credentials.kind()), ("s3", "aws-key"));
        assert_eq!(read(json!({ "type": "gcs" })).unwrap().credentials, StorageCredentials::Ambient);
        assert!(StorageSettings::parse(None, &Location::parse("s3://b/lake").unwrap()).is_err());
    }

    #[test]
    fn error_names_the_field_and_no_secret() {
        let with = |credentials: Value| json!({ "type": "s3", "region": "a", "credentials": credentials });
        for (storage, says) in [
            (json!({ "type": "s4" }), "s4"),
            (json!({ "type": "s3", "region": "a", "rolearn": "x" }), "rolearn"),
            (with(json!({ "kind": "aws-key", "secret-access-key": "hush" })), "access-key-id"),
            (with(json!({ "kind": "aws-key", "access-key-id": ["hush"], "secret-access-key": "hush" })), "wrong type"),
            (with(json!("hush")), "wrong type"),
        ] {
            let error = read(storage.clone()).unwrap_err();
            assert!(error.contains(says) && !error.contains("hush"), "{storage}: {error}");
        }
    }
}
