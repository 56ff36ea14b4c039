//! Object storage: reads and writes a warehouse's objects by their location, on the local disk or any cloud.

mod ambient;
mod azure_delete;
mod budget;
mod clock;
mod credentials;
mod hedge;
pub mod hints;
mod http;
mod local;
mod open;
mod pieces;
mod transfer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, future};
use object_store::aws::{AmazonS3, AwsCredentialProvider};
use object_store::azure::{AzureCredentialProvider, MicrosoftAzure};
use object_store::gcp::{GcpCredentialProvider, GoogleCloudStorage};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tidewater_core::location::Location;
use uuid::Uuid;

pub use self::http::TracedConnector;
pub use budget::Budget;
pub use credentials::StorageCredentials;
pub use open::{OpenError, Setup, check_address};
pub use pieces::NewObject;
pub use transfer::{ListedObject, TransferError};

use crate::base::measure::{Calls, Subject};
use crate::base::secret::Secret;

/// Why storage did not read, write or remove an object.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// No object exists at the location.
    #[error("no object at {0}")]
    NotFound(Location),
    /// An object exists already. The catalog never overwrites one.
    #[error("an object is at {0} already")]
    AlreadyExists(Location),
    /// The location is not in this storage.
    #[error("{0} is not in this storage")]
    Elsewhere(Location),
    /// No file with this name can exist on the disk.
    #[error("no file can be written at {0}: a name in it is longer than the disk allows. Choose another location")]
    Impossible(Location),
    /// A folder of the path is a file.
    #[error("no file can be written at {location}: {} is a file, not a folder", .file.display())]
    BelowFile {
        /// The location of the new object.
        location: Location,
        /// The file.
        file: PathBuf,
    },
    /// The storage is full, or the catalog's quota is.
    #[error("storage has no space left for {location}: {source}")]
    NoSpace {
        /// The location of the new object.
        location: Location,
        /// The store's error.
        source: Arc<object_store::Error>,
    },
    /// The object is larger than the limit. Nothing was read.
    #[error("the object at {location} has {size_bytes} bytes, more than {limit_bytes}")]
    TooLarge {
        /// The object's location.
        location: Location,
        /// Its size.
        size_bytes: u64,
        /// The maximum size.
        limit_bytes: u64,
    },
    /// The store refuses the catalog's own credentials, or they do not allow the request. On the local disk: the server's
    /// user may not access the file, or the file system is read-only.
    #[error("storage refuses the catalog at {location}: {source}{}", and_hint(location, source))]
    Refused {
        /// The object's location.
        location: Location,
        /// The store's error.
        source: Arc<object_store::Error>,
    },
    /// The settings name the machine's own credentials, and it has none, or the service that issues them does not answer.
    #[error(
        "no credentials were found on this machine for {location}. The warehouse uses the machine's credentials \
         (`kind = \"ambient\"`, or no section [credentials]). Checked places, in this order: {looked_at}. Add credentials in \
         one of them, or a section [credentials] to the warehouse's storage settings (`warehouse create` and `warehouse \
         set-storage` read them with --storage). The last place failed: {source}"
    )]
    NoCredentials {
        /// The object's location.
        location: Location,
        /// The places where the catalog looked for credentials, as a text for people.
        looked_at: &'static str,
        /// The error of the last of these places.
        source: Arc<object_store::Error>,
    },
    /// The store did not answer, or failed.
    #[error("storage is not available for {location}: {source}{}", and_hint(location, source))]
    Unavailable {
        /// The object's location.
        location: Location,
        /// The store's error.
        source: Arc<object_store::Error>,
    },
}

impl StorageError {
    /// Returns the name of its kind, for metrics.
    const fn kind(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not-found",
            Self::AlreadyExists(_) => "already-exists",
            Self::Elsewhere(_) | Self::Impossible(_) | Self::BelowFile { .. } => "impossible",
            Self::NoSpace { .. } => "no-space",
            Self::TooLarge { .. } => "too-large",
            Self::Refused { .. } | Self::NoCredentials { .. } => "refused",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// Returns whether the storage could not do its work. Otherwise it gave an answer, such as that an object is missing.
    const fn is_of_storage(&self) -> bool {
        matches!(
            self,
            Self::NoSpace { .. } | Self::Refused { .. } | Self::NoCredentials { .. } | Self::Unavailable { .. }
        )
    }

    /// Returns which setting of the warehouse to change, if the error of the store or the network shows it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Refused { location, source } | Self::Unavailable { location, source } => hint_of(location, source),
            _ => None,
        }
    }
}

