//! Maintenance of tables: runs operations on them as policies or people ask for it.
//!
//! A run holds the lease of its table, so no two runs work on one table. Changes of a table are ordinary commits. Files are removed
//! only after the commit, and only those that nothing leads to any more. A killed run leaves files behind, never a table without its
//! files: the next holder of the lease continues with what the state in the store says.
//!
//! - `schedule.rs`, `by_hand.rs`: runs on tables that are due, and runs that people start
//! - `due.rs`: when operations are due, and the tables that wait
//! - `turns.rs`: the places of runs, fair between organisations
//! - `policies.rs`: the policy of a table
//! - `lease.rs`: the lease while it is held
//! - `run.rs`, `operations.rs`: one run of one operation, and its record
//! - `records.rs`: the records of queued runs, and of servers that are gone
//! - `reading.rs`: reads of manifests, several at a time
//! - `reachable.rs`, `removal.rs`: the files that a table needs, and the removal of others
//! - `expire.rs`, `orphans.rs`, `rewrite.rs`: the operations
//! - `prepare.rs`, `objects.rs`: the thread of a rewrite, and the files that it reads and writes
//! - `health.rs`: figures about a table
//! - `known_health.rs`: those that each run stores for metrics
//! - `preview.rs`: its first rows

mod by_hand;
mod cursor;
mod due;
mod expire;
mod health;
mod known_health;
mod lease;
mod measures;
mod objects;
mod operations;
mod orphans;
mod parts;
mod policies;
mod prepare;
mod preview;
mod reachable;
mod reading;
mod records;
mod removal;
mod rewrite;
mod run;
mod schedule;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tidewater_core::ids::{OrganisationId, TableId};
use tidewater_core::upkeep::{MaintenanceOperation, MaintenancePolicy, PolicyError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::access::action::CommitTable;
use crate::access::{Authorizer, Denial, Table};
use crate::background::Task;
use crate::base::clock::{Clock, fresh_ordered_uuid};
use crate::base::keyed_lock::KeyedLock;
use crate::catalog::Catalog;
use crate::config::MaintenanceConfig;
use crate::manifests::ManifestCache;
use crate::metadata::{Documents, ObjectReader};
use crate::store::{
    Change, MaintenanceRun, PolicyChange, PolicyObject, RunDetails, RunOutcome, Store, StoreError, WarehouseRef,
};
use cursor::Cursor;
pub use due::DueFigures;
pub use health::{HealthError, PartitionsHealth, TableHealth};
pub use measures::UpkeepMeasures;
use parts::Parts;
pub use policies::Policies;
pub use preview::PreviewError;
use reading::READ_MIB;
pub use tidewater_rewrite::{Preview, PreviewColumn};
use turns::{Kind, Turns};

/// The memory for parsed manifests, in bytes. Runs read each manifest once, so more is of no use.
const MANIFEST_CACHE_BYTES: u64 = 8 << 20;

/// The most records of runs on one table.
const RUNS_PER_TABLE: u32 = 200;

/// The maintenance of tables.
pub struct Upkeep {
    parts: Arc<Parts>,
    running: TaskTracker,
    stop: CancellationToken,
    /// The turn of an organisation's previews.
    previews: KeyedLock<OrganisationId>,
    previews_at_once: Semaphore,
    /// Where the next look begins, for each organisation and kind of run.
    cursors: Mutex<HashMap<(OrganisationId, Kind), Cursor>>,
    /// The queued runs of this server.
    queued: Mutex<HashSet<Uuid>>,
    /// Whose due tables are maintained now. For each that waits: since when it is due, in milliseconds since 1970.
    active: Mutex<HashMap<(OrganisationId, Kind), HashMap<TableId, i64>>>,
}

/// A request for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunRequest {
    /// The operation.
    pub operation: MaintenanceOperation,
    /// Whether it only shows what it would do.
    pub dry_run: bool,
}

