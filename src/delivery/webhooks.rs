//! Deliveries to all subscriptions: a worker for each, and the task that starts, wakes and stops them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::address::AllowedAddresses;
use super::courier::{CONSUMER_PREFIX, Courier, consumer_name};
use super::measures::DeliveryMeasures;
use super::sequencer::Sequencer;
use super::webhook::Refusal;
use super::worker::Worker;
use crate::background::{Task, TaskError};
use crate::base::clock::{Clock, fresh_uuid};
use crate::base::due;
use crate::config::DeliveryConfig;
use crate::sealing::KeySource;
use crate::store::{FeedScope, FeedStart, Store, StoreError, Subscription, claim_run};

/// How often the feed is looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// How often the list of subscriptions is read. A change on this server is noticed sooner, but changes are noticed together: the list
/// of all subscriptions may be long.
const LIST_MS: i64 = 5_000;
const LISTS_APART: Duration = Duration::from_millis(400);

/// How often old dead letters are removed, and how many in one transaction.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
const SWEEP_BATCH: u32 = 500;

/// The most scopes with new events that are woken by name. With more, all are.
const MOST_CHANGED: u32 = 1_000;

/// Delivers events to the receivers of subscriptions.
pub struct Webhooks {
    courier: Arc<Courier>,
    sequencer: Arc<Sequencer>,
    workers: Mutex<HashMap<Uuid, Running>>,
    seen: Mutex<Seen>,
}

/// A worker that runs, and the subscription that it was started for.
struct Running {
    worker: Arc<Worker>,
    id: Uuid,
    scope: FeedScope,
    stop: CancellationToken,
}

/// What the last rounds saw.
#[derive(Debug, Default)]
struct Seen {
    listed_ms: Option<i64>,
    listed: Option<Instant>,
    position: Option<i64>,
}

