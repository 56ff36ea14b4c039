//! Commits to one table, and the code that commits to tables and views share.

use std::slice;
use std::sync::Arc;

use tidewater_core::commit::{
    Context, Outcome, TableCommit, apply_updates, check_requirements, create_from_updates, summary,
};
use tidewater_core::document::TableMetadata;
use tidewater_core::ids::TableId;
use tidewater_core::name::TableIdent;

use super::error::{creation_refused, tabular_error};
use super::measures::in_attempt;
use super::publish::{Next, Publication, Replaced};
use super::tabular::Tabular;
use super::weight::commits_bytes;
use super::{Catalog, CatalogError, CommitTarget, Loaded, LoadedTable, OpenWarehouse};
use crate::access::action::On;
use crate::access::{Found, Permit, Principal};
use crate::base::clock::{fresh_ordered_uuid, fresh_uuid};
use crate::base::deadline::{self, STOP};
use crate::heavy::Large;
use crate::metadata::Document;
use crate::store::{Answer, Change, EventDetails, TableRecord};

/// The most times that a commit is applied because another process moved the pointer first. Its requirements must hold each time. Of ten
/// servers that commit to one table without pause, each wins about a tenth of the swaps: one commit in a thousand loses this often.
pub(super) const ATTEMPTS: usize = 64;

/// The commits of a request to one table or view, in a form that can move to a worker.
pub(super) trait Commit: Clone + Send + Sync + 'static {
    /// The metadata of a table or view.
    type Metadata: Tabular;

    /// Returns its size in bytes of JSON.
    fn bytes(&self) -> u64;

    /// Checks the requirements and applies the updates. Returns none when they change nothing.
    fn apply(&self, base: &Document<Self::Metadata>, now_ms: i64) -> Result<Option<Self::Metadata>, CatalogError>;

    /// Returns the details for the event.
    fn details(&self) -> EventDetails;
}

impl Commit for Arc<[TableCommit]> {
    type Metadata = TableMetadata;

    fn bytes(&self) -> u64 {
        commits_bytes(self)
    }

    fn apply(&self, base: &Document, now_ms: i64) -> Result<Option<TableMetadata>, CatalogError> {
        apply_in_order(base, self, now_ms)
    }

    fn details(&self) -> EventDetails {
        summary(self)
    }
}

/// The result of applying a commit.
pub(super) enum Planned<'a, M> {
    /// A new document to publish.
    Changed(Box<Publication<'a, M>>),
    /// No change.
    Unchanged(TableRecord, Arc<Document<M>>),
}

/// A table or view with the commits to it and the change that they belong to.
struct Asked<'a, C> {
    warehouse: &'a OpenWarehouse,
    ident: &'a TableIdent,
    /// The principal that was decided about. `None` for a creation.
    principal: Option<&'a Principal>,
    commit: &'a C,
    change: &'a Change,
}

impl Catalog {
    /// Applies a commit to a table, or creates the table if the commit asserts that it does not exist. It runs to its end even if
    /// the caller disconnects. A commit that changes nothing succeeds without a new document.
    ///
    /// # Errors
    /// `NoSuchTable`; `CommitFailed` when a requirement does not hold; `CommitStateUnknown`; `BadRequest`; `Metadata`;
    /// `Repeated`; for a creation all that creating a table can give.
    pub async fn table_commit(
        self: &Arc<Self>,
        target: CommitTarget,
        commit: TableCommit,
        change: &Change,
    ) -> Result<LoadedTable, CatalogError> {
        let (catalog, change) = (Arc::clone(self), change.clone());
        let committed = self.to_its_end(async move {
            let bytes = commits_bytes(slice::from_ref(&commit));
            let commits: Large<Arc<[TableCommit]>> = catalog.heavy.large(bytes, Arc::from([commit]));
            let (commit, change) = (&*commits, &change);
            match target {
                CommitTarget::Table(table) => catalog.commit_in_turn(table, commit, change).await,
                CommitTarget::New(namespace, ident) => {
                    let (warehouse, principal) = (&namespace.warehouse, None);
                    let asked = Asked { warehouse, ident: &ident, principal, commit, change };
                    catalog.commit_creation(&asked, namespace.principal().max_tables()).await
                }
            }
        });
        self.measures.commit("table", committed).await
    }

