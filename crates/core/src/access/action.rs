//! The actions that need a permit.

use super::{Privilege, Role};

/// An action on an object. Each names the kind of its object, as Polaris' privileges do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Manage an organisation: its keys, warehouses, usage and events.
    Administer,
    /// Read the configuration for clients of a warehouse, and which warehouse serves a request.
    ReadConfig,
    /// Read the metrics reports of a warehouse's tables.
    ListReports,
    /// Read the events of a warehouse about objects that the caller may load.
    ReadEvents,
    /// List the dropped tables and views of a warehouse.
    ListDropped,
    /// List the namespaces of a warehouse or below a namespace.
    ListNamespaces,
    /// Create a namespace in a warehouse or below a namespace.
    CreateNamespace,
    /// Check whether a namespace exists.
    CheckNamespace,
    /// Load a namespace's properties.
    LoadNamespace,
    /// Set and remove a namespace's properties.
    UpdateNamespace,
    /// Drop a namespace.
    DropNamespace,
    /// List a namespace's functions.
    ListFunctions,
    /// List a namespace's tables.
    ListTables,
    /// Create a table in a namespace, or stage its creation.
    CreateTable,
    /// Add a table with existing metadata to a namespace.
    RegisterTable,
    /// Check whether a table exists.
    CheckTable,
    /// Load a table's metadata.
    LoadTable,
    /// Read a table's data files.
    ReadTableData,
    /// Write a table's data files.
    WriteTableData,
    /// Commit to a table.
    CommitTable,
    /// Rename a table.
    RenameTable,
    /// Drop a table, with or without its files.
    DropTable,
    /// Remove a table from the catalog and keep its files.
    UnregisterTable,
    /// Report the metrics of a table's scan or commit.
    ReportMetrics,
    /// List a namespace's views.
    ListViews,
    /// Create a view in a namespace.
    CreateView,
    /// Add a view with existing metadata to a namespace.
    RegisterView,
    /// Check whether a view exists.
    CheckView,
    /// Load a view's metadata.
    LoadView,
    /// Replace a view.
    ReplaceView,
    /// Rename a view.
    RenameView,
    /// Drop a view.
    DropView,
    /// Show a dropped table or view.
    ShowDropped,
    /// Restore a dropped table or view.
    RestoreDropped,
    /// Remove a dropped table or view for good.
    RemoveDropped,
    /// Grant, revoke and list privileges on a warehouse, namespace, table or view.
    ManageAccess,
    /// Show the policy of maintenance, the runs and the health of a table, or the policy of a warehouse or namespace.
    ShowMaintenance,
    /// Start maintenance of a table.
    MaintainTable,
    /// Set the policy of maintenance of a warehouse, namespace or table.
    ManageMaintenance,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 39] = [
        Self::Administer,
        Self::ReadConfig,
        Self::ListReports,
        Self::ReadEvents,
        Self::ListDropped,
        Self::ListNamespaces,
        Self::CreateNamespace,
        Self::CheckNamespace,
        Self::LoadNamespace,
        Self::UpdateNamespace,
        Self::DropNamespace,
        Self::ListFunctions,
        Self::ListTables,
        Self::CreateTable,
        Self::RegisterTable,
        Self::CheckTable,
        Self::LoadTable,
        Self::ReadTableData,
        Self::WriteTableData,
        Self::CommitTable,
        Self::RenameTable,
        Self::DropTable,
        Self::UnregisterTable,
        Self::ReportMetrics,
        Self::ListViews,
        Self::CreateView,
        Self::RegisterView,
        Self::CheckView,
        Self::LoadView,
        Self::ReplaceView,
        Self::RenameView,
        Self::DropView,
        Self::ShowDropped,
        Self::RestoreDropped,
        Self::RemoveDropped,
        Self::ManageAccess,
        Self::ShowMaintenance,
        Self::MaintainTable,
        Self::ManageMaintenance,
    ];

    /// Returns whether the action changes the catalog, its administration or a table's files.
    #[must_use]
    pub const fn changes(self) -> bool {
        match self {
            Self::Administer
            | Self::CreateNamespace
            | Self::UpdateNamespace
            | Self::DropNamespace
            | Self::CreateTable
            | Self::RegisterTable
            | Self::WriteTableData
            | Self::CommitTable
            | Self::RenameTable
            | Self::DropTable
            | Self::UnregisterTable
            | Self::CreateView
            | Self::RegisterView
            | Self::ReplaceView
            | Self::RenameView
            | Self::DropView
            | Self::RestoreDropped
            | Self::RemoveDropped
            | Self::ManageAccess
            | Self::MaintainTable
            | Self::ManageMaintenance => true,
            Self::ReadConfig
            | Self::ListReports
            | Self::ReadEvents
            | Self::ListDropped
            | Self::ListNamespaces
            | Self::CheckNamespace
            | Self::LoadNamespace
            | Self::ListFunctions
            | Self::ListTables
            | Self::CheckTable
            | Self::LoadTable
            | Self::ReadTableData
            | Self::ReportMetrics
            | Self::ListViews
            | Self::CheckView
            | Self::LoadView
            | Self::ShowDropped
            | Self::ShowMaintenance => false,
        }
    }

    /// Returns the action's name in the management API, in kebab-case.
    #[must_use]
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// Returns the action with the name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Returns the requirement for a principal whose built-in role does not allow the action.
    #[must_use]
    pub const fn required(self) -> Required {
        use Required::{Privilege as Needs, PrivilegeWithin, Role, Sight};
        match self {
            Self::Administer | Self::ListReports | Self::RemoveDropped => Role,
            Self::ReadConfig
            | Self::ReadEvents
            | Self::ListNamespaces
            | Self::CheckNamespace
            | Self::ListFunctions
            | Self::ListTables
            | Self::CheckTable
            | Self::ListViews
            | Self::CheckView => Sight,
            Self::ListDropped => PrivilegeWithin([Privilege::TableDrop, Privilege::ViewDrop]),
            Self::CreateNamespace => Needs(Privilege::NamespaceCreate),
            Self::LoadNamespace => Needs(Privilege::NamespaceReadProperties),
            Self::UpdateNamespace => Needs(Privilege::NamespaceWriteProperties),
            Self::DropNamespace => Needs(Privilege::NamespaceDrop),
            Self::CreateTable | Self::RegisterTable => Needs(Privilege::TableCreate),
            Self::LoadTable | Self::ShowMaintenance => Needs(Privilege::TableReadProperties),
            Self::ReadTableData | Self::ReportMetrics => Needs(Privilege::TableReadData),
            Self::WriteTableData | Self::MaintainTable => Needs(Privilege::TableWriteData),
            Self::CommitTable => Needs(Privilege::TableWriteProperties),
            // For a dropped view this means `ViewDrop`; see `for_target`.
            Self::RenameTable | Self::DropTable | Self::UnregisterTable | Self::ShowDropped | Self::RestoreDropped => {
                Needs(Privilege::TableDrop)
            }
            Self::CreateView | Self::RegisterView => Needs(Privilege::ViewCreate),
            Self::LoadView => Needs(Privilege::ViewReadProperties),
            Self::ReplaceView => Needs(Privilege::ViewWriteProperties),
            Self::RenameView | Self::DropView => Needs(Privilege::ViewDrop),
            Self::ManageAccess => Needs(Privilege::CatalogManageAccess),
            Self::ManageMaintenance => Needs(Privilege::CatalogManageContent),
        }
    }

    /// Returns the lowest role that allows the action on every object of its organisation.
    pub(super) const fn lowest_role(self) -> Role {
        match self {
            Self::Administer | Self::ListReports | Self::RemoveDropped | Self::ManageAccess => Role::Admin,
            // Writers drop tables, so they may see dropped tables to restore them.
            Self::ListDropped | Self::ShowDropped => Role::Writer,
            changing if changing.changes() => Role::Writer,
            _ => Role::Reader,
        }
    }
}

/// The requirement of an action for a principal whose built-in role does not allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// The built-in role. No grant is enough.
    Role,
    /// Visibility of the object.
    Sight,
    /// A privilege on the object.
    Privilege(Privilege),
    /// One of these privileges, on the object or on any object in it.
    PrivilegeWithin([Privilege; 2]),
}
