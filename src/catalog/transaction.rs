//! Commits to several tables as one: all of them happen, or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use tidewater_core::commit::{TableCommit, summary};
use tidewater_core::document::TableMetadata;
use tidewater_core::ids::TableId;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::commit::ATTEMPTS;
use super::error::{creation_refused, of_table};
use super::fate::Fate;
use super::find::commit_target;
use super::weight::commits_bytes;
use super::{Catalog, CatalogError, CommitTarget, OpenWarehouse};
use crate::access::{Authorizer, action};
use crate::clock::fresh_ordered_uuid;
use crate::deadline;
use crate::locations::Refusals;
use crate::metadata::Document;
use crate::store::{Change, Past, StoreError, TableChange, TableRecord};
use crate::vending::ValidLocations;

/// How many documents are read, or written, at the same time.
const AT_ONCE: usize = 16;

/// What a transaction asks of one table.
struct Part {
    ident: TableIdent,
    /// In the order of the request.
    commits: Arc<[TableCommit]>,
}

/// What the rules make of a part.
struct Planned<'a> {
    ident: &'a TableIdent,
    id: TableId,
    /// What is asked of it.
    commits: &'a [TableCommit],
    /// The table as it was read; none when it is created.
    before: Option<(TableRecord, Arc<Document>)>,
    /// What it becomes; none when it stays as it is.
    after: Option<(TableMetadata, ValidLocations)>,
}

/// A part whose document is written. No pointer leads to it yet.
struct Written<'a> {
    ident: &'a TableIdent,
    id: TableId,
    commits: &'a [TableCommit],
    before: Option<(TableRecord, Arc<Document>)>,
    after: Option<(Arc<Document>, ValidLocations)>,
    past: Past,
}

