//! Locations of tables and views: no two overlap.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::reserved_locations::Locations;

use super::concurrency::{at_once, winners};
use super::fixture::{
    NOW_MS, Subject, assert_refused, at, change, change_at, document, id_at, ident, organisation, pointer, spread,
    store_warehouse, store_warehouse_of, stored_namespace,
};
use crate::base::clock::fresh_uuid;
use crate::store::{
    DropTerms, DroppedState, EventDetails, NewTable, Origin, Past, Progress, Restore, Result, StoreError, Swap,
    TableChange, TableKind, WarehouseRef,
};

const HOUR_MS: i64 = 3_600_000;

/// A namespace in which the cases create and change tables.
struct Site {
    store: Subject,
    warehouse_ref: WarehouseRef,
    namespace: NamespaceIdent,
}

impl Site {
    async fn new(store: &Subject) -> Self {
        let warehouse_ref = store_warehouse(store).await;
        Self::at(store, warehouse_ref).await
    }

    async fn at(store: &Subject, warehouse_ref: WarehouseRef) -> Self {
        let namespace = stored_namespace(store, warehouse_ref, "sales").await;
        Self { store: Arc::clone(store), warehouse_ref, namespace }
    }

    fn ident(&self, name: &str) -> TableIdent {
        ident(&self.namespace, name)
    }

    async fn add(&self, name: &str, kind: TableKind, locations: &Locations) -> Result<TableId> {
        let (id, ident) = (TableId(fresh_uuid()), self.ident(name));
        let metadata_location = &document(0);
        let new = NewTable {
            id,
            ident: &ident,
            kind,
            metadata_location,
            locations,
            origin: Origin::Catalog,
            details: &EventDetails::new(),
        };
        self.store.table_create(self.warehouse_ref, &new, None, &change()).await.map(|()| id)
    }

    async fn create(&self, name: &str, locations: &Locations) -> Result<TableId> {
        self.add(name, TableKind::Table, locations).await
    }

    async fn swap(&self, id: TableId, from: usize, to: usize, locations: &Locations) -> Result<()> {
        let (expected, new) = (&document(from), &document(to));
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
        self.store.table_swap(self.warehouse_ref, &swap, &change()).await
    }

    async fn transact(&self, changes: Vec<TableChange>) -> Result<()> {
        self.store.table_transact(self.warehouse_ref, changes, None, &change()).await
    }

    async fn drop(&self, name: &str, kind: TableKind, purge: bool) {
        let terms = DropTerms { restorable_until_ms: NOW_MS + HOUR_MS, purge };
        self.store
            .table_drop(
                self.warehouse_ref,
                &self.ident(name),
                id_at(&self.store, self.warehouse_ref, &self.ident(name)).await,
                kind,
                Some(&terms),
                &change(),
            )
            .await
            .unwrap();
    }

    async fn forget(&self, name: &str) {
        self.store
            .table_drop(
                self.warehouse_ref,
                &self.ident(name),
                id_at(&self.store, self.warehouse_ref, &self.ident(name)).await,
                TableKind::Table,
                None,
                &change(),
            )
            .await
            .unwrap();
    }

    async fn restore(&self, id: TableId, name: &str, locations: Option<&Locations>) -> Result<()> {
        let ident = self.ident(name);
        self.store.dropped_restore(self.warehouse_ref, &Restore { id, ident: &ident, locations }, None, &change()).await
    }
}

fn moved(id: TableId, from: usize, to: usize, locations: &Locations) -> TableChange {
    let (expected, new, locations) = (document(from), document(to), locations.clone());
    TableChange::Swap { id, ident: None, expected, new, locations, past: Past::Kept, details: EventDetails::new() }
}

fn created(ident: TableIdent, locations: &Locations) -> TableChange {
    let (id, metadata_location, locations) = (TableId(fresh_uuid()), document(0), locations.clone());
    TableChange::Create { id, ident, metadata_location, locations, details: EventDetails::new() }
}

