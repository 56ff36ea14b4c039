//! Vends settings and short-lived credentials to clients. The credentials reach exactly a table's own locations. Each cloud has
//! a file here.

mod azure;
mod cache;
mod circuit;
mod given;
mod google;
mod google_key;
mod local;
mod open;
mod s3;
mod s3_signing;
mod s3_trial;
mod service;
mod valid_location;
mod vendor;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use tidewater_core::location::Location;
use tidewater_core::storage::s3_request::Refused;

pub use cache::{Ask, PASS, Vending, VendingMeasures};
use given::LastGiven;
pub use open::open_vendor;
pub use s3_trial::SigningTrial;
pub use tidewater_core::storage::Access;
pub use valid_location::{LocationRefused, ValidLocations};
pub use vendor::{Advice, Vendor};

/// Settings for a client's file access, by the names that clients read (`LoadTableResult`, `config`).
pub type Settings = BTreeMap<String, String>;

/// Credentials that a cloud gave for some locations.
pub struct Issued {
    /// The settings, by the names that clients read.
    settings: BTreeMap<String, String>,
    /// The settings for each location, on clouds that issue credentials for one location at a time.
    by_location: BTreeMap<Location, BTreeMap<String, String>>,
    /// When they were issued, in milliseconds since 1970.
    issued_ms: i64,
    /// When they expire, in milliseconds since 1970.
    expires_ms: i64,
    /// The settings that were last vended with them.
    given: LastGiven<Vended>,
    /// Counts how often they were vended again, in the series of their cloud.
    cached: OnceLock<Counter>,
}

/// The settings that a client receives. They may be secret: they go into an answer, and nowhere else.
#[derive(Default)]
pub struct Vended {
    /// `config` of a load or create (REST specification, `LoadTableResult`).
    pub config: BTreeMap<String, String>,
    /// `storage-credentials`: the settings for each location, as a prefix. Clients compare texts, so a location that the
    /// table's document spells differently from the warehouse's root appears in both spellings.
    pub credentials: Vec<Prefixed>,
    /// Properties that a client sends with every request to sign (`remote-signing-config`, `properties`).
    pub signing_properties: BTreeMap<String, String>,
    /// The settings as the JSON at the end of an answer, made at its first use.
    text: OnceLock<Bytes>,
}

impl Issued {
    /// Returns credentials that are valid for all locations.
    const fn new(settings: Settings, issued_ms: i64, expires_ms: i64) -> Self {
        Self {
            settings,
            by_location: BTreeMap::new(),
            issued_ms,
            expires_ms,
            given: LastGiven::new(),
            cached: OnceLock::new(),
        }
    }
}

impl Vended {
    /// Returns the JSON that `spell` makes. It is made once and shared by all answers with these settings.
    pub fn text(&self, spell: impl FnOnce(&Self) -> String) -> Bytes {
        self.text.get_or_init(|| spell(self).into()).clone()
    }
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
        /// The service's name.
        service: &'static str,
        /// The service's message.
        message: String,
    },
    /// The cloud did not answer, or failed.
    #[error("{service} cannot be reached: {message}")]
    Unavailable {
        /// The service's name.
        service: &'static str,
        /// The failure.
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
    /// A location cannot have separate credentials on Azure.
    #[error(transparent)]
    Sas(#[from] tidewater_core::storage::azure_sas::SasError),
    /// A location cannot have separate credentials on Google Cloud, or there are too many locations.
    #[error(transparent)]
    Boundary(#[from] tidewater_core::storage::gcs_boundary::BoundaryError),
}

impl VendingError {
    /// Returns the name of its kind, for metrics.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Unavailable { .. } => "unavailable",
            Self::NotSigned(_) | Self::NoSigning | Self::Policy(_) | Self::Sas(_) | Self::Boundary(_) => "impossible",
        }
    }
}
