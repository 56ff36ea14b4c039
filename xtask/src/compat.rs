//! The external judges: Iceberg's compatibility kit, its own classes, its plans of scans, Spark, Trino, Keycloak, Kafka; and the long tests of chaos and
//! of many replicas. The jars come from Maven Central and stay in `target/compat/`; Spark and Trino's client each come with a Python
//! environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::engines::Selection;
use crate::store::{Store, TestStore};
use crate::workspace::Workspace;
use crate::{engines, oracle, planning, replicas, step};

const FOLDER: &str = "tests/compat";

/// The Maven goal that copies all dependencies of a pom into one folder.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.9.0:copy-dependencies";

/// The folder of Keycloak's pom. Spark and Trino sign in with it too.
const KEYCLOAK: &str = "keycloak";

/// The folder of Kafka's pom and tests.
const KAFKA: &str = "kafka";

/// The releases of Iceberg's Java library to test with, newest first.
const ICEBERG: [&str; 2] = ["1.12.0", "1.11.0"];

/// The number of cases for the oracle when all judges run.
const CASES_OF_ALL: u64 = 200_000;

/// An external judge.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Judge {
    /// Iceberg's REST Compatibility Kit
    Rck,
    /// Iceberg's own classes, which judge documents and commits without a server
    Oracle,
    /// Iceberg's library and PyIceberg, which plan the same scans as a server
    Planning,
    /// Apache Spark, in the test process
    Spark,
    /// A Trino server
    Trino,
    /// Keycloak, the identity provider that people and PyIceberg sign in with
    Keycloak,
    /// Apache Kafka, which receives events
    Kafka,
    /// Attacks, failing storage and kill -9 at once, while another organisation must keep its latency and lose no data
    Chaos,
    /// Many replicas over one PostgreSQL: linearizable histories with faults, rolling restarts, daily limits
    Replicas,
    /// All judges: the kit and Spark with each release of Iceberg, and the oracle with more cases
    All,
}

/// Options of `compat`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The judges to run, in this order
    #[arg(value_enum, required = true)]
    judges: Vec<Judge>,

    /// The release of Iceberg's Java library that the kit and Spark run with
    #[arg(long, default_value = ICEBERG[0], value_parser = ICEBERG)]
    iceberg: String,

    /// How often the chaos test kills and restarts the server
    #[arg(long, default_value_t = 20, value_name = "N")]
    rounds: u32,

    /// The time of each history of many replicas with faults
    #[arg(long, default_value_t = 120, value_name = "N")]
    seconds: u64,

    /// The database of the kit's servers
    #[arg(long, value_enum, default_value_t)]
    store: Store,

    #[command(flatten)]
    oracle: oracle::Amount,

    #[command(flatten)]
    planning: planning::Scans,
}

/// Runs the judges in order; stops at the first failure.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    for judge in &options.judges {
        match judge {
            Judge::Rck => kit(workspace, &options.iceberg, options.store)?,
            Judge::Oracle => oracle::run(workspace, options.oracle)?,
            Judge::Planning => plans(workspace, options.planning, options)?,
            Judge::Spark => spark(workspace, &options.iceberg)?,
            Judge::Trino => trino(workspace)?,
            Judge::Keycloak => beside(workspace, KEYCLOAK)?,
            Judge::Kafka => beside(workspace, KAFKA)?,
            Judge::Chaos => chaos(workspace, options.rounds, options.oracle.seed)?,
            Judge::Replicas => many_replicas(workspace, options)?,
            Judge::All => all(workspace, options)?,
        }
    }
    Ok(())
}

fn all(workspace: &Workspace, options: &Options) -> Result<()> {
    oracle::run(workspace, oracle::Amount { cases: options.oracle.cases.max(CASES_OF_ALL), ..options.oracle })?;
    plans(workspace, planning::Scans { long: true, tables: None }, options)?;
    released(workspace, options.store)?;
    // The newest release runs last, since the conformance page reports the last run.
    for iceberg in ICEBERG.iter().rev() {
        kit(workspace, iceberg, options.store)?;
        spark(workspace, iceberg)?;
    }
    trino(workspace)?;
    beside(workspace, KEYCLOAK)?;
    beside(workspace, KAFKA)?;
    chaos(workspace, options.rounds, options.oracle.seed)?;
    many_replicas(workspace, options)
}

