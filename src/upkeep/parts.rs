//! What all runs share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::measures::UpkeepMeasures;
use super::turns::Turns;
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
    pub(super) turns: Turns,
    /// The memory of manifests that are read, in MiB of their files.
    pub(super) reads: Arc<Semaphore>,
}
