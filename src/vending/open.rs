//! Opens the vendor that a warehouse's storage needs.

use std::sync::Arc;

use tidewater_core::storage::StorageProfile;

use super::azure::AzureVendor;
use super::google::GoogleVendor;
use super::local::LocalVendor;
use super::s3::S3Vendor;
use super::vendor::Vendor;
use crate::storage::{Budget, OpenError, Storage};

/// Returns the vendor of a warehouse with this storage.
///
/// # Errors
/// Fails if the vendor's HTTP client cannot be created.
pub fn open_vendor(profile: &StorageProfile, storage: &Storage, budget: Budget) -> Result<Arc<dyn Vendor>, OpenError> {
    let vendor: Option<Arc<dyn Vendor>> = match (profile, storage.aws_credentials()) {
        (StorageProfile::S3(profile), Some(own)) => {
            Some(Arc::new(S3Vendor::new(profile.clone(), Arc::clone(own), budget)?))
        }
        (StorageProfile::Adls(profile), _) => {
            AzureVendor::new(profile.clone(), storage, budget)?.map(|vendor| Arc::new(vendor) as _)
        }
        (StorageProfile::Gcs(profile), _) => {
            GoogleVendor::new(profile.clone(), storage, budget)?.map(|vendor| Arc::new(vendor) as _)
        }
        _ => None,
    };
    Ok(vendor.unwrap_or_else(|| Arc::new(LocalVendor)))
}
