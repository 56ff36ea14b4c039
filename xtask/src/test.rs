//! Runs all tests, the quickest to fail first.

use anyhow::{Result, ensure};

use crate::engines::Selection;
use crate::store::{Store, TestStore};
use crate::workspace::Workspace;
use crate::{engines, replicas, step};

/// Options of `test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only the Rust tests
    #[arg(long, conflicts_with_all = ["engines", "expression", "release", "replicas"])]
    rust: bool,

    /// Run only the tests with real engines
    #[arg(long)]
    engines: bool,

    /// Run only the tests with many replicas over one PostgreSQL
    #[arg(long, conflicts_with_all = ["engines", "expression", "release"])]
    replicas: bool,

    /// Run only the engine tests that match, as pytest's -k does
    #[arg(short = 'k', value_name = "EXPRESSION")]
    expression: Option<String>,

    /// Number of processes of the engine tests; default: two per processor, and one with -k
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "rust")]
    processes: Option<usize>,

    /// Run only the engine tests, against the release binary
    #[arg(long)]
    release: bool,

    /// The database of the servers under test
    #[arg(long, value_enum, default_value_t)]
    store: Store,
}

/// Runs the tests; stops at the first failure.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let only_engines = options.engines || options.release || options.expression.is_some();
    ensure!(
        options.store != Store::Pgbouncer || only_engines,
        "--store pgbouncer is for the tests with real engines: add --engines or -k"
    );
    let store = TestStore::start(workspace, options.store)?;
    if !only_engines && !options.replicas {
        let tests: &[&str] = match options.store {
            Store::Sqlite => &["test", "--workspace", "--locked"],
            // The other tests have no server, or open SQLite themselves.
            Store::Postgres | Store::Pgbouncer => &["test", "--workspace", "--locked", "--test", "it", "api::"],
        };
        step::run(store.name_in(&mut step::cargo(&workspace.root, tests)))?;
    }
    if !options.rust && !options.replicas {
        let selection = Selection { expression: options.expression.as_deref(), processes: options.processes };
        engines::run(workspace, options.release, selection, &store)?;
    }
    if !options.rust && !only_engines {
        replicas::run(workspace, replicas::Length::Short)?;
    }
    Ok(())
}
