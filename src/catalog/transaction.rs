//! Commits to several tables in one transaction: all or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use tidewater_core::commit::TableCommit;
use tidewater_core::document::TableMetadata;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::commit::{ATTEMPTS, Planned};
use super::error::{creation_refused, unread};
use super::find::{commit_target, present};
use super::measures::in_attempt;
use super::publish::{AT_ONCE, NotPublished, Publication, Unchanged};
use super::weight::commits_bytes;
use super::{Catalog, CatalogError, CommitTarget, OpenWarehouse};
use crate::access::{Authorizer, action};
use crate::base::deadline;
use crate::store::Change;

/// The commits of a transaction to one table.
struct Part {
    ident: TableIdent,
    /// The commits in the order of the request.
    commits: Arc<[TableCommit]>,
}

impl Catalog {
    /// Applies commits to several tables in one transaction, and creates the tables that commits assert not to exist. Readers see
    /// all changes or none. It runs to its end even if the caller disconnects. Commits to the same table are applied in order,
    /// each to the result of the one before.
    ///
    /// # Errors
    /// `NoSuchTable`; `CommitFailed` with the table and its requirement that does not hold; `CommitStateUnknown`;
    /// `BadRequest`; `Metadata`; `Repeated`; for creations all that creating a table can give.
    pub async fn transaction_commit(
        self: &Arc<Self>,
        authorizer: &Authorizer<action::CommitTable>,
        warehouse: &Arc<OpenWarehouse>,
        commits: Vec<TableCommit>,
        change: &Change,
    ) -> Result<(), CatalogError> {
        let parts = by_table(commits)?;
        let (catalog, warehouse, change) = (Arc::clone(self), Arc::clone(warehouse), change.clone());
        let (authorizer, max_tables) = (authorizer.clone(), authorizer.principal().max_tables());
        let committed = self.to_its_end(async move {
            let bytes = parts.iter().map(|part| commits_bytes(&part.commits)).sum();
            let parts = catalog.heavy.large(bytes, parts);
            let (mut authorizer, mut targets) = catalog.targets(authorizer, &warehouse, &parts).await?;
            let ids = targets.iter().filter_map(|target| match target {
                CommitTarget::Table(table) => Some(table.record.id),
                CommitTarget::New(..) => None,
            });
            let turns = deadline::within(catalog.queues.enter_all(ids)).await?;
            if turns.iter().any(|turn| turn.waited) {
                (authorizer, targets) = catalog.targets(authorizer, &warehouse, &parts).await?;
            }
            for _ in 0..ATTEMPTS {
                let attempt = async {
                    let (changed, unchanged) = catalog.plan(&warehouse, &parts, targets).await?;
                    let by = (Some(authorizer.principal()), max_tables);
                    Ok(catalog.publish_all(&warehouse, changed, &unchanged, by, &change).await)
                };
                let is_overtaken =
                    |published: &Result<(), NotPublished>| matches!(published, Err(refused) if refused.overtaken);
                match in_attempt(attempt, is_overtaken).await? {
                    Ok(()) => return Ok(()),
                    Err(refused) if refused.overtaken => {
                        catalog.measures.repeated_commits.inc();
                    }
                    Err(NotPublished { ident: Some(ident), error, .. }) => return Err(named(ident, error)),
                    Err(refused) => return Err(refused.into()),
                }
                (authorizer, targets) = catalog.targets(authorizer, &warehouse, &parts).await?;
            }
            Err(CatalogError::CommitFailed(format!(
                "Cannot commit the transaction: other commits were faster {ATTEMPTS} times"
            )))
        });
        self.measures.commit("transaction", committed).await
    }

