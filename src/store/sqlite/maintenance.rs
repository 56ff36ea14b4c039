//! Policies of maintenance, leases of tables, and records of runs.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::upkeep::{HealthCounts, HealthSummary, MaintenancePolicy};
use uuid::Uuid;

use super::SqliteStore;
use super::convert::id;
use super::events::event_add;
use super::pages::{before, one_more_before, row_bytes};
use crate::base::due::latest_lease_ms;
use crate::store::maintenance::{column_text, from_column, summary_from_row};
use crate::store::pages::PageFill;
use crate::store::{
    Change, EventDetails, EventObject, MAX_QUEUED_MS, MaintenanceLease, MaintenanceRun, MaintenanceState,
    MaintenanceStore, ObjectKind, Operation, Page, PolicyChange, PolicyObject, Resource, Result, RunFilter, RunOutcome,
    StoreError, StoredPolicy, TimedPage, WarehouseRef,
};

/// Checks that the object of a policy exists.
fn check_object(connection: &Connection, warehouse_ref: WarehouseRef, on: &PolicyObject) -> Result<()> {
    let (organisation, warehouse) = (warehouse_ref.organisation.0.into_bytes(), warehouse_ref.warehouse.0.into_bytes());
    let (resource, found) = match on {
        PolicyObject::Warehouse => (
            Resource::Warehouse,
            connection
                .prepare_cached("SELECT 1 FROM warehouse WHERE organisation = ?1 AND id = ?2")?
                .exists(params![organisation, warehouse])?,
        ),
        PolicyObject::Namespace(ident) => (
            Resource::Namespace,
            connection
                .prepare_cached("SELECT 1 FROM namespace WHERE organisation = ?1 AND warehouse = ?2 AND key = ?3")?
                .exists(params![organisation, warehouse, ident.as_key()])?,
        ),
        PolicyObject::Table(table) => (
            Resource::Table,
            connection
                .prepare_cached(
                    "SELECT 1 FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3 AND kind = 'table'",
                )?
                .exists(params![organisation, warehouse, table.0.into_bytes()])?,
        ),
    };
    if found { Ok(()) } else { Err(StoreError::NotFound(resource)) }
}

fn policy_set(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    (on, name): (&PolicyObject, &str),
    policy: Option<&MaintenancePolicy>,
    most: u32,
    change: &Change,
) -> Result<()> {
    check_object(connection, warehouse_ref, on)?;
    let organisation = warehouse_ref.organisation.0.into_bytes();
    let key = on.id(warehouse_ref.warehouse);
    let known: Option<String> = connection
        .prepare_cached("SELECT policy FROM maintenance_policy WHERE organisation = ?1 AND object = ?2")?
        .query_row(params![organisation, key.into_bytes()], |row| row.get(0))
        .optional()?;
    let text = policy.map(column_text).transpose()?;
    if known == text {
        return Ok(());
    }
    let operation = if let Some(text) = &text {
        let count: u32 = connection
            .prepare_cached("SELECT count(*) FROM maintenance_policy WHERE organisation = ?1")?
            .query_row([organisation], |row| row.get(0))?;
        if known.is_none() && count >= most {
            return Err(StoreError::LimitReached { limit: u64::from(most) });
        }
        connection
            .prepare_cached(
                "INSERT INTO maintenance_policy (organisation, warehouse, object, kind, namespace, policy, updated_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (organisation, object)
                 DO UPDATE SET policy = excluded.policy, updated_ms = excluded.updated_ms",
            )?
            .execute(params![
                organisation,
                warehouse_ref.warehouse.0.into_bytes(),
                key.into_bytes(),
                on.kind(),
                on.namespace(),
                text,
                change.at_ms,
            ])?;
        Operation::SetMaintenancePolicy
    } else {
        connection
            .prepare_cached("DELETE FROM maintenance_policy WHERE organisation = ?1 AND object = ?2")?
            .execute(params![organisation, key.into_bytes()])?;
        Operation::RemoveMaintenancePolicy
    };
    let object = event_object(warehouse_ref, on, name);
    let details = EventDetails::from_iter(text.map(|text| ("policy".to_owned(), text.into())));
    event_add(connection, change, warehouse_ref, operation, &object, &details)
}

