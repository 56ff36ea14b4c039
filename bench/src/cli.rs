//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::attack::Attack;
use crate::driver::Pace;
use crate::stop::Stop;
use crate::targets::SignIn;
use crate::workload::{Sizes, Workload};

/// Measures how fast an Apache Iceberg REST catalog answers.
///
/// It keeps a number of connections busy: each sends its next request when the last response has arrived. It reports requests
/// per second and percentiles of their latency. It works with every catalog that speaks the Iceberg REST protocol.
#[derive(Debug, Parser)]
#[command(name = "tidewater-bench", version)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure one catalog, or two in alternating rounds
    ///
    /// Creates tables in its own namespace and removes them at the end, also after Ctrl-C. Switch off the catalog's request
    /// limits: with responses of status 429 you measure the limit, not the catalog.
    Run(Box<RunArgs>),
    /// Measure the loads of one organisation, alone and during an attack by another organisation
    ///
    /// Each organisation signs in with its own token; they share only the server. Rounds with and without the attack alternate.
    /// Removes its tables at the end. Run this only against your own server.
    Beside(BesideArgs),
    /// Measure the machine without a catalog: sending bytes, and writing bytes durably
    Floor(FloorArgs),
    /// Serve the same bytes to every request; `floor` and `run --with-floor` start this themselves
    BareServer(BareServerArgs),
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The catalog's URI, as for other clients (with or without /v1)
    #[arg(long)]
    pub uri: String,
    /// Token for signing in, such as an API key
    #[arg(long, env = "TIDEWATER_BENCH_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Client id and secret for the token endpoint (id:secret, or a secret alone)
    #[arg(long, env = "TIDEWATER_BENCH_CREDENTIAL", hide_env_values = true, conflicts_with = "token")]
    pub credential: Option<String>,
    /// The warehouse, if the catalog has several
    #[arg(long)]
    pub warehouse: Option<String>,

    /// A second catalog, measured in alternating rounds with the first
    #[arg(long)]
    pub versus_uri: Option<String>,
    /// Token for the second catalog
    #[arg(long, env = "TIDEWATER_BENCH_VERSUS_TOKEN", hide_env_values = true, requires = "versus_uri")]
    pub versus_token: Option<String>,
    /// Client id and secret for the second catalog
    #[arg(
        long,
        env = "TIDEWATER_BENCH_VERSUS_CREDENTIAL",
        hide_env_values = true,
        requires = "versus_uri",
        conflicts_with = "versus_token"
    )]
    pub versus_credential: Option<String>,
    /// Warehouse of the second catalog
    #[arg(long, requires = "versus_uri")]
    pub versus_warehouse: Option<String>,

    /// The workloads to measure; default: all
    #[arg(long, value_delimiter = ',')]
    pub workload: Vec<Workload>,
    /// Numbers of snapshots in the tables of load, load-304, commit-sequential and commit-append
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000", value_parser = clap::value_parser!(u64).range(1..))]
    pub snapshots: Vec<u64>,
    /// Number of tables of commit-many (at least one for each connection)
    #[arg(long, default_value_t = 200, value_parser = positive)]
    pub tables: usize,
    /// Number of tables in the namespace of list
    #[arg(long, default_value_t = 1000, value_parser = positive)]
    pub list_tables: usize,
    /// The namespace to create; default: tidewater_bench_ and the time; list uses a second one with the suffix _list
    #[arg(long)]
    pub namespace: Option<String>,
    /// Keep the tables on the catalog
    #[arg(long)]
    pub keep: bool,

    /// Also measure the machine's own limit for each load, and print the ratio
    #[arg(long)]
    pub with_floor: bool,
    /// With --with-floor: the folder for durable writes; use the disk that the catalog writes to
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    pub floor_folder: PathBuf,

    /// Duration and load
    #[command(flatten)]
    pub load: LoadArgs,
    /// The output of the report
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `beside`.
#[derive(Debug, Args)]
pub struct BesideArgs {
    /// The catalog's URI, as for other clients (with or without /v1)
    #[arg(long)]
    pub uri: String,
    /// Token of the quiet organisation, such as the API key of a writer
    #[arg(long, env = "TIDEWATER_BENCH_TOKEN", hide_env_values = true)]
    pub token: String,
    /// Token of the attacking organisation, also a writer's
    #[arg(long, env = "TIDEWATER_BENCH_ATTACKER_TOKEN", hide_env_values = true)]
    pub attacker_token: String,
    /// The attacks; default: all, `requests` only with `--request`
    #[arg(long, value_delimiter = ',')]
    pub attack: Vec<Attack>,
    /// The path that the attack `requests` gets, with its query, such as /v1/namespaces?pageSize=1000
    #[arg(long, value_name = "PATH", required_if_eq("attack", "requests"))]
    pub request: Option<String>,
    /// Seconds of each measurement: alone, then during the attack
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub seconds: Duration,
    /// Number of rounds for each attack
    #[arg(long, default_value_t = 3, value_parser = positive)]
    pub rounds: usize,
    /// The output of the report
    #[command(flatten)]
    pub output: OutputArgs,
}