fn hint_of(location: &Location, source: &object_store::Error) -> Option<&'static str> {
    hints::for_store(location.scheme(), location.authority(), &all_said(source))
}

/// Returns an error's message with all of its causes.
fn all_said(source: &object_store::Error) -> String {
    let mut said = source.to_string();
    let mut cause = std::error::Error::source(source);
    while let Some(error) = cause {
        said.extend([": ", &error.to_string()]);
        cause = error.source();
    }
    said
}

/// Returns the hint to append to a message, if there is one.
fn and_hint(location: &Location, source: &object_store::Error) -> String {
    hints::with_hint(String::new(), hint_of(location, source))
}

/// A handle on a warehouse's storage. It reaches no location outside the warehouse's root.
#[derive(Debug, Clone)]
pub struct Storage {
    id: Uuid,
    /// The organisation to which work on its objects is charged.
    owner: Uuid,
    /// The warehouse's root: the handle reaches only locations below it. `None` for the whole local disk.
    root: Option<Arc<Location>>,
    backend: Backend,
    budget: Budget,
    calls: Calls,
}

#[derive(Debug, Clone)]
enum Backend {
    Local(Arc<LocalFileSystem>),
    S3 {
        store: Arc<AmazonS3>,
        /// Whether the store supports conditional writes.
        conditional: bool,
    },
    Azure {
        store: Arc<MicrosoftAzure>,
        /// The account's key, if the catalog signs in with it.
        account_key: Option<Secret<String>>,
        delete: azure_delete::SingleDelete,
    },
    Gcs {
        store: Arc<GoogleCloudStorage>,
        /// The service account's key file, if the catalog signs in with it.
        service_account_key: Option<Secret<String>>,
    },
}

impl Backend {
    fn local() -> Self {
        Self::Local(Arc::new(LocalFileSystem::new()))
    }

    /// Returns the name of the kind of storage, for metrics: the `type` in a warehouse's settings.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Local(_) => "file",
            Self::S3 { .. } => "s3",
            Self::Azure { .. } => "adls",
            Self::Gcs { .. } => "gcs",
        }
    }

    fn store(&self) -> &dyn ObjectStore {
        match self {
            Self::Local(store) => store.as_ref(),
            Self::S3 { store, .. } => store.as_ref(),
            Self::Azure { store, .. } => store.as_ref(),
            Self::Gcs { store, .. } => store.as_ref(),
        }
    }
}

impl Storage {
    /// Creates a handle on the whole local disk.
    #[must_use]
    pub fn local() -> Self {
        let (backend, budget, calls) = (Backend::local(), Budget::default(), Calls::new(Subject::Storage));
        Self { id: Uuid::nil(), owner: Uuid::nil(), root: None, backend, budget, calls }
    }

    /// Returns the storage's id. Caches use it as a part of their key, since two storages can have different objects at the
    /// same location.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// Returns the organisation to which work on its objects is charged.
    #[must_use]
    pub const fn owner(&self) -> Uuid {
        self.owner
    }

    /// Returns the same storage, with its work charged to an organisation.
    #[must_use]
    pub fn owned_by(self, owner: Uuid) -> Self {
        Self { owner, ..self }
    }

    /// Returns the same storage, with its calls measured by `calls`.
    #[must_use]
    pub fn measured_by(self, calls: &Calls) -> Self {
        Self { calls: calls.clone(), ..self }
    }

    /// Returns the warehouse's root. `None` for the whole local disk.
    #[must_use]
    pub fn root(&self) -> Option<&Location> {
        self.root.as_deref()
    }

    /// Reads the object at `location`, of any size. Only for objects that the catalog wrote itself; see
    /// [`Self::read_at_most`] for others.
    ///
    /// # Errors
    /// `NotFound`, `Elsewhere`, `Refused`, `Unavailable`.
    pub async fn read(&self, location: &Location) -> Result<Bytes, StorageError> {
        self.read_at_most(location, u64::MAX).await
    }

    /// Reads the object at `location`, if it has at most `limit_bytes` bytes. Checks the size before it reads the content.
    ///
    /// # Errors
    /// `TooLarge`, `NotFound`, `Elsewhere`, `Refused`, `Unavailable`.
    pub async fn read_at_most(&self, location: &Location, limit_bytes: u64) -> Result<Bytes, StorageError> {
        self.measured("read", location, self.read_unmeasured(location, limit_bytes)).await
    }

