//! What each cloud implements to give away access to a warehouse's storage.

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;
use tidewater_core::location::Location;
use tidewater_core::storage::s3_request::S3Request;
use tidewater_core::storage::{Access, Delegation, StorageProfile, Wanted, choose};

use super::s3_trial::SigningTrial;
use super::{Issued, Settings, Signed, ValidLocations, VendingError};
use crate::storage::{Budget, StorageCredentials};

/// What of a warehouse's storage can be given away, and how.
#[async_trait]
pub trait Vendor: Debug + Send + Sync {
    /// Returns whether there is nothing to give, nor to say.
    fn is_none(&self) -> bool {
        false
    }

    /// Returns how a client reaches the storage, if what it is given is enough for that.
    fn profile(&self) -> Option<StorageProfile>;

    /// Returns the credentials among settings that were vended.
    fn as_credentials(&self, settings: &BTreeMap<String, String>) -> Option<StorageCredentials>;

    /// Returns what a person can do where the storage does not work as it is set up.
    fn advice(&self) -> Advice;

    /// Returns whether there are credentials to vend.
    fn has_credentials(&self) -> bool;

    /// Returns whether requests to the storage are signed.
    fn signs(&self) -> bool {
        false
    }

    /// Returns how a client that wants this is to reach the files.
    fn delegation(&self, wanted: Wanted) -> Delegation {
        choose(wanted, self.has_credentials(), self.signs())
    }

    /// Returns what a client needs to know besides credentials: where the store is.
    fn settings(&self) -> Settings;

    /// Adds settings under the host that a spelling of a location names, where clients look for them under that.
    fn with_host_of(&self, _spelling: &Location, settings: Settings) -> Settings {
        settings
    }

    /// Returns the setting under which a client finds where it gets new credentials.
    fn refresh_setting(&self) -> Option<&'static str>;

    /// Returns what tells a client to have its requests signed at `endpoint`, a path below the catalog's address.
    fn signing_settings(&self, _endpoint: &str) -> Settings {
        Settings::new()
    }

    /// Asks the cloud for credentials that reach exactly these locations.
    ///
    /// # Errors
    /// All of [`VendingError`] but `NotSigned` and `NoSigning`.
    async fn issue(&self, locations: &ValidLocations, access: Access, now_ms: i64) -> Result<Issued, VendingError>;

    /// Signs a client's request to the storage, if it is about the files in these locations and within `access`.
    ///
    /// # Errors
    /// `NoSigning`, `NotSigned`; `Unavailable` when the catalog's own credentials are not to be had.
    async fn sign(
        &self,
        _locations: &ValidLocations,
        _access: Access,
        _request: &S3Request<'_>,
        _now_ms: i64,
    ) -> Result<Signed, VendingError> {
        Err(VendingError::NoSigning)
    }

    /// Tries out on the store itself whether signed requests work, and do no more than they were signed for; nothing where
    /// none are signed. The object `new` of the trial may be there then.
    ///
    /// # Errors
    /// What does not work, and what can be done about it.
    async fn try_signing(
        &self,
        _trial: &SigningTrial<'_>,
        _budget: Budget,
        _now_ms: i64,
    ) -> Option<Result<(), String>> {
        None
    }
}

/// What a person can do where a warehouse's storage does not work as it is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// Why there are no credentials to vend, where that is so by the settings.
    pub why_none: &'static str,
    /// What to do where vended credentials turn out to reach more than they should.
    pub when_too_wide: &'static str,
    /// What to do where the store refuses the catalog itself.
    pub when_refused: &'static str,
    /// What to do where there is nothing at the place that the settings name.
    pub when_not_found: &'static str,
    /// What to do where the store does not answer.
    pub when_unavailable: &'static str,
    /// What to do where the store refuses what was vended.
    pub when_vended_is_refused: &'static str,
    /// What to do where the store writes over an object that it was told not to.
    pub when_overwritten: &'static str,
}
