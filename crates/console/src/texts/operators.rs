//! The texts of the pages for operators.

pub const ADD_ORGANISATION: &str = "Create an organisation";
pub const BACKGROUND: &str = "Background work";
pub const CHANGE_TIER: &str = "Change the tier";
pub const CONFIRM_NAME: &str = "Name of the organisation, to confirm";
pub const DELETE_AFTER: &str = "Deleted after";
pub const DELETE_ORGANISATION: &str = "Delete this organisation";
pub const DELETE_ORGANISATION_HINT: &str = "Its keys are refused at once. It can be restored until its grace time ends. Then everything in the catalog is removed. Files stay.";
pub const DONE_CREATED: &str = "The organisation is created.";
pub const DONE_DELETED: &str = "The organisation is marked as deleted.";
pub const DONE_RENAMED: &str = "The organisation is renamed.";
pub const DONE_RESTORED: &str = "The organisation is restored.";
pub const DONE_RESUMED: &str = "The organisation is resumed.";
pub const DONE_SUSPENDED: &str = "The organisation is suspended.";
pub const DONE_TIER: &str = "The tier is changed.";
pub const DURATION: &str = "Duration";
pub const FAILURES: &str = "Failures in a row";
pub const KEYS: &str = "Keys";
pub const LAST_RUN: &str = "Last run";
pub const METHOD: &str = "Method";
pub const NEXT_RUN: &str = "Next run";
pub const NOT_ANSWERED: &str = "not answered";
pub const NOT_CONFIRMED: &str = "The name does not match. Nothing was deleted.";
pub const OLDEST: &str = "Oldest";
pub const OPERATOR: &str = "Operator";
pub const ORGANISATION: &str = "Organisation";
pub const ORGANISATIONS: &str = "Organisations";
pub const ORGANISATIONS_HINT: &str = "All organisations of this catalog, by name.";
pub const PART: &str = "Part";
pub const PARTS: &str = "Parts";
pub const PROCESS: &str = "Process";
pub const RENAME: &str = "Rename";
pub const RENAME_HINT: &str = "Keys stay valid. Commands and paths need the new name.";
pub const REQUEST_ID: &str = "Request id";
pub const RESTORE: &str = "Restore";
pub const RESUME: &str = "Resume";
pub const ROUTE: &str = "Route";
pub const RUNNING_FOR: &str = "Running for";
pub const SEARCH_ORGANISATIONS: &str = "Name begins with";
pub const SERVED_BY: &str = "Served by tier";
pub const SERVER: &str = "Server";
pub const SERVER_HINT: &str = "The state of this server. Another server of the same catalog has its own.";
pub const SLOW_REQUESTS: &str = "Slow requests";
pub const SLOW_FROM: &str = "Slow from";
pub const SLOW_REQUESTS_HINT: &str =
    "The slowest requests of the last hour to this server: at most 200, and 50 of an organisation.";
pub const SLOW_REQUESTS_OFF: &str = "off: telemetry.slow_request_ms is 0";
pub const STATUS: &str = "Status";
pub const STATE_DELETED: &str = "deleted";
pub const STATE_SERVED: &str = "served";
pub const STATE_SUSPENDED: &str = "suspended";
pub const SUSPEND: &str = "Suspend";
pub const SUSPEND_HINT: &str = "All keys and tokens of the organisation are refused at once.";
pub const TASK: &str = "Task";
pub const VERSION: &str = "Version";
pub const WAITING: &str = "Waiting";

/// Returns the message about a change, by its word in the address.
#[must_use]
pub fn done(word: &str) -> Option<&'static str> {
    Some(match word {
        "organisation-created" => DONE_CREATED,
        "organisation-deleted" => DONE_DELETED,
        "organisation-renamed" => DONE_RENAMED,
        "organisation-restored" => DONE_RESTORED,
        "organisation-resumed" => DONE_RESUMED,
        "organisation-suspended" => DONE_SUSPENDED,
        "tier" => DONE_TIER,
        _ => return None,
    })
}
