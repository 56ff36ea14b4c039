//! The daily limit of an organisation over three servers with one PostgreSQL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tidewater_core::access::Role;
use tidewater_core::ids::OrganisationId;
use tidewater_core::limits::Tier;

use super::world::change;
use crate::auth::{AuthSettings, Authenticator, CredentialSource, NewKey, entropy, issue_key};
use crate::base::clock::{Clock, fresh_uuid};
use crate::store::{Organisation, Store, TestSchema};
use crate::tenancy::Quota;

const LIMIT: u64 = 1_000;

/// 2026-08-01T12:00:00Z.
const NOON_MS: i64 = 1_785_585_600_000;

#[tokio::test(flavor = "multi_thread")]
async fn daily_limit_over_three_servers_is_served_whole_and_never_exceeded() {
    let schema = TestSchema::create().await;
    let stores: [Arc<dyn Store>; 3] = [schema.open().await, schema.open().await, schema.open().await];
    let organisation = Organisation::new(OrganisationId(fresh_uuid()), "acme", "t", 1);
    stores[0].organisation_create(&organisation, &change()).await.unwrap();
    let new = NewKey { name: "a key", role: Role::Reader, no_delete: false, expires_ms: None };
    let issued = issue_key(&*stores[0], organisation.id, &new, &change(), &entropy().unwrap()).await.unwrap();
    let tiers = BTreeMap::from([("t".to_owned(), Tier { requests_per_day: Some(LIMIT), ..Tier::default() })]);
    let now_ms = Arc::new(AtomicI64::new(NOON_MS));
    let clock = Clock::Manual(Arc::clone(&now_ms));
    let authenticator = Authenticator::new(Arc::clone(&stores[0]), &tiers, clock.clone(), &AuthSettings::default());
    let header = format!("Bearer {}", issued.1.expose());
    let caller = authenticator.authenticate(Some(header.as_bytes()), CredentialSource::default()).await.unwrap();
    let servers = stores.each_ref().map(|store| Quota::new(Arc::clone(store), clock.clone()));
    let (mut served, mut quiet) = (0, 0);
    while quiet < 4 {
        let before = served;
        for (server, requests) in servers.iter().zip([50, 20, 1]) {
            for _ in 0..requests {
                served += u64::from(server.charge(&caller, now_ms.load(Ordering::SeqCst)).await.is_ok());
            }
        }
        now_ms.fetch_add(5_000, Ordering::SeqCst);
        for server in &servers {
            server.tick().await.unwrap();
        }
        quiet = if served == before { quiet + 1 } else { 0 };
    }
    assert_eq!(served, LIMIT);
}

#[tokio::test(flavor = "multi_thread")]
async fn background_task_is_done_by_one_server_until_its_claim_ends() {
    let schema = TestSchema::create().await;
    let (one, other) = (schema.open().await, schema.open().await);
    assert!(one.task_claim("sweep", 1_000, 1_500).await.unwrap());
    assert!(!other.task_claim("sweep", 1_499, 2_000).await.unwrap());
    assert!(other.task_claim("another", 1_499, 2_000).await.unwrap());
    assert!(other.task_claim("sweep", 1_500, 2_000).await.unwrap(), "the first may have been killed");
    assert!(!one.task_claim("sweep", 1_600, 2_100).await.unwrap());
}
