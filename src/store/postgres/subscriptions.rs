//! Subscriptions and dead letters.

use async_trait::async_trait;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::attempts::transact;
use super::connection::Transaction;
use super::convert::{Failure, Violation, count, get, violation};
use super::events::{Scope, event_add};
use super::feed::{key, scope_of};
use super::params::params;
use crate::store::subscriptions::{filter_of, filter_text};
use crate::store::{
    Change, DeadLetter, EventDetails, EventObject, FeedScope, ObjectKind, Operation, PreviousSecret, Resource, Result,
    StoreError, Subscription, SubscriptionHealth, SubscriptionStore, SubscriptionUpdate,
};

type Outcome<T> = std::result::Result<T, Failure>;

const SUBSCRIPTION: &str =
    "SELECT organisation, id, name, url, filter, sealed_secret, previous_secret, previous_until_ms, created_ms,
    disabled_ms, delivered_ms, failing_since_ms, last_error FROM subscription";

fn subscription_at(row: &Row) -> Result<Subscription> {
    let previous: (Option<Vec<u8>>, Option<i64>) = (get(row, 6)?, get(row, 7)?);
    Ok(Subscription {
        scope: scope_of(get(row, 0)?),
        id: get(row, 1)?,
        name: get(row, 2)?,
        url: get(row, 3)?,
        filter: filter_of(get(row, 4)?)?,
        sealed_secret: get(row, 5)?,
        previous_secret: previous.0.zip(previous.1).map(|(sealed, until_ms)| PreviousSecret { sealed, until_ms }),
        created_ms: get(row, 8)?,
        disabled_ms: get(row, 9)?,
        health: SubscriptionHealth {
            delivered_ms: get(row, 10)?,
            failing_since_ms: get(row, 11)?,
            last_error: get(row, 12)?,
        },
    })
}

fn dead_letter_at(row: &Row) -> Result<DeadLetter> {
    Ok(DeadLetter {
        scope: scope_of(get(row, 0)?),
        subscription: get(row, 1)?,
        event: get(row, 2)?,
        body: get(row, 3)?,
        reason: get(row, 4)?,
        at_ms: get(row, 5)?,
        replay: get(row, 6)?,
    })
}

async fn note_event(
    transaction: &Transaction,
    of: (FeedScope, Uuid, &str),
    operation: Operation,
    change: &Change,
) -> Outcome<()> {
    let scope = of.0.organisation().map_or(Scope::SERVER, Scope::from);
    let object = EventObject::new(ObjectKind::Subscription, Some(of.1), of.2);
    event_add(transaction, change, scope, operation, &object, &EventDetails::new()).await
}

/// Locks the owner of subscriptions, so that their number stays within the limit.
async fn lock(transaction: &Transaction, scope: FeedScope) -> Outcome<()> {
    let locked = match scope.organisation() {
        Some(organisation) => {
            let sql = "SELECT 1 FROM organisation WHERE id = $1 FOR NO KEY UPDATE";
            transaction.count(sql, params![organisation.0]).await?
        }
        None => transaction.count("SELECT 1 FROM feed_state WHERE only_one FOR NO KEY UPDATE", &[]).await?,
    };
    if locked == 0 { Err(StoreError::NotFound(Resource::Organisation).into()) } else { Ok(()) }
}

async fn create(transaction: &Transaction, new: &Subscription, most: u32, change: &Change) -> Outcome<()> {
    lock(transaction, new.scope).await?;
    let known = transaction
        .query_first("SELECT count(*) FROM subscription WHERE organisation = $1", params![key(new.scope)])
        .await?;
    if known.map(|row| get::<i64>(&row, 0)).transpose()?.unwrap_or(0) >= i64::from(most) {
        return Err(StoreError::LimitReached { limit: u64::from(most) }.into());
    }
    let filter = filter_text(&new.filter)?;
    let sql = "INSERT INTO subscription (organisation, id, name, url, filter, sealed_secret, created_ms, disabled_ms)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING 1";
    if transaction
        .count(
            sql,
            params![
                key(new.scope),
                new.id,
                new.name,
                new.url,
                filter,
                new.sealed_secret,
                new.created_ms,
                new.disabled_ms
            ],
        )
        .await?
        == 0
    {
        return Err(StoreError::AlreadyExists(Resource::Subscription).into());
    }
    note_event(transaction, (new.scope, new.id, &new.name), Operation::CreateSubscription, change).await
}

