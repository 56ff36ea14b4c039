//! Two servers that share one database, for tests of concurrent changes.

use std::sync::Arc;

use tidewater_core::access::Role;
use tidewater_core::ids::{CatalogRoleId, KeyId, OrganisationId, PrincipalId, PrincipalRoleId, WarehouseId};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::server::TestDatabase;
use super::{Store, opened};
use crate::base::clock::{fresh_ordered_uuid, fresh_uuid};
use crate::store::{
    AccessCounts, ApiKey, CatalogRole, Change, EventFilter, KeyDigest, Operation, Organisation, PrincipalRole, Result,
    StoreError, UserSignIn, Warehouse, WarehouseOptions, WarehouseRef, WarehouseStorage,
};

pub(super) const NOW_MS: i64 = 1_790_000_000_000;

/// The tasks that run at once.
pub(super) const TASKS: usize = 12;

pub(super) fn change() -> Change {
    Change::by_catalog(NOW_MS)
}

/// Two stores with one database.
pub(super) struct Replicas {
    pub(super) stores: [Arc<dyn Store>; 2],
    pub(super) database: TestDatabase,
}

impl Replicas {
    pub(super) async fn open() -> Self {
        let database = TestDatabase::create().await;
        let stores: [Arc<dyn Store>; 2] = [Arc::new(opened(&database).await), Arc::new(opened(&database).await)];
        Self { stores, database }
    }

    /// Returns the store of a task.
    pub(super) fn store(&self, number: usize) -> Arc<dyn Store> {
        Arc::clone(&self.stores[number % 2])
    }

    /// Runs `work` for each number from 0 to `count` at once, half of them on each store. Returns the results in this order.
    pub(super) async fn at_once<T, F>(&self, count: usize, work: impl Fn(Arc<dyn Store>, usize) -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let barrier = Arc::new(Barrier::new(count));
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let (barrier, work) = (Arc::clone(&barrier), work(self.store(number), number));
            tasks.spawn(async move {
                barrier.wait().await;
                (number, work.await)
            });
        }
        let mut results = tasks.join_all().await;
        results.sort_unstable_by_key(|(number, _)| *number);
        results.into_iter().map(|(_, result)| result).collect()
    }

    pub(super) async fn organisation(&self, name: &str) -> OrganisationId {
        let new = Organisation::new(OrganisationId(fresh_uuid()), name, "professional", NOW_MS);
        self.stores[0].organisation_create(&new, &change()).await.unwrap();
        new.id
    }

    pub(super) async fn warehouse(&self, organisation: OrganisationId, name: &str) -> WarehouseRef {
        let new = warehouse(organisation, name);
        self.stores[0].warehouse_create(&new, &change()).await.unwrap();
        WarehouseRef { organisation, warehouse: new.id }
    }

    pub(super) async fn key(&self, organisation: OrganisationId) -> ApiKey {
        let new = key(organisation);
        self.stores[0].key_create(&new, &change()).await.unwrap();
        new
    }

    /// Returns a number that a statement selects.
    pub(super) async fn number(&self, sql: &str) -> i64 {
        let (client, connection) = tokio_postgres::connect(&self.database.url(), tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let number = client.query_one(sql, &[]).await.unwrap().get(0);
        drop(client);
        connection.await.unwrap().unwrap();
        number
    }

    /// Checks that the counts of an organisation are those of its rows, and returns them.
    pub(super) async fn checked_counts(&self, organisation: OrganisationId) -> AccessCounts {
        let counts = self.stores[1].access_counts(organisation).await.unwrap();
        let rows = async |tables: &[&str]| {
            let mut rows = 0;
            for table in tables {
                let sql = format!("SELECT count(*) FROM {table} WHERE organisation = '{organisation}'");
                rows += u64::try_from(self.number(&sql).await).unwrap();
            }
            rows
        };
        let expected = AccessCounts {
            principal_roles: rows(&["principal_role"]).await,
            catalog_roles: rows(&["catalog_role"]).await,
            assignments: rows(&["principal_role_member", "catalog_role_member"]).await,
            grants: rows(&["access_grant"]).await,
        };
        assert_eq!(counts, expected);
        counts
    }

    /// Returns how many events an organisation, or the server, has of an operation.
    pub(super) async fn events(&self, organisation: Option<OrganisationId>, operation: Operation) -> usize {
        let filter = EventFilter { operation: Some(operation), ..EventFilter::default() };
        self.stores[1].event_list(organisation, &filter, None, 1_000).await.unwrap().events.len()
    }
}

pub(super) fn warehouse(organisation: OrganisationId, name: &str) -> Warehouse {
    Warehouse {
        id: WarehouseId(fresh_uuid()),
        organisation,
        name: name.to_owned(),
        root: format!("file:///srv/{organisation}/{name}"),
        storage: WarehouseStorage::local(),
        options: WarehouseOptions::default(),
        is_default: false,
        created_ms: NOW_MS,
    }
}

pub(super) fn digest(id: Uuid) -> KeyDigest {
    let mut bytes = [7; 32];
    bytes[..16].copy_from_slice(id.as_bytes());
    KeyDigest(bytes)
}

pub(super) fn key(organisation: OrganisationId) -> ApiKey {
    let id = fresh_uuid();
    ApiKey {
        id: KeyId(id),
        organisation,
        principal: PrincipalId(id),
        name: format!("etl {id}"),
        role: Role::Writer,
        no_delete: false,
        acts_for_users: false,
        digest: digest(id),
        created_ms: NOW_MS,
        expires_ms: None,
        last_used_ms: None,
        revoked_ms: None,
    }
}

pub(super) fn principal_role(name: &str) -> PrincipalRole {
    PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name: name.to_owned(), created_ms: NOW_MS }
}

pub(super) fn catalog_role(name: &str) -> CatalogRole {
    CatalogRole { id: CatalogRoleId(fresh_uuid()), name: name.to_owned(), created_ms: NOW_MS }
}

pub(super) fn sign_in(organisation: OrganisationId, subject: &str, issued_ms: i64, roles: &[&str]) -> UserSignIn {
    UserSignIn {
        organisation,
        issuer: "https://sso.example.com".to_owned(),
        subject: subject.to_owned(),
        new_id: PrincipalId(fresh_ordered_uuid()),
        name: subject.to_owned(),
        email: None,
        role: Role::None,
        principal_roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        create_roles: true,
        issued_ms,
    }
}

/// Checks that one result is a success, and that all others are the error.
pub(super) fn assert_one_winner<T: std::fmt::Debug>(results: &[Result<T>], is_loss: impl Fn(&StoreError) -> bool) {
    let lost = results.iter().filter_map(|result| result.as_ref().err());
    assert!(lost.clone().all(is_loss), "{results:?}");
    assert_eq!(lost.count(), results.len() - 1, "{results:?}");
}

pub(super) fn is_taken(error: &StoreError) -> bool {
    matches!(error, StoreError::AlreadyExists(_))
}
