//! Finds tables that are due, and maintains them: a few at a time, and of each organisation in turn.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use tidewater_core::ids::OrganisationId;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::upkeep::{MaintenanceOperation, MaintenancePolicy};
use tokio_util::sync::CancellationToken;

use super::cursor::Cursor;
use super::lease::Held;
use super::operations::execute;
use super::policies::{Policies, TablePolicy};
use super::run::Run;
use super::{RunRequest, Upkeep, own_authorizer};
use crate::access::Table;
use crate::catalog::namespace_walk::{first_namespace, next_namespace};
use crate::store::{Change, MaintenanceState, PageRequest, Result, StoreError, TableKind, TableRecord};
use crate::warehouse::OpenWarehouse;

/// How many tables of an organisation one look examines. The next look continues.
const EXAMINED: usize = 2_000;

/// How many tables are read at once.
const PAGE: u32 = 200;

/// How many tables of an organisation are maintained after one look.
const DUE_OF_EACH: usize = 20;

/// How many old records of runs one statement removes.
const REMOVED_RUNS: u32 = 500;

/// A table that is due.
struct Due {
    organisation: OrganisationId,
    table: Table,
    policies: Arc<Policies>,
}

impl Upkeep {
    /// Maintains the tables that are due. Returns their number.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub(super) async fn look(self: &Arc<Self>, stopped: &CancellationToken) -> Result<u64> {
        self.remove_old_runs().await?;
        if !self.parts.config.enabled {
            return Ok(0);
        }
        let mut found = Vec::new();
        for organisation in self.parts.store.policy_organisations().await? {
            if stopped.is_cancelled() {
                return Ok(0);
            }
            found.push(self.due(organisation).await?);
        }
        let turns = in_turns(found);
        let count = turns.len() as u64;
        let at_once = self.parts.config.tables_at_once;
        stream::iter(turns)
            .for_each_concurrent(at_once, |due| async move {
                if stopped.is_cancelled() {
                    return;
                }
                let (ident, organisation) = (due.table.ident.clone(), due.organisation);
                if let Err(error) = self.maintain(due, stopped).await {
                    tracing::warn!(table = %ident, %organisation, %error, "could not maintain a table: trying again later");
                }
            })
            .await;
        Ok(count)
    }

    async fn remove_old_runs(&self) -> Result<()> {
        let before_ms = self.parts.clock.now_ms().saturating_sub(self.parts.config.run_retention_ms());
        while self.parts.store.run_remove_before(before_ms, REMOVED_RUNS).await? >= u64::from(REMOVED_RUNS) {}
        Ok(())
    }

    /// Returns tables of an organisation that are due.
    async fn due(&self, organisation: OrganisationId) -> Result<Vec<Due>> {
        let policies = Arc::new(Policies::new(self.parts.store.policy_list(organisation).await?));
        let mut warehouses: Vec<_> = self.parts.store.warehouse_list(organisation).await?;
        warehouses.retain(|warehouse| policies.warehouses().any(|id| id == warehouse.id));
        warehouses.sort_by_key(|warehouse| warehouse.id.0);
        let cursor = self.cursors.lock().remove(&organisation);
        let mut look = Look { upkeep: self, organisation, policies, examined: 0, due: Vec::new() };
        for warehouse in warehouses {
            let from = match &cursor {
                Some(cursor) if warehouse.id.0 < cursor.warehouse.0 => continue,
                Some(cursor) if warehouse.id == cursor.warehouse => Some(cursor.clone()),
                _ => None,
            };
            let opened = match self.parts.catalog.warehouse(organisation, Some(&warehouse.name)).await {
                Ok(opened) => opened,
                Err(error) => {
                    tracing::warn!(warehouse = warehouse.name, %error, "the tables of a warehouse are not maintained");
                    continue;
                }
            };
            if let Some(next) = look.examine(&opened, from).await? {
                self.cursors.lock().insert(organisation, next);
                break;
            }
        }
        Ok(look.due)
    }

    /// Runs the operations that are due on a table.
    async fn maintain(&self, due: Due, stopped: &CancellationToken) -> Result<()> {
        let Due { organisation, table, policies } = due;
        let warehouse_ref = table.warehouse.warehouse_ref;
        let Some(held) = Held::claim(&self.parts, warehouse_ref, table.record.id).await? else { return Ok(()) };
        let policy = policies.of_table(warehouse_ref.warehouse, &table.ident, table.record.id);
        let mut outcome = Ok(());
        for operation in due_operations(&policy.whole(), &held.state(), self.parts.clock.now_ms()) {
            outcome = self.run_operation(&held, (organisation, &table), policy.clone(), operation, stopped).await;
            if outcome.is_err() || !held.is_held() {
                break;
            }
        }
        held.release().await;
        outcome
    }

    async fn run_operation(
        &self,
        held: &Held,
        (organisation, table): (OrganisationId, &Table),
        policy: TablePolicy,
        operation: MaintenanceOperation,
        stopped: &CancellationToken,
    ) -> Result<()> {
        let now_ms = self.parts.clock.now_ms();
        let begins = held.change_state(|state| {
            state.last_ms.insert(operation.as_str().to_owned(), now_ms);
        });
        if !begins.await? {
            return Ok(());
        }
        let authorizer = own_authorizer(organisation).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let record = self.begin(table, RunRequest { operation, dry_run: false }, None).await?;
        let change = Change::by_catalog(now_ms);
        let run = Run::new(&self.parts, held, table.clone(), policy, record, (authorizer, change));
        held.while_held(execute(&run), stopped).await;
        Ok(())
    }
}

