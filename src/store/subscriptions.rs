//! Subscriptions: receivers of events over HTTP, and the events that they did not accept.

use async_trait::async_trait;
use tidewater_core::ids::WarehouseId;
use uuid::Uuid;

use super::change::Change;
use super::error::Result;
use super::events::{Event, ObjectKind, Operation};
use super::feed::FeedScope;

/// A receiver of events over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: Uuid,
    /// The events that it may get, and its owner: an organisation, or the operators.
    pub scope: FeedScope,
    /// Its name, which is unique in its scope.
    pub name: String,
    /// The address of the receiver. It has no user name and no password.
    pub url: String,
    /// The events that it gets.
    pub filter: SubscriptionFilter,
    /// The secret of its signatures, sealed with the master key.
    pub sealed_secret: Vec<u8>,
    /// The secret before, which signs too until the time.
    pub previous_secret: Option<PreviousSecret>,
    /// When it was created. All times here are in milliseconds since 1970.
    pub created_ms: i64,
    /// When it was disabled, if it is.
    pub disabled_ms: Option<i64>,
    /// Its deliveries.
    pub health: SubscriptionHealth,
}

/// A secret that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    /// The secret, sealed with the master key.
    pub sealed: Vec<u8>,
    /// When it signs no longer.
    pub until_ms: i64,
}

/// The state of a subscription's deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscriptionHealth {
    /// When the last event was accepted.
    pub delivered_ms: Option<i64>,
    /// The time of the first failure since then.
    pub failing_since_ms: Option<i64>,
    /// The last failure since then.
    pub last_error: Option<String>,
}

/// Selects the events of a subscription. An event has to match every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscriptionFilter {
    /// Only events in this warehouse.
    pub warehouse: Option<WarehouseId>,
    /// Only events of an object with one of these names, before or after the change. `sales.*` stands for all names below `sales`.
    pub objects: Vec<String>,
    /// Only these operations.
    pub operations: Vec<Operation>,
}

impl SubscriptionFilter {
    /// Returns whether an event matches the filter.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let is_named = |name: &str| {
            self.objects.iter().any(|wanted| match wanted.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => wanted == name,
            })
        };
        let is_content = matches!(event.object.kind, ObjectKind::Namespace | ObjectKind::Table | ObjectKind::View);
        let object = &event.object;
        self.warehouse.is_none_or(|warehouse| event.warehouse == Some(warehouse))
            && (self.objects.is_empty()
                || (is_content && (is_named(&object.name) || object.new_name.as_deref().is_some_and(is_named))))
            && (self.operations.is_empty() || self.operations.contains(&event.operation))
    }
}

/// Changes of a subscription. Fields that are `None` stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscriptionUpdate {
    /// Its new name.
    pub name: Option<String>,
    /// The new URL of its receiver.
    pub url: Option<String>,
    /// The new warehouse of its filter; `Some(None)` for all warehouses.
    pub warehouse: Option<Option<WarehouseId>>,
    /// The new names of its filter.
    pub objects: Option<Vec<String>>,
    /// The new operations of its filter.
    pub operations: Option<Vec<Operation>>,
    /// Whether it is disabled.
    pub disabled: Option<bool>,
    /// The new form of its secret.
    pub secret: Option<SecretUpdate>,
}

/// A change of a subscription's secret. Secrets are sealed with the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretUpdate {
    /// Another secret. The one before signs too until the time.
    Rotate {
        /// The new secret.
        sealed: Vec<u8>,
        /// When the former secret signs no longer.
        until_ms: i64,
    },
    /// The same secret in another form, and no previous one. Changes nothing if the stored form is not `from`.
    Reseal {
        /// The form that was read.
        from: Vec<u8>,
        /// The new form.
        to: Vec<u8>,
    },
}

impl SubscriptionUpdate {
    /// Returns the subscription after the change. A store calls it in the transaction that has read the row.
    #[must_use]
    pub(super) fn apply(&self, before: Subscription, now_ms: i64) -> Subscription {
        let mut new = before;
        new.name = self.name.clone().unwrap_or(new.name);
        new.url = self.url.clone().unwrap_or(new.url);
        new.filter.warehouse = self.warehouse.unwrap_or(new.filter.warehouse);
        new.filter.objects = self.objects.clone().unwrap_or(new.filter.objects);
        new.filter.operations = self.operations.clone().unwrap_or(new.filter.operations);
        match self.disabled {
            Some(true) => {
                new.disabled_ms.get_or_insert(now_ms);
            }
            Some(false) if new.disabled_ms.is_some() => {
                new.disabled_ms = None;
                // Otherwise the time of its failures would disable it again at once.
                new.health.failing_since_ms = None;
            }
            Some(false) | None => {}
        }
        match &self.secret {
            Some(SecretUpdate::Rotate { sealed, until_ms }) => {
                let former = std::mem::replace(&mut new.sealed_secret, sealed.clone());
                new.previous_secret = Some(PreviousSecret { sealed: former, until_ms: *until_ms });
            }
            Some(SecretUpdate::Reseal { from, to }) if new.sealed_secret == *from => {
                new.sealed_secret.clone_from(to);
                new.previous_secret = None;
            }
            Some(SecretUpdate::Reseal { .. }) | None => {}
        }
        new
    }
}

