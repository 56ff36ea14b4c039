//! The local disk, which has no credentials. An engine on the same machine reads the files with the rights of its own user, so
//! this vendor returns no credentials and no settings.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tidewater_core::storage::{Access, StorageProfile};

use super::vendor::{Advice, Vendor};
use super::{Issued, Settings, ValidLocations, VendingError};
use crate::storage::StorageCredentials;

/// Vends nothing.
#[derive(Debug)]
pub(super) struct LocalVendor;

#[async_trait]
impl Vendor for LocalVendor {
    fn is_none(&self) -> bool {
        true
    }

    fn profile(&self) -> Option<StorageProfile> {
        None
    }

    fn as_credentials(&self, _settings: &BTreeMap<String, String>) -> Option<StorageCredentials> {
        None
    }

    fn advice(&self) -> Advice {
        Advice {
            why_none: "the local disk has no credentials",
            when_too_wide: "the store does not enforce session policies: remove `role-arn`, and let the catalog sign requests \
                            instead",
            when_refused: "check that the server's user may read and write there, and that the disk is not mounted read-only",
            when_not_found: "check the folder's name",
            when_unavailable: "check that the folder's disk is mounted and works",
            when_vended_is_refused: "check the policy of the role in `role-arn`",
            when_overwritten: "it ignores the conditions of requests, as emulators do, so it cannot store metadata safely",
        }
    }

    fn has_credentials(&self) -> bool {
        false
    }

    fn settings(&self) -> Settings {
        Settings::new()
    }

    fn refresh_setting(&self) -> Option<&'static str> {
        None
    }

    async fn issue(&self, _locations: &ValidLocations, _access: Access, now_ms: i64) -> Result<Issued, VendingError> {
        Ok(Issued::new(BTreeMap::new(), now_ms, i64::MAX))
    }
}
