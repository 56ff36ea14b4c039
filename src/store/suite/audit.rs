//! Audit records, and how far they were exported.

use tidewater_core::ids::OrganisationId;

use super::fixture::{NOW_MS, Subject, change, change_at, organisation};
use crate::base::clock::fresh_uuid;
use crate::store::{AuditDecision, AuditEntry, AuditFilter, AuditPosition, AuditRecord, AuditType};

fn record(organisation: Option<OrganisationId>, at_ms: i64, operation: &str) -> AuditRecord {
    let mut entry = AuditEntry::new(AuditType::Refusal, operation, AuditDecision::Denied);
    entry.actor = format!("key-\u{0}-{at_ms}");
    entry.actor_id = Some(fresh_uuid());
    entry.address = "2001:db8::7".parse().ok();
    entry.object = "sales.orders".to_owned();
    entry.details.insert("text".to_owned(), "a \"b\"\n".into());
    AuditRecord { id: 0, organisation, at_ms, entry }
}

/// Returns the records of an organisation, or of all, the oldest first.
async fn records(store: &Subject, organisation: Option<OrganisationId>) -> Vec<AuditRecord> {
    let page = store.audit_list(organisation, &AuditFilter::default(), None, 1_000).await.unwrap();
    assert_eq!(page.before, None);
    page.records.into_iter().rev().collect()
}

fn times(records: &[AuditRecord]) -> Vec<i64> {
    records.iter().map(|record| record.at_ms).collect()
}

pub(in crate::store) async fn audit_records_are_listed_as_added_and_by_organisation(store: Subject) {
    let (acme, other) = (OrganisationId(fresh_uuid()), OrganisationId(fresh_uuid()));
    store.audit_add(&[]).await.unwrap();
    let added = [record(Some(acme), 1, "load-table"), record(None, 2, "sign-in"), record(Some(other), 3, "load-view")];
    store.audit_add(&added).await.unwrap();
    let all = records(&store, None).await;
    for (added, listed) in added.iter().zip(&all) {
        assert_eq!(*listed, AuditRecord { id: listed.id, ..added.clone() });
    }
    assert!(all.is_sorted_by(|first, second| first.id < second.id), "{all:?}");
    assert_eq!(times(&records(&store, Some(acme)).await), [1]);
    assert_eq!(times(&records(&store, Some(other)).await), [3]);
}

