//! The actions that need a permit.

use super::Role;

/// An action on an object. Each names the kind of its object, as Polaris' privileges do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Manage an organisation: its keys, warehouses, usage and events.
    Administer,
    /// Read the configuration for clients of a warehouse, and which warehouse serves a request.
    ReadConfig,
    /// Read the metrics reports of a warehouse's tables.
    ListReports,
    /// List the dropped tables and views of a warehouse.
    ListDropped,
    /// List the namespaces of a warehouse or below a namespace.
    ListNamespaces,
    /// Create a namespace in a warehouse or below a namespace.
    CreateNamespace,
    /// Load a namespace's properties, or ask whether it exists.
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
    /// Load a table's metadata, or ask whether it exists.
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
    /// Load a view's metadata, or ask whether it exists.
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
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 31] = [
        Self::Administer,
        Self::ReadConfig,
        Self::ListReports,
        Self::ListDropped,
        Self::ListNamespaces,
        Self::CreateNamespace,
        Self::LoadNamespace,
        Self::UpdateNamespace,
        Self::DropNamespace,
        Self::ListFunctions,
        Self::ListTables,
        Self::CreateTable,
        Self::RegisterTable,
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
        Self::LoadView,
        Self::ReplaceView,
        Self::RenameView,
        Self::DropView,
        Self::ShowDropped,
        Self::RestoreDropped,
        Self::RemoveDropped,
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
            | Self::RemoveDropped => true,
            Self::ReadConfig
            | Self::ListReports
            | Self::ListDropped
            | Self::ListNamespaces
            | Self::LoadNamespace
            | Self::ListFunctions
            | Self::ListTables
            | Self::LoadTable
            | Self::ReadTableData
            | Self::ReportMetrics
            | Self::ListViews
            | Self::LoadView
            | Self::ShowDropped => false,
        }
    }

    /// Returns the lowest role that allows the action on every object of its organisation.
    pub(super) const fn lowest_role(self) -> Role {
        match self {
            Self::Administer | Self::ListReports | Self::RemoveDropped => Role::Admin,
            // Writers drop tables, so they may see dropped tables to restore them.
            Self::ListDropped | Self::ShowDropped => Role::Writer,
            changing if changing.changes() => Role::Writer,
            _ => Role::Reader,
        }
    }
}
