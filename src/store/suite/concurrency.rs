//! Concurrent callers.

use std::sync::Arc;

use tidewater_core::name::TableIdent;
use tidewater_core::request_limits::RequestLimits;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::fixture::{
    Subject, assert_refused, change, create, document, id_at, ident, namespace, organisation, pointer, properties,
    signing_key, store_warehouse, stored_namespace, stored_table, swap,
};
use crate::store::{PageRequest, Resource, Result, StoreError, TableKind, WarehouseRef};

/// Runs `work` for each number from 0 to `count` concurrently. Returns the results in this order.
pub(super) async fn at_once<T, F>(count: usize, work: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(count));
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let (barrier, work) = (Arc::clone(&barrier), work(number));
        tasks.spawn(async move {
            barrier.wait().await;
            (number, work.await)
        });
    }
    let mut results = tasks.join_all().await;
    results.sort_unstable_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

async fn table(store: &Subject, warehouse_ref: WarehouseRef) -> TableIdent {
    ident(&stored_namespace(store, warehouse_ref, "sales").await, "orders")
}

pub(in crate::store) async fn concurrent_swaps_from_one_pointer_have_one_winner(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let orders = table(&store, warehouse_ref).await;
    let id = stored_table(&store, warehouse_ref, &orders).await;
    let results = at_once(100, |number| {
        let store = Arc::clone(&store);
        async move { swap(&store, warehouse_ref, id, 0, number + 1).await }
    })
    .await;
    let winners = results.iter().enumerate().filter(|(_, result)| result.is_ok()).map(|(number, _)| number);
    let [winner] = winners.collect::<Vec<_>>()[..] else { panic!("not exactly one has won: {results:?}") };
    let losers = results.iter().filter(|result| matches!(result, Err(StoreError::PointerMoved))).count();
    assert_eq!(losers, 99);
    assert_eq!(pointer(&store, warehouse_ref, &orders).await, document(winner + 1));
}

