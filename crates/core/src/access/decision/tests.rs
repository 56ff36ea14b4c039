use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::access::{Explanation, Granted, Reason, Securable, explain};
use crate::ids::CatalogRoleId;

const PRINCIPAL: PrincipalId = PrincipalId(Uuid::from_u128(7));

fn warehouse(number: u128) -> WarehouseId {
    WarehouseId(Uuid::from_u128(number))
}

fn table(number: u128) -> TableId {
    TableId(Uuid::from_u128(100 + number))
}

fn facts(organisation: u128, role: Role, grants: &Grants) -> Facts<'_> {
    let organisation = OrganisationId(Uuid::from_u128(organisation));
    Facts { organisation, principal: Some(PRINCIPAL), role, grants, engine: None }
}

fn any_role() -> impl Strategy<Value = Role> {
    prop::sample::select(Role::ALL.to_vec())
}

fn any_action() -> impl Strategy<Value = Action> {
    prop::sample::select(Action::ALL.to_vec())
}

/// Levels with a common beginning, so that a rule that compares texts fails.
fn any_namespace() -> impl Strategy<Value = NamespaceIdent> {
    let level = prop::sample::select(vec!["a", "b", "bc", "a.b"]);
    prop::collection::vec(level, 1..4).prop_map(|levels| NamespaceIdent::new(&levels).unwrap())
}

/// The parts of an object.
#[derive(Debug, Clone)]
struct Parts {
    organisation: u128,
    kind: usize,
    warehouse: u128,
    id: u128,
    ident: TableIdent,
    is_own: bool,
}

fn any_parts() -> impl Strategy<Value = Parts> {
    (0..2_u128, 0..7_usize, 0..2_u128, 0..3_u128, any_namespace(), prop::bool::weighted(0.2)).prop_map(
        |(organisation, kind, warehouse, id, namespace, is_own)| {
            let ident = TableIdent::new(namespace, "t").unwrap();
            Parts { organisation, kind, warehouse, id, ident, is_own }
        },
    )
}

impl Parts {
    fn object(&self) -> Object<'_> {
        let warehouse = warehouse(self.warehouse);
        let owner = self.is_own.then_some(PRINCIPAL);
        let tabular = Tabular { warehouse, id: table(self.id), ident: &self.ident, owner };
        let target = match self.kind {
            0 => Target::Organisation,
            1 => Target::Warehouse(warehouse),
            2 => Target::Namespace(warehouse, &self.ident.namespace),
            3 => Target::Table(tabular),
            4 => Target::View(tabular),
            5 => Target::DroppedTable(tabular),
            _ => Target::DroppedView(tabular),
        };
        Object { organisation: OrganisationId(Uuid::from_u128(self.organisation)), target }
    }
}

fn any_granted() -> impl Strategy<Value = Granted> {
    let ident = any_namespace().prop_map(|namespace| TableIdent::new(namespace, "t").unwrap());
    let on = (0..4_usize, 0..3_u128, ident).prop_map(|(kind, id, ident)| match kind {
        0 => Securable::Warehouse,
        1 => Securable::Namespace(ident.namespace),
        2 => Securable::Table(table(id), Some(ident)),
        _ => Securable::View(table(id), Some(ident)),
    });
    let role = Some(CatalogRoleId(Uuid::nil()));
    (0..2_u128, on, prop::sample::select(Privilege::ALL.to_vec())).prop_map(move |(number, on, privilege)| Granted {
        warehouse: warehouse(number),
        role,
        on,
        privilege,
    })
}

fn any_grants() -> impl Strategy<Value = Vec<Granted>> {
    prop::collection::vec(any_granted(), 0..6)
}

/// Returns the principal's privileges on an object, from a walk over all grants without compiling them.
fn held_naively(granted: &[Granted], parts: &Parts) -> PrivilegeSet {
    let levels: Vec<&str> = parts.ident.namespace.levels().collect();
    let covers = |one: &&Granted| {
        one.warehouse == warehouse(parts.warehouse)
            && match (&one.on, parts.kind) {
                (Securable::Warehouse, 1..) => true,
                (Securable::Namespace(namespace), 2..) => levels.starts_with(&namespace.levels().collect::<Vec<_>>()),
                (Securable::Table(id, _) | Securable::View(id, _), 3..) => *id == table(parts.id),
                _ => false,
            }
    };
    let own = if parts.is_own && parts.kind > 2 { OWNER } else { PrivilegeSet::EMPTY };
    granted.iter().filter(covers).fold(own, |all, one| all.with(one.privilege.implied()))
}

