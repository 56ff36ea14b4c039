//! Errors of a catalog. `api/error.rs` turns them into HTTP answers.

use tidewater_core::access::Hidden;
use tidewater_core::commit::CommitError;
use tidewater_core::ids::TableId;
use tidewater_core::name::{NameError, NamespaceIdent, TableIdent};
use tidewater_core::request_limits::LimitExceeded;

use crate::access::Denial;
use crate::auth::AuthError;
use crate::base::deadline::TimeIsOver;
use crate::heavy::HeavyError;
use crate::metadata::MetadataError;
use crate::store::{Resource, StoreError, TableKind};
use crate::vending::{LocationRefused, VendingError};
use crate::warehouse::FindWarehouseError;

/// Why the catalog did not fulfil a request. Nothing was changed, unless a kind says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The organisation has no warehouse with the name.
    #[error("Warehouse does not exist: {0}")]
    NoSuchWarehouse(String),
    /// The request names no warehouse, and the organisation has no default.
    #[error("No default warehouse: name one, or have an administrator create one")]
    NoDefaultWarehouse,
    /// The warehouse's settings do not give access to its storage.
    #[error(
        "Warehouse {0} cannot be used with its settings: an administrator finds the cause with `tidewater warehouse check`"
    )]
    WarehouseUnusable(String),
    /// Events after the place of a reader were removed before it read them.
    #[error("Events after this continuation-token were removed, because they are too old: start again without one")]
    EventsRemoved,
    /// The namespace does not exist.
    #[error("Namespace does not exist: {0}")]
    NoSuchNamespace(NamespaceIdent),
    /// The namespace exists already.
    #[error("Namespace already exists: {0}")]
    NamespaceExists(NamespaceIdent),
    /// The namespace contains namespaces, tables or views.
    #[error("Namespace {0} is not empty")]
    NamespaceNotEmpty(NamespaceIdent),
    /// The table does not exist.
    #[error("Table does not exist: {0}")]
    NoSuchTable(TableIdent),
    /// A table has the name already.
    #[error("Table already exists: {0}")]
    TableExists(TableIdent),
    /// The view does not exist.
    #[error("View does not exist: {0}")]
    NoSuchView(TableIdent),
    /// A view has the name already.
    #[error("View already exists: {0}")]
    ViewExists(TableIdent),
    /// A view has the name of the table to be created, or the other way round.
    #[error("{} with same name already exists: {ident}", title(*taken_by))]
    NameTaken {
        /// The taken name.
        ident: TableIdent,
        /// The kind of object that has the name.
        taken_by: TableKind,
    },
    /// The new name of a table or view is taken.
    #[error("Cannot rename {from} to {to}. {} already exists", title(*taken_by))]
    RenameTaken {
        /// The present name, which the object keeps.
        from: TableIdent,
        /// The requested name.
        to: TableIdent,
        /// The kind of object that has the requested name.
        taken_by: TableKind,
    },
    /// A location would overlap one of another table or view.
    #[error("Location '{location}' of {ident} overlaps that of another table or view: choose another, or none")]
    LocationTaken {
        /// The requested location.
        location: String,
        /// The table or view of the request.
        ident: TableIdent,
    },
    /// A location would overlap one of a dropped table, or is one whose files are being removed.
    #[error(
        "Location '{location}' of {ident} overlaps that of a dropped table, whose files are kept or being removed. Choose \
         another location or none, ask an administrator to delete the dropped table for good, or try again when its files \
         are removed"
    )]
    LocationHeld {
        /// The requested location.
        location: String,
        /// The table or view of the request.
        ident: TableIdent,
    },
    /// No dropped table or view has the id.
    #[error("No dropped table or view has the id {0}: list the dropped tables and views to see their ids")]
    NoSuchDropped(TableId),
    /// A dropped table or view cannot be restored: its restore time is over, a purge has begun, or another object has its location.
    #[error("The dropped table or view with the id {0} can no longer be restored: {1}")]
    NotRestorable(TableId, String),
    /// The name for a restore is taken.
    #[error("Cannot restore {ident}: {} with same name already exists. Restore it under another name", title(*taken_by))]
    RestoreTaken {
        /// The taken name.
        ident: TableIdent,
        /// The kind of object that has the name.
        taken_by: TableKind,
    },
    /// The namespace for a restore does not exist.
    #[error(
        "Cannot restore {0}: Namespace does not exist: {ns}. Create it, or restore under a name in another namespace",
        ns = .0.namespace
    )]
    RestoreWithoutNamespace(TableIdent),
    /// The tier allows no more tables and views.
    #[error("Your tier includes {0} tables and views, and you have as many: drop one, or move to a higher tier")]
    TableLimit(u64),
    /// The request sets and removes the same property.
    #[error("Properties cannot be both updated and removed: {}", .0.join(", "))]
    PropertyConflict(Vec<String>),
    /// The request cannot be fulfilled by any catalog.
    #[error("{0}")]
    BadRequest(String),
    /// The request breaks a rule of views.
    #[error("{0}")]
    IllegalArgument(String),
    /// The table's state does not allow the request, whoever the caller is.
    #[error("{0}")]
    Forbidden(String),
    /// The caller lacks the permission.
    #[error(transparent)]
    Denied(Denial),
    /// The caller is refused now. It was authenticated when the request arrived.
    #[error(transparent)]
    Refused(#[from] AuthError),
    /// A requirement does not hold, or another commit was faster.
    #[error("{0}")]
    CommitFailed(String),
    /// The outcome of the commit is unknown. Loading the table shows it.
    #[error("It is not known whether the commit to {0} happened: load the table to see. {1}")]
    CommitStateUnknown(String, String),
    /// A table was registered, but its metadata file was removed meanwhile. Whether the registration could be undone is not known.
    #[error(
        "{ident} was registered, but its metadata file {location} was removed since, and the registration could not be \
         undone: {cause}. Load the table: if it exists, drop it or register it again"
    )]
    RegisteredWithoutFile {
        /// The table's name.
        ident: TableIdent,
        /// The location of the removed file.
        location: String,
        /// Why the registration could not be undone.
        cause: String,
    },
    /// A request was repeated with its idempotency key, and its first answer no longer exists.
    #[error(
        "A request with this Idempotency-Key succeeded before. Its answer no longer \
         exists: the metadata file {0} and the table or view are gone. This request changed nothing"
    )]
    AnswerGone(String),
    /// A request was repeated with its idempotency key, and its first answer cannot be read at the moment.
    #[error(
        "A request with this Idempotency-Key succeeded before. Its answer cannot be read \
         at the moment: try again, with the same key"
    )]
    AnswerUnavailable(String, String),
    /// A request with the same idempotency key has changed the catalog already. The receipt has its answer.
    #[error("The idempotency key was used before")]
    Repeated,
    /// A document cannot be read or written.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Credentials cannot be obtained.
    #[error(transparent)]
    Vending(#[from] VendingError),
    /// No worker or memory was free in time, or the request's time ended. Nothing was changed.
    #[error(transparent)]
    Heavy(#[from] HeavyError),
    /// The store failed with an error that has no kind above.
    #[error(transparent)]
    Store(StoreError),
    /// An internal task ended early.
    #[error("the server stopped while it worked on this request: {0}")]
    Stopped(String),
}

impl CatalogError {
    /// Converts the reason why the warehouse of a request, `name` or the default, was not found.
    pub(super) fn from_find_warehouse(error: FindWarehouseError, name: Option<&str>) -> Self {
        match error {
            FindWarehouseError::NotFound => Self::NoSuchWarehouse(name.unwrap_or_default().chars().take(100).collect()),
            FindWarehouseError::NoDefault => Self::NoDefaultWarehouse,
            FindWarehouseError::Unusable(name) => Self::WarehouseUnusable(name),
            FindWarehouseError::Store(error) => Self::Store(error),
        }
    }
}

/// Converts a denial. A hidden object gets the error of one that does not exist.
impl From<Denial> for CatalogError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Hidden(hidden) => match *hidden {
                Hidden::Namespace(ident) => Self::NoSuchNamespace(ident),
                Hidden::Table(ident) => Self::NoSuchTable(ident),
                Hidden::View(ident) => Self::NoSuchView(ident),
                Hidden::Dropped(id) => Self::NoSuchDropped(id),
                Hidden::Warehouse => Self::NoDefaultWarehouse,
            },
            denial => Self::Denied(denial),
        }
    }
}

