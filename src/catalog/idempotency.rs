//! Answers repeated requests. A client that does not know whether its request succeeded sends it again with the same key, and
//! gets the same answer (REST specification, the header `Idempotency-Key`).
//!
//! The answer is stored as a [`Receipt`] in the transaction of the change. A request whose key was used reads its answer here. A
//! process serves requests with one key one after the other. Between processes the store decides.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tidewater_core::ids::{OrganisationId, PrincipalId};
use uuid::{Uuid, Variant};

use crate::background::Task;
use crate::base::clock::Clock;
use crate::base::keyed_lock::{KeyGuard, KeyedLock};
use crate::store::{Answer, KeptAnswer, Receipt, RequestDigest, Store, StoreError, claim_run};

/// How much longer than promised an answer is kept, for requests that are sent at the last moment.
const GRACE: Duration = Duration::from_secs(60);

/// The interval between removals of expired receipts.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// The most receipts that one transaction removes, so that commits do not wait long.
const SWEEP_BATCH: u32 = 500;

/// The idempotency key of a client: a UUID of version 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Uuid);

/// The text is not a valid key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid Idempotency-Key: it must be a UUID of version 7 in its usual form of 36 characters")]
pub struct InvalidKey;

impl FromStr for IdempotencyKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        const TEXT_LEN: usize = 36;
        let uuid = Uuid::try_parse(text).map_err(|_| InvalidKey)?;
        let is_v7 = uuid.get_version_num() == 7 && uuid.get_variant() == Variant::RFC4122;
        if is_v7 && text.len() == TEXT_LEN { Ok(Self(uuid)) } else { Err(InvalidKey) }
    }
}

/// An idempotency key with the principal that sent it. The keys of different principals are apart.
pub type SentKey = (OrganisationId, PrincipalId, IdempotencyKey);

/// Why a request with a key cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// The key was used with another request.
    #[error(
        "The Idempotency-Key was used for another request: repeat the request unchanged, or use a new key for a new request"
    )]
    OtherRequest,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not answer the read that the request needs before it changes anything.
    #[error(transparent)]
    Unread(StoreError),
}

impl IdempotencyError {
    /// Converts the error of a read before the request has tried to change anything.
    #[must_use]
    pub fn before_change(self) -> Self {
        match self {
            Self::Store(error @ StoreError::Unavailable(_)) => Self::Unread(error),
            error => error,
        }
    }
}

