//! How the latest calls to another system ended: to tell whether it works, without a call for the answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

/// The latest outcome of the calls to each target. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Latest(Arc<Mutex<BTreeMap<&'static str, Option<Failing>>>>);

/// Calls to a target that failed one after the other, up to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    /// How many there were.
    pub calls: u64,
    /// When the first of them ended.
    pub since: Instant,
    /// How the last of them ended, for example `unavailable`.
    pub outcome: &'static str,
}

impl Latest {
    /// Notes the outcome of a call. `failure` is `None` if the target answered. There are few targets, since their names are fixed.
    pub fn note(&self, target: &'static str, failure: Option<&'static str>) {
        let mut all = self.0.lock();
        let latest = all.entry(target).or_default();
        *latest = failure.map(|outcome| match *latest {
            Some(Failing { calls, since, .. }) => Failing { calls: calls.saturating_add(1), since, outcome },
            None => Failing { calls: 1, since: Instant::now(), outcome },
        });
    }

    /// Returns the targets that were called, each with the failures since its last answer.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, Option<Failing>)> {
        self.0.lock().iter().map(|(target, latest)| (*target, *latest)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_are_counted_until_an_answer() {
        let latest = Latest::default();
        assert_eq!(latest.all(), []);
        latest.note("s3", None);
        latest.note("s3", Some("refused"));
        latest.note("s3", Some("unavailable"));
        latest.note("file", None);
        let all = latest.clone().all();
        assert_eq!(all[0], ("file", None));
        assert!(matches!(all[1], ("s3", Some(Failing { calls: 2, outcome: "unavailable", .. }))), "{all:?}");
        latest.note("s3", None);
        assert_eq!(latest.all()[1], ("s3", None));
    }
}