fn event_object(warehouse_ref: WarehouseRef, on: &PolicyObject, name: &str) -> EventObject {
    match on {
        PolicyObject::Warehouse => EventObject::new(ObjectKind::Warehouse, Some(warehouse_ref.warehouse.0), name),
        PolicyObject::Namespace(_) => EventObject::new(ObjectKind::Namespace, None, name),
        PolicyObject::Table(id) => EventObject::new(ObjectKind::Table, Some(id.0), name),
    }
}

fn policy_at(row: &Row<'_>) -> Result<StoredPolicy> {
    let object = Uuid::from_bytes(row.get(1)?);
    let namespace: Option<String> = row.get(3)?;
    Ok(StoredPolicy {
        warehouse: id(WarehouseId, row.get(0)?),
        on: PolicyObject::from_row(&row.get::<_, String>(2)?, object, namespace.as_deref())?,
        policy: from_column("maintenance_policy.policy", &row.get::<_, String>(4)?)?,
    })
}

/// Removes the policy of a namespace that is dropped.
pub(super) fn namespace_policy_forget(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    on: &PolicyObject,
) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM maintenance_policy WHERE organisation = ?1 AND object = ?2")?
        .execute(params![warehouse_ref.organisation.0.as_bytes(), on.id(warehouse_ref.warehouse).as_bytes()])?;
    Ok(())
}

/// Removes the policies and runs of a warehouse that is dropped.
pub(super) fn warehouse_maintenance_forget(
    connection: &Connection,
    organisation: OrganisationId,
    warehouse: WarehouseId,
) -> Result<()> {
    for sql in [
        "DELETE FROM maintenance_policy WHERE organisation = ?1 AND warehouse = ?2",
        "DELETE FROM maintenance_state WHERE organisation = ?1 AND warehouse = ?2",
        "DELETE FROM maintenance_run WHERE organisation = ?1 AND warehouse = ?2",
    ] {
        connection.prepare_cached(sql)?.execute(params![organisation.0.as_bytes(), warehouse.0.as_bytes()])?;
    }
    Ok(())
}

/// Removes the policy, the state and the runs of a table that is gone for good.
pub(super) fn maintenance_forget(connection: &Connection, organisation: OrganisationId, table: TableId) -> Result<()> {
    for sql in [
        "DELETE FROM maintenance_policy WHERE organisation = ?1 AND object = ?2",
        "DELETE FROM maintenance_state WHERE organisation = ?1 AND table_id = ?2",
        "DELETE FROM maintenance_run WHERE organisation = ?1 AND table_id = ?2",
    ] {
        connection.prepare_cached(sql)?.execute(params![organisation.0.as_bytes(), table.0.as_bytes()])?;
    }
    Ok(())
}

