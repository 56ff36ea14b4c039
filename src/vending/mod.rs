//! Vending: the settings and short-lived credentials with which a client reaches a table's files, for exactly the table's own
//! locations. Each cloud has a file.

mod advice;
mod azure;
mod cache;
mod circuit;
mod google;
mod google_key;
mod s3;
mod s3_signing;
mod s3_trial;
mod service;
mod valid_location;

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewater_core::location::Location;
use tidewater_core::storage::s3_request::{Refused, S3Request};
use tidewater_core::storage::{Delegation, StorageProfile, Wanted, choose};

pub use cache::{Ask, PASS, Vending};
pub use s3_trial::SigningTrial;
pub use tidewater_core::storage::Access;
pub use valid_location::{LocationRefused, ValidLocations};

use crate::storage::{Budget, OpenError, Storage, StorageCredentials};

/// Settings for a client's file access, by the names that clients read (`LoadTableResult`, `config`).
pub type Settings = BTreeMap<String, String>;

/// Credentials from a cloud for some locations.
#[derive(Clone)]
pub struct Issued {
    /// The settings, by the names that clients read.
    settings: BTreeMap<String, String>,
    /// Settings for one location each, where the cloud gives credentials for one location at a time.
    by_location: BTreeMap<Location, BTreeMap<String, String>>,
    /// When they were issued, in milliseconds since 1970.
    issued_ms: i64,
    /// When they expire, in milliseconds since 1970.
    expires_ms: i64,
}

/// The answer to a request for access. It may contain secrets, so it goes into the HTTP answer and nowhere else.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Vended {
    /// `config` of a load or create (REST specification, `LoadTableResult`).
    pub config: BTreeMap<String, String>,
    /// `storage-credentials`: the settings for each location, as a prefix. Clients compare texts, so a location that the
    /// table's document spells differently from the warehouse's root appears in both spellings.
    pub credentials: Vec<Prefixed>,
    /// Properties that a client sends with every request to sign (`remote-signing-config`, `properties`).
    pub signing_properties: BTreeMap<String, String>,
}

/// A request with the catalog's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The headers to send: the client's own and those of the signature.
    pub headers: BTreeMap<String, Vec<String>>,
    /// Whether the client may reuse it for the same method and URL.
    pub may_be_reused: bool,
}

/// Settings for the locations below a prefix (REST specification, `StorageCredential`).
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
pub struct Prefixed {
    /// The prefix. It ends in `/`, so that it does not match a table whose name only begins with the same text.
    pub prefix: String,
    /// The settings.
    pub config: BTreeMap<String, String>,
}