impl From<NameError> for CatalogError {
    fn from(error: NameError) -> Self {
        Self::BadRequest(error.to_string())
    }
}

impl From<TimeIsOver> for CatalogError {
    fn from(error: TimeIsOver) -> Self {
        Self::Heavy(error.into())
    }
}

impl From<LimitExceeded> for CatalogError {
    fn from(error: LimitExceeded) -> Self {
        Self::BadRequest(error.to_string())
    }
}

impl From<LocationRefused> for CatalogError {
    fn from(error: LocationRefused) -> Self {
        Self::BadRequest(error.to_string())
    }
}

impl From<CommitError> for CatalogError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::BadRequest(message) => Self::BadRequest(message),
            CommitError::IllegalArgument(message) => Self::IllegalArgument(message),
            CommitError::Conflict(message) => Self::CommitFailed(message),
            CommitError::Stopped(_) => TimeIsOver.into(),
        }
    }
}

/// The object of a request to the store. With it a store error becomes a catalog error.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Namespace(&'a NamespaceIdent),
    Table(TableKind, &'a TableIdent),
    Rename { kind: TableKind, from: &'a TableIdent, to: &'a TableIdent },
    Dropped(TableId),
    Restore(TableId, &'a TableIdent),
}

/// Translates the errors of the store, for all requests of the catalog. Other errors become [`CatalogError::Store`].
fn translate(subject: Subject<'_>, error: StoreError) -> CatalogError {
    use Subject::{Dropped, Namespace, Rename, Restore, Table};
    match (error, subject) {
        (StoreError::Repeated, _) => CatalogError::Repeated,
        (StoreError::LimitReached { limit }, _) => CatalogError::TableLimit(limit),
        (StoreError::LimitExceeded(exceeded), _) => exceeded.into(),
        (StoreError::BeingRemoved(document), _) => MetadataError::Missing(document).into(),
        (StoreError::NotFound(Resource::Namespace), Namespace(namespace)) => {
            CatalogError::NoSuchNamespace(namespace.clone())
        }
        (StoreError::NotFound(Resource::Namespace), Table(_, ident) | Rename { to: ident, .. }) => {
            CatalogError::NoSuchNamespace(ident.namespace.clone())
        }
        (StoreError::NotFound(Resource::Namespace), Restore(_, ident)) => {
            CatalogError::RestoreWithoutNamespace(ident.clone())
        }
        (StoreError::NotFound(_), Table(kind, ident) | Rename { kind, from: ident, .. }) => no_such(kind, ident),
        (StoreError::NotFound(_), Dropped(id) | Restore(id, _)) => CatalogError::NoSuchDropped(id),
        (StoreError::AlreadyExists(_), Namespace(namespace)) => CatalogError::NamespaceExists(namespace.clone()),
        (StoreError::AlreadyExists(by), Table(kind, ident)) => taken(kind, kind_of(by), ident),
        (StoreError::AlreadyExists(by), Rename { from, to, .. }) => {
            CatalogError::RenameTaken { from: from.clone(), to: to.clone(), taken_by: kind_of(by) }
        }
        (StoreError::AlreadyExists(by), Restore(_, ident)) => {
            CatalogError::RestoreTaken { ident: ident.clone(), taken_by: kind_of(by) }
        }
        (StoreError::NotEmpty(_), Namespace(namespace)) => CatalogError::NamespaceNotEmpty(namespace.clone()),
        (StoreError::NotRestorable(reason), Dropped(id) | Restore(id, _)) => CatalogError::NotRestorable(id, reason),
        (StoreError::LocationTaken(location), Table(_, ident) | Restore(_, ident)) => {
            CatalogError::LocationTaken { location, ident: ident.clone() }
        }
        (StoreError::LocationHeld(location), Table(_, ident) | Restore(_, ident)) => {
            CatalogError::LocationHeld { location, ident: ident.clone() }
        }
        (other, _) => CatalogError::Store(other),
    }
}

/// Translates the store's errors about a namespace.
pub(super) fn namespace_error(namespace: &NamespaceIdent) -> impl Fn(StoreError) -> CatalogError + '_ {
    move |error| translate(Subject::Namespace(namespace), error)
}