pub(in crate::store) async fn table_at_an_overlapping_location_is_refused(store: Subject) {
    let site = Site::new(&store).await;
    let id = site.create("orders", &at("s3://bucket/lake/orders")).await.unwrap();
    for overlapping in ["s3://bucket/lake/orders", "s3://bucket/lake/orders/inner", "s3://bucket/lake"] {
        let refused = site.create("other", &at(overlapping)).await;
        assert!(matches!(&refused, Err(StoreError::LocationTaken(one)) if one == overlapping), "{refused:?}");
    }
    let beside = site.create("other", &at("s3://bucket/lake/orders2")).await.unwrap();
    let inside = at("s3://bucket/lake/orders/inner");
    assert_refused!(site.swap(beside, 0, 1, &inside).await, StoreError::LocationTaken(_));
    assert_eq!(pointer(&store, site.warehouse_ref, &site.ident("other")).await, document(0), "nothing was changed");
    // The refused change had no effect: the table still has its former location, and not the requested one.
    assert_refused!(site.create("third", &at("s3://bucket/lake/orders2/x")).await, StoreError::LocationTaken(_));
    site.swap(id, 0, 1, &at("s3://bucket/lake/elsewhere")).await.unwrap();
    site.swap(beside, 0, 1, &inside).await.unwrap();
}

pub(in crate::store) async fn locations_in_properties_are_reserved(store: Subject) {
    let site = Site::new(&store).await;
    site.create("orders", &spread("s3://b/w/orders", &["s3://b/w/data/orders", "s3://b/w/meta"])).await.unwrap();
    let mover = site.create("mover", &at("s3://b/w/mover")).await.unwrap();
    for taken in ["s3://b/w/orders", "s3://b/w/data/orders", "s3://b/w/meta"] {
        for overlapping in [taken.to_owned(), format!("{taken}/in/side"), "s3://b/w".to_owned()] {
            for wanted in [at(&overlapping), spread("s3://b/w/new", &["s3://b/w/new2", &overlapping])] {
                for kind in [TableKind::Table, TableKind::View] {
                    let refused = site.add("new", kind, &wanted).await;
                    assert!(
                        matches!(&refused, Err(StoreError::LocationTaken(one)) if *one == overlapping),
                        "{refused:?}"
                    );
                }
                assert_refused!(site.swap(mover, 0, 1, &wanted).await, StoreError::LocationTaken(_));
                let refused = site.transact(vec![created(site.ident("new"), &wanted)]).await;
                let Err(StoreError::InTransaction { at: 0, error }) = refused else { panic!("{refused:?}") };
                assert!(matches!(*error, StoreError::LocationTaken(_)), "{error:?}");
            }
        }
    }
    // A location that only begins with the same text does not overlap, also if it sorts before the locations inside.
    for (number, beside) in
        ["s3://b/w/meta2", "s3://b/w/meta!", "s3://b/w/met", "s3://b/w/data/orders-x"].iter().enumerate()
    {
        site.create(&format!("t{number}"), &spread(&format!("s3://b/w/t{number}"), &[beside])).await.unwrap();
    }
    assert_refused!(site.create("last", &at("s3://b/w/meta/x")).await, StoreError::LocationTaken(_));
}

pub(in crate::store) async fn spellings_of_one_location_conflict(store: Subject) {
    let site = Site::new(&store).await;
    site.create("t1", &spread("s3://b/w/t1", &["s3://b/w/a b"])).await.unwrap();
    for spelling in ["S3://B/w/t1/", "s3://b/w/t%31", "s3://b/w/%74%31/x", "s3://b/w/t%2531", "s3://b/w/a%20b/x"] {
        assert_refused!(site.create("t2", &at(spelling)).await, StoreError::LocationTaken(_));
        assert_refused!(site.create("t2", &spread("s3://b/w/t2", &[spelling])).await, StoreError::LocationTaken(_));
    }
    for other in ["s3://b/w/t10", "s3://b/w/T1", "s3://b/w/t%", "s3://b/w/a+b"] {
        site.create(other.rsplit('/').next().unwrap(), &at(other)).await.unwrap();
    }
    // Two spellings in one table are no conflict and become free together.
    site.create("self", &spread("s3://b/w/self", &["s3://b/w/s%65lf"])).await.unwrap();
    site.forget("self").await;
    site.create("self", &at("s3://b/w/self")).await.unwrap();
}

