//! A run: measures each workload on each catalog and on the floor, in alternating rounds, and cleans up.

use std::future::Future;

use anyhow::{Context as _, Result};
use tokio::runtime::Runtime;

use crate::cli::RunArgs;
use crate::clock::Clock;
use crate::driver::{self, Pace};
use crate::floor::durable::Steps;
use crate::floor::measure::Floors;
use crate::machine::Machine;
use crate::report::{Measured, Report, Row, SCHEMA, Settings, TargetFacts, Who, ratio};
use crate::stop::Stop;
use crate::tally::Tally;
use crate::targets::Target;
use crate::workload::site::{Site, Subject};
use crate::workload::{Variant, Workload};

/// Measures the catalogs in `args`. Calls `tell` with a line of progress for each load.
///
/// # Errors
/// Fails if a catalog cannot be reached or refuses the sign-in. The report contains all later problems.
pub fn run(args: &RunArgs, clock: Clock, stop: &Stop, tell: &dyn Fn(&str)) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let namespace = args.namespace(clock.now_ms())?;
    let mut sites = Vec::new();
    let mut targets = Vec::new();
    for (who, target_args) in [Who::Target, Who::Versus].into_iter().zip(args.targets()?) {
        let connecting = Target::connect(&target_args.uri, target_args.warehouse, target_args.sign_in);
        let target = runtime.block_on(connecting).with_context(|| format!("cannot use {}", target_args.uri))?;
        targets.push(TargetFacts {
            who,
            uri: target.uri.clone(),
            prefix: target.prefix.clone(),
            server: target.server.clone(),
        });
        // Both may be the same catalog, to measure the noise, so their namespaces must differ.
        let namespace = if who == Who::Target { namespace.clone() } else { format!("{namespace}_versus") };
        sites.push((who, Site::new(target, args.sizes(), namespace, clock, stop.clone())));
    }
    let machine = Machine::look(args.with_floor.then_some(args.floor_folder.as_path()));
    let mut notes = vec!["The client shares the machine's cores with everything that it measures there.".to_owned()];
    if machine.folder_is_in_memory() {
        notes.push("--floor-folder is in memory: its writes are not durable, and ratios to them mean nothing.".into());
    }
    let pace = args.load.pace(stop.clone());
    let settings = Settings {
        seconds: pace.measure.as_secs_f64(),
        warm_up_seconds: pace.warm_up.as_secs_f64(),
        rounds: args.rounds(),
        client_threads: pace.threads,
    };
    let mut runner = Runner {
        args,
        clock,
        pace,
        tell,
        runtime,
        sites,
        floors: args.with_floor.then(|| Floors::new(args.floor_folder.clone(), args.tables)),
        rows: Vec::new(),
        notes,
        problems: Vec::new(),
    };
    runner.measure();
    runner.clean_up();
    let growth = ratio::growth(&runner.rows);
    Ok(Report {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        machine,
        settings,
        targets,
        rows: runner.rows,
        growth,
        notes: runner.notes,
        problems: runner.problems,
        complete: !stop.requested(),
    })
}

struct Runner<'a> {
    args: &'a RunArgs,
    clock: Clock,
    pace: Pace,
    tell: &'a dyn Fn(&str),
    runtime: Runtime,
    sites: Vec<(Who, Site)>,
    floors: Option<Floors>,
    rows: Vec<Row>,
    notes: Vec<String>,
    problems: Vec<String>,
}

/// One row during its measurement.
struct Cell {
    row: Row,
    /// The subject on each site; `None` if the site does not support it.
    subjects: Vec<Option<Subject>>,
    measured: Vec<Measured>,
}

impl Cell {
    fn record(&mut self, who: Who, tally: Tally) {
        match self.measured.iter_mut().find(|measured| measured.who == who) {
            Some(measured) => measured.rounds.push(tally),
            None => self.measured.push(Measured { who, rounds: vec![tally] }),
        }
    }
}