#[test]
fn explanation_names_the_grant_to_create_for_an_action_on_own_objects() {
    let on = Securable::Warehouse;
    let role = Some(CatalogRoleId(Uuid::nil()));
    let granted = [Granted { warehouse: warehouse(1), role, on, privilege: Privilege::ViewCreate }];
    let grants = Grants::compile(&granted, []);
    let object = Object { organisation: OrganisationId(Uuid::from_u128(0)), target: Target::Warehouse(warehouse(1)) };
    let explanation = explain(&facts(0, Role::None, &grants), &granted, Action::ListDropped, &object);
    assert_eq!(explanation, Explanation::Allowed(Reason::Grant(&granted[0])));
}

proptest! {
    #[test]
    fn decision_by_privileges_equals_a_walk_over_all_grants(
        granted in any_grants(), action in any_action(), parts in any_parts(), role in any_role()
    ) {
        prop_assume!(action != Action::CreateNamespace || parts.kind != 2);
        let Required::Privilege(privilege) = action.required() else { return Ok(()) };
        let grants = Grants::compile(&granted, []);
        let object = parts.object();
        let held = held_naively(&granted, &parts).with(role.privileges());
        let decision = decide(&facts(parts.organisation, role, &grants), action, &object);
        let by_role = role >= action.lowest_role();
        // Without grants the role alone decides: ownership is compiled with the grants.
        prop_assume!(by_role || role == Role::None || !granted.is_empty());
        prop_assert_eq!(decision.is_ok(), by_role || held.contains(for_target(privilege, object.target)));
    }

    #[test]
    fn additional_grant_never_denies_an_allowed_action(
        granted in any_grants(), more in any_granted(), action in any_action(), parts in any_parts(), role in any_role()
    ) {
        let (fewer, mut all) = (Grants::compile(&granted, []), granted.clone());
        all.push(more);
        let all = Grants::compile(&all, []);
        let object = parts.object();
        let before = decide(&facts(parts.organisation, role, &fewer), action, &object).is_ok();
        let after = decide(&facts(parts.organisation, role, &all), action, &object).is_ok();
        prop_assert!(before <= after);
        let early = |grants| decide_early(&facts(parts.organisation, role, grants), action).is_ok();
        prop_assert!(early(&fewer) <= early(&all));
    }

    #[test]
    fn higher_role_is_allowed_every_action_of_a_lower_role(
        granted in any_grants(), action in any_action(), parts in any_parts(), organisation in 0..2_u128
    ) {
        // Without grants the role alone decides: ownership is compiled with the grants.
        prop_assume!(!parts.is_own || !granted.is_empty());
        let grants = Grants::compile(&granted, []);
        let allowed = |role| decide(&facts(organisation, role, &grants), action, &parts.object()).is_ok();
        let [none, reader, writer, admin] = Role::ALL.map(allowed);
        prop_assert!(none <= reader && reader <= writer && writer <= admin, "{action:?}");
        prop_assert_eq!(admin, organisation == parts.organisation, "an admin may do everything in its own organisation only");
    }

    #[test]
    fn reader_without_grants_is_never_allowed_an_action_that_changes(action in any_action(), parts in any_parts()) {
        let grants = Grants::default();
        let allowed = decide(&facts(parts.organisation, Role::Reader, &grants), action, &parts.object()).is_ok();
        prop_assert!(!(allowed && action.changes()), "{action:?}");
    }

    #[test]
    fn object_of_another_organisation_is_never_allowed(
        granted in any_grants(), action in any_action(), parts in any_parts(), role in any_role()
    ) {
        let grants = Grants::compile(&granted, []);
        let facts = facts(parts.organisation + 1, role, &grants);
        prop_assert_eq!(decide(&facts, action, &parts.object()), Err(Denial::OtherOrganisation));
        prop_assert_eq!(visibility(&facts, action, &parts.object()), Err(Denial::OtherOrganisation));
    }

    #[test]
    fn view_of_the_same_organisation_neither_allows_nor_refuses(
        granted in any_grants(), action in any_action(), parts in any_parts(), view in any_parts(), role in any_role()
    ) {
        let grants = Grants::compile(&granted, []);
        let facts = facts(parts.organisation, role, &grants);
        let direct = decide(&facts, action, &parts.object());
        let through = decide_through(&facts, action, &parts.object(), &[view.object()]);
        let expected = if view.organisation == parts.organisation { direct } else { Err(Denial::OtherOrganisation) };
        prop_assert_eq!(through, expected);
    }

    #[test]
    fn caller_refused_early_is_refused_on_every_object(
        granted in any_grants(), action in any_action(), parts in any_parts(), role in any_role()
    ) {
        let grants = Grants::compile(&granted, []);
        let facts = facts(parts.organisation, role, &grants);
        let late = decide(&facts, action, &parts.object());
        prop_assert!(decide_early(&facts, action).is_ok() || late.is_err());
        prop_assert!(late.is_err() || !action.changes() || parts.is_own || may_change(&facts), "{action:?}");
    }

    #[test]
    fn explanation_agrees_with_the_decision_and_its_grant_is_enough_alone(
        granted in any_grants(), action in any_action(), parts in any_parts(), role in any_role()
    ) {
        let grants = Grants::compile(&granted, []);
        let facts = facts(parts.organisation, role, &grants);
        let object = parts.object();
        match (explain(&facts, &granted, action, &object), decide(&facts, action, &object)) {
            (Explanation::Allowed(reason), Ok(rule)) => {
                match reason {
                    Reason::Grant(one) => {
                        let alone = Grants::compile([one], []);
                        let facts = Facts { role: Role::None, principal: None, grants: &alone, ..facts };
                        prop_assert!(decide(&facts, action, &object).is_ok(), "{one:?}");
                    }
                    Reason::Role(named) => prop_assert_eq!(named, role),
                    Reason::Owner => prop_assert!(parts.is_own && rule == Rule::Owner),
                    Reason::Sight => prop_assert_eq!(action.required(), Required::Sight),
                }
            }
            (Explanation::Denied { denial, missing }, Err(decided)) => {
                prop_assert_eq!(&denial, &decided);
                if let (Some(missing), false) = (missing, matches!(denial, Denial::Role { .. })) {
                    let role_of = Some(CatalogRoleId(Uuid::nil()));
                    let on = Securable::Warehouse;
                    let mut more = granted.clone();
                    more.push(Granted { warehouse: warehouse(parts.warehouse), role: role_of, on, privilege: missing });
                    let more = Grants::compile(&more, []);
                    let enough = decide(&Facts { grants: &more, ..facts }, action, &object);
                    prop_assert!(enough.is_ok() || parts.kind == 0, "{missing} is named and is not enough");
                }
            }
            (explained, decided) => prop_assert!(false, "{explained:?} {decided:?}"),
        }
    }

    #[test]
    fn namespace_is_listed_only_if_it_is_visible(
        granted in any_grants(), parts in any_parts(), role in any_role()
    ) {
        let grants = Grants::compile(&granted, []);
        let facts = facts(parts.organisation, role, &grants);
        let (place, ident) = (warehouse(parts.warehouse), &parts.ident.namespace);
        let organisation = facts.organisation;
        let sees = decide(&facts, Action::CheckNamespace, &Object { organisation, target: Target::Namespace(place, ident) });
        let parent = ident.parent();
        let container = parent.as_ref().map_or(Target::Warehouse(place), |parent| Target::Namespace(place, parent));
        let listed = match visibility(&facts, Action::ListNamespaces, &Object { organisation, target: container }) {
            Ok(Visibility::All) => true,
            Ok(Visibility::Some) => grants.children(place, parent.as_ref(), None, 100).contains(ident),
            Err(_) => false,
        };
        prop_assert_eq!(sees.is_ok(), listed);
    }
}