/// Translates the store's errors about a table.
pub(super) fn table_error(ident: &TableIdent) -> impl Fn(StoreError) -> CatalogError + '_ {
    tabular_error(TableKind::Table, ident)
}

/// Translates the store's errors about a view.
pub(super) fn view_error(ident: &TableIdent) -> impl Fn(StoreError) -> CatalogError + '_ {
    tabular_error(TableKind::View, ident)
}

/// Translates the store's errors about a table or view.
pub(super) fn tabular_error(kind: TableKind, ident: &TableIdent) -> impl Fn(StoreError) -> CatalogError + '_ {
    move |error| translate(Subject::Table(kind, ident), error)
}

/// Translates the store's errors about a rename: the source is missing, or the target is taken.
pub(super) fn rename_error<'a>(
    kind: TableKind,
    from: &'a TableIdent,
    to: &'a TableIdent,
) -> impl Fn(StoreError) -> CatalogError + 'a {
    move |error| translate(Subject::Rename { kind, from, to }, error)
}

/// Translates the store's errors about a dropped table or view.
pub(super) fn dropped_error(id: TableId) -> impl Fn(StoreError) -> CatalogError {
    move |error| translate(Subject::Dropped(id), error)
}

/// Translates the store's errors about the restore of a dropped table or view under a name.
pub(super) fn restore_error(id: TableId, ident: &TableIdent) -> impl Fn(StoreError) -> CatalogError + '_ {
    move |error| translate(Subject::Restore(id, ident), error)
}