/// Why access could not be vended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VendingError {
    /// The cloud refused the credentials.
    #[error("{service} refuses credentials for the table: {message}")]
    Refused {
        /// Who.
        service: &'static str,
        /// What it said.
        message: String,
    },
    /// The cloud did not answer, or failed.
    #[error("{service} cannot be reached: {message}")]
    Unavailable {
        /// Who.
        service: &'static str,
        /// What happened.
        message: String,
    },
    /// The request must not be signed.
    #[error(transparent)]
    NotSigned(#[from] Refused),
    /// The warehouse's storage or settings do not allow signed requests.
    #[error("requests to the storage of this warehouse are not signed: use credentials, vended or your own")]
    NoSigning,
    /// The table's locations are too many or too long for the cloud.
    #[error(transparent)]
    Policy(#[from] tidewater_core::storage::s3_policy::PolicyError),
    /// One of the locations cannot have credentials of its own on Azure.
    #[error(transparent)]
    Sas(#[from] tidewater_core::storage::azure_sas::SasError),
    /// One of the locations cannot have credentials of its own on Google Cloud, or they are too many.
    #[error(transparent)]
    Boundary(#[from] tidewater_core::storage::gcs_boundary::BoundaryError),
}

/// How access to a warehouse's storage is vended.
#[derive(Debug)]
pub enum Vendor {
    /// Not at all: the local disk has no credentials. An engine on the same machine reads the files as its own user, and gets no
    /// settings that it could misunderstand.
    None,
    /// Sessions of a role, and signatures.
    S3(Box<s3::S3Vendor>),
    /// Signatures for folders.
    Azure(Box<azure::AzureVendor>),
    /// Tokens restricted to folders.
    Google(Box<google::GoogleVendor>),
}

impl Vendor {
    /// Creates the vendor of a warehouse with this storage.
    ///
    /// # Errors
    /// Fails if its HTTP client cannot be created.
    pub fn open(profile: &StorageProfile, storage: &Storage, budget: Budget) -> Result<Self, OpenError> {
        match (profile, storage.aws_credentials()) {
            (StorageProfile::S3(profile), Some(own)) => {
                Ok(Self::S3(Box::new(s3::S3Vendor::new(profile.clone(), Arc::clone(own), budget)?)))
            }
            (StorageProfile::Adls(profile), _) => {
                let vendor = azure::AzureVendor::new(profile.clone(), storage, budget)?;
                Ok(vendor.map_or(Self::None, |vendor| Self::Azure(Box::new(vendor))))
            }
            (StorageProfile::Gcs(profile), _) => {
                let vendor = google::GoogleVendor::new(profile.clone(), storage, budget)?;
                Ok(vendor.map_or(Self::None, |vendor| Self::Google(Box::new(vendor))))
            }
            _ => Ok(Self::None),
        }
    }

    /// Returns whether it vends neither credentials nor settings.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Opens the storage with vended credentials, as a client does; none when they are not enough for that.
    #[must_use]
    pub fn profile(&self) -> Option<StorageProfile> {
        match self {
            Self::None => None,
            Self::S3(vendor) => Some(StorageProfile::S3(vendor.profile().clone())),
            Self::Azure(vendor) => Some(StorageProfile::Adls(vendor.profile().clone())),
            Self::Google(vendor) => Some(StorageProfile::Gcs(vendor.profile().clone())),
        }
    }

    /// Returns the credentials in vended settings.
    #[must_use]
    pub fn as_credentials(&self, settings: &BTreeMap<String, String>) -> Option<StorageCredentials> {
        match self {
            Self::None => None,
            Self::S3(_) => s3::credentials(settings),
            Self::Azure(_) => azure::credentials(settings),
            Self::Google(_) => google::credentials(settings),
        }
    }

    /// Returns how a client with this wish is to access the files.
    #[must_use]
    pub fn delegation(&self, wanted: Wanted) -> Delegation {
        choose(wanted, self.has_credentials(), self.signs())
    }

    /// Signs a client's request to the storage, if it is about the files in these locations and within `access`.
    ///
    /// # Errors
    /// `NoSigning`, `NotSigned`; `Unavailable` when the catalog's own credentials cannot be obtained.
    pub async fn sign(
        &self,
        locations: &ValidLocations,
        access: Access,
        request: &S3Request<'_>,
        now_ms: i64,
    ) -> Result<Signed, VendingError> {
        match self {
            Self::S3(vendor) if vendor.signs() => vendor.sign(locations, access, request, now_ms).await,
            _ => Err(VendingError::NoSigning),
        }
    }

    /// Tests on the store whether signed requests work and do no more than was signed; none where no requests are signed. The
    /// object `new` of the trial may exist afterwards.
    ///
    /// # Errors
    /// The fault and its remedy, as text.
    pub async fn try_signing(
        &self,
        trial: &SigningTrial<'_>,
        budget: Budget,
        now_ms: i64,
    ) -> Option<Result<(), String>> {
        match self {
            Self::S3(vendor) if vendor.signs() => Some(vendor.try_signing(trial, budget, now_ms).await),
            _ => None,
        }
    }

    fn signs(&self) -> bool {
        matches!(self, Self::S3(vendor) if vendor.signs())
    }

    fn has_credentials(&self) -> bool {
        match self {
            Self::None => false,
            Self::S3(vendor) => vendor.has_credentials(),
            Self::Azure(vendor) => vendor.has_credentials(),
            Self::Google(vendor) => vendor.has_credentials(),
        }
    }

    /// Returns the settings besides credentials, which name the store.
    fn settings(&self) -> Settings {
        match self {
            Self::None => Settings::new(),
            Self::S3(vendor) => vendor.settings(),
            Self::Azure(vendor) => vendor.settings(),
            Self::Google(vendor) => vendor.settings(),
        }
    }

    /// Adds settings under the host in a location's spelling, for clients that look them up by host.
    fn with_host_of(&self, spelling: &Location, settings: Settings) -> Settings {
        match self {
            Self::Azure(vendor) => vendor.with_host_of(spelling, settings),
            Self::None | Self::S3(_) | Self::Google(_) => settings,
        }
    }

    /// Returns the setting in which a client finds the endpoint for new credentials.
    const fn refresh_setting(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::S3(_) => Some("client.refresh-credentials-endpoint"),
            Self::Azure(_) => Some("adls.refresh-credentials-endpoint"),
            Self::Google(_) => Some("gcs.oauth2.refresh-credentials-endpoint"),
        }
    }

    /// Returns the settings that make a client have its requests signed at `endpoint`, a path below the catalog's address.
    fn signing_settings(&self, endpoint: &str) -> Settings {
        match self {
            Self::S3(_) => s3_signing::settings(endpoint),
            Self::None | Self::Azure(_) | Self::Google(_) => Settings::new(),
        }
    }

    async fn issue(&self, locations: &ValidLocations, access: Access, now_ms: i64) -> Result<Issued, VendingError> {
        match self {
            Self::None => Ok(Issued {
                settings: BTreeMap::new(),
                by_location: BTreeMap::new(),
                issued_ms: now_ms,
                expires_ms: i64::MAX,
            }),
            Self::S3(vendor) => vendor.issue(locations, access, now_ms).await,
            Self::Azure(vendor) => vendor.issue(locations, access, now_ms).await,
            Self::Google(vendor) => vendor.issue(locations, access, now_ms).await,
        }
    }
}
