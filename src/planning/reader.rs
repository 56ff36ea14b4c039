//! Reads a table's manifest lists and manifests, only at the table's own locations.

use std::sync::Arc;

use tidewater_core::location::Location;
use tidewater_manifests::{Manifest, ManifestList};

use super::error::PlanError;
use crate::manifests::{Held, ManifestCache, ManifestError};
use crate::metadata::{Document, MetadataError, ReadError};
use crate::storage::Storage;
use crate::vending::ValidLocations;
use crate::warehouse::OpenWarehouse;

/// Reads manifest lists and manifests of one table.
#[derive(Debug, Clone)]
pub(super) struct TableReader {
    cache: Arc<ManifestCache>,
    storage: Storage,
    /// Only these are read: a snapshot may name another table's manifests, which the caller may not read.
    locations: ValidLocations,
}

impl TableReader {
    /// Creates the reader of a table.
    ///
    /// # Errors
    /// `Unsupported` if the table's locations are outside of its warehouse.
    pub(super) fn new(
        cache: &Arc<ManifestCache>,
        warehouse: &OpenWarehouse,
        document: &Document,
    ) -> Result<Self, PlanError> {
        let outside = || PlanError::Unsupported("The table's files are outside of its warehouse".to_owned());
        let locations = document.locations_below(&warehouse.root).ok_or_else(outside)?;
        Ok(Self { cache: Arc::clone(cache), storage: warehouse.storage.clone(), locations })
    }

    /// Reads a manifest list.
    ///
    /// # Errors
    /// `Missing`; `Unsupported` if it is elsewhere or cannot be read; `Busy`, `Metadata`, `Heavy`.
    pub(super) async fn list(&self, path: &str) -> Result<Arc<Held<ManifestList>>, PlanError> {
        let location = self.own(path)?;
        self.cache.list(&self.storage, &location).await.map_err(|error| failed(location, error))
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub(super) async fn manifest(&self, path: &str) -> Result<Arc<Held<Manifest>>, PlanError> {
        let location = self.own(path)?;
        self.cache.manifest(&self.storage, &location).await.map_err(|error| failed(location, error))
    }

    fn own(&self, path: &str) -> Result<Location, PlanError> {
        let refused =
            |why: &dyn std::fmt::Display| PlanError::Unsupported(format!("Manifest {path} cannot be read: {why}"));
        let location = Location::parse(path).map_err(|error| refused(&error))?;
        if !self.locations.as_slice().iter().any(|own| own.contains(&location)) {
            return Err(refused(&"it is outside of the table's locations"));
        }
        Ok(location)
    }
}

fn failed(location: Location, error: ManifestError) -> PlanError {
    match error {
        ManifestError::Missing => PlanError::Missing(location),
        ManifestError::Unreadable(error) => {
            PlanError::Unsupported(format!("Manifest {location} cannot be read: {error}"))
        }
        error @ ManifestError::Busy { .. } => PlanError::Busy(format!("manifest {location} {error}")),
        ManifestError::Unavailable(ReadError::Storage(error)) => MetadataError::Storage(error).into(),
        ManifestError::Unavailable(ReadError::Heavy(error)) => error.into(),
        ManifestError::Unavailable(error @ ReadError::TooLarge { .. }) => {
            PlanError::Unsupported(format!("Manifest {location} {error}"))
        }
    }
}
