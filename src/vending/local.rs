//! The local disk, which needs no credentials and knows none. An engine on the same machine reads the files as the user that
//! it runs as, so nothing is given, and nothing is said that an engine could misunderstand.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tidewater_core::storage::{Access, StorageProfile};

use super::vendor::{Advice, Vendor};
use super::{Issued, Settings, ValidLocations, VendingError};
use crate::storage::StorageCredentials;

/// Gives nothing.
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
            why_none: "the local disk has none",
            when_too_wide: "the store does not enforce session policies, so set no `role-arn`, and let the catalog sign requests \
                            instead",
            when_refused: "check that this user may read and write there",
            when_not_found: "check the folder's name",
            when_unavailable: "check that the folder's disk is there and works, and that the server's user may write there",
            when_vended_is_refused: "check the policy of the role in `role-arn`",
            when_overwritten: "it does not keep to the conditions that requests have, as emulators do not, and is not fit for \
                               metadata",
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
