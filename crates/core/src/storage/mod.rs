//! The rules for a warehouse's storage: its settings, and the access that clients get. Values without secrets.

mod access;
mod azure;
pub mod azure_sas;
mod delegation;
pub mod gcs_boundary;
mod profile;
mod roots;
pub mod s3_policy;
pub mod s3_request;

pub use access::Access;
pub use azure::{AzureContainer, AzureNameError, spelling_below};
pub use delegation::{Delegation, Wanted, choose};
pub use profile::{AdlsProfile, GcsProfile, ProfileError, S3Profile, StorageProfile};
pub use roots::roots_overlap;
