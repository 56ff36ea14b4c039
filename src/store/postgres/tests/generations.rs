//! Counters of changes that another server made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId, PrincipalRoleId, TableId, WarehouseId};

use super::server::TestDatabase;
use super::{PostgresStore, opened};
use crate::base::clock::fresh_uuid;
use crate::base::secret::Secret;
use crate::store::{
    AccessGenerations, ApiKey, Change, GrantStore, KeyDigest, KeyStore, Organisation, OrganisationStore, PrincipalRole,
    SigningKey, SigningKeyStore, TableStore, WarehouseRef,
};

fn change() -> Change {
    Change::by_catalog(1)
}

fn key(organisation: OrganisationId, number: u8) -> ApiKey {
    ApiKey {
        id: KeyId(fresh_uuid()),
        organisation,
        principal: PrincipalId(fresh_uuid()),
        name: format!("key-{number}"),
        role: Role::None,
        no_delete: false,
        acts_for_users: false,
        digest: KeyDigest([number; 32]),
        created_ms: 1,
        expires_ms: None,
        last_used_ms: None,
        revoked_ms: None,
    }
}

/// The counters of two principals, of their organisation, and of the server, on one of two servers.
struct Counters([Arc<AtomicU64>; 4]);

impl Counters {
    fn new(store: &PostgresStore, [one, other]: &[ApiKey; 2]) -> Self {
        let organisation = one.organisation;
        Self([
            store.access_generation(organisation, one.principal),
            store.access_generation(organisation, other.principal),
            store.organisation_generation(organisation),
            store.server_generation(),
        ])
    }

    fn read(&self) -> [u64; 4] {
        self.0.each_ref().map(|counter| counter.load(Ordering::Acquire))
    }

    /// Reads a table, and returns which counters increased.
    async fn increased(&self, store: &PostgresStore, organisation: OrganisationId) -> [bool; 4] {
        let before = self.read();
        let warehouse_ref = WarehouseRef { organisation, warehouse: WarehouseId(fresh_uuid()) };
        assert_eq!(store.table_by_id(warehouse_ref, TableId(fresh_uuid())).await.unwrap(), None);
        let after = self.read();
        std::array::from_fn(|at| after[at] > before[at])
    }
}

#[tokio::test]
async fn read_counts_what_another_server_changed_and_nothing_else() {
    let database = TestDatabase::create().await;
    let (a, b) = (opened(&database).await, opened(&database).await);
    let organisation = OrganisationId(fresh_uuid());
    a.organisation_create(&Organisation::new(organisation, "acme", "free", 1), &change()).await.unwrap();
    let keys = [key(organisation, 1), key(organisation, 2)];
    for key in &keys {
        a.key_create(key, &change()).await.unwrap();
    }
    let role = PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name: "r".to_owned(), created_ms: 1 };
    a.principal_role_create(organisation, &role, &change()).await.unwrap();

    let counters = Counters::new(&b, &keys);
    assert_eq!(counters.increased(&b, organisation).await, [true; 4], "nothing is known before the first read");
    assert_eq!(counters.increased(&b, organisation).await, [false; 4]);

    let assign = async |assigned| {
        a.principal_role_assign(organisation, role.id, keys[0].principal, assigned, &change()).await.unwrap();
    };
    assign(true).await;
    assert_eq!(counters.increased(&b, organisation).await, [true, false, false, false], "the access of one principal");
    a.key_revoke(organisation, keys[1].id, &change()).await.unwrap();
    assert!(counters.increased(&b, organisation).await[2], "the organisation's keys");
    for created_ms in [1, 2] {
        let new = SigningKey { id: format!("k{created_ms}"), secret: Secret::new([1; 32]), created_ms };
        a.signing_key_add(&new, false, &change()).await.unwrap();
    }
    a.signing_key_remove_before(2, &change()).await.unwrap();
    assert_eq!(counters.increased(&b, organisation).await, [false, false, true, true], "every key and token");

    assign(false).await;
    let before = counters.read();
    b.access_refresh(Some(organisation)).unwrap().await.unwrap();
    assert_eq!(counters.read()[0], before[0] + 1, "without a read of a table");
    assert_eq!(counters.increased(&b, organisation).await, [false; 4]);
}

#[tokio::test]
async fn concurrent_refreshes_share_reads_that_begin_after_them() {
    let database = TestDatabase::create().await;
    let (a, b) = (opened(&database).await, Arc::new(opened(&database).await));
    let organisation = OrganisationId(fresh_uuid());
    a.organisation_create(&Organisation::new(organisation, "acme", "free", 1), &change()).await.unwrap();
    let counter = b.organisation_generation(organisation);
    for number in 0..20 {
        let key = key(organisation, number);
        a.key_create(&key, &change()).await.unwrap();
        let before = counter.load(Ordering::Acquire);
        a.key_revoke(organisation, key.id, &change()).await.unwrap();
        let waiting: Vec<_> = (0..16)
            .map(|_| {
                let (b, counter) = (Arc::clone(&b), Arc::clone(&counter));
                tokio::spawn(async move {
                    b.access_refresh(Some(organisation)).unwrap().await.unwrap();
                    counter.load(Ordering::Acquire)
                })
            })
            .collect();
        for refreshed in waiting {
            assert!(refreshed.await.unwrap() > before);
        }
    }
}
