//! Operators, the lives of organisations and keys, and usage by day.

use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId};

use super::fixture::{
    NOW_MS, Subject, assert_refused, change, change_at, create, digest, id_at, ident, key, organisation,
    store_warehouse_of, stored_namespace, stored_table, warehouse,
};
use crate::base::clock::fresh_uuid;
use crate::store::{
    Actor, Change, Deletion, DropTerms, EventFilter, Forgotten, KeyUpdate, KeyUsage, Operator, OrganisationUpdate,
    PageRequest, Resource, StoreError, TableKind,
};

const DAY: i64 = 20_780;

pub(super) fn operator(name: &str) -> Operator {
    let id = fresh_uuid();
    Operator {
        id: KeyId(id),
        name: name.to_owned(),
        digest: digest(id.as_u128()),
        created_ms: NOW_MS,
        last_used_ms: None,
        revoked_ms: None,
    }
}

pub(in crate::store) async fn operator_is_found_by_digest_before_and_after_revocation(store: Subject) {
    let ops = operator("ops");
    store.operator_create(&ops, &change()).await.unwrap();
    assert_refused!(
        store.operator_create(&operator("ops"), &change()).await,
        StoreError::AlreadyExists(Resource::Operator)
    );
    assert_eq!(store.operator_by_digest(&ops.digest).await.unwrap(), Some(ops.clone()));
    assert_eq!(store.operator_by_id(ops.id).await.unwrap(), Some(ops.clone()));
    assert_eq!(store.operator_by_id(KeyId(fresh_uuid())).await.unwrap(), None);
    assert_eq!(store.key_by_digest(&ops.digest).await.unwrap(), None, "an operator's key is not an organisation's key");
    store.operator_touch(&[(ops.id, NOW_MS + 2), (KeyId(fresh_uuid()), 1)]).await.unwrap();
    store.operator_touch(&[(ops.id, NOW_MS + 1)]).await.unwrap();
    store.operator_revoke(ops.id, &change()).await.unwrap();
    store.operator_revoke(ops.id, &change_at(NOW_MS + 5)).await.unwrap();
    let revoked = Operator { last_used_ms: Some(NOW_MS + 2), revoked_ms: Some(NOW_MS), ..ops.clone() };
    assert_eq!(store.operator_by_digest(&ops.digest).await.unwrap(), Some(revoked.clone()));
    assert_eq!(store.operator_by_id(ops.id).await.unwrap(), Some(revoked.clone()));
    let again = operator("ops");
    store.operator_create(&again, &change_at(NOW_MS + 9)).await.unwrap();
    assert_eq!(store.operator_list().await.unwrap().len(), 2);
    let missing = store.operator_revoke(KeyId(fresh_uuid()), &change()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Operator));
    let events = store.event_list(None, &EventFilter::default(), None, 10).await.unwrap().events;
    let told: Vec<_> = events.iter().map(|event| (event.operation.as_str(), event.organisation)).collect();
    assert_eq!(told, [("create-operator", None), ("revoke-operator", None), ("create-operator", None)]);
}

pub(in crate::store) async fn event_names_the_operator_who_made_the_change(store: Subject) {
    let actor = Actor::Operator { id: KeyId(fresh_uuid()), name: "ops".into() };
    let acme = organisation("acme");
    store.organisation_create(&acme, &Change::by(actor.clone(), NOW_MS)).await.unwrap();
    let filter = EventFilter { actor: Some("ops".to_owned()), ..EventFilter::default() };
    let events = store.event_list(Some(acme.id), &filter, None, 10).await.unwrap().events;
    assert_eq!(events.iter().map(|event| &event.actor).collect::<Vec<_>>(), [&actor]);
}

