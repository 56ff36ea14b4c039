//! Decisions about access against a plain model: it walks over all grants and over the parents of an object, and compiles nothing.

use proptest::prelude::*;
use tidewater_core::access::{
    Action, Denial, Facts, Granted, Grants, Object, Privilege, PrivilegeSet, Required, Role, Rule, Securable,
    SecurableKind, Tabular, Target, decide,
};
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, TableId, WarehouseId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use uuid::Uuid;

const PRINCIPAL: PrincipalId = PrincipalId(Uuid::from_u128(7));

/// Every privilege of an owner: all except granting.
const OWNER: PrivilegeSet = Privilege::CatalogManageContent.implied();

fn warehouse(number: u128) -> WarehouseId {
    WarehouseId(Uuid::from_u128(number))
}

fn organisation(number: u128) -> OrganisationId {
    OrganisationId(Uuid::from_u128(number))
}

/// Levels with a common beginning, with a separator of names in them, and in another case or normal form.
fn any_namespace() -> impl Strategy<Value = NamespaceIdent> {
    let level = prop::sample::select(vec!["a", "A", "b", "bc", "a.b", "\u{e9}", "e\u{301}"]);
    prop::collection::vec(level, 1..5).prop_map(|levels| NamespaceIdent::new(&levels).unwrap())
}

/// A table or view of the tree. Its id belongs to its name and kind.
#[derive(Debug, Clone)]
struct Leaf {
    warehouse: u128,
    ident: TableIdent,
    is_view: bool,
}

impl Leaf {
    fn id(&self) -> TableId {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hash = DefaultHasher::new();
        (self.warehouse, &self.ident, self.is_view).hash(&mut hash);
        TableId(Uuid::from_u128(u128::from(hash.finish())))
    }

    fn securable(&self, is_dropped: bool) -> Securable {
        let name = (!is_dropped).then(|| self.ident.clone());
        if self.is_view { Securable::View(self.id(), name) } else { Securable::Table(self.id(), name) }
    }
}

fn any_leaf() -> impl Strategy<Value = Leaf> {
    let name = prop::sample::select(vec!["t", "T", "tt"]);
    (0..2_u128, any_namespace(), name, any::<bool>()).prop_map(|(warehouse, namespace, name, is_view)| Leaf {
        warehouse,
        ident: TableIdent::new(namespace, name).unwrap(),
        is_view,
    })
}

/// A grant of a privilege on an object on which it can be granted.
fn any_granted() -> impl Strategy<Value = Granted> {
    (0..4_usize, any_leaf(), any::<bool>(), any::<prop::sample::Index>()).prop_map(|(kind, leaf, is_dropped, index)| {
        let on = match kind {
            0 => Securable::Warehouse,
            1 => Securable::Namespace(leaf.ident.namespace.clone()),
            _ => leaf.securable(is_dropped),
        };
        let can_be: Vec<_> = Privilege::ALL.iter().filter(|one| one.securables().contains(&on.kind())).collect();
        let role = Some(CatalogRoleId(Uuid::nil()));
        Granted { warehouse: warehouse(leaf.warehouse), role, on, privilege: **index.get(&can_be) }
    })
}

/// What a principal has.
#[derive(Debug, Clone)]
struct Has {
    role: Role,
    granted: Vec<Granted>,
    owned_in: Vec<(WarehouseId, NamespaceIdent)>,
}

fn any_has() -> impl Strategy<Value = Has> {
    let owned = (0..2_u128, any_namespace()).prop_map(|(number, namespace)| (warehouse(number), namespace));
    let role = prop_oneof![4 => Just(Role::None), 1 => prop::sample::select(Role::ALL.to_vec())];
    (role, prop::collection::vec(any_granted(), 0..8), prop::collection::vec(owned, 0..2))
        .prop_map(|(role, granted, owned_in)| Has { role, granted, owned_in })
}

/// A question about an object: its kind, the object, whether the principal owns it.
#[derive(Debug, Clone)]
struct Question {
    organisation: u128,
    action: Action,
    kind: usize,
    leaf: Leaf,
    is_own: bool,
}

fn any_question() -> impl Strategy<Value = Question> {
    let organisation = prop_oneof![9 => Just(1_u128), 1 => Just(2)];
    let action = prop::sample::select(Action::ALL.to_vec());
    (organisation, action, 0..5_usize, any_leaf(), prop::bool::weighted(0.2))
        .prop_map(|(organisation, action, kind, leaf, is_own)| Question { organisation, action, kind, leaf, is_own })
}

