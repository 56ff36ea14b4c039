//! A catalog with the benchmark's own namespaces and tables, which it removes at the end.

use std::collections::BTreeMap;

use anyhow::Result;

use super::commits::{self, Writing};
use super::reads::{self, Reading};
use super::{Sizes, Variant, Workload};
use crate::catalog::{self, Catalog, Table, TableName};
use crate::clock::Clock;
use crate::driver::Script;
use crate::stop::Stop;
use crate::targets::Target;

/// The load of one variant of a workload on one catalog.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Repeats a request.
    Reading(Reading),
    /// Commits.
    Writing(Writing),
}

impl Subject {
    /// Returns one script for each connection. `salt` makes the written values of each round different. `clock` provides the
    /// times of added snapshots.
    ///
    /// # Errors
    /// Fails if the catalog does not answer.
    pub async fn scripts(&self, target: &Target, connections: usize, salt: &str, clock: Clock) -> Result<Vec<Script>> {
        match self {
            Self::Reading(reading) => reading.scripts(target, connections),
            Self::Writing(writing) => writing.scripts(target, connections, salt, clock).await,
        }
    }
}

/// A catalog under test.
#[derive(Debug)]
pub struct Site {
    /// The catalog.
    pub target: Target,
    sizes: Sizes,
    namespace: String,
    clock: Clock,
    stop: Stop,
    namespaces_made: Vec<String>,
    tables_made: Vec<TableName>,
    with_snapshots: BTreeMap<(&'static str, u64), Table>,
}

impl Site {
    /// Creates a site without objects. All objects will be in `namespace`.
    #[must_use]
    pub fn new(target: Target, sizes: Sizes, namespace: String, clock: Clock, stop: Stop) -> Self {
        Self {
            target,
            sizes,
            namespace,
            clock,
            stop,
            namespaces_made: Vec::new(),
            tables_made: Vec::new(),
            with_snapshots: BTreeMap::new(),
        }
    }

    /// Creates the objects of a workload for at most `connections` connections. Returns one entry for each of its variants: a
    /// subject, or the reason why the catalog does not support it.
    ///
    /// # Errors
    /// Fails if the catalog refuses to create an object.
    pub async fn prepare(&mut self, workload: Workload, connections: usize) -> Result<Vec<Result<Subject, String>>> {
        let mut subjects = Vec::new();
        for variant in workload.variants(&self.sizes) {
            subjects.push(self.subject(workload, variant, connections).await?);
        }
        Ok(subjects)
    }

    async fn subject(
        &mut self,
        workload: Workload,
        variant: Variant,
        connections: usize,
    ) -> Result<Result<Subject, String>> {
        let subject = match (workload, variant) {
            (Workload::Load, Variant::Snapshots(count)) => {
                let table = self.table_with_snapshots("load", count).await?;
                Subject::Reading(reads::load(&self.target, &table).await?)
            }
            (Workload::Load304, Variant::Snapshots(count)) => {
                let table = self.table_with_snapshots("load", count).await?;
                match reads::load_not_modified(&self.target, &table).await? {
                    Ok(reading) => Subject::Reading(reading),
                    Err(reason) => return Ok(Err(reason)),
                }
            }
            (Workload::CommitSequential, Variant::Snapshots(count)) => {
                let table = self.table_with_snapshots("sequential", count).await?;
                Subject::Writing(commits::one_table(table))
            }
            (Workload::CommitAppend, Variant::Snapshots(count)) => {
                let table = self.table_with_snapshots("append", count).await?;
                Subject::Writing(commits::appends(table, count))
            }
            (_, Variant::Tables) => {
                let namespace = format!("{}_list", self.namespace);
                let count = self.sizes.list_tables;
                self.tables(&namespace, "events_of_customer", count).await?;
                Subject::Reading(reads::list_tables(&self.target, &namespace, count).await?)
            }
            (_, Variant::Namespaces) => Subject::Reading(reads::list_namespaces(&self.target).await?),
            (Workload::CommitMany, _) => {
                let namespace = self.namespace.clone();
                let tables = self.tables(&namespace, "many", self.sizes.tables.max(connections)).await?;
                Subject::Writing(commits::many_tables(tables))
            }
            (Workload::CommitOne, _) => {
                let table = self.table_with_snapshots("one", 1).await?;
                Subject::Writing(commits::one_table(table))
            }
            _ => Subject::Reading(reads::config(&self.target).await?),
        };
        Ok(Ok(subject))
    }

    async fn namespace_ensure(&mut self, name: &str) -> Result<()> {
        if !self.namespaces_made.iter().any(|made| made == name) {
            // The catalog refuses to create an existing namespace, which this run must not remove.
            Catalog::open(&self.target).await?.namespace_create(name).await?;
            self.namespaces_made.push(name.to_owned());
        }
        Ok(())
    }

    async fn tables(&mut self, namespace: &str, stem: &str, count: usize) -> Result<Vec<Table>> {
        self.namespace_ensure(namespace).await?;
        let names: Vec<_> = (0..count)
            .map(|number| TableName { namespace: namespace.to_owned(), name: format!("{stem}_{number:05}") })
            .collect();
        // Recorded before their creation, so that the clean-up also covers a partial creation.
        self.tables_made.extend(names.iter().cloned());
        catalog::tables_create(&self.target, names, &self.stop).await
    }

    async fn table_with_snapshots(&mut self, stem: &'static str, snapshots: u64) -> Result<Table> {
        if let Some(table) = self.with_snapshots.get(&(stem, snapshots)) {
            return Ok(table.clone());
        }
        let namespace = self.namespace.clone();
        self.namespace_ensure(&namespace).await?;
        let name = TableName { namespace, name: format!("{stem}_{snapshots}") };
        self.tables_made.push(name.clone());
        let table = Catalog::open(&self.target).await?.table_create(name, snapshots, self.clock.now_ms()).await?;
        self.with_snapshots.insert((stem, snapshots), table.clone());
        Ok(table)
    }

    /// Removes all created objects.
    ///
    /// # Errors
    /// Fails if the catalog refuses; still tries the others.
    pub async fn clean_up(&mut self) -> Result<()> {
        self.target.renew_sign_in().await?;
        let tables = catalog::tables_drop(&self.target, std::mem::take(&mut self.tables_made)).await;
        let mut catalog = Catalog::open(&self.target).await?;
        let mut outcome = tables;
        for namespace in std::mem::take(&mut self.namespaces_made) {
            outcome = outcome.and(catalog.namespace_drop(&namespace).await);
        }
        outcome
    }
}
