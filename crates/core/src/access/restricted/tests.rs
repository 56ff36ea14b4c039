use proptest::prelude::*;
use uuid::Uuid;

use super::super::{Denial, Engine, Facts, Grants, Object, Role, Tabular, Target, decide, restriction_of};
use super::*;
use crate::ids::OrganisationId;
use crate::name::{NamespaceIdent, TableIdent};

const WAREHOUSE: WarehouseId = WarehouseId(Uuid::from_u128(1));
const TABLE: TableId = TableId(Uuid::from_u128(2));
const OTHER: TableId = TableId(Uuid::from_u128(3));

fn grants(restricted: &[Others], trusted: bool) -> Grants {
    let restriction = |others: &Others| Restricted {
        warehouse: WAREHOUSE,
        table: TABLE,
        role: PrincipalRoleId(Uuid::nil()),
        restriction: Restriction::parse(&format!(
            r#"{{"filter":{{"type":"is-null","child":{{"type":"reference","id":1}}}},"masks":{{}},"others":"{}"}}"#,
            others.as_str()
        ))
        .unwrap(),
    };
    Grants::default().restricted(Restrictions::new(restricted.iter().map(restriction), trusted))
}

struct Asked {
    role: Role,
    grants: Grants,
    engine: Option<(Role, Grants)>,
}

impl Asked {
    fn with<T>(&self, table: TableId, ask: impl Fn(&Facts<'_>, Target<'_>) -> T) -> T {
        let ident = TableIdent::new(NamespaceIdent::new(&["n"]).unwrap(), "t").unwrap();
        let engine = self.engine.as_ref().map(|(role, grants)| Engine { principal: None, role: *role, grants });
        let organisation = OrganisationId(Uuid::nil());
        let facts = Facts { organisation, principal: None, role: self.role, grants: &self.grants, engine };
        ask(&facts, Target::Table(Tabular { warehouse: WAREHOUSE, id: table, ident: &ident, owner: None }))
    }

    fn decide(&self, table: TableId, action: Action) -> Result<(), Denial> {
        self.with(table, |facts, target| {
            decide(facts, action, &Object { organisation: facts.organisation, target }).map(drop)
        })
    }

    fn allowed(&self) -> Vec<Action> {
        use Action as A;
        let of_tables = [
            A::CheckTable,
            A::LoadTable,
            A::PlanScan,
            A::ReadTableData,
            A::WriteTableData,
            A::CommitTable,
            A::RenameTable,
            A::DropTable,
            A::UnregisterTable,
            A::ReportMetrics,
            A::CreateTable,
            A::RegisterTable,
        ];
        of_tables.into_iter().filter(|action| self.decide(TABLE, *action).is_ok()).collect()
    }
}

fn writer(grants: Grants) -> Asked {
    Asked { role: Role::Writer, grants, engine: None }
}

#[test]
fn untrusted_caller_gets_what_the_restriction_says() {
    use Action as A;
    let refused = writer(grants(&[Others::Refuse], false));
    assert_eq!(refused.allowed(), [A::CheckTable, A::RenameTable, A::ReportMetrics]);
    let planned = writer(grants(&[Others::Plan], false));
    assert_eq!(planned.allowed(), [A::CheckTable, A::LoadTable, A::PlanScan, A::RenameTable, A::ReportMetrics]);
    assert_eq!(writer(grants(&[Others::Plan, Others::Refuse], false)).allowed(), refused.allowed());
    let message = refused.decide(TABLE, A::LoadTable).unwrap_err().to_string();
    assert!(message.starts_with("Table 'n.t' is restricted for you. Read it through an engine"), "{message}");
    assert!(planned.decide(TABLE, A::ReadTableData).unwrap_err().to_string().contains("scan-planning-mode"));
    assert!(planned.decide(TABLE, A::DropTable).unwrap_err().to_string().contains("You may not drop it"));
}

#[test]
fn trusted_engine_reads_and_writes_and_does_not_free_the_files() {
    use Action as A;
    let allowed = writer(grants(&[Others::Refuse], true)).allowed();
    let expected = [
        A::CheckTable,
        A::LoadTable,
        A::PlanScan,
        A::ReadTableData,
        A::WriteTableData,
        A::CommitTable,
        A::RenameTable,
        A::ReportMetrics,
    ];
    assert_eq!(allowed, expected);
}

#[test]
fn engine_decides_about_trust_and_adds_its_own_restrictions() {
    let through = |own: Grants, engine: Grants| Asked { engine: Some((Role::Writer, engine)), ..writer(own) };
    let is_loaded = |asked: &Asked| asked.decide(TABLE, Action::ReadTableData).is_ok();
    let refuse = [Others::Refuse];
    assert!(is_loaded(&through(grants(&refuse, false), grants(&[], true))));
    assert!(!is_loaded(&through(grants(&refuse, true), grants(&[], false))), "the engine reads, not the user");
    assert!(!is_loaded(&through(grants(&[], false), grants(&refuse, false))));
    assert!(is_loaded(&through(grants(&[], false), grants(&[], false))));
}

#[test]
fn admin_and_other_tables_are_not_restricted() {
    let admin = Asked { role: Role::Admin, ..writer(grants(&[Others::Refuse], false)) };
    assert!(admin.decide(TABLE, Action::ReadTableData).is_ok() && admin.decide(TABLE, Action::DropTable).is_ok());
    assert_eq!(admin.with(TABLE, restriction_of), None);
    let other = writer(grants(&[Others::Refuse], false));
    assert!(other.decide(OTHER, Action::ReadTableData).is_ok());
    assert_eq!(other.with(OTHER, restriction_of), None);
    assert!(other.with(TABLE, restriction_of).is_some_and(|(_, trusted)| !trusted));
}

#[test]
fn restrictions_give_nothing() {
    let nobody = Asked { role: Role::None, ..writer(grants(&[Others::Plan], true)) };
    assert!(nobody.allowed().is_empty());
    assert!(
        !grants(&[], true).is_empty() && !grants(&[Others::Plan], false).is_empty() && grants(&[], false).is_empty()
    );
}

proptest! {
    #[test]
    fn restrictions_only_take_away(
        others in prop::collection::vec(prop::sample::select(vec![Others::Plan, Others::Refuse]), 1..4),
        trusted in any::<bool>(),
        role in prop::sample::select(Role::ALL.to_vec()),
        action in prop::sample::select(Action::ALL.to_vec()),
    ) {
        let asked = |grants| Asked { role, ..writer(grants) };
        let restricted = asked(grants(&others, trusted)).decide(TABLE, action);
        let free = asked(Grants::default()).decide(TABLE, action);
        prop_assert!(restricted.is_err() || free.is_ok());
        if free.is_err() {
            prop_assert_eq!(restricted, free, "and the denial is the same");
        }
    }
}
