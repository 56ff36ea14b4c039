//! The export of audit records while they are committed in another order than their ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewater_core::ids::OrganisationId;
use tokio_postgres::{Client, NoTls};

use super::opened;
use super::server::TestDatabase;
use crate::base::clock::fresh_uuid;
use crate::store::{
    AuditBatch, AuditDecision, AuditEntry, AuditPosition, AuditRecord, AuditType, Change, Organisation, Store,
};

fn record(organisation: Option<OrganisationId>, at_ms: i64) -> AuditRecord {
    let entry = AuditEntry::new(AuditType::Refusal, "load-table", AuditDecision::Denied);
    AuditRecord { id: 0, organisation, at_ms, entry }
}

/// Connects as another application.
async fn connected(database: &TestDatabase) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Returns what an export at a position gets next, as its loop does.
async fn exported(store: &dyn Store, position: AuditPosition) -> AuditBatch {
    store.feed_sequence(100).await.unwrap();
    store.audit_sequence(100).await.unwrap();
    store.audit_after(position, 100).await.unwrap()
}

fn times(batch: &AuditBatch) -> (Vec<i64>, Vec<i64>) {
    let events = batch.events.iter().map(|event| event.at_ms).collect();
    (events, batch.records.iter().map(|record| record.at_ms).collect())
}

/// An event and a record with ids below all others.
const OLD_IDS: &str = r#"
    INSERT INTO event (organisation, id, at_ms, actor_kind, operation, object_kind, object_name, details)
        VALUES ('00000000-0000-0000-0000-000000000000', 7, 1, 'catalog', 'drop-table', 'table', 'late', '{}');
    INSERT INTO audit (organisation, id, at_ms, entry)
        SELECT organisation, 7, 1, entry FROM audit LIMIT 1"#;

#[tokio::test]
async fn record_that_commits_late_with_a_lower_id_is_exported_later_and_not_lost() {
    let database = TestDatabase::create().await;
    let store: Arc<dyn Store> = Arc::new(opened(&database).await);
    store.audit_add(&[record(None, 2)]).await.unwrap();
    let late = connected(&database).await;
    late.batch_execute(&format!("BEGIN; {OLD_IDS}")).await.unwrap();
    store.audit_add(&[record(None, 3)]).await.unwrap();
    let before = exported(&*store, AuditPosition::default()).await;
    assert_eq!(times(&before), (vec![], vec![2, 3]));

    late.batch_execute("COMMIT").await.unwrap();
    assert_eq!(store.audit_waiting(before.position).await.unwrap(), Some(1));
    let after = exported(&*store, before.position).await;
    assert_eq!(times(&after), (vec![1], vec![1]));
    assert_eq!(store.audit_waiting(after.position).await.unwrap(), None);
}

#[tokio::test]
async fn open_transaction_of_another_application_does_not_stop_the_export() {
    let database = TestDatabase::create().await;
    let store: Arc<dyn Store> = Arc::new(opened(&database).await);
    let other = connected(&database).await;
    // It has written, reads a snapshot, and stays idle.
    let open = "BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE TABLE other (id bigint); SELECT count(*) FROM audit";
    other.batch_execute(open).await.unwrap();
    store.audit_add(&[record(None, 2)]).await.unwrap();
    let acme = Organisation::new(OrganisationId(fresh_uuid()), "acme", "free", 0);
    store.organisation_create(&acme, &Change::by_catalog(3)).await.unwrap();
    assert_eq!(times(&exported(&*store, AuditPosition::default()).await), (vec![3], vec![2]));
    other.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_record_is_exported_once_in_the_order_of_its_writer_while_servers_write_and_export() {
    const RECORDS: i64 = 60;
    let database = TestDatabase::create().await;
    let stores: [Arc<dyn Store>; 2] = [Arc::new(opened(&database).await), Arc::new(opened(&database).await)];
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..4 {
        let (store, organisation) = (Arc::clone(&stores[number % 2]), Some(OrganisationId(fresh_uuid())));
        writers.spawn(async move {
            for at_ms in 1..=RECORDS {
                store.audit_add(&[record(organisation, at_ms)]).await.unwrap();
            }
        });
    }
    // A writer whose transactions stay open while others commit higher ids. It commits the even ones.
    let (slow, own) = (connected(&database).await, fresh_uuid());
    writers.spawn(async move {
        let entry = serde_json::to_string(&record(None, 0).entry).unwrap();
        for at_ms in 1..=RECORDS {
            slow.batch_execute("BEGIN").await.unwrap();
            let sql = "INSERT INTO audit (organisation, id, at_ms, entry)
                       VALUES ($1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 4, $2, $3)";
            slow.execute(sql, &[&own, &at_ms, &entry]).await.unwrap();
            for _ in 0..at_ms % 7 {
                slow.batch_execute("SELECT count(*) FROM audit").await.unwrap();
            }
            slow.batch_execute(if at_ms % 2 == 0 { "COMMIT" } else { "ROLLBACK" }).await.unwrap();
        }
    });
    let mut position = AuditPosition::default();
    let mut seen: BTreeMap<Option<OrganisationId>, Vec<i64>> = BTreeMap::new();
    while seen.values().map(Vec::len).sum::<usize>() < 4 * 60 + 30 {
        let (one, other) = tokio::join!(stores[0].audit_sequence(7), stores[1].audit_sequence(7));
        one.unwrap();
        other.unwrap();
        let batch = stores[1].audit_after(position, 10).await.unwrap();
        assert!(batch.position.record >= position.record);
        position = batch.position;
        for record in batch.records {
            seen.entry(record.organisation).or_default().push(record.at_ms);
        }
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    let even: Vec<i64> = (1..=RECORDS).filter(|at_ms| at_ms % 2 == 0).collect();
    assert_eq!(seen.remove(&Some(OrganisationId(own))), Some(even));
    assert!(seen.len() == 4 && seen.values().all(|times| *times == (1..=RECORDS).collect::<Vec<_>>()), "{seen:?}");
}
