//! Records of what was changed, by whom and when.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tidewater_core::ids::{OrganisationId, WarehouseId};
use uuid::Uuid;

use super::change::Actor;
use super::error::Result;
use super::table_kind::TableKind;

/// The name is not that of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownOperation;

impl fmt::Display for UnknownOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = Operation::ALL.iter().map(|operation| operation.as_str()).collect();
        write!(f, "the operation must be one of {}", known.join(", "))
    }
}

impl std::error::Error for UnknownOperation {}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// What a change does. Iceberg's names where it has one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($(#[$doc])* $name),*
        }

        impl Operation {
            /// All operations.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The operation's name, as stores and the API write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text),*
                }
            }

        }

        impl FromStr for Operation {
            type Err = UnknownOperation;

            fn from_str(name: &str) -> std::result::Result<Self, UnknownOperation> {
                match name {
                    $($text => Ok(Self::$name),)*
                    _ => Err(UnknownOperation),
                }
            }
        }
    };
}

operations! {
    /// Adds an organisation.
    CreateOrganisation = "create-organisation",
    /// Moves an organisation to another tier.
    SetTier = "set-tier",
    /// Gives an organisation another name.
    RenameOrganisation = "rename-organisation",
    /// Suspends an organisation.
    SuspendOrganisation = "suspend-organisation",
    /// Serves a suspended organisation again.
    ResumeOrganisation = "resume-organisation",
    /// Asks for an organisation to be deleted.
    DeleteOrganisation = "delete-organisation",
    /// Takes back that an organisation is to be deleted.
    RestoreOrganisation = "restore-organisation",
    /// Has removed the last of an organisation.
    ForgetOrganisation = "forget-organisation",
    /// Adds an operator.
    CreateOperator = "create-operator",
    /// Revokes an operator's key.
    RevokeOperator = "revoke-operator",
    /// Changes an API key's name, role or end.
    UpdateKey = "update-key",
    /// Replaces an API key by a new one.
    RotateKey = "rotate-key",
    /// Adds an API key.
    CreateKey = "create-key",
    /// Revokes an API key.
    RevokeKey = "revoke-key",
    /// Adds a key that signs tokens.
    AddSigningKey = "add-signing-key",
    /// Removes older keys that signed tokens.
    RemoveSigningKeys = "remove-signing-keys",
    /// Adds a principal role.
    CreatePrincipalRole = "create-principal-role",
    /// Removes a principal role.
    DeletePrincipalRole = "delete-principal-role",
    /// Gives a principal a principal role.
    AssignPrincipalRole = "assign-principal-role",
    /// Takes a principal role from a principal.
    RevokePrincipalRole = "revoke-principal-role",
    /// Adds a catalog role.
    CreateCatalogRole = "create-catalog-role",
    /// Removes a catalog role, with its grants.
    DeleteCatalogRole = "delete-catalog-role",
    /// Gives a principal role a catalog role.
    AssignCatalogRole = "assign-catalog-role",
    /// Takes a catalog role from a principal role.
    RevokeCatalogRole = "revoke-catalog-role",
    /// Grants a privilege to a catalog role.
    AddGrant = "add-grant",
    /// Takes a privilege from a catalog role.
    RevokeGrant = "revoke-grant",
    /// Adds a warehouse.
    CreateWarehouse = "create-warehouse",
    /// Gives a warehouse another way to its storage.
    SetWarehouseStorage = "set-warehouse-storage",
    /// Changes a warehouse's options.
    SetWarehouseOptions = "set-warehouse-options",
    /// Makes a warehouse the default.
    SetDefaultWarehouse = "set-default-warehouse",
    /// Removes a warehouse.
    DropWarehouse = "drop-warehouse",
    /// Adds a namespace.
    CreateNamespace = "create-namespace",
    /// Changes the properties of a namespace.
    UpdateNamespaceProperties = "update-namespace-properties",
    /// Removes a namespace.
    DropNamespace = "drop-namespace",
    /// Adds a table.
    CreateTable = "create-table",
    /// Brings a table's existing metadata into the catalog.
    RegisterTable = "register-table",
    /// Takes the registration of a table back, since its metadata had gone.
    UndoRegisterTable = "undo-register-table",
    /// Commits to a table.
    UpdateTable = "update-table",
    /// Gives a table another name.
    RenameTable = "rename-table",
    /// Drops a table.
    DropTable = "drop-table",
    /// Restores a dropped table.
    RestoreTable = "restore-table",
    /// Asks for the removal of a dropped table's files now.
    RequestPurge = "request-purge",
    /// Has removed the last file of a dropped table.
    PurgeTable = "purge-table",
    /// Forgets a dropped table, whose files stay.
    ForgetTable = "forget-table",
    /// Adds a view.
    CreateView = "create-view",
    /// Brings a view's existing metadata into the catalog.
    RegisterView = "register-view",
    /// Takes the registration of a view back, since its metadata had gone.
    UndoRegisterView = "undo-register-view",
    /// Commits to a view.
    UpdateView = "update-view",
    /// Gives a view another name.
    RenameView = "rename-view",
    /// Drops a view.
    DropView = "drop-view",
    /// Restores a dropped view.
    RestoreView = "restore-view",
    /// Forgets a dropped view.
    ForgetView = "forget-view",
}

