//! A circuit breaker: a token service that does not answer gets no requests for a moment, and then a single one.

use std::collections::HashMap;

use parking_lot::Mutex;
use uuid::Uuid;

use super::VendingError;

/// How long a service gets no requests after a failure. It is less than the `Retry-After` of the answer, so that a client that
/// obeys it gets a new try.
const PAUSE_MS: i64 = 1_000;

/// The token services that did not answer, by their warehouse's storage.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    broken: Mutex<HashMap<Uuid, Broken>>,
}

#[derive(Debug)]
struct Broken {
    error: VendingError,
    until_ms: i64,
    /// Whether a request is testing the service.
    is_tried: bool,
}

impl Circuit {
    /// Admits a request to the token service of a storage. The caller must record its outcome with [`Circuit::record`].
    ///
    /// # Errors
    /// Returns the last failure during the pause, and while another request tests the service.
    pub(super) fn admit(&self, storage: Uuid, now_ms: i64) -> Result<(), VendingError> {
        // A time further ahead than a pause means that the clock was set back.
        let is_left_alone = |broken: &Broken| (1..=PAUSE_MS).contains(&broken.until_ms.saturating_sub(now_ms));
        match self.broken.lock().get_mut(&storage) {
            Some(broken) if broken.is_tried || is_left_alone(broken) => Err(broken.error.clone()),
            Some(broken) => {
                broken.is_tried = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Records the outcome of a request. A refusal counts as an answer.
    pub(super) fn record<T>(&self, storage: Uuid, outcome: &Result<T, VendingError>, now_ms: i64) {
        let mut broken = self.broken.lock();
        match outcome {
            Err(error @ VendingError::Unavailable { .. }) => {
                let until_ms = now_ms.saturating_add(PAUSE_MS);
                broken.insert(storage, Broken { error: error.clone(), until_ms, is_tried: false });
            }
            _ => drop(broken.remove(&storage)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORAGE: Uuid = Uuid::from_u128(1);

    fn dead() -> Result<(), VendingError> {
        Err(VendingError::Unavailable { service: "STS", message: "silence".to_owned() })
    }

    #[test]
    fn dead_service_gets_no_requests_and_then_a_single_one() {
        let circuit = Circuit::default();
        circuit.admit(STORAGE, 0).unwrap();
        circuit.record(STORAGE, &dead(), 0);
        assert!(circuit.admit(STORAGE, PAUSE_MS - 1).unwrap_err().to_string().contains("silence"));
        circuit.admit(Uuid::from_u128(2), 0).unwrap();
        circuit.admit(STORAGE, PAUSE_MS).unwrap();
        assert!(circuit.admit(STORAGE, PAUSE_MS * 60).is_err(), "another request tests it");
        circuit.record(STORAGE, &dead(), PAUSE_MS * 60);
        assert!(circuit.admit(STORAGE, PAUSE_MS * 61 - 1).is_err());
        circuit.admit(STORAGE, PAUSE_MS * 61).unwrap();
        circuit.record(STORAGE, &Ok(()), PAUSE_MS * 61);
        circuit.admit(STORAGE, PAUSE_MS * 61).unwrap();
        circuit.admit(STORAGE, PAUSE_MS * 61).unwrap();
    }

    #[test]
    fn clock_that_is_set_back_does_not_prolong_the_pause() {
        let circuit = Circuit::default();
        circuit.record(STORAGE, &dead(), 3_600_000);
        circuit.admit(STORAGE, 1_000).unwrap();
    }

    #[test]
    fn refusal_does_not_start_a_pause() {
        let circuit = Circuit::default();
        circuit.record(STORAGE, &dead(), 0);
        circuit.admit(STORAGE, PAUSE_MS).unwrap();
        let refused = Err::<(), _>(VendingError::Refused { service: "STS", message: "no".to_owned() });
        circuit.record(STORAGE, &refused, PAUSE_MS);
        circuit.admit(STORAGE, PAUSE_MS).unwrap();
    }
}
