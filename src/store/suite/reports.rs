//! What clients reported.

use tidewater_core::ids::TableId;
use tidewater_core::metrics::ReportKind;

use super::fixture::{
    NOW_MS, Subject, change, change_at, id_at, ident, organisation, store_warehouse, store_warehouse_of,
    stored_namespace, stored_table,
};
use crate::base::clock::{fresh_ordered_uuid, fresh_uuid};
use crate::store::{
    DropTerms, KeptReport, Moment, Report, ReportFilter, ReportLimits, Restore, TableKind, TimedPage, WarehouseRef,
};

const MANY: ReportLimits =
    ReportLimits { per_table: 1_000, per_organisation: 1_000, bytes_per_organisation: 1_000_000 };

fn report(warehouse_ref: WarehouseRef, table: TableId, kind: ReportKind, at_ms: i64) -> Report {
    Report { warehouse_ref, table, id: fresh_ordered_uuid(), kind, at_ms, body: format!("{{\"at\":{at_ms}}}") }
}

async fn listed(store: &Subject, warehouse_ref: WarehouseRef, filter: ReportFilter) -> Vec<KeptReport> {
    store.report_list(warehouse_ref, &filter, &TimedPage::default()).await.unwrap().items
}

async fn times(store: &Subject, warehouse_ref: WarehouseRef, table: TableId) -> Vec<i64> {
    let filter = ReportFilter { table: Some(table), ..ReportFilter::default() };
    listed(store, warehouse_ref, filter).await.into_iter().map(|kept| kept.report.at_ms).collect()
}