pub(in crate::store) async fn organisations_come_in_pages(store: Subject) {
    for name in ["b", "c", "a"] {
        store.organisation_create(&organisation(name), &change()).await.unwrap();
    }
    let page = async |after: Option<&str>| {
        let page = PageRequest { after: after.map(str::to_owned), limit: Some(2) };
        let page = store.organisation_page(&page).await.unwrap();
        (page.items.into_iter().map(|one| one.name).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(page(None).await, (vec!["a".to_owned(), "b".to_owned()], true));
    assert_eq!(page(Some("b")).await, (vec!["c".to_owned()], false));
}

pub(in crate::store) async fn update_of_an_organisation_changes_only_named_fields(store: Subject) {
    let (acme, other) = (organisation("acme"), organisation("other"));
    store.organisation_create(&acme, &change()).await.unwrap();
    store.organisation_create(&other, &change()).await.unwrap();
    let update = OrganisationUpdate { name: Some("apex".into()), tier: Some("free".into()), suspended: Some(true) };
    let updated = store.organisation_update(acme.id, &update, &change_at(NOW_MS + 1)).await.unwrap();
    assert_eq!((updated.name.as_str(), updated.tier.as_str()), ("apex", "free"));
    assert_eq!(updated.standing.suspended_ms, Some(NOW_MS + 1));
    assert_eq!(store.organisation_get(acme.id).await.unwrap(), Some(updated.clone()));
    let same = store.organisation_update(acme.id, &update, &change_at(NOW_MS + 2)).await.unwrap();
    assert_eq!(same, updated, "a second suspension keeps the first time");
    let taken = OrganisationUpdate { name: Some("other".into()), suspended: Some(false), ..Default::default() };
    let refused = store.organisation_update(acme.id, &taken, &change()).await;
    assert_refused!(refused, StoreError::AlreadyExists(Resource::Organisation));
    assert_eq!(store.organisation_get(acme.id).await.unwrap(), Some(updated), "a refused change has no effect");
    let missing = store.organisation_update(OrganisationId(fresh_uuid()), &update, &change()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Organisation));
    let events = store.event_list(Some(acme.id), &EventFilter::default(), None, 10).await.unwrap().events;
    let told: Vec<_> = events.iter().map(|event| event.operation.as_str()).collect();
    assert_eq!(told, ["suspend-organisation", "set-tier", "rename-organisation", "create-organisation"]);
}

pub(in crate::store) async fn update_of_a_key_changes_only_named_fields(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let etl = key(acme.id, "etl");
    store.key_create(&etl, &change()).await.unwrap();
    let end = KeyUpdate { role: Some(Role::Admin), expires_ms: Some(Some(NOW_MS + 5)), ..Default::default() };
    let updated = store.key_update(acme.id, etl.id, &end, &change()).await.unwrap();
    assert_eq!((updated.role, updated.expires_ms, &updated.name), (Role::Admin, Some(NOW_MS + 5), &etl.name));
    let never = KeyUpdate { expires_ms: Some(None), ..Default::default() };
    assert_eq!(store.key_update(acme.id, etl.id, &never, &change()).await.unwrap().expires_ms, None);
    let elsewhere = store.key_update(OrganisationId(fresh_uuid()), etl.id, &never, &change()).await;
    assert_refused!(elsewhere, StoreError::NotFound(Resource::Key));
    store.key_revoke(acme.id, etl.id, &change()).await.unwrap();
    let revoked = store.key_update(acme.id, etl.id, &end, &change()).await;
    assert_refused!(revoked, StoreError::NotFound(Resource::Key));
}

pub(in crate::store) async fn rotation_ends_the_old_key_and_adds_the_new_one(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let mut old = key(acme.id, "ci");
    old.expires_ms = Some(NOW_MS + 10);
    store.key_create(&old, &change()).await.unwrap();
    let (first, second) = (key(acme.id, "ci"), key(acme.id, "ci"));
    store.key_rotate(old.id, NOW_MS + 50, &first, &change()).await.unwrap();
    let ends = async |id| store.key_by_id(id).await.unwrap().unwrap().0.expires_ms;
    assert_eq!(
        (ends(old.id).await, ends(first.id).await),
        (Some(NOW_MS + 10), None),
        "a rotation never postpones the end"
    );
    let again = store.key_rotate(old.id, NOW_MS + 5, &second, &change()).await;
    assert_refused!(again, StoreError::AlreadyExists(Resource::Key));
    assert_eq!(ends(old.id).await, Some(NOW_MS + 10), "a key is rotated once");
    store.key_rotate(first.id, NOW_MS + 5, &second, &change()).await.unwrap();
    assert_eq!(ends(first.id).await, Some(NOW_MS + 5));
    let mut taken = key(acme.id, "ci");
    taken.digest = first.digest;
    let refused = store.key_rotate(second.id, NOW_MS, &taken, &change()).await;
    assert_refused!(refused, StoreError::AlreadyExists(Resource::Key));
    assert_eq!(ends(second.id).await, None, "a refused change has no effect");
    let third = key(acme.id, "ci");
    store.key_rotate(second.id, NOW_MS, &third, &change()).await.unwrap();
}

pub(in crate::store) async fn usage_is_listed_by_day_and_by_key(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let ci = key(acme.id, "ci");
    store.key_create(&ci, &change()).await.unwrap();
    for day in [DAY, DAY + 1, DAY + 3] {
        store.usage_take(acme.id, day, 7, None).await.unwrap();
    }
    assert_eq!(store.usage_list(acme.id, DAY + 1, DAY + 3).await.unwrap(), [(DAY + 1, 7), (DAY + 3, 7)]);
    let used = |day, key, requests| KeyUsage { organisation: acme.id, day, key, requests };
    let usage = [used(DAY, ci.id, 3), used(DAY + 1, ci.id, 1), used(DAY, KeyId(fresh_uuid()), 9)];
    store.key_usage_add(&usage).await.unwrap();
    store.key_usage_add(&usage[..1]).await.unwrap();
    let listed = store.key_usage_list(acme.id, DAY, DAY).await.unwrap();
    assert_eq!(listed, [used(DAY, ci.id, 6)], "missing keys are ignored");
}

pub(in crate::store) async fn deleted_organisation_can_be_restored_until_its_grace_time_ends(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let deletion = Deletion { after_ms: NOW_MS + 10, purge: true };
    store.organisation_delete(acme.id, deletion, &change()).await.unwrap();
    assert_eq!(store.organisation_get(acme.id).await.unwrap().unwrap().standing.deletion, Some(deletion));
    assert_eq!(store.organisation_due(NOW_MS + 9, 10).await.unwrap(), []);
    let early = store.organisation_forget(acme.id, 10, &change_at(NOW_MS + 9)).await.unwrap();
    assert_eq!(early, Forgotten::All, "nothing is due yet");
    let restored = store.organisation_restore(acme.id, &change_at(NOW_MS + 9)).await.unwrap();
    assert_eq!(restored, acme);
    assert_eq!(store.organisation_restore(acme.id, &change()).await.unwrap(), acme);
    store.organisation_delete(acme.id, deletion, &change()).await.unwrap();
    let late = store.organisation_restore(acme.id, &change_at(NOW_MS + 10)).await;
    assert_refused!(late, StoreError::NotRestorable(_));
    assert_eq!(store.organisation_due(NOW_MS + 10, 10).await.unwrap().len(), 1);
}

pub(in crate::store) async fn organisation_is_removed_in_small_steps_without_affecting_others(store: Subject) {
    let (acme, other) = (organisation("acme"), organisation("other"));
    for one in [&acme, &other] {
        store.organisation_create(one, &change()).await.unwrap();
        store.key_create(&key(one.id, "ci"), &change()).await.unwrap();
        let warehouse_ref = store_warehouse_of(&store, one.id, "lake").await;
        let sales = stored_namespace(&store, warehouse_ref, "sales").await;
        for name in ["a", "b", "c"] {
            stored_table(&store, warehouse_ref, &ident(&sales, name)).await;
        }
        create(&store, warehouse_ref, &ident(&sales, "v"), TableKind::View, None).await.unwrap();
        let kept = DropTerms { restorable_until_ms: NOW_MS + 1_000_000, purge: false };
        store
            .table_drop(
                warehouse_ref,
                &ident(&sales, "c"),
                id_at(&store, warehouse_ref, &ident(&sales, "c")).await,
                TableKind::Table,
                Some(&kept),
                &change(),
            )
            .await
            .unwrap();
        store.usage_take(one.id, DAY, 7, None).await.unwrap();
    }
    let deletion = Deletion { after_ms: NOW_MS, purge: false };
    store.organisation_delete(acme.id, deletion, &change()).await.unwrap();
    let mut steps = 0;
    while store.organisation_forget(acme.id, 2, &change()).await.unwrap() == Forgotten::More {
        steps += 1;
    }
    assert!(steps > 8, "{steps}");
    assert_eq!(store.organisation_get(acme.id).await.unwrap(), None);
    assert_eq!(store.key_list(acme.id).await.unwrap(), []);
    assert_eq!(store.event_list(Some(acme.id), &EventFilter::default(), None, 10).await.unwrap().events, []);
    let last = store.event_list(None, &EventFilter::default(), None, 1).await.unwrap().events.remove(0);
    assert_eq!((last.operation.as_str(), last.organisation), ("forget-organisation", None));
    assert_eq!((last.object.name.as_str(), last.object.id), ("acme", Some(acme.id.0)));
    // The server's events still name the actor of the deletion.
    let own = EventFilter { object: Some("acme".to_owned()), ..EventFilter::default() };
    let told = store.event_list(None, &own, None, 10).await.unwrap().events;
    let told: Vec<_> = told.iter().map(|event| event.operation.as_str()).collect();
    assert_eq!(told, ["forget-organisation", "delete-organisation", "create-organisation"]);
    assert_eq!((store.table_count(other.id).await.unwrap(), store.key_list(other.id).await.unwrap().len()), (3, 1));
    // Its name and its roots are free.
    let again = organisation("acme");
    store.organisation_create(&again, &change()).await.unwrap();
    let mut lake = warehouse(again.id, "lake");
    lake.root = format!("file:///srv/{}/lake", acme.id);
    store.warehouse_create(&lake, &change()).await.unwrap();
}