macro_rules! of_kind {
    ($($(#[$doc:meta])* $name:ident = $table:ident | $view:ident),* $(,)?) => {
        impl Operation {
            $($(#[$doc])*
            #[must_use]
            pub const fn $name(kind: TableKind) -> Self {
                match kind {
                    TableKind::Table => Self::$table,
                    TableKind::View => Self::$view,
                }
            })*
        }
    };
}

of_kind! {
    /// Adding a table or view.
    create = CreateTable | CreateView,
    /// Registering a table or view.
    register = RegisterTable | RegisterView,
    /// Taking a registration of a table or view back.
    undo_register = UndoRegisterTable | UndoRegisterView,
    /// A commit to a table or view.
    update = UpdateTable | UpdateView,
    /// A rename of a table or view.
    rename = RenameTable | RenameView,
    /// A drop of a table or view.
    drop = DropTable | DropView,
    /// A restore of a table or view.
    restore = RestoreTable | RestoreView,
    /// The end of a dropped table or view whose files stay.
    forget = ForgetTable | ForgetView,
}

/// A kind of object that changes are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// An organisation.
    Organisation,
    /// An API key.
    Key,
    /// An operator.
    Operator,
    /// A key that signs tokens.
    SigningKey,
    /// A principal role.
    PrincipalRole,
    /// A catalog role.
    CatalogRole,
    /// A warehouse.
    Warehouse,
    /// A namespace.
    Namespace,
    /// A table.
    Table,
    /// A view.
    View,
}

impl ObjectKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Organisation,
        Self::Key,
        Self::Operator,
        Self::SigningKey,
        Self::PrincipalRole,
        Self::CatalogRole,
        Self::Warehouse,
        Self::Namespace,
        Self::Table,
        Self::View,
    ];

    /// The kind's name, as stores and the API write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Key => "key",
            Self::Operator => "operator",
            Self::SigningKey => "signing-key",
            Self::PrincipalRole => "principal-role",
            Self::CatalogRole => "catalog-role",
            Self::Warehouse => "warehouse",
            Self::Namespace => "namespace",
            Self::Table => "table",
            Self::View => "view",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl From<TableKind> for ObjectKind {
    fn from(kind: TableKind) -> Self {
        match kind {
            TableKind::Table => Self::Table,
            TableKind::View => Self::View,
        }
    }
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventObject {
    /// Which kind of thing.
    pub kind: ObjectKind,
    /// The catalog's id of it, if it has one.
    pub id: Option<Uuid>,
    /// Its name: of what is in a namespace with that before it, the levels joined by dots. Before a rename, the old one.
    pub name: String,
    /// The name that a rename or a restore gives it.
    pub new_name: Option<String>,
}

impl EventObject {
    /// An object of that kind and name.
    #[must_use]
    pub fn new(kind: impl Into<ObjectKind>, id: Option<Uuid>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), id, name: name.into(), new_name: None }
    }

    /// The same, which is given another name.
    #[must_use]
    pub fn renamed(self, new_name: impl Into<String>) -> Self {
        Self { new_name: Some(new_name.into()), ..self }
    }
}

/// What else there is to say of a change, as JSON: each kind of change has its own fields.
pub type EventDetails = Map<String, Value>;

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number. A later event has a higher one.
    pub id: i64,
    /// Whose things were changed; none where it concerns the server itself.
    pub organisation: Option<OrganisationId>,
    /// In which warehouse.
    pub warehouse: Option<WarehouseId>,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who made it.
    pub actor: Actor,
    /// What it did.
    pub operation: Operation,
    /// To what.
    pub object: EventObject,
    /// The id of the request that asked for it.
    pub request_id: Option<Arc<str>>,
    /// The address that the request came from.
    pub client: Option<IpAddr>,
    /// What else there is to say.
    pub details: EventDetails,
}

/// Which events are wanted. An event has to fit all that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only of this warehouse.
    pub warehouse: Option<WarehouseId>,
    /// Only about what has this name, or was given it.
    pub object: Option<String>,
    /// Only by an actor whose name, or key id, is this.
    pub actor: Option<String>,
    /// Only of this operation.
    pub operation: Option<Operation>,
    /// Only at this time or later, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Only before this time.
    pub until_ms: Option<i64>,
}

impl EventFilter {
    /// Whether an event is wanted.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let is_actor = |actor: &str| {
            let is_key = event.actor.id().is_some_and(|id| id.to_string() == actor);
            is_key || event.actor.name() == Some(actor) || event.actor.kind() == actor
        };
        let is_object = |name: &String| event.object.name == *name || event.object.new_name.as_ref() == Some(name);
        self.warehouse.is_none_or(|warehouse| event.warehouse == Some(warehouse))
            && self.object.as_ref().is_none_or(is_object)
            && self.actor.as_deref().is_none_or(is_actor)
            && self.operation.is_none_or(|operation| event.operation == operation)
            && self.since_ms.is_none_or(|since_ms| event.at_ms >= since_ms)
            && self.until_ms.is_none_or(|until_ms| event.at_ms < until_ms)
    }
}

/// Some of the events that are wanted, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// The events. There may be none of them although older ones follow: only so many are looked at for one page.
    pub events: Vec<Event>,
    /// Where the next page begins: before the event of that number. None when there is no more.
    pub before: Option<i64>,
}

/// Keeps events of changes.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// A removal whose future is dropped is repeated by the next one.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// The events of an organisation, or of all and of the server itself, that fit a filter: the newest first, those before
    /// the event `before` if that is given.
    async fn event_list(
        &self,
        organisation: Option<OrganisationId>,
        filter: &EventFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage>;

    /// Removes up to `at_most` events, the oldest first, that are from before `before_ms`. Gives how many went.
    async fn event_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64>;

    /// The organisations that have more than `most` events, with the number of the newest event that is one too many.
    async fn event_surplus(&self, most: u32) -> Result<Vec<(OrganisationId, i64)>>;

    /// Removes up to `at_most` events of an organisation, the oldest first, up to the event `last`. Gives how many went.
    async fn event_remove_up_to(&self, organisation: OrganisationId, last: i64, at_most: u32) -> Result<u64>;
}
