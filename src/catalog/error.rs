//! What can go wrong in a catalog. Each kind says what happened; `api/error.rs` says what that is in HTTP.

use tidewater_core::access::Hidden;
use tidewater_core::commit::CommitError;
use tidewater_core::ids::TableId;
use tidewater_core::name::{NameError, NamespaceIdent, TableIdent};
use tidewater_core::request_limits::LimitExceeded;

use crate::access::Denial;
use crate::deadline::TimeIsOver;
use crate::heavy::HeavyError;
use crate::metadata::MetadataError;
use crate::store::{Resource, StoreError, TableKind};
use crate::vending::{LocationRefused, VendingError};

/// Why the catalog did not do what it was asked. Unless it says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The organisation has no such warehouse.
    #[error("Warehouse does not exist: {0}")]
    NoSuchWarehouse(String),
    /// The request names no warehouse, and the organisation has no default.
    #[error("No default warehouse: name one, or have an administrator create one")]
    NoDefaultWarehouse,
    /// Its storage cannot be reached as it is set up.
    #[error(
        "Warehouse {0} cannot be used as it is set up: an administrator must look at it (`tidewater warehouse check`)"
    )]
    WarehouseUnusable(String),
    /// There is no such namespace.
    #[error("Namespace does not exist: {0}")]
    NoSuchNamespace(NamespaceIdent),
    /// There is one already.
    #[error("Namespace already exists: {0}")]
    NamespaceExists(NamespaceIdent),
    /// It holds namespaces, tables or views.
    #[error("Namespace {0} is not empty")]
    NamespaceNotEmpty(NamespaceIdent),
    /// There is no such table.
    #[error("Table does not exist: {0}")]
    NoSuchTable(TableIdent),
    /// There is a table of that name.
    #[error("Table already exists: {0}")]
    TableExists(TableIdent),
    /// There is no such view.
    #[error("View does not exist: {0}")]
    NoSuchView(TableIdent),
    /// There is a view of that name.
    #[error("View already exists: {0}")]
    ViewExists(TableIdent),
    /// A table was to be made where a view has the name, or the other way round.
    #[error("{} with same name already exists: {ident}", title(*taken_by))]
    NameTaken {
        /// The name.
        ident: TableIdent,
        /// What has it.
        taken_by: TableKind,
    },
    /// A table or view was to be given a name that is taken.
    #[error("Cannot rename {from} to {to}. {} already exists", title(*taken_by))]
    RenameTaken {
        /// The name that it has, and keeps.
        from: TableIdent,
        /// The name that it was to be given.
        to: TableIdent,
        /// What has that.
        taken_by: TableKind,
    },
    /// A location of it would be at, inside or around one of another's.
    #[error("Location '{location}' of {ident} overlaps that of another table or view: choose another, or none")]
    LocationTaken {
        /// The one that was asked for.
        location: String,
        /// What was to have it.
        ident: TableIdent,
    },
    /// A location of it would be inside or around one of a dropped table, or at one whose files are being removed.
    #[error(
        "Location '{location}' of {ident} overlaps that of a dropped table, whose files are kept or being removed: choose \
         another location, or none; or have an administrator remove the dropped table for good; or, where its files are \
         being removed, try again when they are gone"
    )]
    LocationHeld {
        /// The one that was asked for.
        location: String,
        /// What was to have it.
        ident: TableIdent,
    },
    /// Nothing was dropped under that id, or it is gone for good.
    #[error("Nothing that was dropped has the id {0}, or it is gone for good: list what was dropped")]
    NoSuchDropped(TableId),
    /// Its time is over, its files are being removed, or its place is taken.
    #[error("What was dropped under the id {0} can no longer be restored: {1}")]
    NotRestorable(TableId, String),
    /// What was dropped is to have a name that is taken.
    #[error("Cannot restore {ident}: {} with same name already exists. Restore it under another name", title(*taken_by))]
    RestoreTaken {
        /// The name.
        ident: TableIdent,
        /// What has it.
        taken_by: TableKind,
    },
    /// What was dropped is to be in a namespace that is not there.
    #[error(
        "Cannot restore {0}: Namespace does not exist: {ns}. Create it, or restore under a name in another namespace",
        ns = .0.namespace
    )]
    RestoreWithoutNamespace(TableIdent),
    /// The tier allows no more tables and views.
    #[error("Your tier includes {0} tables and views, and you have as many: drop one, or move to a higher tier")]
    TableLimit(u64),
    /// The same key is to be set and removed.
    #[error("Properties cannot be both updated and removed: {}", .0.join(", "))]
    PropertyConflict(Vec<String>),
    /// The request cannot be fulfilled by any catalog.
    #[error("{0}")]
    BadRequest(String),
    /// What the request asks for breaks a rule of views.
    #[error("{0}")]
    IllegalArgument(String),
    /// The table's state does not allow it to anybody.
    #[error("{0}")]
    Forbidden(String),
    /// The caller may not do it.
    #[error(transparent)]
    Denied(Denial),
    /// A requirement does not hold, or somebody else's commit was faster.
    #[error("{0}")]
    CommitFailed(String),
    /// It is not known whether the commit happened: load the table to see.
    #[error("It is not known whether the commit to {0} happened: load the table to see. {1}")]
    CommitStateUnknown(String, String),
    /// A table was registered, and what it was registered from was removed meanwhile; whether that could be taken back is not
    /// known.
    #[error(
        "{ident} was registered, but its metadata file {location} is gone by now, and the registration could not be taken \
         back: {cause}. Load the table to see; if it is there, drop it or register it again"
    )]
    RegisteredWithoutFile {
        /// Its name.
        ident: TableIdent,
        /// The file that was removed.
        location: String,
        /// Why it could not be taken back.
        cause: String,
    },
    /// A request came again with its idempotency key, and what it was answered cannot be told any more.
    #[error(
        "This request was served before under its Idempotency-Key, and what it asked for was done. Its answer is no longer at \
         hand: the metadata file {0} is gone, and so is the table or view. Nothing was changed now"
    )]
    AnswerGone(String),
    /// A request came again with its idempotency key, and what it was answered cannot be read at the moment.
    #[error(
        "This request was served before under its Idempotency-Key, and what it asked for was done. Its answer cannot be read \
         at the moment: try again, with the same key"
    )]
    AnswerUnavailable(String, String),
    /// A request with the same idempotency key was answered before, or meanwhile: what it was told is kept.
    #[error("The idempotency key was used before")]
    Repeated,
    /// A document is not to be had.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Credentials are not to be had.
    #[error(transparent)]
    Vending(#[from] VendingError),
    /// There was no worker or no memory for it in time, or its time was over. Nothing was changed.
    #[error(transparent)]
    Heavy(#[from] HeavyError),
    /// The store failed; not one of the errors that have a meaning above.
    #[error(transparent)]
    Store(StoreError),
    /// A task of ours ended early.
    #[error("the server stopped in the middle of this request: {0}")]
    Stopped(String),
}

/// What the caller does not see, it is told of as of what does not exist.
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

/// The object of a request to the store, which gives the store's errors their meaning.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Namespace(&'a NamespaceIdent),
    Table(TableKind, &'a TableIdent),
    Rename { kind: TableKind, from: &'a TableIdent, to: &'a TableIdent },
    Dropped(TableId),
    Restore(TableId, &'a TableIdent),
}

/// Translates the errors of the store, for all requests of the catalog. What has no meaning for the subject stays as it is.
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
pub(super) fn of_namespace(namespace: &NamespaceIdent) -> impl Fn(StoreError) -> CatalogError + '_ {
    move |error| translate(Subject::Namespace(namespace), error)
}

/// Translates the store's errors about a table.
pub(super) fn of_table(ident: &TableIdent) -> impl Fn(StoreError) -> CatalogError + '_ {
    of_kind(TableKind::Table, ident)
}

