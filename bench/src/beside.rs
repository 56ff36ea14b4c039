//! The latency of a quiet organisation's loads, alone and during another organisation's attack. Rounds with and without
//! the attack alternate in one run, and the result is their ratio.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use crate::attack::{self, Answers, Attack, Attacker};
use crate::catalog::{Catalog, TableName};
use crate::cli::BesideArgs;
use crate::client::{self, Connection, Outgoing};
use crate::clock::Clock;
use crate::machine::Machine;
use crate::report::ratio::Spread;
use crate::stop::Stop;
use crate::tally::{Figures, Tally};
use crate::targets::{SignIn, Target};

/// The quiet organisation's pause after each load.
const PAUSE: Duration = Duration::from_millis(5);

/// How long an attack runs before its round is measured, and how long the server rests afterwards.
const SETTLE: Duration = Duration::from_secs(1);

/// The version of the report's JSON.
const SCHEMA: &str = "tidewater-bench-beside/1";

/// The results of a run.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BesideReport {
    pub schema: &'static str,
    pub version: &'static str,
    pub machine: Machine,
    pub seconds: f64,
    pub rounds: usize,
    pub attacks: Vec<BesideAttack>,
    /// Loads with a status other than 200.
    pub failures: BTreeMap<String, u64>,
    /// Whether the run finished.
    pub complete: bool,
}

/// The quiet organisation's figures for one attack.
#[derive(Debug, Serialize)]
pub struct BesideAttack {
    /// The attack.
    pub attack: Attack,
    /// All rounds without the attack.
    pub alone: Figures,
    /// All rounds during the attack.
    pub beside: Figures,
    /// The median during the attack as a multiple of the median without it; over the rounds.
    pub p50: Option<Spread>,
    /// The same for the 99th percentile.
    pub p99: Option<Spread>,
    /// The responses to the attackers.
    pub attackers: BTreeMap<String, u64>,
}

/// Runs the measurement. Calls `tell` with a line of progress for each round.
///
/// # Errors
/// Fails if the catalog does not answer, or refuses to create the tables.
pub fn run(args: &BesideArgs, clock: Clock, stop: &Stop, tell: &dyn Fn(&str)) -> Result<BesideReport> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let namespace = format!("tidewater_bench_{}", clock.now_ms() / 1000);
    let connect = |token: &str| Target::connect(&args.uri, None, SignIn::Token(token.to_owned()));
    let (quiet, attacker) = (connect(&args.token), connect(&args.attacker_token));
    let (quiet, attacker) = runtime.block_on(async { anyhow::Ok((quiet.await?, attacker.await?)) })?;
    let table = TableName { namespace: namespace.clone(), name: "quiet".to_owned() };
    runtime.block_on(async {
        let mut catalog = Catalog::open(&quiet).await?;
        catalog.namespace_create(&namespace).await?;
        catalog.table_create(table.clone(), 1, clock.now_ms()).await?;
        attack::prepare(&attacker, &format!("{namespace}_attack")).await
    })?;
    let load = quiet.at_prefix(Method::GET, &table.path(), Bytes::new())?;
    let request = args.request.as_ref().map(|path| attacker.at(Method::GET, path, Bytes::new())).transpose()?;
    let theirs = Attacker { target: attacker.clone(), namespace: format!("{namespace}_attack"), request };
    let measured = measure(args, &runtime, &quiet, &load, &theirs, stop, tell);
    let cleaned = runtime.block_on(async {
        let mut catalog = Catalog::open(&quiet).await?;
        catalog.table_drop(&table).await?;
        catalog.namespace_drop(&namespace).await?;
        attack::clean_up(&attacker, &format!("{namespace}_attack")).await
    });
    let (attacks, failures) = measured?;
    cleaned.context("cannot remove the benchmark's tables")?;
    Ok(BesideReport {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::look(None),
        seconds: args.seconds.as_secs_f64(),
        rounds: args.rounds,
        attacks,
        failures,
        complete: !stop.requested(),
    })
}

type Measured = (Vec<BesideAttack>, BTreeMap<String, u64>);

fn measure(
    args: &BesideArgs,
    runtime: &Runtime,
    quiet: &Target,
    load: &Outgoing,
    attacker: &Attacker,
    stop: &Stop,
    tell: &dyn Fn(&str),
) -> Result<Measured> {
    let mut failures = BTreeMap::new();
    let mut attacks = Vec::new();
    for kind in args.attacks() {
        let (mut alone_rounds, mut beside_rounds) = (Vec::new(), Vec::new());
        let answers = Answers::default();
        for round in 0..args.rounds {
            if stop.requested() {
                break;
            }
            tell(&format!("{}, round {} of {}", kind.name(), round + 1, args.rounds));
            alone_rounds.push(runtime.block_on(loads(quiet, load, args.seconds))?);
            let under_attack = Under::attack(kind, attacker, &answers)?;
            std::thread::sleep(SETTLE);
            beside_rounds.push(runtime.block_on(loads(quiet, load, args.seconds))?);
            under_attack.end()?;
            std::thread::sleep(SETTLE);
        }
        for tally in alone_rounds.iter().chain(&beside_rounds) {
            for (what, failed) in &tally.failures {
                *failures.entry(what.clone()).or_default() += failed.count;
            }
        }
        attacks.push(summarise(
            kind,
            &alone_rounds,
            &beside_rounds,
            answers.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        )?);
    }
    Ok((attacks, failures))
}

