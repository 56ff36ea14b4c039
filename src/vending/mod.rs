//! What a client is given to reach a table's files with: settings and short-lived credentials, for exactly the table's
//! own locations. One file a cloud.

mod advice;
mod azure;
mod cache;
mod circuit;
mod given;
mod google;
mod google_key;
mod s3;
mod s3_signing;
mod s3_trial;
mod service;
mod valid_location;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tidewater_core::location::Location;
use tidewater_core::storage::s3_request::{Refused, S3Request};
use tidewater_core::storage::{Delegation, StorageProfile, Wanted, choose};

pub use cache::{Ask, PASS, Vending};
use given::LastGiven;
pub use s3_trial::SigningTrial;
pub use tidewater_core::storage::Access;
pub use valid_location::{LocationRefused, ValidLocations};

use crate::storage::{Budget, OpenError, Storage, StorageCredentials};

/// Settings for a client's file access, by the names that clients read (`LoadTableResult`, `config`).
pub type Settings = BTreeMap<String, String>;

/// Credentials that a cloud gave for some locations.
pub struct Issued {
    /// As clients read them.
    settings: BTreeMap<String, String>,
    /// What is good for one of the locations only, where the cloud gives credentials for one at a time.
    by_location: BTreeMap<Location, BTreeMap<String, String>>,
    /// When they were given, in milliseconds since 1970.
    issued_ms: i64,
    /// Until when they are good.
    expires_ms: i64,
    /// What was last given to a client with them.
    given: LastGiven<Vended>,
}

/// What a client is given. What stands in it may be secret: it goes into an answer, and nowhere else.
#[derive(Default)]
pub struct Vended {
    /// `config` of a load or create (REST specification, `LoadTableResult`).
    pub config: BTreeMap<String, String>,
    /// `storage-credentials`: for each location, as a prefix, what to use below it. Clients compare texts, so a location that
    /// the table's document spells otherwise than its warehouse's root stands there in both spellings.
    pub credentials: Vec<Prefixed>,
    /// What a client is to say with every request that it wants signed (`remote-signing-config`, `properties`).
    pub signing_properties: BTreeMap<String, String>,
    /// All of it as the end of an answer, once an answer has needed it.
    text: OnceLock<Bytes>,
}

impl Issued {
    /// Credentials that are good for all locations alike.
    const fn new(settings: Settings, issued_ms: i64, expires_ms: i64) -> Self {
        Self { settings, by_location: BTreeMap::new(), issued_ms, expires_ms, given: LastGiven::new() }
    }
}

impl Vended {
    /// Returns it as text that `spell` makes. The text is made once, and shared by all answers that give the same.
    pub fn text(&self, spell: impl FnOnce(&Self) -> String) -> Bytes {
        self.text.get_or_init(|| spell(self).into()).clone()
    }
}

/// A request with the catalog's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The headers to send: the client's own, and those that make the signature.
    pub headers: BTreeMap<String, Vec<String>>,
    /// Whether the same client may use it again for the same method and URL.
    pub may_be_reused: bool,
}

/// Settings for what begins with a prefix (REST specification, `StorageCredential`).
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
pub struct Prefixed {
    /// Ends in `/`, so that a table's credentials are never taken for those of one whose name begins alike.
    pub prefix: String,
    /// The settings.
    pub config: BTreeMap<String, String>,
}

