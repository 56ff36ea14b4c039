//! Policies of maintenance, leases of tables, and records of runs.

use async_trait::async_trait;
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::upkeep::{HealthCounts, HealthSummary};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, get};
use super::events::event_add;
use super::pages::is_storable;
use super::params::params;
use crate::base::due::latest_lease_ms;
use crate::store::maintenance::{column_text, from_column, summary_from_row};
use crate::store::pages::PageFill;
use crate::store::{
    Change, EventDetails, EventObject, MAX_QUEUED_MS, MaintenanceLease, MaintenanceRun, MaintenanceState,
    MaintenanceStore, ObjectKind, Operation, Page, PolicyChange, PolicyObject, Resource, Result, RunFilter, RunOutcome,
    StoreError, StoredPolicy, TimedPage, WarehouseRef,
};

type Outcome<T> = std::result::Result<T, Failure>;

/// Checks that the object of a policy exists. It stays until the end of the transaction.
async fn check_object(transaction: &Transaction, warehouse_ref: WarehouseRef, on: &PolicyObject) -> Outcome<()> {
    let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
    // No column can hold U+0000, so no namespace has such a name.
    if on.namespace().is_some_and(|key| !is_storable(key)) {
        return Err(StoreError::NotFound(Resource::Namespace).into());
    }
    let (resource, found) = match on {
        PolicyObject::Warehouse => {
            let sql = "SELECT 1 FROM warehouse WHERE organisation = $1 AND id = $2 FOR KEY SHARE";
            (Resource::Warehouse, transaction.count(sql, params![organisation, warehouse]).await?)
        }
        PolicyObject::Namespace(ident) => {
            let sql = "SELECT 1 FROM namespace WHERE organisation = $1 AND warehouse = $2 AND key = $3 FOR KEY SHARE";
            (Resource::Namespace, transaction.count(sql, params![organisation, warehouse, ident.as_key()]).await?)
        }
        PolicyObject::Table(table) => {
            let sql = "SELECT 1 FROM tabular WHERE organisation = $1 AND warehouse = $2 AND id = $3 AND kind = 'table'
                       FOR KEY SHARE";
            (Resource::Table, transaction.count(sql, params![organisation, warehouse, table.0]).await?)
        }
    };
    if found > 0 { Ok(()) } else { Err(StoreError::NotFound(resource).into()) }
}

async fn policy_set(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    wanted: &PolicyChange<'_>,
    change: &Change,
) -> Outcome<()> {
    let PolicyChange { on, name, policy, most } = *wanted;
    // The lock lets concurrent changes of one policy, and of their number, wait for each other.
    let sql = "SELECT 1 FROM organisation WHERE id = $1 FOR NO KEY UPDATE";
    transaction.count(sql, params![warehouse_ref.organisation.0]).await?;
    check_object(transaction, warehouse_ref, on).await?;
    let (organisation, key) = (warehouse_ref.organisation.0, on.id(warehouse_ref.warehouse));
    let sql = "SELECT policy FROM maintenance_policy WHERE organisation = $1 AND object = $2";
    let known = transaction.query_first(sql, params![organisation, key]).await?;
    let known: Option<String> = known.map(|row| get(&row, 0)).transpose()?;
    let text = policy.map(column_text).transpose()?;
    if known == text {
        return Ok(());
    }
    let operation = if let Some(text) = &text {
        let sql = "SELECT count(*) FROM maintenance_policy WHERE organisation = $1";
        let count = transaction.query_first(sql, params![organisation]).await?;
        let count: i64 = count.map(|row| get(&row, 0)).transpose()?.unwrap_or(0);
        if known.is_none() && count >= i64::from(most) {
            return Err(StoreError::LimitReached { limit: u64::from(most) }.into());
        }
        let sql =
            "INSERT INTO maintenance_policy (organisation, warehouse, object, kind, namespace, policy, updated_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)
                   ON CONFLICT (organisation, object)
                   DO UPDATE SET policy = excluded.policy, updated_ms = excluded.updated_ms";
        let warehouse = warehouse_ref.warehouse.0;
        let (kind, namespace, text) = (on.kind(), on.namespace(), text.as_str());
        transaction.query(sql, params![organisation, warehouse, key, kind, namespace, text, change.at_ms]).await?;
        Operation::SetMaintenancePolicy
    } else {
        let sql = "DELETE FROM maintenance_policy WHERE organisation = $1 AND object = $2";
        transaction.query(sql, params![organisation, key]).await?;
        Operation::RemoveMaintenancePolicy
    };
    let object = match on {
        PolicyObject::Warehouse => EventObject::new(ObjectKind::Warehouse, Some(warehouse_ref.warehouse.0), name),
        PolicyObject::Namespace(_) => EventObject::new(ObjectKind::Namespace, None, name),
        PolicyObject::Table(id) => EventObject::new(ObjectKind::Table, Some(id.0), name),
    };
    let details = EventDetails::from_iter(text.map(|text| ("policy".to_owned(), text.into())));
    event_add(transaction, change, warehouse_ref, operation, &object, &details).await
}