const ENGINE: PrincipalId = PrincipalId(Uuid::from_u128(8));

proptest! {
    #[test]
    fn caller_through_an_engine_is_allowed_what_both_are_allowed_and_sees_what_both_see(
        granted in any_grants(), of_engine in any_grants(), action in any_action(), parts in any_parts(),
        role in any_role(), engine_role in any_role()
    ) {
        let (grants, engine_grants) = (Grants::compile(&granted, []), Grants::compile(&of_engine, []));
        let caller = facts(parts.organisation, role, &grants);
        let engine = Facts { principal: Some(ENGINE), ..facts(parts.organisation, engine_role, &engine_grants) };
        let both = Facts {
            engine: Some(Engine { principal: Some(ENGINE), role: engine_role, grants: &engine_grants }),
            ..caller
        };
        let object = parts.object();
        let each = [decide(&caller, action, &object), decide(&engine, action, &object)];
        let decided = decide(&both, action, &object);
        prop_assert_eq!(decided.is_ok(), each.iter().all(Result::is_ok));
        let is_hidden = |decision: &Result<Rule, Denial>| matches!(decision, Err(Denial::Hidden(_)));
        prop_assert_eq!(is_hidden(&decided), each.iter().any(is_hidden));
        let early = [decide_early(&caller, action), decide_early(&engine, action)];
        prop_assert_eq!(decide_early(&both, action).is_ok(), early.iter().all(Result::is_ok));
        prop_assert_eq!(may_change(&both), may_change(&caller) && may_change(&engine));
        let place = warehouse(parts.warehouse);
        prop_assert_eq!(
            sees_warehouse(&both, place), sees_warehouse(&caller, place) && sees_warehouse(&engine, place)
        );
        let seen = [visibility(&caller, action, &object), visibility(&engine, action, &object)];
        if let Ok(visible) = visibility(&both, action, &object) {
            prop_assert_eq!(visible == Visibility::All, seen.iter().all(|one| *one == Ok(Visibility::All)));
        }
    }
}

