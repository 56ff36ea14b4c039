//! The files that a table's metadata leads to.

use std::collections::{BTreeMap, HashSet};

use tidewater_core::location::Location;
use tidewater_core::purge::NamedFiles;
use tidewater_core::upkeep::KnownFiles;
use tidewater_manifests::{Entries, ManifestFile, Status};

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
        for list in manifest_lists {
            if self.lists.contains(&list) {
                continue;
            }
            self.files.add(&list);
            for manifest in read_list(self.run, &list).await? {
                self.add_manifest(&manifest).await?;
            }
            self.lists.insert(list);
        }
        for path in manifests {
            self.add_manifest(&named_manifest(&path)).await?;
        }
        self.files.sort();
        self.documents.insert(document.location.clone());
        Ok(())
    }

    /// Adds a manifest and the files in it.
    pub(super) async fn add_manifest(&mut self, manifest: &ManifestFile) -> Result<(), RunError> {
        if !self.manifests.insert(manifest.path.clone()) {
            return Ok(());
        }
        self.files.add(&manifest.path);
        let (counted, files) = (self.counted, &mut self.files);
        read_manifest(self.run, manifest, |entries| {
            for entry in entries.iter().filter(|entry| counted == Counted::All || entry.status() != Status::Deleted) {
                files.add(&entry.path().to_string());
            }
        })
        .await?;
        check_count(self.run, self.files.len())
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

/// Returns a manifest of which only the path is known (format v1).
pub(super) fn named_manifest(path: &str) -> ManifestFile {
    ManifestFile { path: path.into(), ..ManifestFile::default() }
}

/// Returns what is needed of a manifest: large tables have many.
fn slim(file: &ManifestFile) -> ManifestFile {
    ManifestFile { path: file.path.clone(), length: file.length, ..ManifestFile::default() }
}

/// Fails if a table has too many files for the memory of a run.
fn check_count(run: &Run<'_>, count: usize) -> Result<(), RunError> {
    let most = run.parts.config.files_per_table;
    if count <= most {
        return Ok(());
    }
    Err(RunError::Failed(format!(
        "the table has more than {most} files: raise `maintenance.files_per_table`, which takes 8 bytes of memory for each"
    )))
}

/// Reads a manifest list. Fails if it is missing: without it, it is not known which files the table needs.
pub(super) async fn read_list(run: &Run<'_>, list: &str) -> Result<Vec<ManifestFile>, RunError> {
    run.check_goes_on()?;
    let location = parse(list)?;
    let found = run.parts.manifests.list(&run.table.warehouse.storage, &location).await;
    Ok(found.map_err(|error| unreadable(list, &error))?.files().iter().map(slim).collect())
}

/// Reads a manifest, and passes its entries on. Fails if it is missing: without it, it is not known which files the table needs.
pub(super) async fn read_manifest(
    run: &Run<'_>,
    manifest: &ManifestFile,
    read: impl FnOnce(&Entries<'_>),
) -> Result<(), RunError> {
    match read_if_there(run, manifest, read).await? {
        true => Ok(()),
        false => Err(unreadable(&manifest.path, &ManifestError::Missing)),
    }
}

/// Reads a manifest, and passes its entries on. Returns false if it is missing.
pub(super) async fn read_if_there(
    run: &Run<'_>,
    manifest: &ManifestFile,
    read: impl FnOnce(&Entries<'_>),
) -> Result<bool, RunError> {
    run.check_goes_on()?;
    let location = parse(&manifest.path)?;
    let found = match run.parts.manifests.manifest(&run.table.warehouse.storage, &location).await {
        Ok(found) => found,
        Err(ManifestError::Missing) => return Ok(false),
        Err(error) => return Err(unreadable(&manifest.path, &error)),
    };
    // Sequence numbers do not matter here.
    let entries = found.entries(&named_manifest(&manifest.path));
    read(&entries.map_err(|error| RunError::Failed(format!("cannot read {}: {error}", manifest.path)))?);
    Ok(true)
}

/// Returns the manifests of lists that exist, by their paths. Missing lists were removed by an earlier run.
pub(super) async fn manifests_of(
    run: &Run<'_>,
    named: &NamedFiles,
) -> Result<BTreeMap<Box<str>, ManifestFile>, RunError> {
    let mut manifests = BTreeMap::new();
    for list in &named.manifest_lists {
        run.check_goes_on()?;
        let location = parse(list)?;
        match run.parts.manifests.list(&run.table.warehouse.storage, &location).await {
            Ok(found) => manifests.extend(found.files().iter().map(|file| (file.path.clone(), slim(file)))),
            Err(ManifestError::Missing) => {}
            Err(error) => return Err(unreadable(list, &error)),
        }
    }
    manifests.extend(named.manifests.iter().map(|path| (path.as_str().into(), named_manifest(path))));
    Ok(manifests)
}

/// Returns the manifests of lists that must exist, by their paths.
pub(super) async fn manifests_that_stay(
    run: &Run<'_>,
    named: &NamedFiles,
) -> Result<BTreeMap<Box<str>, ManifestFile>, RunError> {
    let mut manifests = BTreeMap::new();
    for list in &named.manifest_lists {
        manifests.extend(read_list(run, list).await?.into_iter().map(|file| (file.path.clone(), file)));
        check_count(run, manifests.len())?;
    }
    manifests.extend(named.manifests.iter().map(|path| (path.as_str().into(), named_manifest(path))));
    Ok(manifests)
}

fn parse(text: &str) -> Result<Location, RunError> {
    Location::parse(text).map_err(|error| RunError::Failed(format!("{error}: no file is removed")))
}

/// Returns the error for a file without which it is not known which files the table needs.
pub(super) fn unreadable(file: &str, error: &ManifestError) -> RunError {
    let shown: String = file.chars().take(300).collect();
    RunError::Failed(format!(
        "{shown} {error}: no more files are removed, because it is not known which the table needs"
    ))
}