fn policy_at(row: &Row) -> Result<StoredPolicy> {
    Ok(StoredPolicy {
        warehouse: WarehouseId(get(row, 0)?),
        on: PolicyObject::from_row(get(row, 2)?, get(row, 1)?, get(row, 3)?)?,
        policy: from_column("maintenance_policy.policy", get(row, 4)?)?,
    })
}

/// Removes the policy of a namespace that is dropped.
pub(super) async fn namespace_policy_forget(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    on: &PolicyObject,
) -> Outcome<()> {
    let sql = "DELETE FROM maintenance_policy WHERE organisation = $1 AND object = $2";
    let key = on.id(warehouse_ref.warehouse);
    transaction.query(sql, params![warehouse_ref.organisation.0, key]).await.map(drop)
}

/// Removes the policies and runs of a warehouse that is dropped.
pub(super) async fn warehouse_maintenance_forget(
    transaction: &Transaction,
    organisation: OrganisationId,
    warehouse: WarehouseId,
) -> Outcome<()> {
    let sql = "WITH policies AS (DELETE FROM maintenance_policy WHERE organisation = $1 AND warehouse = $2),
                    runs AS (DELETE FROM maintenance_run WHERE organisation = $1 AND warehouse = $2)
               DELETE FROM maintenance_state WHERE organisation = $1 AND warehouse = $2";
    transaction.query(sql, params![organisation.0, warehouse.0]).await.map(drop)
}

/// Removes the policy, the state and the runs of a table that is gone for good.
pub(super) async fn maintenance_forget(
    transaction: &Transaction,
    organisation: OrganisationId,
    table: TableId,
) -> Outcome<()> {
    let sql = "WITH policies AS (DELETE FROM maintenance_policy WHERE organisation = $1 AND object = $2),
                    runs AS (DELETE FROM maintenance_run WHERE organisation = $1 AND table_id = $2)
               DELETE FROM maintenance_state WHERE organisation = $1 AND table_id = $2";
    transaction.query(sql, params![organisation.0, table.0]).await.map(drop)
}

