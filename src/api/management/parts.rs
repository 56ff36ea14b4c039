//! The health of the server's parts, for `GET /management/v1/status`: what is known without a request to another system, except the
//! database's answer.

use serde::Serialize;

use crate::api::Api;
use crate::api::readiness::Problem;
use crate::background::TaskState;
use crate::base::latest::Failing;

/// The task of scheduled backups.
const BACKUPS: &str = "backups";

/// A part of the server.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Part {
    name: &'static str,
    state: PartState,
    /// How many changes, records or receivers wait or fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<u64>,
    /// How old the oldest of them is, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_s: Option<u64>,
    /// What failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum PartState {
    Ok,
    Failing,
    Unknown,
    Off,
}

impl PartState {
    const fn failing_if(fails: bool) -> Self {
        if fails { Self::Failing } else { Self::Ok }
    }
}

impl Part {
    const fn new(name: &'static str, state: PartState) -> Self {
        Self { name, state, waiting: None, lag_s: None, message: None }
    }
}

/// Returns the parts. Takes at most the time of a check of readiness.
pub(super) async fn parts(api: &Api, background: &[TaskState]) -> Vec<Part> {
    let problem = api.readiness.problem().await;
    vec![
        database(api, problem),
        master_key(problem),
        storage(&api.storage.all()),
        backups(background),
        webhooks(api),
        audit(api),
    ]
}

fn database(api: &Api, problem: Option<Problem>) -> Part {
    let state = match problem {
        Some(Problem::Database) => PartState::Failing,
        Some(Problem::Draining) => PartState::Unknown,
        Some(Problem::MasterKey) | None => PartState::Ok,
    };
    Part { waiting: Some(api.store.waiting_changes() as u64), ..Part::new("database", state) }
}

const fn master_key(problem: Option<Problem>) -> Part {
    let state = match problem {
        Some(Problem::MasterKey) => PartState::Failing,
        Some(Problem::Draining | Problem::Database) => PartState::Unknown,
        None => PartState::Ok,
    };
    Part::new("master-key", state)
}

/// Returns the health of the warehouses' storage, as the latest calls to each type of storage ended.
fn storage(latest: &[(&'static str, Option<Failing>)]) -> Part {
    let failing: Vec<_> = latest.iter().filter_map(|(target, failing)| Some((target, (*failing)?))).collect();
    let state = match latest {
        [] => PartState::Unknown,
        _ => PartState::failing_if(!failing.is_empty()),
    };
    let describe = |(target, failing): &(&&str, Failing)| match failing.calls {
        1 => format!("{target}: the last call failed ({})", failing.outcome),
        calls => format!("{target}: the last {calls} calls failed ({})", failing.outcome),
    };
    Part {
        waiting: Some(failing.iter().map(|(_, failing)| failing.calls).sum()),
        lag_s: failing.iter().map(|(_, failing)| failing.since.elapsed().as_secs()).max(),
        message: (!failing.is_empty()).then(|| failing.iter().map(describe).collect::<Vec<_>>().join("; ")),
        ..Part::new("storage", state)
    }
}

fn backups(background: &[TaskState]) -> Part {
    match background.iter().find(|task| task.name == BACKUPS) {
        None => Part::new(BACKUPS, PartState::Off),
        Some(task) => {
            let message = task.last_error.clone().filter(|_| task.failures > 0);
            Part { message, ..Part::new(BACKUPS, PartState::failing_if(task.failures > 0)) }
        }
    }
}

fn webhooks(api: &Api) -> Part {
    let (lag, failing) = api.webhooks.lag();
    let state = PartState::failing_if(failing > 0);
    Part { waiting: Some(failing), lag_s: Some(lag.as_secs()), ..Part::new("webhooks", state) }
}

fn audit(api: &Api) -> Part {
    let measures = api.audit.measures();
    let lag_s = api.audit.export_lag_s().into_iter().map(|(_, lag_s)| lag_s).fold(0.0, f64::max);
    let message = api.audit.is_failing().then(|| format!("{} does not take records", api.audit.failing_part()));
    Part {
        waiting: Some(u64::try_from(measures.waiting.get()).unwrap_or_default()),
        // A lag is not negative, and a fraction of a second is left out.
        lag_s: Some(lag_s as u64),
        message: message.clone(),
        ..Part::new("audit", PartState::failing_if(message.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn master_key_and_backups_have_the_state_that_is_known() {
        assert_eq!(master_key(Some(Problem::MasterKey)).state, PartState::Failing);
        assert_eq!(master_key(Some(Problem::Database)).state, PartState::Unknown);
        assert_eq!((master_key(None).state, backups(&[]).state), (PartState::Ok, PartState::Off));
    }

    #[test]
    fn storage_is_failing_while_the_latest_calls_fail() {
        let failing = |calls| Some(Failing { calls, since: Instant::now(), outcome: "unavailable" });
        assert_eq!(storage(&[]).state, PartState::Unknown);
        assert_eq!((storage(&[("s3", None)]).state, storage(&[("s3", None)]).message), (PartState::Ok, None));
        let part = storage(&[("file", None), ("gcs", failing(1)), ("s3", failing(2))]);
        let message = "gcs: the last call failed (unavailable); s3: the last 2 calls failed (unavailable)";
        assert_eq!((part.state, part.waiting, part.message.as_deref()), (PartState::Failing, Some(3), Some(message)));
    }
}
