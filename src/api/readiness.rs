//! Whether this server can answer requests, for `GET /ready`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::sealing::master_key::MasterKeyWatch;
use crate::store::Store;

/// How long a check is cached, so that many requests cost one read of the database.
const CACHED_FOR: Duration = Duration::from_millis(500);

/// How long the database may take to answer a check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a server cannot answer requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// The server is stopping.
    Draining,
    /// The database does not answer.
    Database,
    /// The master key is missing, or is not the catalog's.
    MasterKey,
}

impl Problem {
    /// Returns the problem's name in answers.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Database => "database",
            Self::MasterKey => "master-key",
        }
    }
}

/// Checks the parts that requests need. One check at a time runs, and all callers share its outcome.
pub struct Readiness {
    store: Arc<dyn Store>,
    master_key: MasterKeyWatch,
    is_draining: AtomicBool,
    last: Mutex<Option<(Instant, Option<Problem>)>>,
}

impl Readiness {
    /// Creates the check of a store, and of the master key of the catalog in it.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, master_key: MasterKeyWatch) -> Self {
        Self { store, master_key, is_draining: AtomicBool::new(false), last: Mutex::default() }
    }

    /// Makes the server not ready from now on: it stops soon.
    pub fn start_draining(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Returns the first problem, or `None` if the server can answer requests. The answer may be half a second old, except that a
    /// stop is known at once. Takes at most the time of two checks.
    pub(super) async fn problem(&self) -> Option<Problem> {
        if self.is_draining() {
            return Some(Problem::Draining);
        }
        let mut last = self.last.lock().await;
        let problem = match *last {
            Some((at, problem)) if at.elapsed() < CACHED_FOR => problem,
            _ => {
                // An outcome that is cancelled with its request is not stored: the next caller checks again.
                let problem = timeout(CHECK_TIMEOUT, self.check()).await.unwrap_or(Some(Problem::Database));
                tell_change(last.and_then(|(_, before)| before), problem);
                *last = Some((Instant::now(), problem));
                problem
            }
        };
        if self.is_draining() { Some(Problem::Draining) } else { problem }
    }

    fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    async fn check(&self) -> Option<Problem> {
        if self.store.ping().await.is_err() {
            return Some(Problem::Database);
        }
        (!self.master_key.is_well().await).then_some(Problem::MasterKey)
    }
}

/// Logs that the server is no longer ready, or is ready again.
fn tell_change(before: Option<Problem>, now: Option<Problem>) {
    match now {
        _ if before == now => {}
        Some(problem) => tracing::warn!(problem = problem.as_str(), "not ready: /ready answers 503"),
        None => tracing::info!("ready again: /ready answers 200"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::KeySource;
    use crate::store::faulty::{FaultyStore, Mode};

    fn readiness() -> (Readiness, Arc<FaultyStore>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FaultyStore::new(crate::store::open(&folder.path().join("t.db")).unwrap()));
        let shared: Arc<dyn Store> = Arc::clone(&store) as _;
        let watch = MasterKeyWatch::new(Arc::clone(&shared), KeySource::Unset);
        (Readiness::new(shared, watch), store, folder)
    }

    #[tokio::test]
    async fn burst_of_checks_reads_the_database_once() {
        let (readiness, store, _folder) = readiness();
        let checks = (0..1_000).map(|_| readiness.problem());
        let problems = futures_util::future::join_all(checks).await;
        assert!(problems.iter().all(Option::is_none), "{problems:?}");
        assert_eq!(store.call_count("ping"), 1);
    }

    #[tokio::test]
    async fn lost_database_is_a_problem_until_it_answers_again() {
        let (readiness, store, _folder) = readiness();
        store.set(Mode::Down);
        assert_eq!(readiness.problem().await, Some(Problem::Database));
        store.set(Mode::Up);
        assert_eq!(readiness.problem().await, Some(Problem::Database), "cached");
        *readiness.last.lock().await = None;
        assert_eq!(readiness.problem().await, None);
    }

    #[tokio::test]
    async fn missing_master_key_is_a_problem() {
        let (readiness, store, _folder) = readiness();
        store.master_key_set([7; 16], true).await.unwrap();
        assert_eq!(readiness.problem().await, Some(Problem::MasterKey));
    }

    #[tokio::test]
    async fn drain_is_known_at_once_without_the_database() {
        let (readiness, store, _folder) = readiness();
        assert_eq!(readiness.problem().await, None);
        readiness.start_draining();
        assert_eq!(readiness.problem().await, Some(Problem::Draining));
        assert_eq!(store.call_count("ping"), 1);
    }
}
