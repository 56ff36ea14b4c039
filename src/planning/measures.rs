//! Measurements of planning, for the server's metrics and for traces.

use prometheus_client::metrics::counter::Counter;

use super::error::PlanError;
use crate::base::measure::{Call, Calls, Subject};

/// What planning measures. Clones share it.
#[derive(Debug, Clone)]
pub struct PlanningMeasures {
    /// Answers: the operation is `plan` or `tasks`.
    pub answers: Calls,
    /// Data files of manifests that were compared with filters.
    pub considered: Counter,
    /// Data files in answers.
    pub returned: Counter,
    /// Delete files of manifests that were compared with filters.
    pub considered_deletes: Counter,
    /// Answers that ended early, because their client departed, or with an error.
    pub broken: Counter,
}

impl Default for PlanningMeasures {
    fn default() -> Self {
        Self {
            answers: Calls::new(Subject::Planning),
            considered: Counter::default(),
            returned: Counter::default(),
            considered_deletes: Counter::default(),
            broken: Counter::default(),
        }
    }
}

impl PlanningMeasures {
    /// Counts the files of an answer.
    pub(super) fn count(&self, considered: u64, returned: u64) {
        self.considered.inc_by(considered);
        self.returned.inc_by(returned);
    }

    /// Waits for the beginning of an answer, which is all of it unless it is sent in parts, and measures it.
    pub(super) async fn answer<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, PlanError>>,
    ) -> Result<T, PlanError> {
        let measurement: Call<'_> = self.answers.begin("scan", operation);
        let result = measurement.scope(Box::pin(answer)).await;
        measurement.end(&result, PlanError::kind);
        result
    }
}