    async fn read_unmeasured(&self, location: &Location, limit_bytes: u64) -> Result<Bytes, StorageError> {
        let (store, path) = self.resolve(location)?;
        let read = || read_whole(store, &path, limit_bytes);
        let read = match &self.backend {
            Backend::Local(_) => read().await,
            _ => hedge::first_of_two(self.budget.hedge_after, read).await,
        };
        match read.map_err(|error| translate(location, error))? {
            Whole::Read(bytes) => Ok(bytes),
            Whole::TooLarge { size_bytes } => {
                Err(StorageError::TooLarge { location: location.clone(), size_bytes, limit_bytes })
            }
        }
    }

    /// Writes a new object. It is durable when this returns, so that a pointer never outlives its document in a power cut.
    ///
    /// # Errors
    /// `AlreadyExists` if the location has another object, which stays unchanged; `Elsewhere`, `Impossible`, `BelowFile`,
    /// `NoSpace`, `Refused`; `Unavailable`: the object may exist, or appear later.
    pub async fn create(&self, location: &Location, bytes: Bytes) -> Result<(), StorageError> {
        self.measured("create", location, self.create_unmeasured(location, bytes)).await
    }

    async fn create_unmeasured(&self, location: &Location, bytes: Bytes) -> Result<(), StorageError> {
        let (store, path) = self.resolve(location)?;
        let mode = match &self.backend {
            Backend::Local(_) => {
                let created = create_on_disk(location, bytes).await;
                let path = std::path::Path::new(location.path());
                return created.map_err(|error| local_error(location, path, self.root(), error));
            }
            Backend::S3 { conditional: false, .. } => PutMode::Overwrite,
            _ => PutMode::Create,
        };
        let begun = Instant::now();
        let mut tries_left = Budget::RETRIES;
        loop {
            match store.put_opts(&path, PutPayload::from_bytes(bytes.clone()), mode.clone().into()).await {
                Ok(_) => return Ok(()),
                // A repeated request whose first answer was lost finds the object that it wrote itself.
                Err(object_store::Error::AlreadyExists { .. }) if self.read(location).await? == bytes => return Ok(()),
                // The connection was cut. The store's client repeats failed requests, but not those that may have succeeded.
                Err(object_store::Error::Generic { .. })
                    if tries_left > 0 && begun.elapsed() < self.budget.retry_timeout =>
                {
                    tries_left -= 1;
                }
                Err(error) => return Err(translate(location, error)),
            }
        }
    }

    /// Removes an object. A missing object is no error.
    ///
    /// # Errors
    /// `Elsewhere`, `Refused`, `Unavailable`.
    pub async fn remove(&self, location: &Location) -> Result<(), StorageError> {
        self.measured("remove", location, self.remove_unmeasured(location)).await
    }

    async fn remove_unmeasured(&self, location: &Location) -> Result<(), StorageError> {
        let (store, path) = self.resolve(location)?;
        let deleted = match &self.backend {
            Backend::Azure { store, delete, .. } => delete.delete(store, &path).await,
            _ => store.delete(&path).await,
        };
        match deleted {
            Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => Err(translate(location, error)),
            _ => Ok(()),
        }
    }

    /// Removes an empty folder on the local disk. Other storages have no folders. Ignores a failure.
    pub async fn remove_empty(&self, folder: &Location) {
        if !matches!(self.backend, Backend::Local(_)) || self.resolve(folder).is_err() {
            return;
        }
        // Fails if the folder is not empty, as it should.
        let _ = tokio::fs::remove_dir(folder.path()).await;
    }

    /// Lists up to `at_most` objects below `folder`, as locations, in any order.
    ///
    /// # Errors
    /// `Elsewhere`, `Refused`, `Unavailable`.
    pub async fn list(&self, folder: &Location, at_most: usize) -> Result<Vec<Location>, StorageError> {
        self.measured("list", folder, async { self.list_all(folder)?.take(at_most).try_collect().await }).await
    }