pub(in crate::store) async fn swap_reserves_new_locations_and_frees_former_ones(store: Subject) {
    let site = Site::new(&store).await;
    let (a, b) = (at("s3://b/w/a"), at("s3://b/w/b"));
    let with_data = |own: &str| spread(own, &["s3://b/w/data"]);
    let one = site.create("a", &a).await.unwrap();
    let two = site.create("b", &b).await.unwrap();
    site.swap(one, 0, 1, &with_data("s3://b/w/a")).await.unwrap();
    assert_refused!(site.swap(two, 0, 1, &with_data("s3://b/w/b")).await, StoreError::LocationTaken(_));
    // Commits without a change of locations, and one that moves the table while its data stays.
    site.swap(one, 1, 2, &with_data("s3://b/w/a")).await.unwrap();
    site.swap(one, 2, 3, &with_data("s3://b/w/a2")).await.unwrap();
    assert_refused!(site.swap(two, 0, 1, &with_data("s3://b/w/b")).await, StoreError::LocationTaken(_));
    site.create("in its old place", &a).await.unwrap();
    site.swap(one, 3, 4, &at("s3://b/w/a2")).await.unwrap();
    site.swap(two, 0, 1, &with_data("s3://b/w/b")).await.unwrap();
    // A moved pointer is reported as such, and no location is reserved.
    assert_refused!(site.swap(one, 0, 1, &at("s3://b/w/free")).await, StoreError::PointerMoved);
    site.create("free", &at("s3://b/w/free")).await.unwrap();
}

pub(in crate::store) async fn table_may_overlap_itself(store: Subject) {
    let site = Site::new(&store).await;
    let around = spread("s3://b/w/ns/t", &["s3://b/w/ns/t/data", "s3://b/w/ns"]);
    let id = site.create("t", &around).await.unwrap();
    site.swap(id, 0, 1, &around).await.unwrap();
    site.swap(id, 1, 2, &at("s3://b/w/ns/t/data/deeper")).await.unwrap();
    site.swap(id, 2, 3, &around).await.unwrap();
    assert_refused!(site.create("u", &at("s3://b/w/ns/u")).await, StoreError::LocationTaken(_));
}

pub(in crate::store) async fn locations_pass_between_the_tables_of_one_transaction(store: Subject) {
    let site = Site::new(&store).await;
    let (x, y) = (spread("s3://b/w/a", &["s3://b/w/x"]), spread("s3://b/w/b", &["s3://b/w/y"]));
    let (one, two) = (site.create("a", &x).await.unwrap(), site.create("b", &y).await.unwrap());
    let (with_y, with_x) = (spread("s3://b/w/a", &["s3://b/w/y"]), spread("s3://b/w/b", &["s3://b/w/x"]));
    site.transact(vec![moved(one, 0, 1, &with_y), moved(two, 0, 1, &with_x)]).await.unwrap();
    // A second location of one table becomes the other's own, and a new table gets the former own location of that.
    let (own_x, a) = (spread("s3://b/w/x/t", &["s3://b/w/y"]), at("s3://b/w/a/inner"));
    site.transact(vec![created(site.ident("c"), &a), moved(one, 1, 2, &own_x), moved(two, 1, 2, &at("s3://b/w/b"))])
        .await
        .unwrap();
    let refused = site.transact(vec![moved(two, 2, 3, &with_x), moved(one, 2, 3, &own_x)]).await;
    let Err(StoreError::InTransaction { at: 0, error }) = refused else { panic!("{refused:?}") };
    assert!(matches!(*error, StoreError::LocationTaken(one) if one == "s3://b/w/x"));
}

