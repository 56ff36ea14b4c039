//! Subscriptions and dead letters.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::SqliteStore;
use super::convert::not_inserted;
use super::events::{Scope, event_add};
use super::feed::{key, scope_of};
use crate::store::subscriptions::{filter_of, filter_text};
use crate::store::{
    Change, DeadLetter, EventDetails, EventObject, FeedScope, ObjectKind, Operation, PreviousSecret, Resource, Result,
    StoreError, Subscription, SubscriptionHealth, SubscriptionStore, SubscriptionUpdate,
};

const SUBSCRIPTION: &str =
    "SELECT organisation, id, name, url, filter, sealed_secret, previous_secret, previous_until_ms, created_ms,
    disabled_ms, delivered_ms, failing_since_ms, last_error FROM subscription";

const DEAD_LETTER: &str = "SELECT organisation, subscription, event, body, reason, at_ms, replay FROM dead_letter";

fn subscription_at(row: &Row<'_>) -> Result<Subscription> {
    let previous: (Option<Vec<u8>>, Option<i64>) = (row.get(6)?, row.get(7)?);
    Ok(Subscription {
        scope: scope_of(row.get(0)?),
        id: Uuid::from_bytes(row.get(1)?),
        name: row.get(2)?,
        url: row.get(3)?,
        filter: filter_of(&row.get::<_, String>(4)?)?,
        sealed_secret: row.get(5)?,
        previous_secret: previous.0.zip(previous.1).map(|(sealed, until_ms)| PreviousSecret { sealed, until_ms }),
        created_ms: row.get(8)?,
        disabled_ms: row.get(9)?,
        health: SubscriptionHealth {
            delivered_ms: row.get(10)?,
            failing_since_ms: row.get(11)?,
            last_error: row.get(12)?,
        },
    })
}

fn dead_letter_at(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        scope: scope_of(row.get(0)?),
        subscription: Uuid::from_bytes(row.get(1)?),
        event: row.get(2)?,
        body: row.get(3)?,
        reason: row.get(4)?,
        at_ms: row.get(5)?,
        replay: row.get(6)?,
    })
}

fn list(connection: &Connection, scope: Option<FeedScope>) -> Result<Vec<Subscription>> {
    let sql = match scope {
        Some(_) => format!("{SUBSCRIPTION} WHERE organisation = ?1 ORDER BY name"),
        None => format!("{SUBSCRIPTION} WHERE ?1 IS NOT NULL ORDER BY organisation, name"),
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([key(scope.unwrap_or(FeedScope::All))])?;
    let mut subscriptions = Vec::new();
    while let Some(row) = rows.next()? {
        subscriptions.push(subscription_at(row)?);
    }
    Ok(subscriptions)
}

fn note_event(connection: &Connection, of: &Subscription, operation: Operation, change: &Change) -> Result<()> {
    let scope = of.scope.organisation().map_or(Scope::SERVER, Scope::from);
    let object = EventObject::new(ObjectKind::Subscription, Some(of.id), of.name.as_str());
    event_add(connection, change, scope, operation, &object, &EventDetails::new())
}

fn create(connection: &Connection, new: &Subscription, most: u32, change: &Change) -> Result<()> {
    if let Some(organisation) = new.scope.organisation() {
        let mut exists = connection.prepare_cached("SELECT 1 FROM organisation WHERE id = ?1")?;
        if !exists.exists([organisation.0.as_bytes()])? {
            return Err(StoreError::NotFound(Resource::Organisation));
        }
    }
    let known: u32 = connection
        .prepare_cached("SELECT count(*) FROM subscription WHERE organisation = ?1")?
        .query_row([key(new.scope)], |row| row.get(0))?;
    if known >= most {
        return Err(StoreError::LimitReached { limit: u64::from(most) });
    }
    connection
        .prepare_cached(
            "INSERT INTO subscription (organisation, id, name, url, filter, sealed_secret, created_ms, disabled_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            key(new.scope),
            new.id.as_bytes(),
            new.name,
            new.url,
            filter_text(&new.filter)?,
            new.sealed_secret,
            new.created_ms,
            new.disabled_ms,
        ])
        .map_err(|error| not_inserted(error, Resource::Subscription))?;
    note_event(connection, new, Operation::CreateSubscription, change)
}