async fn update(
    transaction: &Transaction,
    of: (FeedScope, Uuid),
    update: &SubscriptionUpdate,
    operation: Operation,
    change: &Change,
) -> Outcome<Subscription> {
    // The lock lets concurrent changes of other fields wait for this one.
    let sql = format!("{SUBSCRIPTION} WHERE organisation = $1 AND id = $2 FOR NO KEY UPDATE");
    let known = transaction.query_first(&sql, params![key(of.0), of.1]).await?;
    let known = subscription_at(&known.ok_or(StoreError::NotFound(Resource::Subscription))?)?;
    let new = update.apply(known, change.at_ms);
    let filter = filter_text(&new.filter)?;
    let previous = new.previous_secret.as_ref();
    let sql = "UPDATE subscription SET name = $3, url = $4, filter = $5, sealed_secret = $6, previous_secret = $7,
                                       previous_until_ms = $8, disabled_ms = $9, failing_since_ms = $10
               WHERE organisation = $1 AND id = $2";
    let changed = transaction
        .query(
            sql,
            params![
                key(new.scope),
                new.id,
                new.name,
                new.url,
                filter,
                new.sealed_secret,
                previous.map(|previous| previous.sealed.clone()),
                previous.map(|previous| previous.until_ms),
                new.disabled_ms,
                new.health.failing_since_ms
            ],
        )
        .await;
    match changed {
        Err(failure) if violation(&failure) == Some(Violation::Unique) => {
            return Err(StoreError::AlreadyExists(Resource::Subscription).into());
        }
        changed => changed?,
    };
    note_event(transaction, (new.scope, new.id, &new.name), operation, change).await?;
    Ok(new)
}

async fn delete(transaction: &Transaction, scope: FeedScope, id: Uuid, change: &Change) -> Outcome<()> {
    // The lock keeps new dead letters out.
    let sql = "SELECT name FROM subscription WHERE organisation = $1 AND id = $2 FOR UPDATE";
    let known = transaction.query_first(sql, params![key(scope), id]).await?;
    let known = known.ok_or(StoreError::NotFound(Resource::Subscription))?;
    let sql = "DELETE FROM dead_letter WHERE organisation = $1 AND subscription = $2";
    transaction.query(sql, params![key(scope), id]).await?;
    let sql = "DELETE FROM subscription WHERE organisation = $1 AND id = $2";
    transaction.query(sql, params![key(scope), id]).await?;
    note_event(transaction, (scope, id, get(&known, 0)?), Operation::DeleteSubscription, change).await
}

async fn dead_letter_add(transaction: &Transaction, new: &DeadLetter, most: u32) -> Outcome<u64> {
    let of = (key(new.scope), new.subscription);
    // A letter of a subscription that was removed meanwhile would stay for ever.
    let sql = "INSERT INTO dead_letter (organisation, subscription, event, body, reason, at_ms, replay)
               SELECT $1, $2, $3, $4, $5, $6, $7
               FROM (SELECT 1 FROM subscription WHERE organisation = $1 AND id = $2 FOR KEY SHARE) AS present
               ON CONFLICT (organisation, subscription, event)
               DO UPDATE SET reason = excluded.reason, at_ms = excluded.at_ms, replay = excluded.replay";
    transaction.query(sql, params![of.0, of.1, new.event, new.body, new.reason, new.at_ms, new.replay]).await?;
    let sql = "DELETE FROM dead_letter WHERE organisation = $1 AND subscription = $2 AND event IN
                   (SELECT event FROM dead_letter WHERE organisation = $1 AND subscription = $2
                    ORDER BY at_ms DESC, event DESC LIMIT 100 OFFSET $3) RETURNING 1";
    Ok(transaction.count(sql, params![of.0, of.1, i64::from(most)]).await? as u64)
}

impl PostgresStore {
    /// Runs a statement for dead letters of a subscription: those of `events`, or all.
    async fn of_events(
        &self,
        statement: &str,
        scope: FeedScope,
        subscription: Uuid,
        events: Option<&[String]>,
    ) -> Result<u64> {
        let sql = format!(
            "{statement} WHERE organisation = $1 AND subscription = $2 AND ($3 OR event = ANY($4)) RETURNING 1"
        );
        Ok(self
            .change_rows(&sql, params![key(scope), subscription, events.is_none(), events.unwrap_or_default().to_vec()])
            .await?
            .len() as u64)
    }
}

#[async_trait]
impl SubscriptionStore for PostgresStore {
    async fn subscription_create(&self, new: &Subscription, most: u32, change: &Change) -> Result<()> {
        transact!(self, transaction => create(transaction, new, most, change))
    }

