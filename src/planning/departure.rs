//! Tells work on another thread that nobody waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::PlanError;
use crate::base::deadline;
use crate::heavy::HeavyError;

/// How many entries are looked at between two checks.
const ENTRIES_BETWEEN_CHECKS: u32 = 512;

/// Whether the request has ended. A request holds it, and its drop ends the work.
#[derive(Debug, Default)]
pub(super) struct Departure(Arc<AtomicBool>);

/// What work asks whether its request has ended.
#[derive(Debug, Clone)]
pub(super) struct Watch(Arc<AtomicBool>);

impl Departure {
    /// Returns what work asks.
    pub(super) fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.0))
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Watch {
    /// Checks between some entries that the request goes on.
    ///
    /// # Errors
    /// `Heavy` if its time is over, or it has ended.
    pub(super) fn check(&self, entry: u32) -> Result<(), PlanError> {
        if entry % ENTRIES_BETWEEN_CHECKS != 0 {
            return Ok(());
        }
        if self.0.load(Ordering::Relaxed) {
            return Err(HeavyError::Stopped("its request has ended".to_owned()).into());
        }
        Ok(deadline::check().map_err(HeavyError::from)?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::base::deadline::Deadline;

    #[test]
    fn work_stops_after_the_departure_or_the_deadline() {
        let departure = Departure::default();
        let watch = departure.watch();
        assert!(watch.check(0).is_ok());
        let late = Some(Deadline::ending_at(Instant::now()));
        assert!(matches!(
            deadline::sync_scope(late, || watch.check(0)),
            Err(PlanError::Heavy(HeavyError::TimeIsOver(_)))
        ));
        assert!(deadline::sync_scope(late, || watch.check(1)).is_ok(), "it is not checked at each entry");
        drop(departure);
        assert!(matches!(watch.check(ENTRIES_BETWEEN_CHECKS), Err(PlanError::Heavy(HeavyError::Stopped(_)))));
    }
}
