//! Man pages and completions, which the program writes itself.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Packaging;
use crate::step;

/// The shells, with the usual names of their files.
const COMPLETIONS: [(&str, &str); 3] = [("bash", "tidewater.bash"), ("zsh", "_tidewater"), ("fish", "tidewater.fish")];

/// Writes man pages to `man` and completions to `completions` in a folder.
///
/// # Errors
/// Fails if no program to package runs on this machine, or it fails.
pub(super) fn write(packaging: &Packaging<'_>, folder: &Path) -> Result<()> {
    let program = &packaging.program_that_runs()?.path;
    let completions = folder.join("completions");
    fs::create_dir_all(&completions).with_context(|| format!("cannot create {}", completions.display()))?;
    // The help shows the default data folder. It must not depend on who makes the package.
    let run = |arguments: &[&str]| {
        let mut command = step::command(folder, program, arguments);
        let output = command.env_clear().env("HOME", "/home/you").output();
        let output = output.with_context(|| format!("cannot start {}", program.display()))?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok::<_, anyhow::Error>(output.stdout)
    };
    run(&["man", "man"])?;
    for (shell, name) in COMPLETIONS {
        let text = run(&["completions", shell])?;
        let file = completions.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