    async fn subscription_list(&self, scope: FeedScope) -> Result<Vec<Subscription>> {
        let sql = format!("{SUBSCRIPTION} WHERE organisation = $1 ORDER BY name");
        self.read(&sql, params![key(scope)]).await?.iter().map(subscription_at).collect()
    }

    async fn subscription_find(&self, scope: FeedScope, named: &str) -> Result<Option<Subscription>> {
        // No column can hold U+0000, so no subscription has such a name.
        if named.contains('\0') {
            return Ok(None);
        }
        let sql = format!(
            "{SUBSCRIPTION} WHERE organisation = $1 AND (id = $2 OR name = $3)
             ORDER BY coalesce(id = $2, false) DESC LIMIT 1"
        );
        let row = self.read_first(&sql, params![key(scope), Uuid::parse_str(named).ok(), named]).await?;
        row.as_ref().map(subscription_at).transpose()
    }

    async fn subscription_list_all(&self) -> Result<Vec<Subscription>> {
        let sql = format!("{SUBSCRIPTION} ORDER BY organisation, name");
        self.read(&sql, &[]).await?.iter().map(subscription_at).collect()
    }

    async fn subscription_update(
        &self,
        scope: FeedScope,
        id: Uuid,
        wanted: &SubscriptionUpdate,
        operation: Operation,
        change: &Change,
    ) -> Result<Subscription> {
        transact!(self, transaction => update(transaction, (scope, id), wanted, operation, change))
    }

    async fn subscription_delete(&self, scope: FeedScope, id: Uuid, change: &Change) -> Result<()> {
        transact!(self, transaction => delete(transaction, scope, id, change))
    }

    async fn subscription_note(&self, scope: FeedScope, id: Uuid, health: &SubscriptionHealth) -> Result<()> {
        let sql = "UPDATE subscription SET delivered_ms = $3, failing_since_ms = $4, last_error = $5
                   WHERE organisation = $1 AND id = $2";
        let error = health.last_error.clone();
        self.change_rows(sql, params![key(scope), id, health.delivered_ms, health.failing_since_ms, error])
            .await
            .map(drop)
    }

    async fn dead_letter_add(&self, new: &DeadLetter, most: u32) -> Result<u64> {
        transact!(self, transaction => dead_letter_add(transaction, new, most))
    }

    async fn dead_letter_list(
        &self,
        scope: FeedScope,
        subscription: Uuid,
        replay: bool,
        after: Option<&str>,
        at_most: u32,
    ) -> Result<Vec<DeadLetter>> {
        let sql = "SELECT organisation, subscription, event, body, reason, at_ms, replay FROM dead_letter
                   WHERE organisation = $1 AND subscription = $2 AND event > $3 AND (replay OR NOT $4)
                   ORDER BY event LIMIT $5";
        let after = after.unwrap_or_default();
        let rows = self.read(sql, params![key(scope), subscription, after, replay, i64::from(at_most)]).await?;
        rows.iter().map(dead_letter_at).collect()
    }

    async fn dead_letter_replay(&self, scope: FeedScope, subscription: Uuid, events: Option<&[String]>) -> Result<u64> {
        self.of_events("UPDATE dead_letter SET replay = true", scope, subscription, events).await
    }

    async fn dead_letter_remove(&self, scope: FeedScope, subscription: Uuid, events: Option<&[String]>) -> Result<u64> {
        self.of_events("DELETE FROM dead_letter", scope, subscription, events).await
    }

    async fn dead_letter_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64> {
        let sql = "DELETE FROM dead_letter AS old USING
                       (SELECT organisation, subscription, event FROM dead_letter WHERE at_ms < $1
                        ORDER BY at_ms LIMIT $2) AS oldest
                   WHERE old.organisation = oldest.organisation AND old.subscription = oldest.subscription
                         AND old.event = oldest.event RETURNING 1";
        Ok(self.change_rows(sql, params![before_ms, i64::from(at_most)]).await?.len() as u64)
    }

    async fn dead_letter_replays(&self, at_most: u32) -> Result<Vec<Uuid>> {
        let sql = "SELECT DISTINCT subscription FROM dead_letter WHERE replay LIMIT $1";
        let rows = self.read(sql, params![i64::from(at_most)]).await?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    async fn dead_letter_count(&self) -> Result<u64> {
        let rows = self.read("SELECT count(*) FROM dead_letter", &[]).await?;
        Ok(rows.first().map(|row| get(row, 0)).transpose()?.map_or(0, count))
    }
}
