//! Maintenance of tables: policies, the lease of each table, and records of runs.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::name::NamespaceIdent;
use tidewater_core::upkeep::{HealthCounts, HealthSummary, MaintenanceOperation, MaintenancePolicy};
use uuid::Uuid;

use super::change::Change;
use super::error::{Result, StoreError};
use super::pages::{Page, TimedPage};
use super::warehouses::WarehouseRef;

/// How long a run is queued at most, in milliseconds.
pub const MAX_QUEUED_MS: i64 = 3_600_000;

/// The object of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyObject {
    /// A warehouse.
    Warehouse,
    /// A namespace, for all tables in it and below it.
    Namespace(NamespaceIdent),
    /// A table, whatever its name is.
    Table(TableId),
}

impl PolicyObject {
    /// Returns the kind, as the stores write it.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Warehouse => "warehouse",
            Self::Namespace(_) => "namespace",
            Self::Table(_) => "table",
        }
    }

    /// Returns the namespace's key, for its column.
    pub(super) fn namespace(&self) -> Option<&str> {
        match self {
            Self::Namespace(ident) => Some(ident.as_key()),
            Self::Warehouse | Self::Table(_) => None,
        }
    }

    /// Returns the id under which the policy is stored. A namespace has none: it gets one from its name and warehouse.
    pub(super) fn id(&self, warehouse: WarehouseId) -> Uuid {
        match self {
            Self::Warehouse => warehouse.0,
            Self::Table(id) => id.0,
            Self::Namespace(ident) => {
                let digest: [u8; 32] = Sha256::new()
                    .chain_update(warehouse.0.as_bytes())
                    .chain_update(ident.as_key().as_bytes())
                    .finalize()
                    .into();
                let mut id = [0; 16];
                id.copy_from_slice(&digest[..16]);
                Uuid::from_bytes(id)
            }
        }
    }

    /// Returns the object of a row.
    pub(super) fn from_row(kind: &str, id: Uuid, namespace: Option<&str>) -> Result<Self> {
        match (kind, namespace) {
            ("warehouse", None) => Ok(Self::Warehouse),
            ("table", None) => Ok(Self::Table(TableId(id))),
            ("namespace", Some(key)) => match NamespaceIdent::from_key(key) {
                Ok(ident) => Ok(Self::Namespace(ident)),
                Err(error) => Err(StoreError::Corrupt(format!("maintenance_policy.namespace: {error}"))),
            },
            _ => Err(StoreError::Corrupt(format!("maintenance_policy.kind: {kind}"))),
        }
    }
}

/// A stored policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolicy {
    /// Its warehouse.
    pub warehouse: WarehouseId,
    /// Its object.
    pub on: PolicyObject,
    /// The policy.
    pub policy: MaintenancePolicy,
}

/// A change of the policy of an object.
#[derive(Debug, Clone, Copy)]
pub struct PolicyChange<'a> {
    /// The object.
    pub on: &'a PolicyObject,
    /// Its name, for the event.
    pub name: &'a str,
    /// The policy, in place of the one before. `None` removes it.
    pub policy: Option<&'a MaintenancePolicy>,
    /// The most policies of the organisation.
    pub most: u32,
}

/// What is known about the maintenance of a table, apart from its runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct MaintenanceState {
    /// When each operation began last, by its name, in milliseconds since 1970.
    pub last_ms: BTreeMap<String, i64>,
    /// Files that an interrupted run has to remove.
    pub pending: Option<PendingRemoval>,
    /// How often their removal was begun.
    pub pending_tries: u32,
    /// What the last run found of the table's health.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<KnownHealth>,
}

/// What a run found of a table's health.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownHealth {
    /// The location of the metadata document that was current.
    pub document: String,
    /// The figures.
    #[serde(flatten)]
    pub counts: HealthCounts,
}

/// Files that are to be removed after a commit: those that only removed snapshots of a document need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PendingRemoval {
    /// The location of the document before the commit.
    pub base: String,
    /// The removed snapshots.
    pub snapshots: Vec<i64>,
}

