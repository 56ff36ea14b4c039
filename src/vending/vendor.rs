//! The trait that each cloud implements to vend access to a warehouse's storage.

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;
use tidewater_core::location::Location;
use tidewater_core::storage::s3_request::S3Request;
use tidewater_core::storage::{Access, Delegation, StorageProfile, Wanted, choose};

use super::s3_trial::SigningTrial;
use super::{Issued, Settings, Signed, ValidLocations, VendingError};
use crate::storage::{Budget, StorageCredentials};

/// Vends access to one warehouse's storage.
#[async_trait]
pub trait Vendor: Debug + Send + Sync {
    /// Returns whether clients get neither credentials nor settings.
    fn is_none(&self) -> bool {
        false
    }

    /// Returns the storage profile, to test vended credentials with. None for the local disk.
    fn profile(&self) -> Option<StorageProfile>;

    /// Returns the credentials in vended settings.
    fn as_credentials(&self, settings: &BTreeMap<String, String>) -> Option<StorageCredentials>;

    /// Returns the remedies for a storage that does not work as configured.
    fn advice(&self) -> Advice;

    /// Returns whether there are credentials to vend.
    fn has_credentials(&self) -> bool;

    /// Returns whether the catalog signs clients' requests to the storage.
    fn signs(&self) -> bool {
        false
    }

    /// Returns the way in which a client gets access, out of those that it wants.
    fn delegation(&self, wanted: Wanted) -> Delegation {
        choose(wanted, self.has_credentials(), self.signs())
    }

    /// Returns the settings that a client needs besides credentials, such as the store's address.
    fn settings(&self) -> Settings;

    /// Repeats settings under the host in `spelling`, if clients of this cloud look for them there.
    fn with_host_of(&self, _spelling: &Location, settings: Settings) -> Settings {
        settings
    }

    /// Returns the name of the setting with the address for new credentials.
    fn refresh_setting(&self) -> Option<&'static str>;

    /// Returns the settings that make a client send its requests to `endpoint` for a signature. `endpoint` is a path below the
    /// catalog's address.
    fn signing_settings(&self, _endpoint: &str) -> Settings {
        Settings::new()
    }

    /// Requests credentials that reach exactly these locations.
    ///
    /// # Errors
    /// All of [`VendingError`] but `NotSigned` and `NoSigning`.
    async fn issue(&self, locations: &ValidLocations, access: Access, now_ms: i64) -> Result<Issued, VendingError>;

    /// Signs a client's request to the storage. The request must concern files in these locations, within `access`.
    ///
    /// # Errors
    /// `NoSigning`, `NotSigned`; `Unavailable` if the catalog's own credentials cannot be obtained.
    async fn sign(
        &self,
        _locations: &ValidLocations,
        _access: Access,
        _request: &S3Request<'_>,
        _now_ms: i64,
    ) -> Result<Signed, VendingError> {
        Err(VendingError::NoSigning)
    }

    /// Tests with real requests to the store whether signatures work, and whether they permit only the signed request. Returns
    /// none if the catalog signs no requests. The object `new` of the trial may exist afterwards.
    ///
    /// # Errors
    /// Returns the fault and its remedy as text.
    async fn try_signing(
        &self,
        _trial: &SigningTrial<'_>,
        _budget: Budget,
        _now_ms: i64,
    ) -> Option<Result<(), String>> {
        None
    }
}

/// The remedies for a warehouse's storage that does not work as configured. Each text ends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// Why the settings vend no credentials.
    pub why_none: &'static str,
    /// What to do if vended credentials reach more than their table.
    pub when_too_wide: &'static str,
    /// What to do if the store refuses the catalog's own credentials.
    pub when_refused: &'static str,
    /// What to do if the bucket, container or folder does not exist.
    pub when_not_found: &'static str,
    /// What to do if the store does not answer.
    pub when_unavailable: &'static str,
    /// What to do if the store refuses vended credentials.
    pub when_vended_is_refused: &'static str,
    /// What to do if the store overwrites an object despite the condition of the request.
    pub when_overwritten: &'static str,
}
