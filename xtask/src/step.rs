//! Runs commands one at a time, and shows each before it runs.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Returns a command that runs in `folder`.
pub(crate) fn command(folder: &Path, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

/// Returns a cargo command with the current toolchain, which rustup passes on.
pub(crate) fn cargo(folder: &Path, arguments: &[&str]) -> Command {
    command(folder, "cargo", arguments)
}

/// Makes cargo select the same features of dependencies as for the tests of the workspace, so that it builds each only once.
/// There are no examples, but `--examples` includes the dependencies of tests.
pub(crate) const AS_FOR_TESTS: [&str; 2] = ["--workspace", "--examples"];

/// Shows a command, runs it, and prints how long it took.
///
/// # Errors
/// Fails if it cannot start or fails. The message contains the whole command, for a repetition by hand.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    say(&shown);
    let begin = Instant::now();
    let status = command.status().with_context(|| format!("cannot start: {shown}"))?;
    if !status.success() {
        bail!("{shown} ({status})");
    }
    say(&format!("done in {:.0} s", begin.elapsed().as_secs_f64()));
    Ok(())
}

fn shown(command: &Command) -> String {
    let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut words: Vec<String> =
        set.map(|(name, value)| format!("{}={}", name.display(), quoted(&value.to_string_lossy()))).collect();
    words.push(quoted(&command.get_program().to_string_lossy()));
    words.extend(command.get_args().map(|argument| quoted(&argument.to_string_lossy())));
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Prints progress for the person at the terminal.
#[expect(clippy::print_stderr, reason = "progress for the person at the terminal, in the one place that shows it")]
pub(crate) fn say(line: &str) {
    eprintln!("xtask: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_command_is_quoted_for_a_shell() {
        let mut command = command(Path::new("."), "pytest", &["-k", "a and not b's"]);
        command.env("X", "1 2");
        assert_eq!(shown(&command), r"X='1 2' pytest -k 'a and not b'\''s'");
    }

    #[test]
    fn failed_command_is_named_in_the_error() {
        let error = run(&mut command(Path::new("."), "sh", &["-c", "exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c 'exit 3'") && error.contains('3'), "{error}");
    }
}
