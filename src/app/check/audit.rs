//! Checks the targets of the export of audit records.

use super::found::Found;
use super::subject::Subject;
use crate::audit::try_sinks;

/// Checks that the file can be written and the syslog receiver can be reached. Writes no line, creates no file and sends no message.
pub(super) async fn check(subject: &Subject) -> Vec<Found> {
    let found = try_sinks(&subject.config.audit).await;
    found
        .into_iter()
        .map(|(object, outcome)| match outcome {
            Ok(detail) => Found::ok(object, detail),
            Err(error) => Found::failed(object, error),
        })
        .collect()
}