impl Runner<'_> {
    fn measure(&mut self) {
        for workload in self.args.workloads() {
            if self.pace.stop.requested() {
                return;
            }
            if let Err(error) = self.measure_workload(workload) {
                self.problem(format!("{} was given up: {error:#}", workload.name()));
            }
        }
    }

    // Problems after a stop request come from the stop.
    fn problem(&mut self, problem: String) {
        if !self.pace.stop.requested() {
            (self.tell)(&problem);
            self.problems.push(problem);
        }
    }

    fn measure_workload(&mut self, workload: Workload) -> Result<()> {
        let mut cells = self.prepare(workload)?;
        let mut outcome = Ok(());
        'rounds: for round in 0..self.args.rounds() {
            for cell in &mut cells {
                outcome = self.measure_cell(cell, round);
                if outcome.is_err() || self.pace.stop.requested() {
                    break 'rounds;
                }
            }
        }
        for cell in cells {
            let row = cell.row.finish(cell.measured)?;
            if !row.results.is_empty() {
                self.rows.push(row);
            }
        }
        outcome
    }

    /// Creates the objects of the workload on every site, and returns the rows to measure.
    fn prepare(&mut self, workload: Workload) -> Result<Vec<Cell>> {
        let connections = if workload.is_sequential() { vec![1] } else { self.args.load.connections.clone() };
        let most = connections.iter().copied().max().unwrap_or(1);
        (self.tell)(&format!("{}: preparing", workload.name()));
        let mut by_site = Vec::new();
        for (who, site) in &mut self.sites {
            let preparing = async {
                site.target.renew_sign_in().await?;
                site.prepare(workload, most).await
            };
            let subjects = block_on(&self.runtime, preparing).with_context(|| format!("{} failed", who.name()))?;
            let mut usable = Vec::new();
            for (variant, subject) in workload.variants(&self.args.sizes()).into_iter().zip(subjects) {
                let remark = match &subject {
                    Ok(Subject::Reading(reading)) => reading.remark.clone(),
                    Ok(Subject::Writing(_)) => None,
                    Err(reason) => Some(reason.clone()),
                };
                if let Some(remark) = remark {
                    self.notes.push(format!("{}, {}: {remark}", row_name(workload, variant), who.name()));
                }
                usable.push(subject.ok());
            }
            by_site.push(usable);
        }
        let mut cells = Vec::new();
        for (number, variant) in workload.variants(&self.args.sizes()).into_iter().enumerate() {
            let subjects: Vec<_> = by_site.iter().map(|site| site.get(number).cloned().flatten()).collect();
            for &connections in &connections {
                let row = self.empty_row(workload, variant, connections, subjects.first());
                cells.push(Cell { row, subjects: subjects.clone(), measured: Vec::new() });
            }
        }
        Ok(cells)
    }

    fn empty_row(
        &self,
        workload: Workload,
        variant: Variant,
        connections: usize,
        subject: Option<&Option<Subject>>,
    ) -> Row {
        let mut row = Row::new(row_name(workload, variant), connections);
        if let Variant::Snapshots(count) = variant {
            row.snapshots = Some(count);
        }
        if let Some(Some(Subject::Reading(reading))) = subject {
            row.answer_bytes = Some(reading.body_bytes);
        }
        if self.floors.is_some() {
            row.floor = match subject {
                Some(Some(Subject::Reading(_))) => Some("a bare handler that sends as many bytes".to_owned()),
                Some(Some(Subject::Writing(writing))) if writing.is_parallel() => {
                    Some("durable writes, a thread for each connection".to_owned())
                }
                Some(Some(Subject::Writing(_))) => Some("durable writes, one after the other".to_owned()),
                _ => None,
            };
        }
        row
    }

    /// Measures one round of one row: each site, then the floor.
    fn measure_cell(&mut self, cell: &mut Cell, round: usize) -> Result<()> {
        let mut document_bytes = 0;
        let subjects = cell.subjects.clone();
        for (number, subject) in subjects.iter().enumerate() {
            let Some(subject) = subject else { continue };
            let before = self.document_bytes(number, subject)?;
            let tally = self.measure_site(number, subject, cell.row.connections, round)?;
            if self.pace.stop.requested() {
                return Ok(());
            }
            // A document grows with each commit (its log of earlier ones), so the floor writes the mean size.
            if number == 0 {
                document_bytes = u64::midpoint(before, self.document_bytes(number, subject)?);
            }
            let who = self.sites.get(number).map_or(Who::Target, |(who, _)| *who);
            self.tell_round(&cell.row, round, who, &tally);
            cell.record(who, tally);
        }
        let Some(Some(subject)) = subjects.first() else { return Ok(()) };
        let Some(tally) = self.measure_floor(subject, document_bytes, cell.row.connections)? else { return Ok(()) };
        if matches!(subject, Subject::Writing(_)) {
            cell.row.document_bytes = Some(document_bytes);
        }
        if !self.pace.stop.requested() {
            self.tell_round(&cell.row, round, Who::Floor, &tally);
            cell.record(Who::Floor, tally);
        }
        Ok(())
    }

    fn measure_site(&mut self, number: usize, subject: &Subject, connections: usize, round: usize) -> Result<Tally> {
        let (_, site) = self.sites.get_mut(number).context("no such site")?;
        // The time makes the values differ from those of other rows and rounds.
        let salt = format!("{}-r{round}", self.clock.now_ms());
        let scripts = block_on(&self.runtime, async {
            site.target.renew_sign_in().await?;
            subject.scripts(&site.target, connections, &salt, self.clock).await
        })?;
        driver::drive(site.target.addr, scripts, &self.pace)
    }

    fn document_bytes(&self, number: usize, subject: &Subject) -> Result<u64> {
        match (subject, self.sites.get(number)) {
            (Subject::Writing(writing), Some((_, site))) if self.floors.is_some() => {
                block_on(&self.runtime, writing.document_bytes(&site.target))
            }
            _ => Ok(0),
        }
    }

    fn measure_floor(&mut self, subject: &Subject, document_bytes: u64, connections: usize) -> Result<Option<Tally>> {
        let (Some(floors), Some((_, site))) = (&mut self.floors, self.sites.first()) else { return Ok(None) };
        let tally = match subject {
            Subject::Reading(reading) => {
                floors.bare(reading.body_bytes, reading.scripts(&site.target, connections)?, &self.pace)?
            }
            Subject::Writing(writing) => {
                let threads = if writing.is_parallel() { connections } else { 1 };
                floors.durable(document_bytes, threads, Steps::FileAndRow, &self.pace)?
            }
        };
        Ok(Some(tally))
    }

    fn tell_round(&self, row: &Row, round: usize, who: Who, tally: &Tally) {
        let figures = tally.figures();
        let snapshots = row.snapshots.map_or_else(String::new, |count| format!(", {count} snapshots"));
        (self.tell)(&format!(
            "{}{snapshots}, {} connections, round {}, {}: {:.0} req/s, p50 {:.3} ms{}",
            row.workload,
            row.connections,
            round + 1,
            who.name(),
            figures.requests_per_s,
            figures.latency_ms.p50,
            if tally.failures.is_empty() { "" } else { ", with unexpected answers" },
        ));
    }

    fn clean_up(&mut self) {
        if self.args.keep {
            return;
        }
        (self.tell)("cleaning up");
        for (who, site) in &mut self.sites {
            if let Err(error) = block_on(&self.runtime, site.clean_up()) {
                self.problems.push(format!("{}: cleaning up was incomplete: {error:#}", who.name()));
            }
        }
    }
}

fn block_on<T>(runtime: &Runtime, work: impl Future<Output = Result<T>>) -> Result<T> {
    runtime.block_on(work)
}

fn row_name(workload: Workload, variant: Variant) -> &'static str {
    match variant {
        Variant::Tables => "list-tables",
        Variant::Namespaces => "list-namespaces",
        Variant::Plain | Variant::Snapshots(_) => workload.name(),
    }
}