fn get(connection: &Connection, scope: FeedScope, id: Uuid) -> Result<Subscription> {
    let mut statement = connection.prepare_cached(&format!("{SUBSCRIPTION} WHERE organisation = ?1 AND id = ?2"))?;
    let found = statement.query_row(params![key(scope), id.as_bytes()], |row| Ok(subscription_at(row))).optional()?;
    found.ok_or(StoreError::NotFound(Resource::Subscription))?
}

fn update(
    connection: &Connection,
    of: (FeedScope, Uuid),
    update: &SubscriptionUpdate,
    operation: Operation,
    change: &Change,
) -> Result<Subscription> {
    let new = update.apply(get(connection, of.0, of.1)?, change.at_ms);
    let previous = new.previous_secret.as_ref();
    connection
        .prepare_cached(
            "UPDATE subscription SET name = ?3, url = ?4, filter = ?5, sealed_secret = ?6, previous_secret = ?7,
                                     previous_until_ms = ?8, disabled_ms = ?9, failing_since_ms = ?10
             WHERE organisation = ?1 AND id = ?2",
        )?
        .execute(params![
            key(new.scope),
            new.id.as_bytes(),
            new.name,
            new.url,
            filter_text(&new.filter)?,
            new.sealed_secret,
            previous.map(|previous| &previous.sealed),
            previous.map(|previous| previous.until_ms),
            new.disabled_ms,
            new.health.failing_since_ms,
        ])
        .map_err(|error| not_inserted(error, Resource::Subscription))?;
    note_event(connection, &new, operation, change)?;
    Ok(new)
}

fn delete(connection: &Connection, scope: FeedScope, id: Uuid, change: &Change) -> Result<()> {
    let known = get(connection, scope, id)?;
    for sql in [
        "DELETE FROM dead_letter WHERE organisation = ?1 AND subscription = ?2",
        "DELETE FROM subscription WHERE organisation = ?1 AND id = ?2",
    ] {
        connection.prepare_cached(sql)?.execute(params![key(scope), id.as_bytes()])?;
    }
    note_event(connection, &known, Operation::DeleteSubscription, change)
}

fn dead_letter_add(connection: &Connection, new: &DeadLetter, most: u32) -> Result<u64> {
    let of = (key(new.scope), new.subscription.into_bytes());
    // A letter of a subscription that was removed meanwhile would stay for ever.
    connection
        .prepare_cached(
            "INSERT INTO dead_letter (organisation, subscription, event, body, reason, at_ms, replay)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
             WHERE EXISTS (SELECT 1 FROM subscription WHERE organisation = ?1 AND id = ?2)
             ON CONFLICT (organisation, subscription, event)
             DO UPDATE SET reason = excluded.reason, at_ms = excluded.at_ms, replay = excluded.replay",
        )?
        .execute(params![of.0, of.1, new.event, new.body, new.reason, new.at_ms, new.replay])?;
    let removed = connection
        .prepare_cached(
            "DELETE FROM dead_letter WHERE organisation = ?1 AND subscription = ?2 AND event IN
                 (SELECT event FROM dead_letter WHERE organisation = ?1 AND subscription = ?2
                  ORDER BY at_ms DESC, event DESC LIMIT 100 OFFSET ?3)",
        )?
        .execute(params![of.0, of.1, most])?;
    Ok(removed as u64)
}

/// Runs a statement for dead letters of a subscription: those of `events`, or all.
fn of_events(connection: &Connection, sql: &str, of: (FeedScope, Uuid), events: Option<&[String]>) -> Result<u64> {
    let (scope, subscription) = (key(of.0), of.1.into_bytes());
    let Some(events) = events else {
        return Ok(connection.prepare_cached(sql)?.execute(params![scope, subscription])? as u64);
    };
    let mut statement = connection.prepare_cached(&format!("{sql} AND event = ?3"))?;
    let mut total = 0;
    for event in events {
        total += statement.execute(params![scope, subscription, event])? as u64;
    }
    Ok(total)
}

#[async_trait]
impl SubscriptionStore for SqliteStore {
    async fn subscription_create(&self, new: &Subscription, most: u32, change: &Change) -> Result<()> {
        let (new, change) = (new.clone(), change.clone());
        self.write(move |connection| create(connection, &new, most, &change)).await
    }

    async fn subscription_list(&self, scope: FeedScope) -> Result<Vec<Subscription>> {
        self.read_list(scope.organisation(), move |connection| list(connection, Some(scope))).await
    }

