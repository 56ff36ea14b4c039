//! The reference implementation as an oracle. Passes mutated documents and requests to `core` and to Iceberg's own classes,
//! and lets Java, PyIceberg and iceberg-rust read the documents that `core` stores.
//!
//! `cargo xtask compat oracle` prepares the other sides and runs this.

mod case;
mod child;
mod compare;
mod corpus;
mod differences;
mod generator;
mod judge;
mod mutation;
mod ours;
mod random;
mod report;
mod text;
mod values;
mod verdict;

use std::env;
use std::fs;
use std::process::Command;
use std::time::Instant;

use case::Case;
use generator::Generator;
use judge::Judge;
use mutation::Mutation;
use report::{Report, explanation};
use verdict::{Kind, Verdict};

/// The number of cases in one batch.
const BATCH: usize = 500;

#[test]
#[ignore = "needs Java: cargo xtask compat oracle"]
fn mutated_input_gets_the_verdict_and_result_of_iceberg_java() {
    let setting = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let number = |name: &str| setting(name).parse::<u64>().unwrap();
    let mut java = Command::new(setting("TIDEWATER_ORACLE_JAVA"));
    java.args(["-Xss16m", "-Xmx1g", "-cp", &setting("TIDEWATER_ORACLE_CLASSPATH"), "tidewater.oracle.Oracle"]);
    let mut python = env::var("TIDEWATER_ORACLE_PYTHON").ok().map(|python| {
        let mut command = Command::new(python);
        command.arg(setting("TIDEWATER_ORACLE_READER"));
        command
    });
    let mut judge = Judge::start(&mut java, python.as_mut());
    let report = run(&mut judge, number("TIDEWATER_ORACLE_CASES"), number("TIDEWATER_ORACLE_SEED"));
    let page = report.page();
    if let Ok(file) = env::var("TIDEWATER_ORACLE_REPORT") {
        fs::write(file, &page).unwrap();
    }
    say(&report.figures());
    for row in report.stale() {
        say(&format!("no case hit this row: {row}"));
    }
    assert!(!report.is_bad(), "{page}");
}

#[test]
fn every_source_is_accepted_by_core() {
    for source in corpus::sources() {
        let answer = ours::answer(source.operation, source.base.as_deref(), &text::to_text(&source.input));
        // Manifests within snapshots are invalid in format version 2, but Java accepts them.
        let refused_on_purpose = source.name == "upgrade-old of v1-legacy";
        assert_eq!(answer.is_err(), refused_on_purpose, "{} {}: {answer:?}", source.operation.name(), source.name);
    }
}

#[test]
fn same_seed_generates_the_same_mutations() {
    let mut sources = corpus::sources();
    sources.retain(|source| source.name == "location of v2-empty");
    let cases = |seed| Generator::new(&sources, seed).take(50).map(|case| case.to_string()).collect::<Vec<_>>();
    assert_eq!(cases(1), cases(1));
    assert_ne!(cases(1), cases(2));
}

fn run(judge: &mut Judge, wanted: u64, seed: u64) -> Report {
    let sources = corpus::sources();
    let mut report = Report::default();
    let valid: Vec<Case<'_>> = sources.iter().map(|source| Case { source, mutations: Vec::new() }).collect();
    for (case, verdict) in valid.iter().zip(judge.ask(&valid)) {
        let verdict = verdict.expect("nothing is changed");
        assert!(verdict.we_accept || verdict.java_accepts, "not valid: {case}: {verdict:?}");
        report.add(case, &verdict);
        judge.leave_out(case, &verdict);
    }
    let mut generator = Generator::new(&sources, seed);
    say(&format!("seed {seed}: {} sources, {} single changes of them", sources.len(), generator.singles()));
    let wanted = usize::try_from(wanted).unwrap();
    let began = Instant::now();
    let mut asked = 0;
    while asked < wanted {
        let cases: Vec<Case<'_>> = generator.by_ref().take(BATCH.min(wanted - asked)).collect();
        asked += cases.len();
        let verdicts = judge.ask(&cases);
        for (case, verdict) in cases.iter().zip(verdicts) {
            if let Some(verdict) = verdict {
                let (case, verdict) = reduced(judge, case, verdict);
                report.add(&case, &verdict);
            }
        }
        if asked.is_multiple_of(20 * BATCH) {
            say(&format!("{asked} of {wanted} after {:.0} s", began.elapsed().as_secs_f64()));
        }
    }
    report.complete = generator.has_given_all_singles();
    report
}

#[expect(clippy::print_stdout, reason = "progress of a run of minutes, which `cargo xtask compat oracle` shows")]
fn say(line: &str) {
    println!("{line}");
}

/// Reduces a case of two changes to one of them, if that one alone makes a difference of the same kind.
fn reduced<'a>(judge: &mut Judge, case: &Case<'a>, verdict: Verdict) -> (Case<'a>, Verdict) {
    let differences = verdict.differences.iter().filter(|difference| explanation(case, difference).is_none());
    let unexplained: Vec<Kind> = differences.map(|difference| difference.kind).collect();
    if case.mutations.len() < 2 || unexplained.is_empty() {
        return (case.clone(), verdict);
    }
    let single = |mutation: &Mutation| Case { source: case.source, mutations: vec![mutation.clone()] };
    let singles: Vec<Case<'a>> = case.mutations.iter().map(single).collect();
    let verdicts = judge.ask(&singles);
    let mut found = singles.into_iter().zip(verdicts).filter_map(|(single, verdict)| Some((single, verdict?)));
    let same = found.find(|(_, verdict)| verdict.differences.iter().any(|one| unexplained.contains(&one.kind)));
    same.unwrap_or_else(|| (case.clone(), verdict))
}
