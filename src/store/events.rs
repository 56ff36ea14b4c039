//! Events: records of changes, with actor, time and object.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tidewater_core::access::Role;
use tidewater_core::ids::{OrganisationId, WarehouseId};
use uuid::Uuid;

use super::change::{Actor, EngineKey};
use super::error::Result;
use super::table_kind::TableKind;

/// No operation has the name.
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
        /// The operation of a change, with Iceberg's name if there is one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($(#[$doc])* $name),*
        }

        impl Operation {
            /// All operations.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the operation's name, as stores and the API write it.
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
    /// Ends the suspension of an organisation.
    ResumeOrganisation = "resume-organisation",
    /// Schedules the deletion of an organisation.
    DeleteOrganisation = "delete-organisation",
    /// Cancels the deletion of an organisation.
    RestoreOrganisation = "restore-organisation",
    /// Removes the last row of an organisation, at the end of its deletion.
    ForgetOrganisation = "forget-organisation",
    /// Adds an operator.
    CreateOperator = "create-operator",
    /// Revokes an operator's key.
    RevokeOperator = "revoke-operator",
    /// Changes an API key's name, role or expiry.
    UpdateKey = "update-key",
    /// Replaces an API key by a new one.
    RotateKey = "rotate-key",
    /// Adds an API key.
    CreateKey = "create-key",
    /// Revokes an API key.
    RevokeKey = "revoke-key",
    /// Adds a user, who signed in for the first time.
    CreateUser = "create-user",
    /// Changes a user's name, email address or role, or disables or enables the user.
    UpdateUser = "update-user",
    /// Removes a user.
    DeleteUser = "delete-user",
    /// Adds a subscription to events.
    CreateSubscription = "create-subscription",
    /// Changes a subscription.
    UpdateSubscription = "update-subscription",
    /// Replaces the secret of a subscription.
    RotateSubscription = "rotate-subscription",
    /// Disables a subscription whose receiver accepted nothing for too long.
    DisableSubscription = "disable-subscription",
    /// Removes a subscription.
    DeleteSubscription = "delete-subscription",
    /// Adds a key that signs tokens.
    AddSigningKey = "add-signing-key",
    /// Removes older keys that signed tokens.
    RemoveSigningKeys = "remove-signing-keys",
    /// Adds a principal role.
    CreatePrincipalRole = "create-principal-role",
    /// Removes a principal role.
    DeletePrincipalRole = "delete-principal-role",
    /// Assigns a principal role to a principal.
    AssignPrincipalRole = "assign-principal-role",
    /// Revokes a principal role from a principal.
    RevokePrincipalRole = "revoke-principal-role",
    /// Adds a catalog role.
    CreateCatalogRole = "create-catalog-role",
    /// Removes a catalog role, with its grants.
    DeleteCatalogRole = "delete-catalog-role",
    /// Assigns a catalog role to a principal role.
    AssignCatalogRole = "assign-catalog-role",
    /// Revokes a catalog role from a principal role.
    RevokeCatalogRole = "revoke-catalog-role",
    /// Grants a privilege to a catalog role.
    AddGrant = "add-grant",
    /// Revokes a privilege from a catalog role.
    RevokeGrant = "revoke-grant",
    /// Restricts what a principal role may read of a table.
    SetRestriction = "set-restriction",
    /// Removes the restriction of a principal role on a table.
    RemoveRestriction = "remove-restriction",
    /// Marks a principal as a trusted engine.
    TrustEngine = "trust-engine",
    /// Removes the mark of a trusted engine.
    DistrustEngine = "distrust-engine",
    /// Sets or removes labels of a namespace, table or view, or of its columns.
    SetLabels = "set-labels",
    /// Sets the properties of a warehouse, a key's principal or a role.
    SetProperties = "set-properties",
    /// Adds a warehouse.
    CreateWarehouse = "create-warehouse",
    /// Changes how a warehouse's storage is reached.
    SetWarehouseStorage = "set-warehouse-storage",
    /// Changes a warehouse's options.
    SetWarehouseOptions = "set-warehouse-options",
    /// Makes a warehouse the default.
    SetDefaultWarehouse = "set-default-warehouse",
    /// Removes a warehouse.
    DropWarehouse = "drop-warehouse",
    /// Sets the policy of maintenance of a warehouse, namespace or table.
    SetMaintenancePolicy = "set-maintenance-policy",
    /// Removes the policy of maintenance of a warehouse, namespace or table.
    RemoveMaintenancePolicy = "remove-maintenance-policy",
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
    /// Undoes the registration of a table whose metadata document has disappeared.
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
    /// Removes the last file of a dropped table.
    PurgeTable = "purge-table",
    /// Forgets a dropped table, whose files stay.
    ForgetTable = "forget-table",
    /// Adds a view.
    CreateView = "create-view",
    /// Brings a view's existing metadata into the catalog.
    RegisterView = "register-view",
    /// Undoes the registration of a view whose metadata document has disappeared.
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
    /// Returns the operation that adds a table or view.
    create = CreateTable | CreateView,
    /// Returns the operation that registers a table or view.
    register = RegisterTable | RegisterView,
    /// Returns the operation that undoes the registration of a table or view.
    undo_register = UndoRegisterTable | UndoRegisterView,
    /// Returns the operation that commits to a table or view.
    update = UpdateTable | UpdateView,
    /// Returns the operation that renames a table or view.
    rename = RenameTable | RenameView,
    /// Returns the operation that drops a table or view.
    drop = DropTable | DropView,
    /// Returns the operation that restores a table or view.
    restore = RestoreTable | RestoreView,
    /// Returns the operation that forgets a dropped table or view and keeps its files.
    forget = ForgetTable | ForgetView,
}

