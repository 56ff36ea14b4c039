//! Why a scan was not planned.

use tidewater_core::location::Location;
use tidewater_core::restrictions::planning::NotPlanned;

use crate::heavy::HeavyError;
use crate::metadata::MetadataError;

/// Why a scan was not planned.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PlanError {
    /// The request is malformed, or names something that the table does not have.
    #[error("{0}")]
    BadRequest(String),
    /// A restriction of the caller's roles does not allow the scan.
    #[error("{0}")]
    Restricted(#[from] NotPlanned),
    /// The catalog does not plan this scan. The client can.
    #[error("{0}. Plan the scan in the client")]
    Unsupported(String),
    /// The plan task is not one of this catalog for this table and caller, or its time is over, or its snapshot is gone.
    #[error(
        "Plan task does not exist: it is malformed, expired or for another table, or its snapshot was removed. Plan the scan again"
    )]
    NoSuchTask,
    /// Plans are not kept.
    #[error("Plan does not exist: {0}. Plan the scan again")]
    NoSuchPlan(String),
    /// A manifest list or manifest does not exist.
    #[error("Failed to open input stream for file: {0}")]
    Missing(Location),
    /// The scans that run take as much memory as they may.
    #[error("Too many scans are planned at the moment: {0}. Try again")]
    Busy(String),
    /// There is no key that seals plan tasks.
    #[error("Warehouse '{0}' cannot be used at the moment: an administrator finds the cause in the server's log")]
    NoKey(String),
    /// Storage did not answer.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// No worker or memory was free in time, or the request's time ended.
    #[error(transparent)]
    Heavy(#[from] HeavyError),
}

impl PlanError {
    /// Returns the name of its kind, for metrics.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::BadRequest(_) | Self::Restricted(_) | Self::NoSuchTask | Self::NoSuchPlan(_) => "refused",
            Self::Unsupported(_) => "unsupported",
            Self::Missing(_) | Self::Busy(_) | Self::NoKey(_) | Self::Metadata(_) | Self::Heavy(_) => "failed",
        }
    }
}