/// Returns the error of a commit with `assert-create` when the name is taken.
pub(super) fn creation_refused(error: CatalogError) -> CatalogError {
    match error {
        CatalogError::TableExists(_) => CatalogError::CommitFailed("Requirement failed: table already exists".into()),
        taken @ CatalogError::NameTaken { .. } => CatalogError::CommitFailed(taken.to_string()),
        other => other,
    }
}

/// Returns the error of a request to create a table or view when the name is taken.
pub(super) fn taken(kind: TableKind, taken_by: TableKind, ident: &TableIdent) -> CatalogError {
    let ident = ident.clone();
    match (kind, taken_by) {
        (TableKind::Table, TableKind::Table) => CatalogError::TableExists(ident),
        (TableKind::View, TableKind::View) => CatalogError::ViewExists(ident),
        _ => CatalogError::NameTaken { ident, taken_by },
    }
}

/// Returns the error of a request about a table or view that does not exist.
pub(super) fn no_such(kind: TableKind, ident: &TableIdent) -> CatalogError {
    match kind {
        TableKind::Table => CatalogError::NoSuchTable(ident.clone()),
        TableKind::View => CatalogError::NoSuchView(ident.clone()),
    }
}

pub(super) fn kind_of(resource: Resource) -> TableKind {
    if resource == Resource::View { TableKind::View } else { TableKind::Table }
}

fn title(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Table => "Table",
        TableKind::View => "View",
    }
}
