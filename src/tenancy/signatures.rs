//! The rate limit of a key's signatures for requests to storage. Signatures do not count against the daily limit
//! (docs/decisions/0016), so only this limit keeps one key from blocking the server for all others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_core::ids::KeyId;
use tidewater_core::pace::{Pace, is_forgotten};

use crate::base::clock::Clock;

/// The longest wait for a turn, in microseconds: longer than the pauses between a scan's requests, and far shorter than clients'
/// time-outs.
const MAX_WAIT_US: u32 = 2_000_000;

/// The number of keys from which idle keys are forgotten.
const MANY_KEYS: usize = 1_024;

/// A key requests signatures much faster than the limit. Answered 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this key requested more than {per_second} signatures a second: try again in {} s, or send fewer requests at the same \
     time; the operator can change `api.signatures_per_second`",
    Self::RETRY_AFTER_S
)]
pub struct TooManySignatures {
    /// The limit, in signatures per second.
    pub per_second: u32,
}

impl TooManySignatures {
    /// The time after which to try again, in seconds.
    pub const RETRY_AFTER_S: u64 = 1;
}

/// Limits the rate of each key's signatures.
#[derive(Debug)]
pub struct Signatures {
    clock: Clock,
    per_second: u32,
    pace: Option<Pace>,
    keys: Arc<Mutex<HashMap<KeyId, i64>>>,
}

impl Signatures {
    /// Creates a limit of `per_second` signatures for each key on this server; 0 means no limit.
    #[must_use]
    pub fn new(per_second: u32, clock: Clock) -> Self {
        let pace = (per_second > 0).then(|| Pace::new(per_second, MAX_WAIT_US));
        Self { clock, per_second, pace, keys: Arc::default() }
    }

    /// Returns the same limiter with another rate. Keys keep their turns.
    #[must_use]
    pub fn with_pace(&self, per_second: u32) -> Self {
        Self { keys: Arc::clone(&self.keys), ..Self::new(per_second, self.clock.clone()) }
    }

    /// Waits for this key's turn. A wait slows clients down to the rate without a failed request: PyIceberg aborts a scan at the
    /// first refusal.
    ///
    /// # Errors
    /// Fails if the turn is more than two seconds away.
    pub async fn wait(&self, key: KeyId) -> Result<(), TooManySignatures> {
        let wait = self.turn(key)?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    fn turn(&self, key: KeyId) -> Result<Duration, TooManySignatures> {
        let Some(pace) = &self.pace else { return Ok(Duration::ZERO) };
        let now_us = self.clock.now_ms().saturating_mul(1_000);
        let mut keys = self.keys.lock();
        if keys.len() >= MANY_KEYS && !keys.contains_key(&key) {
            keys.retain(|_, last_us| !is_forgotten(*last_us, now_us));
        }
        let last_us = keys.entry(key).or_default();
        let turn = pace.turn(*last_us, now_us).ok_or(TooManySignatures { per_second: self.per_second })?;
        *last_us = turn.last_us;
        Ok(Duration::from_micros(turn.wait_us))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::base::clock::fresh_uuid;

    #[test]
    fn each_key_has_its_own_pace() {
        let now_ms = Arc::new(AtomicI64::new(1_000_000));
        let signatures = Signatures::new(2, Clock::Manual(Arc::clone(&now_ms)));
        let (busy, other) = (KeyId(fresh_uuid()), KeyId(fresh_uuid()));
        let mut given = Vec::new();
        let refused = loop {
            match signatures.turn(busy) {
                Ok(wait) => given.push(wait.as_millis()),
                Err(refused) => break refused,
            }
        };
        assert_eq!(given, [0, 0, 500, 1_000, 1_500, 2_000]);
        assert!(refused.to_string().contains("more than 2 signatures a second"), "{refused}");
        assert_eq!(signatures.turn(other), Ok(Duration::ZERO));
        now_ms.fetch_add(500, Ordering::SeqCst);
        assert_eq!(signatures.turn(busy), Ok(Duration::from_secs(2)));
    }

    #[test]
    fn rate_of_zero_means_no_limit_and_idle_keys_are_forgotten() {
        let now_ms = Arc::new(AtomicI64::new(1_000_000));
        let unlimited = Signatures::new(0, Clock::Manual(Arc::clone(&now_ms)));
        let key = KeyId(fresh_uuid());
        assert!((0..10_000).all(|_| unlimited.turn(key) == Ok(Duration::ZERO)));
        let signatures = Signatures::new(1, Clock::Manual(Arc::clone(&now_ms)));
        for _ in 0..5 {
            for _ in 0..MANY_KEYS {
                signatures.turn(KeyId(fresh_uuid())).unwrap();
            }
            now_ms.fetch_add(1_000, Ordering::SeqCst);
        }
        assert!(signatures.keys.lock().len() <= MANY_KEYS, "only active keys are remembered");
    }
}