fn claim(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    table: TableId,
    (now_ms, until_ms): (i64, i64),
) -> Result<Option<MaintenanceLease>> {
    let (organisation, key) = (warehouse_ref.organisation.0.into_bytes(), table.0.into_bytes());
    let claimed: Option<(u32, String)> = connection
        .prepare_cached(
            "INSERT INTO maintenance_state AS known (organisation, warehouse, table_id, until_ms, attempts, state)
             SELECT ?1, ?2, ?3, ?5, 1, '{}' WHERE EXISTS
                 (SELECT 1 FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3 AND kind = 'table')
             ON CONFLICT (organisation, table_id) DO UPDATE SET until_ms = ?5, attempts = known.attempts + 1
                 WHERE known.until_ms <= ?4 OR known.until_ms > ?6
             RETURNING attempts, state",
        )?
        .query_row(
            params![
                organisation,
                warehouse_ref.warehouse.0.into_bytes(),
                key,
                now_ms,
                until_ms,
                latest_lease_ms(now_ms, until_ms)
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((attempt, state)) = claimed else { return Ok(None) };
    let left = connection
        .prepare_cached(&format!(
            "SELECT {RUN_COLUMNS} FROM maintenance_run WHERE organisation = ?1 AND table_id = ?2 AND ended_ms IS NULL
                 AND (outcome = 'running' OR held_until_ms <= ?3 OR started_ms < ?4)"
        ))?
        .query_and_then(params![organisation, key, now_ms, now_ms.saturating_sub(MAX_QUEUED_MS)], run_at)?
        .collect::<Result<Vec<_>>>()?;
    abandon(connection, left, now_ms)?;
    let state = from_column("maintenance_state.state", &state)?;
    Ok(Some(MaintenanceLease { warehouse_ref, table, attempt, state }))
}

/// Ends runs whose server is gone, and returns them.
fn abandon(connection: &Connection, mut runs: Vec<MaintenanceRun>, now_ms: i64) -> Result<Vec<MaintenanceRun>> {
    for run in &mut runs {
        run.abandon(now_ms);
        run_update(connection, run)?;
    }
    Ok(runs)
}

fn abandon_all(connection: &Connection, now_ms: i64, at_most: u32) -> Result<Vec<MaintenanceRun>> {
    let runs = connection
        .prepare_cached(&format!(
            "SELECT {RUN_COLUMNS} FROM maintenance_run AS run WHERE ended_ms IS NULL
                 AND ((outcome = 'queued' AND held_until_ms <= ?1) OR (outcome = 'running' AND NOT EXISTS
                     (SELECT 1 FROM maintenance_state AS state WHERE state.organisation = run.organisation
                          AND state.table_id = run.table_id AND until_ms > ?1)))
             LIMIT ?2"
        ))?
        .query_and_then(params![now_ms, at_most], run_at)?
        .collect::<Result<Vec<_>>>()?;
    abandon(connection, runs, now_ms)
}

fn run_update(connection: &Connection, run: &MaintenanceRun) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE maintenance_run SET ended_ms = ?3, outcome = ?4, details = ?5 WHERE organisation = ?1 AND id = ?2",
        )?
        .execute(params![
            run.warehouse_ref.organisation.0.as_bytes(),
            run.id.as_bytes(),
            run.ended_ms,
            run.outcome.as_str(),
            column_text(&run.details)?,
        ])?;
    Ok(())
}

fn run_add(connection: &Connection, run: &MaintenanceRun, most: u32) -> Result<()> {
    let (organisation, table) = (run.warehouse_ref.organisation.0.into_bytes(), run.table.0.into_bytes());
    connection
        .prepare_cached(
            "INSERT INTO maintenance_run (organisation, warehouse, table_id, id, operation, dry_run, started_ms, ended_ms,
                                          outcome, details, held_until_ms)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 WHERE EXISTS
                 (SELECT 1 FROM tabular WHERE organisation = ?1 AND warehouse = ?2 AND id = ?3)",
        )?
        .execute(params![
            organisation,
            run.warehouse_ref.warehouse.0.into_bytes(),
            table,
            run.id.into_bytes(),
            run.operation.as_str(),
            run.dry_run,
            run.started_ms,
            run.ended_ms,
            run.outcome.as_str(),
            column_text(&run.details)?,
            run.held_until_ms,
        ])?;
    connection
        .prepare_cached(
            "DELETE FROM maintenance_run WHERE organisation = ?1 AND table_id = ?2 AND (started_ms, id) <=
                 (SELECT started_ms, id FROM maintenance_run WHERE organisation = ?1 AND table_id = ?2
                  ORDER BY started_ms DESC, id DESC LIMIT 1 OFFSET ?3)",
        )?
        .execute(params![organisation, table, most])?;
    Ok(())
}

/// The columns of a run, in the order in which [`run_at`] reads them.
const RUN_COLUMNS: &str =
    "organisation, warehouse, table_id, id, operation, dry_run, started_ms, ended_ms, outcome, details, held_until_ms";

