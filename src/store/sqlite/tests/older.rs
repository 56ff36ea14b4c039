//! Tables and views from before the store kept all their locations.

use tempfile::TempDir;
use tidewater_core::ids::{TableId, WarehouseId};
use tidewater_core::location::Location;
use tidewater_core::metrics::ReportKind;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::overlap::Locations;

use super::{opened, organisation, stranger};
use crate::clock::fresh_uuid;
use crate::store::sqlite::SqliteStore;
use crate::store::{
    Change, DropTerms, EventDetails, Learned, NewTable, Past, Place, Pointer, Properties, Report, ReportFilter,
    ReportLimits, Result, Store, StoreError, Swap, TableKind, TimedPage, Warehouse, WarehouseOptions, WarehouseStorage,
};

/// What the migrations since version 5 do, undone: all that an older version knew stays.
const BACK_TO_VERSION_4: &str = "ALTER TABLE warehouse DROP COLUMN purge; ALTER TABLE warehouse DROP COLUMN no_delete;
    ALTER TABLE api_key DROP COLUMN no_delete; DROP TABLE old_document;
    ALTER TABLE tabular DROP COLUMN origin; ALTER TABLE dropped DROP COLUMN origin;
    DROP TABLE master_key; DROP TRIGGER report_bytes_added;
    DROP TRIGGER report_bytes_removed; DROP TABLE report_bytes; DROP TRIGGER tabular_count_added;
    DROP TRIGGER tabular_count_removed; DROP TABLE tabular_count; DROP INDEX dropped_location; DROP TABLE location; DROP TABLE location_unread;
    ALTER TABLE tabular DROP COLUMN others; ALTER TABLE dropped DROP COLUMN others;
    CREATE INDEX tabular_location ON tabular (organisation, warehouse, location);
    CREATE INDEX dropped_location ON dropped (organisation, warehouse, location);
    DROP TABLE operator; DROP TABLE key_usage; DROP INDEX organisation_deleted;
         ALTER TABLE organisation DROP COLUMN suspended_ms; ALTER TABLE organisation DROP COLUMN delete_after_ms;
         ALTER TABLE organisation DROP COLUMN delete_purge; DROP TABLE event; DELETE FROM refinery_schema_history WHERE version > 4";

impl SqliteStore {
    /// Forgets where all tables are, so that others can be put there, as older versions did with what properties name.
    pub(crate) async fn forget_locations(&self) {
        let forget = |connection: &rusqlite::Connection| {
            let forget = "UPDATE tabular SET others = ''; UPDATE dropped SET others = ''; DELETE FROM location";
            Ok(connection.execute_batch(forget)?)
        };
        self.write(forget).await.unwrap();
    }

    /// Makes of all tables those of an older version, as an upgrade finds them.
    pub(crate) async fn mark_as_older(&self) {
        self.forget_locations().await;
        let mark = |connection: &rusqlite::Connection| {
            let all =
                "SELECT organisation, warehouse, id FROM tabular UNION SELECT organisation, warehouse, id FROM dropped";
            let own = "SELECT organisation, warehouse, CAST(location AS BLOB), id FROM";
            connection.execute_batch(&format!(
                "DELETE FROM location_unread; INSERT INTO location_unread (organisation, warehouse, tabular) {all};
                 INSERT INTO location (organisation, warehouse, location, tabular)
                     {own} tabular UNION {own} dropped"
            ))?;
            Ok(())
        };
        self.write(mark).await.unwrap();
    }
}

struct Site {
    store: SqliteStore,
    place: Place,
}

fn spread(own: &str, others: &[&str]) -> Locations {
    Locations::new(Location::parse(own).unwrap(), places(others))
}

fn places(texts: &[&str]) -> Vec<Location> {
    texts.iter().map(|text| Location::parse(text).unwrap()).collect()
}

fn ident(name: &str) -> TableIdent {
    TableIdent::new(NamespaceIdent::new(&["ns"]).unwrap(), name).unwrap()
}

fn learned(id: TableId, document: &str, others: Option<&[&str]>) -> Learned {
    Learned { id, metadata_location: document.to_owned(), others: others.map(places) }
}

