//! API keys.

use std::str::FromStr;

use async_trait::async_trait;
use serde_json::{Value, json};
use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, get};
use super::entities::entity_touch;
use super::events::{details, event_add};
use super::generations::raise;
use super::organisations::{organisation_at, organisation_columns};
use super::params::params;
use super::state_rows::{self, Added, Affected};
use crate::store::{
    ApiKey, Change, EventDetails, EventObject, KeyDigest, KeyStore, KeyUpdate, ObjectKind, Operation, Organisation,
    Resource, Result, StoreError,
};

macro_rules! key_columns {
    () => {
        "api_key.id, api_key.organisation, api_key.name, api_key.role, api_key.digest, api_key.created_ms,
         api_key.expires_ms, api_key.last_used_ms, api_key.revoked_ms, api_key.no_delete, api_key.principal,
         api_key.acts_for_users"
    };
}

/// The number of columns of a key.
const COLUMNS: usize = 12;

/// Selects a key with its organisation, by a condition.
macro_rules! key_with_organisation {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            key_columns!(),
            ", ",
            organisation_columns!(),
            " FROM api_key JOIN organisation ON organisation.id = api_key.organisation WHERE ",
            $condition
        )
    };
}

/// Selects a key by its digest, with its organisation.
pub(super) const BY_DIGEST: &str = key_with_organisation!("api_key.digest = $1");

/// Selects a key by its id, with its organisation.
pub(super) const BY_ID: &str = key_with_organisation!("api_key.id = $1");

/// Parses a role from its column.
pub(super) fn role(text: &str) -> Result<Role> {
    Role::from_str(text).map_err(|error| StoreError::Corrupt(format!("role: {error}")))
}

/// Reads a digest from its column.
pub(super) fn digest(row: &Row, column: usize) -> Result<KeyDigest> {
    let bytes: &[u8] = get(row, column)?;
    Ok(KeyDigest(bytes.try_into().map_err(|_| StoreError::Corrupt("a digest has not 32 bytes".to_owned()))?))
}

fn key_at(row: &Row) -> Result<ApiKey> {
    Ok(ApiKey {
        id: KeyId(get(row, 0)?),
        organisation: OrganisationId(get(row, 1)?),
        name: get(row, 2)?,
        role: role(get(row, 3)?)?,
        digest: digest(row, 4)?,
        created_ms: get(row, 5)?,
        expires_ms: get(row, 6)?,
        last_used_ms: get(row, 7)?,
        revoked_ms: get(row, 8)?,
        no_delete: get(row, 9)?,
        principal: PrincipalId(get(row, 10)?),
        acts_for_users: get(row, 11)?,
    })
}

fn object(key: &ApiKey) -> EventObject {
    EventObject::new(ObjectKind::Key, Some(key.id.0), key.name.as_str())
}

async fn key_create(transaction: &Transaction, new: &ApiKey, change: &Change) -> std::result::Result<(), Failure> {
    state_rows::lock(transaction, new.organisation, Added::default()).await?;
    check_name_free(transaction, new, change.at_ms).await?;
    insert(transaction, new).await?;
    raise(transaction, new.organisation, &[Affected::Organisation]).await?;
    let details = details([("role", new.role.as_str().into()), ("expires-ms", new.expires_ms.into())]);
    event_add(transaction, change, new.organisation, Operation::CreateKey, &object(new), &details).await
}

/// Fails if another key of the organisation that is usable at `now_ms` has the key's name. The caller holds the organisation's lock, so no
/// other server gives the name to a key meanwhile.
async fn check_name_free(transaction: &Transaction, key: &ApiKey, now_ms: i64) -> std::result::Result<(), Failure> {
    let taken = transaction
        .query_first(
            "SELECT 1 FROM api_key
             WHERE organisation = $1 AND name = $2 AND id <> $3 AND revoked_ms IS NULL
                   AND (expires_ms IS NULL OR expires_ms > $4)",
            params![key.organisation.0, key.name, key.id.0, now_ms],
        )
        .await?;
    if taken.is_some() { Err(StoreError::AlreadyExists(Resource::Key).into()) } else { Ok(()) }
}

/// Adds a key, without an event. Ids and digests are random, so two organisations never add the same at the same time.
async fn insert(transaction: &Transaction, new: &ApiKey) -> std::result::Result<(), Failure> {
    let added = transaction
        .count(
            "INSERT INTO api_key (organisation, id, name, role, digest, created_ms, expires_ms, last_used_ms, revoked_ms,
                                  no_delete, principal, acts_for_users)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
             WHERE NOT EXISTS (SELECT 1 FROM api_key WHERE id = $2)
                   AND NOT EXISTS (SELECT 1 FROM api_key WHERE digest = $5)
             RETURNING 1",
            params![
                new.organisation.0,
                new.id.0,
                new.name,
                new.role.as_str(),
                &new.digest.0[..],
                new.created_ms,
                new.expires_ms,
                new.last_used_ms,
                new.revoked_ms,
                new.no_delete,
                new.principal.0,
                new.acts_for_users
            ],
        )
        .await?;
    if added == 0 {
        return Err(StoreError::AlreadyExists(Resource::Key).into());
    }
    upsert_principal(transaction, new).await
}

