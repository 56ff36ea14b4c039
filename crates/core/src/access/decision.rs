//! The decision about an action: takes facts about the caller, the action and the object; returns the rule or the denial.

use std::fmt;

use super::action::Required;
use super::grants::{Grants, OWNER, SEES_NAMESPACE, SEES_TABLE, SEES_VIEW};
use super::privilege::{Privilege, PrivilegeSet};
use super::restricted::{Withheld, check};
use super::{Action, Role};
use crate::ids::{OrganisationId, PrincipalId, TableId, WarehouseId};
use crate::name::{NamespaceIdent, TableIdent};
use crate::restrictions::{Combined, Restriction};

/// The facts about a caller.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The organisation that the caller belongs to.
    pub organisation: OrganisationId,
    /// The caller's principal. `None` for an administrator from outside the organisation.
    pub principal: Option<PrincipalId>,
    /// The built-in role of the caller's key.
    pub role: Role,
    /// The principal's grants.
    pub grants: &'a Grants,
    /// The engine that acts for the caller. Both must be allowed.
    pub engine: Option<Engine<'a>>,
}

/// The facts about an engine that acts for a caller of the same organisation.
#[derive(Debug, Clone, Copy)]
pub struct Engine<'a> {
    /// The engine's principal. `None` if its ownership does not count.
    pub principal: Option<PrincipalId>,
    /// The built-in role of the engine's key.
    pub role: Role,
    /// The engine's grants.
    pub grants: &'a Grants,
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
    /// A loaded table.
    Table(Tabular<'a>),
    /// A loaded view.
    View(Tabular<'a>),
    /// A dropped table, with its last name.
    DroppedTable(Tabular<'a>),
    /// A dropped view, with its last name.
    DroppedView(Tabular<'a>),
}

/// A loaded or dropped table or view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tabular<'a> {
    /// The warehouse that it is in.
    pub warehouse: WarehouseId,
    /// Its id in the catalog.
    pub id: TableId,
    /// Its name when it was loaded.
    pub ident: &'a TableIdent,
    /// The principal that created it.
    pub owner: Option<PrincipalId>,
}

/// The rule that allows an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The role of the caller's key allows it on every object of the organisation.
    Role(Role),
    /// A grant to the principal, or its built-in role together with grants.
    Grant,
    /// The principal created the object.
    Owner,
}

/// Why an action is denied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The object belongs to another organisation. No rule allows this.
    #[error("Your key belongs to another organisation")]
    OtherOrganisation,
    /// Neither the role of the caller's key nor a grant allows it.
    #[error("Your key's role is '{role}', which does not allow this: use a key with the role {}", enough(*.lowest))]
    Role {
        /// The key's role.
        role: Role,
        /// The lowest role that allows it.
        lowest: Role,
    },
    /// A privilege is missing on a visible object.
    #[error("You lack the privilege {missing} on {on}: ask an administrator to grant it to a role that you have")]
    Privilege {
        /// The missing privilege.
        missing: Privilege,
        /// The object's kind and name, for the message.
        on: Box<str>,
    },
    /// The object is hidden from the caller. The answer must be the same as for an object that does not exist.
    #[error("{0}")]
    Hidden(Box<Hidden>),
    /// A restriction of one of its roles, or of a role of its engine, withholds the table.
    #[error("Table '{1}' is restricted for you. {0}")]
    Restricted(Withheld, Box<str>),
    /// The caller may do it, but not the engine that acts for the caller.
    #[error("{}", denial_of_engine(.0))]
    Engine(Box<Self>),
}

/// Returns the message of a denial of an engine.
fn denial_of_engine(denial: &Denial) -> String {
    match denial {
        Denial::Privilege { missing, on } => format!(
            "The engine that acts for you lacks the privilege {missing} on {on}: ask an administrator to grant it to a role \
             that the engine has"
        ),
        Denial::Role { role, lowest } => format!(
            "The role of the engine that acts for you is '{role}', which does not allow this: the engine needs a key with the \
             role {}",
            enough(*lowest)
        ),
        denial => denial.to_string(),
    }
}

