//! Privileges: their names in Polaris, the privileges that each implies, and the objects on which each can be granted.
//!
//! Each privilege implies the same ones as in Polaris' authorizer (`PolarisAuthorizerImpl`).

use std::fmt;
use std::str::FromStr;

/// A kind of object on which privileges are granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecurableKind {
    /// A warehouse. A grant on it applies to all objects in it.
    Warehouse,
    /// A namespace. A grant on it applies to all objects in it and below it.
    Namespace,
    /// A table.
    Table,
    /// A view.
    View,
}

impl SecurableKind {
    /// Returns the kind's name in the management API. Polaris calls a warehouse a catalog.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warehouse => "catalog",
            Self::Namespace => "namespace",
            Self::Table => "table",
            Self::View => "view",
        }
    }
}

/// The kinds of objects on which a privilege can be granted.
type Kinds = &'static [SecurableKind];

const ANYWHERE: Kinds =
    &[SecurableKind::Warehouse, SecurableKind::Namespace, SecurableKind::Table, SecurableKind::View];
const WAREHOUSE: Kinds = &[SecurableKind::Warehouse];
const NAMESPACES: Kinds = &[SecurableKind::Warehouse, SecurableKind::Namespace];
const TABLES: Kinds = &[SecurableKind::Warehouse, SecurableKind::Namespace, SecurableKind::Table];
const VIEWS: Kinds = &[SecurableKind::Warehouse, SecurableKind::Namespace, SecurableKind::View];

macro_rules! privileges {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $alias:literal, $kinds:ident;)*) => {
        /// A privilege on an object and on all objects in it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Privilege {
            $($(#[$doc])* $name),*
        }

        impl Privilege {
            /// All privileges.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the name in Polaris, which the API and the store use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// Returns the alias in the style of SQL, for people.
            #[must_use]
            pub const fn alias(self) -> &'static str {
                match self { $(Self::$name => $alias),* }
            }

            /// Returns the kinds of objects on which it can be granted.
            #[must_use]
            pub const fn securables(self) -> &'static [SecurableKind] {
                match self { $(Self::$name => $kinds),* }
            }
        }
    };
}

privileges! {
    /// Grant and revoke privileges on the object.
    CatalogManageAccess = "CATALOG_MANAGE_ACCESS", "MANAGE GRANTS", ANYWHERE;
    /// All actions except granting.
    CatalogManageContent = "CATALOG_MANAGE_CONTENT", "ALL", NAMESPACES;
    /// All actions except granting, and reading and writing data.
    CatalogManageMetadata = "CATALOG_MANAGE_METADATA", "ALL METADATA", NAMESPACES;
    /// See the warehouse and its configuration.
    CatalogReadProperties = "CATALOG_READ_PROPERTIES", "USE CATALOG", WAREHOUSE;
    /// See the warehouse. Only admins change a warehouse's settings.
    CatalogWriteProperties = "CATALOG_WRITE_PROPERTIES", "ALTER CATALOG", WAREHOUSE;
    /// Create namespaces in the object.
    NamespaceCreate = "NAMESPACE_CREATE", "CREATE SCHEMA", NAMESPACES;
    /// Drop the namespace and those below it.
    NamespaceDrop = "NAMESPACE_DROP", "DROP SCHEMA", NAMESPACES;
    /// See the namespace and those below it.
    NamespaceList = "NAMESPACE_LIST", "USE SCHEMA", NAMESPACES;
    /// Load a namespace's properties.
    NamespaceReadProperties = "NAMESPACE_READ_PROPERTIES", "DESCRIBE SCHEMA", NAMESPACES;
    /// Set and remove a namespace's properties.
    NamespaceWriteProperties = "NAMESPACE_WRITE_PROPERTIES", "ALTER SCHEMA", NAMESPACES;
    /// All privileges on namespaces.
    NamespaceFullMetadata = "NAMESPACE_FULL_METADATA", "ALL ON SCHEMA", NAMESPACES;
    /// Create and register tables.
    TableCreate = "TABLE_CREATE", "CREATE TABLE", NAMESPACES;
    /// Drop, rename and restore tables.
    TableDrop = "TABLE_DROP", "DROP TABLE", TABLES;
    /// See tables in lists, and check whether they exist.
    TableList = "TABLE_LIST", "SHOW TABLES", TABLES;
    /// Load a table's metadata.
    TableReadProperties = "TABLE_READ_PROPERTIES", "DESCRIBE TABLE", TABLES;
    /// Commit to a table.
    TableWriteProperties = "TABLE_WRITE_PROPERTIES", "ALTER TABLE", TABLES;
    /// Read a table's data files.
    TableReadData = "TABLE_READ_DATA", "SELECT", TABLES;
    /// Write a table's data files, and purge them.
    TableWriteData = "TABLE_WRITE_DATA", "MODIFY", TABLES;
    /// All privileges on tables except those on data.
    TableFullMetadata = "TABLE_FULL_METADATA", "ALL METADATA ON TABLE", TABLES;
    /// Create and register views.
    ViewCreate = "VIEW_CREATE", "CREATE VIEW", NAMESPACES;
    /// Drop, rename and restore views.
    ViewDrop = "VIEW_DROP", "DROP VIEW", VIEWS;
    /// See views in lists, and check whether they exist.
    ViewList = "VIEW_LIST", "SHOW VIEWS", VIEWS;
    /// Load a view.
    ViewReadProperties = "VIEW_READ_PROPERTIES", "SELECT VIEW", VIEWS;
    /// Replace a view.
    ViewWriteProperties = "VIEW_WRITE_PROPERTIES", "ALTER VIEW", VIEWS;
    /// All privileges on views.
    ViewFullMetadata = "VIEW_FULL_METADATA", "ALL ON VIEW", VIEWS;
}

