//! Namespaces and their properties.

use std::sync::Arc;

use async_trait::async_trait;
use tidewater_core::ids::{CatalogRoleId, PrincipalId};
use tidewater_core::name::{LEVEL_SEPARATOR, NamespaceIdent};
use tidewater_core::properties::change_properties;
use tidewater_core::request_limits::RequestLimits;
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::change;
use super::connection::Transaction;
use super::convert::{Failure, get};
use super::digests::namespace_digest;
use super::events::event_add;
use super::forget_rows::count_removed_grants;
use super::generations::raise;
use super::maintenance::namespace_policy_forget;
use super::pages::{after_name, one_more, page_of};
use super::params::params;
use super::state_rows::{Affected, lock_for};
use super::table_rows::namespace as namespace_of;
use crate::store::{
    Answer, Change, EventDetails, EventObject, NamespaceStore, ObjectKind, Operation, PageRequest, PolicyObject,
    Properties, PropertyChanges, Resource, Result, SharedPage, StoreError, WarehouseRef, note_namespace,
};

type Outcome<T> = std::result::Result<T, Failure>;

const NOT_FOUND: StoreError = StoreError::NotFound(Resource::Namespace);

/// The size of properties, in bytes of JSON, from which they are parsed on a thread for blocking work.
const LARGE: usize = 64 << 10;

/// Reads a page of the namespaces at the top.
pub(super) const LIST_TOP: &str = "SELECT key FROM namespace
    WHERE organisation = $1 AND warehouse = $2 AND parent_digest IS NULL AND name > $3 ORDER BY name LIMIT $4";

/// Reads a page of the namespaces directly below another.
pub(super) const LIST_BELOW: &str = "SELECT key FROM namespace
    WHERE organisation = $1 AND warehouse = $2 AND parent_digest = $6 AND parent = $5 AND name > $3
    ORDER BY name LIMIT $4";

pub(super) const GET: &str = "SELECT properties FROM namespace
    WHERE organisation = $1 AND warehouse = $2 AND digest = $4 AND key = $3";

const EXISTS: &str = "SELECT 1 FROM namespace
    WHERE organisation = $1 AND warehouse = $2 AND digest = $4 AND key = $3";

/// Adds a namespace if its warehouse and its parent exist, and its name is free.
const CREATE: &str = "INSERT INTO namespace (organisation, warehouse, key, parent, properties, owner)
    SELECT $1, $2, $3, $4, $5,
           coalesce((SELECT principal FROM api_key WHERE organisation = $1 AND id = $6),
                    (SELECT id FROM principal WHERE organisation = $1 AND id = $6 AND issuer IS NOT NULL))
    FROM warehouse WHERE organisation = $1 AND id = $2
         AND ($4 IS NULL OR EXISTS (SELECT 1 FROM namespace
                                 WHERE organisation = $1 AND warehouse = $2 AND digest = $7 AND key = $4))
    ON CONFLICT DO NOTHING RETURNING owner";

async fn create(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    namespace: &NamespaceIdent,
    properties: &str,
    change: &Change,
) -> Outcome<()> {
    let (organisation, warehouse) = (warehouse_ref.organisation, warehouse_ref.warehouse);
    lock_for(transaction, organisation, Resource::Warehouse).await?;
    let parent = namespace.parent();
    let parent_digest = parent.as_ref().map(namespace_digest);
    let parent = parent.as_ref().map(NamespaceIdent::as_key);
    let added = transaction
        .query_first(
            CREATE,
            params![
                organisation.0,
                warehouse.0,
                namespace.as_key(),
                parent,
                properties,
                change.actor.id(),
                parent_digest
            ],
        )
        .await?;
    let Some(added) = added else { return Err(not_created(transaction, warehouse_ref, namespace).await?.into()) };
    if let Some(owner) = get::<Option<Uuid>>(&added, 0)? {
        raise(transaction, organisation, &[Affected::Principal(PrincipalId(owner))]).await?;
    }
    let (operation, details) = (Operation::CreateNamespace, EventDetails::new());
    add_namespace_event(transaction, warehouse_ref, operation, namespace, &details, change).await
}