async fn claim(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    table: TableId,
    (now_ms, until_ms): (i64, i64),
) -> Outcome<Option<MaintenanceLease>> {
    let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
    let sql = "INSERT INTO maintenance_state AS known (organisation, warehouse, table_id, until_ms, attempts, state)
               SELECT $1, $2, $3, $5, 1, '{}' WHERE EXISTS
                   (SELECT 1 FROM tabular WHERE organisation = $1 AND warehouse = $2 AND id = $3 AND kind = 'table')
               ON CONFLICT (organisation, table_id) DO UPDATE SET until_ms = $5, attempts = known.attempts + 1
                   WHERE known.until_ms <= $4 OR known.until_ms > $6
               RETURNING attempts, state";
    let latest_ms = latest_lease_ms(now_ms, until_ms);
    let claimed =
        transaction.query_first(sql, params![organisation, warehouse, table.0, now_ms, until_ms, latest_ms]).await?;
    let Some(row) = claimed else { return Ok(None) };
    let sql = format!(
        "SELECT {RUN_COLUMNS} FROM maintenance_run AS run
         WHERE organisation = $1 AND table_id = $2 AND ended_ms IS NULL
               AND (outcome = 'running' OR held_until_ms <= $3 OR started_ms < $4) FOR UPDATE SKIP LOCKED"
    );
    // Whoever has locked a run ends it, or holds it: waiting for several could never end.
    let queued_before_ms = now_ms.saturating_sub(MAX_QUEUED_MS);
    let left = transaction.query(&sql, params![organisation, table.0, now_ms, queued_before_ms]).await?;
    abandon(transaction, &left, now_ms).await?;
    let attempt = u32::try_from(get::<i64>(&row, 0)?).unwrap_or(u32::MAX);
    let state = from_column("maintenance_state.state", get(&row, 1)?)?;
    Ok(Some(MaintenanceLease { warehouse_ref, table, attempt, state }))
}

/// Ends runs whose server is gone, and returns them.
async fn abandon(transaction: &Transaction, rows: &[Row], now_ms: i64) -> Outcome<Vec<MaintenanceRun>> {
    let mut runs = Vec::with_capacity(rows.len());
    for row in rows {
        let mut run = run_at(row)?;
        run.abandon(now_ms);
        let details = column_text(&run.details)?;
        let (organisation, outcome) = (run.warehouse_ref.organisation.0, run.outcome.as_str());
        transaction.query(UPDATE_RUN, params![organisation, run.id, run.ended_ms, outcome, details]).await?;
        runs.push(run);
    }
    Ok(runs)
}

async fn abandon_all(transaction: &Transaction, now_ms: i64, at_most: u32) -> Outcome<Vec<MaintenanceRun>> {
    // Another server may end the same runs: those that it has locked are its own.
    let sql = format!(
        "SELECT {RUN_COLUMNS} FROM maintenance_run AS run WHERE ended_ms IS NULL
             AND ((outcome = 'queued' AND held_until_ms <= $1) OR (outcome = 'running' AND NOT EXISTS
                 (SELECT 1 FROM maintenance_state AS state WHERE state.organisation = run.organisation
                      AND state.table_id = run.table_id AND until_ms > $1)))
         LIMIT $2 FOR UPDATE SKIP LOCKED"
    );
    let rows = transaction.query(&sql, params![now_ms, i64::from(at_most)]).await?;
    abandon(transaction, &rows, now_ms).await
}

async fn run_add(transaction: &Transaction, run: &MaintenanceRun, most: u32) -> Outcome<()> {
    let (organisation, warehouse) = (run.warehouse_ref.organisation.0, run.warehouse_ref.warehouse.0);
    let sql =
        "INSERT INTO maintenance_run (organisation, warehouse, table_id, id, operation, dry_run, started_ms, ended_ms,
                                            outcome, details, held_until_ms)
               SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 WHERE EXISTS
                   (SELECT 1 FROM tabular WHERE organisation = $1 AND warehouse = $2 AND id = $3)";
    let details = column_text(&run.details)?;
    let (operation, outcome) = (run.operation.as_str(), run.outcome.as_str());
    let row = params![
        organisation,
        warehouse,
        run.table.0,
        run.id,
        operation,
        run.dry_run,
        run.started_ms,
        run.ended_ms,
        outcome,
        details,
        run.held_until_ms
    ];
    transaction.query(sql, row).await?;
    let sql = "DELETE FROM maintenance_run WHERE organisation = $1 AND table_id = $2 AND (started_ms, id) <=
                   (SELECT started_ms, id FROM maintenance_run WHERE organisation = $1 AND table_id = $2
                    ORDER BY started_ms DESC, id DESC LIMIT 1 OFFSET $3)";
    transaction.query(sql, params![organisation, run.table.0, i64::from(most)]).await.map(drop)
}