/// An object that is hidden from a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hidden {
    /// A warehouse.
    Warehouse,
    /// A namespace.
    Namespace(NamespaceIdent),
    /// A table.
    Table(TableIdent),
    /// A view.
    View(TableIdent),
    /// A dropped table or view.
    Dropped(TableId),
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Warehouse => f.write_str("Warehouse does not exist"),
            Self::Namespace(ident) => write!(f, "Namespace does not exist: {ident}"),
            Self::Table(ident) => write!(f, "Table does not exist: {ident}"),
            Self::View(ident) => write!(f, "View does not exist: {ident}"),
            Self::Dropped(id) => write!(f, "Dropped table or view does not exist: {id}"),
        }
    }
}

/// Which entries of a list a caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// All entries. No entry needs a check.
    All,
    /// The entries with a grant on them or in them, and those that the caller owns.
    Some,
}

/// Decides whether a caller may perform an action on an object. If an engine acts for the caller, both need permission, and the
/// object must be visible to both.
///
/// # Errors
/// [`Denial`], which says what is missing.
#[inline]
pub fn decide(facts: &Facts<'_>, action: Action, object: &Object<'_>) -> Result<Rule, Denial> {
    let rule = match facts.of_engine() {
        None => decide_alone(facts, action, object),
        Some(engine) => decide_both(decide_alone(facts, action, object), decide_alone(&engine, action, object)),
    }?;
    check_restrictions(facts, action, object.target)?;
    Ok(rule)
}

/// Checks that the caller's restrictions allow an action that everything else allows.
#[inline]
fn check_restrictions(facts: &Facts<'_>, action: Action, target: Target<'_>) -> Result<(), Denial> {
    let (Target::Table(table) | Target::DroppedTable(table)) = target else { return Ok(()) };
    match facts.restrictions_on(&table).map(Restriction::others).max() {
        None => Ok(()),
        Some(others) => check(others, facts.is_trusted_engine(), action)
            .map_err(|withheld| Denial::Restricted(withheld, table.ident.to_string().into())),
    }
}

/// Returns the restrictions of a caller on the table of an action, as one, and whether the caller is trusted to apply them. `None` if it may
/// read the whole table.
#[must_use]
pub fn restriction_of(facts: &Facts<'_>, target: Target<'_>) -> Option<(Combined, bool)> {
    let (Target::Table(table) | Target::DroppedTable(table)) = target else { return None };
    Some((Combined::new(facts.restrictions_on(&table))?, facts.is_trusted_engine()))
}

/// Returns the decision for a caller and the engine that acts for it. The rule is the caller's.
fn decide_both(caller: Result<Rule, Denial>, engine: Result<Rule, Denial>) -> Result<Rule, Denial> {
    match (caller, engine) {
        (Err(hidden @ Denial::Hidden(_)), _) | (_, Err(hidden @ Denial::Hidden(_))) => Err(hidden),
        (Err(denial), _) => Err(denial),
        (Ok(_), Err(denial)) => Err(Denial::Engine(Box::new(denial))),
        (Ok(rule), Ok(_)) => Ok(rule),
    }
}

/// Decides about the caller, whatever acts for it.
#[inline]
fn decide_alone(facts: &Facts<'_>, action: Action, object: &Object<'_>) -> Result<Rule, Denial> {
    if facts.organisation != object.organisation {
        return Err(Denial::OtherOrganisation);
    }
    match decide_by_role(facts.role, action) {
        Ok(rule) => Ok(rule),
        Err(denial) if facts.has_role_alone() => Err(denial),
        Err(denial) => decide_by_grants(facts, action, object.target, denial),
    }
}

