//! The `tidewater-bench` command.

use std::fs;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use axum::http::StatusCode;
use clap::Parser as _;
use tidewater_bench::beside;
use tidewater_bench::cli::{BareServerArgs, Cli, Command, FloorArgs, Format, OutputArgs};
use tidewater_bench::clock::Clock;
use tidewater_bench::floor::bare::{self, BareAnswer};
use tidewater_bench::floor::measure::{self, FloorPlan, Floors};
use tidewater_bench::machine::Machine;
use tidewater_bench::report::{Report, SCHEMA, Settings, text};
use tidewater_bench::run;
use tidewater_bench::stop::Stop;
use tokio::net::TcpListener;

/// The exit code if some responses were unexpected.
const UNCLEAN: u8 = 1;
/// The exit code if nothing could be measured.
const FAILED: u8 = 2;
/// The usual exit code of an interrupted program.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match start(Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tell(&format!("error: {error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

fn start(cli: Cli) -> Result<u8> {
    match cli.command {
        Command::Run(args) => {
            let stop = stop_on_ctrl_c()?;
            let report = run::run(&args, clock()?, &stop, teller(&args.output))?;
            write(&report, &args.output)
        }
        Command::Beside(args) => {
            let report = beside::run(&args, clock()?, &stop_on_ctrl_c()?, teller(&args.output))?;
            let rendered = match args.output.format {
                Format::Text => beside::render(&report),
                Format::Json => serde_json::to_string_pretty(&report)?,
            };
            write_text(rendered, &args.output)?;
            Ok(if !report.complete {
                INTERRUPTED
            } else if report.failures.is_empty() {
                0
            } else {
                UNCLEAN
            })
        }
        Command::Floor(args) => {
            let report = floor(&args)?;
            write(&report, &args.output)
        }
        Command::BareServer(args) => bare_server(&args).map(|()| 0),
    }
}

#[expect(clippy::disallowed_methods, reason = "reads the system's time once; all other code takes it as an argument")]
fn clock() -> Result<Clock> {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(Clock::starting_at(u64::try_from(since_1970.as_millis())?))
}

/// Installs the handler of Ctrl-C. The first one ends the loads and cleans up; the second one ends the program.
fn stop_on_ctrl_c() -> Result<Stop> {
    let stop = Stop::default();
    let seen = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                if seen.requested() {
                    std::process::exit(i32::from(INTERRUPTED));
                }
                tell("stopping and cleaning up; press Ctrl-C again to exit without cleaning up");
                seen.request();
            }
        });
    })?;
    Ok(stop)
}

fn floor(args: &FloorArgs) -> Result<Report> {
    let both = args.bare == args.durable;
    let plan = FloorPlan {
        bare_bytes: if both || args.bare { args.bytes.clone() } else { Vec::new() },
        durable_bytes: if both || args.durable { args.document_bytes.clone() } else { Vec::new() },
        connections: args.load.connections.clone(),
        rounds: args.load.rounds.unwrap_or(1),
    };
    let pace = args.load.pace(stop_on_ctrl_c()?);
    let machine = Machine::look(Some(&args.folder));
    let mut notes = Vec::new();
    if machine.folder_is_in_memory() {
        notes.push("--folder is in memory: its writes are not durable.".to_owned());
    }
    let mut floors = Floors::new(args.folder.clone(), args.tables);
    let rows = measure::run(&plan, &mut floors, &pace, teller(&args.output))?;
    Ok(Report {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        machine,
        settings: Settings {
            seconds: pace.measure.as_secs_f64(),
            warm_up_seconds: pace.warm_up.as_secs_f64(),
            rounds: plan.rounds,
            client_threads: pace.threads,
        },
        targets: Vec::new(),
        rows,
        growth: Vec::new(),
        notes,
        problems: Vec::new(),
        complete: !pace.stop.requested(),
    })
}

fn bare_server(args: &BareServerArgs) -> Result<()> {
    let answer = BareAnswer::new(StatusCode::from_u16(args.status)?, args.bytes);
    if args.end_with_input {
        std::thread::Builder::new().name("input".into()).spawn(|| {
            bare::wait_for_end_of_input();
            std::process::exit(0);
        })?;
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener =
            TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen at {}", args.listen))?;
        let mut output = io::stdout();
        writeln!(output, "{}{}", bare::LISTENING, listener.local_addr()?)?;
        output.flush()?;
        bare::serve(listener, answer).await
    })
}

fn write(report: &Report, output: &OutputArgs) -> Result<u8> {
    let rendered = match output.format {
        Format::Text => text::render(report),
        Format::Json => serde_json::to_string_pretty(report)?,
    };
    write_text(rendered, output)?;
    Ok(match (report.complete, report.is_clean()) {
        (false, _) => INTERRUPTED,
        (true, false) => UNCLEAN,
        (true, true) => 0,
    })
}

fn write_text(mut rendered: String, output: &OutputArgs) -> Result<()> {
    if !rendered.ends_with('\n') {
        rendered.push('\n');
    }
    match &output.output {
        Some(path) => fs::write(path, rendered).with_context(|| format!("cannot write {}", path.display()))?,
        None => io::stdout().write_all(rendered.as_bytes())?,
    }
    Ok(())
}

fn teller(output: &OutputArgs) -> &'static dyn Fn(&str) {
    if output.quiet { &|_| {} } else { &tell }
}

fn tell(line: &str) {
    // Standard error may be closed.
    drop(writeln!(io::stderr(), "{line}"));
}