impl Webhooks {
    /// Creates the deliveries. They begin with [`Self::tasks`].
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Clock,
        config: DeliveryConfig,
        keys: KeySource,
        sequencer: Arc<Sequencer>,
    ) -> Self {
        let courier = Arc::new(Courier::new(store, clock, config, keys));
        Self { courier, sequencer, workers: Mutex::default(), seen: Mutex::default() }
    }

    /// Returns the counts of deliveries.
    #[must_use]
    pub fn measures(&self) -> &DeliveryMeasures {
        &self.courier.measures
    }

    /// Returns the rules for addresses of receivers.
    #[must_use]
    pub fn allowed(&self) -> &AllowedAddresses {
        &self.courier.allowed
    }

    /// Returns the settings.
    #[must_use]
    pub fn config(&self) -> &DeliveryConfig {
        &self.courier.config
    }

    /// Returns the age of the oldest event that waits for a receiver on this server, and the number of receivers that fail.
    #[must_use]
    pub fn lag(&self) -> (Duration, u64) {
        let now_ms = self.courier.clock.now_ms();
        let workers = self.workers.lock();
        let waiting = workers.values().filter_map(|running| running.worker.waiting_since_ms());
        let lag_ms = waiting.map(|since_ms| now_ms.saturating_sub(since_ms)).max().unwrap_or(0).max(0);
        let failing = workers.values().filter(|running| running.worker.is_failing()).count();
        (Duration::from_millis(lag_ms.unsigned_abs()), failing as u64)
    }

    /// Notes that a subscription was changed, so that its worker follows at once.
    pub fn note_change(&self) {
        self.sequencer.note_reader();
        self.courier.note_change();
    }

    /// Creates the progress of a new subscription: it begins with the next change.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn begin(&self, subscription: &Subscription) -> Result<(), StoreError> {
        let name = consumer_name(subscription.id);
        self.courier.store.consumer_ensure(subscription.scope, &name, FeedStart::Latest).await?;
        self.note_change();
        Ok(())
    }

    /// Removes the progress of a deleted subscription.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn end(&self, scope: FeedScope, id: Uuid) -> Result<(), StoreError> {
        self.note_change();
        self.courier.store.consumer_remove(scope, &consumer_name(id)).await
    }

    /// Sends an event of the type `io.tidewater.ping.v1`, so that people can test a receiver.
    ///
    /// # Errors
    /// The receiver did not accept it.
    pub async fn ping(&self, of: &Subscription) -> Result<(), Refusal> {
        let refusal = |reason: String| Refusal { reason, is_final: true, after: Duration::ZERO };
        let receiver = self.courier.receiver(of).map_err(refusal)?;
        let busy = || refusal("the server is busy with other deliveries: try again".to_owned());
        let share = self.courier.share(of.scope);
        let _share = share.try_acquire().map_err(|_| busy())?;
        let _slot = self.courier.slots.try_acquire().map_err(|_| busy())?;
        let id = format!("ping:{}", fresh_uuid());
        let body = serde_json::json!({
            "specversion": "1.0",
            "id": id,
            "source": of.scope.organisation().map_or("/server".to_owned(), |id| format!("/organisations/{id}")),
            "type": "io.tidewater.ping.v1",
            "subject": of.name,
            "datacontenttype": "application/json",
            "data": { "subscription-id": of.id },
        });
        receiver.post(&id, &body.to_string()).await
    }

    /// Starts the workers of new and changed subscriptions, and stops those of removed and disabled ones.
    async fn list(self: &Arc<Self>) -> Result<(), TaskError> {
        let listed = self.courier.store.subscription_list_all().await?;
        let wanted: HashMap<Uuid, Subscription> = listed
            .into_iter()
            .filter(|subscription| subscription.disabled_ms.is_none())
            .map(|subscription| (subscription.id, subscription))
            .collect();
        let known = |running: &Running| wanted.get(&running.id).is_some_and(|of| running.worker.is_for(of));
        let removed: Vec<Running> =
            self.workers.lock().extract_if(|_, running| !known(running)).map(|(_, one)| one).collect();
        for running in &removed {
            running.stop.cancel();
        }
        for running in &removed {
            // Its lease has ended then, and its successor can begin.
            running.worker.stopped().await;
        }
        let missing: Vec<Subscription> = {
            let workers = self.workers.lock();
            wanted.into_values().filter(|of| !workers.contains_key(&of.id)).collect()
        };
        for of in missing {
            self.courier.store.consumer_ensure(of.scope, &consumer_name(of.id), FeedStart::Latest).await?;
            self.sequencer.note_reader();
            let (id, scope) = (of.id, of.scope);
            let (worker, stop) = (Arc::new(Worker::new(Arc::clone(&self.courier), of)), CancellationToken::new());
            tokio::spawn(Arc::clone(&worker).run(stop.clone()));
            self.workers.lock().insert(id, Running { worker, id, scope, stop });
        }
        let replays: HashSet<Uuid> = self.courier.store.dead_letter_replays(MOST_CHANGED).await?.into_iter().collect();
        for (id, running) in &*self.workers.lock() {
            if replays.contains(id) {
                running.worker.wake_for_replay();
            }
        }
        Ok(())
    }

    /// Lists the subscriptions from time to time, and wakes the workers of organisations with new events.
    async fn round(self: &Arc<Self>) -> Result<u64, TaskError> {
        let now_ms = self.courier.clock.now_ms();
        // First: a worker that is started below reads all events that this position does not have.
        let latest = self.courier.store.feed_bounds(FeedScope::All).await?.latest;
        let (listed_ms, listed) = {
            let seen = self.seen.lock();
            (seen.listed_ms, seen.listed)
        };
        let is_due = listed_ms.is_none_or(|listed_ms| due::has_passed(listed_ms, now_ms, LIST_MS));
        // A change that comes too soon stays noted until the next round.
        let may_list = listed.is_none_or(|listed| listed.elapsed() >= LISTS_APART);
        if is_due || (may_list && self.courier.take_change()) {
            self.courier.take_change();
            self.seen.lock().listed_ms = Some(now_ms);
            self.list().await?;
            self.seen.lock().listed = Some(Instant::now());
        }
        let last = self.seen.lock().position.replace(latest).unwrap_or(latest);
        if latest == last || self.workers.lock().is_empty() {
            return Ok(0);
        }
        let changed = self.courier.store.feed_changed(last, MOST_CHANGED).await?;
        let are_all = changed.len() >= MOST_CHANGED as usize;
        let changed: HashSet<FeedScope> = changed.into_iter().collect();
        let mut woken = 0;
        for running in self.workers.lock().values() {
            if are_all || running.scope == FeedScope::All || changed.contains(&running.scope) {
                running.worker.wake();
                woken += 1;
            }
        }
        Ok(woken)
    }

    /// Stops all workers, and ends their leases.
    async fn stop(&self) {
        let running: Vec<Running> = self.workers.lock().drain().map(|(_, running)| running).collect();
        for one in &running {
            one.stop.cancel();
        }
        for one in &running {
            one.worker.stopped().await;
        }
    }

    /// Removes old dead letters, and the progress of subscriptions that no longer exist.
    async fn sweep(&self) -> Result<u64, TaskError> {
        if !claim_run(&*self.courier.store, "old-dead-letters", self.courier.clock.now_ms(), SWEEP_INTERVAL).await? {
            return Ok(0);
        }
        let retention_ms =
            i64::try_from(self.courier.config.dead_letter_retention_s.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let before_ms = self.courier.clock.now_ms().saturating_sub(retention_ms);
        let mut removed = 0;
        loop {
            let batch = self.courier.store.dead_letter_remove_before(before_ms, SWEEP_BATCH).await?;
            removed += batch;
            if batch < u64::from(SWEEP_BATCH) {
                break;
            }
        }
        // In this order: a subscription that is created meanwhile is in the list.
        let consumers = self.courier.store.consumer_list().await?;
        let known: HashSet<String> =
            self.courier.store.subscription_list_all().await?.iter().map(|known| consumer_name(known.id)).collect();
        for consumer in consumers {
            if consumer.name.starts_with(CONSUMER_PREFIX) && !known.contains(&consumer.name) {
                self.courier.store.consumer_remove(consumer.scope, &consumer.name).await?;
            }
        }
        Ok(removed)
    }

    /// Returns the tasks of deliveries; none that delivers if the settings say so.
    pub fn tasks(self: &Arc<Self>) -> Vec<Task> {
        let sweep = Task::every("old-dead-letters", SWEEP_INTERVAL, self, |webhooks: Arc<Self>, _| async move {
            webhooks.sweep().await
        })
        .while_failing("Dead letters older than delivery.dead_letter_retention_s stay until then: check the database");
        if !self.courier.config.enabled {
            return vec![sweep];
        }
        let deliver =
            Task::every("webhooks", INTERVAL, self, |webhooks: Arc<Self>, _| async move { webhooks.round().await })
                .wake_on(Arc::clone(&self.courier.changed))
                .while_failing("New events may not be delivered until then: check the database")
                .last(self, |webhooks: Arc<Self>, _| async move {
                    webhooks.stop().await;
                    Ok(0)
                });
        vec![deliver, sweep]
    }
}
