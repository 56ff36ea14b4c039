//! Namespaces and their properties.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tidewater_core::name::NamespaceIdent;
use tidewater_core::properties::change_properties;
use tidewater_core::request_limits::RequestLimits;

use super::convert::{Violation, namespace as namespace_of, properties, properties_text, violation};
use super::events::event_add;
use super::maintenance::namespace_policy_forget;
use super::pages::{one_more, page_of};
use super::warehouses::warehouse_exists;
use super::{Found, SqliteStore};
use crate::store::{
    Answer, Change, EventDetails, EventObject, NamespaceStore, ObjectKind, Operation, Page, PageRequest, PolicyObject,
    Properties, PropertyChanges, Resource, Result, SharedPage, StoreError, WarehouseRef, note_namespace,
};

const NOT_FOUND: StoreError = StoreError::NotFound(Resource::Namespace);

/// Namespaces at the top have the parent NULL. `IS` finds NULL and uses the index as `=` does.
pub(super) const LIST: &str = "SELECT key FROM namespace
    WHERE organisation = ?1 AND warehouse = ?2 AND parent IS ?3 AND key > ?4 ORDER BY key LIMIT ?5";

pub(super) fn namespace_create(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    namespace: &NamespaceIdent,
    properties: &Properties,
    change: &Change,
) -> Result<()> {
    let parent = namespace.parent();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO namespace (organisation, warehouse, key, parent, properties, owner)
             VALUES (?1, ?2, ?3, ?4, ?5,
                     coalesce((SELECT principal FROM api_key WHERE organisation = ?1 AND id = ?6),
                              (SELECT id FROM principal WHERE organisation = ?1 AND id = ?6 AND issuer IS NOT NULL)))",
        )?
        .execute(params![
            warehouse_ref.organisation.0.as_bytes(),
            warehouse_ref.warehouse.0.as_bytes(),
            namespace.as_key(),
            parent.as_ref().map(NamespaceIdent::as_key),
            properties_text(properties)?,
            change.actor.id().map(uuid::Uuid::into_bytes),
        ]);
    let Err(error) = inserted else {
        return add_namespace_event(
            connection,
            warehouse_ref,
            Operation::CreateNamespace,
            namespace,
            &EventDetails::new(),
            change,
        );
    };
    match violation(&error) {
        Some(Violation::Unique) => Err(StoreError::AlreadyExists(Resource::Namespace)),
        Some(Violation::ForeignKey)
            if warehouse_exists(connection, warehouse_ref.organisation, warehouse_ref.warehouse)? =>
        {
            Err(NOT_FOUND)
        }
        Some(Violation::ForeignKey) => Err(StoreError::NotFound(Resource::Warehouse)),
        None => Err(error.into()),
    }
}

pub(super) fn namespace_get(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    namespace: &NamespaceIdent,
) -> Result<Option<Properties>> {
    properties_column(connection, warehouse_ref, namespace)?.map(|text| properties(&text)).transpose()
}

/// Reads the text in the column of a namespace's properties.
fn properties_column(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    namespace: &NamespaceIdent,
) -> Result<Option<String>> {
    let found = connection
        .prepare_cached("SELECT properties FROM namespace WHERE organisation = ?1 AND warehouse = ?2 AND key = ?3")?
        .query_row(
            params![warehouse_ref.organisation.0.as_bytes(), warehouse_ref.warehouse.0.as_bytes(), namespace.as_key()],
            |row| row.get(0),
        )
        .optional()?;
    Ok(found)
}

/// Returns whether a namespace exists.
pub(super) fn namespace_exists(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    namespace: &NamespaceIdent,
) -> Result<bool> {
    let found = connection
        .prepare_cached("SELECT 1 FROM namespace WHERE organisation = ?1 AND warehouse = ?2 AND key = ?3")?
        .query_row(
            params![warehouse_ref.organisation.0.as_bytes(), warehouse_ref.warehouse.0.as_bytes(), namespace.as_key()],
            |_| Ok(()),
        )
        .optional()?;
    Ok(found.is_some())
}