/// Adds the principal of a key, or renames it after the key.
async fn upsert_principal(transaction: &Transaction, key: &ApiKey) -> std::result::Result<(), Failure> {
    transaction
        .query(
            "INSERT INTO principal (organisation, id, name, created_ms) VALUES ($1, $2, $3, $4)
             ON CONFLICT (organisation, id) DO UPDATE SET name = excluded.name",
            params![key.organisation.0, key.principal.0, key.name, key.created_ms],
        )
        .await?;
    Ok(())
}

/// Locks the organisation, and returns the key if it is not revoked.
async fn lock_unrevoked(
    transaction: &Transaction,
    organisation: OrganisationId,
    id: KeyId,
) -> std::result::Result<ApiKey, Failure> {
    const UNREVOKED: &str =
        concat!("SELECT ", key_columns!(), " FROM api_key WHERE organisation = $1 AND id = $2 AND revoked_ms IS NULL");
    state_rows::lock_for(transaction, organisation, Resource::Key).await?;
    let row = transaction.query_first(UNREVOKED, params![organisation.0, id.0]).await?;
    Ok(key_at(&row.ok_or(StoreError::NotFound(Resource::Key))?)?)
}

async fn key_revoke(
    transaction: &Transaction,
    organisation: OrganisationId,
    id: KeyId,
    change: &Change,
) -> std::result::Result<(), Failure> {
    state_rows::lock_for(transaction, organisation, Resource::Key).await?;
    let known = transaction
        .query_first(
            "SELECT name, revoked_ms IS NOT NULL FROM api_key WHERE organisation = $1 AND id = $2",
            params![organisation.0, id.0],
        )
        .await?
        .ok_or(StoreError::NotFound(Resource::Key))?;
    if get(&known, 1)? {
        return Ok(());
    }
    transaction
        .query(
            "UPDATE api_key SET revoked_ms = $3 WHERE organisation = $1 AND id = $2",
            params![organisation.0, id.0, change.at_ms],
        )
        .await?;
    raise(transaction, organisation, &[Affected::Organisation]).await?;
    let object = EventObject::new(ObjectKind::Key, Some(id.0), get::<&str>(&known, 0)?);
    event_add(transaction, change, organisation, Operation::RevokeKey, &object, &EventDetails::new()).await
}

/// Writes a key's fields that may change.
async fn save(transaction: &Transaction, key: &ApiKey) -> std::result::Result<(), Failure> {
    transaction
        .query(
            "UPDATE api_key SET name = $3, role = $4, expires_ms = $5, no_delete = $6, acts_for_users = $7
             WHERE organisation = $1 AND id = $2",
            params![
                key.organisation.0,
                key.id.0,
                key.name,
                key.role.as_str(),
                key.expires_ms,
                key.no_delete,
                key.acts_for_users
            ],
        )
        .await?;
    Ok(())
}

async fn key_update(
    transaction: &Transaction,
    organisation: OrganisationId,
    id: KeyId,
    update: &KeyUpdate,
    change: &Change,
) -> std::result::Result<ApiKey, Failure> {
    let before = lock_unrevoked(transaction, organisation, id).await?;
    let after = ApiKey {
        name: update.name.clone().unwrap_or_else(|| before.name.clone()),
        role: update.role.unwrap_or(before.role),
        expires_ms: update.expires_ms.unwrap_or(before.expires_ms),
        no_delete: update.no_delete.unwrap_or(before.no_delete),
        acts_for_users: update.acts_for_users.unwrap_or(before.acts_for_users),
        ..before.clone()
    };
    if after == before {
        return Ok(after);
    }
    if after.takes_name(&before, change.at_ms) {
        check_name_free(transaction, &after, change.at_ms).await?;
    }
    save(transaction, &after).await?;
    upsert_principal(transaction, &after).await?;
    entity_touch(transaction, organisation, after.principal.0, change.at_ms).await?;
    let access = (after.role != before.role).then_some(Affected::Principal(after.principal));
    let affected: Vec<_> = access.into_iter().chain([Affected::Organisation]).collect();
    raise(transaction, organisation, &affected).await?;
    let object = object(&before);
    let object = if after.name == before.name { object } else { object.renamed(after.name.as_str()) };
    let details = update_details(&before, &after);
    event_add(transaction, change, organisation, Operation::UpdateKey, &object, &details).await?;
    Ok(after)
}

/// Returns the fields that differ, except the name.
fn update_details(before: &ApiKey, after: &ApiKey) -> EventDetails {
    let mut details = EventDetails::new();
    let mut add_change = |name: &str, before: Value, after: Value| {
        if before != after {
            details.insert(name.to_owned(), json!({ "before": before, "after": after }));
        }
    };
    add_change("role", before.role.as_str().into(), after.role.as_str().into());
    add_change("expires-ms", before.expires_ms.into(), after.expires_ms.into());
    add_change("no-delete", before.no_delete.into(), after.no_delete.into());
    add_change("acts-for-users", before.acts_for_users.into(), after.acts_for_users.into());
    details
}

