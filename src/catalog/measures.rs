//! Measurements of commits and of vended credentials, for the server's metrics.

use prometheus_client::metrics::counter::Counter;

use super::CatalogError;
use crate::base::measure::Calls;

/// What a catalog measures. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct CatalogMeasures {
    /// Commits to a table, to a view, and of a transaction: the target is `table`, `view` or `transaction`.
    pub commits: Calls,
    /// How often a commit was applied again, because another one was faster.
    pub repeated_commits: Counter,
}

impl CatalogMeasures {
    /// Waits for a commit and measures it.
    pub(super) async fn commit<T>(
        &self,
        target: &'static str,
        commit: impl Future<Output = Result<T, CatalogError>>,
    ) -> Result<T, CatalogError> {
        let measurement = self.commits.begin(target, "commit");
        let result = commit.await;
        measurement.end(&result, outcome);
        result
    }
}

/// Returns how a refused commit ended, for metrics.
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