fn run_at(row: &Row<'_>) -> Result<MaintenanceRun> {
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("maintenance_run: {error}"));
    let organisation = id(OrganisationId, row.get(0)?);
    Ok(MaintenanceRun {
        warehouse_ref: WarehouseRef { organisation, warehouse: id(WarehouseId, row.get(1)?) },
        table: id(TableId, row.get(2)?),
        id: id(|uuid| uuid, row.get(3)?),
        operation: row.get::<_, String>(4)?.parse().map_err(|error| corrupt(&error))?,
        dry_run: row.get(5)?,
        started_ms: row.get(6)?,
        ended_ms: row.get(7)?,
        outcome: row.get::<_, String>(8)?.parse::<RunOutcome>()?,
        details: from_column("maintenance_run.details", &row.get::<_, String>(9)?)?,
        held_until_ms: row.get(10)?,
    })
}

fn run_list(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    filter: &RunFilter,
    page: &TimedPage,
) -> Result<Page<MaintenanceRun>> {
    // A table and a warehouse have an index each, in the order of the list.
    let by_table = if filter.table.is_some() { "AND table_id = ?5" } else { "AND ?5 IS NULL" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {RUN_COLUMNS} FROM maintenance_run
         WHERE organisation = ?1 AND warehouse = ?2 AND (started_ms, id) < (?3, ?4) {by_table} AND (?6 IS NULL OR id = ?6)
         ORDER BY started_ms DESC, id DESC LIMIT ?7"
    ))?;
    let (at_ms, before) = before(page);
    let mut rows = statement.query(params![
        warehouse_ref.organisation.0.as_bytes(),
        warehouse_ref.warehouse.0.as_bytes(),
        at_ms,
        before,
        filter.table.as_ref().map(|table| table.0.as_bytes()),
        filter.id.map(Uuid::into_bytes),
        one_more_before(page),
    ])?;
    let (mut items, mut fill) = (Vec::new(), page.limit.map(PageFill::new));
    while let Some(row) = rows.next()? {
        if fill.as_ref().is_some_and(PageFill::is_full) {
            return Ok(Page { items, more: true });
        }
        items.push(run_at(row)?);
        if let Some(fill) = &mut fill {
            fill.count_row(row_bytes(row), true);
        }
    }
    Ok(Page { items, more: false })
}

fn health_summary(connection: &Connection, organisation: OrganisationId) -> Result<HealthSummary> {
    let figures = HealthCounts::NAMES.map(|name| {
        let value = format!("json_extract(health, '$.\"{name}\"')");
        format!(", coalesce(sum({value}), 0), coalesce(max({value}), 0)")
    });
    let sql = format!(
        "SELECT count(*){} FROM (SELECT json_extract(state, '$.health') AS health FROM maintenance_state AS known
             WHERE organisation = ?1 AND EXISTS (SELECT 1 FROM tabular WHERE organisation = known.organisation
                 AND warehouse = known.warehouse AND id = known.table_id))
         WHERE health IS NOT NULL",
        figures.concat()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([organisation.0.as_bytes()])?;
    match rows.next()? {
        Some(row) => summary_from_row(|position| Ok(row.get(position)?)),
        None => Ok(HealthSummary::default()),
    }
}

#[async_trait]
impl MaintenanceStore for SqliteStore {
    async fn policy_set(&self, warehouse_ref: WarehouseRef, wanted: &PolicyChange<'_>, change: &Change) -> Result<()> {
        let (on, name) = (wanted.on.clone(), wanted.name.to_owned());
        let (policy, most, change) = (wanted.policy.cloned(), wanted.most, change.clone());
        self.write(move |connection| {
            policy_set(connection, warehouse_ref, (&on, &name), policy.as_ref(), most, &change)
        })
        .await
    }

