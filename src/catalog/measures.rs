//! Measurements of commits, for the server's metrics and for traces.

use prometheus_client::metrics::counter::Counter;

use super::CatalogError;
use crate::base::measure::{Calls, Subject};
use crate::base::trace::{self, Kind};

/// What a catalog measures. Clones share it.
#[derive(Debug, Clone)]
pub struct CatalogMeasures {
    /// Commits to a table, to a view, and of a transaction: the target is `table`, `view` or `transaction`.
    pub commits: Calls,
    /// How often a commit was applied again, because another one was faster.
    pub repeated_commits: Counter,
}

impl Default for CatalogMeasures {
    fn default() -> Self {
        Self { commits: Calls::new(Subject::Commit), repeated_commits: Counter::default() }
    }
}

impl CatalogMeasures {
    /// Waits for a commit and measures it.
    pub(super) async fn commit<T>(
        &self,
        target: &'static str,
        commit: impl Future<Output = Result<T, CatalogError>>,
    ) -> Result<T, CatalogError> {
        let measurement = self.commits.begin(target, "commit");
        let result = measurement.scope(Box::pin(commit)).await;
        measurement.end(&result, outcome);
        result
    }
}

/// Runs an attempt of a commit in a span of its own. `is_overtaken` says whether another commit was faster.
pub(super) async fn in_attempt<T>(
    attempt: impl Future<Output = Result<T, CatalogError>>,
    is_overtaken: impl FnOnce(&T) -> bool,
) -> Result<T, CatalogError> {
    let attempt = Box::pin(attempt);
    let Some(mut span) = trace::span("commit attempt", Kind::Internal) else { return attempt.await };
    let result = trace::scope(Some(span.context().clone()), attempt).await;
    match &result {
        Ok(done) => {
            if is_overtaken(done) {
                span.fail("overtaken");
            }
        }
        Err(error) => span.fail(outcome(error)),
    }
    span.end();
    result
}

/// Returns how a refused commit ended, for metrics and traces.
const fn outcome(error: &CatalogError) -> &'static str {
    match error {
        CatalogError::CommitFailed(_) => "conflict",
        CatalogError::CommitStateUnknown(..) => "unknown",
        CatalogError::Repeated => "repeated",
        CatalogError::Metadata(_)
        | CatalogError::Vending(_)
        | CatalogError::Heavy(_)
        | CatalogError::Store(_)
        | CatalogError::Unread(_)
        | CatalogError::Stopped(_) => "failed",
        _ => "refused",
    }
}