pub(in crate::store) async fn transaction_with_overlapping_locations_is_refused(store: Subject) {
    let site = Site::new(&store).await;
    let one = site.create("a", &at("s3://b/w/a")).await.unwrap();
    let two = site.create("b", &at("s3://b/w/b")).await.unwrap();
    let claims = |own: &str, other: &str| spread(own, &[other]);
    for (first, second) in [("new", "new"), ("new", "new/inside"), ("new/inside", "new")] {
        let (first, second) = (format!("s3://b/w/{first}"), format!("s3://b/w/{second}"));
        let swaps =
            vec![moved(one, 0, 1, &claims("s3://b/w/a", &first)), moved(two, 0, 1, &claims("s3://b/w/b", &second))];
        let with_creation =
            vec![moved(one, 0, 1, &claims("s3://b/w/a", &first)), created(site.ident("c"), &at(&second))];
        for changes in [swaps, with_creation] {
            let refused = site.transact(changes).await;
            let Err(StoreError::InTransaction { error, .. }) = refused else { panic!("{refused:?}") };
            assert!(matches!(*error, StoreError::LocationTaken(_)), "{error:?}");
        }
    }
    site.create("c", &at("s3://b/w/new")).await.unwrap();
}

pub(in crate::store) async fn dropped_table_reserves_all_its_locations(store: Subject) {
    let site = Site::new(&store).await;
    let table = spread("s3://b/w/t", &["s3://b/w/data"]);
    let id = site.create("t", &table).await.unwrap();
    site.drop("t", TableKind::Table, true).await;
    for held in ["s3://b/w/t/x", "s3://b/w/data/x", "s3://b/w/data"] {
        for wanted in [at(held), spread("s3://b/w/new", &[held])] {
            let refused = site.create("new", &wanted).await;
            assert!(matches!(&refused, Err(StoreError::LocationHeld(one)) if one == held), "{refused:?}");
        }
    }
    site.restore(id, "again", Some(&table)).await.unwrap();
    assert_refused!(site.create("new", &at("s3://b/w/data")).await, StoreError::LocationTaken(_));
    site.swap(id, 0, 1, &table).await.unwrap();
    // A restored row has the same locations: a commit finds no change.
    site.drop("again", TableKind::Table, false).await;
    site.restore(id, "again", None).await.unwrap();
    site.swap(id, 1, 2, &at("s3://b/w/t")).await.unwrap();
    site.create("new", &at("s3://b/w/data")).await.unwrap();
}

pub(in crate::store) async fn locations_of_a_removed_table_are_free(store: Subject) {
    let site = Site::new(&store).await;
    let all = spread("s3://b/w/t", &["s3://b/w/data"]);
    let is_free = async || {
        for one in ["s3://b/w/t/x", "s3://b/w/data"] {
            site.create("probe", &at(one)).await.unwrap();
            site.forget("probe").await;
        }
    };
    // Dropped without terms, removed by an administrator, forgotten when due, and purged.
    site.create("t", &all).await.unwrap();
    site.forget("t").await;
    is_free().await;

    let id = site.create("t", &all).await.unwrap();
    site.drop("t", TableKind::Table, true).await;
    store.dropped_remove(site.warehouse_ref, id, Some(false), &change()).await.unwrap();
    is_free().await;

    site.create("t", &all).await.unwrap();
    site.drop("t", TableKind::Table, false).await;
    assert_eq!(store.dropped_forget_due(9, &change_at(NOW_MS + HOUR_MS)).await.unwrap(), 1);
    is_free().await;

    let id = site.create("t", &all).await.unwrap();
    site.drop("t", TableKind::Table, true).await;
    let [job] = store.dropped_claim(NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS, 9).await.unwrap().try_into().unwrap();
    let organisation = site.warehouse_ref.organisation;
    let finishing = Progress::Continue { until_ms: NOW_MS + 2 * HOUR_MS, finishing: true };
    assert!(store.dropped_progress(organisation, id, job.attempts, &finishing, &change()).await.unwrap());
    assert_refused!(site.create("probe", &at("s3://b/w/data")).await, StoreError::LocationHeld(_));
    assert!(store.dropped_progress(organisation, id, job.attempts, &Progress::Gone, &change()).await.unwrap());
    is_free().await;
    store.namespace_drop(site.warehouse_ref, &site.namespace, &change()).await.unwrap();
    store.warehouse_drop(organisation, "lake", &change()).await.unwrap();
}