    async fn policy_list(&self, organisation: OrganisationId) -> Result<Vec<StoredPolicy>> {
        self.read_list(Some(organisation), move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT warehouse, object, kind, namespace, policy FROM maintenance_policy WHERE organisation = ?1
                 ORDER BY object",
            )?;
            let mut rows = statement.query([organisation.0.as_bytes()])?;
            let mut policies = Vec::new();
            while let Some(row) = rows.next()? {
                policies.push(policy_at(row)?);
            }
            Ok(policies)
        })
        .await
    }

    async fn policy_organisations(&self) -> Result<Vec<OrganisationId>> {
        self.read_list(None, |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id FROM organisation WHERE suspended_ms IS NULL AND delete_after_ms IS NULL AND EXISTS
                     (SELECT 1 FROM maintenance_policy WHERE maintenance_policy.organisation = organisation.id)
                 ORDER BY id",
            )?;
            let found = statement.query_map([], |row| Ok(id(OrganisationId, row.get(0)?)))?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn maintenance_states(
        &self,
        organisation: OrganisationId,
        tables: &[TableId],
    ) -> Result<Vec<Option<MaintenanceState>>> {
        let tables = tables.to_vec();
        self.read_list(Some(organisation), move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT state FROM maintenance_state WHERE organisation = ?1 AND table_id = ?2")?;
            let mut states = Vec::with_capacity(tables.len());
            for table in &tables {
                let found = params![organisation.0.as_bytes(), table.0.as_bytes()];
                let state: Option<String> = statement.query_row(found, |row| row.get(0)).optional()?;
                states.push(state.map(|state| from_column("maintenance_state.state", &state)).transpose()?);
            }
            Ok(states)
        })
        .await
    }

    async fn health_summary(&self, organisation: OrganisationId) -> Result<HealthSummary> {
        self.read_list(Some(organisation), move |connection| health_summary(connection, organisation)).await
    }

    async fn maintenance_claim(
        &self,
        warehouse_ref: WarehouseRef,
        table: TableId,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<Option<MaintenanceLease>> {
        self.write(move |connection| claim(connection, warehouse_ref, table, (now_ms, until_ms))).await
    }

    async fn maintenance_hold(&self, lease: &MaintenanceLease, until_ms: i64) -> Result<bool> {
        let lease = lease.clone();
        self.write(move |connection| {
            let held = connection
                .prepare_cached(
                    "UPDATE maintenance_state SET until_ms = ?4, state = ?5
                     WHERE organisation = ?1 AND table_id = ?2 AND attempts = ?3",
                )?
                .execute(params![
                    lease.warehouse_ref.organisation.0.as_bytes(),
                    lease.table.0.as_bytes(),
                    lease.attempt,
                    until_ms,
                    column_text(&lease.state)?,
                ])?;
            Ok(held > 0)
        })
        .await
    }

    async fn run_add(&self, run: &MaintenanceRun, most: u32) -> Result<()> {
        let run = run.clone();
        self.write(move |connection| run_add(connection, &run, most)).await
    }

    async fn run_update(&self, run: &MaintenanceRun) -> Result<()> {
        let run = run.clone();
        self.write(move |connection| run_update(connection, &run)).await
    }

    async fn run_hold(&self, runs: &[Uuid], until_ms: i64) -> Result<()> {
        let runs = runs.to_vec();
        self.write(move |connection| {
            let mut statement = connection
                .prepare_cached("UPDATE maintenance_run SET held_until_ms = ?2 WHERE id = ?1 AND ended_ms IS NULL")?;
            for run in &runs {
                statement.execute(params![run.as_bytes(), until_ms])?;
            }
            Ok(())
        })
        .await
    }

    async fn run_abandon(&self, now_ms: i64, at_most: u32) -> Result<Vec<MaintenanceRun>> {
        self.write(move |connection| abandon_all(connection, now_ms, at_most)).await
    }

    async fn run_list(
        &self,
        warehouse_ref: WarehouseRef,
        filter: &RunFilter,
        page: &TimedPage,
    ) -> Result<Page<MaintenanceRun>> {
        let (filter, page) = (*filter, *page);
        self.read_list(Some(warehouse_ref.organisation), move |connection| {
            run_list(connection, warehouse_ref, &filter, &page)
        })
        .await
    }

    async fn run_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64> {
        self.write(move |connection| {
            let removed = connection
                .prepare_cached(
                    "DELETE FROM maintenance_run WHERE (organisation, id) IN
                         (SELECT organisation, id FROM maintenance_run WHERE started_ms < ?1 ORDER BY started_ms LIMIT ?2)",
                )?
                .execute(params![before_ms, at_most])?;
            Ok(removed as u64)
        })
        .await
    }
}