/// Translates the store's errors about a view.
pub(super) fn of_view(ident: &TableIdent) -> impl Fn(StoreError) -> CatalogError + '_ {
    of_kind(TableKind::View, ident)
}

/// Translates the store's errors about a table or view.
pub(super) fn of_kind(kind: TableKind, ident: &TableIdent) -> impl Fn(StoreError) -> CatalogError + '_ {
    move |error| translate(Subject::Table(kind, ident), error)
}

/// Translates the store's errors about a rename: the source is missing, or the target is taken.
pub(super) fn of_rename<'a>(
    kind: TableKind,
    from: &'a TableIdent,
    to: &'a TableIdent,
) -> impl Fn(StoreError) -> CatalogError + 'a {
    move |error| translate(Subject::Rename { kind, from, to }, error)
}

/// Translates the store's errors about a dropped table or view.
pub(super) fn of_dropped(id: TableId) -> impl Fn(StoreError) -> CatalogError {
    move |error| translate(Subject::Dropped(id), error)
}

/// Translates the store's errors about the restore of a dropped table or view under a name.
pub(super) fn of_restore(id: TableId, ident: &TableIdent) -> impl Fn(StoreError) -> CatalogError + '_ {
    move |error| translate(Subject::Restore(id, ident), error)
}

/// What a commit that creates a table is told when something has the name: it asserted that nothing has.
pub(super) fn creation_refused(error: CatalogError) -> CatalogError {
    match error {
        CatalogError::TableExists(_) => CatalogError::CommitFailed("Requirement failed: table already exists".into()),
        taken @ CatalogError::NameTaken { .. } => CatalogError::CommitFailed(taken.to_string()),
        other => other,
    }
}

/// What a request to make a table or view is told when something has the name.
pub(super) fn taken(kind: TableKind, taken_by: TableKind, ident: &TableIdent) -> CatalogError {
    let ident = ident.clone();
    match (kind, taken_by) {
        (TableKind::Table, TableKind::Table) => CatalogError::TableExists(ident),
        (TableKind::View, TableKind::View) => CatalogError::ViewExists(ident),
        _ => CatalogError::NameTaken { ident, taken_by },
    }
}

/// What a request about a table or view is told when there is none of that name.
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