pub(in crate::store) async fn table_registered_again_reserves_all_its_locations(store: Subject) {
    let site = Site::new(&store).await;
    let all = spread("s3://b/w/t", &["s3://b/w/data"]);
    let id = site.create("t", &all).await.unwrap();
    site.drop("t", TableKind::Table, true).await;
    // Another registration gets neither a second location of the dropped table nor one around its own.
    let wrong = [at("s3://b/w/data"), spread("s3://b/w/u", &["s3://b/w/t"]), at("s3://b/w/t/x")];
    for wrong in &wrong {
        assert_refused!(site.add("u", TableKind::Table, wrong).await, StoreError::LocationHeld(_));
    }
    site.create("other", &at("s3://b/w/other")).await.unwrap();
    let more = spread("s3://b/w/t", &["s3://b/w/other/x"]);
    assert_refused!(site.add("t", TableKind::Table, &more).await, StoreError::LocationTaken(_));
    assert!(store.dropped_get(site.warehouse_ref, id).await.unwrap().is_some(), "the refused change had no effect");
    site.add("t", TableKind::Table, &all).await.unwrap();
    assert_eq!(store.dropped_get(site.warehouse_ref, id).await.unwrap().unwrap().state, DroppedState::Replaced);
    assert_refused!(site.create("u", &at("s3://b/w/data")).await, StoreError::LocationTaken(_));

    // Over an existing table: its former locations become free, and those in the new document are reserved.
    let other = site.create("u", &spread("s3://b/w/u", &["s3://b/w/u-data"])).await.unwrap();
    let (expected, new) = (&document(0), &document(1));
    let (origin, past, details) = (Origin::Catalog, &Past::Kept, &EventDetails::new());
    let over = |locations| Swap { id: other, ident: None, expected, new, locations, origin, past, details };
    let (theirs, free) = (spread("s3://b/w/u2", &["s3://b/w/data/x"]), spread("s3://b/w/u2", &["s3://b/w/u3"]));
    let refused = store.table_swap(site.warehouse_ref, &over(&theirs), &change()).await;
    assert_refused!(refused, StoreError::LocationTaken(_));
    store.table_swap(site.warehouse_ref, &over(&free), &change()).await.unwrap();
    assert_refused!(site.create("v", &at("s3://b/w/u3")).await, StoreError::LocationTaken(_));
    site.create("v", &spread("s3://b/w/u", &["s3://b/w/u-data"])).await.unwrap();
}

pub(in crate::store) async fn restore_reserves_locations_that_were_not_stored(store: Subject) {
    let site = Site::new(&store).await;
    let id = site.create("t", &at("s3://b/w/t")).await.unwrap();
    site.drop("t", TableKind::Table, false).await;
    let other = site.create("u", &spread("s3://b/w/u", &["s3://b/w/data"])).await.unwrap();
    let in_truth = spread("s3://b/w/t", &["s3://b/w/data/t"]);
    assert_refused!(site.restore(id, "t", Some(&in_truth)).await, StoreError::LocationTaken(_));
    assert!(store.dropped_get(site.warehouse_ref, id).await.unwrap().is_some(), "nothing was changed");
    site.swap(other, 0, 1, &at("s3://b/w/u")).await.unwrap();
    site.restore(id, "t", Some(&in_truth)).await.unwrap();
    assert_refused!(site.create("v", &at("s3://b/w/data")).await, StoreError::LocationTaken(_));
}

