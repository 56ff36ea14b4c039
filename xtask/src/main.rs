//! The project's own commands: tests, judges from elsewhere, lints. Each does its own set-up, inside `target/`.

mod compat;
mod engines;
mod go;
mod lint;
mod node;
mod oracle;
mod step;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::Workspace;

/// Tests and checks of Tidewater. What they need beside Rust, Python and Node is put into `target/`; nothing is installed
/// elsewhere.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run all tests: Rust's, then real engines against the binary
    Test(test::Options),
    /// Ask judges that come from elsewhere: the compatibility kit, Iceberg's own classes, Spark, Trino
    Compat(compat::Options),
    /// Fetch what the tests with real engines need, and what these judges need, without running anything
    Fetch {
        /// For which judges
        #[arg(value_enum)]
        judges: Vec<compat::Judge>,
    },
    /// Check format, lints, documentation and dependencies
    Lint,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = Workspace::find().and_then(|workspace| match cli.command {
        Command::Test(options) => test::run(&workspace, &options),
        Command::Compat(options) => compat::run(&workspace, &options),
        Command::Fetch { judges } => engines::prepare(&workspace).and_then(|_| compat::fetch(&workspace, &judges)),
        Command::Lint => lint::run(&workspace),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            step::say(&format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
