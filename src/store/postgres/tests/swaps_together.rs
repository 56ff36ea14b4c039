//! Swaps of pointers that share a statement.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tidewater_core::ids::{OrganisationId, TableId};
use tidewater_core::location::Location;
use tidewater_core::reserved_locations::Locations;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use super::statements::{Catalog, at, change};
use super::together::NEVER;
use crate::base::clock::fresh_uuid;
use crate::store::postgres::swaps_together::{MOST_SWAPS, SWAPS_AT_ONCE};
use crate::store::postgres::waiting::Together;
use crate::store::{
    Change, EventDetails, EventFilter, EventStore, Operation, Origin, Past, Resource, Result, StoreError, Swap,
    TableStore, WarehouseRef,
};

/// Enough for some statements of one organisation at the same time.
const CONNECTIONS: usize = 24;

type Made = JoinHandle<Result<()>>;

/// A swap from document 0 to document 1 of a table.
#[derive(Clone)]
struct Wanted {
    id: TableId,
    name: String,
    expected: String,
    new: String,
    locations: Locations,
}

impl Wanted {
    fn new(id: TableId, name: &str) -> Self {
        let (expected, new) = ("s3://b/m0".to_owned(), "s3://b/m1".to_owned());
        Self { id, name: name.to_owned(), expected, new, locations: at(name) }
    }
}

/// Returns the document that leaves the log of a table with its swap.
fn old_document(wanted: &Wanted) -> String {
    format!("s3://b/lake/old-{}", wanted.name)
}

/// A catalog with tables, and open connections for changes.
struct Fixture {
    catalog: Catalog,
    tables: Vec<Wanted>,
}

impl Fixture {
    async fn new(tables: usize, slow: Duration) -> Self {
        let catalog = Catalog::create_with(CONNECTIONS).await;
        let mut wanted = Vec::new();
        for number in 0..tables {
            let name = format!("t{number}");
            wanted.push(Wanted::new(catalog.table(&name).await.1, &name));
        }
        let mut fixture = Self { catalog, tables: wanted };
        // Opens the connections of the swaps that are sent alone.
        let mut warm = Vec::new();
        for number in 0..SWAPS_AT_ONCE {
            let name = format!("warm{number}");
            warm.push(Wanted::new(fixture.catalog.table(&name).await.1, &name));
        }
        let made = warm.iter().map(|wanted| fixture.spawn(wanted)).collect();
        assert!(results(made).await.iter().all(Result::is_ok));
        fixture.catalog.store.swaps_together = Arc::new(Together::new(slow));
        fixture
    }

    async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.catalog.database.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Locks the rows of tables, so that swaps of them get no answer until the transaction ends.
    async fn hold(&self, tables: &[Wanted]) -> Client {
        let client = self.client().await;
        let ids: Vec<_> = tables.iter().map(|wanted| format!("'{}'", wanted.id.0)).collect();
        let sql = format!("BEGIN; SELECT 1 FROM tabular WHERE id IN ({}) FOR UPDATE", ids.join(", "));
        client.batch_execute(&sql).await.unwrap();
        client
    }

    /// Starts a swap in the background.
    fn spawn(&self, wanted: &Wanted) -> Made {
        let (store, warehouse_ref) = (self.catalog.store.clone(), self.catalog.warehouse_ref);
        let (ident, wanted) = (self.catalog.ident(&wanted.name), wanted.clone());
        tokio::spawn(async move {
            let document = Location::parse(&old_document(&wanted)).unwrap();
            let past = &Past::Removed { documents: vec![document], due_ms: 1 };
            let swap = Swap {
                id: wanted.id,
                ident: Some(&ident),
                expected: &wanted.expected,
                new: &wanted.new,
                locations: &wanted.locations,
                origin: Origin::Catalog,
                past,
                details: &EventDetails::new(),
            };
            store.table_swap(warehouse_ref, &swap, &Change { request_id: Some(wanted.name.into()), ..change() }).await
        })
    }

    /// Starts a swap, and waits until it is sent or waits for its turn.
    async fn start(&self, wanted: &Wanted) -> Made {
        let begun = || self.catalog.store.swaps_together.begun(self.catalog.warehouse_ref.organisation);
        let before = begun();
        let made = self.spawn(wanted);
        while begun() == before {
            tokio::task::yield_now().await;
        }
        made
    }

    async fn start_all(&self, wanted: &[Wanted]) -> Vec<Made> {
        let mut made = Vec::new();
        for wanted in wanted {
            made.push(self.start(wanted).await);
        }
        made
    }

