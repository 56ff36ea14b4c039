//! How a command fails: its message on standard error, and its exit code.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::refusal;
use super::output;
use tidewater::config::ConfigError;

/// The exit code of a command that failed.
const FAILED: u8 = 1;

/// The exit code for an invalid command line or configuration.
const INVALID: u8 = 2;

/// A failed command.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    /// The message, for people.
    message: String,
    /// The type in the server's answer, or one of this command's own.
    kind: String,
    /// The status of the server's answer, or the exit code if the server did not refuse a request.
    code: u16,
    exit: u8,
}

impl Failure {
    fn of_command(error: &anyhow::Error) -> Self {
        let message = output::with_causes(error);
        if let Some(refused) = refusal(error) {
            let kind = refused.kind.clone();
            return Self { message, kind, code: refused.status.as_u16(), exit: FAILED };
        }
        let (kind, exit) = match error.is::<ConfigError>() {
            true => ("InvalidConfigurationException", INVALID),
            false => ("CommandFailedException", FAILED),
        };
        Self { message, kind: kind.to_owned(), code: exit.into(), exit }
    }

    fn of_arguments(error: &clap::Error) -> Self {
        let text = error.to_string();
        // The usage follows after an empty line.
        let message = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { message, kind: "InvalidCommandLineException".to_owned(), code: INVALID.into(), exit: INVALID }
    }

    /// Returns the failure in the shape of the server's errors.
    fn as_json(&self) -> Value {
        json!({ "error": { "message": self.message, "type": self.kind, "code": self.code } })
    }
}

/// Reports the error of a command: a line for people, or a line of JSON for scripts. Returns the exit code.
pub(crate) fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    let failure = Failure::of_command(error);
    output::note(&if json { failure.as_json().to_string() } else { format!("error: {}", failure.message) });
    ExitCode::from(failure.exit)
}

/// Reports that the command line is invalid. Returns the exit code. Ends the process if help was asked for, or without JSON.
pub(crate) fn exit_with(error: &clap::Error, json: bool) -> ExitCode {
    if !json || error.exit_code() != i32::from(INVALID) {
        error.exit();
    }
    let failure = Failure::of_arguments(error);
    output::note(&failure.as_json().to_string());
    ExitCode::from(failure.exit)
}

/// Returns whether a command line has the option `--json`.
pub(crate) fn wants_json(arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> bool {
    let options = arguments.into_iter().take_while(|argument| argument.as_ref() != "--");
    options.into_iter().any(|argument| argument.as_ref() == "--json")
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::cli::client::Refused;

    #[test]
    fn refusal_keeps_the_type_and_the_status_of_the_answer() {
        let refused = Refused { status: StatusCode::CONFLICT, kind: "ConflictException".into(), message: "no".into() };
        let failure = Failure::of_command(&refused.into());
        assert_eq!(
            failure.as_json(),
            json!({ "error": { "message": "no", "type": "ConflictException", "code": 409 } })
        );
        assert_eq!(failure.exit, 1);
    }

    #[test]
    fn other_failure_has_its_exit_code() {
        let failure = Failure::of_command(&anyhow::anyhow!("no room").context("cannot start"));
        let error = json!({ "message": "cannot start: no room", "type": "CommandFailedException", "code": 1 });
        assert_eq!(failure.as_json(), json!({ "error": error }));
    }

    #[test]
    fn invalid_command_line_has_one_line_without_the_usage() {
        let command = clap::Command::new("tidewater").arg(clap::Arg::new("NAME").required(true));
        let failure = Failure::of_arguments(&command.try_get_matches_from(["tidewater"]).unwrap_err());
        assert_eq!(failure.message, "the following required arguments were not provided: <NAME>");
        assert_eq!((failure.code, failure.exit), (2, 2));
    }

    #[test]
    fn json_is_wanted_only_by_the_option() {
        assert!(wants_json(["org", "list", "--json"]));
        assert!(!wants_json(["org", "show", "json"]) && !wants_json(["org", "show", "--", "--json"]));
    }
}
