//! The decision about an action: takes facts about the caller, the action and the object; returns the rule or the denial.

use super::{Action, Role};
use crate::ids::{OrganisationId, TableId, WarehouseId};
use crate::name::{NamespaceIdent, TableIdent};

/// The facts about a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The organisation that the caller belongs to.
    pub organisation: OrganisationId,
    /// The role of the caller's key.
    pub role: Role,
}

/// An object of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object<'a> {
    /// The organisation that owns it.
    pub organisation: OrganisationId,
    /// The object within that organisation.
    pub target: Target<'a>,
}

/// An object within its organisation, with all facts that rules use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// The organisation itself.
    Organisation,
    /// A warehouse.
    Warehouse(WarehouseId),
    /// A namespace, which may not exist. It has no id; its name identifies it and never changes.
    Namespace(WarehouseId, &'a NamespaceIdent),
    /// A loaded table: its id, and its name when it was loaded.
    Table(WarehouseId, TableId, &'a TableIdent),
    /// A loaded view.
    View(WarehouseId, TableId, &'a TableIdent),
    /// A dropped table or view, with its last name.
    Dropped(WarehouseId, TableId, &'a TableIdent),
}

/// The rule that allows an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The role of the caller's key allows it on every object of the organisation.
    Role(Role),
}

/// Why an action is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The object belongs to another organisation. No rule allows this.
    #[error("Your key belongs to another organisation")]
    OtherOrganisation,
    /// The role of the caller's key does not allow it.
    #[error("Your key's role is '{role}', which does not allow this: use a key with the role {}", enough(*.lowest))]
    Role {
        /// The key's role.
        role: Role,
        /// The lowest role that allows it.
        lowest: Role,
    },
}

/// Which entries of a list a caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// All entries. No entry needs a check.
    All,
}

/// Decides whether a caller may perform an action on an object.
///
/// # Errors
/// [`Denial`], which says what is missing.
#[inline]
pub fn decide(facts: &Facts, action: Action, object: &Object<'_>) -> Result<Rule, Denial> {
    if facts.organisation != object.organisation {
        return Err(Denial::OtherOrganisation);
    }
    decide_by_role(facts.role, action)
}

