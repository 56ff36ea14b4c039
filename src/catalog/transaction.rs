//! Commits to several tables as one: all of them happen, or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use tidewater_core::commit::TableCommit;
use tidewater_core::document::TableMetadata;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::commit::{ATTEMPTS, Planned};
use super::error::creation_refused;
use super::publish::{AT_ONCE, NotPublished, Publication, Unchanged};
use super::weight::commits_bytes;
use super::{Catalog, CatalogError, OpenWarehouse};
use crate::deadline;
use crate::store::{Change, TableKind, TableRecord};

/// What a transaction asks of one table.
struct Part {
    ident: TableIdent,
    /// In the order of the request.
    commits: Arc<[TableCommit]>,
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
        warehouse: &Arc<OpenWarehouse>,
        commits: Vec<TableCommit>,
        max_tables: Option<u64>,
        change: &Change,
    ) -> Result<(), CatalogError> {
        let parts = by_table(commits)?;
        let (catalog, warehouse, change) = (Arc::clone(self), Arc::clone(warehouse), change.clone());
        self.to_its_end(async move {
            let bytes = parts.iter().map(|part| commits_bytes(&part.commits)).sum();
            let parts = catalog.heavy.large(bytes, parts);
            let idents: Vec<TableIdent> = parts.iter().map(|part| part.ident.clone()).collect();
            let mut records = catalog.table_records(&warehouse, &idents).await?;
            check_named_tables(&parts, &records)?;
            let ids = records.iter().flatten().map(|record| record.id);
            let turns = deadline::within(catalog.queues.enter_all(ids)).await?;
            if turns.iter().any(|turn| turn.waited) {
                records = catalog.table_records(&warehouse, &idents).await?;
            }
            for _ in 0..ATTEMPTS {
                let (changed, unchanged) = catalog.plan(&warehouse, &parts, records).await?;
                match catalog.publish_all(&warehouse, changed, &unchanged, max_tables, &change).await {
                    Ok(()) => return Ok(()),
                    Err(refused) if refused.overtaken => {}
                    Err(NotPublished { ident: Some(ident), error, .. }) => return Err(named(ident, error)),
                    Err(refused) => return Err(refused.into()),
                }
                records = catalog.table_records(&warehouse, &idents).await?;
            }
            Err(CatalogError::CommitFailed(format!(
                "Cannot commit the transaction: other commits were faster {ATTEMPTS} times"
            )))
        })
        .await
    }

    /// The tables of these names as they stand; none where there is no table of that name.
    async fn table_records(
        &self,
        warehouse: &OpenWarehouse,
        idents: &[TableIdent],
    ) -> Result<Vec<Option<TableRecord>>, CatalogError> {
        let found = self.store.table_get_all(warehouse.place, idents).await.map_err(CatalogError::Store)?;
        Ok(found.into_iter().map(|record| record.filter(|record| record.kind == TableKind::Table)).collect())
    }

    /// Reads all documents and applies the rules. Gives what is published, and the tables that stay as they are.
    async fn plan<'a>(
        &self,
        warehouse: &OpenWarehouse,
        parts: &'a [Part],
        records: Vec<Option<TableRecord>>,
    ) -> Result<(Vec<Publication<'a>>, Vec<Unchanged<'a>>), CatalogError> {
        check_named_tables(parts, &records)?;
        let planning: Vec<_> =
            parts.iter().zip(records).map(|(part, record)| self.plan_part(warehouse, part, record)).collect();
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
        record: Option<TableRecord>,
    ) -> Result<Planned<'a, TableMetadata>, CatalogError> {
        let Part { ident, commits } = part;
        match record {
            Some(record) => self.plan_commit(warehouse, ident, commits, record).await,
            None => Ok(Planned::Changed(Box::new(self.plan_creation(warehouse, ident, commits).await?))),
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

/// Fails for the first part whose table does not exist and is not to be created, before anything is read for the others.
fn check_named_tables(parts: &[Part], records: &[Option<TableRecord>]) -> Result<(), CatalogError> {
    let missing = parts
        .iter()
        .zip(records)
        .find(|(part, record)| record.is_none() && !part.commits.first().is_some_and(TableCommit::is_create));
    missing.map_or(Ok(()), |(part, _)| Err(CatalogError::NoSuchTable(part.ident.clone())))
}

/// Says which table of the transaction an error is about.
fn named(ident: &TableIdent, error: CatalogError) -> CatalogError {
    match creation_refused(error) {
        CatalogError::CommitFailed(message) => CatalogError::CommitFailed(format!("{message} (table {ident})")),
        CatalogError::BadRequest(message) => CatalogError::BadRequest(format!("{message} (table {ident})")),
        other => other,
    }
}