/// Why nothing could be vended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VendingError {
    /// The cloud does not let the catalog give these.
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
    /// The request is not signed.
    #[error(transparent)]
    NotSigned(#[from] Refused),
    /// The warehouse's storage is not one that requests are signed for, or it is set up otherwise.
    #[error("requests to the storage of this warehouse are not signed: use credentials, vended or your own")]
    NoSigning,
    /// The table's locations are too many or too long for the cloud.
    #[error(transparent)]
    Policy(#[from] tidewater_core::storage::s3_policy::PolicyError),
    /// One of them cannot be given away by itself on Azure.
    #[error(transparent)]
    Sas(#[from] tidewater_core::storage::azure_sas::SasError),
    /// One of them cannot be given away by itself on Google Cloud, or they are too many.
    #[error(transparent)]
    Boundary(#[from] tidewater_core::storage::gcs_boundary::BoundaryError),
}

/// What of a warehouse's storage can be given away, and how.
#[derive(Debug)]
pub enum Vendor {
    /// Nothing: the local disk needs no credentials and knows none. An engine on the same machine reads the files as the
    /// user that it runs as, so nothing is given, and nothing is said that an engine could misunderstand.
    None,
    /// Sessions of a role, and signatures.
    S3(Box<s3::S3Vendor>),
    /// Signatures for folders.
    Azure(Box<azure::AzureVendor>),
    /// Tokens that are narrowed to folders.
    Google(Box<google::GoogleVendor>),
}

impl Vendor {
    /// What a warehouse with this storage can give.
    ///
    /// # Errors
    /// When its client cannot be made.
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

    /// Whether there is nothing to give, nor to say.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// How a client reaches the storage, if what it is given is enough for that.
    #[must_use]
    pub fn profile(&self) -> Option<StorageProfile> {
        match self {
            Self::None => None,
            Self::S3(vendor) => Some(StorageProfile::S3(vendor.profile().clone())),
            Self::Azure(vendor) => Some(StorageProfile::Adls(vendor.profile().clone())),
            Self::Google(vendor) => Some(StorageProfile::Gcs(vendor.profile().clone())),
        }
    }

    /// The credentials among settings that were vended.
    #[must_use]
    pub fn as_credentials(&self, settings: &BTreeMap<String, String>) -> Option<StorageCredentials> {
        match self {
            Self::None => None,
            Self::S3(_) => s3::credentials(settings),
            Self::Azure(_) => azure::credentials(settings),
            Self::Google(_) => google::credentials(settings),
        }
    }

    /// How a client that wants this is to reach the files.
    #[must_use]
    pub fn delegation(&self, wanted: Wanted) -> Delegation {
        choose(wanted, self.has_credentials(), self.signs())
    }

    /// Signs a client's request to the storage, if it is about the files in these locations and within `access`.
    ///
    /// # Errors
    /// `NoSigning`, `NotSigned`; `Unavailable` when the catalog's own credentials are not to be had.
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

    /// Tries out on the store itself whether signed requests work, and do no more than they were signed for; nothing where
    /// none are signed. The object `new` of the trial may be there then.
    ///
    /// # Errors
    /// What does not work, and what can be done about it.
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

    /// What a client needs to know besides credentials: where the store is.
    fn settings(&self) -> Settings {
        match self {
            Self::None => Settings::new(),
            Self::S3(vendor) => vendor.settings(),
            Self::Azure(vendor) => vendor.settings(),
            Self::Google(vendor) => vendor.settings(),
        }
    }

    /// Adds settings under the host that a spelling of a location names, where clients look for them under that.
    fn with_host_of(&self, spelling: &Location, settings: Settings) -> Settings {
        match self {
            Self::Azure(vendor) => vendor.with_host_of(spelling, settings),
            Self::None | Self::S3(_) | Self::Google(_) => settings,
        }
    }

    /// Under which setting a client finds where it gets new credentials.
    const fn refresh_setting(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::S3(_) => Some("client.refresh-credentials-endpoint"),
            Self::Azure(_) => Some("adls.refresh-credentials-endpoint"),
            Self::Google(_) => Some("gcs.oauth2.refresh-credentials-endpoint"),
        }
    }

    /// What tells a client to have its requests signed at `endpoint`, a path below the catalog's address.
    fn signing_settings(&self, endpoint: &str) -> Settings {
        match self {
            Self::S3(_) => s3_signing::settings(endpoint),
            Self::None | Self::Azure(_) | Self::Google(_) => Settings::new(),
        }
    }

    async fn issue(&self, locations: &ValidLocations, access: Access, now_ms: i64) -> Result<Issued, VendingError> {
        match self {
            Self::None => Ok(Issued::new(BTreeMap::new(), now_ms, i64::MAX)),
            Self::S3(vendor) => vendor.issue(locations, access, now_ms).await,
            Self::Azure(vendor) => vendor.issue(locations, access, now_ms).await,
            Self::Google(vendor) => vendor.issue(locations, access, now_ms).await,
        }
    }
}
