//! Revokes a privilege from a catalog role on an object and on all objects in it.

use tidewater_core::access::{Privilege, Securable};

use super::{Admin, AdminError};
use crate::store::{Change, Grant, WarehouseRef};

impl Admin {
    /// Revokes a privilege on an object and on all objects in it. Each grant is revoked in its own transaction. A grant on a
    /// dropped table or view is revoked only with one on the warehouse.
    ///
    /// # Errors
    /// Those of [`Self::grant_change`].
    pub async fn grant_revoke_below(
        &self,
        warehouse_ref: WarehouseRef,
        role: &str,
        (privilege, on): (Privilege, Securable),
        change: &Change,
    ) -> Result<(), AdminError> {
        let grants = self.grant_list(warehouse_ref, role).await?;
        // Objects in it first: after a failure, a repetition finds the rest.
        for Grant { on: inner, .. } in grants.into_iter().filter(|grant| grant.privilege == privilege) {
            if inner != on && is_in(&inner, &on) {
                self.grant_change(warehouse_ref, role, (privilege, inner), false, change).await?;
            }
        }
        self.grant_change(warehouse_ref, role, (privilege, on), false, change).await
    }
}

/// Returns whether an object is in another one.
fn is_in(inner: &Securable, outer: &Securable) -> bool {
    let outer: Vec<&str> = match outer {
        Securable::Warehouse => return true,
        Securable::Namespace(ident) => ident.levels().collect(),
        Securable::Table(..) | Securable::View(..) => return false,
    };
    let inner = match inner {
        Securable::Warehouse => return false,
        Securable::Namespace(ident) => Some(ident),
        Securable::Table(_, name) | Securable::View(_, name) => name.as_ref().map(|name| &name.namespace),
    };
    inner.is_some_and(|inner| inner.levels().take(outer.len()).eq(outer))
}

#[cfg(test)]
mod tests {
    use tidewater_core::ids::TableId;
    use tidewater_core::name::{NamespaceIdent, TableIdent};

    use super::*;
    use crate::base::clock::fresh_uuid;

    #[test]
    fn object_is_in_its_parents_and_not_in_a_namespace_with_the_same_beginning() {
        let namespace = |levels: &[&str]| NamespaceIdent::new(levels).unwrap();
        let on = |levels: &[&str]| Securable::Namespace(namespace(levels));
        let table = |levels: &[&str]| {
            Securable::Table(TableId(fresh_uuid()), Some(TableIdent::new(namespace(levels), "t").unwrap()))
        };
        assert!(is_in(&on(&["a", "b"]), &on(&["a"])) && is_in(&table(&["a"]), &on(&["a"])));
        assert!(is_in(&table(&["a", "b"]), &on(&["a"])) && is_in(&table(&["x"]), &Securable::Warehouse));
        assert!(!is_in(&on(&["ab"]), &on(&["a"])) && !is_in(&table(&["a"]), &on(&["a", "b"])));
        assert!(!is_in(&Securable::Warehouse, &on(&["a"])) && !is_in(&table(&["a"]), &table(&["a"])));
        assert!(!is_in(&Securable::Table(TableId(fresh_uuid()), None), &on(&["a"])), "a dropped table");
    }
}