pub(in crate::store) async fn audit_records_are_filtered_and_come_in_pages(store: Subject) {
    let acme = Some(OrganisationId(fresh_uuid()));
    let added: Vec<_> =
        (0..10).map(|at_ms| record(acme, at_ms, if at_ms < 5 { "load-table" } else { "drop-table" })).collect();
    store.audit_add(&added).await.unwrap();
    let by_id = added[3].entry.actor_id.unwrap().to_string();
    for (filter, expected) in [
        (
            AuditFilter { operation: Some("load-table".into()), since_ms: Some(2), until_ms: Some(4), ..filter() },
            vec![3, 2],
        ),
        (AuditFilter { actor: Some(by_id), ..filter() }, vec![3]),
        (AuditFilter { object: Some("sales.orders".into()), since_ms: Some(9), ..filter() }, vec![9]),
        (AuditFilter { address: "2001:db8::8".parse().ok(), ..filter() }, vec![]),
        (AuditFilter { decision: Some(AuditDecision::Allowed), ..filter() }, vec![]),
        (AuditFilter { kind: Some(AuditType::SignIn), ..filter() }, vec![]),
    ] {
        let page = store.audit_list(acme, &filter, None, 100).await.unwrap();
        assert_eq!((times(&page.records), page.before), (expected, None), "{filter:?}");
    }
    let (mut before, mut listed) = (None, Vec::new());
    loop {
        let page = store.audit_list(None, &filter(), before, 3).await.unwrap();
        listed.extend(times(&page.records));
        before = page.before;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(listed, (0..10).rev().collect::<Vec<_>>());
}

pub(in crate::store) async fn page_of_large_audit_records_ends_before_its_limit(store: Subject) {
    let acme = Some(OrganisationId(fresh_uuid()));
    let large = |at_ms| {
        let mut record = record(acme, at_ms, "load-table");
        record.entry.details.insert("text".to_owned(), "x".repeat(300_000).into());
        record
    };
    store.audit_add(&(0..9).map(large).collect::<Vec<_>>()).await.unwrap();
    let (mut before, mut listed) = (None, Vec::new());
    loop {
        let page = store.audit_list(acme, &filter(), before, 100).await.unwrap();
        assert!(page.records.len() <= 4, "{}", page.records.len());
        listed.extend(times(&page.records));
        before = page.before;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(listed, (0..9).rev().collect::<Vec<_>>());
}

fn filter() -> AuditFilter {
    AuditFilter::default()
}

pub(in crate::store) async fn events_and_audit_records_after_a_position_are_listed_oldest_first(store: Subject) {
    let start = AuditPosition::default();
    assert_eq!(store.audit_waiting(start).await.unwrap(), None);
    let acme = organisation("acme");
    store.organisation_create(&acme, &change_at(NOW_MS)).await.unwrap();
    store.organisation_set_tier(acme.id, "premium", &change_at(NOW_MS + 1)).await.unwrap();
    store.audit_add(&[record(Some(acme.id), 1, "a"), record(None, 2, "b"), record(None, 3, "c")]).await.unwrap();
    assert_eq!(store.audit_waiting(start).await.unwrap(), Some(1), "also those without a position wait");
    place_all(&store).await;
    let all = store.audit_after(start, 100).await.unwrap();
    assert_eq!(all.events.iter().map(|event| event.at_ms).collect::<Vec<_>>(), [NOW_MS, NOW_MS + 1]);
    assert_eq!(times(&all.records), [1, 2, 3]);
    let first = store.audit_after(start, 1).await.unwrap();
    assert_eq!((first.events.len(), first.events[0].id, times(&first.records)), (1, all.events[0].id, vec![1]));
    assert_eq!(store.audit_waiting(first.position).await.unwrap(), Some(2));
    let rest = store.audit_after(first.position, 10).await.unwrap();
    assert_eq!((rest.events.len(), rest.events[0].id, times(&rest.records)), (1, all.events[1].id, vec![2, 3]));
    assert_eq!(rest.position, all.position);
    let none = store.audit_after(all.position, 10).await.unwrap();
    assert_eq!((none.events, none.records, none.position), (vec![], vec![], all.position));
    assert_eq!(store.audit_waiting(all.position).await.unwrap(), None);
}

/// Gives positions to all events and records, as the export does.
async fn place_all(store: &Subject) {
    while store.feed_sequence(2).await.unwrap() > 0 {}
    while store.audit_sequence(2).await.unwrap() > 0 {}
}

pub(in crate::store) async fn position_of_an_export_moves_only_from_the_expected_one(store: Subject) {
    let at = |event| AuditPosition { event, record: 7 };
    assert_eq!(store.audit_position("file").await.unwrap(), None);
    assert!(!store.audit_position_set("file", Some(at(1)), at(2)).await.unwrap());
    assert!(store.audit_position_set("file", None, at(2)).await.unwrap());
    assert!(!store.audit_position_set("file", None, at(3)).await.unwrap());
    assert!(store.audit_position_set("file", Some(at(2)), at(3)).await.unwrap());
    assert!(!store.audit_position_set("file", Some(at(2)), at(4)).await.unwrap());
    assert_eq!(store.audit_position("file").await.unwrap(), Some(at(3)));
    assert_eq!(store.audit_position("syslog").await.unwrap(), None);
}

pub(in crate::store) async fn old_and_surplus_audit_records_are_removed(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let added: Vec<_> = (0..10).map(|at_ms| record((at_ms % 2 == 0).then_some(acme.id), at_ms, "load-table")).collect();
    store.audit_add(&added).await.unwrap();
    assert_eq!(store.audit_remove_before(3, 2).await.unwrap(), 2);
    assert_eq!(store.audit_remove_before(3, 2).await.unwrap(), 1);
    assert_eq!(store.audit_remove_before(3, 2).await.unwrap(), 0);
    assert!(store.audit_surplus(4).await.unwrap().is_empty());
    let mut surplus = store.audit_surplus(2).await.unwrap();
    surplus.sort_by_key(|(organisation, _)| organisation.is_some());
    let [(None, of_unknown), (Some(id), of_acme)] = surplus[..] else { panic!("{surplus:?}") };
    assert_eq!(id, acme.id);
    assert_eq!(store.audit_remove_up_to(None, of_unknown, 10).await.unwrap(), 2);
    assert_eq!(store.audit_remove_up_to(Some(acme.id), of_acme, 10).await.unwrap(), 1);
    assert_eq!(times(&records(&store, None).await), [6, 7, 8, 9]);
}