impl BesideArgs {
    /// Returns the attacks in the order of measurement, each once.
    #[must_use]
    pub fn attacks(&self) -> Vec<Attack> {
        let by_default = |attack: Attack| attack != Attack::Requests || self.request.is_some();
        let asked = |attack: &Attack| match self.attack.as_slice() {
            [] => by_default(*attack),
            named => named.contains(attack),
        };
        Attack::ALL.into_iter().filter(asked).collect()
    }
}

/// Options of `floor`.
#[derive(Debug, Args)]
pub struct FloorArgs {
    /// Measure only the bare server
    #[arg(long)]
    pub bare: bool,
    /// Measure only durable writes
    #[arg(long)]
    pub durable: bool,
    /// Sizes of the bare server's responses, in bytes
    #[arg(long, value_delimiter = ',', default_value = "2400,94000,772000")]
    pub bytes: Vec<u64>,
    /// Sizes of the durable documents, in bytes
    #[arg(long, value_delimiter = ',', default_value = "2400")]
    pub document_bytes: Vec<u64>,
    /// Number of tables that durable writes alternate between
    #[arg(long, default_value_t = 200, value_parser = positive)]
    pub tables: usize,
    /// The folder for durable writes
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Duration and load
    #[command(flatten)]
    pub load: LoadArgs,
    /// The output of the report
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The options of every load.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Numbers of connections
    #[arg(long, value_delimiter = ',', default_value = "1,8,64", value_parser = positive)]
    pub connections: Vec<usize>,
    /// Seconds of each measurement
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub seconds: Duration,
    /// Seconds of load before the measurement
    #[arg(long, default_value = "3", value_parser = seconds)]
    pub warm_up: Duration,
    /// Number of rounds of each load [default: 3 for comparisons, else 1]
    #[arg(long, value_parser = positive)]
    pub rounds: Option<usize>,
    /// Number of client threads [default: one for every four cores]
    #[arg(long, value_parser = positive)]
    pub threads: Option<usize>,
    /// Seconds until a request counts as failed
    #[arg(long, default_value = "60", value_parser = seconds)]
    pub timeout: Duration,
}

/// Options of the output.
#[derive(Clone, Debug, Args)]
pub struct OutputArgs {
    /// Format of the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Write the report to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print no progress
    #[arg(long)]
    pub quiet: bool,
}

/// Options of `bare-server`.
#[derive(Debug, Args)]
pub struct BareServerArgs {
    /// Size of the response, in bytes
    #[arg(long, default_value_t = 2400)]
    pub bytes: usize,
    /// Status of the response
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(100..1000))]
    pub status: u16,
    /// Address to listen on; port 0 takes a free port and prints it
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: std::net::SocketAddr,
    /// End when standard input ends
    #[arg(long, hide = true)]
    pub end_with_input: bool,
}

/// The formats of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables, for people
    Text,
    /// JSON, as docs/benchmark.md describes it
    Json,
}

/// One catalog to measure.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TargetArgs {
    pub uri: String,
    pub warehouse: Option<String>,
    pub sign_in: SignIn,
}

impl RunArgs {
    /// Returns the catalogs, the main one first.
    ///
    /// # Errors
    /// Fails if a catalog has two ways of signing in.
    pub fn targets(&self) -> Result<Vec<TargetArgs>> {
        let mut targets = vec![TargetArgs {
            uri: self.uri.clone(),
            warehouse: self.warehouse.clone(),
            sign_in: SignIn::from_options(self.token.clone(), self.credential.clone())?,
        }];
        if let Some(uri) = &self.versus_uri {
            targets.push(TargetArgs {
                uri: uri.clone(),
                warehouse: self.versus_warehouse.clone(),
                sign_in: SignIn::from_options(self.versus_token.clone(), self.versus_credential.clone())?,
            });
        }
        Ok(targets)
    }

