//! The project's own commands: tests, external judges, packages, lints. Each prepares its tools inside `target/`.

mod compat;
mod dist;
mod engines;
mod go;
mod lint;
mod node;
mod oracle;
mod planning;
mod profile;
mod replicas;
mod step;
mod store;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::Workspace;

/// Tests and checks of Tidewater. Needs Rust, Python and Node; puts all other tools into `target/` and installs nothing
/// elsewhere.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run all tests: the Rust tests, then real engines against the binary
    Test(test::Options),
    /// Run the external judges: the compatibility kit, Iceberg's own classes, Spark, Trino, Keycloak, many replicas
    Compat(compat::Options),
    /// Fetch the files of the engine tests and of the given judges, without running anything
    Fetch {
        /// The judges whose files to fetch
        #[arg(value_enum)]
        judges: Vec<compat::Judge>,
    },
    /// Build the server with profile-guided optimisation, in target/dist
    Profile,
    /// Make the packages: static programs, Debian package, image, Helm chart, wheel, SBOM, checksums
    Dist(dist::Options),
    /// Check format, lints, documentation and dependencies
    Lint,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = Workspace::find().and_then(|workspace| match cli.command {
        Command::Test(options) => test::run(&workspace, &options),
        Command::Compat(options) => compat::run(&workspace, &options),
        Command::Fetch { judges } => engines::prepare(&workspace).and_then(|_| compat::fetch(&workspace, &judges)),
        Command::Profile => profile::run(&workspace),
        Command::Dist(options) => dist::run(&workspace, &options),
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
