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
/// It keeps a number of connections busy, each of which sends its next request when the last answer has arrived, and reports
/// requests per second and percentiles of their latency. The catalog may be any that speaks the Iceberg REST protocol.
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
    /// Measure a catalog, or two in turns
    ///
    /// Tables are made in a namespace of their own and removed at the end, after Ctrl-C too. The catalog should allow any
    /// number of requests: one that answers 429 is not measured but its limit.
    Run(Box<RunArgs>),
    /// Measure the loads of one organisation, alone and while another one attacks
    ///
    /// The two sign in with a token each, and share nothing but the server. Each attack is measured in turns with nothing. What
    /// was made is removed at the end. Do this to a server of your own only.
    Beside(BesideArgs),
    /// Measure what this machine can do without any catalog: answer with bytes, and make bytes durable
    Floor(FloorArgs),
    /// Serve the same bytes to every request until it is ended; `floor` and `run --with-floor` start it by themselves
    BareServer(BareServerArgs),
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The catalog's URI, as other clients are given it (with or without /v1)
    #[arg(long)]
    pub uri: String,
    /// Sign in with this token, such as an API key
    #[arg(long, env = "TIDEWATER_BENCH_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Sign in at the token endpoint with this client id and secret (id:secret, or a secret alone)
    #[arg(long, env = "TIDEWATER_BENCH_CREDENTIAL", hide_env_values = true, conflicts_with = "token")]
    pub credential: Option<String>,
    /// The warehouse, where the catalog has several
    #[arg(long)]
    pub warehouse: Option<String>,

    /// A second catalog, measured in turns with the first
    #[arg(long)]
    pub versus_uri: Option<String>,
    /// Its token
    #[arg(long, env = "TIDEWATER_BENCH_VERSUS_TOKEN", hide_env_values = true, requires = "versus_uri")]
    pub versus_token: Option<String>,
    /// Its client id and secret
    #[arg(
        long,
        env = "TIDEWATER_BENCH_VERSUS_CREDENTIAL",
        hide_env_values = true,
        requires = "versus_uri",
        conflicts_with = "versus_token"
    )]
    pub versus_credential: Option<String>,
    /// Its warehouse
    #[arg(long, requires = "versus_uri")]
    pub versus_warehouse: Option<String>,

    /// What to measure; everything if not given
    #[arg(long, value_delimiter = ',')]
    pub workload: Vec<Workload>,
    /// Numbers of snapshots of the tables of load, load-304, commit-sequential and commit-append
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000", value_parser = clap::value_parser!(u64).range(1..))]
    pub snapshots: Vec<u64>,
    /// Tables of commit-many (at least one for each connection is made)
    #[arg(long, default_value_t = 200, value_parser = positive)]
    pub tables: usize,
    /// Tables in the namespace of list
    #[arg(long, default_value_t = 1000, value_parser = positive)]
    pub list_tables: usize,
    /// The namespace to make, by default tidewater_bench_ and the time; a second one with _list behind it is made for list
    #[arg(long)]
    pub namespace: Option<String>,
    /// Leave the tables on the catalog
    #[arg(long)]
    pub keep: bool,

    /// Measure beside each load what this machine could do at best, and print the ratio
    #[arg(long)]
    pub with_floor: bool,
    /// With --with-floor: where durable writes are measured; it should be on the disk that the catalog writes to
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    pub floor_folder: PathBuf,

    /// How long and how hard
    #[command(flatten)]
    pub load: LoadArgs,
    /// Where the figures go
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `beside`.
#[derive(Debug, Args)]
pub struct BesideArgs {
    /// The catalog's URI, as other clients are given it (with or without /v1)
    #[arg(long)]
    pub uri: String,
    /// The token of the quiet organisation, such as an API key that may write
    #[arg(long, env = "TIDEWATER_BENCH_TOKEN", hide_env_values = true)]
    pub token: String,
    /// The token of the organisation that attacks, which may write too
    #[arg(long, env = "TIDEWATER_BENCH_ATTACKER_TOKEN", hide_env_values = true)]
    pub attacker_token: String,
    /// The attacks; all if not given
    #[arg(long, value_delimiter = ',')]
    pub attack: Vec<Attack>,
    /// Seconds that are measured alone, and then beside the attack
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub seconds: Duration,
    /// Rounds of each attack
    #[arg(long, default_value_t = 3, value_parser = positive)]
    pub rounds: usize,
    /// Where the figures go
    #[command(flatten)]
    pub output: OutputArgs,
}

impl BesideArgs {
    /// The attacks in the order in which they are measured, each once.
    #[must_use]
    pub fn attacks(&self) -> Vec<Attack> {
        let asked = |attack: &Attack| self.attack.is_empty() || self.attack.contains(attack);
        Attack::ALL.into_iter().filter(asked).collect()
    }
}