pub(in crate::store) async fn swaps_in_a_chain_lose_no_update(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let orders = table(&store, warehouse_ref).await;
    let id = stored_table(&store, warehouse_ref, &orders).await;
    // Each caller moves the pointer by one, ten times, from its present value.
    at_once(8, |_| {
        let (store, orders) = (Arc::clone(&store), orders.clone());
        async move {
            for _ in 0..10 {
                loop {
                    let current = pointer(&store, warehouse_ref, &orders).await;
                    let number = (0..=80).find(|number| document(*number) == current).unwrap();
                    match swap(&store, warehouse_ref, id, number, number + 1).await {
                        Ok(()) => break,
                        Err(StoreError::PointerMoved) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        }
    })
    .await;
    assert_eq!(pointer(&store, warehouse_ref, &orders).await, document(80));
}

pub(super) fn winners<T: std::fmt::Debug>(results: &[Result<T>], refused: impl Fn(&StoreError) -> bool) -> usize {
    let unexpected = results.iter().find(|result| result.as_ref().is_err_and(|error| !refused(error)));
    assert!(unexpected.is_none(), "{unexpected:?}");
    results.iter().filter(|result| result.is_ok()).count()
}

pub(in crate::store) async fn concurrent_creates_of_one_name_have_one_winner(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = namespace(&["sales"]);
    let namespaces = at_once(40, |number| {
        let (store, sales) = (Arc::clone(&store), sales.clone());
        async move {
            store.namespace_create(warehouse_ref, &sales, &properties(&[("by", &number.to_string())]), &change()).await
        }
    })
    .await;
    let taken = |error: &StoreError| matches!(error, StoreError::AlreadyExists(_));
    assert_eq!(winners(&namespaces, taken), 1);

    let orders = ident(&sales, "orders");
    let tables = at_once(40, |number| {
        let (store, orders) = (Arc::clone(&store), orders.clone());
        let kind = if number % 2 == 0 { TableKind::Table } else { TableKind::View };
        async move { create(&store, warehouse_ref, &orders, kind, None).await }
    })
    .await;
    assert_eq!(winners(&tables, taken), 1);
    let winner = tables.into_iter().find_map(Result::ok);
    assert_eq!(store.table_get(warehouse_ref, &orders).await.unwrap().map(|record| record.id), winner);

    let organisations = at_once(40, |_| {
        let store = Arc::clone(&store);
        async move { store.organisation_create(&organisation("acme"), &change()).await }
    })
    .await;
    assert_eq!(winners(&organisations, taken), 1);
}

pub(in crate::store) async fn concurrent_namespace_drop_leaves_no_orphan_table(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    for round in 0..25 {
        let levels = stored_namespace(&store, warehouse_ref, &format!("n{round}")).await;
        let table = ident(&levels, "t");
        let results = at_once(2, |role| {
            let (store, levels, table) = (Arc::clone(&store), levels.clone(), table.clone());
            async move {
                if role == round % 2 {
                    store.namespace_drop(warehouse_ref, &levels, &change()).await
                } else {
                    create(&store, warehouse_ref, &table, TableKind::Table, None).await.map(drop)
                }
            }
        })
        .await;
        let [dropped, created] = if round % 2 == 0 { [0, 1] } else { [1, 0] }.map(|role| &results[role]);
        let is_there = store.namespace_get(warehouse_ref, &levels).await.unwrap().is_some();
        match (dropped, created) {
            (Ok(()), Err(StoreError::NotFound(Resource::Namespace))) => assert!(!is_there),
            (Err(StoreError::NotEmpty(Resource::Namespace)), Ok(())) => assert!(is_there),
            other => panic!("not one of the two orders: {other:?}"),
        }
        assert_eq!(store.table_get(warehouse_ref, &table).await.unwrap().is_some(), is_there);
    }
}

pub(in crate::store) async fn concurrent_parent_drop_leaves_no_orphan_namespace(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    for round in 0..25 {
        let name = format!("n{round}");
        let parent = stored_namespace(&store, warehouse_ref, &name).await;
        let child = namespace(&[&name, "child"]);
        let results = at_once(2, |role| {
            let (store, parent, child) = (Arc::clone(&store), parent.clone(), child.clone());
            async move {
                if role == 0 {
                    store.namespace_drop(warehouse_ref, &parent, &change()).await
                } else {
                    store.namespace_create(warehouse_ref, &child, &properties(&[]), &change()).await
                }
            }
        })
        .await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        let has = async |namespace| store.namespace_get(warehouse_ref, namespace).await.unwrap().is_some();
        assert_eq!(has(&parent).await, has(&child).await);
    }
}

pub(in crate::store) async fn concurrent_usage_stays_within_the_limit(store: Subject) {
    let organisation = store_warehouse(&store).await.organisation;
    let results = at_once(64, |number| {
        let store = Arc::clone(&store);
        async move { store.usage_take(organisation, 1, number as u64 % 7 + 1, Some(100)).await.unwrap() }
    })
    .await;
    assert_eq!(results.iter().map(|taken| taken.granted).sum::<u64>(), 100, "exactly the whole budget is granted");
    assert!(results.iter().all(|taken| taken.total <= 100));
    assert_eq!(store.usage_get(organisation, 1).await.unwrap(), 100);
}

pub(in crate::store) async fn concurrent_creates_stay_within_the_limit(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let results = at_once(30, |number| {
        let (store, ident) = (Arc::clone(&store), ident(&sales, &format!("t{number}")));
        async move { create(&store, warehouse_ref, &ident, TableKind::Table, Some(10)).await }
    })
    .await;
    assert_eq!(winners(&results, |error| matches!(error, StoreError::LimitReached { limit: 10 })), 10);
    assert_eq!(store.table_count(warehouse_ref.organisation).await.unwrap(), 10);
}

pub(in crate::store) async fn concurrent_first_signing_keys_are_one(store: Subject) {
    let results = at_once(20, |number| {
        let store = Arc::clone(&store);
        async move { store.signing_key_add(&signing_key(&format!("k{number}"), 1), true, &change()).await.unwrap() }
    })
    .await;
    let agreed = &store.signing_key_list().await.unwrap()[..];
    assert_eq!(agreed.len(), 1);
    assert!(results.iter().all(|keys| keys.len() == 1 && keys[0].id == agreed[0].id), "all sign with the same key");
}

pub(in crate::store) async fn concurrent_renames_lose_no_table(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    for number in 0..20 {
        stored_table(&store, warehouse_ref, &ident(&sales, &format!("t{number}"))).await;
    }
    // All rename to the same name. Then each of the losers renames to a separate name.
    let results = at_once(20, |number| {
        let (store, from) = (Arc::clone(&store), ident(&sales, &format!("t{number}")));
        let to = ident(&sales, "wanted");
        async move {
            store
                .table_rename(
                    warehouse_ref,
                    &from,
                    id_at(&store, warehouse_ref, &from).await,
                    &to,
                    TableKind::Table,
                    &change(),
                )
                .await
        }
    })
    .await;
    let taken = |error: &StoreError| matches!(error, StoreError::AlreadyExists(Resource::Table));
    assert_eq!(winners(&results, taken), 1);
    let listed = store.table_list(warehouse_ref, &sales, TableKind::Table, &PageRequest::default()).await.unwrap();
    assert_eq!(listed.items.len(), 20);
}

pub(in crate::store) async fn concurrent_property_changes_are_all_kept(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    at_once(50, |number| {
        let (store, sales) = (Arc::clone(&store), sales.clone());
        let updates = properties(&[(&format!("key-{number}"), "set")]);
        async move {
            store
                .namespace_update_properties(warehouse_ref, &sales, &updates, &[], &RequestLimits::default(), &change())
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(store.namespace_get(warehouse_ref, &sales).await.unwrap().unwrap().len(), 50);
}

pub(in crate::store) async fn concurrent_writes_get_their_own_answers(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    // A third succeeds, a third names a missing namespace, a third names a taken name: no answer may reach another caller.
    stored_table(&store, warehouse_ref, &ident(&sales, "taken")).await;
    let results = at_once(300, |number| {
        let store = Arc::clone(&store);
        let ident = match number % 3 {
            0 => ident(&sales, &format!("t{number}")),
            1 => ident(&namespace(&["nope"]), "t"),
            _ => ident(&sales, "taken"),
        };
        async move { create(&store, warehouse_ref, &ident, TableKind::Table, None).await }
    })
    .await;
    for (number, result) in results.into_iter().enumerate() {
        match number % 3 {
            0 => {
                let found = store.table_get(warehouse_ref, &ident(&sales, &format!("t{number}"))).await.unwrap();
                assert_eq!(found.map(|record| record.id), result.ok(), "table {number}");
            }
            1 => assert_refused!(result, StoreError::NotFound(Resource::Namespace)),
            _ => assert_refused!(result, StoreError::AlreadyExists(Resource::Table)),
        }
    }
    assert_eq!(store.table_count(warehouse_ref.organisation).await.unwrap(), 101);
}

pub(in crate::store) async fn write_is_visible_to_the_next_read(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    at_once(8, |caller| {
        let (store, mine) = (Arc::clone(&store), ident(&sales, &format!("t{caller}")));
        async move {
            let id = stored_table(&store, warehouse_ref, &mine).await;
            for number in 0..20 {
                swap(&store, warehouse_ref, id, number, number + 1).await.unwrap();
                assert_eq!(pointer(&store, warehouse_ref, &mine).await, document(number + 1));
            }
        }
    })
    .await;
}

pub(in crate::store) async fn dropped_future_leaves_the_table_whole(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let orders = table(&store, warehouse_ref).await;
    let id = stored_table(&store, warehouse_ref, &orders).await;
    for number in 0..20 {
        // Polled once and dropped: the request is queued, and nobody waits for its answer.
        let mut leaving = Box::pin(swap(&store, warehouse_ref, id, 0, number + 1));
        tokio::select! {
            biased;
            _ = &mut leaving => {}
            () = std::future::ready(()) => {}
        }
    }
    // Whichever swap happened: the table is readable and has a known pointer.
    let current = pointer(&store, warehouse_ref, &orders).await;
    let number = (0..=20).find(|number| document(*number) == current);
    assert!(number.is_some(), "an unknown pointer: {current}");
    stored_table(&store, warehouse_ref, &ident(&orders.namespace, "next")).await;
}