pub(in crate::store) async fn rename_changes_no_location(store: Subject) {
    let site = Site::new(&store).await;
    let all = spread("s3://b/w/t", &["s3://b/w/data"]);
    let id = site.create("t", &all).await.unwrap();
    store
        .table_rename(
            site.warehouse_ref,
            &site.ident("t"),
            id_at(&store, site.warehouse_ref, &site.ident("t")).await,
            &site.ident("u"),
            TableKind::Table,
            &change(),
        )
        .await
        .unwrap();
    assert_refused!(site.create("t", &at("s3://b/w/data")).await, StoreError::LocationTaken(_));
    site.swap(id, 0, 1, &all).await.unwrap();
}

pub(in crate::store) async fn location_check_reports_overlaps_and_reserves_nothing(store: Subject) {
    let site = Site::new(&store).await;
    let id = site.create("t", &spread("s3://b/w/t", &["s3://b/w/data"])).await.unwrap();
    site.create("kept", &at("s3://b/w/kept")).await.unwrap();
    site.drop("kept", TableKind::Table, false).await;
    let check = async |id, locations| store.location_check(site.warehouse_ref, id, &locations).await;
    let new = TableId(fresh_uuid());
    assert_refused!(check(new, spread("s3://b/w/u", &["s3://b/w/data/x"])).await, StoreError::LocationTaken(_));
    assert_refused!(check(new, at("s3://b/w/kept/x")).await, StoreError::LocationHeld(_));
    check(new, at("s3://b/w/kept")).await.unwrap();
    assert_refused!(check(new, spread("s3://b/w/kept", &["s3://b/w/t"])).await, StoreError::LocationTaken(_));
    check(id, spread("s3://b/w/t", &["s3://b/w/data/x"])).await.unwrap();
    check(new, at("s3://b/w/free")).await.unwrap();
    site.create("other", &at("s3://b/w/free")).await.unwrap();
}

pub(in crate::store) async fn location_alone_lists_locations_without_overlap(store: Subject) {
    let site = Site::new(&store).await;
    let id = site.create("t", &spread("s3://b/w/t", &["s3://b/w/d1", "s3://b/w/d2"])).await.unwrap();
    site.create("live", &at("s3://b/w/live/x")).await.unwrap();
    site.create("kept", &spread("s3://b/w/kept", &["s3://b/w/kept-data"])).await.unwrap();
    site.drop("kept", TableKind::Table, true).await;
    let places: Vec<Location> = ["t", "d1", "d2/x", "live", "live/x/y", "kept-data", "kept", "free"]
        .iter()
        .map(|name| Location::parse(&format!("s3://b/w/{name}")).unwrap())
        .collect();
    let alone = store.location_alone(site.warehouse_ref, id, &places).await.unwrap();
    assert_eq!(alone.iter().map(|one| one.path()).collect::<Vec<_>>(), ["/w/t", "/w/d1", "/w/d2/x", "/w/free"]);
}

