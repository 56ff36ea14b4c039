//! Explains decisions.

use super::action::Required;
use super::decision::{Held, for_target};
use super::grants::{CREATES, OWNER, SEES_NAMESPACE, SEES_TABLE, SEES_VIEW};
use super::privilege::{Privilege, PrivilegeSet};
use super::{Action, Denial, Facts, Granted, Object, Role, Rule, Securable, Tabular, Target, decide};
use crate::ids::WarehouseId;
use crate::name::{LEVEL_SEPARATOR, NamespaceIdent};

/// A decision with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explanation<'a> {
    /// The action is allowed.
    Allowed(Reason<'a>),
    /// The action is denied.
    Denied {
        /// The denial that the caller gets.
        denial: Denial,
        /// The privilege that would allow it. `None` if only a built-in role would.
        missing: Option<Privilege>,
    },
}

/// The reason why an action is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason<'a> {
    /// The built-in role of the key.
    Role(Role),
    /// The principal created the object, or a namespace that it is in.
    Owner,
    /// A grant. Other grants may allow it too.
    Grant(&'a Granted),
    /// The object is visible because of a grant in it.
    Sight,
}

/// Decides as [`decide`], and returns the reason. `facts.grants` must be compiled from `granted`.
#[must_use]
pub fn explain<'a>(facts: &Facts<'_>, granted: &'a [Granted], action: Action, object: &Object<'_>) -> Explanation<'a> {
    let rule = match decide(facts, action, object) {
        Ok(rule) => rule,
        // No privilege lifts a restriction.
        Err(denial @ Denial::Restricted(..)) => return Explanation::Denied { missing: None, denial },
        Err(denial) => return Explanation::Denied { missing: missing(action, object.target), denial },
    };
    if let Rule::Role(role) = rule {
        return Explanation::Allowed(Reason::Role(role));
    }
    let wanted = enough(action, object.target);
    let is_enough =
        |granted: &&Granted| granted.privilege.implied().intersects(wanted) && covers(granted, action, object);
    let reason = match granted.iter().find(is_enough) {
        Some(granted) if granted.role.is_none() => Reason::Owner,
        Some(granted) => Reason::Grant(granted),
        None if rule == Rule::Owner && OWNER.intersects(wanted) => Reason::Owner,
        None if facts.role.privileges().intersects(wanted) => Reason::Role(facts.role),
        None => Reason::Sight,
    };
    debug_assert!(reason != Reason::Sight || Held::new(facts, action, object.target).is_visible);
    Explanation::Allowed(reason)
}

/// Returns the privileges that allow the action. One of them is enough.
fn enough(action: Action, target: Target<'_>) -> PrivilegeSet {
    match action.required() {
        Required::Role => PrivilegeSet::EMPTY,
        Required::Privilege(privilege) => PrivilegeSet::of(&[for_target(privilege, target)]),
        // A creator has the owner's privileges on its objects.
        Required::PrivilegeWithin(any) if OWNER.intersects(PrivilegeSet::of(&any)) => {
            PrivilegeSet::of(&any).with(CREATES)
        }
        Required::PrivilegeWithin(any) => PrivilegeSet::of(&any),
        Required::Sight => match target {
            Target::Organisation => PrivilegeSet::EMPTY,
            Target::Warehouse(_) => PrivilegeSet::of(Privilege::ALL),
            Target::Namespace(..) => SEES_NAMESPACE,
            Target::Table(_) => SEES_TABLE,
            Target::View(_) => SEES_VIEW,
            Target::DroppedTable(_) => PrivilegeSet::of(&[Privilege::TableDrop]),
            Target::DroppedView(_) => PrivilegeSet::of(&[Privilege::ViewDrop]),
        },
    }
}

/// Returns the privilege that would allow the action.
fn missing(action: Action, target: Target<'_>) -> Option<Privilege> {
    match action.required() {
        Required::Role => None,
        Required::Privilege(privilege) => Some(for_target(privilege, target)),
        Required::PrivilegeWithin([first, _]) => Some(first),
        Required::Sight => Some(match target {
            Target::Organisation | Target::Warehouse(_) => Privilege::CatalogReadProperties,
            Target::Namespace(..) => Privilege::NamespaceList,
            Target::Table(_) => Privilege::TableList,
            Target::View(_) => Privilege::ViewList,
            Target::DroppedTable(_) => Privilege::TableDrop,
            Target::DroppedView(_) => Privilege::ViewDrop,
        }),
    }
}

/// Returns whether a grant applies to an object: it is on the object, or on an object around it. For the visibility of a
/// warehouse, and for actions anywhere in it, a grant on any object in it applies.
fn covers(granted: &Granted, action: Action, object: &Object<'_>) -> bool {
    let is_in = |warehouse: WarehouseId, namespace: Option<&NamespaceIdent>| {
        granted.warehouse == warehouse
            && match &granted.on {
                Securable::Warehouse => true,
                Securable::Namespace(outer) => namespace.is_some_and(|inner| is_within(inner, outer)),
                Securable::Table(..) | Securable::View(..) => false,
            }
    };
    let of_tabular = |one: &Tabular<'_>| {
        let own = matches!(&granted.on, Securable::Table(id, _) | Securable::View(id, _) if *id == one.id);
        granted.warehouse == one.warehouse && own || is_in(one.warehouse, Some(&one.ident.namespace))
    };
    match object.target {
        Target::Organisation => false,
        Target::Warehouse(warehouse) => {
            let within = matches!(action.required(), Required::Sight | Required::PrivilegeWithin(_));
            granted.warehouse == warehouse && (within || granted.on == Securable::Warehouse)
        }
        Target::Namespace(warehouse, ident) if action == Action::CreateNamespace => {
            is_in(warehouse, ident.parent().as_ref())
        }
        Target::Namespace(warehouse, ident) => is_in(warehouse, Some(ident)),
        Target::Table(one) | Target::View(one) | Target::DroppedTable(one) | Target::DroppedView(one) => {
            of_tabular(&one)
        }
    }
}

/// Returns whether `inner` is `outer` or below it.
fn is_within(inner: &NamespaceIdent, outer: &NamespaceIdent) -> bool {
    let rest = inner.as_key().strip_prefix(outer.as_key());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(LEVEL_SEPARATOR))
}
