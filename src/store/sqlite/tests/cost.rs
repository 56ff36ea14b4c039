//! The number of SQL statements of a change. It must not depend on the number of tables.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::reserved_locations::Locations;

use crate::base::clock::fresh_uuid;
use crate::store::sqlite::open::open_writer;
use crate::store::sqlite::tables;
use crate::store::{Change, EventDetails, NewTable, Origin, Past, Swap, TableKind, WarehouseRef};

thread_local! {
    static STATEMENTS: Cell<usize> = const { Cell::new(0) };
}

fn count(_: TraceEvent<'_>) {
    STATEMENTS.set(STATEMENTS.get() + 1);
}

/// Returns how many statements `work` runs, and its duration without the wait for the disk.
fn cost(work: impl FnOnce()) -> (usize, Duration) {
    STATEMENTS.set(0);
    let begun = Instant::now();
    work();
    (STATEMENTS.get(), begun.elapsed())
}

fn table_at(number: usize) -> Locations {
    spread(&format!("s3://b/w/ns/{number:06}"), None)
}

fn spread(own: &str, other: Option<&str>) -> Locations {
    let parse = |text: &str| Location::parse(text).unwrap();
    Locations::new(parse(own), other.map(parse))
}

/// Creates a warehouse with `tables` tables.
fn filled(connection: &Connection, tables: usize) -> WarehouseRef {
    let warehouse_ref =
        WarehouseRef { organisation: OrganisationId(fresh_uuid()), warehouse: WarehouseId(fresh_uuid()) };
    let (organisation, warehouse) = (warehouse_ref.organisation.0.as_bytes(), warehouse_ref.warehouse.0.as_bytes());
    let ids = (organisation, warehouse);
    connection
        .execute("INSERT INTO organisation (id, name, tier, created_ms) VALUES (?1, 'acme', 'free', 0)", [organisation])
        .unwrap();
    connection
        .execute(
            "INSERT INTO warehouse (organisation, id, name, root, is_default, created_ms)
             VALUES (?1, ?2, 'lake', 's3://b/w', 1, 0)",
            ids,
        )
        .unwrap();
    connection
        .execute("INSERT INTO namespace (organisation, warehouse, key, properties) VALUES (?1, ?2, 'ns', '{}')", ids)
        .unwrap();
    for number in 0..tables {
        create(connection, warehouse_ref, &format!("old{number}"), &table_at(number));
    }
    warehouse_ref
}

fn create(connection: &Connection, warehouse_ref: WarehouseRef, name: &str, locations: &Locations) -> TableId {
    let (id, ident) = (TableId(fresh_uuid()), TableIdent::new(NamespaceIdent::new(&["ns"]).unwrap(), name).unwrap());
    let (kind, metadata_location) = (TableKind::Table, "d0");
    let new = NewTable {
        id,
        ident: &ident,
        kind,
        metadata_location,
        locations,
        origin: Origin::Catalog,
        details: &EventDetails::new(),
    };
    tables::table_create(connection, warehouse_ref, &new, None, &Change::by_catalog(1)).unwrap();
    id
}

/// Returns the costs of a create, a plain commit and a commit with a new location in a warehouse with `tables` tables.
fn costs(tables: usize) -> [(usize, Duration); 3] {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open_writer(&folder.path().join("catalog.db")).unwrap();
    connection.execute_batch("BEGIN").unwrap();
    let warehouse_ref = filled(&connection, tables);
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(count)).unwrap();
    let (own, more) = ("s3://b/w/ns/000000x", spread("s3://b/w/ns/000000x", Some("s3://b/w/ns/050000-data")));
    let mut id = None;
    let creating = cost(|| id = Some(create(&connection, warehouse_ref, "new", &spread(own, None))));
    let id = id.unwrap();
    let commit = |expected, new, locations: &Locations| {
        let swap = Swap {
            id,
            ident: None,
            expected,
            new,
            locations,
            origin: Origin::Catalog,
            past: &Past::Kept,
            details: &EventDetails::new(),
        };
        cost(|| tables::table_swap(&connection, warehouse_ref, &swap, &Change::by_catalog(1)).unwrap())
    };
    let plain = commit("d0", "d1", &spread(own, None));
    let adding = commit("d1", "d2", &more);
    assert_eq!(commit("d2", "d3", &more).0, 2, "a plain commit of a table with several locations costs no more");
    [creating, plain, adding]
}

#[test]
fn statement_count_of_a_change_does_not_grow_with_tables() {
    let (few, many) = (costs(1), costs(20_000));
    println!("a create, a plain commit, one with a new location: {few:?}, among many {many:?}");
    let statements = |costs: [(usize, Duration); 3]| costs.map(|(statements, _)| statements);
    assert_eq!(statements(few), statements(many));
    let [creating, plain, adding] = statements(many);
    assert!(creating <= 6 && plain == 2 && adding <= 10, "{creating} {plain} {adding}");
}
