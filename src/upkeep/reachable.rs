//! The files that a table's metadata leads to.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use tidewater_core::purge::NamedFiles;
use tidewater_core::upkeep::KnownFiles;
use tidewater_manifests::{Entry, ManifestFile, Status};

use super::reading::{check_count, named_manifest, read_lists, read_manifests, unreadable};
use super::run::{Run, RunError};
use crate::manifests::ManifestError;
use crate::metadata::Document;

/// Which entries of manifests count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// Those of files that belong to the table.
    Live,
    /// Those of removed files too.
    All,
}

/// The files that documents of a table lead to. Each manifest list and manifest is read once.
pub(super) struct Reachable<'a, K> {
    run: &'a Run<'a>,
    counted: Counted,
    files: K,
    lists: HashSet<String>,
    manifests: HashSet<Box<str>>,
    documents: HashSet<String>,
}

impl<'a, K: KnownFiles> Reachable<'a, K> {
    pub(super) fn new(run: &'a Run<'a>, counted: Counted, files: K) -> Self {
        let (lists, manifests, documents) = Default::default();
        Self { run, counted, files, lists, manifests, documents }
    }

    /// Returns the files: data files, files with deletes, manifests, lists, statistics and documents.
    pub(super) const fn files(&self) -> &K {
        &self.files
    }

    /// Prepares for many lookups.
    pub(super) fn sort(&mut self) {
        self.files.sort();
    }

    /// Returns whether the files of a document are known.
    pub(super) fn knows(&self, document: &str) -> bool {
        self.documents.contains(document)
    }

    /// Adds the files that a document leads to.
    pub(super) async fn add_document(&mut self, document: &Document) -> Result<(), RunError> {
        let named = named_files(self.run, document).await?;
        self.files.add(&document.location);
        let NamedFiles { manifest_lists, manifests, statistics, older_documents } = named;
        for file in statistics.iter().chain(&older_documents) {
            self.files.add(file);
        }
        let lists: Vec<String> = manifest_lists.into_iter().filter(|list| self.lists.insert(list.clone())).collect();
        let mut found: Vec<ManifestFile> = manifests.iter().map(|path| named_manifest(path)).collect();
        found.retain(|manifest| self.manifests.insert(manifest.path.clone()));
        {
            let mut reads = std::pin::pin!(read_lists(self.run, lists));
            while let Some((list, files)) = reads.try_next().await? {
                self.files.add(&list);
                let files = files.ok_or_else(|| unreadable(&list, &ManifestError::Missing))?;
                // Lists name the same manifests again and again.
                found.extend(files.into_iter().filter(|file| self.manifests.insert(file.path.clone())));
                check_count(self.run, found.len())?;
            }
        }
        self.read_new(found).await?;
        self.files.sort();
        self.documents.insert(document.location.clone());
        Ok(())
    }

    /// Adds manifests and the files in them. Fails if one is missing: without it, it is not known which files the table needs.
    pub(super) async fn add_manifests(&mut self, mut manifests: Vec<ManifestFile>) -> Result<(), RunError> {
        manifests.retain(|manifest| self.manifests.insert(manifest.path.clone()));
        self.read_new(manifests).await
    }

    async fn read_new(&mut self, manifests: Vec<ManifestFile>) -> Result<(), RunError> {
        for manifest in &manifests {
            self.files.add(&manifest.path);
        }
        let mut reads = std::pin::pin!(read_manifests(self.run, manifests));
        while let Some((file, manifest)) = reads.try_next().await? {
            let manifest = manifest.ok_or_else(|| unreadable(&file.path, &ManifestError::Missing))?;
            let counts = |entry: &Entry<'_>| self.counted == Counted::All || entry.status() != Status::Deleted;
            for entry in manifest.entries()?.iter().filter(counts) {
                self.files.add(&entry.path().to_string());
            }
            if self.files.is_over(self.run.parts.config.files_per_table) {
                check_count(self.run, usize::MAX)?;
            }
        }
        Ok(())
    }
}

/// Returns the files that a document names.
pub(super) async fn named_files(run: &Run<'_>, document: &Document) -> Result<NamedFiles, RunError> {
    let (heavy, json) = (run.parts.documents.reader().heavy(), document.json.clone());
    let owner = run.table.warehouse.warehouse_ref.organisation.0;
    let named = heavy.run(owner, json.len() as u64, move || NamedFiles::parse(&json)).await;
    let named = named.map_err(|error| RunError::Failed(error.to_string()))?;
    named.map_err(|error| RunError::Failed(error.to_string()))
}