pub(super) fn namespace_list(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    parent: Option<&NamespaceIdent>,
    page: &PageRequest,
) -> Result<Page<NamespaceIdent>> {
    let mut statement = connection.prepare_cached(LIST)?;
    let keys = statement.query_and_then(
        params![
            warehouse_ref.organisation.0.as_bytes(),
            warehouse_ref.warehouse.0.as_bytes(),
            parent.map(NamespaceIdent::as_key),
            page.after.as_deref().unwrap_or(""),
            one_more(page),
        ],
        |row| namespace_of(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?),
    )?;
    let found = page_of(keys.collect::<Result<Vec<_>>>()?, page);
    match parent {
        // Only an empty list leaves open whether the parent exists.
        Some(parent) if found.items.is_empty() && !namespace_exists(connection, warehouse_ref, parent)? => {
            Err(NOT_FOUND)
        }
        _ => Ok(found),
    }
}

/// A change of a namespace's properties.
pub(super) struct PropertyChange {
    pub(super) namespace: NamespaceIdent,
    pub(super) updates: Properties,
    pub(super) removals: Vec<String>,
    pub(super) limits: RequestLimits,
}

/// The result of a property change, ready to write.
pub(super) struct PreparedChange {
    /// The column's text that the result is based on.
    before: String,
    /// The column's new text.
    after: String,
    changes: PropertyChanges,
}

impl PropertyChange {
    /// Computes the result of the change. Changes nothing.
    pub(super) fn prepare(&self, connection: &Connection, warehouse_ref: WarehouseRef) -> Result<PreparedChange> {
        let before = properties_column(connection, warehouse_ref, &self.namespace)?.ok_or(NOT_FOUND)?;
        let mut all = properties(&before)?;
        let changes = change_properties(&mut all, &self.updates, &self.removals);
        // Properties beyond a lowered limit may stay or be removed. They only must not grow.
        if !self.updates.is_empty() {
            self.limits.check_namespace(all.iter())?;
        }
        Ok(PreparedChange { before, after: properties_text(&all)?, changes })
    }

    /// Writes the prepared result. Prepares it again if there is none, or if the properties were changed since.
    pub(super) fn apply(
        &self,
        connection: &Connection,
        warehouse_ref: WarehouseRef,
        prepared: Option<&PreparedChange>,
        change: &Change,
    ) -> Result<PropertyChanges> {
        let changes = self.replace_or_prepare(connection, warehouse_ref, prepared)?;
        let details = shown_keys([("updated", &changes.updated), ("removed", &changes.removed)]);
        add_namespace_event(
            connection,
            warehouse_ref,
            Operation::UpdateNamespaceProperties,
            &self.namespace,
            &details,
            change,
        )?;
        Ok(changes)
    }

    fn replace_or_prepare(
        &self,
        connection: &Connection,
        warehouse_ref: WarehouseRef,
        prepared: Option<&PreparedChange>,
    ) -> Result<PropertyChanges> {
        if let Some(prepared) = prepared
            && self.replace(connection, warehouse_ref, prepared)?
        {
            return Ok(prepared.changes.clone());
        }
        let prepared = self.prepare(connection, warehouse_ref)?;
        self.replace(connection, warehouse_ref, &prepared)?;
        Ok(prepared.changes)
    }