pub(in crate::store) async fn reports_are_listed_newest_first_in_pages(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let (a, b) = (ident(&sales, "a"), ident(&sales, "b"));
    let tables = [stored_table(&store, warehouse_ref, &a).await, stored_table(&store, warehouse_ref, &b).await];
    let kinds = [ReportKind::Scan, ReportKind::Commit];
    let reports: Vec<_> = (0..9)
        .map(|number| report(warehouse_ref, tables[number % 2], kinds[number / 2 % 2], NOW_MS + number as i64 / 3))
        .collect();
    store.report_add(&reports, MANY).await.unwrap();
    let mut expected = reports.clone();
    expected.sort_by_key(|report| std::cmp::Reverse((report.at_ms, report.id)));
    let all = listed(&store, warehouse_ref, ReportFilter::default()).await;
    assert_eq!(all.iter().map(|kept| &kept.report).collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    assert!(all.iter().all(|kept| kept.ident.as_ref() == Some(if kept.report.table == tables[0] { &a } else { &b })));

    let filter = ReportFilter { table: Some(tables[1]), kind: Some(ReportKind::Scan), since_ms: Some(NOW_MS + 1) };
    let mut fitting = expected.clone();
    fitting.retain(|one| one.table == tables[1] && one.kind == ReportKind::Scan && one.at_ms > NOW_MS);
    assert!(!fitting.is_empty());
    let found = listed(&store, warehouse_ref, filter).await;
    assert_eq!(found.into_iter().map(|kept| kept.report).collect::<Vec<_>>(), fitting);

    let (mut before, mut paged) = (None, Vec::new());
    loop {
        let page = TimedPage { before, limit: Some(2) };
        let page = store.report_list(warehouse_ref, &ReportFilter::default(), &page).await.unwrap();
        before = page.items.last().map(|last| Moment { at_ms: last.report.at_ms, id: last.report.id });
        paged.extend(page.items.into_iter().map(|kept| kept.report));
        if !page.more {
            break;
        }
    }
    assert_eq!(paged, expected);
}

pub(in crate::store) async fn reports_are_removed_with_their_table(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let (old, new) = (ident(&sales, "old"), ident(&sales, "new"));
    let kind = TableKind::Table;
    for forget_at_once in [false, true] {
        let id = stored_table(&store, warehouse_ref, &old).await;
        store.report_add(&[report(warehouse_ref, id, ReportKind::Scan, NOW_MS)], MANY).await.unwrap();
        store
            .table_rename(warehouse_ref, &old, id_at(&store, warehouse_ref, &old).await, &new, kind, &change())
            .await
            .unwrap();
        assert_eq!(listed(&store, warehouse_ref, ReportFilter::default()).await[0].ident, Some(new.clone()));
        if forget_at_once {
            store
                .table_drop(warehouse_ref, &new, id_at(&store, warehouse_ref, &new).await, kind, None, &change())
                .await
                .unwrap();
        } else {
            let terms = DropTerms { restorable_until_ms: NOW_MS + 10, purge: false };
            store
                .table_drop(
                    warehouse_ref,
                    &new,
                    id_at(&store, warehouse_ref, &new).await,
                    kind,
                    Some(&terms),
                    &change(),
                )
                .await
                .unwrap();
            store.report_add(&[report(warehouse_ref, id, ReportKind::Scan, NOW_MS + 1)], MANY).await.unwrap();
            let while_dropped = listed(&store, warehouse_ref, ReportFilter::default()).await;
            assert_eq!(while_dropped.iter().map(|kept| kept.ident.clone()).collect::<Vec<_>>(), [None, None]);
            let back = Restore { id, ident: &old, locations: None };
            store.dropped_restore(warehouse_ref, &back, None, &change()).await.unwrap();
            assert_eq!(times(&store, warehouse_ref, id).await, [NOW_MS + 1, NOW_MS]);
            store
                .table_drop(
                    warehouse_ref,
                    &old,
                    id_at(&store, warehouse_ref, &old).await,
                    kind,
                    Some(&terms),
                    &change(),
                )
                .await
                .unwrap();
            assert_eq!(store.dropped_forget_due(9, &change_at(NOW_MS + 10)).await.unwrap(), 1);
        }
        assert_eq!(listed(&store, warehouse_ref, ReportFilter::default()).await, []);
    }
}

pub(in crate::store) async fn reports_beyond_the_number_limit_are_removed_oldest_first(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let spare = store_warehouse_of(&store, warehouse_ref.organisation, "spare").await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let there = stored_namespace(&store, spare, "sales").await;
    let (here, there) = (ident(&sales, "t"), ident(&there, "t"));
    let (here, there) = (stored_table(&store, warehouse_ref, &here).await, stored_table(&store, spare, &there).await);
    let limits = ReportLimits { per_table: 3, per_organisation: 5, ..MANY };
    let add = async |warehouse_ref, table, at: std::ops::Range<i64>| {
        let reports: Vec<_> = at.map(|at_ms| report(warehouse_ref, table, ReportKind::Commit, at_ms)).collect();
        store.report_add(&reports, limits).await.unwrap();
    };
    add(warehouse_ref, here, 0..10).await;
    assert_eq!(times(&store, warehouse_ref, here).await, [9, 8, 7]);
    add(spare, there, 10..12).await;
    assert_eq!(times(&store, warehouse_ref, here).await, [9, 8, 7]);
    add(spare, there, 12..13).await;
    assert_eq!(times(&store, warehouse_ref, here).await, [9, 8], "the organisation's oldest went");
    assert_eq!(times(&store, spare, there).await, [12, 11, 10]);
}

pub(in crate::store) async fn reports_beyond_the_byte_limit_are_removed_oldest_first(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let id = stored_table(&store, warehouse_ref, &ident(&sales, "t")).await;
    // Another organisation's count for nothing.
    let other = organisation("other");
    store.organisation_create(&other, &change()).await.unwrap();
    let elsewhere = store_warehouse_of(&store, other.id, "lake").await;
    let there = stored_namespace(&store, elsewhere, "sales").await;
    let there = stored_table(&store, elsewhere, &ident(&there, "t")).await;
    let limits = ReportLimits { bytes_per_organisation: 3_000, ..MANY };
    let large = |warehouse_ref, table, at_ms| Report {
        body: "ä".repeat(500),
        ..report(warehouse_ref, table, ReportKind::Scan, at_ms)
    };
    store.report_add(&[large(elsewhere, there, 101), large(elsewhere, there, 102)], limits).await.unwrap();
    for at_ms in 0..5 {
        store.report_add(&[large(warehouse_ref, id, at_ms)], limits).await.unwrap();
    }
    assert_eq!(times(&store, warehouse_ref, id).await, [4, 3, 2], "1,000 bytes each");
    store.report_add(&(5..20).map(|at_ms| large(warehouse_ref, id, at_ms)).collect::<Vec<_>>(), limits).await.unwrap();
    assert_eq!(times(&store, warehouse_ref, id).await, [19, 18, 17]);
    // Removal by age makes room too.
    store.report_remove_before(19, 9).await.unwrap();
    store.report_add(&[large(warehouse_ref, id, 20), large(warehouse_ref, id, 21)], limits).await.unwrap();
    assert_eq!(times(&store, warehouse_ref, id).await, [21, 20, 19]);
    let huge = Report { body: "x".repeat(3_001), ..report(warehouse_ref, id, ReportKind::Scan, 22) };
    store.report_add(&[huge], limits).await.unwrap();
    assert_eq!(times(&store, warehouse_ref, id).await, [0; 0], "a report above the limit is not kept");
    assert_eq!(times(&store, elsewhere, there).await, [102, 101]);
}

pub(in crate::store) async fn old_reports_are_removed_in_batches(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let id = stored_table(&store, warehouse_ref, &ident(&sales, "t")).await;
    let reports: Vec<_> = (0..10).map(|at_ms| report(warehouse_ref, id, ReportKind::Scan, at_ms)).collect();
    store.report_add(&reports, MANY).await.unwrap();
    assert_eq!(store.report_remove_before(7, 5).await.unwrap(), 5);
    assert_eq!(store.report_remove_before(7, 5).await.unwrap(), 2);
    assert_eq!(times(&store, warehouse_ref, id).await, [9, 8, 7]);
}

pub(in crate::store) async fn reports_on_a_missing_table_are_ignored(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let id = stored_table(&store, warehouse_ref, &ident(&sales, "t")).await;
    let stranger = organisation("stranger");
    store.organisation_create(&stranger, &change()).await.unwrap();
    let guessed = WarehouseRef { organisation: stranger.id, warehouse: warehouse_ref.warehouse };
    let nobody = WarehouseRef { organisation: organisation("nobody").id, warehouse: warehouse_ref.warehouse };
    let reports = [
        report(warehouse_ref, TableId(fresh_uuid()), ReportKind::Scan, NOW_MS),
        report(guessed, id, ReportKind::Scan, NOW_MS),
        report(nobody, id, ReportKind::Scan, NOW_MS),
        report(warehouse_ref, id, ReportKind::Scan, NOW_MS),
    ];
    store.report_add(&reports, MANY).await.unwrap();
    let kept = listed(&store, warehouse_ref, ReportFilter::default()).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(listed(&store, guessed, ReportFilter::default()).await, []);
}
