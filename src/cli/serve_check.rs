//! `tidewater serve --check`: prints the outcome of each check.

use anyhow::{Result, ensure};
use serde_json::json;

use super::live::ReadSettings;
use super::output;
use tidewater::app::{self, CheckOutcome, CheckResult};
use tidewater::config::ConfigError;

/// Tries all that a server with the settings from `read` needs, and prints it.
///
/// # Errors
/// Fails if the settings are invalid, or a check failed.
pub(crate) async fn run(read: &ReadSettings, as_json: bool) -> Result<()> {
    let config = match read() {
        Ok(config) => config,
        Err(error) => {
            print(&settings_rows(&error), as_json)?;
            return Err(error);
        }
    };
    let valid = CheckResult {
        check: "settings",
        object: String::new(),
        outcome: CheckOutcome::Ok,
        detail: "are valid".to_owned(),
    };
    let results: Vec<CheckResult> = std::iter::once(valid).chain(app::check(config).await).collect();
    print(&results, as_json)?;
    let failed = results.iter().filter(|result| result.outcome == CheckOutcome::Failed).count();
    ensure!(failed == 0, "a server cannot work with this: {failed} of {} checks failed", results.len());
    Ok(())
}

/// Returns a row for each fault of the settings.
fn settings_rows(error: &anyhow::Error) -> Vec<CheckResult> {
    let failed = |detail: &str| CheckResult {
        check: "settings",
        object: String::new(),
        outcome: CheckOutcome::Failed,
        detail: detail.to_owned(),
    };
    match error.downcast_ref::<ConfigError>() {
        Some(error) => error.lines().iter().map(|line| failed(line)).collect(),
        None => vec![failed(&output::with_causes(error))],
    }
}

fn print(results: &[CheckResult], as_json: bool) -> Result<()> {
    if as_json {
        let row = |result: &CheckResult| {
            json!({
                "check": result.check,
                "object": result.object,
                "outcome": result.outcome.as_str(),
                "detail": result.detail,
            })
        };
        return output::json(&results.iter().map(row).collect::<Vec<_>>());
    }
    let row = |result: &CheckResult| {
        vec![
            result.check.to_owned(),
            result.outcome.as_str().to_owned(),
            match result.object.is_empty() {
                true => result.detail.clone(),
                false => format!("{}: {}", result.object, result.detail),
            },
        ]
    };
    output::table(&["check", "outcome", "detail"], &results.iter().map(row).collect::<Vec<_>>(), "")
}
