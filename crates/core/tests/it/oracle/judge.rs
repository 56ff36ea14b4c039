//! Asks all sides about many cases at a time.

use std::collections::HashMap;
use std::process::Command;
use std::thread;

use serde_json::Value;

use super::case::{Case, Operation};
use super::child::{Oracle, request};
use super::compare;
use super::ours;
use super::verdict::{Difference, Kind, Verdict};

/// Our side, and the processes of the other sides.
pub(crate) struct Judge {
    java: Oracle,
    python: Option<Oracle>,
    /// The readers that cannot read the document of an unchanged source. Their answers for changed sources are ignored.
    left_out: HashMap<(Operation, String), Vec<Kind>>,
}

/// A case whose verdict is not complete.
struct Open {
    operation: Operation,
    ours: Result<String, String>,
    theirs: Result<String, String>,
}

impl Judge {
    pub(crate) fn start(java: &mut Command, python: Option<&mut Command>) -> Self {
        Self { java: Oracle::start(java), python: python.map(Oracle::start), left_out: HashMap::new() }
    }

    /// Excludes the readers that cannot read a valid case from its changed cases.
    pub(crate) fn leave_out(&mut self, valid: &Case<'_>, verdict: &Verdict) {
        let readers = [Kind::UnreadableByPython, Kind::UnreadableByRust];
        let cannot = verdict.differences.iter().map(|one| one.kind).filter(|kind| readers.contains(kind));
        self.left_out.insert((valid.source.operation, valid.source.name.clone()), cannot.collect());
    }

    /// Returns the verdict on each case; `None` if its changes do not fit together.
    pub(crate) fn ask(&mut self, cases: &[Case<'_>]) -> Vec<Option<Verdict>> {
        let inputs: Vec<Option<String>> = cases.iter().map(Case::input).collect();
        let asked: Vec<(&Case<'_>, &str)> =
            cases.iter().zip(&inputs).filter_map(|(case, input)| Some((case, input.as_deref()?))).collect();
        let questions: Vec<Value> = asked
            .iter()
            .map(|(case, input)| {
                let name = case.source.operation.name();
                request(name, case.source.base.as_deref(), input, ours::LOCATION)
            })
            .collect();
        let java = &mut self.java;
        let open: Vec<Open> = thread::scope(|scope| {
            let theirs = scope.spawn(move || java.ask(&questions));
            let ours: Vec<_> = asked
                .iter()
                .map(|(case, input)| ours::answer(case.source.operation, case.source.base.as_deref(), input))
                .collect();
            let theirs = theirs.join().expect("the oracle answers");
            let operations = asked.iter().map(|(case, _)| case.source.operation);
            operations
                .zip(ours)
                .zip(theirs)
                .map(|((operation, ours), theirs)| Open { operation, ours, theirs })
                .collect()
        });
        let mut verdicts = self.verdicts(&open);
        for ((case, _), verdict) in asked.iter().zip(&mut verdicts) {
            if let Some(kinds) = self.left_out.get(&(case.source.operation, case.source.name.clone())) {
                verdict.differences.retain(|difference| !kinds.contains(&difference.kind));
            }
        }
        let mut verdicts = verdicts.into_iter();
        inputs.iter().map(|input| input.as_ref().and_then(|_| verdicts.next())).collect()
    }

    fn verdicts(&mut self, open: &[Open]) -> Vec<Verdict> {
        let stored: Vec<Value> = open
            .iter()
            .filter_map(|one| Some(request(one.operation.reading().name(), None, one.ours.as_ref().ok()?, "")))
            .collect();
        let (java, python) = (&mut self.java, &mut self.python);
        let (by_java, by_python) = thread::scope(|scope| {
            let by_python = python.as_mut().map(|python| scope.spawn(|| python.ask(&stored)));
            (java.ask(&stored), by_python.map(|asked| asked.join().expect("PyIceberg answers")))
        });
        let mut by_java = by_java.into_iter();
        let mut by_python = by_python.map(Vec::into_iter);
        open.iter()
            .map(|one| match &one.ours {
                Ok(ours) => {
                    let by_java = by_java.next().expect("an answer for each document");
                    let by_python =
                        by_python.as_mut().map(|answers| answers.next().expect("an answer for each document"));
                    accepted(one, ours, by_java, by_python)
                }
                Err(reason) => refused(one, reason),
            })
            .collect()
    }
}

fn refused(one: &Open, reason: &str) -> Verdict {
    let kind = if reason == "PANIC" { Kind::Panic } else { Kind::OnlyJavaAccepts };
    let java_accepts = one.theirs.is_ok();
    let differences = if java_accepts || kind == Kind::Panic {
        vec![Difference { kind, message: reason.to_owned() }]
    } else {
        Vec::new()
    };
    Verdict { we_accept: false, java_accepts, differences }
}

fn accepted(
    one: &Open,
    ours: &str,
    by_java: Result<String, String>,
    by_python: Option<Result<String, String>>,
) -> Verdict {
    let mut differences = Vec::new();
    let mut add = |kind: Kind, message: String| differences.push(Difference { kind, message });
    match ours::written_again(one.operation, ours) {
        // `core` does not write registered documents.
        Ok(again) if again == ours || one.operation == one.operation.reading() => {}
        Ok(_) => add(Kind::UnreadableByUs, "written again, it is another document".to_owned()),
        Err(reason) => add(Kind::UnreadableByUs, reason),
    }
    let java_reads = by_java.is_ok();
    match (&one.theirs, by_java) {
        (Ok(_), Err(reason)) => add(Kind::Unreadable, format!("{reason} (Java accepts the request)")),
        (Err(_), Err(reason)) => add(Kind::Unreadable, reason),
        (Err(reason), Ok(_)) => add(Kind::OnlyWeAccept, reason.clone()),
        (Ok(theirs), Ok(by_java)) => {
            if let Some(message) = compare::difference(one.operation, &by_java, theirs) {
                add(Kind::Result, message);
            }
            if let Some(message) = compare::spelling(ours, &by_java) {
                add(Kind::Spelling, message);
            }
        }
    }
    // A document that Java cannot read is a difference already, so the other readers do not matter.
    if !java_reads {
        return Verdict { we_accept: true, java_accepts: one.theirs.is_ok(), differences };
    }
    if let Err(reason) = ours::read_by_iceberg_rust(one.operation, ours) {
        add(Kind::UnreadableByRust, reason);
    }
    if let Some(Err(reason)) = by_python {
        add(Kind::UnreadableByPython, reason.replace('\n', " | "));
    }
    Verdict { we_accept: true, java_accepts: one.theirs.is_ok(), differences }
}
