//! How fast one key has requests to storage signed. They count against no day (docs/decisions/0016), so that this alone
//! keeps one key from taking the server from all others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_core::ids::KeyId;
use tidewater_core::pace::{Pace, is_forgotten};

use crate::base::clock::Clock;

/// How long a request may wait for its turn: longer than the gaps of a scan's own rhythm, and far less than a client waits.
const MAX_WAIT_US: u32 = 2_000_000;

/// From so many keys on, those that have asked for nothing lately are forgotten.
const MANY_KEYS: usize = 1_024;

/// A key asks for signatures much faster than it is given them; answer 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {per_second} signatures a second were asked for with this key: ask again in {} s, or with fewer at the same \
     time; the operator can change `api.signatures_per_second`",
    Self::RETRY_AFTER_S
)]
pub struct TooManySignatures {
    /// How many there are in a second.
    pub per_second: u32,
}

impl TooManySignatures {
    /// In how many seconds to ask again.
    pub const RETRY_AFTER_S: u64 = 1;
}

/// Gives each key its turn.
#[derive(Debug)]
pub struct Signatures {
    clock: Clock,
    per_second: u32,
    pace: Option<Pace>,
    keys: Arc<Mutex<HashMap<KeyId, i64>>>,
}

impl Signatures {
    /// So many a second for each key, on this server; 0 is without limit.
    #[must_use]
    pub fn new(per_second: u32, clock: Clock) -> Self {
        let pace = (per_second > 0).then(|| Pace::new(per_second, MAX_WAIT_US));
        Self { clock, per_second, pace, keys: Arc::default() }
    }

    /// The same at another pace: who has waited for a turn has it.
    #[must_use]
    pub fn with_pace(&self, per_second: u32) -> Self {
        Self { keys: Arc::clone(&self.keys), ..Self::new(per_second, self.clock.clone()) }
    }

    /// Waits for this key's turn. Clients that ask again only when they are answered are slowed down by that to the pace, and
    /// not one of their requests fails: PyIceberg gives up a scan at the first refusal.
    ///
    /// # Errors
    /// When it would be too long in coming.
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
    fn no_limit_is_none_and_idle_keys_are_forgotten() {
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
        assert!(signatures.keys.lock().len() <= MANY_KEYS, "what is remembered is bounded by who is there");
    }
}
