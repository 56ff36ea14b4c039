//! What all runs share.

use std::sync::Arc;

use super::measures::UpkeepMeasures;
use crate::base::clock::Clock;
use crate::catalog::Catalog;
use crate::config::MaintenanceConfig;
use crate::manifests::ManifestCache;
use crate::metadata::Documents;
use crate::store::Store;

/// The parts of the server that runs use.
pub(super) struct Parts {
    pub(super) store: Arc<dyn Store>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) documents: Documents,
    pub(super) manifests: ManifestCache,
    pub(super) clock: Clock,
    pub(super) config: MaintenanceConfig,
    pub(super) measures: UpkeepMeasures,
    /// The turn of rewrites: each may use all of their memory.
    pub(super) rewrites: tokio::sync::Mutex<()>,
}