fn summarise(
    attack: Attack,
    alone_rounds: &[Tally],
    beside_rounds: &[Tally],
    attackers: BTreeMap<String, u64>,
) -> Result<BesideAttack> {
    let all = |rounds: &[Tally]| {
        let mut all = Tally::new()?;
        rounds.iter().try_for_each(|round| all.append(round))?;
        anyhow::Ok(all.figures())
    };
    let by_round = |figure: fn(&Figures) -> f64| {
        Spread::from_values(alone_rounds.iter().zip(beside_rounds).map(|(alone, beside)| {
            let (alone, beside) = (alone.figures(), beside.figures());
            figure(&beside) / figure(&alone)
        }))
    };
    Ok(BesideAttack {
        attack,
        alone: all(alone_rounds)?,
        beside: all(beside_rounds)?,
        p50: by_round(|figures| figures.latency_ms.p50),
        p99: by_round(|figures| figures.latency_ms.p99),
        attackers,
    })
}

/// Loads a table for some time, with a pause after each load.
async fn loads(target: &Target, load: &Outgoing, time: Duration) -> Result<Tally> {
    let mut tally = Tally::new()?;
    let mut connection = Connection::open(target.addr).await?;
    let begun = Instant::now();
    while begun.elapsed() < time {
        let sent = Instant::now();
        let answered = async {
            let response = connection.send(load).await?;
            let (status, is_last) = (response.status(), client::is_last(&response));
            anyhow::Ok((status, is_last, client::drain(response.into_body()).await?))
        };
        let is_lost = match answered.await {
            Ok((StatusCode::OK, is_last, bytes)) => {
                tally.complete(sent.elapsed(), bytes);
                is_last
            }
            Ok((status, is_last, _)) => {
                tally.fail(status.as_str().to_owned(), String::new);
                is_last
            }
            Err(error) => {
                tally.fail("connection".to_owned(), || format!("{error:#}"));
                true
            }
        };
        if is_lost {
            connection = Connection::open(target.addr).await?;
        }
        tokio::time::sleep(PAUSE).await;
    }
    tally.measured = begun.elapsed();
    Ok(tally)
}

/// An attack on its own thread.
struct Under {
    stop: Stop,
    thread: std::thread::JoinHandle<Result<()>>,
}

impl Under {
    fn attack(kind: Attack, attacker: &Attacker, answers: &Answers) -> Result<Self> {
        let (stop, attacker, answers) = (Stop::default(), attacker.clone(), Arc::clone(answers));
        let seen = stop.clone();
        let thread = std::thread::Builder::new().name("attack".into()).spawn(move || {
            stand_back();
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(attack::run(kind, attacker, seen, answers))
        })?;
        Ok(Self { stop, thread })
    }

    /// Stops the attack, and waits for the last responses.
    fn end(self) -> Result<()> {
        self.stop.request();
        self.thread.join().map_err(|_| anyhow::anyhow!("the attackers panicked"))?
    }
}

/// Gives the calling thread the lowest priority. Real attackers come from other machines, so the attack's own programs
/// must not slow down the server on this one. On Linux each thread has its own priority.
fn stand_back() {
    #[cfg(target_os = "linux")]
    // If this fails, the figures are only less favourable.
    let _ = rustix::process::setpriority_process(None, 19);
}

/// Returns the report as text.
#[must_use]
pub fn render(report: &BesideReport) -> String {
    let (machine, rounds, seconds) = (&report.machine, report.rounds, report.seconds);
    let processor = machine.processor.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let mut text = format!(
        "A quiet organisation's loads, alone and beside an attack: {rounds} rounds of {seconds:.0} s each, in turns\n\
         machine  {} cores{processor}, {}\n\n",
        machine.cores, machine.kernel
    );
    text.push_str(
        "attack     alone p50     p99   beside p50     p99   p50 ratio            p99 ratio            attackers\n",
    );
    for row in &report.attacks {
        let (alone, beside) = (row.alone.latency_ms, row.beside.latency_ms);
        let ratio = |spread: Option<Spread>| {
            spread.map_or_else(String::new, |one| format!("{:.2} ({:.2} to {:.2})", one.median, one.min, one.max))
        };
        let answers: Vec<String> = row.attackers.iter().map(|(what, count)| format!("{count} x {what}")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<8} {:>8.2} ms {:>7.2} {:>9.2} ms {:>7.2}   {:<20} {:<20} {}",
            row.attack.name(),
            alone.p50,
            alone.p99,
            beside.p50,
            beside.p99,
            ratio(row.p50),
            ratio(row.p99),
            answers.join(", ")
        );
    }
    for (what, count) in &report.failures {
        let _ = writeln!(text, "{count} loads were not answered 200: {what}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(latency_ms: u64) -> Tally {
        let mut tally = Tally::new().unwrap();
        (0..100).for_each(|_| tally.complete(Duration::from_millis(latency_ms), 1));
        tally
    }

    #[test]
    fn ratio_compares_neighbouring_rounds() {
        let row = summarise(Attack::Columns, &[round(1), round(10)], &[round(2), round(20)], BTreeMap::new()).unwrap();
        let p99 = row.p99.unwrap();
        assert!((p99.min - 2.0).abs() < 0.01 && (p99.max - 2.0).abs() < 0.01, "{p99:?}");
    }
}