/// Stores the end of a run.
const UPDATE_RUN: &str =
    "UPDATE maintenance_run SET ended_ms = $3, outcome = $4, details = $5 WHERE organisation = $1 AND id = $2";

/// The columns of a run, in the order in which [`run_at`] reads them.
const RUN_COLUMNS: &str = "run.organisation, run.warehouse, run.table_id, run.id, run.operation, run.dry_run,
     run.started_ms, run.ended_ms, run.outcome, run.details, run.held_until_ms";

fn run_at(row: &Row) -> Result<MaintenanceRun> {
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("maintenance_run: {error}"));
    Ok(MaintenanceRun {
        warehouse_ref: WarehouseRef {
            organisation: OrganisationId(get(row, 0)?),
            warehouse: WarehouseId(get(row, 1)?),
        },
        table: TableId(get(row, 2)?),
        id: get(row, 3)?,
        operation: get::<&str>(row, 4)?.parse().map_err(|error| corrupt(&error))?,
        dry_run: get(row, 5)?,
        started_ms: get(row, 6)?,
        ended_ms: get(row, 7)?,
        outcome: get::<&str>(row, 8)?.parse::<RunOutcome>()?,
        details: from_column("maintenance_run.details", get(row, 9)?)?,
        held_until_ms: get(row, 10)?,
    })
}

#[async_trait]
impl MaintenanceStore for PostgresStore {
    async fn policy_set(&self, warehouse_ref: WarehouseRef, wanted: &PolicyChange<'_>, change: &Change) -> Result<()> {
        transact!(self, for warehouse_ref.organisation, transaction =>
            policy_set(transaction, warehouse_ref, wanted, change))
    }

    async fn policy_list(&self, organisation: OrganisationId) -> Result<Vec<StoredPolicy>> {
        let sql = "SELECT warehouse, object, kind, namespace, policy FROM maintenance_policy WHERE organisation = $1
                   ORDER BY object";
        self.read(sql, params![organisation.0]).await?.iter().map(policy_at).collect()
    }

    async fn policy_organisations(&self) -> Result<Vec<OrganisationId>> {
        let sql = "SELECT id FROM organisation WHERE suspended_ms IS NULL AND delete_after_ms IS NULL AND EXISTS
                       (SELECT 1 FROM maintenance_policy WHERE maintenance_policy.organisation = organisation.id)
                   ORDER BY id";
        self.read(sql, &[]).await?.iter().map(|row| Ok(OrganisationId(get(row, 0)?))).collect()
    }

    async fn maintenance_states(
        &self,
        organisation: OrganisationId,
        tables: &[TableId],
    ) -> Result<Vec<Option<MaintenanceState>>> {
        let sql = "SELECT table_id, state FROM maintenance_state WHERE organisation = $1 AND table_id = ANY($2)";
        let ids: Vec<Uuid> = tables.iter().map(|table| table.0).collect();
        let mut found = std::collections::HashMap::new();
        for row in &self.read(sql, params![organisation.0, ids]).await? {
            let state: MaintenanceState = from_column("maintenance_state.state", get(row, 1)?)?;
            found.insert(get::<Uuid>(row, 0)?, state);
        }
        Ok(tables.iter().map(|table| found.get(&table.0).cloned()).collect())
    }

