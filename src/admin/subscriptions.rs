//! Subscriptions to events: create, list, show, change, test and delete, and their dead letters.

use tidewater_core::access::check_key_name;
use uuid::Uuid;

use super::{Admin, AdminError};
use crate::base::clock::fresh_ordered_uuid;
use crate::base::secret::Secret;
use crate::delivery::{Refusal, fresh_secret, secret_owner};
use crate::sealing::master_key;
use crate::store::{
    Change, DeadLetter, FeedScope, Operation, Resource, SecretUpdate, StoreError, Subscription, SubscriptionFilter,
    SubscriptionHealth, SubscriptionUpdate,
};

/// The most objects in a filter, and the longest of them in bytes.
const MAX_OBJECTS: usize = 100;
const MAX_OBJECT_BYTES: usize = 1_000;

/// The longest overlap of two secrets, and the usual one.
const MAX_OVERLAP_S: u64 = 30 * 86_400;
const USUAL_OVERLAP_S: u64 = 86_400;

/// A new subscription.
#[derive(Debug, Clone)]
pub struct SubscriptionRequest {
    /// Its name.
    pub name: String,
    /// The URL of its receiver.
    pub url: String,
    /// The events that it gets.
    pub filter: SubscriptionFilter,
}

/// A subscription with its secret, which cannot be shown again.
#[derive(Debug)]
pub struct IssuedSubscription {
    /// The subscription.
    pub subscription: Subscription,
    /// The secret of its signatures.
    pub secret: Secret<String>,
}

impl Admin {
    /// Creates a subscription. It begins with the next change.
    ///
    /// # Errors
    /// `Invalid`, `Exists`, `TooMany`.
    pub async fn subscription_create(
        &self,
        scope: FeedScope,
        request: SubscriptionRequest,
        change: &Change,
    ) -> Result<IssuedSubscription, AdminError> {
        let SubscriptionRequest { name, url, filter } = request;
        check_key_name(&name)?;
        self.check_url(&url)?;
        check_objects(&filter.objects)?;
        let (id, secret) = (fresh_ordered_uuid(), fresh_secret()?);
        let subscription = Subscription {
            id,
            scope,
            name,
            url,
            filter,
            sealed_secret: self.seal_subscription(scope, id, &secret).await?,
            previous_secret: None,
            created_ms: change.at_ms,
            disabled_ms: None,
            health: SubscriptionHealth::default(),
        };
        let most = self.webhooks.config().subscriptions_per_organisation;
        let created = self.store.subscription_create(&subscription, most, change).await;
        created.map_err(|error| about(&subscription.name, error))?;
        self.webhooks.begin(&subscription).await?;
        Ok(IssuedSubscription { subscription, secret })
    }

    /// Lists subscriptions by name.
    ///
    /// # Errors
    /// `Store`.
    pub async fn subscription_list(&self, scope: FeedScope) -> Result<Vec<Subscription>, AdminError> {
        Ok(self.store.subscription_list(scope).await?)
    }