impl Catalog {
    /// Applies commits to several tables, or creates tables that they assert not to exist: all of it or nothing, for
    /// whoever reads. It runs to its end even if the caller goes away. Commits to the same table are applied in their
    /// order, each to what the one before it left.
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
        self.to_its_end(async move {
            let bytes = parts.iter().map(|part| commits_bytes(&part.commits)).sum();
            let parts = catalog.heavy.large(bytes, parts);
            let mut targets = catalog.targets(&authorizer, &warehouse, &parts).await?;
            let ids = targets.iter().filter_map(|target| match target {
                CommitTarget::Table(table) => Some(table.record.id),
                CommitTarget::New(..) => None,
            });
            let turns = deadline::within(catalog.queues.enter_all(ids)).await?;
            if turns.iter().any(|turn| turn.waited) {
                targets = catalog.targets(&authorizer, &warehouse, &parts).await?;
            }
            for _ in 0..ATTEMPTS {
                let planned = catalog.plan(&warehouse, &parts, targets).await?;
                let written = catalog.write(&warehouse, planned).await?;
                if catalog.transact(&warehouse, &written, max_tables, &change).await? {
                    return Ok(());
                }
                targets = catalog.targets(&authorizer, &warehouse, &parts).await?;
            }
            Err(CatalogError::CommitFailed(format!(
                "Cannot commit the transaction: other commits were faster {ATTEMPTS} times"
            )))
        })
        .await
    }

    /// Finds the tables that the parts name as they stand, and decides about each. Fails for the first part whose table does
    /// not exist and is not to be created, before any document is read.
    async fn targets(
        &self,
        authorizer: &Authorizer<action::CommitTable>,
        warehouse: &Arc<OpenWarehouse>,
        parts: &[Part],
    ) -> Result<Vec<CommitTarget>, CatalogError> {
        let idents: Vec<TableIdent> = parts.iter().map(|part| part.ident.clone()).collect();
        let found = self.store.table_get_all(warehouse.place, &idents).await.map_err(CatalogError::Store)?;
        let found = parts.iter().zip(idents.into_iter().zip(found));
        found
            .map(|(part, (ident, found))| {
                let is_create = part.commits.first().is_some_and(TableCommit::is_create);
                commit_target(authorizer, warehouse, ident, found, is_create)
            })
            .collect()
    }

    /// Reads all documents and applies the rules.
    async fn plan<'a>(
        &self,
        warehouse: &OpenWarehouse,
        parts: &'a [Part],
        targets: Vec<CommitTarget>,
    ) -> Result<Vec<Planned<'a>>, CatalogError> {
        let planning: Vec<_> =
            parts.iter().zip(targets).map(|(part, target)| self.plan_part(warehouse, part, target)).collect();
        let planned: Vec<_> = stream::iter(planning).buffered(AT_ONCE).collect().await;
        parts.iter().zip(planned).map(|(part, planned)| planned.map_err(|error| named(&part.ident, error))).collect()
    }

    async fn plan_part<'a>(
        &self,
        warehouse: &OpenWarehouse,
        part: &'a Part,
        target: CommitTarget,
    ) -> Result<Planned<'a>, CatalogError> {
        let Part { ident, commits } = part;
        let (id, before, after) = match target {
            CommitTarget::Table(table) => {
                let record = table.into_object().record;
                let base = self.documents.get(&warehouse.storage, &record.metadata_location).await?;
                let after = self.apply(warehouse, &base, commits, self.clock.now_ms()).await?;
                (record.id, Some((record, base)), after)
            }
            CommitTarget::New(..) => {
                let id = TableId(fresh_ordered_uuid());
                let location = self.new_table_location(warehouse, ident, id, None).await?;
                let table = self.create(warehouse, location, commits).await?;
                let locations = ValidLocations::of(&table, &warehouse.root)?;
                (id, None, Some((table, locations)))
            }
        };
        Ok(Planned { ident, id, commits, before, after })
    }

    /// Writes the documents. When one cannot be written, none stays.
    async fn write<'a>(
        &self,
        warehouse: &OpenWarehouse,
        planned: Vec<Planned<'a>>,
    ) -> Result<Vec<Written<'a>>, CatalogError> {
        let writing: Vec<_> = planned.into_iter().map(|part| self.write_part(warehouse, part)).collect();
        let results: Vec<Result<Written<'a>, CatalogError>> = stream::iter(writing).buffered(AT_ONCE).collect().await;
        let mut failed = None;
        let mut written = Vec::with_capacity(results.len());
        for result in results {
            match result {
                Ok(part) => written.push(part),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            None => Ok(written),
            Some(error) => {
                self.discard_all(warehouse, &written).await;
                Err(error)
            }
        }
    }

    async fn write_part<'a>(
        &self,
        warehouse: &OpenWarehouse,
        planned: Planned<'a>,
    ) -> Result<Written<'a>, CatalogError> {
        let Planned { ident, id, commits, before, after } = planned;
        let after = match after {
            Some((table, locations)) => {
                let previous = before.as_ref().map(|(_, base)| base.location.as_str());
                let written = self.write_document(warehouse, table, previous).await;
                Some((written.map_err(|error| named(ident, error))?, locations))
            }
            None => None,
        };
        let past = match (&before, &after) {
            (Some((_, base)), Some((document, _))) => self.past(warehouse, id, base, &document.metadata).await,
            _ => Past::Kept,
        };
        Ok(Written { ident, id, commits, before, after, past })
    }

    /// Lets all documents be current, or none. Gives whether they are; if not, pointers were moved, and it is worth
    /// another attempt.
    async fn transact(
        &self,
        warehouse: &OpenWarehouse,
        written: &[Written<'_>],
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<bool, CatalogError> {
        let change = &change.at(self.clock.now_ms());
        let changes = || written.iter().map(Written::change).collect();
        let transact = || self.store.table_transact(warehouse.place, changes(), max_tables, change);
        let fate = match self.settled(warehouse, Refusals::AreFinal, transact).await {
            Ok(()) => Fate::Happened,
            Err(StoreError::Unavailable(cause)) => match self.fate_of_all(warehouse, written).await {
                Fate::NotYet => return Err(CatalogError::Store(StoreError::Unavailable(cause))),
                Fate::Unknown => return Err(CatalogError::CommitStateUnknown(names(written), cause.to_string())),
                fate => fate,
            },
            Err(error) => {
                self.discard_all(warehouse, written).await;
                match refusal(written, error) {
                    None => Fate::Overtaken,
                    Some(error) => return Err(error),
                }
            }
        };
        if fate == Fate::Happened {
            let replaced = written.iter().filter(|part| part.after.is_some()).filter_map(|part| part.before.as_ref());
            replaced.for_each(|(_, base)| self.documents.forget(&warehouse.storage, base));
        }
        Ok(fate == Fate::Happened)
    }

    /// What became of a transaction whose answer was lost. What is known of one of its tables holds for all; but that it
    /// has not happened yet is believed only when every table says so.
    async fn fate_of_all(&self, warehouse: &OpenWarehouse, written: &[Written<'_>]) -> Fate {
        let mut all = Fate::NotYet;
        for part in written {
            let fate = match (&part.before, &part.after) {
                (Some((record, _)), Some((document, _))) => {
                    self.fate_of_swap(warehouse, part.ident, record, &document.location).await
                }
                (None, Some(_)) => self.fate_of_creation(warehouse, part.ident, part.id).await,
                (_, None) => continue,
            };
            match fate {
                Fate::Happened | Fate::Overtaken => return fate,
                Fate::Unknown => all = Fate::Unknown,
                Fate::NotYet => {}
            }
        }
        all
    }

    async fn discard_all(&self, warehouse: &OpenWarehouse, written: &[Written<'_>]) {
        for (document, _) in written.iter().filter_map(|part| part.after.as_ref()) {
            self.documents.discard(&warehouse.storage, document).await;
        }
    }
}

impl Written<'_> {
    fn change(&self) -> TableChange {
        let id = self.id;
        let expected = self.before.as_ref().map(|(record, _)| record.metadata_location.clone());
        match (expected, &self.after) {
            (Some(expected), Some((document, locations))) => TableChange::Swap {
                id,
                expected,
                new: document.location.clone(),
                locations: locations.all().clone(),
                past: self.past.clone(),
                details: summary(self.commits),
            },
            (None, Some((document, locations))) => TableChange::Create {
                id,
                ident: self.ident.clone(),
                metadata_location: document.location.clone(),
                locations: locations.all().clone(),
                details: summary(self.commits),
            },
            (expected, None) => TableChange::Keep { id, expected: expected.unwrap_or_default() },
        }
    }
}

/// The commits by the table that they name, in the order of the tables' names.
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

/// Why the store did not make the transaction; nothing when a pointer was moved meanwhile, so that it may try again.
fn refusal(written: &[Written<'_>], error: StoreError) -> Option<CatalogError> {
    let StoreError::InTransaction { at, error } = error else {
        return Some(match error {
            StoreError::Repeated => CatalogError::Repeated,
            StoreError::LimitReached { limit } => CatalogError::TableLimit(limit),
            StoreError::LocationsUnread => CatalogError::LocationsUnread,
            other => CatalogError::Store(other),
        });
    };
    let Some(part) = written.get(at) else { return Some(CatalogError::Store(*error)) };
    match *error {
        StoreError::PointerMoved => None,
        error @ StoreError::AlreadyExists(_) => Some(named(part.ident, of_table(part.ident)(error))),
        error => Some(of_table(part.ident)(error)),
    }
}

/// Says which table of the transaction an error is about.
fn named(ident: &TableIdent, error: CatalogError) -> CatalogError {
    match creation_refused(error) {
        CatalogError::CommitFailed(message) => CatalogError::CommitFailed(format!("{message} (table {ident})")),
        CatalogError::BadRequest(message) => CatalogError::BadRequest(format!("{message} (table {ident})")),
        other => other,
    }
}

/// The tables of a transaction, for a person: some of them, when there are many.
fn names(written: &[Written<'_>]) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<String> = written.iter().take(SHOWN).map(|part| part.ident.to_string()).collect();
    if written.len() > SHOWN {
        names.push(format!("{} more", written.len() - SHOWN));
    }
    names.join(", ")
}