impl Question {
    fn object(&self) -> Object<'_> {
        let Leaf { ident, is_view, .. } = &self.leaf;
        let place = warehouse(self.leaf.warehouse);
        let owner = self.is_own.then_some(PRINCIPAL);
        let tabular = Tabular { warehouse: place, id: self.leaf.id(), ident, owner };
        let target = match (self.kind, is_view) {
            (0, _) => Target::Organisation,
            (1, _) => Target::Warehouse(place),
            (2, _) => Target::Namespace(place, &ident.namespace),
            (3, false) => Target::Table(tabular),
            (3, true) => Target::View(tabular),
            (_, false) => Target::DroppedTable(tabular),
            (_, true) => Target::DroppedView(tabular),
        };
        Object { organisation: organisation(self.organisation), target }
    }
}

/// The model's answer.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Allowed,
    OtherOrganisation,
    Role,
    Missing(Privilege),
    Hidden,
}

/// Returns whether `outer` is the namespace `inner` or one of its parents.
fn is_around(outer: &NamespaceIdent, inner: &NamespaceIdent) -> bool {
    let mut at = Some(inner.clone());
    while let Some(namespace) = at {
        if namespace == *outer {
            return true;
        }
        at = namespace.parent();
    }
    false
}

impl Has {
    fn in_warehouse(&self, place: WarehouseId) -> impl Iterator<Item = &Granted> {
        self.granted.iter().filter(move |one| one.warehouse == place)
    }

    /// Returns the privileges on an object in `namespace`. Without a namespace, returns those on the warehouse.
    fn privileges(
        &self,
        place: WarehouseId,
        namespace: Option<&NamespaceIdent>,
        leaf: Option<&Tabular<'_>>,
    ) -> PrivilegeSet {
        let counts = |one: &&Granted| match &one.on {
            Securable::Warehouse => true,
            Securable::Namespace(outer) => namespace.is_some_and(|inner| is_around(outer, inner)),
            Securable::Table(id, _) | Securable::View(id, _) => leaf.is_some_and(|leaf| leaf.id == *id),
        };
        let is_own = leaf.is_some_and(|leaf| leaf.owner == Some(PRINCIPAL));
        let first = self.role.privileges().with(if is_own { OWNER } else { PrivilegeSet::EMPTY });
        self.in_warehouse(place).filter(counts).fold(first, |all, one| all.with(one.privilege.implied()))
    }

    fn sees_warehouse(&self, place: WarehouseId) -> bool {
        let owns = self.owned_in.iter().any(|(owned, _)| *owned == place);
        self.role > Role::None || owns || self.in_warehouse(place).next().is_some()
    }

    fn sees_namespace(&self, place: WarehouseId, namespace: &NamespaceIdent) -> bool {
        let held = self.privileges(place, Some(namespace), None);
        let of_the_warehouse = [Privilege::CatalogReadProperties, Privilege::CatalogWriteProperties];
        let owns = self.owned_in.iter().any(|(owned, inner)| *owned == place && is_around(namespace, inner));
        let shows = |one: &Granted| match &one.on {
            Securable::Warehouse => false,
            Securable::Namespace(inner) => is_around(namespace, inner),
            Securable::Table(_, name) | Securable::View(_, name) => {
                let is_inside = name.as_ref().is_some_and(|name| is_around(namespace, &name.namespace));
                let kind = one.on.kind();
                is_inside && shows_leaf(one.privilege.implied(), kind == SecurableKind::View)
            }
        };
        owns || held.iter().any(|one| !of_the_warehouse.contains(&one)) || self.in_warehouse(place).any(shows)
    }