    /// Applies a commit to a table or view, after earlier commits, and again after a conflict while its requirements hold.
    pub(super) async fn commit_in_turn<C: Commit, A: On<O>, O: Found>(
        &self,
        mut permit: Permit<A, O>,
        commit: &C,
        change: &Change,
    ) -> Result<Loaded<C::Metadata>, CatalogError> {
        let turn = self.turn(permit.record().id).await?;
        if turn.waited {
            permit = self.find_again::<C::Metadata, A, O>(&permit).await?;
        }
        for _ in 0..ATTEMPTS {
            let principal = Some(permit.principal());
            let asked = Asked { warehouse: permit.warehouse(), ident: permit.ident(), principal, commit, change };
            let attempted = self.commit_attempt(&asked, permit.record().clone());
            if let Some(loaded) = in_attempt(attempted, Option::is_none).await? {
                return Ok(loaded);
            }
            self.measures.repeated_commits.inc();
            permit = self.find_again::<C::Metadata, A, O>(&permit).await?;
        }
        let ident = permit.ident();
        Err(CatalogError::CommitFailed(format!("Cannot commit to {ident}: other commits were faster {ATTEMPTS} times")))
    }

    /// Applies a commit once. Returns none when another commit was faster.
    async fn commit_attempt<C: Commit>(
        &self,
        asked: &Asked<'_, C>,
        record: TableRecord,
    ) -> Result<Option<Loaded<C::Metadata>>, CatalogError> {
        let Asked { warehouse, ident, principal, commit, change } = *asked;
        let publication = match self.plan_commit(warehouse, ident, commit, record).await? {
            Planned::Changed(publication) => *publication,
            Planned::Unchanged(record, base) => return self.unchanged(asked, record.id, base).await.map(Some),
        };
        match self.publish(warehouse, publication, (principal, None), change).await {
            Ok(loaded) => Ok(Some(loaded)),
            Err(refused) if refused.overtaken => Ok(None),
            Err(refused) => Err(refused.into()),
        }
    }