impl Privilege {
    /// Returns the privilege with all privileges that it implies.
    #[must_use]
    pub const fn implied(self) -> PrivilegeSet {
        use Privilege as P;
        let own = PrivilegeSet::of(&[self]);
        let more: &[P] = match self {
            P::CatalogManageContent => {
                return own.with(P::CatalogManageMetadata.implied()).with(P::TableWriteData.implied());
            }
            P::CatalogManageMetadata => {
                return own
                    .with(P::CatalogWriteProperties.implied())
                    .with(P::NamespaceFullMetadata.implied())
                    .with(P::TableFullMetadata.implied())
                    .with(P::ViewFullMetadata.implied());
            }
            P::NamespaceFullMetadata => &[
                P::NamespaceCreate,
                P::NamespaceDrop,
                P::NamespaceList,
                P::NamespaceReadProperties,
                P::NamespaceWriteProperties,
            ],
            P::TableFullMetadata => {
                &[P::TableCreate, P::TableDrop, P::TableList, P::TableReadProperties, P::TableWriteProperties]
            }
            P::ViewFullMetadata => {
                &[P::ViewCreate, P::ViewDrop, P::ViewList, P::ViewReadProperties, P::ViewWriteProperties]
            }
            P::CatalogWriteProperties => &[P::CatalogReadProperties],
            P::NamespaceCreate | P::NamespaceReadProperties => &[P::NamespaceList],
            P::NamespaceWriteProperties => &[P::NamespaceReadProperties, P::NamespaceList],
            P::TableCreate | P::TableReadProperties => &[P::TableList],
            P::TableWriteProperties | P::TableReadData => &[P::TableReadProperties, P::TableList],
            P::TableWriteData => &[P::TableReadData, P::TableWriteProperties, P::TableReadProperties, P::TableList],
            P::ViewCreate | P::ViewReadProperties => &[P::ViewList],
            P::ViewWriteProperties => &[P::ViewReadProperties, P::ViewList],
            P::CatalogManageAccess
            | P::CatalogReadProperties
            | P::NamespaceDrop
            | P::NamespaceList
            | P::TableDrop
            | P::TableList
            | P::ViewDrop
            | P::ViewList => &[],
        };
        own.with(PrivilegeSet::of(more))
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error for a text that is no privilege's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a privilege: use one of {known}", known = known())]
pub struct UnknownPrivilege(String);

fn known() -> String {
    Privilege::ALL.iter().map(|privilege| privilege.as_str()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Privilege {
    type Err = UnknownPrivilege;

    /// Parses the name in Polaris or the alias, in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_named = |privilege: &&Self| {
            text.eq_ignore_ascii_case(privilege.as_str()) || text.eq_ignore_ascii_case(privilege.alias())
        };
        let found = Self::ALL.iter().find(is_named).copied();
        found.ok_or_else(|| UnknownPrivilege(text.chars().take(40).collect()))
    }
}

/// A set of privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct PrivilegeSet(u64);

impl PrivilegeSet {
    /// No privilege.
    pub const EMPTY: Self = Self(0);

    /// Returns the set of these privileges, without those that they imply.
    #[must_use]
    pub const fn of(privileges: &[Privilege]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < privileges.len() {
            bits |= 1 << privileges[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    /// Returns the privileges that are in either set.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether the privilege is in the set.
    #[must_use]
    pub const fn contains(self, privilege: Privilege) -> bool {
        self.0 & (1 << privilege as u8) != 0
    }

    /// Returns whether the sets have a privilege in common.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the privileges, in the order of [`Privilege::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Privilege> {
        Privilege::ALL.iter().copied().filter(move |privilege| self.contains(*privilege))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privilege_parsed_from_its_name_or_alias_is_the_same_privilege() {
        for privilege in Privilege::ALL {
            assert_eq!(privilege.as_str().parse(), Ok(*privilege));
            assert_eq!(privilege.alias().to_lowercase().parse(), Ok(*privilege));
        }
        assert!("TABLE_ADD_SNAPSHOT".parse::<Privilege>().unwrap_err().to_string().contains("TABLE_WRITE_DATA"));
    }

    #[test]
    fn implied_privileges_imply_no_others() {
        for privilege in Privilege::ALL {
            let implied = privilege.implied();
            assert!(implied.contains(*privilege));
            for other in implied.iter() {
                assert_eq!(implied.with(other.implied()), implied, "{privilege} implies {other}");
            }
        }
    }

    #[test]
    fn manage_content_implies_all_privileges_except_granting() {
        let all = PrivilegeSet::of(Privilege::ALL);
        let content = Privilege::CatalogManageContent.implied();
        assert_eq!(content.with(PrivilegeSet::of(&[Privilege::CatalogManageAccess])), all);
        assert!(!content.contains(Privilege::CatalogManageAccess));
        let metadata = Privilege::CatalogManageMetadata.implied();
        let beyond: Vec<_> = content.iter().filter(|privilege| !metadata.contains(*privilege)).collect();
        assert_eq!(beyond, [Privilege::CatalogManageContent, Privilege::TableReadData, Privilege::TableWriteData]);
    }

    #[test]
    fn privilege_on_views_cannot_be_granted_on_a_table() {
        assert!(!Privilege::ViewList.securables().contains(&SecurableKind::Table));
        assert!(!Privilege::TableCreate.securables().contains(&SecurableKind::Table));
        assert!(Privilege::CatalogManageAccess.securables().contains(&SecurableKind::View));
    }
}