    async fn subscription_find(&self, scope: FeedScope, named: &str) -> Result<Option<Subscription>> {
        let id = Uuid::parse_str(named).map_or_else(|_| Vec::new(), |id| id.into_bytes().to_vec());
        self.read(|connection| {
            let sql = format!(
                "{SUBSCRIPTION} WHERE organisation = ?1 AND (id = ?2 OR name = ?3) ORDER BY id = ?2 DESC LIMIT 1"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![key(scope), id, named])?;
            rows.next()?.map(subscription_at).transpose()
        })
    }

    async fn subscription_list_all(&self) -> Result<Vec<Subscription>> {
        self.read_list(None, |connection| list(connection, None)).await
    }

    async fn subscription_update(
        &self,
        scope: FeedScope,
        id: Uuid,
        wanted: &SubscriptionUpdate,
        operation: Operation,
        change: &Change,
    ) -> Result<Subscription> {
        let (wanted, change) = (wanted.clone(), change.clone());
        self.write(move |connection| update(connection, (scope, id), &wanted, operation, &change)).await
    }

    async fn subscription_delete(&self, scope: FeedScope, id: Uuid, change: &Change) -> Result<()> {
        let change = change.clone();
        self.write(move |connection| delete(connection, scope, id, &change)).await
    }

    async fn subscription_note(&self, scope: FeedScope, id: Uuid, health: &SubscriptionHealth) -> Result<()> {
        let health = health.clone();
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE subscription SET delivered_ms = ?3, failing_since_ms = ?4, last_error = ?5
                     WHERE organisation = ?1 AND id = ?2",
                )?
                .execute(params![
                    key(scope),
                    id.as_bytes(),
                    health.delivered_ms,
                    health.failing_since_ms,
                    health.last_error
                ])?;
            Ok(())
        })
        .await
    }

    async fn dead_letter_add(&self, new: &DeadLetter, most: u32) -> Result<u64> {
        let new = new.clone();
        self.write(move |connection| dead_letter_add(connection, &new, most)).await
    }

    async fn dead_letter_list(
        &self,
        scope: FeedScope,
        subscription: Uuid,
        replay: bool,
        after: Option<&str>,
        at_most: u32,
    ) -> Result<Vec<DeadLetter>> {
        let after = after.unwrap_or_default().to_owned();
        self.read_list(scope.organisation(), move |connection| {
            let sql = format!(
                "{DEAD_LETTER} WHERE organisation = ?1 AND subscription = ?2 AND event > ?3 AND (replay OR NOT ?4)
                 ORDER BY event LIMIT ?5"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found = params![key(scope), subscription.into_bytes(), after, replay, at_most];
            Ok(statement.query_map(found, dead_letter_at)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn dead_letter_replay(&self, scope: FeedScope, subscription: Uuid, events: Option<&[String]>) -> Result<u64> {
        let events = events.map(<[String]>::to_vec);
        self.write(move |connection| {
            let sql = "UPDATE dead_letter SET replay = 1 WHERE organisation = ?1 AND subscription = ?2";
            of_events(connection, sql, (scope, subscription), events.as_deref())
        })
        .await
    }

    async fn dead_letter_remove(&self, scope: FeedScope, subscription: Uuid, events: Option<&[String]>) -> Result<u64> {
        let events = events.map(<[String]>::to_vec);
        self.write(move |connection| {
            let sql = "DELETE FROM dead_letter WHERE organisation = ?1 AND subscription = ?2";
            of_events(connection, sql, (scope, subscription), events.as_deref())
        })
        .await
    }

    async fn dead_letter_remove_before(&self, before_ms: i64, at_most: u32) -> Result<u64> {
        self.write(move |connection| {
            let removed = connection
                .prepare_cached(
                    "DELETE FROM dead_letter WHERE (organisation, subscription, event) IN
                         (SELECT organisation, subscription, event FROM dead_letter WHERE at_ms < ?1
                          ORDER BY at_ms LIMIT ?2)",
                )?
                .execute(params![before_ms, at_most])?;
            Ok(removed as u64)
        })
        .await
    }

    async fn dead_letter_replays(&self, at_most: u32) -> Result<Vec<Uuid>> {
        self.read_list(None, move |connection| {
            let sql = "SELECT DISTINCT subscription FROM dead_letter WHERE replay = 1 LIMIT ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_map([at_most], |row| Ok(Uuid::from_bytes(row.get(0)?)))?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn dead_letter_count(&self) -> Result<u64> {
        self.read_list(None, |connection| {
            let mut statement = connection.prepare_cached("SELECT count(*) FROM dead_letter")?;
            Ok(super::convert::count(statement.query_row([], |row| row.get(0))?))
        })
        .await
    }
}