/// Decides as [`decide`] about an object that the caller reaches through views, the outermost first. The caller's own rights to
/// the object decide, whichever views lead to it. A view of another organisation leads to nothing.
///
/// # Errors
/// What is missing.
pub fn decide_through(
    facts: &Facts<'_>,
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
pub fn decide_early(facts: &Facts<'_>, action: Action) -> Result<(), Denial> {
    decide_early_alone(facts, action)?;
    match facts.of_engine() {
        None => Ok(()),
        Some(engine) => decide_early_alone(&engine, action).map_err(|denial| Denial::Engine(Box::new(denial))),
    }
}

#[inline]
fn decide_early_alone(facts: &Facts<'_>, action: Action) -> Result<(), Denial> {
    match decide_by_role(facts.role, action) {
        // With grants, the answer depends on the object: 403 if it is visible, 404 if not.
        Err(denial) if facts.has_role_alone() || action.required() == Required::Role => Err(denial),
        _ => Ok(()),
    }
}

/// Returns whether a caller may change any object at all.
#[must_use]
pub fn may_change(facts: &Facts<'_>) -> bool {
    may_change_alone(facts) && facts.of_engine().is_none_or(|engine| may_change_alone(&engine))
}

fn may_change_alone(facts: &Facts<'_>) -> bool {
    let by_grants = |action: Action| match action.required() {
        Required::Privilege(privilege) => facts.grants.anywhere().contains(privilege),
        Required::Role | Required::Sight | Required::PrivilegeWithin(_) => false,
    };
    let may = |action: Action| decide_by_role(facts.role, action).is_ok() || by_grants(action);
    Action::ALL.iter().any(|action| action.changes() && may(*action))
}

/// Returns whether a caller may do an action that needs a privilege to some object of a warehouse, or to the warehouse.
#[must_use]
pub fn may_within(facts: &Facts<'_>, action: Action, warehouse: WarehouseId) -> bool {
    let may = |facts: &Facts<'_>| {
        decide_by_role(facts.role, action).is_ok()
            || matches!(action.required(), Required::Privilege(privilege)
                if facts.role.privileges().with(facts.grants.anywhere_in(warehouse)).contains(privilege))
    };
    may(facts) && facts.of_engine().is_none_or(|engine| may(&engine))
}

/// Returns whether a warehouse of its organisation is visible to a caller.
#[must_use]
pub fn sees_warehouse(facts: &Facts<'_>, warehouse: WarehouseId) -> bool {
    sees_warehouse_alone(facts, warehouse)
        && facts.of_engine().is_none_or(|engine| sees_warehouse_alone(&engine, warehouse))
}

fn sees_warehouse_alone(facts: &Facts<'_>, warehouse: WarehouseId) -> bool {
    facts.role > Role::None || facts.grants.sees_warehouse(warehouse)
}

/// Returns which entries of `container`'s list a caller may see. `list` is the list action. If an engine acts for the caller,
/// both must see an entry.
///
/// # Errors
/// Same as [`decide`].
#[inline]
pub fn visibility(facts: &Facts<'_>, list: Action, container: &Object<'_>) -> Result<Visibility, Denial> {
    decide(facts, list, container)?;
    let sees_all = |facts: &Facts<'_>| visibility_alone(facts, list, container.target) == Visibility::All;
    let all = sees_all(facts) && facts.of_engine().is_none_or(|engine| sees_all(&engine));
    Ok(if all { Visibility::All } else { Visibility::Some })
}

/// Returns which entries of a list the caller sees, whatever acts for it. [`decide`] must have allowed the list.
#[inline]
#[must_use]
pub fn visibility_alone(facts: &Facts<'_>, list: Action, container: Target<'_>) -> Visibility {
    if decide_by_role(facts.role, list).is_ok() {
        return Visibility::All;
    }
    let held = Held::new(facts, list, container).privileges;
    let sees_all = match list {
        Action::ListNamespaces => held.intersects(SEES_NAMESPACE),
        Action::ListTables => held.intersects(SEES_TABLE),
        Action::ListViews => held.intersects(SEES_VIEW),
        Action::ListDropped => held.contains(Privilege::TableDrop) && held.contains(Privilege::ViewDrop),
        _ => true,
    };
    if sees_all { Visibility::All } else { Visibility::Some }
}