    fn answer(&self, question: &Question) -> Answer {
        let (action, object) = (question.action, question.object());
        if object.organisation != organisation(1) {
            return Answer::OtherOrganisation;
        }
        let by_role = self.role >= lowest_role(action);
        if by_role {
            return Answer::Allowed;
        }
        // A built-in role without grants decides alone.
        if self.role > Role::None && self.granted.is_empty() && self.owned_in.is_empty() {
            return Answer::Role;
        }
        let place = warehouse(question.leaf.warehouse);
        let (held, is_visible) = match object.target {
            Target::Organisation => (self.role.privileges(), true),
            Target::Warehouse(_) => (self.privileges(place, None, None), self.sees_warehouse(place)),
            Target::Namespace(_, ident) if action == Action::CreateNamespace => match ident.parent() {
                Some(parent) => (self.privileges(place, Some(&parent), None), self.sees_namespace(place, &parent)),
                None => (self.privileges(place, None, None), self.sees_warehouse(place)),
            },
            Target::Namespace(_, ident) => {
                (self.privileges(place, Some(ident), None), self.sees_namespace(place, ident))
            }
            Target::Table(one) | Target::View(one) => {
                let held = self.privileges(place, Some(&one.ident.namespace), Some(&one));
                (held, shows_leaf(held, question.leaf.is_view))
            }
            Target::DroppedTable(one) | Target::DroppedView(one) => {
                let held = self.privileges(place, Some(&one.ident.namespace), Some(&one));
                (held, held.contains(drop_privilege(question.leaf.is_view)))
            }
        };
        let refused = |missing| if is_visible { Answer::Missing(missing) } else { Answer::Hidden };
        match action.required() {
            Required::Role if is_visible => Answer::Role,
            Required::Role => Answer::Hidden,
            Required::Sight if is_visible => Answer::Allowed,
            Required::Sight => Answer::Hidden,
            Required::Privilege(one) => {
                let is_dropped_view = matches!(object.target, Target::DroppedView(_));
                let one = if one == Privilege::TableDrop { drop_privilege(is_dropped_view) } else { one };
                if held.contains(one) { Answer::Allowed } else { refused(one) }
            }
            Required::PrivilegeWithin(any) => {
                let within = if question.kind == 1 { self.anywhere(place) } else { PrivilegeSet::EMPTY };
                let is_held = any.into_iter().any(|one| held.contains(one) || within.contains(one));
                if is_held { Answer::Allowed } else { refused(any[0]) }
            }
        }
    }

    /// Returns the privileges that are granted anywhere in a warehouse. A privilege to create counts as ownership, because the creator
    /// owns the object.
    fn anywhere(&self, place: WarehouseId) -> PrivilegeSet {
        let all = self.in_warehouse(place).fold(PrivilegeSet::EMPTY, |all, one| all.with(one.privilege.implied()));
        let creates = [Privilege::NamespaceCreate, Privilege::TableCreate, Privilege::ViewCreate];
        let owns = self.owned_in.iter().any(|(owned, _)| *owned == place);
        if owns || creates.into_iter().any(|one| all.contains(one)) { all.with(OWNER) } else { all }
    }
}

fn shows_leaf(held: PrivilegeSet, is_view: bool) -> bool {
    let list = if is_view { Privilege::ViewList } else { Privilege::TableList };
    held.contains(list) || held.contains(Privilege::CatalogManageAccess)
}

fn drop_privilege(is_view: bool) -> Privilege {
    if is_view { Privilege::ViewDrop } else { Privilege::TableDrop }
}

fn lowest_role(action: Action) -> Role {
    match action {
        Action::Administer | Action::ListReports | Action::RemoveDropped | Action::ManageAccess => Role::Admin,
        Action::ListDropped | Action::ShowDropped => Role::Writer,
        action if action.changes() => Role::Writer,
        _ => Role::Reader,
    }
}

fn answer_of(decision: &Result<Rule, Denial>, missing: impl FnOnce(&str) -> Privilege) -> Answer {
    match decision {
        Ok(_) => Answer::Allowed,
        Err(Denial::OtherOrganisation) => Answer::OtherOrganisation,
        Err(Denial::Role { .. }) => Answer::Role,
        Err(denial @ Denial::Privilege { .. }) => Answer::Missing(missing(&denial.to_string())),
        Err(_) => Answer::Hidden,
    }
}

/// Returns the privilege that a message names.
fn named(message: &str) -> Privilege {
    let name = message.strip_prefix("You lack the privilege ").and_then(|rest| rest.split(' ').next());
    name.and_then(|name| name.parse().ok()).unwrap_or_else(|| panic!("a message without a privilege: {message}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn decision_equals_that_of_a_walk_over_all_grants_and_parents(has in any_has(), question in any_question()) {
        let grants = Grants::compile(&has.granted, &has.owned_in);
        let facts = Facts { organisation: organisation(1), principal: Some(PRINCIPAL), role: has.role, grants: &grants, engine: None };
        let decision = decide(&facts, question.action, &question.object());
        // The owner of a table has compiled grants, as a store returns them.
        prop_assume!(!question.is_own || question.kind < 3 || !grants.is_empty() || has.role == Role::None);
        prop_assert_eq!(answer_of(&decision, named), has.answer(&question));
    }
}
