//! The actions as types, each with the kinds of its objects.

use tidewater_core::access::Action as Kind;

use super::object::{Answered, DroppedObject, Namespace, NamespaceParent, Organisation, Table, View, Warehouse};

/// An action, as a type.
pub trait Action: Send + Sync + 'static {
    /// The action in decisions.
    const ACTION: Kind;
}

/// An action that can be done to objects of the kind `O`.
pub trait On<O>: Action {}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident: $($object:ty),+;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Action for $name {
            const ACTION: Kind = Kind::$name;
        }

        $(impl On<$object> for $name {})+
    )*};
}

actions! {
    /// Manages an organisation: its keys, warehouses, usage and events.
    Administer: Organisation;
    /// Reads a warehouse's configuration for clients.
    ReadConfig: Warehouse;
    /// Reads the metrics reports of a warehouse's tables.
    ListReports: Warehouse, Table;
    /// Reads the events of a warehouse about objects that the caller may load.
    ReadEvents: Warehouse;
    /// Lists the dropped tables and views of a warehouse.
    ListDropped: Warehouse;
    /// Lists the namespaces of a warehouse or below a namespace.
    ListNamespaces: NamespaceParent;
    /// Creates a namespace. The permit is about the new one.
    CreateNamespace: Namespace;
    /// Checks whether a namespace exists.
    CheckNamespace: Namespace;
    /// Loads a namespace's properties.
    LoadNamespace: Namespace;
    /// Sets and removes a namespace's properties.
    UpdateNamespace: Namespace;
    /// Drops a namespace.
    DropNamespace: Namespace;
    /// Lists a namespace's functions.
    ListFunctions: Namespace;
    /// Lists a namespace's tables.
    ListTables: Namespace;
    /// Creates a table in a namespace.
    CreateTable: Namespace, Answered;
    /// Adds a table with existing metadata to a namespace.
    RegisterTable: Namespace, Answered;
    /// Checks whether a table exists.
    CheckTable: Table;
    /// Loads a table's metadata.
    LoadTable: Table;
    /// Reads a table's data files. A request for a signature with a sealed pass may name a table that no longer exists.
    ReadTableData: Table, Namespace;
    /// Commits to a table.
    CommitTable: Table, Answered;
    /// Renames a table.
    RenameTable: Table;
    /// Drops a table.
    DropTable: Table;
    /// Removes a table from the catalog and keeps its files.
    UnregisterTable: Table, Answered;
    /// Reports the metrics of a table's scan or commit.
    ReportMetrics: Table;
    /// Lists a namespace's views.
    ListViews: Namespace;
    /// Creates a view in a namespace.
    CreateView: Namespace, Answered;
    /// Adds a view with existing metadata to a namespace.
    RegisterView: Namespace, Answered;
    /// Checks whether a view exists.
    CheckView: View;
    /// Loads a view's metadata.
    LoadView: View;
    /// Replaces a view.
    ReplaceView: View, Answered;
    /// Renames a view.
    RenameView: View;
    /// Drops a view.
    DropView: View;
    /// Shows a dropped table or view.
    ShowDropped: DroppedObject;
    /// Restores a dropped table or view.
    RestoreDropped: DroppedObject;
    /// Removes a dropped table or view for good.
    RemoveDropped: DroppedObject;
    /// Grants and revokes privileges on an object.
    ManageAccess: Warehouse, Namespace, Table, View;
    /// Shows the maintenance of an object.
    ShowMaintenance: Warehouse, Namespace, Table;
    /// Starts maintenance of a table.
    MaintainTable: Table;
    /// Sets the policy of maintenance of an object.
    ManageMaintenance: Warehouse, Namespace, Table;
}