/// Returns why a namespace was not added.
async fn not_created(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    namespace: &NamespaceIdent,
) -> Outcome<StoreError> {
    if exists(transaction, warehouse_ref, namespace).await? {
        return Ok(StoreError::AlreadyExists(Resource::Namespace));
    }
    let warehouse = transaction
        .query_first(
            "SELECT 1 FROM warehouse WHERE organisation = $1 AND id = $2",
            params![warehouse_ref.organisation.0, warehouse_ref.warehouse.0],
        )
        .await?;
    Ok(if warehouse.is_some() { NOT_FOUND } else { StoreError::NotFound(Resource::Warehouse) })
}

/// Returns whether a namespace exists.
pub(super) async fn exists(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    namespace: &NamespaceIdent,
) -> Outcome<bool> {
    let found = transaction
        .query_first(
            EXISTS,
            params![
                warehouse_ref.organisation.0,
                warehouse_ref.warehouse.0,
                namespace.as_key(),
                namespace_digest(namespace)
            ],
        )
        .await?;
    Ok(found.is_some())
}

/// Changes properties. The lock of the row makes concurrent changes wait for each other.
async fn update_properties(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    update: &PropertyUpdate<'_>,
    change: &Change,
) -> Outcome<PropertyChanges> {
    let namespace = update.namespace;
    let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
    let before = transaction
        .query_first(
            "SELECT properties FROM namespace
             WHERE organisation = $1 AND warehouse = $2 AND digest = $4 AND key = $3 FOR NO KEY UPDATE",
            params![organisation, warehouse, namespace.as_key(), namespace_digest(namespace)],
        )
        .await?
        .ok_or(NOT_FOUND)?;
    let (after, changes) = update.apply(get(&before, 0)?).await?;
    transaction
        .query(
            "UPDATE namespace SET properties = $4
             WHERE organisation = $1 AND warehouse = $2 AND digest = $5 AND key = $3",
            params![organisation, warehouse, namespace.as_key(), after, namespace_digest(namespace)],
        )
        .await?;
    let details = shown_keys([("updated", &changes.updated), ("removed", &changes.removed)]);
    let operation = Operation::UpdateNamespaceProperties;
    add_namespace_event(transaction, warehouse_ref, operation, namespace, &details, change).await?;
    Ok(changes)
}

/// A change of a namespace's properties.
struct PropertyUpdate<'a> {
    namespace: &'a NamespaceIdent,
    updates: &'a Properties,
    removals: &'a [String],
    limits: &'a RequestLimits,
}

impl PropertyUpdate<'_> {
    /// Returns the new text of the properties' column, and the changes.
    async fn apply(&self, before: String) -> Result<(String, PropertyChanges)> {
        let sizes = self.updates.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let (updates, removals, limits) = (self.updates.clone(), self.removals.to_vec(), *self.limits);
        let is_large = before.len() + sizes > LARGE;
        let work = move || changed(&before, &updates, &removals, &limits);
        if !is_large {
            return work();
        }
        tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::NotMade(Box::new(error)))?
    }
}

fn changed(
    before: &str,
    updates: &Properties,
    removals: &[String],
    limits: &RequestLimits,
) -> Result<(String, PropertyChanges)> {
    let mut all = properties(before)?;
    let changes = change_properties(&mut all, updates, removals);
    // Properties beyond a lowered limit may stay or be removed. They only must not grow.
    if !updates.is_empty() {
        limits.check_namespace(all.iter())?;
    }
    Ok((properties_text(&all)?, changes))
}

/// Formats properties for their column, as a JSON object. JSON escapes U+0000, which no column can hold.
fn properties_text(properties: &Properties) -> Result<String> {
    serde_json::to_string(properties).map_err(|error| StoreError::NotMade(Box::new(error)))
}