impl<'a> Facts<'a> {
    /// Returns the restrictions on a table: the caller's, and those of its engine. An admin has none, since it can remove them.
    #[inline]
    fn restrictions_on(&self, table: &Tabular<'_>) -> impl Iterator<Item = &'a Restriction> {
        let of = |role: Role, grants: &'a Grants| match role {
            Role::Admin => &[],
            _ => grants.restrictions().on(table.warehouse, table.id),
        };
        let of_engine = self.engine.map_or(&[][..], |engine| of(engine.role, engine.grants));
        of(self.role, self.grants).iter().chain(of_engine)
    }

    /// Returns whether who reads the answer is trusted to apply restrictions: the engine if there is one, otherwise the caller.
    fn is_trusted_engine(&self) -> bool {
        let reader = self.engine.map_or(self.grants, |engine| engine.grants);
        reader.restrictions().is_trusted_engine()
    }
}

impl Facts<'_> {
    /// Returns the facts about the engine as a caller of its own.
    #[inline]
    #[must_use]
    pub fn of_engine(&self) -> Option<Self> {
        let Engine { principal, role, grants } = self.engine?;
        Some(Self { organisation: self.organisation, principal, role, grants, engine: None })
    }

    /// Returns the same facts without the engine.
    #[must_use]
    pub const fn without_engine(&self) -> Self {
        Facts { engine: None, ..*self }
    }

    /// Returns whether the built-in role alone decides: the caller has no grants, and the role sees every object.
    fn has_role_alone(&self) -> bool {
        self.role > Role::None && !self.grants.gives_anything()
    }
}

const fn decide_by_role(role: Role, action: Action) -> Result<Rule, Denial> {
    let lowest = action.lowest_role();
    if role as u8 >= lowest as u8 { Ok(Rule::Role(role)) } else { Err(Denial::Role { role, lowest }) }
}

/// The privileges that a caller has on an object.
pub(super) struct Held {
    pub(super) privileges: PrivilegeSet,
    pub(super) is_visible: bool,
    pub(super) is_owner: bool,
}

impl Held {
    pub(super) fn new(facts: &Facts<'_>, action: Action, target: Target<'_>) -> Self {
        let (role, grants) = (facts.role.privileges(), facts.grants);
        let of = |privileges: PrivilegeSet, sees: PrivilegeSet, is_seen: bool| {
            let privileges = privileges.with(role);
            Self { privileges, is_visible: is_seen || privileges.intersects(sees), is_owner: false }
        };
        let of_tabular = |one: &Tabular<'_>, sees: PrivilegeSet| {
            let is_owner = one.owner.is_some() && one.owner == facts.principal;
            let granted = grants.on_tabular(one.warehouse, one.id, &one.ident.namespace);
            let granted = if is_owner { granted.with(OWNER) } else { granted };
            Self { is_owner, ..of(granted, sees, false) }
        };
        match target {
            Target::Organisation => of(PrivilegeSet::EMPTY, PrivilegeSet::EMPTY, true),
            Target::Warehouse(id) => of(grants.on_warehouse(id), PrivilegeSet::EMPTY, sees_warehouse_alone(facts, id)),
            Target::Namespace(warehouse, ident) if action == Action::CreateNamespace => match ident.parent() {
                // The new namespace has no grants, so those of its parent apply.
                Some(parent) => {
                    let (granted, is_seen) = grants.on_namespace(warehouse, &parent);
                    of(granted, SEES_NAMESPACE, is_seen)
                }
                None => of(grants.on_warehouse(warehouse), PrivilegeSet::EMPTY, sees_warehouse_alone(facts, warehouse)),
            },
            Target::Namespace(warehouse, ident) => {
                let (granted, is_seen) = grants.on_namespace(warehouse, ident);
                of(granted, SEES_NAMESPACE, is_seen)
            }
            Target::Table(one) => of_tabular(&one, SEES_TABLE),
            Target::View(one) => of_tabular(&one, SEES_VIEW),
            Target::DroppedTable(one) => of_tabular(&one, PrivilegeSet::of(&[Privilege::TableDrop])),
            Target::DroppedView(one) => of_tabular(&one, PrivilegeSet::of(&[Privilege::ViewDrop])),
        }
    }
}

