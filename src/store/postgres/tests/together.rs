//! Reads of pointers that share a statement.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;

use super::statements::{Catalog, at, change};
use crate::base::clock::fresh_uuid;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::together::{AT_ONCE, MOST_READS};
use crate::store::postgres::waiting_reads::Together;
use crate::store::{Result, StoreError, TableRecord, TableStore, WarehouseRef};

/// A time after which no statement of these tests counts as slow.
const NEVER: Duration = Duration::from_secs(600);

type Read = JoinHandle<Result<Option<TableRecord>>>;

/// Locks the table of pointers, so that reads get no answer until the transaction ends.
async fn lock(catalog: &Catalog) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&catalog.database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN; LOCK TABLE tabular IN ACCESS EXCLUSIVE MODE").await.unwrap();
    client
}

/// Creates a catalog whose shared connections have prepared the statements of reads, with tables `t0` and so on.
async fn catalog_with(tables: usize, slow: Duration) -> Catalog {
    let mut catalog = Catalog::create().await;
    for number in 0..tables {
        catalog.table(&format!("t{number}")).await;
    }
    catalog.store.prepare_reads(catalog.warehouse_ref, &catalog.ident("t0")).await;
    catalog.store.together = Arc::new(Together::new(slow));
    catalog
}

impl Catalog {
    /// Starts a read, and waits until it is sent or waits for its turn.
    async fn start_read(&self, warehouse_ref: WarehouseRef, ident: TableIdent) -> Read {
        let (store, before) = (self.store.clone(), self.store.together.begun(warehouse_ref.organisation));
        let read = tokio::spawn(async move { store.table_get(warehouse_ref, &ident).await });
        while self.store.together.begun(warehouse_ref.organisation) == before {
            tokio::task::yield_now().await;
        }
        read
    }

    async fn start_reads(&self, names: impl IntoIterator<Item = String>) -> Vec<Read> {
        let mut reads = Vec::new();
        for name in names {
            reads.push(self.start_read(self.warehouse_ref, self.ident(&name)).await);
        }
        reads
    }

