//! Commits to one table.

use std::sync::Arc;

use tidewater_core::commit::{
    Context, Outcome, TableCommit, apply_updates, check_requirements, create_from_updates, summary,
};
use tidewater_core::document::TableMetadata;
use tidewater_core::ids::TableId;
use tidewater_core::name::TableIdent;

use super::error::{creation_refused, of_table};
use super::fate::Fate;
use super::tables::NewDocument;
use super::weight::commits_bytes;
use super::{Catalog, CatalogError, CommitTarget, LoadedTable, OpenWarehouse};
use crate::access::{Permit, Table, action};
use crate::clock::{fresh_ordered_uuid, fresh_uuid};
use crate::deadline::{self, STOP};
use crate::heavy::Large;
use crate::locations::Refusals;
use crate::metadata::Document;
use crate::store::{Answer, Change, StoreError, Swap, TableRecord};
use crate::vending::ValidLocations;

/// How often a commit is applied anew when other processes move the pointer first, as long as its requirements hold.
pub(super) const ATTEMPTS: usize = 10;

/// What became of one attempt.
enum Attempt {
    Done(LoadedTable),
    /// Somebody else's commit was faster: apply to what it left.
    PointerMoved,
}

/// One table, what is asked of it, and by whom.
struct Asked<'a> {
    warehouse: &'a OpenWarehouse,
    ident: &'a TableIdent,
    /// One, in a form that a worker can hold on to.
    commits: &'a Arc<[TableCommit]>,
    change: &'a Change,
}

