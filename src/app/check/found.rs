//! What a check finds.

use crate::base::url_text::masked;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckOutcome {
    /// All is well.
    Ok,
    /// A server starts, but a person should look at it.
    Warning,
    /// A server does not start, or clients meet errors.
    Failed,
}

impl CheckOutcome {
    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// The outcome of a check for one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// The check, such as `database`.
    pub check: &'static str,
    /// The object: a path, an address, or a name.
    pub object: String,
    /// How it ended.
    pub outcome: CheckOutcome,
    /// What was found, and what to do.
    pub detail: String,
}

/// What a check has found: the object, the outcome and the detail.
pub(super) struct Found(pub(super) String, pub(super) CheckOutcome, pub(super) String);

impl Found {
    pub(super) fn ok(object: impl ToString, detail: impl ToString) -> Self {
        Self::new(object, CheckOutcome::Ok, detail)
    }

    pub(super) fn warning(object: impl ToString, detail: impl ToString) -> Self {
        Self::new(object, CheckOutcome::Warning, detail)
    }

    pub(super) fn failed(object: impl ToString, detail: impl ToString) -> Self {
        Self::new(object, CheckOutcome::Failed, detail)
    }

    /// Leaves out the passwords of URLs: people put the outcome into tickets.
    fn new(object: impl ToString, outcome: CheckOutcome, detail: impl ToString) -> Self {
        let shown = |text: String| masked(&text).into_owned();
        Self(shown(object.to_string()), outcome, shown(detail.to_string()))
    }
}

/// Returns an error's message with its causes.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text.extend([": ", &message]);
        }
        cause = error.source();
    }
    text
}
