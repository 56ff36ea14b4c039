//! The feed while events are committed in another order than their ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewater_core::ids::OrganisationId;

use super::opened;
use super::server::TestDatabase;
use crate::base::clock::fresh_uuid;
use crate::store::{Change, FeedScope, FeedStart, Organisation, Store};

async fn organisation(store: &dyn Store, name: &str) -> OrganisationId {
    let id = OrganisationId(fresh_uuid());
    store.organisation_create(&Organisation::new(id, name, "free", 0), &Change::by_catalog(0)).await.unwrap();
    id
}

#[tokio::test]
async fn late_commit_of_a_lower_id_is_read_later_and_not_lost() {
    let database = TestDatabase::create().await;
    let store: Arc<dyn Store> = Arc::new(opened(&database).await);
    let acme = organisation(&*store, "acme").await;
    let scope = FeedScope::Organisation(acme);
    while store.feed_sequence(100).await.unwrap() > 0 {}
    let start = store.feed_bounds(scope).await.unwrap().latest;

    // An event with an old id, whose transaction is still open.
    let (late, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    late.batch_execute("BEGIN").await.unwrap();
    late.execute(
        "INSERT INTO event (organisation, id, at_ms, actor_kind, operation, object_kind, object_name, details)
         VALUES ($1, 7, 1, 'catalog', 'drop-table', 'table', 'late', '{}')",
        &[&acme.0],
    )
    .await
    .unwrap();
    store.organisation_set_tier(acme, "premium", &Change::by_catalog(2)).await.unwrap();
    assert_eq!(store.feed_sequence(100).await.unwrap(), 1);
    let page = store.feed_read(scope, start, 100).await.unwrap();
    assert_eq!(page.events.iter().map(|entry| entry.event.at_ms).collect::<Vec<_>>(), [2]);
    let position = page.events[0].position;

    late.batch_execute("COMMIT").await.unwrap();
    assert_eq!(store.feed_sequence(100).await.unwrap(), 1);
    let page = store.feed_read(scope, position, 100).await.unwrap();
    assert_eq!(page.events.iter().map(|entry| entry.event.id).collect::<Vec<_>>(), [7], "a reader sees it later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reader_gets_every_event_once_in_order_while_servers_write_and_sequence() {
    const CHANGES: i64 = 60;
    let database = TestDatabase::create().await;
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..2 {
        stores.push(Arc::new(opened(&database).await));
    }
    let mut organisations = Vec::new();
    for name in ["a", "b", "c"] {
        organisations.push(organisation(&*stores[0], name).await);
    }
    let consumer = stores[0].consumer_ensure(FeedScope::All, "reader", FeedStart::Oldest).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for (number, organisation) in organisations.into_iter().enumerate() {
        let store = Arc::clone(&stores[number % 2]);
        writers.spawn(async move {
            for at_ms in 1..=CHANGES {
                let tier = format!("tier-{at_ms}");
                store.organisation_set_tier(organisation, &tier, &Change::by_catalog(at_ms)).await.unwrap();
            }
        });
    }
    let mut after = consumer.position;
    let mut seen: BTreeMap<Option<OrganisationId>, Vec<i64>> = BTreeMap::new();
    while seen.values().map(Vec::len).sum::<usize>() < 3 * (1 + CHANGES as usize) {
        let (one, other) = tokio::join!(stores[0].feed_sequence(7), stores[1].feed_sequence(7));
        one.unwrap();
        other.unwrap();
        for entry in stores[1].feed_read(FeedScope::All, after, 10).await.unwrap().events {
            assert!(entry.position > after);
            after = entry.position;
            seen.entry(entry.event.organisation).or_default().push(entry.event.at_ms);
        }
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    assert!(seen.values().all(|times| *times == (0..=CHANGES).collect::<Vec<_>>()), "{seen:?}");
}
