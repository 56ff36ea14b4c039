//! `tidewater completions` and `tidewater man`: shell completions and man pages, generated from the command line's definition.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Command};
use clap_complete::Shell;

use super::output;

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewater completions bash > /etc/bash_completion.d/tidewater
  tidewater completions zsh > ~/.zfunc/_tidewater
  tidewater completions fish > ~/.config/fish/completions/tidewater.fish")]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewater man /usr/local/share/man/man1
  tidewater man . && man ./tidewater-warehouse-create.1")]
pub(crate) struct ManArguments {
    /// Write the pages to this folder
    folder: PathBuf,
}

/// Prints the completions of one shell.
pub(crate) fn completions(mut cli: Command, arguments: &CompletionsArguments) -> Result<()> {
    let (name, mut text) = (cli.get_name().to_owned(), Vec::new());
    clap_complete::generate(arguments.shell, &mut cli, name, &mut text);
    output::line(String::from_utf8_lossy(&text).trim_end())
}

/// Writes a man page for each command.
pub(crate) fn man(cli: Command, arguments: &ManArguments) -> Result<()> {
    fs::create_dir_all(&arguments.folder).with_context(|| format!("cannot make {}", arguments.folder.display()))?;
    let mut cli = cli.disable_help_subcommand(true);
    cli.build();
    let name = cli.get_name().to_owned();
    let count = write_pages(&cli, &name, &arguments.folder)
        .with_context(|| format!("cannot write man pages to {}", arguments.folder.display()))?;
    output::line(&format!("Wrote {count} man pages to {}.", arguments.folder.display()))
}

/// Writes the pages of a command and its subcommands. Returns the number of pages.
fn write_pages(command: &Command, name: &str, folder: &Path) -> io::Result<usize> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    fs::write(folder.join(format!("{name}.1")), text)?;
    command
        .get_subcommands()
        .map(|sub| write_pages(sub, &format!("{name}-{}", sub.get_name()), folder))
        .try_fold(1, |count, written| Ok(count + written?))
}
