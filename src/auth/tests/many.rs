//! Measures how long requests wait for grants: 1,000 principals that share 10,000 grants.
//!
//! `cargo test --release --lib many -- --ignored --nocapture`

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tidewater_core::access::{Privilege, Role, Securable};
use tidewater_core::ids::{CatalogRoleId, PrincipalRoleId};
use tidewater_core::name::NamespaceIdent;

use crate::auth::testing::{World, bearer, warehouse};
use crate::auth::{Authenticator, CredentialSource};
use crate::base::clock::fresh_uuid;
use crate::store::{CatalogRole, Change, Grant, PrincipalRole, Store, WarehouseRef, WarehouseStore};

const PRINCIPALS: usize = 1_000;
const GRANTS: usize = 10_000;

fn change() -> Change {
    Change::by_catalog(0)
}

/// Sends a request of every key at once. Returns how long each waited, sorted.
async fn ask_all(server: &Arc<Authenticator>, keys: &[String]) -> Vec<Duration> {
    let ask = async |key: &String| {
        let started = Instant::now();
        server.authenticate(Some(bearer(key).as_bytes()), CredentialSource::default()).await.unwrap();
        started.elapsed()
    };
    let mut waited = join_all(keys.iter().map(ask)).await;
    waited.sort_unstable();
    waited
}

/// Prints the median and the longest wait of all, and the wait of one alone.
async fn show(what: &str, server: &Arc<Authenticator>, keys: &[String]) {
    let started = Instant::now();
    server.authenticate(Some(bearer(&keys[0]).as_bytes()), CredentialSource::default()).await.unwrap();
    let alone = started.elapsed();
    let waited = ask_all(server, keys).await;
    println!(
        "{what}: one alone {alone:?}, all at once: median {:?}, longest {:?}",
        waited[PRINCIPALS / 2],
        waited[PRINCIPALS - 1]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn wait_of_requests_after_changes_of_access() {
    let world = World::new("premium", &[]).await;
    let organisation = world.organisation.id;
    let lake = warehouse(organisation);
    world.store.warehouse_create(&lake, &change()).await.unwrap();
    let warehouse_ref = WarehouseRef { organisation, warehouse: lake.id };
    let role = PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name: "all".to_owned(), created_ms: 0 };
    let catalog_role = CatalogRole { id: CatalogRoleId(fresh_uuid()), name: "all".to_owned(), created_ms: 0 };
    let store: Arc<dyn Store> = world.store.clone();
    store.principal_role_create(organisation, &role, &change()).await.unwrap();
    store.catalog_role_create(warehouse_ref, &catalog_role, &change()).await.unwrap();
    store.catalog_role_assign(warehouse_ref, catalog_role.id, role.id, true, &change()).await.unwrap();
    let make_grant = async |number: usize| {
        let ident = NamespaceIdent::new(&[format!("n{number}")]).unwrap();
        store.namespace_create(warehouse_ref, &ident, &Default::default(), &change()).await.unwrap();
        let grant = Grant { on: Securable::Namespace(ident), privilege: Privilege::TableReadData };
        store.grant_add(warehouse_ref, catalog_role.id, &grant, 20_000, &change()).await.unwrap();
    };
    for from in (0..GRANTS).step_by(500) {
        join_all((from..from + 500).map(make_grant)).await;
    }
    let mut keys = Vec::new();
    for _ in 0..PRINCIPALS {
        let (key, text) = world.key(Role::None, None).await;
        store.principal_role_assign(organisation, role.id, key.principal, true, &change()).await.unwrap();
        keys.push(text);
    }
    let server = world.server();
    show("first requests", &server, &keys).await;
    show("warm", &server, &keys).await;
    let other = NamespaceIdent::new(&["other"]).unwrap();
    store.namespace_create(warehouse_ref, &other, &Default::default(), &change()).await.unwrap();
    show("after the creation of a namespace", &server, &keys).await;
    let started = Instant::now();
    make_grant(GRANTS).await;
    println!("a grant to a role of all principals: {:?}", started.elapsed());
    show("after a grant to all", &server, &keys).await;
}