    async fn pointer(&self, name: &str) -> String {
        let found = self.catalog.store.table_get(self.catalog.warehouse_ref, &self.catalog.ident(name)).await;
        found.unwrap().unwrap().metadata_location
    }

    /// Returns the objects of the commits' events, with the ids of the requests, in the order of the names.
    async fn told(&self) -> Vec<(String, String)> {
        let owner = Some(self.catalog.warehouse_ref.organisation);
        let events = self.catalog.store.event_list(owner, &EventFilter::default(), None, 500).await.unwrap().events;
        let updates = events.into_iter().filter(|event| event.operation == Operation::UpdateTable);
        let told = updates.filter_map(|event| Some((event.object.name, event.request_id?.to_string())));
        let mut told: Vec<_> = told.filter(|(_, request)| !request.starts_with("warm")).collect();
        told.sort();
        told
    }
}

async fn results(made: Vec<Made>) -> Vec<Result<()>> {
    join_all(made).await.into_iter().map(|made| made.unwrap()).collect()
}

#[tokio::test]
async fn swaps_that_arrive_during_others_share_a_statement_and_get_their_own_results() {
    let fixture = Fixture::new(SWAPS_AT_ONCE + 6, NEVER).await;
    let (first, others) = fixture.tables.split_at(SWAPS_AT_ONCE);
    let [good, behind, renamed, moved, gone, last] = others else { panic!("{}", others.len()) };
    let behind = Wanted { expected: "s3://b/other".to_owned(), ..behind.clone() };
    let renamed = Wanted { name: "another".to_owned(), ..renamed.clone() };
    let moves = Wanted { locations: at("elsewhere"), ..moved.clone() };
    let gone = Wanted { id: TableId(fresh_uuid()), ..gone.clone() };

    let holder = fixture.hold(first).await;
    let alone = fixture.start_all(first).await;
    let together = fixture.start_all(&[good.clone(), behind, renamed, moves.clone(), gone, last.clone()]).await;
    holder.batch_execute("COMMIT").await.unwrap();
    assert!(results(alone).await.iter().all(Result::is_ok));
    let results = results(together).await;
    let [Ok(()), Err(behind), Err(renamed), Ok(()), Err(gone), Ok(())] = &results[..] else { panic!("{results:?}") };
    assert!(matches!(behind, StoreError::PointerMoved), "{behind}");
    assert!(matches!(renamed, StoreError::PointerMoved), "{renamed}");
    assert!(matches!(gone, StoreError::NotFound(Resource::Table)), "{gone}");
    let made = || first.iter().chain([good, last, &moves]);
    for wanted in made() {
        assert_eq!(fixture.pointer(&wanted.name).await, wanted.new, "{}", wanted.name);
    }
    assert_eq!(fixture.pointer(&others[1].name).await, others[1].expected);
    let mut expected: Vec<_> = made().map(|one| (format!("sales.{}", one.name), one.name.clone())).collect();
    expected.sort();
    assert_eq!(fixture.told().await, expected, "each with the request that made it");
    assert!(fixture.catalog.store.swaps_together.is_idle());
}

#[tokio::test]
async fn swaps_that_fit_take_one_statement_for_as_many_as_a_statement_may_have() {
    let fixture = Fixture::new(SWAPS_AT_ONCE + MOST_SWAPS + 1, NEVER).await;
    let holder = fixture.hold(&fixture.tables[..SWAPS_AT_ONCE]).await;
    let before = fixture.catalog.proxy.sent();
    let made = fixture.start_all(&fixture.tables).await;
    holder.batch_execute("COMMIT").await.unwrap();
    assert!(results(made).await.iter().all(Result::is_ok));
    assert_eq!(fixture.catalog.proxy.sent() - before, SWAPS_AT_ONCE as u64 + 2);
    assert_eq!(fixture.told().await.len(), fixture.tables.len());
    let old = "SELECT count(*) FROM old_document WHERE document LIKE 's3://b/lake/old-t%'";
    let row = fixture.catalog.store.read_first(old, &[]).await.unwrap().unwrap();
    assert_eq!(row.get::<_, i64>(0), i64::try_from(fixture.tables.len()).unwrap());
}

#[tokio::test]
async fn swap_of_a_table_that_another_change_has_locked_delays_no_other() {
    let fixture = Fixture::new(SWAPS_AT_ONCE + 3, NEVER).await;
    let (first, others) = fixture.tables.split_at(SWAPS_AT_ONCE);
    let (holder, longer) = (fixture.hold(first).await, fixture.hold(&others[1..2]).await);
    let alone = fixture.start_all(first).await;
    let mut together = fixture.start_all(others).await;
    holder.batch_execute("COMMIT").await.unwrap();
    assert!(results(alone).await.iter().all(Result::is_ok));
    let behind = together.remove(1);
    assert!(results(together).await.iter().all(Result::is_ok), "while the row is locked");
    assert!(!behind.is_finished());
    longer.batch_execute("COMMIT").await.unwrap();
    behind.await.unwrap().unwrap();
    assert_eq!(fixture.told().await.len(), fixture.tables.len());
}

