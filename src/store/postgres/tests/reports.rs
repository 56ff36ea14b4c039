//! Limits of reports when several servers add and remove them at the same time.

use futures_util::future::{self, join_all};
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::location::Location;
use tidewater_core::metrics::ReportKind;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::reserved_locations::Locations;

use super::server::TestDatabase;
use super::{PostgresStore, opened};
use crate::base::clock::{fresh_ordered_uuid, fresh_uuid};
use crate::store::postgres::params::params;
use crate::store::{
    Change, EventDetails, NamespaceStore, NewTable, Organisation, OrganisationStore, Origin, Report, ReportFilter,
    ReportLimits, ReportStore, TableKind, TableStore, TimedPage, Warehouse, WarehouseOptions, WarehouseRef,
    WarehouseStorage, WarehouseStore,
};

fn change() -> Change {
    Change::by_catalog(1)
}

async fn warehouse(store: &PostgresStore) -> WarehouseRef {
    let organisation = OrganisationId(fresh_uuid());
    let new = Organisation::new(organisation, format!("o-{organisation}"), "free", 0);
    store.organisation_create(&new, &change()).await.unwrap();
    let warehouse = Warehouse {
        id: WarehouseId(fresh_uuid()),
        organisation,
        name: "lake".to_owned(),
        root: format!("file:///srv/{organisation}"),
        storage: WarehouseStorage::local(),
        options: WarehouseOptions::default(),
        is_default: false,
        created_ms: 0,
    };
    store.warehouse_create(&warehouse, &change()).await.unwrap();
    let warehouse_ref = WarehouseRef { organisation, warehouse: warehouse.id };
    store.namespace_create(warehouse_ref, &sales(), &Default::default(), &change()).await.unwrap();
    warehouse_ref
}

fn sales() -> NamespaceIdent {
    NamespaceIdent::new(&["sales"]).unwrap()
}

fn ident(name: &str) -> TableIdent {
    TableIdent::new(sales(), name).unwrap()
}

async fn table(store: &PostgresStore, warehouse_ref: WarehouseRef, name: &str) -> TableId {
    let id = TableId(fresh_uuid());
    let new = NewTable {
        id,
        ident: &ident(name),
        kind: TableKind::Table,
        metadata_location: &format!("s3://b/{id}/metadata/0.json"),
        locations: &Locations::new(Location::parse(&format!("s3://b/{id}")).unwrap(), []),
        origin: Origin::Catalog,
        details: &EventDetails::new(),
    };
    store.table_create(warehouse_ref, &new, None, &change()).await.unwrap();
    id
}

fn report(warehouse_ref: WarehouseRef, table: TableId, at_ms: i64, bytes: usize) -> Report {
    let (id, kind) = (fresh_ordered_uuid(), ReportKind::Scan);
    Report { warehouse_ref, table, id, kind, at_ms, body: format!("\"{}\"", "x".repeat(bytes - 2)) }
}

/// Returns the number of an organisation's reports, their bytes, and the bytes that are counted.
async fn counted(store: &PostgresStore, organisation: OrganisationId) -> (i64, i64, i64) {
    let row = store
        .read_first(
            "SELECT count(*), coalesce(sum(octet_length(body)), 0)::bigint,
                    coalesce((SELECT bytes FROM report_bytes WHERE organisation = $1), 0)
             FROM report WHERE organisation = $1",
            params![organisation.0],
        )
        .await
        .unwrap()
        .unwrap();
    (row.get(0), row.get(1), row.get(2))
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_additions_and_removals_keep_the_limits_and_the_counts() {
    let database = TestDatabase::create().await;
    let servers = [opened(&database).await, opened(&database).await];
    let warehouse_ref = warehouse(&servers[0]).await;
    let tables = [table(&servers[0], warehouse_ref, "a").await, table(&servers[0], warehouse_ref, "b").await];
    let limits = ReportLimits { bytes_per_organisation: 3_000, per_table: 20, per_organisation: 35 };
    let adds = join_all((0..60).map(async |number: i64| {
        let at = usize::try_from(number).unwrap();
        let reports = [
            report(warehouse_ref, tables[at % 2], number, 60 + at),
            report(warehouse_ref, tables[(at + 1) % 2], number, 100),
        ];
        servers[at % 2].report_add(&reports, limits).await.unwrap();
    }));
    let removes = join_all((0..20).map(async |number| {
        servers[0].report_remove_before(number, 3).await.unwrap();
    }));
    future::join(adds, removes).await;
    let (reports, bytes, counted) = counted(&servers[0], warehouse_ref.organisation).await;
    assert_eq!(bytes, counted);
    assert!((1..=35).contains(&reports) && bytes <= 3_000, "{reports} reports, {bytes} bytes");
    for table in tables {
        let filter = ReportFilter { table: Some(table), ..ReportFilter::default() };
        let listed = servers[1].report_list(warehouse_ref, &filter, &TimedPage::default()).await.unwrap();
        assert!(listed.items.len() <= 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn report_that_is_added_while_its_table_goes_is_removed_too() {
    let database = TestDatabase::create().await;
    let servers = [opened(&database).await, opened(&database).await];
    let warehouse_ref = warehouse(&servers[0]).await;
    let limits = ReportLimits { bytes_per_organisation: 1_000_000, per_table: 1_000, per_organisation: 1_000 };
    for number in 0..10 {
        let name = format!("t{number}");
        let id = table(&servers[0], warehouse_ref, &name).await;
        let adds = join_all((0..4).map(async |at_ms| {
            servers[1].report_add(&[report(warehouse_ref, id, at_ms, 50)], limits).await.unwrap();
        }));
        let (dropped, change) = (ident(&name), change());
        let drop = servers[0].table_drop(warehouse_ref, &dropped, id, TableKind::Table, None, &change);
        let (_, dropped) = future::join(adds, drop).await;
        dropped.unwrap();
        assert_eq!(counted(&servers[0], warehouse_ref.organisation).await, (0, 0, 0), "after table {number}");
    }
}