/// A lease on the maintenance of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaintenanceLease {
    /// The warehouse of the table.
    pub warehouse_ref: WarehouseRef,
    /// The table.
    pub table: TableId,
    /// The number of the lease.
    pub attempt: u32,
    /// The state that the last holder left.
    pub state: MaintenanceState,
}

/// The outcome of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// It waits for its turn.
    Queued,
    /// It runs.
    Running,
    /// It did what there was to do, perhaps nothing.
    Succeeded,
    /// It failed. The message says why.
    Failed,
    /// Its server stopped. Another run continues.
    Stopped,
    /// Its server was killed, or lost the database for too long.
    Abandoned,
}

impl RunOutcome {
    /// All outcomes.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Stopped, Self::Abandoned];

    /// Returns its name, as stores and the API write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Abandoned => "abandoned",
        }
    }
}

impl fmt::Display for RunOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RunOutcome {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|outcome| outcome.as_str() == text);
        found.ok_or_else(|| StoreError::Corrupt(format!("maintenance_run.outcome: {text}")))
    }
}

/// A run of an operation on a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaintenanceRun {
    /// The warehouse of the table.
    pub warehouse_ref: WarehouseRef,
    /// The table.
    pub table: TableId,
    /// The run's id.
    pub id: Uuid,
    /// The operation.
    pub operation: MaintenanceOperation,
    /// Whether it only shows what it would do.
    pub dry_run: bool,
    /// When it began or was queued, in milliseconds since 1970.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Its outcome.
    pub outcome: RunOutcome,
    /// What it did, or would do.
    pub details: RunDetails,
    /// Until when its server holds it while it is queued, in milliseconds since 1970. A running one has the lease of its table.
    pub held_until_ms: Option<i64>,
}

impl MaintenanceRun {
    /// Ends a run whose server is gone.
    pub(super) fn abandon(&mut self, now_ms: i64) {
        let what = match self.outcome {
            RunOutcome::Queued => "before its turn came: start it again",
            _ => "during the run: the next run continues",
        };
        self.details.message = Some(format!("its server was killed, or lost the database for too long, {what}"));
        (self.outcome, self.ended_ms) = (RunOutcome::Abandoned, Some(now_ms));
    }
}

/// What a run did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct RunDetails {
    /// The table's name when it began.
    pub table: String,
    /// Who started it. `None` for a policy.
    pub started_by: Option<String>,
    /// Why it failed, or why it did nothing.
    pub message: Option<String>,
    /// Removed snapshots.
    pub snapshots: u64,
    /// Removed branches and tags.
    pub refs: u64,
    /// Removed files.
    pub files: u64,
    /// The size of removed files, as far as it is known.
    pub bytes: u64,
    /// Files that a rewrite replaced. They stay until their snapshots expire.
    pub replaced_files: u64,
    /// The size of replaced files.
    pub replaced_bytes: u64,
    /// New files that a rewrite wrote.
    pub written_files: u64,
    /// The size of new files.
    pub written_bytes: u64,
    /// How many files stayed, by the reason.
    pub kept: BTreeMap<String, u64>,
    /// The first objects that went, or would go.
    pub items: Vec<RunItem>,
    /// Whether there are more objects than `items` has.
    pub more_items: bool,
}

/// An object that a run removed, or would remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunItem {
    /// Its kind: `snapshot`, `branch`, `tag` or `file`; `left-alone` for files that a rewrite left alone.
    pub kind: String,
    /// A snapshot's id, a ref's name, a file's location, or a number of files.
    pub name: String,
    /// Why it goes, or why files were left alone.
    pub reason: String,
    /// A file's size in bytes, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The time of a snapshot, or of a file's last change, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
}

/// Selects runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only runs on this table.
    pub table: Option<TableId>,
    /// Only this run.
    pub id: Option<Uuid>,
}

