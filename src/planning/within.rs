//! The restrictions of the caller of a scan.

use sha2::{Digest, Sha256};
use tidewater_core::document::TableMetadata;
use tidewater_core::restrictions::Combined;
use tidewater_core::restrictions::planning::{NotPlanned, ScanRestriction};

/// The restrictions of the caller of a scan.
#[derive(Debug, Clone)]
pub(super) struct Within {
    combined: Combined,
    is_trusted_engine: bool,
}

impl Within {
    /// Takes the restriction of a permit.
    pub(super) fn new(restriction: Option<(Combined, bool)>) -> Option<Self> {
        restriction.map(|(combined, is_trusted_engine)| Self { combined, is_trusted_engine })
    }

    /// Returns a digest that is the same for equal restrictions, and different for others.
    pub(super) fn digest(&self) -> String {
        let identity = format!("{}|{}", self.is_trusted_engine, self.combined.identity());
        Sha256::digest(identity).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Checks that scans of the table can be planned within them.
    ///
    /// # Errors
    /// Why they cannot.
    pub(super) fn to_scan(&self, table: &TableMetadata) -> Result<ScanRestriction, NotPlanned> {
        match self.is_trusted_engine {
            true => Ok(ScanRestriction::of_trusted_engine(&self.combined)),
            false => ScanRestriction::new(&self.combined, table),
        }
    }
}
