//! Finds tables that are due, and maintains them: a few at a time, and of each organisation in turn.
//!
//! An organisation has one list for each kind of run, and as many of its runs wait for a turn as there are places. So the waits of one
//! organisation do not hold back another one, nor the waits of rewrites its removals.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use tidewater_core::ids::{OrganisationId, TableId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::upkeep::MaintenanceOperation;
use tokio_util::sync::CancellationToken;

use super::cursor::Cursor;
use super::due::{Active, due_since};
use super::lease::Held;
use super::operations::execute;
use super::policies::{Policies, TablePolicy};
use super::run::Run;
use super::turns::Kind;
use super::{RunRequest, Upkeep, own_authorizer};
use crate::access::Table;
use crate::catalog::namespace_walk::{first_namespace, next_namespace};
use crate::store::{Change, MaintenanceState, PageRequest, Result, RunOutcome, StoreError, TableKind, TableRecord};
use crate::warehouse::OpenWarehouse;

/// How many tables of an organisation one look examines. The next look continues.
const EXAMINED: usize = 2_000;

/// How many tables are read at once.
const PAGE: u32 = 200;

/// How many due tables of an organisation are in memory, for each kind of run.
const DUE_OF_EACH: usize = 20;

/// A table that is due.
struct Due {
    warehouse: Arc<OpenWarehouse>,
    ident: TableIdent,
    id: TableId,
    operations: Vec<MaintenanceOperation>,
    /// Since when, in milliseconds since 1970.
    since_ms: i64,
}

/// Tables of an organisation that are due.
#[derive(Default)]
struct Batch {
    due: Vec<Due>,
    /// Whether there may be more.
    has_more: bool,
}

impl Upkeep {
    /// Finds tables that are due, and begins to maintain them. Leaves out the organisations whose tables are maintained since an earlier
    /// look. Returns the number of the tables.
    ///
    /// # Errors
    /// Fails if the store does not answer. The tables of organisations for which it did are maintained.
    pub(super) async fn look(self: &Arc<Self>, stopped: &CancellationToken) -> Result<u64> {
        self.look_after_records().await?;
        self.remove_old_runs().await?;
        if !self.parts.config.enabled {
            return Ok(0);
        }
        let (mut count, mut failed) = (0, None);
        for organisation in self.parts.store.policy_organisations().await? {
            for kind in Kind::ALL {
                if stopped.is_cancelled() {
                    return Ok(count);
                }
                let Some(active) = Active::begin(self, organisation, kind) else { continue };
                match self.due(organisation, kind).await {
                    Ok(batch) if batch.due.is_empty() => {}
                    Ok(batch) => {
                        count += batch.due.len() as u64;
                        let this = Arc::clone(self);
                        self.running.spawn(async move { this.maintain_all(&active, batch).await });
                    }
                    Err(error) => {
                        tracing::warn!(%organisation, %error, "could not find the tables that are due");
                        failed = Some(error);
                    }
                }
            }
        }
        failed.map_or(Ok(count), Err)
    }