    /// Lists all objects below `folder`, as locations, in any order, page by page.
    ///
    /// # Errors
    /// `Elsewhere`; each item `Refused`, `Unavailable`.
    pub fn list_all<'a>(
        &'a self,
        folder: &'a Location,
    ) -> Result<impl Stream<Item = Result<Location, StorageError>> + Send + 'a, StorageError> {
        let (store, path) = self.resolve(folder)?;
        let found = store.list(Some(&path)).map_err(|error| translate(folder, error));
        let below = move |object: object_store::ObjectMeta| {
            let rest = object.location.as_ref().strip_prefix(path.as_ref())?.trim_start_matches('/').to_owned();
            folder.join(&rest).ok()
        };
        Ok(found.try_filter_map(move |object| future::ready(Ok(below(object)))))
    }

    /// Returns whether an object that was read or written before is now missing from the local disk, where people move files
    /// by hand. Returns false for other storages, where the check is expensive, and if the check fails.
    #[must_use]
    pub fn was_taken_away(&self, location: &Location) -> bool {
        // Not in a task for blocking calls: a task costs ten times the call, which takes about a microsecond.
        matches!(self.backend, Backend::Local(_))
            && matches!(std::path::Path::new(location.path()).try_exists(), Ok(false))
    }

    /// Creates the folder for a client that will write into it, on the local disk. DuckDB writes a staged table's manifests
    /// before the table's folder exists. Other storages have no folders.
    ///
    /// # Errors
    /// `Elsewhere`, `Impossible`, `BelowFile`, `NoSpace`, `Refused`, `Unavailable`.
    pub async fn prepare(&self, folder: &Location) -> Result<(), StorageError> {
        match self.backend {
            Backend::Local(_) => {
                self.resolve(folder)?;
                let made = tokio::fs::create_dir_all(folder.path()).await;
                let file_in_it = std::path::Path::new(folder.path()).join("file");
                made.map_err(|error| local_error(folder, &file_in_it, self.root(), error))
            }
            _ => Ok(()),
        }
    }

    /// Returns whether the store itself refuses to overwrite an object.
    #[must_use]
    pub const fn is_conditional(&self) -> bool {
        !matches!(self.backend, Backend::S3 { conditional: false, .. })
    }

    /// Returns the catalog's own credentials for S3.
    #[must_use]
    pub fn aws_credentials(&self) -> Option<&AwsCredentialProvider> {
        if let Backend::S3 { store, .. } = &self.backend { Some(store.credentials()) } else { None }
    }

    /// Returns the catalog's own credentials for Azure.
    #[must_use]
    pub fn azure_credentials(&self) -> Option<&AzureCredentialProvider> {
        if let Backend::Azure { store, .. } = &self.backend { Some(store.credentials()) } else { None }
    }

    /// Returns the key of the storage account on Azure, if the catalog has it.
    #[must_use]
    pub fn azure_account_key(&self) -> Option<&Secret<String>> {
        if let Backend::Azure { account_key, .. } = &self.backend { account_key.as_ref() } else { None }
    }

    /// Returns the catalog's own credentials for Google Cloud.
    #[must_use]
    pub fn gcp_credentials(&self) -> Option<&GcpCredentialProvider> {
        if let Backend::Gcs { store, .. } = &self.backend { Some(store.credentials()) } else { None }
    }

    /// Returns the key file of the service account on Google Cloud, if the catalog has it. Its content is not checked.
    #[must_use]
    pub fn gcp_service_account_key(&self) -> Option<&Secret<String>> {
        if let Backend::Gcs { service_account_key, .. } = &self.backend { service_account_key.as_ref() } else { None }
    }

    /// Waits for a call and measures it.
    async fn measured<T>(
        &self,
        operation: &'static str,
        location: &Location,
        call: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let mut measurement = self.calls.begin(self.backend.kind(), operation);
        if let Some(span) = measurement.span() {
            span.set("tidewater.location", location.as_str().to_owned());
        }
        let result = measurement.scope(Box::pin(call)).await;
        measurement.end(&result, StorageError::kind);
        let failure = result.as_ref().err().filter(|error| error.is_of_storage());
        self.calls.latest().note(self.backend.kind(), failure.map(StorageError::kind));
        result
    }

    fn resolve(&self, location: &Location) -> Result<(&dyn ObjectStore, Path), StorageError> {
        let is_here = match &self.root {
            Some(root) => root.contains(location),
            None => location.scheme() == "file",
        };
        if !is_here {
            return Err(StorageError::Elsewhere(location.clone()));
        }
        Ok((self.backend.store(), literal(location)?))
    }
}

async fn create_on_disk(location: &Location, bytes: Bytes) -> io::Result<()> {
    let path = PathBuf::from(location.path());
    let created = tokio::task::spawn_blocking(move || local::create(&path, &bytes)).await;
    created.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
}