/// Returns the digest of a request. `parts` must include everything in which requests differ.
#[must_use]
pub fn request_digest(parts: &[&[u8]]) -> RequestDigest {
    let mut digest = Sha256::new();
    for part in parts {
        // With its length, so that moving text from one part to the next changes the digest.
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    RequestDigest(digest.finalize().into())
}

/// The stored answers to requests with an idempotency key.
pub struct Idempotency {
    store: Arc<dyn Store>,
    clock: Clock,
    lifetime: Duration,
    turns: Arc<KeyedLock<SentKey>>,
}

impl Idempotency {
    /// Creates the access to the answers in `store`, which stores each for at least `lifetime`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, lifetime: Duration) -> Self {
        Self { store, clock, lifetime, turns: Arc::default() }
    }

    /// Returns the same access with another lifetime. Both share the locks of the keys.
    #[must_use]
    pub fn with_lifetime(&self, lifetime: Duration) -> Self {
        Self { store: Arc::clone(&self.store), clock: self.clock.clone(), lifetime, turns: Arc::clone(&self.turns) }
    }

    /// Returns how long a request can be repeated.
    #[must_use]
    pub const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Waits until this process serves no other request with the same key.
    pub(crate) async fn enter(&self, key: SentKey) -> KeyGuard<'_, SentKey> {
        self.turns.enter(key).await
    }

    /// Returns the stored answer to this request, if it was answered before.
    ///
    /// # Errors
    /// Fails if the key came with another request before, or if the store does not answer.
    pub async fn earlier(
        &self,
        (organisation, principal, key): SentKey,
        request: RequestDigest,
    ) -> Result<Option<Answer>, IdempotencyError> {
        match self.store.receipt_get(organisation, principal, key.0, self.clock.now_ms()).await? {
            Some(kept) if kept.request != request => Err(IdempotencyError::OtherRequest),
            kept => Ok(kept.map(|KeptAnswer { answer, .. }| answer)),
        }
    }

    /// Returns the receipt that a change of this request stores.
    #[must_use]
    pub fn receipt(&self, (_, principal, key): SentKey, request: RequestDigest) -> Receipt {
        let now_ms = self.clock.now_ms();
        let kept_ms = i64::try_from((self.lifetime + GRACE).as_millis()).unwrap_or(i64::MAX);
        Receipt { principal, key: key.0, request, expires_ms: now_ms.saturating_add(kept_ms) }
    }

    /// Stores the answer to a request that changed nothing. Returns false if the request was answered meanwhile: then
    /// [`Self::earlier`] returns that answer.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn store_answer(
        &self,
        organisation: OrganisationId,
        receipt: &Receipt,
        answer: &Answer,
    ) -> Result<bool, StoreError> {
        match self.store.receipt_add(organisation, receipt, answer, self.clock.now_ms()).await {
            Ok(()) => Ok(true),
            Err(StoreError::Repeated) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes expired answers in batches, so that other changes can run between them. Returns the number of removed answers.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let now_ms = self.clock.now_ms();
        let mut removed = 0;
        loop {
            let batch = self.store.receipt_remove_expired(now_ms, SWEEP_BATCH).await?;
            removed += batch;
            if batch < u64::from(SWEEP_BATCH) {
                return Ok(removed);
            }
        }
    }

    /// Returns the task that calls [`Self::sweep`] every minute.
    pub fn task(self: &Arc<Self>) -> Task {
        let sweep = |answers: Arc<Self>, _| async move {
            let (store, now_ms) = (&*answers.store, answers.clock.now_ms());
            let is_claimed = claim_run(store, "expired-answers", now_ms, SWEEP_INTERVAL).await?;
            Ok(if is_claimed { answers.sweep().await? } else { 0 })
        };
        Task::every("expired-answers", SWEEP_INTERVAL, self, sweep).while_failing(
            "Expired answers of requests with an Idempotency-Key stay until then: check the database and its disk",
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::base::clock::{fresh_ordered_uuid, fresh_uuid};
    use crate::store::{Change, Organisation};

    #[test]
    fn only_a_hyphenated_uuid_of_version_7_is_a_key() {
        for good in ["017F22E2-79B0-7CC3-98C4-DC0C0C07398F", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"] {
            assert!(good.parse::<IdempotencyKey>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "none",
            "550e8400-e29b-41d4-a716-446655440000",
            "017f22e279b07cc398c4dc0c0c07398f",
            "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
            "urn:uuid:017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
            "017f22e2-79b0-7cc3-18c4-dc0c0c07398f",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398f ",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
        ] {
            assert_eq!(bad.parse::<IdempotencyKey>(), Err(InvalidKey), "{bad}");
        }
    }

    #[test]
    fn different_requests_have_different_digests() {
        let requests: [&[&[u8]]; 4] =
            [&[b"POST", b"/a", b"b"], &[b"POST", b"/ab", b""], &[b"POST", b"/a", b"c"], &[b"DELETE", b"/a", b"b"]];
        for (at, one) in requests.iter().enumerate() {
            for (other_at, other) in requests.iter().enumerate() {
                assert_eq!(request_digest(one) == request_digest(other), at == other_at);
            }
        }
    }

    #[tokio::test]
    async fn answer_is_kept_for_its_lifetime_and_then_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = crate::store::open(&folder.path().join("t.db")).unwrap();
        let id = OrganisationId(fresh_uuid());
        let acme = Organisation::new(id, "acme", "premium", 1);
        store.organisation_create(&acme, &Change::by_catalog(0)).await.unwrap();
        let now_ms = Arc::new(AtomicI64::new(1_000_000));
        let lifetime = Duration::from_secs(1_800);
        let clock = Clock::Manual(Arc::clone(&now_ms));
        let idempotency = Idempotency::new(Arc::clone(&store), clock, lifetime);
        let request = request_digest(&[b"a"]);
        let principal = PrincipalId(fresh_uuid());
        let fresh_key = |_| (id, principal, fresh_ordered_uuid().to_string().parse().unwrap());
        let keys: Vec<SentKey> = (0..1_200).map(fresh_key).collect();
        for key in &keys {
            assert!(idempotency.store_answer(id, &idempotency.receipt(*key, request), &Answer::Done).await.unwrap());
        }
        assert!(!idempotency.store_answer(id, &idempotency.receipt(keys[0], request), &Answer::Done).await.unwrap());
        let other = idempotency.earlier(keys[0], request_digest(&[b"b"])).await;
        assert!(matches!(other, Err(IdempotencyError::OtherRequest)));
        let of_another = (id, PrincipalId(fresh_uuid()), keys[0].2);
        assert_eq!(idempotency.earlier(of_another, request_digest(&[b"b"])).await.unwrap(), None);

        now_ms.fetch_add(1_800_000, Ordering::SeqCst);
        idempotency.sweep().await.unwrap();
        assert_eq!(idempotency.earlier(keys[0], request).await.unwrap(), Some(Answer::Done));
        now_ms.fetch_add(60_000, Ordering::SeqCst);
        assert_eq!(idempotency.earlier(keys[0], request).await.unwrap(), None);
        idempotency.sweep().await.unwrap();
        assert_eq!(store.receipt_remove_expired(i64::MAX, 1).await.unwrap(), 0, "more than one batch went");
    }
}