/// Parses properties from their column.
fn properties(text: &str) -> Result<Properties> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("namespace.properties: {error}")))
}

/// Returns the keys of properties for an event: at most 20, each shortened to 100 characters.
fn shown_keys<'a>(lists: impl IntoIterator<Item = (&'a str, &'a Vec<String>)>) -> EventDetails {
    const SHOWN: usize = 20;
    const SHOWN_CHARACTERS: usize = 100;
    let beginning = |key: &String| key.chars().take(SHOWN_CHARACTERS).collect::<String>();
    let shown = |keys: &Vec<String>| -> serde_json::Value { keys.iter().take(SHOWN).map(beginning).collect() };
    lists.into_iter().map(|(name, keys)| (name.to_owned(), shown(keys))).collect()
}

/// Writes the event of a change of a namespace.
async fn add_namespace_event(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    operation: Operation,
    namespace: &NamespaceIdent,
    details: &EventDetails,
    change: &Change,
) -> Outcome<()> {
    let object = EventObject::new(ObjectKind::Namespace, None, namespace.to_string());
    let mut details = details.clone();
    note_namespace(&mut details, namespace);
    event_add(transaction, change, warehouse_ref, operation, &object, &details).await
}

/// Removes an empty namespace, with the grants on it. The organisation's lock keeps others from adding to it meanwhile.
async fn remove(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    namespace: &NamespaceIdent,
    change: &Change,
) -> Outcome<()> {
    let (organisation, warehouse) = (warehouse_ref.organisation, warehouse_ref.warehouse);
    lock_for(transaction, organisation, Resource::Namespace).await?;
    let row = transaction
        .query_first(
            "SELECT owner, labels IS NOT NULL,
                    EXISTS (SELECT 1 FROM tabular WHERE organisation = $1 AND warehouse = $2 AND namespace_digest = $4)
                    OR EXISTS (SELECT 1 FROM namespace
                               WHERE organisation = $1 AND warehouse = $2 AND parent_digest = $4)
             FROM namespace WHERE organisation = $1 AND warehouse = $2 AND digest = $4 AND key = $3",
            params![organisation.0, warehouse.0, namespace.as_key(), namespace_digest(namespace)],
        )
        .await?
        .ok_or(NOT_FOUND)?;
    if get(&row, 2)? {
        return Err(StoreError::NotEmpty(Resource::Namespace).into());
    }
    let owner = get::<Option<Uuid>>(&row, 0)?.map(PrincipalId);
    remove_grants(transaction, warehouse_ref, namespace).await?;
    namespace_policy_forget(transaction, warehouse_ref, &PolicyObject::Namespace(namespace.clone())).await?;
    let mut affected: Vec<_> = owner.into_iter().map(Affected::Principal).collect();
    if get(&row, 1)? {
        // Servers have its labels in memory.
        affected.push(Affected::Organisation);
    }
    raise(transaction, organisation, &affected).await?;
    transaction
        .query(
            "DELETE FROM namespace WHERE organisation = $1 AND warehouse = $2 AND digest = $4 AND key = $3",
            params![organisation.0, warehouse.0, namespace.as_key(), namespace_digest(namespace)],
        )
        .await?;
    let (operation, details) = (Operation::DropNamespace, EventDetails::new());
    add_namespace_event(transaction, warehouse_ref, operation, namespace, &details, change).await
}

/// Converts the error about a missing organisation: its namespaces are missing too.
pub(super) fn missing_namespace(failure: Failure) -> Failure {
    match failure {
        Failure::Refused(StoreError::NotFound(Resource::Organisation)) => NOT_FOUND.into(),
        failure => failure,
    }
}

/// Returns the name after which a page of the namespaces directly below `parent` begins, from the key after which it begins.
fn name_below<'a>(parent: &NamespaceIdent, after: &'a str) -> &'a str {
    /// Comes after all names.
    const LAST: &str = "\u{10FFFF}\u{10FFFF}";
    let first = format!("{}{LEVEL_SEPARATOR}", parent.as_key());
    match after.strip_prefix(&first) {
        Some(name) => name,
        // All keys below the parent come after this one, or before it.
        None if after < first.as_str() => "",
        None => LAST,
    }
}