    /// Waits until the database has this many statements since `before`.
    async fn sent(&self, before: u64, count: u64) {
        while self.proxy.sent() < before + count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn pointers(reads: Vec<Read>) -> Vec<Option<TableId>> {
    join_all(reads).await.into_iter().map(|read| read.unwrap().unwrap().map(|record| record.id)).collect()
}

async fn ids(catalog: &Catalog, count: usize) -> Vec<Option<TableId>> {
    let idents: Vec<_> = (0..count).map(|number| catalog.ident(&format!("t{number}"))).collect();
    let found = catalog.store.table_get_all(catalog.warehouse_ref, &idents).await.unwrap();
    found.into_iter().map(|record| Some(record.unwrap().id)).collect()
}

#[tokio::test]
async fn reads_that_arrive_during_others_share_a_statement_and_get_their_own_answers() {
    let catalog = catalog_with(10, NEVER).await;
    let expected = ids(&catalog, 10).await;
    let lock = lock(&catalog).await;
    let before = catalog.proxy.sent();
    let first = catalog.start_reads((0..AT_ONCE).map(|number| format!("t{number}"))).await;
    let mut others = catalog.start_reads((0..10).rev().map(|number| format!("t{number}"))).await;
    let elsewhere = WarehouseRef { warehouse: WarehouseId(fresh_uuid()), ..catalog.warehouse_ref };
    let other_namespace = TableIdent::new(NamespaceIdent::new(&["sales", "t"]).unwrap(), "t1").unwrap();
    others.extend(catalog.start_reads(["missing".to_owned()]).await);
    others.push(catalog.start_read(elsewhere, catalog.ident("t1")).await);
    others.push(catalog.start_read(catalog.warehouse_ref, other_namespace).await);
    others.extend(catalog.start_reads(["t1".to_owned()]).await);
    lock.batch_execute("COMMIT").await.unwrap();
    assert_eq!(pointers(first).await, expected[..AT_ONCE]);
    let mut wanted: Vec<_> = expected.iter().rev().copied().collect();
    wanted.extend([None, None, None, expected[1]]);
    assert_eq!(pointers(others).await, wanted);
    assert_eq!(catalog.proxy.sent() - before, AT_ONCE as u64 + 1, "the others share one statement");
    assert!(catalog.store.together.is_idle());
}

#[tokio::test]
async fn many_waiting_reads_are_sent_in_statements_of_bounded_size() {
    let catalog = catalog_with(1, NEVER).await;
    let lock = lock(&catalog).await;
    let before = catalog.proxy.sent();
    let reads = catalog.start_reads((0..AT_ONCE + 2 * MOST_READS + 1).map(|_| "t0".to_owned())).await;
    lock.batch_execute("COMMIT").await.unwrap();
    let found = pointers(reads).await;
    assert!(found.iter().all(|id| id.is_some() && *id == found[0]), "{found:?}");
    assert_eq!(catalog.proxy.sent() - before, AT_ONCE as u64 + 3);
    // Names of a kilobyte: fewer fit.
    let lock = self::lock(&catalog).await;
    let before = catalog.proxy.sent();
    let long = |number: usize| format!("{number:02}{}", "n".repeat(250));
    let deep = NamespaceIdent::new(&vec!["n".repeat(250); 7]).unwrap();
    let mut reads = Vec::new();
    for number in 0..AT_ONCE + MOST_READS {
        let ident = TableIdent::new(deep.clone(), &long(number)).unwrap();
        reads.push(catalog.start_read(catalog.warehouse_ref, ident).await);
    }
    lock.batch_execute("COMMIT").await.unwrap();
    assert_eq!(pointers(reads).await, [None; AT_ONCE + MOST_READS]);
    assert_eq!(catalog.proxy.sent() - before, AT_ONCE as u64 + 2);
}

#[tokio::test]
async fn callers_that_leave_do_not_disturb_the_others() {
    let catalog = catalog_with(3, NEVER).await;
    let expected = ids(&catalog, 3).await;
    let lock = lock(&catalog).await;
    let first = catalog.start_reads(vec!["t0".to_owned(); AT_ONCE]).await;
    let waiting = catalog.start_reads((0..3).map(|number| format!("t{number}"))).await;
    // One of those whose statements are sent, and one that waits.
    first[0].abort();
    waiting[1].abort();
    let later = catalog.start_reads(["t1".to_owned()]).await;
    lock.batch_execute("COMMIT").await.unwrap();
    let answers = join_all(waiting).await;
    let found: Vec<_> = answers.into_iter().map(|read| read.ok().map(|read| read.unwrap().unwrap().id)).collect();
    assert_eq!(found, [expected[0], None, expected[2]]);
    assert_eq!(pointers(later).await, [expected[1]]);
    join_all(first).await;
    assert!(catalog.store.together.is_idle());
}

#[tokio::test]
async fn failure_of_a_shared_statement_is_told_to_all_its_callers_and_no_others() {
    let catalog = catalog_with(1, NEVER).await;
    let lock = lock(&catalog).await;
    let reads = catalog.start_reads(vec!["t0".to_owned(); AT_ONCE + 5]).await;
    lock.batch_execute("ALTER TABLE tabular RENAME TO gone; COMMIT").await.unwrap();
    for read in join_all(reads).await {
        let failed = read.unwrap();
        assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
    }
    lock.batch_execute("ALTER TABLE gone RENAME TO tabular").await.unwrap();
    assert!(pointers(catalog.start_reads(["t0".to_owned()]).await).await[0].is_some());
}

#[tokio::test]
async fn reads_behind_slow_statements_and_those_of_other_organisations_are_sent() {
    let catalog = catalog_with(1, Duration::from_millis(5)).await;
    let lock = lock(&catalog).await;
    let before = catalog.proxy.sent();
    // Slow reads no longer count, so nothing but the statements tells that they were sent.
    let reads = (0..=AT_ONCE).map(|_| {
        let (store, warehouse_ref, ident) = (catalog.store.clone(), catalog.warehouse_ref, catalog.ident("t0"));
        tokio::spawn(async move { store.table_get(warehouse_ref, &ident).await })
    });
    let reads = reads.collect();
    catalog.sent(before, AT_ONCE as u64 + 1).await;
    lock.batch_execute("COMMIT").await.unwrap();
    assert!(pointers(reads).await.iter().all(Option::is_some));

    let catalog = catalog_with(1, NEVER).await;
    let lock = self::lock(&catalog).await;
    let before = catalog.proxy.sent();
    let mut reads = catalog.start_reads(vec!["t0".to_owned(); AT_ONCE + 1]).await;
    let strangers = WarehouseRef { organisation: OrganisationId(fresh_uuid()), ..catalog.warehouse_ref };
    let theirs = catalog.start_read(strangers, catalog.ident("t0")).await;
    catalog.sent(before, AT_ONCE as u64 + 1).await;
    assert!(reads.iter_mut().all(|read| read.now_or_never().is_none()));
    lock.batch_execute("COMMIT").await.unwrap();
    assert_eq!(theirs.await.unwrap().unwrap(), None);
    pointers(reads).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn read_that_begins_after_a_change_sees_it() {
    let catalog = Catalog::create().await;
    let (_, id) = catalog.table("t").await;
    let (store, warehouse_ref, ident) = (catalog.store.clone(), catalog.warehouse_ref, catalog.ident("t"));
    let (done, reads) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let read = |store: PostgresStore, ident: TableIdent, done: Arc<AtomicUsize>, reads: Arc<AtomicUsize>| async move {
        while done.load(Ordering::SeqCst) < 200 {
            let acknowledged = done.load(Ordering::SeqCst);
            let record = store.table_get(warehouse_ref, &ident).await.unwrap().unwrap();
            let seen: usize = record.metadata_location.trim_start_matches("s3://b/m").parse().unwrap();
            assert!(seen >= acknowledged, "read {seen} after {acknowledged} was acknowledged");
            reads.fetch_add(1, Ordering::SeqCst);
        }
    };
    let begin = |_| tokio::spawn(read(store.clone(), ident.clone(), Arc::clone(&done), Arc::clone(&reads)));
    let readers: Vec<_> = (0..16).map(begin).collect();
    for number in 0..200 {
        let (from, to) = (format!("s3://b/m{number}"), format!("s3://b/m{}", number + 1));
        catalog.swap((id, "t"), (&from, &to), &at("t"), &change()).await;
        done.store(number + 1, Ordering::SeqCst);
        // Some reads between the changes, however the threads are scheduled.
        while reads.load(Ordering::SeqCst) < 4 * number {
            tokio::task::yield_now().await;
        }
    }
    for reader in join_all(readers).await {
        reader.unwrap();
    }
}