/// An event that a subscription's receiver did not accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The owner of its subscription.
    pub scope: FeedScope,
    /// Its subscription.
    pub subscription: Uuid,
    /// The id of the event for receivers, which is unique in the subscription.
    pub event: String,
    /// The event in the form for receivers.
    pub body: String,
    /// The reason of the last failure.
    pub reason: String,
    /// When the last attempt failed, in milliseconds since 1970.
    pub at_ms: i64,
    /// Whether it is to be sent again.
    pub replay: bool,
}

/// Stores subscriptions and their dead letters.
///
/// A change whose future is dropped may happen or not, but never in part.
#[async_trait]
pub trait SubscriptionStore: Send + Sync + 'static {
    /// Adds a subscription.
    ///
    /// # Errors
    /// `NotFound` when the organisation does not exist; `AlreadyExists` when the name is taken; `LimitReached`.
    async fn subscription_create(&self, new: &Subscription, most: u32, change: &Change) -> Result<()>;

    /// Lists the subscriptions of a scope by name.
    async fn subscription_list(&self, scope: FeedScope) -> Result<Vec<Subscription>>;

    /// Returns the subscription of a scope with an id, or the one with a name if none has the id.
    async fn subscription_find(&self, scope: FeedScope, named: &str) -> Result<Option<Subscription>>;

    /// Lists the subscriptions of all organisations and of the operators.
    async fn subscription_list_all(&self) -> Result<Vec<Subscription>>;

    /// Changes the given fields of a subscription, and returns it. Concurrent changes of other fields stay. `operation` is that of
    /// the event.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` when the name is taken.
    async fn subscription_update(
        &self,
        scope: FeedScope,
        id: Uuid,
        update: &SubscriptionUpdate,
        operation: Operation,
        change: &Change,
    ) -> Result<Subscription>;

    /// Removes a subscription with its dead letters.
    ///
    /// # Errors
    /// `NotFound`.
    async fn subscription_delete(&self, scope: FeedScope, id: Uuid, change: &Change) -> Result<()>;

    /// Stores the state of a subscription's deliveries. Ignores a subscription that no longer exists.
    async fn subscription_note(&self, scope: FeedScope, id: Uuid, health: &SubscriptionHealth) -> Result<()>;

    /// Adds a dead letter, or replaces the one of the same event. Removes the oldest ones of the subscription above `most`. Returns the
    /// number removed.
    async fn dead_letter_add(&self, new: &DeadLetter, most: u32) -> Result<u64>;

    /// Lists up to `at_most` dead letters of a subscription by the ids of their events, after an id; only those to be sent again if
    /// `replay` is set.
    async fn dead_letter_list(
        &self,
        scope: FeedScope,
        subscription: Uuid,
        replay: bool,
        after: Option<&str>,
        at_most: u32,
    ) -> Result<Vec<DeadLetter>>;

    /// Marks dead letters of a subscription to be sent again: those of `events`, or all of them. Returns their number.
    async fn dead_letter_replay(&self, scope: FeedScope, subscription: Uuid, events: Option<&[String]>) -> Result<u64>;

    /// Removes dead letters of a subscription: those of `events`, or all of them. Returns their number.
    async fn dead_letter_remove(&self, scope: FeedScope, subscription: Uuid, events: Option<&[String]>) -> Result<u64>;

    /// Removes up to `at_most` dead letters from before a time, oldest first. Returns their number.
    async fn dead_letter_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64>;

    /// Lists up to `at_most` subscriptions, of all scopes, with dead letters that are to be sent again.
    async fn dead_letter_replays(&self, at_most: u32) -> Result<Vec<Uuid>>;

    /// Returns the number of dead letters of all subscriptions.
    async fn dead_letter_count(&self) -> Result<u64>;
}

/// A filter in the form of its column.
#[derive(serde::Serialize, serde::Deserialize)]
struct FilterColumn {
    warehouse: Option<Uuid>,
    objects: Vec<String>,
    operations: Vec<String>,
}

/// Formats a filter for its column, as JSON.
pub(super) fn filter_text(filter: &SubscriptionFilter) -> Result<String> {
    let column = FilterColumn {
        warehouse: filter.warehouse.map(|warehouse| warehouse.0),
        objects: filter.objects.clone(),
        operations: filter.operations.iter().map(|operation| operation.as_str().to_owned()).collect(),
    };
    serde_json::to_string(&column).map_err(|error| super::StoreError::NotMade(Box::new(error)))
}

/// Parses the column of a filter.
pub(super) fn filter_of(text: &str) -> Result<SubscriptionFilter> {
    let corrupt = |problem: String| super::StoreError::Corrupt(format!("subscription: {problem}"));
    let column: FilterColumn = serde_json::from_str(text).map_err(|error| corrupt(error.to_string()))?;
    let operations = column.operations.iter().map(|name| name.parse());
    Ok(SubscriptionFilter {
        warehouse: column.warehouse.map(WarehouseId),
        objects: column.objects,
        operations: operations
            .collect::<std::result::Result<_, super::UnknownOperation>>()
            .map_err(|error| corrupt(error.to_string()))?,
    })
}