/// Returns a location's path unchanged. `Path::from` would escape a `%`, and engines would then read another file.
fn literal(location: &Location) -> Result<Path, StorageError> {
    Path::parse(location.path())
        .map_err(|error| StorageError::Unavailable { location: location.clone(), source: Arc::new(error.into()) })
}

/// Returns the error for `location` after the file at `path` could not be written, in the storage with this root.
fn local_error(location: &Location, path: &std::path::Path, root: Option<&Location>, error: io::Error) -> StorageError {
    let (kind, at) = (error.kind(), location.clone());
    match kind {
        _ if is_impossible(&error) => return StorageError::Impossible(at),
        // A new folder's own name is taken by a file, or the name of a folder above a new file is.
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            if let Some(file) = file_above(path, root) {
                return StorageError::BelowFile { location: at, file };
            }
            if kind == io::ErrorKind::AlreadyExists {
                return StorageError::AlreadyExists(at);
            }
        }
        _ => {}
    }
    let source = Arc::new(object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(error) });
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::NoSpace { location: at, source },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StorageError::Refused { location: at, source }
        }
        _ => StorageError::Unavailable { location: at, source },
    }
}

/// Returns the file below the root that has the name of a folder of `path`. A file in place of the root or of a folder above
/// the root is a fault of the storage, and is not returned.
fn file_above(path: &std::path::Path, root: Option<&Location>) -> Option<PathBuf> {
    let is_below_root = |folder: &&std::path::Path| {
        root.is_none_or(|root| folder.starts_with(root.path()) && *folder != std::path::Path::new(root.path()))
    };
    let mut folders = path.ancestors().skip(1).take_while(is_below_root);
    folders.find(|folder| folder.is_file()).map(std::path::Path::to_owned)
}

/// Returns whether the system's error means that no file can ever have the path. A file in place of a folder does not mean
/// this: it may be a fault of the storage, below an existing table.
fn is_impossible(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidFilename
}

/// Returns whether the system's error means that the server's user may not access a file, or that nobody can write it.
fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Returns whether the error or one of its causes is a system's error for which `is_kind` returns true.
fn has_system_error(error: &(dyn std::error::Error + 'static), is_kind: fn(&io::Error) -> bool) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(is_kind) {
            return true;
        }
        next = error.source();
    }
    false
}

/// The outcome of reading a whole object.
enum Whole {
    Read(Bytes),
    TooLarge { size_bytes: u64 },
}

/// Reads an object, if it has at most `limit_bytes` bytes. Fails if the store sends another number of bytes than it announced.
async fn read_whole(store: &dyn ObjectStore, path: &Path, limit_bytes: u64) -> object_store::Result<Whole> {
    let got = store.get(path).await?;
    let promised = got.meta.size;
    if promised > limit_bytes {
        return Ok(Whole::TooLarge { size_bytes: promised });
    }
    let bytes = got.bytes().await?;
    if bytes.len() as u64 == promised { Ok(Whole::Read(bytes)) } else { Err(cut_short(promised, bytes.len())) }
}

fn cut_short(promised: u64, got: usize) -> object_store::Error {
    let source = format!("the store announced {promised} bytes and sent {got}").into();
    object_store::Error::Generic { store: "storage", source }
}