/// Stores the maintenance of tables.
///
/// A change whose future is dropped may happen or not, but never in part. A claim whose future is dropped may have been made: its table
/// waits until the lease ends.
#[async_trait]
pub trait MaintenanceStore: Send + Sync + 'static {
    /// Sets or removes the policy of an object. Writes no event if nothing changes.
    ///
    /// # Errors
    /// `NotFound` when the warehouse, namespace or table does not exist; `LimitReached`.
    async fn policy_set(&self, warehouse_ref: WarehouseRef, wanted: &PolicyChange<'_>, change: &Change) -> Result<()>;

    /// Lists the policies of an organisation.
    async fn policy_list(&self, organisation: OrganisationId) -> Result<Vec<StoredPolicy>>;

    /// Lists the organisations with policies, except suspended ones and those whose deletion is scheduled.
    async fn policy_organisations(&self) -> Result<Vec<OrganisationId>>;

    /// Returns the states of tables, in the same order. `None` for a table without one.
    async fn maintenance_states(
        &self,
        organisation: OrganisationId,
        tables: &[TableId],
    ) -> Result<Vec<Option<MaintenanceState>>>;

    /// Sums up what is known of the health of an organisation's live tables.
    async fn health_summary(&self, organisation: OrganisationId) -> Result<HealthSummary>;

    /// Leases the maintenance of a live table until `until_ms`. Returns `None` if another server has the lease at `now_ms`, or there is
    /// no such table. Runs on the table that a killed server has left are `Abandoned` from then on: running ones, and queued ones that
    /// no server holds, or that are queued for longer than [`MAX_QUEUED_MS`].
    async fn maintenance_claim(
        &self,
        warehouse_ref: WarehouseRef,
        table: TableId,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<Option<MaintenanceLease>>;

    /// Stores the state of a lease, and extends it to `until_ms`, which may be now. Returns false, and does nothing, if another server
    /// has the lease.
    async fn maintenance_hold(&self, lease: &MaintenanceLease, until_ms: i64) -> Result<bool>;

    /// Adds a run, and removes the oldest runs on its table above `most`. Ignores a run on a table that does not exist.
    async fn run_add(&self, run: &MaintenanceRun, most: u32) -> Result<()>;

    /// Stores the outcome, the end and the details of a run. Ignores a run that no longer exists.
    async fn run_update(&self, run: &MaintenanceRun) -> Result<()>;

    /// Holds queued runs until `until_ms`. Ignores runs that have ended.
    async fn run_hold(&self, runs: &[Uuid], until_ms: i64) -> Result<()>;

    /// Ends up to `at_most` runs of all organisations whose server is gone at `now_ms`, as `Abandoned`, and returns them: queued ones that
    /// no server holds, and running ones on tables that are not leased.
    async fn run_abandon(&self, now_ms: i64, at_most: u32) -> Result<Vec<MaintenanceRun>>;

    /// Lists the runs in a warehouse, newest first.
    async fn run_list(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &RunFilter,
        page: &TimedPage,
    ) -> Result<Page<MaintenanceRun>>;

    /// Removes up to `at_most` runs of all organisations that began before a time. Returns their number.
    async fn run_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64>;
}

/// Creates a summary from a row: the number of tables, then for each figure its sum and its largest value.
pub(super) fn summary_from_row(mut value: impl FnMut(usize) -> Result<i64>) -> Result<HealthSummary> {
    let mut at = |position| Ok::<_, StoreError>(u64::try_from(value(position)?).unwrap_or(0));
    let (mut total, mut worst) = ([0; HealthCounts::NAMES.len()], [0; HealthCounts::NAMES.len()]);
    for (figure, (total, worst)) in total.iter_mut().zip(&mut worst).enumerate() {
        (*total, *worst) = (at(figure * 2 + 1)?, at(figure * 2 + 2)?);
    }
    let (total, worst) = (HealthCounts::from_values(total), HealthCounts::from_values(worst));
    Ok(HealthSummary { tables: at(0)?, total, worst })
}

/// Returns a value as the text of a column.
pub(super) fn column_text<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::NotMade(Box::new(error)))
}

/// Returns a value from the text of a column.
pub(super) fn from_column<T: for<'t> Deserialize<'t>>(column: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("{column}: {error}")))
}