async fn key_rotate(
    transaction: &Transaction,
    old: KeyId,
    ends_ms: i64,
    new: &ApiKey,
    change: &Change,
) -> std::result::Result<(), Failure> {
    let before = lock_unrevoked(transaction, new.organisation, old).await?;
    let expires_ms = before.expires_ms.map_or(ends_ms, |expires_ms| expires_ms.min(ends_ms));
    let succeeded = transaction
        .count(
            "UPDATE api_key SET successor = $3, expires_ms = $4
             WHERE organisation = $1 AND id = $2 AND successor IS NULL RETURNING 1",
            params![new.organisation.0, old.0, new.id.0, expires_ms],
        )
        .await?;
    if succeeded == 0 {
        return Err(StoreError::AlreadyExists(Resource::Key).into());
    }
    insert(transaction, new).await?;
    raise(transaction, new.organisation, &[Affected::Organisation]).await?;
    let details = details([("new-key-id", new.id.to_string().into()), ("old-expires-ms", expires_ms.into())]);
    event_add(transaction, change, new.organisation, Operation::RotateKey, &object(&before), &details).await
}

/// Records when keys were last used. Locks the rows in one order, so that servers that do so at once never deadlock.
async fn key_touch(transaction: &Transaction, last_used_ms: &[(KeyId, i64)]) -> std::result::Result<(), Failure> {
    let ids: Vec<Uuid> = last_used_ms.iter().map(|(id, _)| id.0).collect();
    let times: Vec<i64> = last_used_ms.iter().map(|(_, used_ms)| *used_ms).collect();
    transaction
        .query(
            "WITH used (id, used_ms) AS (
                 SELECT id, max(used_ms) FROM unnest($1::uuid[], $2::bigint[]) AS one (id, used_ms) GROUP BY id
             ), locked AS (
                 SELECT api_key.organisation, api_key.id, used.used_ms FROM api_key JOIN used ON used.id = api_key.id
                 WHERE api_key.last_used_ms IS NULL OR api_key.last_used_ms < used.used_ms
                 ORDER BY api_key.organisation, api_key.id FOR NO KEY UPDATE OF api_key
             )
             UPDATE api_key SET last_used_ms = greatest(api_key.last_used_ms, locked.used_ms) FROM locked
             WHERE api_key.organisation = locked.organisation AND api_key.id = locked.id",
            params![ids, times],
        )
        .await?;
    Ok(())
}

#[async_trait]
impl KeyStore for PostgresStore {
    async fn key_create(&self, new: &ApiKey, change: &Change) -> Result<()> {
        transact!(self, for new.organisation, transaction => key_create(transaction, new, change))
    }

    async fn key_list(&self, organisation: OrganisationId) -> Result<Vec<ApiKey>> {
        const ALL: &str =
            concat!("SELECT ", key_columns!(), " FROM api_key WHERE organisation = $1 ORDER BY created_ms, id");
        self.read(ALL, params![organisation.0]).await?.iter().map(key_at).collect()
    }

    async fn key_by_digest(&self, digest: &KeyDigest) -> Result<Option<(ApiKey, Organisation)>> {
        let row = self.read_first(BY_DIGEST, params![&digest.0[..]]).await?;
        row.map(|row| Ok((key_at(&row)?, organisation_at(&row, COLUMNS)?))).transpose()
    }

    async fn key_by_id(&self, id: KeyId) -> Result<Option<(ApiKey, Organisation)>> {
        let row = self.read_first(BY_ID, params![id.0]).await?;
        row.map(|row| Ok((key_at(&row)?, organisation_at(&row, COLUMNS)?))).transpose()
    }

    async fn key_revoke(&self, organisation: OrganisationId, id: KeyId, change: &Change) -> Result<()> {
        transact!(self, for organisation, transaction => key_revoke(transaction, organisation, id, change))
    }

    async fn key_touch(&self, last_used_ms: &[(KeyId, i64)]) -> Result<()> {
        if last_used_ms.is_empty() {
            return Ok(());
        }
        transact!(self, transaction => key_touch(transaction, last_used_ms))
    }
}

impl PostgresStore {
    pub(super) async fn update_key(
        &self,
        organisation: OrganisationId,
        id: KeyId,
        update: &KeyUpdate,
        change: &Change,
    ) -> Result<ApiKey> {
        transact!(self, for organisation, transaction => key_update(transaction, organisation, id, update, change))
    }

    pub(super) async fn rotate_key(&self, old: KeyId, ends_ms: i64, new: &ApiKey, change: &Change) -> Result<()> {
        transact!(self, for new.organisation, transaction => key_rotate(transaction, old, ends_ms, new, change))
    }
}