    /// Writes the prepared result, if the properties are still those that it is based on. Returns whether they were.
    fn replace(&self, connection: &Connection, warehouse_ref: WarehouseRef, prepared: &PreparedChange) -> Result<bool> {
        let replaced = connection
            .prepare_cached(
                "UPDATE namespace SET properties = ?4
                 WHERE organisation = ?1 AND warehouse = ?2 AND key = ?3 AND properties = ?5",
            )?
            .execute(params![
                warehouse_ref.organisation.0.as_bytes(),
                warehouse_ref.warehouse.0.as_bytes(),
                self.namespace.as_key(),
                prepared.after,
                prepared.before,
            ])?;
        Ok(replaced > 0)
    }
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
fn add_namespace_event(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    operation: Operation,
    namespace: &NamespaceIdent,
    details: &EventDetails,
    change: &Change,
) -> Result<()> {
    let object = EventObject::new(ObjectKind::Namespace, None, namespace.to_string());
    let mut details = details.clone();
    note_namespace(&mut details, namespace);
    event_add(connection, change, warehouse_ref, operation, &object, &details)
}

pub(super) fn namespace_drop(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    namespace: &NamespaceIdent,
    change: &Change,
) -> Result<()> {
    let dropped = connection
        .prepare_cached("DELETE FROM namespace WHERE organisation = ?1 AND warehouse = ?2 AND key = ?3")?
        .execute(params![
            warehouse_ref.organisation.0.as_bytes(),
            warehouse_ref.warehouse.0.as_bytes(),
            namespace.as_key()
        ]);
    match dropped {
        Ok(0) => Err(NOT_FOUND),
        Ok(_) => {
            namespace_policy_forget(connection, warehouse_ref, &PolicyObject::Namespace(namespace.clone()))?;
            add_namespace_event(
                connection,
                warehouse_ref,
                Operation::DropNamespace,
                namespace,
                &EventDetails::new(),
                change,
            )
        }
        Err(error) if violation(&error) == Some(Violation::ForeignKey) => {
            Err(StoreError::NotEmpty(Resource::Namespace))
        }
        Err(error) => Err(error.into()),
    }
}

#[async_trait]
impl NamespaceStore for SqliteStore {
    async fn namespace_create(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        properties: &Properties,
        change: &Change,
    ) -> Result<()> {
        let (namespace, properties) = (namespace.clone(), properties.clone());
        let work = move |connection: &Connection, change: &Change| {
            namespace_create(connection, warehouse_ref, &namespace, &properties, change)
        };
        self.change(warehouse_ref.organisation, change, work, |()| Answer::Done).await
    }

    async fn namespace_get(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
    ) -> Result<Option<Properties>> {
        let read = || self.read(|connection| namespace_get(connection, warehouse_ref, namespace));
        let Some(memory) = &self.memory else { return read() };
        match memory.namespace(warehouse_ref, namespace) {
            Found::Kept(properties) => Ok(properties),
            Found::Missing(stamp) => {
                let properties = read()?;
                memory.keep_namespace(warehouse_ref, namespace, stamp, properties.as_ref());
                Ok(properties)
            }
        }
    }

    async fn namespace_list(
        &self,
        warehouse_ref: WarehouseRef,
        parent: Option<&NamespaceIdent>,
        page: &PageRequest,
    ) -> Result<Arc<SharedPage<NamespaceIdent>>> {
        let stamp = match self.memory.as_ref().map(|memory| memory.children(warehouse_ref, parent, page)) {
            Some(Found::Kept(page)) => return Ok(page),
            Some(Found::Missing(stamp)) => stamp,
            None => None,
        };
        let (below, request) = (parent.cloned(), page.clone());
        let list = move |connection: &Connection| namespace_list(connection, warehouse_ref, below.as_ref(), &request);
        let found = self.read_list(Some(warehouse_ref.organisation), list).await?;
        match &self.memory {
            Some(memory) => Ok(memory.keep_children(warehouse_ref, parent, page.clone(), stamp, found)),
            None => Ok(SharedPage::for_one(found)),
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
        let properties = PropertyChange {
            namespace: namespace.clone(),
            updates: updates.clone(),
            removals: removals.to_vec(),
            limits: *limits,
        };
        // Prepared outside of the writer, which then only checks that the properties did not change.
        let (properties, prepared) = self
            .read_needed(Some(warehouse_ref.organisation), move |connection| {
                let prepared = properties.prepare(connection, warehouse_ref);
                Ok((properties, prepared))
            })
            .await?;
        let prepared = match prepared {
            Ok(prepared) => Some(prepared),
            // A used idempotency key takes precedence over this error, and only the writer checks it.
            Err(_) if change.receipt.is_some() => None,
            Err(error) => return Err(error),
        };
        let work = move |connection: &Connection, change: &Change| {
            properties.apply(connection, warehouse_ref, prepared.as_ref(), change)
        };
        self.change(warehouse_ref.organisation, change, work, |changes| Answer::Properties(changes.clone())).await
    }

    async fn namespace_drop(
        &self,
        warehouse_ref: WarehouseRef,
        namespace: &NamespaceIdent,
        change: &Change,
    ) -> Result<()> {
        let namespace = namespace.clone();
        let work = move |connection: &Connection, change: &Change| {
            namespace_drop(connection, warehouse_ref, &namespace, change)
        };
        self.change(warehouse_ref.organisation, change, work, |()| Answer::Done).await
    }
}
