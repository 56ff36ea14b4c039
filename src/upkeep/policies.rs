//! The policies of an organisation, and which of them apply to a table.

use std::collections::HashMap;

use tidewater_core::ids::{TableId, WarehouseId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::upkeep::MaintenancePolicy;

use super::turns::Kind;
use crate::store::{PolicyObject, StoredPolicy};

/// The policies of an organisation.
#[derive(Debug, Default)]
pub struct Policies {
    warehouses: HashMap<WarehouseId, InWarehouse>,
}

#[derive(Debug, Default)]
struct InWarehouse {
    own: MaintenancePolicy,
    /// By the namespaces' keys.
    namespaces: HashMap<String, MaintenancePolicy>,
    tables: HashMap<TableId, MaintenancePolicy>,
}

/// The policy of a table, in two parts: the table's properties stand between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TablePolicy {
    /// The table's own policy.
    pub(super) own: MaintenancePolicy,
    /// The policy of its namespace, with those around it.
    pub(super) outer: MaintenancePolicy,
}

impl TablePolicy {
    /// Returns the policy as a whole, without the table's properties.
    pub(super) fn whole(&self) -> MaintenancePolicy {
        self.own.clone().within(&self.outer)
    }
}

impl Policies {
    pub(super) fn new(stored: Vec<StoredPolicy>) -> Self {
        let mut policies = Self::default();
        for StoredPolicy { warehouse, on, policy } in stored {
            let warehouse = policies.warehouses.entry(warehouse).or_default();
            match on {
                PolicyObject::Warehouse => warehouse.own = policy,
                PolicyObject::Namespace(ident) => {
                    warehouse.namespaces.insert(ident.as_key().to_owned(), policy);
                }
                PolicyObject::Table(id) => {
                    warehouse.tables.insert(id, policy);
                }
            }
        }
        policies
    }

    /// Returns the warehouses with policies.
    pub(super) fn warehouses(&self) -> impl Iterator<Item = WarehouseId> {
        self.warehouses.keys().copied()
    }

    /// Returns the policy that was set on an object, if one was.
    #[must_use]
    pub fn own(&self, warehouse: WarehouseId, on: &PolicyObject) -> Option<&MaintenancePolicy> {
        let found = self.warehouses.get(&warehouse)?;
        match on {
            PolicyObject::Warehouse => Some(&found.own).filter(|own| **own != MaintenancePolicy::default()),
            PolicyObject::Namespace(ident) => found.namespaces.get(ident.as_key()),
            PolicyObject::Table(id) => found.tables.get(id),
        }
    }

    /// Returns the policy of a warehouse, or of a namespace with those around it.
    #[must_use]
    pub fn of_namespace(&self, warehouse: WarehouseId, namespace: Option<&NamespaceIdent>) -> MaintenancePolicy {
        let Some(found) = self.warehouses.get(&warehouse) else { return MaintenancePolicy::default() };
        let mut policy = MaintenancePolicy::default();
        let mut at = namespace.cloned();
        while let Some(namespace) = at {
            if let Some(own) = found.namespaces.get(namespace.as_key()) {
                policy = policy.within(own);
            }
            at = namespace.parent();
        }
        policy.within(&found.own)
    }

    /// Returns the policy of a table.
    #[must_use]
    pub fn of_table(&self, warehouse: WarehouseId, ident: &TableIdent, id: TableId) -> TablePolicy {
        let own = self.warehouses.get(&warehouse).and_then(|found| found.tables.get(&id)).cloned().unwrap_or_default();
        TablePolicy { own, outer: self.of_namespace(warehouse, Some(&ident.namespace)) }
    }

    /// Returns whether no run of a kind can be due on a table of a namespace.
    pub(super) fn is_idle(&self, warehouse: WarehouseId, namespace: &NamespaceIdent, kind: Kind) -> bool {
        let has_own = self.warehouses.get(&warehouse).is_some_and(|found| !found.tables.is_empty());
        let policy = self.of_namespace(warehouse, Some(namespace));
        !has_own && !kind.operations().any(|operation| policy.schedule(operation).enabled)
    }
}