impl Site {
    async fn new(folder: &TempDir) -> Self {
        let store = opened(folder);
        let acme = organisation("acme");
        store.organisation_create(&acme, &Change::by_catalog(0)).await.unwrap();
        let place = Place { organisation: acme.id, warehouse: WarehouseId(fresh_uuid()) };
        let (root, name, storage) = ("s3://b/w".to_owned(), "lake".to_owned(), WarehouseStorage::local());
        let (id, organisation) = (place.warehouse, place.organisation);
        let lake = Warehouse {
            id,
            organisation,
            name,
            root,
            storage,
            options: WarehouseOptions::default(),
            is_default: true,
            created_ms: 0,
        };
        store.warehouse_create(&lake, &Change::by_catalog(0)).await.unwrap();
        let namespace = NamespaceIdent::new(&["ns"]).unwrap();
        store.namespace_create(place, &namespace, &Properties::new(), &Change::by_catalog(0)).await.unwrap();
        Self { store, place }
    }

    async fn create(&self, name: &str, locations: &Locations) -> Result<TableId> {
        let (id, ident, kind) = (TableId(fresh_uuid()), ident(name), TableKind::Table);
        let new = NewTable {
            id,
            ident: &ident,
            kind,
            metadata_location: "d0",
            locations,
            registered: false,
            details: &EventDetails::new(),
        };
        self.store.table_create(self.place, &new, None, &Change::by_catalog(0)).await.map(|()| id)
    }

    async fn swap(&self, id: TableId, expected: &str, new: &str, locations: &Locations) -> Result<()> {
        let swap = Swap { id, expected, new, locations, past: &Past::Kept, details: &EventDetails::new() };
        self.store.table_swap(self.place, &swap, &Change::by_catalog(0)).await
    }

    async fn drop(&self, name: &str) {
        let terms = DropTerms { restorable_until_ms: 9, purge: false };
        self.store
            .table_drop(self.place, &ident(name), TableKind::Table, Some(&terms), &Change::by_catalog(0))
            .await
            .unwrap();
    }

    async fn unread(&self) -> Vec<Pointer> {
        self.store.location_unread(self.place, false, None, 9).await.unwrap()
    }

    async fn learn(&self, learned: Vec<Learned>) -> Vec<TableId> {
        self.store.location_learn(self.place, learned).await.unwrap()
    }

    /// Two tables as an older version may have them: both have the second location `s3://b/w/data`.
    async fn sharing(&self) -> [TableId; 2] {
        let a = self.create("a", &spread("s3://b/w/a", &["s3://b/w/data"])).await.unwrap();
        self.store.forget_locations().await;
        let b = self.create("b", &spread("s3://b/w/b", &["s3://b/w/data"])).await.unwrap();
        self.store.mark_as_older().await;
        [a, b]
    }
}

fn is_taken(result: &Result<impl Sized>) -> bool {
    matches!(result, Err(StoreError::LocationTaken(_)))
}

#[tokio::test]
async fn an_upgrade_knows_own_locations_and_that_others_are_to_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(&folder).await;
    let place = site.place;
    let live = site.create("live", &spread("s3://b/w/a%20b", &["s3://b/w/data"])).await.unwrap();
    let kept = site.create("kept", &spread("s3://b/w/kept", &["s3://b/w/data2"])).await.unwrap();
    site.drop("kept").await;
    site.store.close().await;
    stranger(folder.path()).execute_batch(BACK_TO_VERSION_4).unwrap();

    let site = Site { store: opened(&folder), place };
    let count = |sql: &str| stranger(folder.path()).query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM location"), 2, "an own location of each");
    assert_eq!(site.store.location_unread_places().await.unwrap(), [place]);
    let mut ids: Vec<TableId> = site.unread().await.iter().map(|pointer| pointer.id).collect();
    ids.sort_unstable();
    let mut expected = vec![live, kept];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    // Nothing is given away until they are read; all else goes on.
    let refused = site.create("new", &spread("s3://b/w/new", &[])).await;
    assert!(matches!(refused, Err(StoreError::LocationsUnread)), "{refused:?}");
    assert_eq!(site.learn(vec![learned(live, "d0", Some(&["s3://b/w/data"]))]).await, []);
    let refused = site.create("new", &spread("s3://b/w/new", &[])).await;
    assert!(matches!(refused, Err(StoreError::LocationsUnread)), "{refused:?}");
    site.swap(live, "d0", "d1", &spread("s3://b/w/a%20b", &["s3://b/w/data"])).await.unwrap();
    assert_eq!(site.learn(vec![learned(kept, "d0", Some(&["s3://b/w/data2"]))]).await, []);
    assert_eq!(site.store.location_unread_places().await.unwrap(), []);
    for taken in ["s3://b/w/a b", "s3://b/w/data/x"] {
        assert!(is_taken(&site.create("new", &spread(taken, &[])).await), "{taken}");
    }
    for held in ["s3://b/w/kept/x", "s3://b/w/data2"] {
        let refused = site.create("new", &spread(held, &[])).await;
        assert!(matches!(refused, Err(StoreError::LocationHeld(_))), "{refused:?}");
    }
    site.create("new", &spread("s3://b/w/new", &[])).await.unwrap();
    // The next opening has nothing to do.
    site.store.close().await;
    assert_eq!(opened(&folder).location_unread_places().await.unwrap(), []);
}