/// Runs the tests of the quickstart's table against the program that the README builds; all other tests use the debug build.
fn released(workspace: &Workspace, store: Store) -> Result<()> {
    let selection = Selection { expression: Some("sample"), processes: None };
    engines::run(workspace, true, selection, &TestStore::start(workspace, store)?)
}

/// Compares plans of scans.
fn plans(workspace: &Workspace, amount: planning::Scans, options: &Options) -> Result<()> {
    let store = TestStore::start(workspace, options.store)?;
    planning::run(workspace, amount, options.oracle.seed, &store)
}

/// Runs all tests with many replicas.
fn many_replicas(workspace: &Workspace, options: &Options) -> Result<()> {
    let history = Duration::from_secs(options.seconds);
    replicas::run(workspace, replicas::Length::Long { history, seed: options.oracle.seed })
}

/// Runs the chaos test of the engine suite for longer, and the kills in all steps of maintenance.
fn chaos(workspace: &Workspace, rounds: u32, seed: u64) -> Result<()> {
    let binary = engines::build(workspace, false)?;
    let python = engines::environment(workspace, engines::FOLDER)?;
    let [chaos, kills] = ["chaos", "maintenance_kills"].map(|test| format!("{}/test_{test}.py", engines::FOLDER));
    let mut pytest = step::command(&workspace.root, python, &["-m", "pytest", "-s", &chaos, &kills]);
    pytest.env("TIDEWATER_CHAOS_ROUNDS", rounds.to_string()).env("TIDEWATER_CHAOS_SEED", seed.to_string());
    pytest.env("TIDEWATER_MAINTENANCE_STEPS", "all");
    step::run(pytest.env("TIDEWATER_BIN", binary))
}

/// Fetches the files of these judges, so that they can start at once: the kit's for each release of Iceberg, Spark's for
/// the newest.
pub(crate) fn fetch(workspace: &Workspace, judges: &[Judge]) -> Result<()> {
    for judge in judges {
        match judge {
            Judge::Rck => {
                for iceberg in ICEBERG {
                    artifacts(workspace, "rck", Some(iceberg))?;
                }
            }
            Judge::Oracle => {
                artifacts(workspace, "oracle", None)?;
            }
            Judge::Planning => {
                artifacts(workspace, "oracle", None)?;
                engines::environment(workspace, engines::FOLDER)?;
            }
            Judge::Spark => {
                artifacts(workspace, "spark", Some(ICEBERG[0]))?;
                artifacts(workspace, KEYCLOAK, None)?;
                engines::environment(workspace, &format!("{FOLDER}/spark"))?;
            }
            Judge::Trino => {
                artifacts(workspace, "trino/server", None)?;
                artifacts(workspace, "trino/plugin", None)?;
                artifacts(workspace, KEYCLOAK, None)?;
                engines::environment(workspace, &format!("{FOLDER}/trino"))?;
            }
            Judge::Keycloak | Judge::Kafka => {
                artifacts(workspace, if matches!(judge, Judge::Kafka) { KAFKA } else { KEYCLOAK }, None)?;
                engines::environment(workspace, engines::FOLDER)?;
            }
            Judge::Chaos | Judge::Replicas => {
                engines::environment(workspace, engines::FOLDER)?;
            }
            Judge::All => {
                use Judge::{Kafka, Keycloak, Oracle, Planning, Rck, Spark, Trino};
                fetch(workspace, &[Rck, Oracle, Planning, Spark, Trino, Keycloak, Kafka])?;
            }
        }
    }
    Ok(())
}

fn kit(workspace: &Workspace, iceberg: &str, store: Store) -> Result<()> {
    let binary = engines::build(workspace, false)?;
    let jars = artifacts(workspace, "rck", Some(iceberg))?;
    let python = engines::environment(workspace, engines::FOLDER)?;
    let mut kit = step::command(&workspace.root, python, &["tests/compat/rck.py"]);
    let store = TestStore::start(workspace, store)?;
    let kit = kit.arg(jars).arg(workspace.target.join("compat/rck-run")).env("TIDEWATER_BIN", binary);
    step::run(store.name_in(kit))
}