/// Returns the operations that are due. One that was interrupted while files were left is due at once.
fn due_operations(policy: &MaintenancePolicy, state: &MaintenanceState, now_ms: i64) -> Vec<MaintenanceOperation> {
    let is_due = |operation: &&MaintenanceOperation| {
        let schedule = policy.schedule(**operation);
        let is_left = state.pending.is_some() && **operation == MaintenanceOperation::ExpireSnapshots;
        schedule.is_due(state.last_ms.get(operation.as_str()).copied(), now_ms) || (schedule.enabled && is_left)
    };
    MaintenanceOperation::ALL.iter().filter(is_due).copied().collect()
}

/// Returns the first of each list, then the second of each, and so on.
fn in_turns<T>(lists: Vec<Vec<T>>) -> Vec<T> {
    let mut turns: Vec<(usize, T)> =
        lists.into_iter().flat_map(|list| list.into_iter().enumerate().collect::<Vec<_>>()).collect();
    // The order of the lists stays within a turn.
    turns.sort_by_key(|(turn, _)| *turn);
    turns.into_iter().map(|(_, item)| item).collect()
}

/// One look at an organisation.
struct Look<'a> {
    upkeep: &'a Upkeep,
    organisation: OrganisationId,
    policies: Arc<Policies>,
    examined: usize,
    due: Vec<Due>,
}

impl Look<'_> {
    /// Examines the tables of a warehouse after a cursor. Returns where to continue if there are too many.
    async fn examine(&mut self, warehouse: &Arc<OpenWarehouse>, from: Option<Cursor>) -> Result<Option<Cursor>> {
        let (store, warehouse_ref) = (self.upkeep.parts.store.as_ref(), warehouse.warehouse_ref);
        let (mut namespace, mut after) = match from {
            Some(Cursor { namespace, after, .. }) => (Some(namespace), after),
            None => (first_namespace(store, warehouse_ref, None, None).await?, None),
        };
        while let Some(current) = namespace {
            if self.policies.is_idle(warehouse_ref.warehouse, &current) {
                self.examined += 1;
            } else if let Some(after) = self.examine_namespace(warehouse, &current, after.take()).await? {
                return Ok(Some(Cursor { warehouse: warehouse_ref.warehouse, namespace: current, after: Some(after) }));
            }
            namespace = next_namespace(store, warehouse_ref, &current).await?;
            if let Some(next) = namespace.clone().filter(|_| self.is_over()) {
                return Ok(Some(Cursor { warehouse: warehouse_ref.warehouse, namespace: next, after: None }));
            }
        }
        Ok(None)
    }

    fn is_over(&self) -> bool {
        self.examined >= EXAMINED || self.due.len() >= DUE_OF_EACH
    }

    /// Examines the tables of a namespace. Returns the name after which to continue if there are too many.
    async fn examine_namespace(
        &mut self,
        warehouse: &Arc<OpenWarehouse>,
        namespace: &NamespaceIdent,
        mut after: Option<String>,
    ) -> Result<Option<String>> {
        let (store, warehouse_ref) = (self.upkeep.parts.store.as_ref(), warehouse.warehouse_ref);
        loop {
            let page = PageRequest { after: after.take(), limit: Some(PAGE) };
            let names = match store.table_list(warehouse_ref, namespace, TableKind::Table, &page).await {
                // A namespace that was dropped meanwhile has no tables.
                Err(StoreError::NotFound(_)) => return Ok(None),
                names => names?,
            };
            let idents: Vec<TableIdent> =
                names.items.iter().filter_map(|name| TableIdent::new(namespace.clone(), name).ok()).collect();
            let records = store.table_get_all(warehouse_ref, &idents).await?;
            let tables: Vec<(TableIdent, TableRecord)> =
                idents.into_iter().zip(records).filter_map(|(ident, record)| Some((ident, record?))).collect();
            let ids: Vec<_> = tables.iter().map(|(_, record)| record.id).collect();
            let states = store.maintenance_states(self.organisation, &ids).await?;
            for ((ident, record), state) in tables.into_iter().zip(states) {
                self.examined += 1;
                after = Some(ident.name().to_owned());
                self.examine_table(warehouse, ident, record, &state.unwrap_or_default());
                if self.is_over() {
                    return Ok(after);
                }
            }
            if !names.more {
                return Ok(None);
            }
            after = names.items.last().cloned();
        }
    }

    fn examine_table(
        &mut self,
        warehouse: &Arc<OpenWarehouse>,
        ident: TableIdent,
        record: TableRecord,
        state: &MaintenanceState,
    ) {
        let policy = self.policies.of_table(warehouse.warehouse_ref.warehouse, &ident, record.id);
        if due_operations(&policy.whole(), state, self.upkeep.parts.clock.now_ms()).is_empty() {
            return;
        }
        let table = Table { warehouse: Arc::clone(warehouse), ident, record };
        self.due.push(Due { organisation: self.organisation, table, policies: Arc::clone(&self.policies) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organisations_take_turns() {
        assert_eq!(in_turns(vec![vec![1, 2, 3], vec![], vec![4], vec![5, 6]]), [1, 4, 5, 2, 6, 3]);
    }
}