#[tokio::test]
async fn tables_that_share_a_location_from_before_go_on_and_can_move_away() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(&folder).await;
    let [a, b] = site.sharing().await;
    let (with_a, with_b) = (spread("s3://b/w/a", &["s3://b/w/data"]), spread("s3://b/w/b", &["s3://b/w/data"]));
    let mut told =
        site.learn(vec![learned(a, "d0", Some(&["s3://b/w/data"])), learned(b, "d0", Some(&["s3://b/w/data"]))]).await;
    told.sort_unstable();
    let mut both = vec![a, b];
    both.sort_unstable();
    assert_eq!(told, both, "who shares is told");
    site.swap(a, "d0", "d1", &with_a).await.unwrap();
    site.swap(b, "d0", "d1", &with_b).await.unwrap();
    // To reach less of what it has is no claim; to reach more is one.
    site.swap(b, "d1", "d2", &spread("s3://b/w/b", &["s3://b/w/data/b"])).await.unwrap();
    assert!(is_taken(&site.swap(b, "d2", "d3", &with_b).await));
    assert!(is_taken(&site.swap(b, "d2", "d3", &spread("s3://b/w/b", &["s3://b/w/data/b", "s3://b/w/a"])).await));
    site.swap(b, "d2", "d3", &spread("s3://b/w/elsewhere", &["s3://b/w/data/b"])).await.unwrap();
    site.swap(b, "d3", "d4", &spread("s3://b/w/elsewhere", &[])).await.unwrap();
    assert!(is_taken(&site.create("new", &spread("s3://b/w/data/b", &[])).await), "the other has it still");
    site.swap(a, "d1", "d2", &spread("s3://b/w/a", &[])).await.unwrap();
    site.create("new", &spread("s3://b/w/data/b", &[])).await.unwrap();
}

#[tokio::test]
async fn a_table_that_was_not_read_yet_commits_what_claims_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(&folder).await;
    let plain = site.create("plain", &spread("s3://b/w/plain", &[])).await.unwrap();
    let [a, _] = site.sharing().await;
    site.swap(plain, "d0", "d1", &spread("s3://b/w/plain", &[])).await.unwrap();
    // What its document said is not known, so that this may be new.
    let kept = site.swap(a, "d0", "d1", &spread("s3://b/w/a", &["s3://b/w/data"])).await;
    assert!(matches!(kept, Err(StoreError::LocationsUnread)), "{kept:?}");
    site.swap(a, "d0", "d1", &spread("s3://b/w/a/deeper", &[])).await.unwrap();
    assert!(!site.unread().await.iter().any(|pointer| pointer.id == a), "it is known by what it was given");
}