fn spark(workspace: &Workspace, iceberg: &str) -> Result<()> {
    let jars = artifacts(workspace, "spark", Some(iceberg))?;
    artifacts(workspace, KEYCLOAK, None)?;
    engine(workspace, "spark", &[("TIDEWATER_JARS", &jars)])
}

fn trino(workspace: &Workspace) -> Result<()> {
    artifacts(workspace, "trino/server", None)?;
    artifacts(workspace, "trino/plugin", None)?;
    artifacts(workspace, KEYCLOAK, None)?;
    engine(workspace, "trino", &[])
}

/// Runs the tests with another server, Keycloak or Kafka, in the environment of the engine tests.
fn beside(workspace: &Workspace, server: &str) -> Result<()> {
    artifacts(workspace, server, None)?;
    let binary = engines::build(workspace, false)?;
    let python = engines::environment(workspace, engines::FOLDER)?;
    let tests = format!("{FOLDER}/{server}");
    let mut pytest = step::command(&workspace.root, python, &["-m", "pytest", &tests]);
    step::run(pytest.env("TIDEWATER_BIN", binary).env("CARGO_TARGET_DIR", &workspace.target))
}

/// Runs the tests of an engine in its own environment.
fn engine(workspace: &Workspace, name: &str, settings: &[(&str, &Path)]) -> Result<()> {
    let binary = engines::build(workspace, false)?;
    let tests = format!("{FOLDER}/{name}");
    let python = engines::environment(workspace, &tests)?;
    let mut pytest = step::command(&workspace.root, python, &["-m", "pytest", &tests]);
    pytest.envs(settings.iter().copied());
    step::run(pytest.env("TIDEWATER_BIN", binary).env("CARGO_TARGET_DIR", &workspace.target))
}

/// Returns the folder with the dependencies of `tests/compat/NAME/pom.xml`. `iceberg` replaces the pom's release of
/// Iceberg. Fetches the files again after a change.
pub(crate) fn artifacts(workspace: &Workspace, name: &str, iceberg: Option<&str>) -> Result<PathBuf> {
    let pom = workspace.root.join(FOLDER).join(name).join("pom.xml");
    let wanted = fs::read_to_string(&pom).with_context(|| format!("cannot read {}", pom.display()))?;
    let made = iceberg.map_or_else(|| name.to_owned(), |version| format!("{name}-{version}"));
    let plain_name = made.replace('/', "-");
    let _one_at_a_time = workspace.lock(&plain_name)?;
    let folder = workspace.target.join("compat").join(made);
    // Written last, so that an incomplete fetch is repeated.
    let made_for = folder.join("made-for.xml");
    if fs::read_to_string(&made_for).is_ok_and(|made| made == wanted) {
        return Ok(folder);
    }
    step::say(&format!("fetching the jars of {name} from Maven Central, once"));
    remove(&folder)?;
    let repository = workspace.target.join("compat/maven").join(plain_name);
    let mut maven = step::command(&workspace.root, "mvn", &["--batch-mode", "--quiet", "--file"]);
    maven.arg(&pom).arg(COPY);
    maven.arg(format!("-Dmaven.repo.local={}", repository.display()));
    maven.arg(format!("-DoutputDirectory={}", folder.display()));
    if let Some(version) = iceberg {
        maven.arg(format!("-Diceberg.version={version}"));
    }
    // Omits dependencies with the scope `provided`.
    maven.arg("-DincludeScope=runtime");
    step::run(&mut maven)
        .context("Maven and a Java 17 or newer are needed (Debian: apt-get install maven openjdk-17-jre-headless)")?;
    // The folder has a copy of everything in the repository, which is large.
    remove(&repository)?;
    fs::write(&made_for, wanted).with_context(|| format!("cannot write {}", made_for.display()))?;
    Ok(folder)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}