/// The kind of an event's object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// An organisation.
    Organisation,
    /// An API key.
    Key,
    /// A user of an identity provider.
    User,
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
    /// A subscription to events.
    Subscription,
}

impl ObjectKind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Organisation,
        Self::Key,
        Self::User,
        Self::Operator,
        Self::SigningKey,
        Self::PrincipalRole,
        Self::CatalogRole,
        Self::Warehouse,
        Self::Namespace,
        Self::Table,
        Self::View,
        Self::Subscription,
    ];

    /// Returns the kind's name, as stores and the API write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Key => "key",
            Self::User => "user",
            Self::Operator => "operator",
            Self::SigningKey => "signing-key",
            Self::PrincipalRole => "principal-role",
            Self::CatalogRole => "catalog-role",
            Self::Warehouse => "warehouse",
            Self::Namespace => "namespace",
            Self::Table => "table",
            Self::View => "view",
            Self::Subscription => "subscription",
        }
    }

    /// Returns the kind with the name.
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

/// The object of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventObject {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its id, if it has one.
    pub id: Option<Uuid>,
    /// Its name. For a table, view or namespace: all levels, joined by dots. For a rename: the old name.
    pub name: String,
    /// The new name, after a rename or a restore.
    pub new_name: Option<String>,
}

impl EventObject {
    /// Creates an object with the kind, id and name.
    #[must_use]
    pub fn new(kind: impl Into<ObjectKind>, id: Option<Uuid>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), id, name: name.into(), new_name: None }
    }

    /// Returns the same object with a new name.
    #[must_use]
    pub fn renamed(self, new_name: impl Into<String>) -> Self {
        Self { new_name: Some(new_name.into()), ..self }
    }
}

/// Further details of a change, as JSON. Each operation has its own fields.
pub type EventDetails = Map<String, Value>;

/// A record of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number. Later events have higher numbers.
    pub id: i64,
    /// The organisation of the object; none for a change of the server itself.
    pub organisation: Option<OrganisationId>,
    /// The warehouse of the object, if it is in one.
    pub warehouse: Option<WarehouseId>,
    /// The time of the change, in milliseconds since 1970.
    pub at_ms: i64,
    /// The actor who made it.
    pub actor: Actor,
    /// The operation.
    pub operation: Operation,
    /// The object.
    pub object: EventObject,
    /// The id of its request.
    pub request_id: Option<Arc<str>>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The client's `User-Agent`, shortened.
    pub agent: Option<Arc<str>>,
    /// The actor's built-in role at the time of the change.
    pub role: Option<Role>,
    /// Further details.
    pub details: EventDetails,
}

/// Selects events. An event has to match every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only events in this warehouse.
    pub warehouse: Option<WarehouseId>,
    /// Only events whose object has this name, before or after the change.
    pub object: Option<String>,
    /// Only events by the actor with this name, key id or kind.
    pub actor: Option<String>,
    /// Only events of this operation.
    pub operation: Option<Operation>,
    /// Only events at this time or later, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Only events before this time, in milliseconds since 1970.
    pub until_ms: Option<i64>,
}

impl EventFilter {
    /// Returns whether an event matches the filter.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let is_actor = |actor: &str| {
            let is_key = event.actor.id().is_some_and(|id| id.to_string() == actor);
            let is_engine = |engine: &EngineKey| &*engine.name == actor || engine.id.to_string() == actor;
            is_key
                || event.actor.name() == Some(actor)
                || event.actor.kind() == actor
                || event.actor.engine().is_some_and(is_engine)
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

/// A page of the events that a filter selects, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// The events. The list may be empty although older events follow, since the store reads a bounded number for one page.
    pub events: Vec<Event>,
    /// The `before` of the next page; none when no more events follow.
    pub before: Option<i64>,
}

/// Lists and removes events.
///
/// A change whose future is dropped may happen or not, but never in part. A read whose future is dropped has no effect.
/// The next removal completes a removal whose future is dropped.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Lists events that match a filter, newest first: those of an organisation, or of all organisations and the server. With
    /// `before`, only events with a lower number.
    async fn event_list(
        &self,
        organisation: Option<OrganisationId>,
        filter: &EventFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage>;

    /// Removes up to `at_most` events from before `before_ms`, oldest first. Returns the number removed.
    async fn event_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64>;

    /// Lists the organisations with more than `most` events, each with the number of its newest surplus event.
    async fn event_surplus(&self, most: u32) -> Result<Vec<(OrganisationId, i64)>>;

    /// Removes up to `at_most` events of an organisation up to event number `last`, oldest first. Returns the number removed.
    async fn event_remove_up_to(&self, organisation: OrganisationId, last: i64, at_most: u32) -> Result<u64>;
}