pub(in crate::store) async fn locations_of_other_tenants_do_not_conflict(store: Subject) {
    let mine = Site::new(&store).await;
    let all = spread("s3://b/w/t", &["s3://b/w/data"]);
    let id = mine.create("t", &all).await.unwrap();
    // The same text in another warehouse is another location.
    let second = Site::at(&store, store_warehouse_of(&store, mine.warehouse_ref.organisation, "second").await).await;
    let theirs = Site::new(&store).await;
    for other in [&second, &theirs] {
        other.create("t", &all).await.unwrap();
        other.drop("t", TableKind::Table, false).await;
        assert_refused!(other.create("u", &at("s3://b/w/data")).await, StoreError::LocationHeld(_));
    }
    // Another organisation that guesses the warehouse's id learns nothing about it and changes nothing.
    let stranger = organisation("stranger");
    store.organisation_create(&stranger, &change()).await.unwrap();
    let guessed = WarehouseRef { organisation: stranger.id, warehouse: mine.warehouse_ref.warehouse };
    store.location_check(guessed, TableId(fresh_uuid()), &all).await.unwrap();
    assert_eq!(store.location_alone(guessed, id, all.as_slice()).await.unwrap(), all.as_slice());
    mine.swap(id, 0, 1, &all).await.unwrap();
    assert_refused!(mine.create("u", &at("s3://b/w/data")).await, StoreError::LocationTaken(_));
}

pub(in crate::store) async fn concurrent_changes_give_a_location_to_one_table(store: Subject) {
    let site = Arc::new(Site::new(&store).await);
    let mut ids = Vec::new();
    for number in 0..8 {
        ids.push(site.create(&format!("t{number}"), &at(&format!("s3://b/w/t{number}"))).await.unwrap());
    }
    // Existing and new tables, alone and in transactions, request the location itself, one inside it, or one around it.
    let results = at_once(32, |number| {
        let (site, ids) = (Arc::clone(&site), ids.clone());
        let wanted = ["s3://b/w/wanted/0", "s3://b/w/wanted/0/0", "s3://b/w/wanted"][number % 3];
        async move {
            let ident = site.ident(&format!("new{number}"));
            let own = if number < 8 { format!("s3://b/w/t{number}") } else { format!("s3://b/w/new{number}") };
            let all = spread(&own, &[wanted]);
            match number / 8 {
                0 => site.swap(ids[number], 0, 1, &all).await,
                1 => site.create(ident.name(), &all).await.map(drop),
                2 => site.transact(vec![created(ident, &all)]).await,
                _ => site.add(ident.name(), TableKind::View, &all).await.map(drop),
            }
        }
    })
    .await;
    let taken = |error: &StoreError| match error {
        StoreError::LocationTaken(_) => true,
        StoreError::InTransaction { error, .. } => matches!(**error, StoreError::LocationTaken(_)),
        _ => false,
    };
    assert_eq!(winners(&results, taken), 1);
}

/// A table in the model of [`random_changes_never_leave_overlapping_locations`].
#[derive(Clone)]
struct Known {
    name: String,
    at: usize,
    locations: Locations,
    dropped: bool,
}

/// Compares with every table: the rule in its simplest form.
fn is_taken(tables: &BTreeMap<TableId, Known>, id: Option<TableId>, claimed: &[&Location]) -> bool {
    let others = tables.iter().filter(|(other, _)| Some(**other) != id);
    let mut places = others.flat_map(|(_, known)| known.locations.as_slice());
    places.any(|warehouse_ref| claimed.iter().any(|one| one.contains(warehouse_ref) || warehouse_ref.contains(one)))
}

/// Returns the tables without those that a table at `own` replaces: tables that were dropped at exactly this location.
fn without_replaced(tables: &BTreeMap<TableId, Known>, own: &Location) -> BTreeMap<TableId, Known> {
    let stays = |known: &Known| !known.dropped || known.locations.own() != own;
    tables.iter().filter(|(_, known)| stays(known)).map(|(id, known)| (*id, known.clone())).collect()
}

/// Returns the next number of a fixed pseudorandom sequence.
fn next(state: &mut u64, below: u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from((*state >> 33) % below).unwrap()
}

fn any_locations(state: &mut u64) -> Locations {
    const NAMES: [&str; 6] = ["a", "a!", "ab", "b", "b/c", "b/c/d"];
    let mut any = || format!("s3://b/w/{}/{}", NAMES[next(state, 6)], NAMES[next(state, 6)]);
    let (own, first, second) = (any(), any(), any());
    let others = [first.as_str(), second.as_str()];
    let count = next(state, 3);
    spread(&own, &others[..count])
}