#[tokio::test]
async fn value_that_the_database_cannot_store_fails_its_own_swap_only() {
    let mut fixture = Fixture::new(SWAPS_AT_ONCE + 3, NEVER).await;
    fixture.tables[SWAPS_AT_ONCE + 1].new = "s3://b/\0".to_owned();
    let holder = fixture.hold(&fixture.tables[..SWAPS_AT_ONCE]).await;
    let made = fixture.start_all(&fixture.tables).await;
    holder.batch_execute("COMMIT").await.unwrap();
    for (number, result) in results(made).await.into_iter().enumerate() {
        if number == SWAPS_AT_ONCE + 1 {
            assert!(matches!(result, Err(StoreError::NotStorable(_))), "{result:?}");
        } else {
            result.unwrap();
        }
    }
    assert_eq!(fixture.told().await.len(), fixture.tables.len() - 1);
}

#[tokio::test]
async fn lost_connection_makes_the_outcome_of_all_swaps_of_its_statement_unknown() {
    let fixture = Fixture::new(SWAPS_AT_ONCE + 3, NEVER).await;
    let (first, others) = fixture.tables.split_at(SWAPS_AT_ONCE);
    // The shared statement waits for another transaction that adds one of its old documents.
    let slow = fixture.client().await;
    let (WarehouseRef { organisation, warehouse }, document) = (fixture.catalog.warehouse_ref, old_document(&others[0]));
    let sql = format!(
        "BEGIN; INSERT INTO old_document (organisation, warehouse, location, document, tabular, due_ms)
         VALUES ('{}', '{}', '{document}', '{document}', '{}', 1)",
        organisation.0, warehouse.0, others[0].id.0
    );
    slow.batch_execute(&sql).await.unwrap();

    let holder = fixture.hold(first).await;
    let alone = fixture.start_all(first).await;
    let together = fixture.start_all(others).await;
    holder.batch_execute("COMMIT").await.unwrap();
    assert!(results(alone).await.iter().all(Result::is_ok));
    // Only this statement of this database waits for a lock.
    let end = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE query LIKE '%SKIP LOCKED%' AND wait_event_type = 'Lock' AND {} = ANY (pg_blocking_pids(pid))",
        slow.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get::<_, i32>(0)
    );
    while holder.query_one(&end, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::task::yield_now().await;
    }
    for result in results(together).await {
        assert!(result.as_ref().is_err_and(StoreError::outcome_is_unknown), "{result:?}");
    }
    slow.batch_execute("ROLLBACK").await.unwrap();
    for wanted in others {
        assert_eq!(fixture.pointer(&wanted.name).await, wanted.expected, "the database undid the statement");
    }
    assert!(fixture.catalog.store.swaps_together.is_idle());
}

#[tokio::test]
async fn swaps_behind_slow_statements_and_those_of_other_organisations_are_sent() {
    let fixture = Fixture::new(SWAPS_AT_ONCE + 1, Duration::from_millis(5)).await;
    let holder = fixture.hold(&fixture.tables[..SWAPS_AT_ONCE]).await;
    let mut made: Vec<_> = fixture.tables.iter().map(|wanted| fixture.spawn(wanted)).collect();
    made.remove(SWAPS_AT_ONCE).await.unwrap().unwrap();
    assert!(made.iter().all(|one| !one.is_finished()));
    holder.batch_execute("COMMIT").await.unwrap();
    assert!(results(made).await.iter().all(Result::is_ok));

    let mut fixture = Fixture::new(SWAPS_AT_ONCE + 1, NEVER).await;
    let holder = fixture.hold(&fixture.tables[..SWAPS_AT_ONCE]).await;
    let made = fixture.start_all(&fixture.tables).await;
    fixture.catalog.warehouse_ref.organisation = OrganisationId(fresh_uuid());
    let theirs = fixture.spawn(&fixture.tables[0]).await.unwrap();
    assert!(matches!(theirs, Err(StoreError::NotFound(Resource::Table))), "{theirs:?}");
    assert!(!made[SWAPS_AT_ONCE].is_finished());
    holder.batch_execute("COMMIT").await.unwrap();
    assert!(results(made).await.iter().all(Result::is_ok));
}