/// Removes the grants on a namespace.
async fn remove_grants(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    namespace: &NamespaceIdent,
) -> Outcome<()> {
    let organisation = warehouse_ref.organisation;
    let removed = transaction
        .query(
            "DELETE FROM access_grant
             WHERE organisation = $1 AND warehouse = $2 AND namespace_digest = $4 AND namespace = $3 RETURNING role",
            params![organisation.0, warehouse_ref.warehouse.0, namespace.as_key(), namespace_digest(namespace)],
        )
        .await?;
    let roles = removed.iter().map(|row| Ok(CatalogRoleId(get(row, 0)?))).collect::<Result<Vec<_>>>()?;
    count_removed_grants(transaction, organisation, roles).await
}

impl PostgresStore {
    /// Returns whether a namespace exists.
    pub(super) async fn namespace_exists(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
    ) -> Result<bool> {
        let found = self
            .read_first(
                EXISTS,
                params![
                    warehouse_ref.organisation.0,
                    warehouse_ref.warehouse.0,
                    namespace.as_key(),
                    namespace_digest(namespace)
                ],
            )
            .await?;
        Ok(found.is_some())
    }
}

#[async_trait]
impl NamespaceStore for PostgresStore {
    async fn namespace_create(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        properties: &Properties,
        change: &Change,
    ) -> Result<()> {
        let properties = properties_text(properties)?;
        change!(self, warehouse_ref.organisation, change, transaction =>
            create(transaction, warehouse_ref, namespace, &properties, change), |_: &()| Answer::Done)
    }

    async fn namespace_get(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
    ) -> Result<Option<Properties>> {
        let row = self
            .read_first(
                GET,
                params![
                    warehouse_ref.organisation.0,
                    warehouse_ref.warehouse.0,
                    namespace.as_key(),
                    namespace_digest(namespace)
                ],
            )
            .await?;
        row.map(|row| properties(get(&row, 0)?)).transpose()
    }

    async fn namespace_list(
        &self,
        warehouse_ref: WarehouseRef,
        parent: Option<&NamespaceIdent>,
        page: &PageRequest,
    ) -> Result<Arc<SharedPage<NamespaceIdent>>> {
        let (organisation, warehouse) = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
        let limit = one_more(page);
        let rows = match parent {
            None => self.read(LIST_TOP, params![organisation, warehouse, after_name(page), limit]).await?,
            Some(parent) => {
                let after = name_below(parent, after_name(page));
                let (key, digest) = (parent.as_key(), namespace_digest(parent));
                self.read(LIST_BELOW, params![organisation, warehouse, after, limit, key, digest]).await?
            }
        };
        let keys = rows.iter().map(|row| namespace_of(get(row, 0)?)).collect::<Result<Vec<_>>>()?;
        let found = page_of(keys, page);
        match parent {
            // Only an empty list leaves open whether the parent exists.
            Some(parent) if found.items.is_empty() && !self.namespace_exists(warehouse_ref, parent).await? => {
                Err(NOT_FOUND)
            }
            _ => Ok(SharedPage::for_one(found)),
        }
    }

    async fn namespace_update_properties(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        updates: &Properties,
        removals: &[String],
        limits: &RequestLimits,
        change: &Change,
    ) -> Result<PropertyChanges> {
        let update = PropertyUpdate { namespace, updates, removals, limits };
        change!(self, warehouse_ref.organisation, change, transaction =>
            update_properties(transaction, warehouse_ref, &update, change),
            |changes: &PropertyChanges| Answer::Properties(changes.clone()))
    }

    async fn namespace_drop(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        change: &Change,
    ) -> Result<()> {
        change!(self, warehouse_ref.organisation, change, transaction =>
            remove(transaction, warehouse_ref, namespace, change), |_: &()| Answer::Done)
    }
}