#[inline(never)]
fn decide_by_grants(facts: &Facts<'_>, action: Action, target: Target<'_>, denial: Denial) -> Result<Rule, Denial> {
    let held = Held::new(facts, action, target);
    let rule = if held.is_owner { Rule::Owner } else { Rule::Grant };
    let missing = match action.required() {
        Required::Role => return if held.is_visible { Err(denial) } else { Err(hidden(action, target)) },
        Required::Sight if held.is_visible => return Ok(rule),
        Required::Sight => return Err(hidden(action, target)),
        Required::PrivilegeWithin(any) => {
            let within = match target {
                Target::Warehouse(warehouse) => facts.grants.anywhere_in(warehouse),
                _ => PrivilegeSet::EMPTY,
            };
            if within.with(held.privileges).intersects(PrivilegeSet::of(&any)) {
                return Ok(rule);
            }
            any[0]
        }
        Required::Privilege(privilege) => {
            let privilege = for_target(privilege, target);
            if held.privileges.contains(privilege) {
                return Ok(rule);
            }
            privilege
        }
    };
    if !held.is_visible {
        return Err(hidden(action, target));
    }
    Err(Denial::Privilege { missing, on: describe(action, target).into() })
}

/// Returns the privilege for an action on this object.
pub(super) const fn for_target(privilege: Privilege, target: Target<'_>) -> Privilege {
    match (privilege, target) {
        (Privilege::TableDrop, Target::DroppedView(_)) => Privilege::ViewDrop,
        (privilege, _) => privilege,
    }
}

fn hidden(action: Action, target: Target<'_>) -> Denial {
    Denial::Hidden(Box::new(match target {
        Target::Organisation | Target::Warehouse(_) => Hidden::Warehouse,
        Target::Namespace(_, ident) => {
            let parent = ident.parent().filter(|_| action == Action::CreateNamespace);
            Hidden::Namespace(parent.unwrap_or_else(|| ident.clone()))
        }
        Target::Table(one) => Hidden::Table(one.ident.clone()),
        Target::View(one) => Hidden::View(one.ident.clone()),
        Target::DroppedTable(one) | Target::DroppedView(one) => Hidden::Dropped(one.id),
    }))
}

/// Returns the kind and name of the object on which an action needs its privilege, for messages.
fn describe(action: Action, target: Target<'_>) -> String {
    match target {
        // The privilege to create a namespace is granted on its parent.
        Target::Namespace(_, ident) if action == Action::CreateNamespace => {
            ident.parent().map_or_else(|| "the warehouse".to_owned(), |parent| format!("namespace '{parent}'"))
        }
        Target::Organisation => "the organisation".to_owned(),
        Target::Warehouse(_) => "the warehouse".to_owned(),
        Target::Namespace(_, ident) => format!("namespace '{ident}'"),
        Target::Table(one) => format!("table '{}'", one.ident),
        Target::View(one) => format!("view '{}'", one.ident),
        Target::DroppedTable(one) => format!("the dropped table '{}'", one.ident),
        Target::DroppedView(one) => format!("the dropped view '{}'", one.ident),
    }
}

/// Returns the names of the roles that allow an action, for a message.
const fn enough(lowest: Role) -> &'static str {
    match lowest {
        Role::None => "'none', 'reader', 'writer' or 'admin'",
        Role::Reader => "'reader', 'writer' or 'admin'",
        Role::Writer => "'writer' or 'admin'",
        Role::Admin => "'admin'",
    }
}

#[cfg(test)]
mod tests;
