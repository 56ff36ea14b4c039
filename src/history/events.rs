//! Events of changes: their form for clients, and their removal after the retention.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tidewater_core::access::Role;
use tidewater_core::ids::OrganisationId;
use uuid::Uuid;

use crate::background::Task;
use crate::base::clock::Clock;
use crate::store::{Event, EventDetails, Store, StoreError, claim_run};

/// How often old events are removed, and how many in one transaction. The limit keeps commits from waiting long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
const SWEEP_BATCH: u32 = 500;

/// An event as the API and the command line show it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EventEntry {
    id: i64,
    at_ms: i64,
    actor: String,
    actor_type: &'static str,
    actor_id: Option<Uuid>,
    /// The name of the engine's key that acted for the actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    engine_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organisation_id: Option<OrganisationId>,
    operation: &'static str,
    object: String,
    object_type: &'static str,
    object_id: Option<Uuid>,
    new_name: Option<String>,
    warehouse_id: Option<Uuid>,
    request_id: Option<String>,
    address: Option<String>,
    /// The client's `User-Agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    /// The actor's built-in role at the time of the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    details: EventDetails,
}

impl From<Event> for EventEntry {
    fn from(event: Event) -> Self {
        Self {
            id: event.id,
            at_ms: event.at_ms,
            actor: event.actor.name().unwrap_or(event.actor.kind()).to_owned(),
            actor_type: event.actor.kind(),
            actor_id: event.actor.id(),
            engine: event.actor.engine().map(|engine| engine.name.to_string()),
            engine_id: event.actor.engine().map(|engine| engine.id.0),
            organisation_id: event.organisation,
            operation: event.operation.as_str(),
            object: event.object.name,
            object_type: event.object.kind.as_str(),
            object_id: event.object.id,
            new_name: event.object.new_name,
            warehouse_id: event.warehouse.map(|id| id.0),
            request_id: event.request_id.map(|id| id.to_string()),
            address: event.client.map(|client| client.to_string()),
            user_agent: event.agent.map(|agent| agent.to_string()),
            role: event.role.map(Role::as_str),
            details: event.details,
        }
    }
}

/// Removes events that are too old or too many.
pub struct EventRetention {
    store: Arc<dyn Store>,
    clock: Clock,
    kept: Mutex<Kept>,
}

/// The retention of events.
#[derive(Debug, Clone, Copy)]
struct Kept {
    retention: Duration,
    per_organisation: u32,
}

impl EventRetention {
    /// Creates the task that keeps events for `retention`, and at most the newest `per_organisation` of each organisation.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, retention: Duration, per_organisation: u32) -> Self {
        Self { store, clock, kept: Mutex::new(Kept { retention, per_organisation }) }
    }

    /// Changes the retention and the number of events of each organisation.
    pub fn set_retention(&self, retention: Duration, per_organisation: u32) {
        *self.kept.lock() = Kept { retention, per_organisation };
    }

    /// Removes events that are too old or too many, in batches. Returns their number.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let Kept { retention, per_organisation } = *self.kept.lock();
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let before_ms = self.clock.now_ms().saturating_sub(retention_ms);
        let mut removed = 0;
        loop {
            let batch = self.store.event_remove_before(before_ms, SWEEP_BATCH).await?;
            removed += batch;
            if batch < u64::from(SWEEP_BATCH) {
                break;
            }
        }
        for (organisation, last) in self.store.event_surplus(per_organisation).await? {
            tracing::warn!(%organisation, per_organisation, "an organisation has more events than the limit: the oldest are removed");
            loop {
                let batch = self.store.event_remove_up_to(organisation, last, SWEEP_BATCH).await?;
                removed += batch;
                if batch < u64::from(SWEEP_BATCH) {
                    break;
                }
            }
        }
        Ok(removed)
    }

    /// Returns the task that calls [`Self::sweep`] every ten minutes.
    pub fn task(self: &Arc<Self>) -> Task {
        let sweep = |events: Arc<Self>, _| async move {
            let is_claimed = claim_run(&*events.store, "old-events", events.clock.now_ms(), SWEEP_INTERVAL).await?;
            Ok(if is_claimed { events.sweep().await? } else { 0 })
        };
        Task::every("old-events", SWEEP_INTERVAL, self, sweep)
            .while_failing("Events older than events.retention_s stay until then: check the database and its disk")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::base::clock::fresh_uuid;
    use crate::store::{Change, EventFilter, Organisation};

    #[tokio::test]
    async fn sweep_removes_events_that_are_too_old_or_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = crate::store::open(&folder.path().join("t.db")).unwrap();
        let id = OrganisationId(fresh_uuid());
        let acme = Organisation::new(id, "acme", "free", 0);
        store.organisation_create(&acme, &Change::by_catalog(0)).await.unwrap();
        for at_ms in 1..=5 {
            let tier = format!("tier-{at_ms}");
            store.organisation_set_tier(id, &tier, &Change::by_catalog(at_ms * 1_000)).await.unwrap();
        }
        let times = async || {
            let page = store.event_list(Some(id), &EventFilter::default(), None, 100).await.unwrap();
            page.events.iter().map(|event| event.at_ms).collect::<Vec<_>>()
        };
        let now_ms = Arc::new(AtomicI64::new(5_000));
        let retention =
            EventRetention::new(Arc::clone(&store), Clock::Manual(Arc::clone(&now_ms)), Duration::from_secs(4), 4);
        retention.sweep().await.unwrap();
        assert_eq!(times().await, [5_000, 4_000, 3_000, 2_000]);
        now_ms.store(7_000, Ordering::SeqCst);
        retention.sweep().await.unwrap();
        assert_eq!(times().await, [5_000, 4_000, 3_000]);
        retention.set_retention(Duration::from_secs(4), 1);
        retention.sweep().await.unwrap();
        assert_eq!(times().await, [5_000]);
    }
}