    /// Returns tables of an organisation on which runs of a kind are due.
    async fn due(&self, organisation: OrganisationId, kind: Kind) -> Result<Batch> {
        let policies = self.policies(organisation).await?;
        let mut warehouses: Vec<_> = self.parts.store.warehouse_list(organisation).await?;
        warehouses.retain(|warehouse| policies.warehouses().any(|id| id == warehouse.id));
        warehouses.sort_by_key(|warehouse| warehouse.id.0);
        let cursor = self.cursors.lock().remove(&(organisation, kind));
        let mut look = Look { upkeep: self, organisation, kind, policies, examined: 0, due: Vec::new() };
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
                self.cursors.lock().insert((organisation, kind), next);
                return Ok(Batch { due: look.due, has_more: true });
            }
        }
        Ok(Batch { due: look.due, has_more: false })
    }

    /// Maintains the tables of a batch, and those of the batches after it until a look finds none.
    async fn maintain_all(&self, active: &Active, mut batch: Batch) {
        let (organisation, kind) = active.key;
        loop {
            active.add(batch.due.iter().map(|due| (due.id, due.since_ms)));
            let at_once = self.turns().at_once(kind);
            stream::iter(batch.due)
                .for_each_concurrent(at_once, |due| async move {
                    if let Err(error) = self.maintain(&due, organisation, kind).await {
                        let table = &due.ident;
                        tracing::warn!(%table, %organisation, %error, "could not maintain a table: trying again later");
                    }
                    active.remove(due.id);
                })
                .await;
            if !batch.has_more || self.stop.is_cancelled() {
                return;
            }
            batch = match self.due(organisation, kind).await {
                Ok(next) if next.due.is_empty() => return,
                Ok(next) => next,
                // The next look shows the failure.
                Err(_) => return,
            };
        }
    }

    /// Runs the operations that are due on a table, each in a turn of its own.
    async fn maintain(&self, due: &Due, organisation: OrganisationId, kind: Kind) -> Result<()> {
        for operation in &due.operations {
            let place = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                place = self.turns().enter(kind, organisation) => place,
            };
            // Too many wait, or other runs took all of the time: it stays due.
            let Ok(_place) = place else { return Ok(()) };
            self.run_if_due(due, organisation, *operation).await?;
        }
        Ok(())
    }

    /// Runs an operation on a table, if it is still due: the turn may have come late.
    async fn run_if_due(&self, due: &Due, organisation: OrganisationId, operation: MaintenanceOperation) -> Result<()> {
        let warehouse_ref = due.warehouse.warehouse_ref;
        let found = self.parts.store.table_get_all(warehouse_ref, std::slice::from_ref(&due.ident)).await?;
        let Some(record) = found.into_iter().flatten().find(|record| record.id == due.id) else { return Ok(()) };
        let policy = self.policies(organisation).await?.of_table(warehouse_ref.warehouse, &due.ident, due.id);
        let Some(held) = Held::claim(&self.parts, warehouse_ref, due.id).await? else { return Ok(()) };
        let mut outcome = Ok(());
        if due_since(operation, &policy.whole(), &held.state(), self.parts.clock.now_ms()).is_some() {
            let table = Table { warehouse: Arc::clone(&due.warehouse), ident: due.ident.clone(), record };
            outcome = self.run_operation(&held, (organisation, &table), policy, operation).await;
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
    ) -> Result<()> {
        let now_ms = self.parts.clock.now_ms();
        let begins = held.change_state(|state| {
            state.last_ms.insert(operation.as_str().to_owned(), now_ms);
        });
        if !begins.await? {
            return Ok(());
        }
        let authorizer = own_authorizer(organisation).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let record = self.begin(table, RunRequest { operation, dry_run: false }, None, RunOutcome::Running).await?;
        let change = Change::by_catalog(now_ms);
        let run = Run::new(&self.parts, held, table.clone(), policy, record, (authorizer, change));
        held.while_held(execute(&run), &self.stop).await;
        Ok(())
    }
}

/// One look at an organisation.
struct Look<'a> {
    upkeep: &'a Upkeep,
    organisation: OrganisationId,
    kind: Kind,
    policies: Policies,
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
            if self.policies.is_idle(warehouse_ref.warehouse, &current, self.kind) {
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
        let policy = self.policies.of_table(warehouse.warehouse_ref.warehouse, &ident, record.id).whole();
        let now_ms = self.upkeep.parts.clock.now_ms();
        let since = |one| due_since(one, &policy, state, now_ms).map(|since_ms| (one, since_ms));
        let found: Vec<_> = self.kind.operations().filter_map(since).collect();
        if let Some(since_ms) = found.iter().map(|(_, since_ms)| *since_ms).min() {
            let operations = found.into_iter().map(|(one, _)| one).collect();
            self.due.push(Due { warehouse: Arc::clone(warehouse), ident, id: record.id, operations, since_ms });
        }
    }
}