/// Decides as [`decide`] about an object that the caller reaches through views, the outermost first. The caller's own rights to
/// the object decide, whichever views lead to it. A view of another organisation leads to nothing.
///
/// # Errors
/// What is missing.
pub fn decide_through(
    facts: &Facts,
    action: Action,
    object: &Object<'_>,
    views: &[Object<'_>],
) -> Result<Rule, Denial> {
    if views.iter().any(|view| view.organisation != facts.organisation) {
        return Err(Denial::OtherOrganisation);
    }
    decide(facts, action, object)
}

/// Decides whether a caller may do an action to any object at all, before a request's body is read or an object is loaded.
/// [`decide`] refuses every caller that this refuses, for every object.
///
/// # Errors
/// [`Denial`], which says what is missing.
#[inline]
pub fn decide_early(facts: &Facts, action: Action) -> Result<Rule, Denial> {
    decide_by_role(facts.role, action)
}

/// Returns whether a caller may change any object at all.
#[must_use]
pub fn may_change(facts: &Facts) -> bool {
    Action::ALL.iter().any(|action| action.changes() && decide_early(facts, *action).is_ok())
}

/// Returns which entries of `container`'s list a caller may see. `list` is the list action.
///
/// # Errors
/// Same as [`decide`].
#[inline]
pub fn visibility(facts: &Facts, list: Action, container: &Object<'_>) -> Result<Visibility, Denial> {
    // A role applies to all objects of the organisation alike.
    decide(facts, list, container).map(|Rule::Role(_)| Visibility::All)
}

const fn decide_by_role(role: Role, action: Action) -> Result<Rule, Denial> {
    let lowest = action.lowest_role();
    if role as u8 >= lowest as u8 { Ok(Rule::Role(role)) } else { Err(Denial::Role { role, lowest }) }
}

/// Returns the names of the roles that allow an action, for a message.
const fn enough(lowest: Role) -> &'static str {
    match lowest {
        Role::Reader => "'reader', 'writer' or 'admin'",
        Role::Writer => "'writer' or 'admin'",
        Role::Admin => "'admin'",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const ROLES: [Role; 3] = [Role::Reader, Role::Writer, Role::Admin];

    fn facts(organisation: u128, role: Role) -> Facts {
        Facts { organisation: OrganisationId(Uuid::from_u128(organisation)), role }
    }

    fn any_role() -> impl Strategy<Value = Role> {
        prop::sample::select(ROLES.to_vec())
    }

    fn any_action() -> impl Strategy<Value = Action> {
        prop::sample::select(Action::ALL.to_vec())
    }

    /// The parts of an object: organisation, kind, ids and names.
    fn any_parts() -> impl Strategy<Value = (u128, usize, u128, Vec<String>, String)> {
        (0..3_u128, 0..6_usize, any::<u128>(), prop::collection::vec("[a-z]{1,3}", 1..4), "[a-z]{1,3}")
    }

    fn with_object<T>(parts: &(u128, usize, u128, Vec<String>, String), f: impl FnOnce(Object<'_>) -> T) -> T {
        let (organisation, kind, id, namespace, name) = parts;
        let namespace = NamespaceIdent::new(namespace).unwrap();
        let ident = TableIdent::new(namespace.clone(), name).unwrap();
        let (warehouse, id) = (WarehouseId(Uuid::from_u128(*id)), TableId(Uuid::from_u128(!id)));
        let target = match kind {
            0 => Target::Organisation,
            1 => Target::Warehouse(warehouse),
            2 => Target::Namespace(warehouse, &namespace),
            3 => Target::Table(warehouse, id, &ident),
            4 => Target::View(warehouse, id, &ident),
            _ => Target::Dropped(warehouse, id, &ident),
        };
        f(Object { organisation: OrganisationId(Uuid::from_u128(*organisation)), target })
    }

    proptest! {
        #[test]
        fn reader_is_never_allowed_an_action_that_changes(action in any_action(), parts in any_parts()) {
            let allowed = with_object(&parts, |object| decide(&facts(parts.0, Role::Reader), action, &object).is_ok());
            prop_assert!(!(allowed && action.changes()), "{action:?}");
        }

        #[test]
        fn higher_role_is_allowed_every_action_of_a_lower_role(
            action in any_action(), parts in any_parts(), organisation in 0..3_u128
        ) {
            let allowed = |role| with_object(&parts, |object| decide(&facts(organisation, role), action, &object).is_ok());
            let [reader, writer, admin] = ROLES.map(allowed);
            prop_assert!(reader <= writer && writer <= admin, "{action:?}");
            prop_assert_eq!(admin, organisation == parts.0, "an admin may do everything in its own organisation only");
        }

        #[test]
        fn object_of_another_organisation_is_never_allowed(
            action in any_action(), parts in any_parts(), organisation in 0..3_u128, role in any_role()
        ) {
            prop_assume!(organisation != parts.0);
            let (decision, seen) = with_object(&parts, |object| {
                let facts = facts(organisation, role);
                (decide(&facts, action, &object), visibility(&facts, action, &object))
            });
            prop_assert_eq!(decision, Err(Denial::OtherOrganisation));
            prop_assert_eq!(seen, Err(Denial::OtherOrganisation));
        }

        #[test]
        fn view_of_the_same_organisation_neither_allows_nor_refuses(
            action in any_action(), parts in any_parts(), view in any_parts(), role in any_role()
        ) {
            let facts = facts(parts.0, role);
            let (direct, through) = with_object(&parts, |object| with_object(&view, |view| {
                (decide(&facts, action, &object), decide_through(&facts, action, &object, &[view]))
            }));
            let expected = if view.0 == parts.0 { direct } else { Err(Denial::OtherOrganisation) };
            prop_assert_eq!(through, expected);
        }

        #[test]
        fn caller_refused_early_is_refused_on_every_object(
            action in any_action(), parts in any_parts(), organisation in 0..3_u128, role in any_role()
        ) {
            let facts = facts(organisation, role);
            let late = with_object(&parts, |object| decide(&facts, action, &object));
            prop_assert!(decide_early(&facts, action).is_ok() || late.is_err());
        }

        #[test]
        fn decision_names_the_allowing_role_or_the_lowest_sufficient_one(
            action in any_action(), parts in any_parts(), role in any_role()
        ) {
            match with_object(&parts, |object| decide(&facts(parts.0, role), action, &object)) {
                Ok(rule) => prop_assert_eq!(rule, Rule::Role(role)),
                Err(denial) => {
                    let Denial::Role { role: named, lowest } = denial else { panic!("{denial}") };
                    prop_assert_eq!(named, role);
                    prop_assert!(role < lowest);
                    let enough = facts(parts.0, lowest);
                    prop_assert!(with_object(&parts, |object| decide(&enough, action, &object).is_ok()));
                }
            }
        }
    }

    #[test]
    fn every_action_is_listed_once() {
        let mut seen = std::collections::HashSet::new();
        assert!(Action::ALL.iter().all(|action| seen.insert(*action)));
        // Compares with the last variant, so that a variant added after it fails this test.
        assert_eq!(Action::ALL.len(), Action::RemoveDropped as usize + 1);
    }

    #[test]
    fn only_writers_and_admins_may_change_anything() {
        assert_eq!(ROLES.map(|role| may_change(&facts(1, role))), [false, true, true]);
    }

    #[test]
    fn denial_says_which_role_is_enough() {
        let denied = |role, action| decide_early(&facts(1, role), action).unwrap_err().to_string();
        assert_eq!(
            denied(Role::Reader, Action::CommitTable),
            "Your key's role is 'reader', which does not allow this: use a key with the role 'writer' or 'admin'"
        );
        assert_eq!(
            denied(Role::Writer, Action::Administer),
            "Your key's role is 'writer', which does not allow this: use a key with the role 'admin'"
        );
    }
}
