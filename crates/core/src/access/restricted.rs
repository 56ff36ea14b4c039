//! Restrictions in decisions: a caller whose roles restrict a table may read it only through a trusted engine, or within the catalog's plans.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::Action;
use crate::ids::{PrincipalRoleId, TableId, WarehouseId};
use crate::restrictions::{Others, Restriction};

/// A restriction of a principal role on a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restricted {
    /// The table's warehouse.
    pub warehouse: WarehouseId,
    /// The table.
    pub table: TableId,
    /// The principal role.
    pub role: PrincipalRoleId,
    /// The restriction.
    pub restriction: Restriction,
}

/// The restrictions of all roles of a principal, and whether it is a trusted engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restrictions {
    by_table: HashMap<(WarehouseId, TableId), Arc<[Restriction]>>,
    is_trusted_engine: bool,
    size_bytes: u64,
}

/// What a restriction withholds from a caller, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// The table: the restriction is only for trusted engines.
    Table,
    /// The files: the catalog plans the caller's scans.
    Files,
    /// A change that ends the restriction, or gives the table's files to another table.
    Change,
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => {
                "Read it through an engine that applies restrictions, or ask an administrator to mark your engine as trusted"
            }
            Self::Files => {
                "The catalog plans its scans (set scan-planning-mode to server), and gives no credentials: use an engine that \
                 applies restrictions to read its files or to change it, or ask an administrator to mark your engine as trusted"
            }
            Self::Change => {
                "You may not drop it, unregister it, replace it or manage access to it: ask somebody whom no restriction applies to"
            }
        })
    }
}

impl Restrictions {
    /// Compiles restrictions.
    #[must_use]
    pub fn new(restricted: impl IntoIterator<Item = Restricted>, is_trusted_engine: bool) -> Self {
        let mut by_table: HashMap<_, Vec<Restriction>> = HashMap::new();
        let mut size_bytes = 0;
        for Restricted { warehouse, table, restriction, .. } in restricted {
            // Parsed, it takes several times its text.
            size_bytes += 4 * restriction.to_json().len() as u64;
            by_table.entry((warehouse, table)).or_default().push(restriction);
        }
        let by_table = by_table.into_iter().map(|(table, restrictions)| (table, restrictions.into())).collect();
        Self { by_table, is_trusted_engine, size_bytes }
    }

    /// Returns whether no restriction applies, and the principal is no trusted engine.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_table.is_empty() && !self.is_trusted_engine
    }

    /// Returns whether the principal is trusted to apply the restrictions that it gets.
    #[must_use]
    pub const fn is_trusted_engine(&self) -> bool {
        self.is_trusted_engine
    }

    pub(super) const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Returns the restrictions on a table.
    #[inline]
    pub(super) fn on(&self, warehouse: WarehouseId, table: TableId) -> &[Restriction] {
        match self.by_table.is_empty() {
            true => &[],
            false => self.by_table.get(&(warehouse, table)).map_or(&[], |found| found),
        }
    }
}

/// Decides about an action on a restricted table.
///
/// # Errors
/// What the restriction withholds.
pub(super) fn check(others: Others, is_trusted: bool, action: Action) -> Result<(), Withheld> {
    match action {
        // Without these, the caller could read the files as those of a table without restrictions.
        Action::DropTable
        | Action::UnregisterTable
        | Action::RemoveDropped
        | Action::ManageAccess
        | Action::CreateTable
        | Action::RegisterTable => Err(Withheld::Change),
        Action::LoadTable | Action::PlanScan if is_trusted || others == Others::Plan => Ok(()),
        Action::LoadTable
        | Action::PlanScan
        | Action::ReadTableData
        | Action::WriteTableData
        | Action::CommitTable
        | Action::ListReports
        | Action::MaintainTable
        | Action::ShowMaintenance
            if !is_trusted =>
        {
            Err(if others == Others::Plan { Withheld::Files } else { Withheld::Table })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