    /// Reads a table's or view's document and applies a commit to it.
    pub(super) async fn plan_commit<'a, C: Commit>(
        &self,
        warehouse: &OpenWarehouse,
        ident: &'a TableIdent,
        commit: &C,
        record: TableRecord,
    ) -> Result<Planned<'a, C::Metadata>, CatalogError> {
        let document = self.documents.find::<C::Metadata>(&warehouse.storage, &record.metadata_location).await?;
        let bytes = document.json.len() as u64 + commit.bytes();
        let (base, asked, root) = (Arc::clone(&document), commit.clone(), warehouse.root.clone());
        let now_ms = self.clock.now_ms();
        let apply = move || {
            let Some(metadata) = asked.apply(&base, now_ms)? else { return Ok(None) };
            let locations = metadata.locations(&root)?;
            Ok(Some((metadata, locations)))
        };
        let Some((metadata, locations)) = self.work(warehouse, bytes, apply).await? else {
            return Ok(Planned::Unchanged(record, document));
        };
        let publication = Publication {
            ident,
            id: record.id,
            replaced: Some(Replaced { record, document: Some(document) }),
            next: Next::Metadata(metadata),
            locations,
            details: commit.details(),
        };
        Ok(Planned::Changed(Box::new(publication)))
    }

    /// Builds the table that commits create; the first of them asserts that the table does not exist.
    pub(super) async fn plan_creation<'a>(
        &self,
        warehouse: &OpenWarehouse,
        ident: &'a TableIdent,
        commits: &Arc<[TableCommit]>,
    ) -> Result<Publication<'a>, CatalogError> {
        let id = TableId(fresh_ordered_uuid());
        let location = self.new_table_location(warehouse, ident, id, None).await.map_err(creation_refused)?;
        let (bytes, asked, now_ms) = (commits_bytes(commits), Arc::clone(commits), self.clock.now_ms());
        let table = self.work(warehouse, bytes, move || create_in_order(&asked, &location, now_ms)).await?;
        Ok(Publication::first(ident, id, table, &warehouse.root, summary(commits))?)
    }

    /// Answers a commit that changes nothing with the present table or view.
    async fn unchanged<C: Commit>(
        &self,
        asked: &Asked<'_, C>,
        id: TableId,
        base: Arc<Document<C::Metadata>>,
    ) -> Result<Loaded<C::Metadata>, CatalogError> {
        let Asked { warehouse, ident, change, .. } = *asked;
        if let Some(receipt) = &change.receipt {
            let answer = Answer::document(base.location.clone(), id);
            let kept =
                self.store.receipt_add(warehouse.warehouse_ref.organisation, receipt, &answer, change.at_ms).await;
            kept.map_err(tabular_error(C::Metadata::TABLE_KIND, ident))?;
        }
        let locations = base.metadata.locations(&warehouse.root).ok();
        Ok(Loaded { document: base, locations })
    }

    /// Creates the table of a staged create.
    async fn commit_creation(
        &self,
        asked: &Asked<'_, Arc<[TableCommit]>>,
        max_tables: Option<u64>,
    ) -> Result<LoadedTable, CatalogError> {
        let Asked { warehouse, ident, commit, change, .. } = *asked;
        let first = self.plan_creation(warehouse, ident, commit).await?;
        let created = self.publish(warehouse, first, (None, max_tables), change).await;
        created.map_err(|refused| creation_refused(refused.error))
    }
}

/// Applies commits to a table, each to the result of the one before. Returns none when they change nothing.
pub(super) fn apply_in_order(
    base: &Document,
    commits: &[TableCommit],
    now_ms: i64,
) -> Result<Option<TableMetadata>, CatalogError> {
    let mut changed = None;
    for commit in commits {
        deadline::check()?;
        // Only the first commit that changes the table replaces a document.
        let previous = changed.is_none().then_some(base.location.as_str());
        if let Some(table) = apply(changed.as_ref().unwrap_or(&base.metadata), commit, previous, now_ms)? {
            changed = Some(table);
        }
    }
    Ok(changed)
}

/// Builds the metadata of the table that commits create; the first of them asserts that the table does not exist.
fn create_in_order(commits: &[TableCommit], location: &str, now_ms: i64) -> Result<TableMetadata, CatalogError> {
    let Some((first, others)) = commits.split_first() else {
        return Err(CatalogError::BadRequest("a table is created by a commit".into()));
    };
    check_requirements(&first.requirements, None)?;
    let context = Context { now_ms, table_uuid: fresh_uuid(), previous_metadata_location: None, stop: STOP };
    let mut table = create_from_updates(&first.updates, location, &context)?;
    for commit in others {
        deadline::check()?;
        table = apply(&table, commit, None, now_ms)?.unwrap_or(table);
    }
    Ok(table)
}

fn apply(
    table: &TableMetadata,
    commit: &TableCommit,
    previous: Option<&str>,
    now_ms: i64,
) -> Result<Option<TableMetadata>, CatalogError> {
    check_requirements(&commit.requirements, Some(table))?;
    let context = Context { now_ms, table_uuid: fresh_uuid(), previous_metadata_location: previous, stop: STOP };
    match apply_updates(table, &commit.updates, &context)? {
        Outcome::Changed(table) => Ok(Some(*table)),
        Outcome::Unchanged => Ok(None),
    }
}