/// Why a run does not begin.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// Another run works on the table.
    #[error("Another run works on the table {0}: try again when it has ended")]
    Busy(String),
    /// Too many runs wait.
    #[error("Too many runs wait for their turn: try again when some have ended")]
    TooMany,
    /// A policy has a value that is not allowed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The caller may not commit to the table.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The caller's credentials cannot remove files.
    #[error("Your key has the option no-delete, so it cannot remove files of the table {0}: ask for a dry run")]
    NoDelete(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Upkeep {
    /// Creates the maintenance of the tables of `catalog`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        catalog: Arc<Catalog>,
        reader: ObjectReader,
        clock: Clock,
        config: MaintenanceConfig,
    ) -> Self {
        let manifests = ManifestCache::new(MANIFEST_CACHE_BYTES, reader.clone());
        // A run reads a document once or twice.
        let documents = Documents::with_reader(0, reader);
        let measures = UpkeepMeasures::default();
        let turns = Turns::new(config.tables_at_once);
        let parts = Parts {
            store,
            catalog,
            documents,
            manifests,
            clock,
            config,
            measures,
            turns,
            reads: Arc::new(Semaphore::new(READ_MIB as usize)),
        };
        Self {
            parts: Arc::new(parts),
            running: TaskTracker::new(),
            previews: KeyedLock::default(),
            previews_at_once: Semaphore::new(preview::AT_ONCE),
            stop: CancellationToken::new(),
            cursors: Mutex::default(),
            queued: Mutex::default(),
            active: Mutex::default(),
        }
    }

    /// Returns the measurements of runs.
    #[must_use]
    pub fn measures(&self) -> &UpkeepMeasures {
        &self.parts.measures
    }

    /// Returns the background task. At the stop it ends running operations, whose leases are free then.
    pub fn task(self: &Arc<Self>) -> Task {
        let look = |this: Arc<Self>, stop| async move { Ok(this.look(&stop).await?) };
        let last = |this: Arc<Self>, _| async move {
            this.stop.cancel();
            this.running.close();
            this.running.wait().await;
            Ok(0)
        };
        Task::every("table-maintenance", self.parts.config.look_interval(), self, look)
            .last(self, last)
            .while_failing("Tables are not maintained until then: check the database and its disk")
    }

    /// Returns how many runs wait for their turn, for each kind.
    pub fn waiting_runs(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Kind::ALL.into_iter().map(|kind| (kind.as_str(), self.turns().waiting(kind) as u64))
    }

    /// Returns the turns of runs.
    fn turns(&self) -> &Turns {
        &self.parts.turns
    }

    /// Stores the record of a run that begins, or is queued.
    async fn begin(
        &self,
        table: &Table,
        request: RunRequest,
        started_by: Option<String>,
        outcome: RunOutcome,
    ) -> Result<MaintenanceRun, StoreError> {
        let record = MaintenanceRun {
            warehouse_ref: table.warehouse.warehouse_ref,
            table: table.record.id,
            id: fresh_ordered_uuid(),
            operation: request.operation,
            dry_run: request.dry_run,
            started_ms: self.parts.clock.now_ms(),
            ended_ms: None,
            outcome,
            details: RunDetails { table: table.ident.to_string(), started_by, ..RunDetails::default() },
            held_until_ms: (outcome == RunOutcome::Queued).then(|| self.held_until_ms()),
        };
        self.parts.store.run_add(&record, RUNS_PER_TABLE).await?;
        Ok(record)
    }

    /// Sets the policy of an object. `None` removes it.
    ///
    /// # Errors
    /// `Policy`; `Store`.
    pub async fn policy_set(
        &self,
        warehouse_ref: WarehouseRef,
        (on, name): (&PolicyObject, &str),
        policy: Option<&MaintenancePolicy>,
        change: &Change,
    ) -> Result<(), UpkeepError> {
        let config = &self.parts.config;
        if let Some(policy) = policy {
            policy.check(config.min_orphan_age_ms())?;
        }
        let wanted = PolicyChange { on, name, policy, most: config.policies_per_organisation };
        Ok(self.parts.store.policy_set(warehouse_ref, &wanted, change).await?)
    }

    /// Returns the policies of an organisation.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn policies(&self, organisation: OrganisationId) -> Result<Policies, StoreError> {
        Ok(Policies::new(self.parts.store.policy_list(organisation).await?))
    }
}

/// Returns the authorizer of the catalog's own commits in an organisation.
fn own_authorizer(organisation: OrganisationId) -> Result<Authorizer<CommitTable>, Denial> {
    let principal = crate::access::Principal::administrator(organisation, crate::store::Actor::Catalog, None);
    Authorizer::new(principal)
}
