//! Records when keys and users were last used, and maintains the signing keys.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Authenticator, MAINTENANCE_INTERVAL, NOTE_INTERVAL_MS, UsedBy};
use crate::auth::caller::Identity;
use crate::auth::error::AuthError;
use crate::auth::signing::OlderKeys;
use crate::auth::standing::Standing;
use crate::background::Task;
use crate::base::due;
use crate::store::{Change, StoreError};

impl Authenticator {
    pub(super) fn note_use(&self, standing: &Standing, principal: &Identity, now_ms: i64) {
        let noted_ms = standing.noted_ms.load(Ordering::Relaxed);
        if !due::has_passed(noted_ms, now_ms, NOTE_INTERVAL_MS) {
            return;
        }
        standing.noted_ms.store(now_ms, Ordering::Relaxed);
        self.note_all([(principal.into(), now_ms)]);
    }

    fn note_all(&self, uses: impl IntoIterator<Item = (UsedBy, i64)>) {
        let mut used_ms = self.used_ms.lock();
        for (key, now_ms) in uses {
            let last = used_ms.entry(key).or_insert(now_ms);
            *last = now_ms.max(*last);
        }
    }

    /// Writes when keys were last used. Returns the number of keys.
    ///
    /// # Errors
    /// Fails if the store does not answer. Unwritten times are kept for the next call.
    pub async fn flush(&self) -> Result<u64, StoreError> {
        let uses: Vec<_> = std::mem::take(&mut *self.used_ms.lock()).into_iter().collect();
        if uses.is_empty() {
            return Ok(0);
        }
        let count = uses.len() as u64;
        let (mut keys, mut users, mut operators) = (Vec::new(), Vec::new(), Vec::new());
        for (by, used_ms) in &uses {
            match by {
                UsedBy::Key(id) => keys.push((*id, *used_ms)),
                UsedBy::User(organisation, id) => users.push((*organisation, *id, *used_ms)),
                UsedBy::Operator(id) => operators.push((*id, *used_ms)),
            }
        }
        let store = &self.source.store;
        let mut written = store.key_touch(&keys).await;
        if written.is_ok() && !users.is_empty() {
            written = store.user_touch(&users).await;
        }
        if written.is_ok() && !operators.is_empty() {
            written = store.operator_touch(&operators).await;
        }
        if written.is_err() {
            self.note_all(uses);
        }
        written.map(|()| count)
    }

    /// Adds a signing key. Servers sign with it after [`crate::auth::ACTIVE_AFTER_MS`]. With [`OlderKeys::Remove`], they sign with it
    /// at once, and refuse tokens of older keys from the next request on.
    ///
    /// # Errors
    /// Fails if the store does not answer, or the system returns no random bytes.
    pub async fn rotate_signing_key(&self, older: OlderKeys, change: &Change) -> Result<(), AuthError> {
        self.signing.rotate(older, change).await
    }

    /// Reads the signing keys again after this process removed some.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn reload_signing_keys(&self) -> Result<(), StoreError> {
        self.signing.reload().await
    }

    /// Does the work of every minute: [`Self::flush`], reads the signing keys, and removes those without valid tokens.
    /// Returns the number of keys whose use was written.
    ///
    /// # Errors
    /// Fails if the store does not answer. The next call repeats the work.
    pub async fn maintain(&self) -> Result<u64, StoreError> {
        let used = self.flush().await?;
        self.signing.reload().await?;
        self.signing.remove_retired(self.now_ms()).await?;
        self.missing_roles.lock().clear();
        Ok(used)
    }

    /// Returns the task that reads the keys of identity providers.
    pub fn provider_task(&self) -> Task {
        self.provider_keys.task()
    }

    /// Returns the task that calls [`Self::maintain`] every minute, and [`Self::flush`] at the end.
    pub fn task(self: &Arc<Self>) -> Task {
        let maintain = |authenticator: Arc<Self>, _| async move { Ok(authenticator.maintain().await?) };
        Task::every("keys", MAINTENANCE_INTERVAL, self, maintain)
            .first_after(MAINTENANCE_INTERVAL)
            .last(self, |authenticator, _| async move { Ok(authenticator.flush().await?) })
            .while_failing(
                "New signing keys of other servers are not read, and uses of keys not written: check the database and its disk",
            )
    }
}