    /// Finds the tables of the parts and decides about each, for the caller as it is now. Fails, before any document is read, for the first
    /// part whose table does not exist and is not to be created.
    async fn targets(
        &self,
        authorizer: Authorizer<action::CommitTable>,
        warehouse: &Arc<OpenWarehouse>,
        parts: &[Part],
    ) -> Result<(Authorizer<action::CommitTable>, Vec<CommitTarget>), CatalogError> {
        let idents: Vec<TableIdent> = parts.iter().map(|part| part.ident.clone()).collect();
        let found = self.store.table_get_all(warehouse.warehouse_ref, &idents).await.map_err(unread)?;
        if authorizer.principal().is_outdated() {
            self.check_unchanged(warehouse).await?;
        }
        let authorizer = present(authorizer).await?;
        let found = parts.iter().zip(idents.into_iter().zip(found));
        let targets = found.map(|(part, (ident, found))| {
            let is_create = part.commits.first().is_some_and(TableCommit::is_create);
            commit_target(&authorizer, warehouse, ident, found, is_create)
        });
        let targets = targets.collect::<Result<_, _>>()?;
        Ok((authorizer, targets))
    }

    /// Checks that the name still leads to the warehouse, also for a request that named none.
    async fn check_unchanged(&self, warehouse: &OpenWarehouse) -> Result<(), CatalogError> {
        let OpenWarehouse { warehouse_ref, name, is_default, .. } = warehouse;
        let now = self.warehouse(warehouse_ref.organisation, Some(name)).await?;
        if now.warehouse_ref == *warehouse_ref && now.is_default == *is_default {
            return Ok(());
        }
        Err(CatalogError::CommitFailed(format!("Warehouse {name} changed during the request: try again")))
    }

    /// Reads all documents and applies the rules. Returns the publications, and the tables that do not change.
    async fn plan<'a>(
        &self,
        warehouse: &OpenWarehouse,
        parts: &'a [Part],
        targets: Vec<CommitTarget>,
    ) -> Result<(Vec<Publication<'a>>, Vec<Unchanged<'a>>), CatalogError> {
        let planning: Vec<_> =
            parts.iter().zip(targets).map(|(part, target)| self.plan_part(warehouse, part, target)).collect();
        let planned: Vec<_> = stream::iter(planning).buffered(AT_ONCE).collect().await;
        let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
        for (part, planned) in parts.iter().zip(planned) {
            match planned.map_err(|error| named(&part.ident, error))? {
                Planned::Changed(publication) => changed.push(*publication),
                Planned::Unchanged(record, _) => unchanged.push(Unchanged { ident: &part.ident, record }),
            }
        }
        Ok((changed, unchanged))
    }

    async fn plan_part<'a>(
        &self,
        warehouse: &OpenWarehouse,
        part: &'a Part,
        target: CommitTarget,
    ) -> Result<Planned<'a, TableMetadata>, CatalogError> {
        let Part { ident, commits } = part;
        match target {
            CommitTarget::Table(table) => self.plan_commit(warehouse, ident, commits, table.into_object().record).await,
            CommitTarget::New(..) => {
                Ok(Planned::Changed(Box::new(self.plan_creation(warehouse, ident, commits).await?)))
            }
        }
    }
}

/// Groups the commits by table, in the order of the tables' names.
fn by_table(commits: Vec<TableCommit>) -> Result<Vec<Part>, CatalogError> {
    let mut parts: BTreeMap<TableIdent, Vec<TableCommit>> = BTreeMap::new();
    for commit in commits {
        let Some(identifier) = &commit.identifier else {
            return Err(CatalogError::BadRequest("Each commit of a transaction must name its table".into()));
        };
        let ident = TableIdent::new(NamespaceIdent::new(&identifier.namespace)?, &identifier.name)?;
        parts.entry(ident).or_default().push(commit);
    }
    Ok(parts.into_iter().map(|(ident, commits)| Part { ident, commits: commits.into() }).collect())
}

/// Adds the table of the transaction to an error.
fn named(ident: &TableIdent, error: CatalogError) -> CatalogError {
    match creation_refused(error) {
        CatalogError::CommitFailed(message) => CatalogError::CommitFailed(format!("{message} (table {ident})")),
        CatalogError::BadRequest(message) => CatalogError::BadRequest(format!("{message} (table {ident})")),
        other => other,
    }
}