#[tokio::test]
async fn what_is_learned_of_a_document_counts_only_while_it_is_the_current_one() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(&folder).await;
    let [a, b] = site.sharing().await;
    assert_eq!(site.learn(vec![learned(a, "d7", Some(&["s3://b/w/x"]))]).await, []);
    let guessed = Place { warehouse: WarehouseId(fresh_uuid()), ..site.place };
    assert_eq!(site.store.location_learn(guessed, vec![learned(a, "d0", None)]).await.unwrap(), []);
    assert_eq!(site.unread().await.len(), 2);
    site.learn(vec![learned(a, "d0", Some(&[])), learned(b, "d0", Some(&[]))]).await;
    // Nor does it count when all is known already.
    site.learn(vec![learned(a, "d0", Some(&["s3://b/w/x"]))]).await;
    site.create("new", &spread("s3://b/w/x", &["s3://b/w/data"])).await.unwrap();
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_in_nobodys_way_but_nothing_is_sure() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(&folder).await;
    let [a, b] = site.sharing().await;
    site.learn(vec![learned(a, "d0", None), learned(b, "d0", Some(&[]))]).await;
    assert_eq!(site.unread().await, []);
    let unreadable = site.store.location_unread(site.place, true, None, 9).await.unwrap();
    assert_eq!(unreadable.iter().map(|pointer| pointer.id).collect::<Vec<_>>(), [a]);
    let others = places(&["s3://b/w/data"]);
    assert_eq!(site.store.location_alone(site.place, b, &others).await.unwrap(), [], "it may be there too");
    let new = site.create("new", &spread("s3://b/w/new", &["s3://b/w/data"])).await.unwrap();
    // Should it be readable again, it has no more right to the place than anybody else.
    let with_data = spread("s3://b/w/a", &["s3://b/w/data"]);
    assert!(is_taken(&site.swap(a, "d0", "d1", &with_data).await));
    site.swap(new, "d0", "d1", &spread("s3://b/w/new", &[])).await.unwrap();
    site.swap(a, "d0", "d1", &with_data).await.unwrap();
    assert_eq!(site.store.location_unread(site.place, true, None, 9).await.unwrap(), []);
    assert_eq!(site.store.location_alone(site.place, a, &others).await.unwrap(), others);
}

#[tokio::test]
async fn what_is_gone_for_good_needs_not_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(&folder).await;
    let [a, b] = site.sharing().await;
    site.drop("a").await;
    assert_eq!(site.unread().await.len(), 2, "what is dropped is read");
    site.store.dropped_remove(site.place, a, None, &Change::by_catalog(1)).await.unwrap();
    assert_eq!(site.unread().await.iter().map(|pointer| pointer.id).collect::<Vec<_>>(), [b]);
    site.store.table_drop(site.place, &ident("b"), TableKind::Table, None, &Change::by_catalog(0)).await.unwrap();
    site.create("new", &spread("s3://b/w/new", &["s3://b/w/data"])).await.unwrap();
}

/// A report of 100 bytes.
fn report(place: Place, table: TableId, at_ms: i64) -> Report {
    Report { place, table, id: fresh_uuid(), kind: ReportKind::Scan, at_ms, body: "x".repeat(100) }
}

#[tokio::test]
async fn upgrade_counts_the_bytes_of_reports_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(&folder).await;
    let place = site.place;
    let id = site.create("t", &spread("s3://b/w/t", &[])).await.unwrap();
    let limits = ReportLimits { per_table: 100, per_organisation: 100, bytes_per_organisation: 1_000 };
    let reports: Vec<_> = (0..5).map(|at_ms| report(place, id, at_ms)).collect();
    site.store.report_add(&reports, limits).await.unwrap();
    drop(site);
    let back = "ALTER TABLE warehouse DROP COLUMN purge; ALTER TABLE warehouse DROP COLUMN no_delete;
        ALTER TABLE api_key DROP COLUMN no_delete; DROP TABLE old_document;
        ALTER TABLE tabular DROP COLUMN origin; ALTER TABLE dropped DROP COLUMN origin;
        DROP TABLE master_key; DROP TRIGGER report_bytes_added; DROP TRIGGER report_bytes_removed;
        DROP TABLE report_bytes; DROP TABLE operator; DROP TABLE key_usage; DROP INDEX organisation_deleted;
         ALTER TABLE organisation DROP COLUMN suspended_ms; ALTER TABLE organisation DROP COLUMN delete_after_ms;
         ALTER TABLE organisation DROP COLUMN delete_purge; DROP TABLE event; DELETE FROM refinery_schema_history WHERE version > 7";
    stranger(folder.path()).execute_batch(back).unwrap();
    let store = opened(&folder);
    let limits = ReportLimits { bytes_per_organisation: 350, ..limits };
    store.report_add(&[report(place, id, 5)], limits).await.unwrap();
    let kept = store.report_list(place, &ReportFilter::default(), &TimedPage::default()).await.unwrap().items;
    assert_eq!(kept.iter().map(|kept| kept.report.at_ms).collect::<Vec<_>>(), [5, 4, 3]);
}