    /// Returns the subscription with an id or name.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn subscription_find(&self, scope: FeedScope, named: &str) -> Result<Subscription, AdminError> {
        self.store.subscription_find(scope, named).await?.ok_or_else(|| no_such_subscription(named))
    }

    /// Changes the given fields of a subscription.
    ///
    /// # Errors
    /// `Invalid`, `Exists`, `NotFound`.
    pub async fn subscription_update(
        &self,
        of: &Subscription,
        update: &SubscriptionUpdate,
        change: &Change,
    ) -> Result<Subscription, AdminError> {
        update.name.as_deref().map_or(Ok(()), check_key_name)?;
        update.url.as_deref().map_or(Ok(()), |url| self.check_url(url))?;
        update.objects.as_deref().map_or(Ok(()), check_objects)?;
        self.subscription_change(of, update, Operation::UpdateSubscription, change).await
    }

    async fn subscription_change(
        &self,
        of: &Subscription,
        update: &SubscriptionUpdate,
        operation: Operation,
        change: &Change,
    ) -> Result<Subscription, AdminError> {
        let updated = self.store.subscription_update(of.scope, of.id, update, operation, change).await;
        let updated = updated.map_err(|error| about(update.name.as_ref().unwrap_or(&of.name), error))?;
        self.webhooks.note_change();
        Ok(updated)
    }

    /// Replaces the secret of a subscription. The old one signs too for `overlap_s` seconds.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`.
    pub async fn subscription_rotate(
        &self,
        of: &Subscription,
        overlap_s: Option<u64>,
        change: &Change,
    ) -> Result<IssuedSubscription, AdminError> {
        let overlap_s = overlap_s.unwrap_or(USUAL_OVERLAP_S);
        if overlap_s > MAX_OVERLAP_S {
            return Err(AdminError::Invalid(format!("`overlap-s` must be at most {MAX_OVERLAP_S}")));
        }
        let secret = fresh_secret()?;
        let sealed = self.seal_subscription(of.scope, of.id, &secret).await?;
        let until_ms = change.at_ms.saturating_add(i64::try_from(overlap_s * 1_000).unwrap_or(i64::MAX));
        let rotate = Some(SecretUpdate::Rotate { sealed, until_ms });
        let update = SubscriptionUpdate { secret: rotate, ..SubscriptionUpdate::default() };
        let subscription = self.subscription_change(of, &update, Operation::RotateSubscription, change).await?;
        Ok(IssuedSubscription { subscription, secret })
    }

    /// Removes a subscription with its dead letters. Events that were not delivered are not sent.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn subscription_delete(&self, subscription: &Subscription, change: &Change) -> Result<(), AdminError> {
        let (scope, id) = (subscription.scope, subscription.id);
        let deleted = self.store.subscription_delete(scope, id, change).await;
        deleted.map_err(|error| about(&subscription.name, error))?;
        Ok(self.webhooks.end(scope, id).await?)
    }

    /// Sends a test event to a subscription's receiver now, also if the subscription is disabled.
    ///
    /// # Errors
    /// The receiver did not accept it.
    pub async fn subscription_test(&self, subscription: &Subscription) -> Result<(), Refusal> {
        self.webhooks.ping(subscription).await
    }

    /// Lists up to `at_most` dead letters of a subscription after the id of an event.
    ///
    /// # Errors
    /// `Store`.
    pub async fn dead_letter_list(
        &self,
        subscription: &Subscription,
        after: Option<&str>,
        at_most: u32,
    ) -> Result<Vec<DeadLetter>, AdminError> {
        let (scope, id) = (subscription.scope, subscription.id);
        Ok(self.store.dead_letter_list(scope, id, false, after, at_most).await?)
    }

    /// Requests that dead letters are sent again: those of `events`, or all. Returns their number.
    ///
    /// # Errors
    /// `Store`.
    pub async fn dead_letter_replay(
        &self,
        subscription: &Subscription,
        events: Option<&[String]>,
    ) -> Result<u64, AdminError> {
        let replayed = self.store.dead_letter_replay(subscription.scope, subscription.id, events).await?;
        self.webhooks.note_change();
        Ok(replayed)
    }

    /// Removes dead letters: those of `events`, or all. Returns their number.
    ///
    /// # Errors
    /// `Store`.
    pub async fn dead_letter_discard(
        &self,
        subscription: &Subscription,
        events: Option<&[String]>,
    ) -> Result<u64, AdminError> {
        Ok(self.store.dead_letter_remove(subscription.scope, subscription.id, events).await?)
    }

    fn check_url(&self, url: &str) -> Result<(), AdminError> {
        let checked = self.webhooks.allowed().check_url(url);
        checked.map(drop).map_err(|reason| AdminError::Invalid(format!("`url`: {reason}")))
    }

    /// Seals the secret of a subscription. Creates the master key if the catalog has none.
    async fn seal_subscription(
        &self,
        scope: FeedScope,
        id: Uuid,
        secret: &Secret<String>,
    ) -> Result<Vec<u8>, AdminError> {
        let invalid = |error: &dyn std::fmt::Display| AdminError::Invalid(error.to_string());
        let keys = master_key::check_or_make(self.store.as_ref(), &self.access.keys).await;
        let keys = keys.map_err(|error| invalid(&error))?;
        keys.seal(secret.expose().as_bytes(), &secret_owner(scope, id)).map_err(|error| invalid(&error))
    }
}

fn check_objects(objects: &[String]) -> Result<(), AdminError> {
    if objects.len() > MAX_OBJECTS {
        return Err(AdminError::Invalid(format!("`objects` has more than {MAX_OBJECTS} names")));
    }
    let is_wrong = |name: &String| {
        let exact = name.strip_suffix(".*").unwrap_or(name);
        exact.is_empty() || exact.contains(['*', '\0']) || name.len() > MAX_OBJECT_BYTES
    };
    match objects.iter().find(|name| is_wrong(name)) {
        Some(name) => Err(AdminError::Invalid(format!(
            "`objects`: '{}' is not a name, such as 'sales.orders', or a namespace with its content, such as 'sales.*'",
            shortened(name)
        ))),
        None => Ok(()),
    }
}

fn no_such_subscription(named: &str) -> AdminError {
    AdminError::NotFound(format!("There is no subscription '{}'", shortened(named)))
}

fn about(name: &str, error: StoreError) -> AdminError {
    match error {
        StoreError::NotFound(Resource::Subscription) => no_such_subscription(name),
        StoreError::AlreadyExists(Resource::Subscription) => {
            AdminError::Exists(format!("There is a subscription '{name}' already: choose another name"))
        }
        StoreError::LimitReached { limit } => AdminError::TooMany(format!(
            "There are {limit} subscriptions already, which is the limit (delivery.subscriptions_per_organisation): delete one first"
        )),
        error => AdminError::Store(error),
    }
}

fn shortened(named: &str) -> String {
    named.chars().take(100).collect()
}
