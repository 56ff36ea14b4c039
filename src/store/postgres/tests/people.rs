//! Two servers that share one database change organisations, keys, warehouses, users, roles and grants at the same time.

use std::collections::BTreeSet;

use tidewater_core::access::{Privilege, Securable};
use tidewater_core::ids::{CatalogRoleId, KeyId, OrganisationId, PrincipalId, PrincipalRoleId};

use super::Store;
use super::replicas::{
    NOW_MS, Replicas, TASKS, assert_one_winner, catalog_role, change, digest, is_taken, key, principal_role, sign_in,
    warehouse,
};
use crate::base::clock::fresh_uuid;
use crate::base::secret::Secret;
use crate::store::{
    AccessCounts, ApiKey, Change, Deletion, Forgotten, Grant, KeyUpdate, KeyUsage, Operation, Operator, Organisation,
    OrganisationUpdate, PageRequest, Resource, Result, SigningKey, StoreError, Warehouse, WarehouseRef,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_creates_of_one_name_have_one_winner() {
    let replicas = Replicas::open().await;
    let created = replicas
        .at_once(TASKS, |store, _| async move {
            let new = Organisation::new(OrganisationId(fresh_uuid()), "acme", "professional", NOW_MS);
            store.organisation_create(&new, &change()).await
        })
        .await;
    assert_one_winner(&created, is_taken);
    let acme = replicas.stores[0].organisation_by_name("acme").await.unwrap().unwrap().id;
    let lake = replicas.warehouse(acme, "lake").await;

    let created = replicas.at_once(TASKS, |store, _| async move {
        store.principal_role_create(acme, &principal_role("analysts"), &change()).await
    });
    assert_one_winner(&created.await, is_taken);
    let created = replicas.at_once(TASKS, |store, _| async move {
        store.catalog_role_create(lake, &catalog_role("readers"), &change()).await
    });
    assert_one_winner(&created.await, is_taken);
    let counts = replicas.checked_counts(acme).await;
    assert_eq!((counts.principal_roles, counts.catalog_roles), (1, 1));

    let created = replicas.at_once(TASKS, |store, _| async move {
        let id = fresh_uuid();
        let (id, digest) = (KeyId(id), digest(id));
        let name = "ops".to_owned();
        let new = Operator { id, name, digest, created_ms: NOW_MS, last_used_ms: None, revoked_ms: None };
        store.operator_create(&new, &change()).await
    });
    assert_one_winner(&created.await, is_taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_renames_of_organisations_to_one_name_have_one_winner() {
    let replicas = Replicas::open().await;
    let mut all = Vec::new();
    for number in 0..TASKS {
        all.push(replicas.organisation(&format!("org-{number}")).await);
    }
    let renamed = replicas
        .at_once(TASKS, |store, number| {
            let id = all[number];
            let update = OrganisationUpdate { name: Some("acme".to_owned()), ..OrganisationUpdate::default() };
            async move { store.organisation_update(id, &update, &change()).await }
        })
        .await;
    assert_one_winner(&renamed, is_taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_default_warehouses_leave_one_default() {
    let replicas = Replicas::open().await;
    let acme = replicas.organisation("acme").await;
    replicas
        .at_once(TASKS, |store, number| async move {
            let new = Warehouse { is_default: true, ..warehouse(acme, &format!("w{number}")) };
            store.warehouse_create(&new, &change()).await.unwrap();
            store.warehouse_set_default(acme, &new.name, &change()).await.unwrap();
        })
        .await;
    let all = replicas.stores[0].warehouse_list(acme).await.unwrap();
    assert_eq!((all.len(), all.iter().filter(|one| one.is_default).count()), (TASKS, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_warehouses_of_organisations_never_overlap() {
    let replicas = Replicas::open().await;
    let mut all = Vec::new();
    for number in 0..TASKS {
        all.push(replicas.organisation(&format!("org-{number}")).await);
    }
    let created = replicas
        .at_once(TASKS, |store, number| {
            // Each root is inside the one before.
            let root = format!("file:///srv{}", "/inner".repeat(number));
            let new = Warehouse { root, ..warehouse(all[number], "lake") };
            async move { store.warehouse_create(&new, &change()).await }
        })
        .await;
    assert_one_winner(&created, |error| matches!(error, StoreError::LocationTaken(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_rotations_of_one_key_have_one_winner() {
    let replicas = Replicas::open().await;
    let acme = replicas.organisation("acme").await;
    let old = replicas.key(acme).await;
    let rotated = replicas
        .at_once(TASKS, |store, _| {
            let (id, new) = (old.id, ApiKey { principal: old.principal, ..key(acme) });
            async move { store.key_rotate(id, NOW_MS + 1, &new, &change()).await }
        })
        .await;
    assert_one_winner(&rotated, is_taken);
    assert_eq!(replicas.stores[0].key_list(acme).await.unwrap().len(), 2);
    assert_eq!(replicas.events(Some(acme), Operation::RotateKey).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn revoked_key_stays_revoked_beside_concurrent_updates() {
    let replicas = Replicas::open().await;
    let acme = replicas.organisation("acme").await;
    let id = replicas.key(acme).await.id;
    let done = replicas
        .at_once(TASKS, |store, number| async move {
            if number % 3 == 0 {
                return store.key_revoke(acme, id, &Change::by_catalog(NOW_MS + number as i64)).await;
            }
            let update = KeyUpdate { name: Some(format!("k{number}")), ..KeyUpdate::default() };
            store.key_update(acme, id, &update, &change()).await.map(drop)
        })
        .await;
    let refused = done.iter().filter_map(|result| result.as_ref().err());
    assert!(refused.clone().all(|error| matches!(error, StoreError::NotFound(_))), "{done:?}");
    let (key, _) = replicas.stores[1].key_by_id(id).await.unwrap().unwrap();
    assert!(key.revoked_ms.is_some());
    assert_eq!(replicas.events(Some(acme), Operation::RevokeKey).await, 1, "the first revocation alone");
    let updates = TASKS - TASKS.div_ceil(3) - refused.count();
    assert_eq!(replicas.events(Some(acme), Operation::UpdateKey).await, updates);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_first_sign_ins_of_a_user_add_one_user() {
    let replicas = Replicas::open().await;
    let acme = replicas.organisation("acme").await;
    let signed_in = replicas
        .at_once(TASKS, |store, number| async move {
            // Half of the tokens are newer.
            let sign_in = sign_in(acme, "u1", 1 + (number as i64) / 6, &["one", "two"]);
            store.user_sign_in(&sign_in, &change()).await.unwrap().id
        })
        .await;
    assert_eq!(signed_in.iter().collect::<BTreeSet<_>>().len(), 1, "{signed_in:?}");
    let users = replicas.stores[1].user_list(acme, &PageRequest::default()).await.unwrap().items;
    assert_eq!(users.iter().map(|user| user.id).collect::<Vec<_>>(), signed_in[..1]);
    assert_eq!(users[0].issued_ms, 2, "the newest token");
    let counts = replicas.checked_counts(acme).await;
    assert_eq!((counts.principal_roles, counts.assignments), (2, 2));
    assert_eq!(replicas.events(Some(acme), Operation::CreateUser).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn assignment_beside_the_deletion_of_its_role_leaves_no_row() {
    let replicas = Replicas::open().await;
    let acme = replicas.organisation("acme").await;
    let lake = replicas.warehouse(acme, "lake").await;
    let principal = replicas.key(acme).await.principal;
    for round in 0..10 {
        let (of_principals, of_catalog) = (principal_role("analysts"), catalog_role("readers"));
        replicas.stores[0].principal_role_create(acme, &of_principals, &change()).await.unwrap();
        replicas.stores[0].catalog_role_create(lake, &of_catalog, &change()).await.unwrap();
        let (role, catalog_role) = (of_principals.id, of_catalog.id);
        let grant = Grant { on: Securable::Warehouse, privilege: Privilege::TableList };
        let done = replicas
            .at_once(6, |store, number| {
                let grant = grant.clone();
                async move {
                    match (number + round) % 6 {
                        0 => store.principal_role_delete(acme, role, &change()).await,
                        1 => store.catalog_role_delete(lake, catalog_role, &change()).await,
                        2 => store.grant_add(lake, catalog_role, &grant, 9, &change()).await,
                        3 => store.catalog_role_assign(lake, catalog_role, role, true, &change()).await,
                        _ => store.principal_role_assign(acme, role, principal, true, &change()).await,
                    }
                }
            })
            .await;
        let refused = done.iter().filter_map(|result| result.as_ref().err());
        assert!(refused.clone().all(|error| matches!(error, StoreError::NotFound(_))), "{done:?}");
        assert_eq!(replicas.checked_counts(acme).await, AccessCounts::default());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_grants_stay_within_the_limit() {
    let replicas = Replicas::open().await;
    let acme = replicas.organisation("acme").await;
    let lake = replicas.warehouse(acme, "lake").await;
    let role = catalog_role("readers");
    replicas.stores[0].catalog_role_create(lake, &role, &change()).await.unwrap();
    let role = role.id;
    let privileges = [
        Privilege::TableList,
        Privilege::TableReadData,
        Privilege::TableReadProperties,
        Privilege::ViewList,
        Privilege::ViewReadProperties,
        Privilege::NamespaceList,
    ];
    let granted = replicas
        .at_once(TASKS, |store, number| async move {
            let grant = Grant { on: Securable::Warehouse, privilege: privileges[number % privileges.len()] };
            store.grant_add(lake, role, &grant, 3, &change()).await
        })
        .await;
    let refused = granted.iter().filter_map(|result| result.as_ref().err());
    assert!(refused.clone().all(|error| matches!(error, StoreError::LimitReached { limit: 3 })), "{granted:?}");
    assert_eq!(replicas.stores[1].grant_list(lake, role).await.unwrap().len(), 3);
    assert_eq!(replicas.checked_counts(acme).await.grants, 3);
    assert_eq!(replicas.events(Some(acme), Operation::AddGrant).await, 3);
}

/// Makes a random change of access. Returns an error only if it is none that a caller may cause.
async fn change_access(store: &dyn Store, team: &Team, number: u128) -> Result<()> {
    let (acme, lake) = (team.lake.organisation, team.lake);
    let pick = |count: u128, shift: u32| usize::try_from((number >> shift) % count).unwrap_or_default();
    let (name, switch) = (["a", "b", "c"][pick(3, 8)], pick(2, 16) == 0);
    let of_principals = store.principal_role_get(acme, name).await?.map(|role| role.id);
    let of_catalog = store.catalog_role_get(lake, name).await?.map(|role| role.id);
    let (role, catalog_role_id) =
        (of_principals.unwrap_or(PrincipalRoleId(fresh_uuid())), of_catalog.unwrap_or(CatalogRoleId(fresh_uuid())));
    let privilege = [Privilege::TableList, Privilege::ViewList, Privilege::TableReadData][pick(3, 24)];
    let grant = Grant { on: Securable::Warehouse, privilege };
    let user = ["u1", "u2"][pick(2, 32)];
    match pick(10, 40) {
        0 => store.principal_role_create(acme, &principal_role(name), &change()).await,
        1 => store.catalog_role_create(lake, &catalog_role(name), &change()).await,
        2 => store.principal_role_delete(acme, role, &change()).await,
        3 => store.catalog_role_delete(lake, catalog_role_id, &change()).await,
        4 => store.principal_role_assign(acme, role, team.principal, switch, &change()).await,
        5 => store.catalog_role_assign(lake, catalog_role_id, role, switch, &change()).await,
        6 => store.grant_add(lake, catalog_role_id, &grant, 2, &change()).await,
        7 => store.grant_revoke(lake, catalog_role_id, &grant, &change()).await,
        8 => {
            let issued_ms = i64::try_from(number % 1_000_000_007).unwrap_or_default();
            store.user_sign_in(&sign_in(acme, user, issued_ms, &[name]), &change()).await.map(drop)
        }
        _ => match store.user_find(acme, user).await?.first() {
            Some(user) => store.user_delete(acme, user.id, &change()).await,
            None => Ok(()),
        },
    }
}

#[derive(Clone, Copy)]
struct Team {
    lake: WarehouseRef,
    principal: PrincipalId,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counts_stay_exact_under_concurrent_changes_of_access() {
    let replicas = Replicas::open().await;
    let acme = replicas.organisation("acme").await;
    let team = Team { lake: replicas.warehouse(acme, "lake").await, principal: replicas.key(acme).await.principal };
    replicas
        .at_once(TASKS, |store, _| async move {
            for _ in 0..25 {
                match change_access(&*store, &team, fresh_uuid().as_u128()).await {
                    Ok(())
                    | Err(StoreError::NotFound(_) | StoreError::AlreadyExists(_) | StoreError::LimitReached { .. }) => {
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
        .await;
    replicas.checked_counts(acme).await;
    replicas.stores[1].warehouse_drop(acme, "lake", &change()).await.unwrap();
    let counts = replicas.checked_counts(acme).await;
    assert_eq!((counts.catalog_roles, counts.grants), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_start_at_once_agree_on_their_secrets() {
    let replicas = Replicas::open().await;
    let added = replicas
        .at_once(TASKS, |store, number| async move {
            let secret = Secret::new([u8::try_from(number).unwrap(); 32]);
            let new = SigningKey { id: format!("k{number}"), secret, created_ms: NOW_MS };
            let keys = store.signing_key_add(&new, true, &change()).await.unwrap();
            store.master_key_set([u8::try_from(number).unwrap(); 16], true).await.unwrap();
            let [key] = &keys[..] else { panic!("{keys:?}") };
            (key.id.clone(), store.master_key_get().await.unwrap().unwrap())
        })
        .await;
    assert_eq!(added.iter().collect::<BTreeSet<_>>().len(), 1, "{added:?}");
    assert_eq!(replicas.events(None, Operation::AddSigningKey).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_removals_of_signing_keys_keep_the_newest() {
    let replicas = Replicas::open().await;
    let removed = replicas
        .at_once(TASKS, |store, number| async move {
            let created_ms = i64::try_from(number).unwrap();
            let new = SigningKey { id: format!("k{number}"), secret: Secret::new([1; 32]), created_ms };
            store.signing_key_add(&new, false, &change()).await.unwrap();
            store.signing_key_remove_before(i64::MAX, &change()).await.unwrap()
        })
        .await;
    let left = replicas.stores[0].signing_key_list().await.unwrap();
    assert_eq!(left.len() as u64 + removed.iter().sum::<u64>(), TASKS as u64);
    assert!(!left.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_records_of_use_lose_nothing_in_any_order() {
    let replicas = Replicas::open().await;
    let (acme, other) = (replicas.organisation("acme").await, replicas.organisation("other").await);
    let mut keys = Vec::new();
    for number in 0..20 {
        keys.push(replicas.key(if number % 2 == 0 { acme } else { other }).await);
    }
    let user = replicas.stores[0].user_sign_in(&sign_in(acme, "u1", 1, &[]), &change()).await.unwrap().id;
    let one = |key: &ApiKey| KeyUsage { organisation: key.organisation, day: 7, key: key.id, requests: 2 };
    let recorded = replicas
        .at_once(TASKS, |store, number| {
            let mut usage: Vec<_> = keys.iter().chain(keys.first()).map(one).collect();
            if number % 4 < 2 {
                usage.reverse();
            }
            let used_ms = NOW_MS + i64::try_from(number).unwrap();
            let touched: Vec<_> = usage.iter().map(|one| (one.key, used_ms)).collect();
            async move {
                store.key_usage_add(&usage).await?;
                store.key_touch(&touched).await?;
                store.user_touch(&[(acme, user, used_ms), (acme, user, 1)]).await
            }
        })
        .await;
    recorded.into_iter().for_each(|result| result.unwrap());
    let latest = Some(NOW_MS + TASKS as i64 - 1);
    for (number, key) in keys.iter().enumerate() {
        let (found, _) = replicas.stores[0].key_by_id(key.id).await.unwrap().unwrap();
        assert_eq!(found.last_used_ms, latest);
        let all = replicas.stores[1].key_usage_list(key.organisation, 7, 7).await.unwrap();
        let requests = all.iter().find(|one| one.key == key.id).unwrap().requests;
        let batches = if number == 0 { 2 } else { 1 };
        assert_eq!(requests, 2 * batches * TASKS as u64);
    }
    let (user, _) = replicas.stores[0].user_get(acme, user).await.unwrap().unwrap();
    assert_eq!(user.last_seen_ms, latest);
}

/// Makes requests of an organisation until it does not exist any more, but not for ever: the removal ends after the last request.
async fn make_requests(store: &dyn Store, team: &Team, number: usize) {
    let acme = team.lake.organisation;
    for round in 0..6 {
        let key = key(acme);
        let name = format!("r{number}-{round}");
        let usage = [KeyUsage { organisation: acme, day: 7, key: KeyId(team.principal.0), requests: 1 }];
        let done = [
            store.key_create(&key, &change()).await,
            store.principal_role_create(acme, &principal_role(&name), &change()).await,
            store.catalog_role_create(team.lake, &catalog_role(&name), &change()).await,
            store.warehouse_create(&warehouse(acme, &name), &change()).await,
            store.user_sign_in(&sign_in(acme, &name, 1, &["a"]), &change()).await.map(drop),
            store.key_usage_add(&usage).await,
            store.usage_take(acme, 7, 1, None).await.map(drop),
        ];
        for result in &done {
            assert!(matches!(result, Ok(()) | Err(StoreError::NotFound(_))), "{result:?}");
        }
        if matches!(done[0], Err(StoreError::NotFound(_))) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn organisation_is_removed_completely_while_its_requests_run() {
    let replicas = Replicas::open().await;
    let acme = replicas.organisation("acme").await;
    let team = Team { lake: replicas.warehouse(acme, "lake").await, principal: replicas.key(acme).await.principal };
    let deletion = Deletion { after_ms: NOW_MS, purge: true };
    replicas.stores[0].organisation_delete(acme, deletion, &change()).await.unwrap();
    replicas
        .at_once(6, |store, number| async move {
            if number > 3 {
                // Two servers remove it.
                while store.organisation_forget(acme, 40, &change()).await.unwrap() != Forgotten::All {}
            } else {
                make_requests(&*store, &team, number).await;
            }
        })
        .await;
    assert_eq!(replicas.stores[1].organisation_get(acme).await.unwrap(), None);
    let tables = "SELECT string_agg(format('SELECT 1 FROM %I.%I WHERE organisation = ''%s''', table_schema, table_name,
                                           '{id}'), ' UNION ALL ')
                  FROM information_schema.columns WHERE column_name = 'organisation' AND table_schema = current_schema()";
    let (client, connection) = tokio_postgres::connect(&replicas.database.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let every_row: String = client.query_one(&tables.replace("{id}", &acme.to_string()), &[]).await.unwrap().get(0);
    assert_eq!(client.query(&every_row, &[]).await.unwrap().len(), 0, "{every_row}");
    assert_eq!(replicas.events(None, Operation::ForgetOrganisation).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn removal_that_began_is_final_for_servers_with_slower_clocks() {
    let replicas = Replicas::open().await;
    let acme = replicas.organisation("acme").await;
    for _ in 0..3 {
        replicas.key(acme).await;
    }
    let deletion = Deletion { after_ms: NOW_MS + 10_000, purge: false };
    replicas.stores[0].organisation_delete(acme, deletion, &change()).await.unwrap();
    let step = replicas.stores[0].organisation_forget(acme, 1, &Change::by_catalog(NOW_MS + 10_000)).await.unwrap();
    assert_eq!(step, Forgotten::More);
    let slower = Change::by_catalog(NOW_MS + 9_000);
    let restored = replicas.stores[1].organisation_restore(acme, &slower).await;
    assert!(matches!(restored, Err(StoreError::NotRestorable(_))), "{restored:?}");
    let postponed = replicas.stores[1].organisation_delete(acme, deletion, &slower).await;
    assert!(matches!(postponed, Err(StoreError::NotRestorable(_))), "{postponed:?}");
}

#[tokio::test]
async fn name_that_no_column_can_hold_is_not_found() {
    let replicas = Replicas::open().await;
    let store = &replicas.stores[0];
    let acme = replicas.organisation("acme").await;
    let lake = replicas.warehouse(acme, "lake").await;
    for name in ["a", "b"] {
        store.principal_role_create(acme, &principal_role(name), &change()).await.unwrap();
    }
    let name = "a\0b";
    assert_eq!(store.organisation_by_name(name).await.unwrap(), None);
    assert_eq!(store.principal_role_get(acme, name).await.unwrap(), None);
    assert_eq!(store.catalog_role_get(lake, name).await.unwrap(), None);
    assert_eq!(store.user_find(acme, name).await.unwrap(), []);
    let unset = store.warehouse_set_default(acme, name, &change()).await;
    assert!(matches!(unset, Err(StoreError::NotFound(Resource::Warehouse))), "{unset:?}");
    let page = PageRequest { after: Some(name.to_owned()), limit: None };
    let after = store.principal_role_list(acme, &page).await.unwrap().items;
    assert_eq!(after.iter().map(|role| role.name.as_str()).collect::<Vec<_>>(), ["b"]);
}
