//! What a client is given to reach a table's files with: settings and short-lived credentials, for exactly the table's
//! own locations. Each cloud has a file, which implements [`Vendor`].

mod azure;
mod cache;
mod circuit;
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

use tidewater_core::location::Location;
use tidewater_core::storage::s3_request::Refused;

pub use cache::{Ask, PASS, Vending};
pub use open::open_vendor;
pub use s3_trial::SigningTrial;
pub use tidewater_core::storage::Access;
pub use valid_location::{LocationRefused, ValidLocations};
pub use vendor::{Advice, Vendor};

/// Settings for a client's file access, by the names that clients read (`LoadTableResult`, `config`).
pub type Settings = BTreeMap<String, String>;

/// Credentials that a cloud gave for some locations.
#[derive(Clone)]
pub struct Issued {
    /// As clients read them.
    settings: BTreeMap<String, String>,
    /// What is good for one of the locations only, where the cloud gives credentials for one at a time.
    by_location: BTreeMap<Location, BTreeMap<String, String>>,
    /// When they were given, in milliseconds since 1970.
    issued_ms: i64,
    /// Until when they are good.
    expires_ms: i64,
}

/// What a client is given. What stands in it may be secret: it goes into an answer, and nowhere else.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Vended {
    /// `config` of a load or create (REST specification, `LoadTableResult`).
    pub config: BTreeMap<String, String>,
    /// `storage-credentials`: for each location, as a prefix, what to use below it. Clients compare texts, so a location that
    /// the table's document spells otherwise than its warehouse's root stands there in both spellings.
    pub credentials: Vec<Prefixed>,
    /// What a client is to say with every request that it wants signed (`remote-signing-config`, `properties`).
    pub signing_properties: BTreeMap<String, String>,
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