#[test]
fn denial_of_an_engine_names_the_engine() {
    let (none, all) = (Grants::default(), Grants::default());
    let both = Facts {
        engine: Some(Engine { principal: None, role: Role::Reader, grants: &none }),
        ..facts(1, Role::Writer, &all)
    };
    assert_eq!(
        decide_early(&both, Action::CommitTable).unwrap_err().to_string(),
        "The role of the engine that acts for you is 'reader', which does not allow this: the engine needs a key with the role \
         'writer' or 'admin'"
    );
}

#[test]
fn grant_on_a_namespace_does_not_cover_a_longer_name() {
    let namespace = |levels: &[&str]| NamespaceIdent::new(levels).unwrap();
    let on = Securable::Namespace(namespace(&["a", "b"]));
    let granted = [Granted { warehouse: warehouse(0), role: None, on, privilege: Privilege::TableReadData }];
    let grants = Grants::compile(&granted, []);
    let sees = |levels: &[&str]| {
        let facts = facts(0, Role::None, &grants);
        let ident = TableIdent::new(namespace(levels), "t").unwrap();
        let one = Tabular { warehouse: warehouse(0), id: table(0), ident: &ident, owner: None };
        decide(&facts, Action::LoadTable, &Object { organisation: facts.organisation, target: Target::Table(one) })
    };
    assert_eq!(sees(&["a", "b"]), Ok(Rule::Grant));
    assert_eq!(sees(&["a", "b", "c"]), Ok(Rule::Grant));
    for other in [&["a", "bc"][..], &["a"], &["a.b"], &["ab"], &["b"]] {
        assert!(matches!(sees(other), Err(Denial::Hidden(_))), "{other:?}");
    }
}

#[test]
fn children_and_names_are_returned_in_pages() {
    let on = |levels: &[&str]| NamespaceIdent::new(levels).unwrap();
    let granted: Vec<Granted> = [&["a", "x"][..], &["a", "y", "deep"], &["a", "z"], &["b"], &["a", "xy"]]
        .into_iter()
        .map(|levels| {
            let on = Securable::Table(table(1), Some(TableIdent::new(on(levels), "t").unwrap()));
            Granted { warehouse: warehouse(0), role: None, on, privilege: Privilege::TableList }
        })
        .collect();
    let grants = Grants::compile(&granted, []);
    let page = |parent: Option<&NamespaceIdent>, after: Option<&NamespaceIdent>| -> Vec<String> {
        let found = grants.children(warehouse(0), parent, after.map(NamespaceIdent::as_key), 2);
        found.iter().map(ToString::to_string).collect()
    };
    assert_eq!(page(None, None), ["a", "b"]);
    let parent = on(&["a"]);
    assert_eq!(page(Some(&parent), None), ["a.x", "a.xy"]);
    assert_eq!(page(Some(&parent), Some(&on(&["a", "xy"]))), ["a.y", "a.z"]);
    assert_eq!(page(Some(&parent), Some(&on(&["a", "z"]))), <[&str; 0]>::default());
    let named = |after| grants.named(warehouse(0), &on(&["a", "x"]), crate::access::SecurableKind::Table, after, 5);
    assert_eq!((named(None), named(Some("t"))), (vec!["t".to_owned()], vec![]));
}