    async fn health_summary(&self, organisation: OrganisationId) -> Result<HealthSummary> {
        let figures = HealthCounts::NAMES.map(|name| {
            let value = format!("(health ->> '{name}')::bigint");
            format!(", coalesce(sum({value}), 0)::bigint, coalesce(max({value}), 0)")
        });
        let sql = format!(
            "SELECT count(*){} FROM (SELECT state::jsonb -> 'health' AS health FROM maintenance_state AS known
                 WHERE organisation = $1 AND EXISTS (SELECT 1 FROM tabular WHERE organisation = known.organisation
                     AND warehouse = known.warehouse AND id = known.table_id)) AS states
             WHERE health IS NOT NULL",
            figures.concat()
        );
        match self.read(&sql, params![organisation.0]).await?.first() {
            Some(row) => summary_from_row(|position| get(row, position)),
            None => Ok(HealthSummary::default()),
        }
    }

    async fn maintenance_claim(
        &self,
        warehouse_ref: WarehouseRef,
        table: TableId,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<Option<MaintenanceLease>> {
        transact!(self, transaction => claim(transaction, warehouse_ref, table, (now_ms, until_ms)))
    }

    async fn maintenance_hold(&self, lease: &MaintenanceLease, until_ms: i64) -> Result<bool> {
        let sql = "UPDATE maintenance_state SET until_ms = $4, state = $5
                   WHERE organisation = $1 AND table_id = $2 AND attempts = $3 RETURNING 1";
        let state = column_text(&lease.state)?;
        let (organisation, table) = (lease.warehouse_ref.organisation.0, lease.table.0);
        let held =
            self.change_rows(sql, params![organisation, table, i64::from(lease.attempt), until_ms, state]).await?;
        Ok(!held.is_empty())
    }

    async fn run_add(&self, run: &MaintenanceRun, most: u32) -> Result<()> {
        transact!(self, transaction => run_add(transaction, run, most))
    }

    async fn run_update(&self, run: &MaintenanceRun) -> Result<()> {
        let details = column_text(&run.details)?;
        let organisation = run.warehouse_ref.organisation.0;
        self.change_rows(UPDATE_RUN, params![organisation, run.id, run.ended_ms, run.outcome.as_str(), details])
            .await
            .map(drop)
    }

    async fn run_hold(&self, runs: &[Uuid], until_ms: i64) -> Result<()> {
        let sql = "UPDATE maintenance_run SET held_until_ms = $2 WHERE id = ANY($1) AND ended_ms IS NULL";
        self.change_rows(sql, params![runs.to_vec(), until_ms]).await.map(drop)
    }

    async fn run_abandon(&self, now_ms: i64, at_most: u32) -> Result<Vec<MaintenanceRun>> {
        transact!(self, transaction => abandon_all(transaction, now_ms, at_most))
    }

    async fn run_list(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &RunFilter,
        page: &TimedPage,
    ) -> Result<Page<MaintenanceRun>> {
        // A table and a warehouse have an index each, in the order of the list.
        let by_table = if filter.table.is_some() { "AND table_id = $5" } else { "AND $5::uuid IS NULL" };
        let sql = format!(
            "SELECT {RUN_COLUMNS} FROM maintenance_run AS run
             WHERE organisation = $1 AND warehouse = $2 AND (started_ms, id) < ($3, $4) {by_table}
                   AND ($6::uuid IS NULL OR id = $6)
             ORDER BY started_ms DESC, id DESC LIMIT $7"
        );
        let (at_ms, before) = page.before.map_or((i64::MAX, Uuid::max()), |moment| (moment.at_ms, moment.id));
        let table = filter.table.map(|table| table.0);
        let limit = page.limit.map(|limit| i64::from(limit) + 1);
        let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
        let found = params![organisation, warehouse, at_ms, before, table, filter.id, limit];
        let rows = self.read(&sql, found).await?;
        let (mut items, mut fill) = (Vec::new(), page.limit.map(PageFill::new));
        for row in &rows {
            if fill.as_ref().is_some_and(PageFill::is_full) {
                return Ok(Page { items, more: true });
            }
            items.push(run_at(row)?);
            if let Some(fill) = &mut fill {
                fill.count_row(row.raw_size_bytes(), true);
            }
        }
        Ok(Page { items, more: false })
    }

    async fn run_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64> {
        let sql = "DELETE FROM maintenance_run AS old USING
                       (SELECT organisation, id FROM maintenance_run WHERE started_ms < $1 ORDER BY started_ms LIMIT $2) AS oldest
                   WHERE old.organisation = oldest.organisation AND old.id = oldest.id RETURNING 1";
        Ok(self.change_rows(sql, params![before_ms, i64::from(at_most)]).await?.len() as u64)
    }
}
