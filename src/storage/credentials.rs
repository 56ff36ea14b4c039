//! The catalog's own credentials for a storage. They are stored sealed and never shown.

use serde::{Deserialize, Serialize, Serializer};

use crate::base::secret::Secret;

/// The catalog's own credentials for a warehouse's storage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum StorageCredentials {
    /// The machine's credentials: its environment, its identity in the cloud, or, on the local disk, its user.
    #[default]
    Ambient,
    /// A key of an AWS account, or of another S3 store.
    AwsKey {
        /// Its public half.
        access_key_id: String,
        /// Its secret half.
        #[serde(serialize_with = "exposed")]
        secret_access_key: Secret<String>,
        /// The session token of a temporary key.
        #[serde(default, serialize_with = "exposed_if_any", skip_serializing_if = "Option::is_none")]
        session_token: Option<Secret<String>>,
    },
    /// The key of an Azure storage account.
    AzureAccountKey {
        /// In base64, as the portal shows it.
        #[serde(serialize_with = "exposed")]
        account_key: Secret<String>,
    },
    /// An application that is registered with Microsoft Entra ID.
    AzureServicePrincipal {
        /// The directory.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// One of its secrets.
        #[serde(serialize_with = "exposed")]
        client_secret: Secret<String>,
        /// The address of the token service, if it is not Microsoft's public one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authority_host: Option<String>,
    },
    /// A service account of Google Cloud.
    GcsServiceAccount {
        /// Its key file, whole: JSON.
        #[serde(serialize_with = "exposed")]
        key: Secret<String>,
    },
    /// A vended signature, to test it as a client would. It cannot be configured.
    #[serde(skip)]
    AzureSas {
        /// Its parameters, as in an address.
        sas_token: Secret<String>,
    },
    /// A vended token, to test it as a client would. It cannot be configured.
    #[serde(skip)]
    GcsToken {
        /// The text for the `Authorization` header, without its scheme.
        token: Secret<String>,
    },
}

impl StorageCredentials {
    /// Returns the name of their kind, without the secrets.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Ambient => "ambient",
            Self::AwsKey { .. } => "aws-key",
            Self::AzureAccountKey { .. } => "azure-account-key",
            Self::AzureServicePrincipal { .. } => "azure-service-principal",
            Self::GcsServiceAccount { .. } => "gcs-service-account",
            Self::AzureSas { .. } => "azure-sas",
            Self::GcsToken { .. } => "gcs-token",
        }
    }
}

/// Serializes a secret as text. Only for content that is sealed next.
fn exposed<S: Serializer>(secret: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

fn exposed_if_any<S: Serializer>(secret: &Option<Secret<String>>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => exposed(secret, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_parsed_from_toml_and_print_no_secret() {
        let text = "kind = 'aws-key'\naccess-key-id = 'AKIA'\nsecret-access-key = 'hush'";
        let credentials: StorageCredentials = toml::from_str(text).unwrap();
        let sealed = serde_json::to_vec(&credentials).unwrap();
        assert_eq!(serde_json::from_slice::<StorageCredentials>(&sealed).unwrap(), credentials);
        assert!(!format!("{credentials:?}").contains("hush"), "{credentials:?}");
        assert!(toml::from_str::<StorageCredentials>("kind = 'aws-key'\naccess-key = 'AKIA'").is_err());
        assert!(toml::from_str::<StorageCredentials>("kind = 'azure-sas'\nsas-token = 'x'").is_err());
    }
}