impl Catalog {
    /// Applies a commit to a table, or creates the table if there is none, which the commit asserts. It runs to its end
    /// even if the caller goes away. A commit that changes nothing succeeds without a new document.
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
        self.to_its_end(async move {
            let bytes = commits_bytes(std::slice::from_ref(&commit));
            let commits: Large<Arc<[TableCommit]>> = catalog.heavy.large(bytes, Arc::from([commit]));
            let (commits, change) = (&*commits, &change);
            match target {
                CommitTarget::Table(table) => catalog.commit_in_turn(table, commits, change).await,
                CommitTarget::New(namespace, ident) => {
                    let asked = Asked { warehouse: &namespace.warehouse, ident: &ident, commits, change };
                    catalog.commit_creation(&asked, namespace.principal().max_tables()).await
                }
            }
        })
        .await
    }

    async fn commit_in_turn(
        &self,
        mut table: Permit<action::CommitTable, Table>,
        commits: &Arc<[TableCommit]>,
        change: &Change,
    ) -> Result<LoadedTable, CatalogError> {
        let turn = self.turn(table.record.id).await?;
        if turn.waited {
            table = self.table_find_again(&table).await?;
        }
        for _ in 0..ATTEMPTS {
            let asked = Asked { warehouse: &table.warehouse, ident: &table.ident, commits, change };
            match self.commit_attempt(&asked, &table.record).await? {
                Attempt::Done(loaded) => return Ok(loaded),
                Attempt::PointerMoved => table = self.table_find_again(&table).await?,
            }
        }
        let ident = &table.ident;
        Err(CatalogError::CommitFailed(format!("Cannot commit to {ident}: other commits were faster {ATTEMPTS} times")))
    }

    async fn commit_attempt(&self, asked: &Asked<'_>, record: &TableRecord) -> Result<Attempt, CatalogError> {
        let Asked { warehouse, ident, change, .. } = *asked;
        let base = self.documents.get(&warehouse.storage, &record.metadata_location).await?;
        let now_ms = self.clock.now_ms();
        let Some((table, locations)) = self.apply(warehouse, &base, asked.commits, now_ms).await? else {
            return self.unchanged(asked, record.id, base).await.map(Attempt::Done);
        };
        let document = self.write_document(warehouse, table, Some(&base.location)).await?;
        let past = self.past(warehouse, record.id, &base, &document.metadata).await;
        let swap = Swap {
            id: record.id,
            expected: &record.metadata_location,
            new: &document.location,
            locations: locations.all(),
            past: &past,
            details: &summary(asked.commits),
        };
        let change = &change.at(now_ms);
        let swapped =
            self.settled(warehouse, Refusals::AreFinal, || self.store.table_swap(warehouse.place, &swap, change)).await;
        let fate = match swapped {
            Ok(()) => Fate::Happened,
            Err(StoreError::Unavailable(cause)) => {
                match self.fate_of_swap(warehouse, ident, record, &document.location).await {
                    Fate::NotYet => return Err(CatalogError::Store(StoreError::Unavailable(cause))),
                    Fate::Unknown => {
                        return Err(CatalogError::CommitStateUnknown(ident.to_string(), cause.to_string()));
                    }
                    fate => fate,
                }
            }
            Err(error) => {
                self.documents.discard(&warehouse.storage, &document).await;
                match error {
                    StoreError::PointerMoved => Fate::Overtaken,
                    error => return Err(of_table(ident)(error)),
                }
            }
        };
        if fate == Fate::Overtaken {
            return Ok(Attempt::PointerMoved);
        }
        self.documents.forget(&warehouse.storage, &base);
        Ok(Attempt::Done(LoadedTable { document, locations: Some(locations) }))
    }

    /// What commits make of a table, and where its files are then; nothing when they change nothing.
    pub(super) async fn apply(
        &self,
        warehouse: &OpenWarehouse,
        base: &Arc<Document>,
        commits: &Arc<[TableCommit]>,
        now_ms: i64,
    ) -> Result<Option<(TableMetadata, ValidLocations)>, CatalogError> {
        let bytes = base.json.len() as u64 + commits_bytes(commits);
        let (base, commits, root) = (Arc::clone(base), Arc::clone(commits), warehouse.root.clone());
        let apply = move || {
            let Some(table) = apply_in_order(&base, &commits, now_ms)? else { return Ok(None) };
            let locations = ValidLocations::of(&table, &root)?;
            Ok(Some((table, locations)))
        };
        self.work(warehouse, bytes, apply).await
    }

    /// The table that commits create, the first of which asserts that there is none.
    pub(super) async fn create(
        &self,
        warehouse: &OpenWarehouse,
        location: String,
        commits: &Arc<[TableCommit]>,
    ) -> Result<TableMetadata, CatalogError> {
        let (commits, now_ms) = (Arc::clone(commits), self.clock.now_ms());
        let bytes = commits_bytes(&commits);
        self.work(warehouse, bytes, move || create_in_order(&commits, &location, now_ms)).await
    }

    /// A commit that changes nothing: the table as it is.
    async fn unchanged(
        &self,
        asked: &Asked<'_>,
        id: TableId,
        base: Arc<Document>,
    ) -> Result<LoadedTable, CatalogError> {
        let Asked { warehouse, ident, change, .. } = *asked;
        if let Some(receipt) = &change.receipt {
            let answer = Answer::document(base.location.clone(), id);
            let kept = self.store.receipt_add(warehouse.place.organisation, receipt, &answer, change.at_ms).await;
            kept.map_err(of_table(ident))?;
        }
        let locations = ValidLocations::of(&base.metadata, &warehouse.root).ok();
        Ok(LoadedTable { document: base, locations })
    }

    /// The commit of a staged create.
    async fn commit_creation(&self, asked: &Asked<'_>, max_tables: Option<u64>) -> Result<LoadedTable, CatalogError> {
        let Asked { warehouse, ident, commits, change } = *asked;
        let id = TableId(fresh_ordered_uuid());
        let location = self.new_table_location(warehouse, ident, id, None).await.map_err(creation_refused)?;
        let table = self.create(warehouse, location, commits).await?;
        let details = summary(commits);
        let new = NewDocument { id, table, max_tables, details, change };
        self.table_add(warehouse, ident, new).await.map_err(creation_refused)
    }
}

/// What commits make of a table, each applied to what the one before it left; nothing when they change nothing.
pub(super) fn apply_in_order(
    base: &Document,
    commits: &[TableCommit],
    now_ms: i64,
) -> Result<Option<TableMetadata>, CatalogError> {
    let mut changed = None;
    for commit in commits {
        deadline::check()?;
        // Only the first to change something replaces a document.
        let previous = changed.is_none().then_some(base.location.as_str());
        if let Some(table) = apply(changed.as_ref().unwrap_or(&base.metadata), commit, previous, now_ms)? {
            changed = Some(table);
        }
    }
    Ok(changed)
}

/// The table that commits make, the first of which asserts that there is none.
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