pub(in crate::store) async fn random_changes_never_leave_overlapping_locations(store: Subject) {
    let site = Site::new(&store).await;
    let mut tables: BTreeMap<TableId, Known> = BTreeMap::new();
    let (mut state, mut counts) = (7, [0usize; 2]);
    for step in 0..600 {
        let locations = any_locations(&mut state);
        let live: Vec<TableId> = tables.iter().filter(|(_, known)| !known.dropped).map(|(id, _)| *id).collect();
        let kept: Vec<TableId> = tables.iter().filter(|(_, known)| known.dropped).map(|(id, _)| *id).collect();
        let (expected, result) = match next(&mut state, 8) {
            0..=2 => {
                let name = format!("t{step}");
                let left = without_replaced(&tables, locations.own());
                let free = !is_taken(&left, None, &locations.beyond(&[]));
                let made = site.create(&name, &locations).await;
                if let Ok(id) = made {
                    tables = left;
                    tables.insert(id, Known { name, at: 0, locations, dropped: false });
                }
                (free, made.map(drop))
            }
            3..=4 if !live.is_empty() => {
                let id = live[next(&mut state, live.len() as u64)];
                let known = tables[&id].clone();
                let left = without_replaced(&tables, locations.own());
                let free = !is_taken(&left, Some(id), &locations.beyond(known.locations.as_slice()));
                let swapped = site.swap(id, known.at, known.at + 1, &locations).await;
                if swapped.is_ok() {
                    tables = left;
                    tables.insert(id, Known { at: known.at + 1, locations, ..known });
                }
                (free, swapped)
            }
            5 if live.len() > 1 => {
                let (one, two) = (live[0], live[1 + next(&mut state, live.len() as u64 - 1)]);
                let (first, second) = (tables[&one].clone(), tables[&two].clone());
                // They exchange their locations, or the first takes new ones and the second those of the first.
                let new = if next(&mut state, 2) == 0 { second.locations.clone() } else { locations };
                let mut after = without_replaced(&tables, new.own());
                after.insert(one, Known { at: first.at + 1, locations: new.clone(), ..first.clone() });
                after.insert(two, Known { at: second.at + 1, locations: first.locations.clone(), ..second.clone() });
                let free = !is_taken(&after, Some(one), &new.beyond(first.locations.as_slice()))
                    && !is_taken(&after, Some(two), &first.locations.beyond(second.locations.as_slice()));
                let changes = vec![
                    moved(one, first.at, first.at + 1, &new),
                    moved(two, second.at, second.at + 1, &first.locations),
                ];
                let done = site.transact(changes).await;
                if done.is_ok() {
                    tables = after;
                }
                (free, done)
            }
            6 if !live.is_empty() => {
                let id = live[next(&mut state, live.len() as u64)];
                let name = tables[&id].name.clone();
                if next(&mut state, 3) == 0 {
                    site.forget(&name).await;
                    tables.remove(&id);
                } else {
                    site.drop(&name, TableKind::Table, false).await;
                    tables.get_mut(&id).unwrap().dropped = true;
                }
                (true, Ok(()))
            }
            7 if !kept.is_empty() => {
                let id = kept[next(&mut state, kept.len() as u64)];
                if next(&mut state, 2) == 0 {
                    tables.get_mut(&id).unwrap().dropped = false;
                    (true, site.restore(id, &tables[&id].name, Some(&tables[&id].locations)).await)
                } else {
                    tables.remove(&id);
                    (true, store.dropped_remove(site.warehouse_ref, id, None, &change()).await.map(drop))
                }
            }
            _ => continue,
        };
        assert_eq!(expected, result.is_ok(), "step {step}: {result:?}");
        counts[usize::from(expected)] += 1;
    }
    assert!(counts.iter().all(|count| *count > 50), "changes succeeded and failed often: {counts:?}");
}