fn translate(location: &Location, error: object_store::Error) -> StorageError {
    let location = location.clone();
    match error {
        // Versity's gateway answers 404 to an unknown access key. The object may exist.
        source @ object_store::Error::NotFound { .. } if all_said(&source).contains("<Code>XAdminUserNotFound<") => {
            StorageError::Refused { location, source: Arc::new(source) }
        }
        object_store::Error::NotFound { .. } => StorageError::NotFound(location),
        object_store::Error::AlreadyExists { .. } => StorageError::AlreadyExists(location),
        source @ (object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }) => {
            StorageError::Refused { location, source: Arc::new(source) }
        }
        source if has_system_error(&source, is_impossible) => StorageError::NotFound(location),
        // Only for files: a connection to a store can fail with the same kind of error.
        source if location.scheme() == "file" && has_system_error(&source, is_forbidden) => {
            StorageError::Refused { location, source: Arc::new(source) }
        }
        source => match ambient::none_found(&location, &source) {
            Some(looked_at) => StorageError::NoCredentials { location, looked_at, source: Arc::new(source) },
            None => StorageError::Unavailable { location, source: Arc::new(source) },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &tempfile::TempDir, name: &str) -> Location {
        Location::parse(folder.path().to_str().unwrap()).unwrap().join(name).unwrap()
    }

    #[tokio::test]
    async fn create_over_an_existing_object_fails_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::local();
        let at = place(&folder, "t/metadata/a b%20c+ü.json");
        storage.create(&at, Bytes::from_static(b"first")).await.unwrap();
        let second = storage.create(&at, Bytes::from_static(b"second")).await;
        assert!(matches!(second, Err(StorageError::AlreadyExists(_))), "{second:?}");
        assert_eq!(storage.read(&at).await.unwrap(), "first");
        assert_eq!(std::fs::read(folder.path().join("t/metadata/a b%20c+ü.json")).unwrap(), b"first");
    }

    #[test]
    fn refusal_of_a_store_names_the_setting_in_its_message() {
        let source = object_store::Error::Generic { store: "S3", source: "<Code>InvalidAccessKeyId</Code>".into() };
        let location = Location::parse("s3://b/x").unwrap();
        let error = StorageError::Refused { location, source: Arc::new(source) };
        let said = error.to_string();
        assert!(said.contains("set-storage`: check `access-key-id`"), "{said}");
    }

    /// Nobody can create files below `/sys`, root included.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn write_without_the_systems_permission_is_refused() {
        let storage = Storage::local();
        let folder = Location::parse("/sys/tidewater").unwrap();
        let written = storage.create(&folder.join("x").unwrap(), Bytes::new()).await;
        assert!(matches!(written, Err(StorageError::Refused { .. })), "{written:?}");
        let prepared = storage.prepare(&folder).await;
        assert!(matches!(prepared, Err(StorageError::Refused { .. })), "{prepared:?}");
    }

    #[test]
    fn denied_read_is_refused_for_a_file_and_unavailable_for_a_store() {
        let denied = || {
            let source = Box::new(io::Error::from(io::ErrorKind::PermissionDenied));
            object_store::Error::Generic { store: "a", source }
        };
        let file = translate(&Location::parse("/srv/lake/x").unwrap(), denied());
        assert!(matches!(file, StorageError::Refused { .. }), "{file:?}");
        let object = translate(&Location::parse("s3://b/x").unwrap(), denied());
        assert!(matches!(object, StorageError::Unavailable { .. }), "{object:?}");
    }

    /// Reading the whole object would take 64 GiB.
    #[tokio::test]
    async fn object_over_the_limit_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join("sparse")).unwrap();
        file.set_len(64 << 30).unwrap();
        let at = place(&folder, "sparse");
        let refused = Storage::local().read_at_most(&at, 1_000).await;
        let Err(StorageError::TooLarge { size_bytes, limit_bytes, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!((size_bytes, limit_bytes), (64 << 30, 1_000));
        file.set_len(1_000).unwrap();
        assert_eq!(Storage::local().read_at_most(&at, 1_000).await.unwrap().len(), 1_000);
    }

    #[tokio::test]
    async fn removed_file_on_the_local_disk_is_reported_missing() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::local();
        let at = place(&folder, "a b%20c.json");
        storage.create(&at, Bytes::new()).await.unwrap();
        assert!(!storage.was_taken_away(&at));
        storage.remove(&at).await.unwrap();
        assert!(storage.was_taken_away(&at));
    }

    #[tokio::test]
    async fn missing_object_and_unreachable_storage_are_different_errors() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::local();
        assert!(matches!(storage.read(&place(&folder, "none")).await, Err(StorageError::NotFound(_))));
        std::fs::write(folder.path().join("file"), b"").unwrap();
        let below_a_file = storage.create(&place(&folder, "file/x"), Bytes::new()).await;
        assert!(matches!(below_a_file, Err(StorageError::BelowFile { .. })), "{below_a_file:?}");
        let long = place(&folder, &"n".repeat(256));
        let too_long = storage.create(&long, Bytes::new()).await;
        assert!(matches!(too_long, Err(StorageError::Impossible(_))), "{too_long:?}");
        assert!(matches!(storage.read(&long).await, Err(StorageError::NotFound(_))));
        let s3 = Location::parse("s3://bucket/x").unwrap();
        assert!(matches!(storage.read(&s3).await, Err(StorageError::Elsewhere(_))));
        storage.remove(&place(&folder, "none")).await.unwrap();
    }
}
