//! Measures decisions about access: `cargo bench -p tidewater-core --bench decision`.
//!
//! Prints the time of one decision, of a warm load, with 10,000 grants and namespaces 10 deep, and with 1,000 roles. Also prints
//! how long the grants take to compile, and their memory.

#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use tidewater_core::access::{
    Action, Engine, Facts, Granted, Grants, Object, Privilege, Role, Securable, Tabular, Target, decide,
};
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, TableId, WarehouseId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use uuid::Uuid;

const GRANTS: u128 = 10_000;
const DEPTH: usize = 10;
const ROUNDS: usize = 101;
const DECISIONS: usize = 10_000;

const WAREHOUSE: WarehouseId = WarehouseId(Uuid::from_u128(1));
const ORGANISATION: OrganisationId = OrganisationId(Uuid::from_u128(2));

/// Returns a namespace with ten levels. Namespaces with near numbers share all but their last levels.
fn namespace(number: u128) -> NamespaceIdent {
    let levels: Vec<String> = (0..DEPTH)
        .map(|level| match DEPTH - 1 - level {
            0 => format!("level_{:04}", number % 100),
            1 => format!("department_{:04}", number / 100),
            above => format!("common_level_{above}"),
        })
        .collect();
    NamespaceIdent::new(&levels).unwrap_or_else(|error| unreachable!("the names are valid: {error}"))
}

fn ident(number: u128) -> TableIdent {
    TableIdent::new(namespace(number), "orders").unwrap_or_else(|error| unreachable!("the name is valid: {error}"))
}

/// Returns grants of `roles` roles. Half of them are on namespaces, half on tables.
fn granted(roles: u128) -> Vec<Granted> {
    let one = |number: u128| Granted {
        warehouse: WAREHOUSE,
        role: Some(CatalogRoleId(Uuid::from_u128(number % roles))),
        on: match number % 2 {
            0 => Securable::Namespace(namespace(number)),
            _ => Securable::Table(TableId(Uuid::from_u128(number)), Some(ident(number))),
        },
        privilege: Privilege::TableReadData,
    };
    (0..GRANTS).map(one).collect()
}

/// Returns the time of a decision whether the caller may load a table: in the fastest round, and in the median round. On a busy machine
/// the fastest says more.
fn measure(facts: &Facts<'_>, tables: &[(TableId, TableIdent)]) -> [Duration; 2] {
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            for at in 0..DECISIONS {
                let (id, ident) = &tables[at % tables.len()];
                let table = Tabular { warehouse: WAREHOUSE, id: *id, ident, owner: None };
                let object = Object { organisation: ORGANISATION, target: Target::Table(table) };
                let _ = black_box(decide(black_box(facts), Action::LoadTable, black_box(&object)));
            }
            started.elapsed() / u32::try_from(DECISIONS).unwrap_or(u32::MAX)
        })
        .collect();
    rounds.sort_unstable();
    [rounds[0], rounds[ROUNDS / 2]]
}

fn main() {
    let principal = Some(PrincipalId(Uuid::from_u128(3)));
    for roles in [1, 1_000] {
        let granted = granted(roles);
        let started = Instant::now();
        let grants = Grants::compile(&granted, []);
        let compiled = started.elapsed();
        let facts = Facts { organisation: ORGANISATION, principal, role: Role::None, grants: &grants, engine: None };
        let engine = Engine { principal, role: Role::None, grants: &grants };
        let through = Facts { engine: Some(engine), ..facts };
        let with_role = Facts { role: Role::Reader, ..facts };
        let tables = |numbers: &mut dyn Iterator<Item = u128>| -> Vec<(TableId, TableIdent)> {
            numbers.map(|number| (TableId(Uuid::from_u128(number)), ident(number))).collect()
        };
        let (by_namespace, by_table) = (tables(&mut (0..GRANTS).step_by(2)), tables(&mut (1..GRANTS).step_by(2)));
        let unknown = tables(&mut (GRANTS..2 * GRANTS));
        println!(
            "{GRANTS} grants of {roles} roles, namespaces {DEPTH} deep: compiled in {compiled:?}, {} bytes",
            grants.size_bytes()
        );
        println!("  by a grant on the namespace  {:?}", measure(&facts, &by_namespace));
        println!("  by a grant on the table      {:?}", measure(&facts, &by_table));
        println!("  denied                       {:?}", measure(&facts, &unknown));
        println!("  by the built-in role         {:?}", measure(&with_role, &by_table));
        println!("  through an engine            {:?}", measure(&through, &by_namespace));
    }
}
