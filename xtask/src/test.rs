//! All tests, in the order in which they fail fastest.

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{engines, step};

/// Which tests.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the tests in Rust
    #[arg(long, conflicts_with_all = ["engines", "expression", "release"])]
    rust: bool,

    /// Only the tests with real engines
    #[arg(long)]
    engines: bool,

    /// Only the engine tests that match, as pytest's -k does
    #[arg(short = 'k', value_name = "EXPRESSION")]
    expression: Option<String>,

    /// In how many processes the engine tests run; by default two for each processor, and with -k in one
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "rust")]
    processes: Option<usize>,

    /// Only the engine tests, against the release binary
    #[arg(long)]
    release: bool,
}

/// Runs them; ends at the first command that fails.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let only_engines = options.engines || options.release || options.expression.is_some();
    if !only_engines {
        step::run(&mut step::cargo(&workspace.root, &["test", "--workspace", "--locked"]))?;
    }
    if !options.rust {
        engines::run(workspace, options.release, options.expression.as_deref(), options.processes)?;
    }
    Ok(())
}