/// Options of `floor`.
#[derive(Debug, Args)]
pub struct FloorArgs {
    /// Measure the bare server only
    #[arg(long)]
    pub bare: bool,
    /// Measure durable writes only
    #[arg(long)]
    pub durable: bool,
    /// Sizes of the bare server's answers
    #[arg(long, value_delimiter = ',', default_value = "2400,94000,772000")]
    pub bytes: Vec<u64>,
    /// Sizes of the documents that are made durable
    #[arg(long, value_delimiter = ',', default_value = "2400")]
    pub document_bytes: Vec<u64>,
    /// Tables that durable writes go round
    #[arg(long, default_value_t = 200, value_parser = positive)]
    pub tables: usize,
    /// Where durable writes are measured
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    pub folder: PathBuf,
    /// How long and how hard
    #[command(flatten)]
    pub load: LoadArgs,
    /// Where the figures go
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options that every load has.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Numbers of connections
    #[arg(long, value_delimiter = ',', default_value = "1,8,64", value_parser = positive)]
    pub connections: Vec<usize>,
    /// Seconds that each load is measured
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub seconds: Duration,
    /// Seconds before, which are not measured
    #[arg(long, default_value = "3", value_parser = seconds)]
    pub warm_up: Duration,
    /// Rounds of each load [default: 3 where something is compared, else 1]
    #[arg(long, value_parser = positive)]
    pub rounds: Option<usize>,
    /// Threads of the client [default: one for every four cores]
    #[arg(long, value_parser = positive)]
    pub threads: Option<usize>,
    /// Seconds after which a request has failed
    #[arg(long, default_value = "60", value_parser = seconds)]
    pub timeout: Duration,
}

/// Options of the output.
#[derive(Clone, Debug, Args)]
pub struct OutputArgs {
    /// The form of the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Write the report to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Say nothing while it runs
    #[arg(long)]
    pub quiet: bool,
}

/// Options of `bare-server`.
#[derive(Debug, Args)]
pub struct BareServerArgs {
    /// Size of the answer
    #[arg(long, default_value_t = 2400)]
    pub bytes: usize,
    /// Status of the answer
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(100..1000))]
    pub status: u16,
    /// Where to listen; port 0 takes a free one, which is printed
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: std::net::SocketAddr,
    /// End when standard input ends
    #[arg(long, hide = true)]
    pub end_with_input: bool,
}

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for a person
    Text,
    /// JSON, as docs/benchmark.md describes it
    Json,
}

/// One catalog to be measured.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TargetArgs {
    pub uri: String,
    pub warehouse: Option<String>,
    pub sign_in: SignIn,
}

impl RunArgs {
    /// The catalogs, the first one first.
    ///
    /// # Errors
    /// When a catalog is given two ways of signing in.
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

    /// The workloads in the order in which they are measured, each once.
    #[must_use]
    pub fn workloads(&self) -> Vec<Workload> {
        let asked = |workload: &Workload| self.workload.is_empty() || self.workload.contains(workload);
        Workload::ALL.into_iter().filter(asked).collect()
    }

    /// How much is made on the catalogs.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let mut snapshots = self.snapshots.clone();
        snapshots.sort_unstable();
        snapshots.dedup();
        Sizes { snapshots, tables: self.tables, list_tables: self.list_tables }
    }

    /// How many rounds there are.
    #[must_use]
    pub fn rounds(&self) -> usize {
        let compares = self.with_floor || self.versus_uri.is_some();
        self.load.rounds.unwrap_or(if compares { 3 } else { 1 })
    }

    /// The namespace to make; names may hold letters, digits and underscores, which every catalog takes.
    ///
    /// # Errors
    /// When it holds anything else.
    pub fn namespace(&self, now_ms: u64) -> Result<String> {
        let Some(name) = &self.namespace else { return Ok(format!("tidewater_bench_{}", now_ms / 1000)) };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            bail!("--namespace {name:?}: use letters, digits and underscores only");
        }
        Ok(name.clone())
    }
}

impl LoadArgs {
    /// The pace of each load.
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
    fn the_command_line_is_consistent() {
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
    fn everything_is_measured_once_if_nothing_is_said() {
        let args = run(&[]).unwrap();
        assert_eq!(args.workloads(), Workload::ALL);
        assert_eq!((args.rounds(), args.load.seconds), (1, Duration::from_secs(10)));
        assert_eq!(args.targets().unwrap().len(), 1);
    }

    #[test]
    fn comparisons_take_three_rounds_unless_told_otherwise() {
        assert_eq!(run(&["--with-floor"]).unwrap().rounds(), 3);
        assert_eq!(run(&["--versus-uri", "http://b"]).unwrap().rounds(), 3);
        assert_eq!(run(&["--versus-uri", "http://b", "--rounds", "7"]).unwrap().rounds(), 7);
    }

    #[test]
    fn contradictions_and_zeros_are_refused() {
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
    fn the_namespace_is_named_by_the_time_or_by_hand() {
        assert_eq!(run(&[]).unwrap().namespace(1_790_000_000_123).unwrap(), "tidewater_bench_1790000000");
        assert_eq!(run(&["--namespace", "mine_2"]).unwrap().namespace(0).unwrap(), "mine_2");
        assert!(run(&["--namespace", "a/b"]).unwrap().namespace(0).is_err());
    }
}
