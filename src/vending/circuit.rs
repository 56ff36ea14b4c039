//! A token service that does not answer is left alone for a moment, and then asked by one, not by all.

use std::collections::HashMap;

use parking_lot::Mutex;
use uuid::Uuid;

use super::VendingError;

/// How long it is left alone. Less than the `Retry-After` that clients are told, so that who keeps to that asks anew.
const PAUSE_MS: i64 = 1_000;

/// The token services that did not answer, each as the storage that it is for.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    broken: Mutex<HashMap<Uuid, Broken>>,
}

#[derive(Debug)]
struct Broken {
    error: VendingError,
    until_ms: i64,
    /// Whether somebody tries whether it answers again.
    is_tried: bool,
}

impl Circuit {
    /// Whether its service may be asked. Who may must say with [`Circuit::settle`] what came of it.
    ///
    /// # Errors
    /// What it came to the last time, while the service is left alone and while another tries it.
    pub(super) fn admit(&self, storage: Uuid, now_ms: i64) -> Result<(), VendingError> {
        // What is further ahead than a pause was said by a clock that was set back since.
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

    /// What came of asking. A refusal is an answer.
    pub(super) fn settle<T>(&self, storage: Uuid, outcome: &Result<T, VendingError>, now_ms: i64) {
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
    fn a_dead_service_is_left_alone_and_then_tried_by_one() {
        let circuit = Circuit::default();
        circuit.admit(STORAGE, 0).unwrap();
        circuit.settle(STORAGE, &dead(), 0);
        assert!(circuit.admit(STORAGE, PAUSE_MS - 1).unwrap_err().to_string().contains("silence"));
        circuit.admit(Uuid::from_u128(2), 0).unwrap();
        circuit.admit(STORAGE, PAUSE_MS).unwrap();
        assert!(circuit.admit(STORAGE, PAUSE_MS * 60).is_err(), "another tries it");
        circuit.settle(STORAGE, &dead(), PAUSE_MS * 60);
        assert!(circuit.admit(STORAGE, PAUSE_MS * 61 - 1).is_err());
        circuit.admit(STORAGE, PAUSE_MS * 61).unwrap();
        circuit.settle(STORAGE, &Ok(()), PAUSE_MS * 61);
        circuit.admit(STORAGE, PAUSE_MS * 61).unwrap();
        circuit.admit(STORAGE, PAUSE_MS * 61).unwrap();
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_away() {
        let circuit = Circuit::default();
        circuit.settle(STORAGE, &dead(), 3_600_000);
        circuit.admit(STORAGE, 1_000).unwrap();
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let circuit = Circuit::default();
        circuit.settle(STORAGE, &dead(), 0);
        circuit.admit(STORAGE, PAUSE_MS).unwrap();
        let refused = Err::<(), _>(VendingError::Refused { service: "STS", message: "no".to_owned() });
        circuit.settle(STORAGE, &refused, PAUSE_MS);
        circuit.admit(STORAGE, PAUSE_MS).unwrap();
    }
}