    /// Returns the workloads in the order of measurement, each once.
    #[must_use]
    pub fn workloads(&self) -> Vec<Workload> {
        let asked = |workload: &Workload| self.workload.is_empty() || self.workload.contains(workload);
        Workload::ALL.into_iter().filter(asked).collect()
    }

    /// Returns the sizes of the objects to create.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let mut snapshots = self.snapshots.clone();
        snapshots.sort_unstable();
        snapshots.dedup();
        Sizes { snapshots, tables: self.tables, list_tables: self.list_tables }
    }

    /// Returns the number of rounds.
    #[must_use]
    pub fn rounds(&self) -> usize {
        let compares = self.with_floor || self.versus_uri.is_some();
        self.load.rounds.unwrap_or(if compares { 3 } else { 1 })
    }

    /// Returns the namespace to create. Names of letters, digits and underscores work on every catalog.
    ///
    /// # Errors
    /// Fails if the name contains any other character.
    pub fn namespace(&self, now_ms: u64) -> Result<String> {
        let Some(name) = &self.namespace else { return Ok(format!("tidewater_bench_{}", now_ms / 1000)) };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            bail!("--namespace {name:?}: use letters, digits and underscores only");
        }
        Ok(name.clone())
    }
}

impl LoadArgs {
    /// Returns the pace of each load.
    #[must_use]
    pub fn pace(&self, stop: Stop) -> Pace {
        let cores = std::thread::available_parallelism().map_or(1, Into::into);
        Pace {
            threads: self.threads.unwrap_or(cores / 4).max(1),
            warm_up: self.warm_up,
            measure: self.seconds,
            timeout: self.timeout,
            stop,
        }
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("{error}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn run(more: &[&str]) -> Result<RunArgs, clap::Error> {
        let args = ["tidewater-bench", "run", "--uri", "http://h"].iter().chain(more);
        match Cli::try_parse_from(args)?.command {
            Command::Run(run) => Ok(*run),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn command_line_definition_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lists_are_separated_by_commas_and_workloads_keep_their_order() {
        let args = run(&["--workload", "commit-many,config,config", "--connections", "1,32", "--snapshots", "10,1,10"]);
        let args = args.unwrap();
        assert_eq!(args.workloads(), [Workload::Config, Workload::CommitMany]);
        assert_eq!(args.load.connections, [1, 32]);
        assert_eq!(args.sizes().snapshots, [1, 10]);
    }

    #[test]
    fn defaults_measure_every_workload_once() {
        let args = run(&[]).unwrap();
        assert_eq!(args.workloads(), Workload::ALL);
        assert_eq!((args.rounds(), args.load.seconds), (1, Duration::from_secs(10)));
        assert_eq!(args.targets().unwrap().len(), 1);
    }

    #[test]
    fn comparisons_default_to_three_rounds() {
        assert_eq!(run(&["--with-floor"]).unwrap().rounds(), 3);
        assert_eq!(run(&["--versus-uri", "http://b"]).unwrap().rounds(), 3);
        assert_eq!(run(&["--versus-uri", "http://b", "--rounds", "7"]).unwrap().rounds(), 7);
    }

    #[test]
    fn contradictory_options_and_zeros_are_refused() {
        for wrong in [
            &["--token", "a", "--credential", "b:c"][..],
            &["--versus-warehouse", "w"],
            &["--connections", "0"],
            &["--snapshots", "0"],
            &["--seconds", "-1"],
            &["--workload", "everything"],
        ] {
            assert!(run(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn namespace_name_comes_from_the_time_or_the_option() {
        assert_eq!(run(&[]).unwrap().namespace(1_790_000_000_123).unwrap(), "tidewater_bench_1790000000");
        assert_eq!(run(&["--namespace", "mine_2"]).unwrap().namespace(0).unwrap(), "mine_2");
        assert!(run(&["--namespace", "a/b"]).unwrap().namespace(0).is_err());
    }
}