#[test]
fn role_allows_the_actions_of_its_privileges() {
    for role in Role::ALL {
        for action in Action::ALL {
            let by_privileges = match action.required() {
                Required::Role => role == Role::Admin,
                Required::Sight => role > Role::None,
                Required::Privilege(privilege) => role.privileges().contains(privilege),
                Required::PrivilegeWithin([first, _]) => role.privileges().contains(first),
            };
            assert_eq!(decide_by_role(role, action).is_ok(), by_privileges, "{role} {action:?}");
        }
    }
}

#[test]
fn every_action_is_listed_once() {
    let mut seen = std::collections::HashSet::new();
    assert!(Action::ALL.iter().all(|action| seen.insert(*action)));
    // Compares with the last variant, so that a variant added after it fails this test.
    assert_eq!(Action::ALL.len(), Action::ManageMaintenance as usize + 1);
    assert!(Action::ALL.iter().all(|action| Action::from_name(&action.name()) == Some(*action)));
    assert_eq!(Action::ReadTableData.name(), "read-table-data");
}

#[test]
fn without_grants_only_writers_and_admins_may_change_anything() {
    let grants = Grants::default();
    assert_eq!(Role::ALL.map(|role| may_change(&facts(1, role, &grants))), [false, false, true, true]);
}

#[test]
fn denial_says_which_role_is_enough() {
    let grants = Grants::default();
    let denied = |role, action| decide_early(&facts(1, role, &grants), action).unwrap_err().to_string();
    assert_eq!(
        denied(Role::Reader, Action::CommitTable),
        "Your key's role is 'reader', which does not allow this: use a key with the role 'writer' or 'admin'"
    );
    assert_eq!(
        denied(Role::Writer, Action::Administer),
        "Your key's role is 'writer', which does not allow this: use a key with the role 'admin'"
    );
}

#[test]
fn denial_names_the_missing_privilege_and_the_object() {
    let on = Securable::Namespace(NamespaceIdent::new(&["a"]).unwrap());
    let granted = [Granted { warehouse: warehouse(0), role: None, on, privilege: Privilege::TableReadData }];
    let grants = Grants::compile(&granted, []);
    let facts = facts(0, Role::None, &grants);
    let ident = TableIdent::new(NamespaceIdent::new(&["a"]).unwrap(), "t").unwrap();
    let one = Tabular { warehouse: warehouse(0), id: table(0), ident: &ident, owner: None };
    let object = Object { organisation: facts.organisation, target: Target::Table(one) };
    assert_eq!(
        decide(&facts, Action::CommitTable, &object).unwrap_err().to_string(),
        "You lack the privilege TABLE_WRITE_PROPERTIES on table 'a.t': ask an administrator to grant it to a role that you \
         have"
    );
}

#[test]
fn denial_of_a_new_namespace_names_its_parent() {
    let on = Securable::Namespace(NamespaceIdent::new(&["a"]).unwrap());
    let granted = [Granted { warehouse: warehouse(0), role: None, on, privilege: Privilege::TableReadData }];
    let grants = Grants::compile(&granted, []);
    let facts = facts(0, Role::None, &grants);
    for (levels, parent) in [(&["new"][..], "on the warehouse:"), (&["a", "new"], "on namespace 'a':")] {
        let ident = NamespaceIdent::new(levels).unwrap();
        let object = Object { organisation: facts.organisation, target: Target::Namespace(warehouse(0), &ident) };
        let denial = decide(&facts, Action::CreateNamespace, &object).unwrap_err().to_string();
        assert!(denial.contains(&format!("NAMESPACE_CREATE {parent}")), "{denial}");
    }
}
