//! One command at a time, shown before it runs.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// A command, ready to run in `folder`.
pub(crate) fn command(folder: &Path, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

/// Cargo, of the toolchain that runs this: rustup passes its choice on.
pub(crate) fn cargo(folder: &Path, arguments: &[&str]) -> Command {
    command(folder, "cargo", arguments)
}

/// Makes cargo select the features of dependencies that it selects for the tests of the workspace, so that it builds none of
/// them twice. There are no examples; to ask for them is what takes the tests' own dependencies into account.
pub(crate) const AS_FOR_TESTS: [&str; 2] = ["--workspace", "--examples"];

/// Shows a command, runs it, and says how long it took.
///
/// # Errors
/// When it cannot start or fails; the message holds the whole command, so that it can be run again by hand.
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

/// Tells the person how far it is.
#[expect(clippy::print_stderr, reason = "progress for the person at the terminal, in the one place that shows it")]
pub(crate) fn say(line: &str) {
    eprintln!("xtask: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_command_can_be_pasted_into_a_shell() {
        let mut command = command(Path::new("."), "pytest", &["-k", "a and not b's"]);
        command.env("X", "1 2");
        assert_eq!(shown(&command), r"X='1 2' pytest -k 'a and not b'\''s'");
    }

    #[test]
    fn a_failed_command_is_named() {
        let error = run(&mut command(Path::new("."), "sh", &["-c", "exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c 'exit 3'") && error.contains('3'), "{error}");
    }
}
