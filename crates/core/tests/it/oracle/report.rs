//! The figures of a run and its differences, most frequent first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::case::{Case, Operation};
use super::differences::explained;
use super::verdict::{Difference, Kind, Verdict};

/// The maximum number of examples of a kind, each with another message or operation.
const EXAMPLES: usize = 6;

/// The results of a run.
#[derive(Default)]
pub(crate) struct Report {
    /// Whether every single change was tested. Then a row without a case is obsolete.
    pub(crate) complete: bool,
    cases: usize,
    both_accept: usize,
    both_refuse: usize,
    differ: usize,
    explained: usize,
    unexplained: usize,
    hits: Vec<usize>,
    /// The groups by kind of difference and changed field.
    groups: BTreeMap<(Kind, String), Group>,
}

#[derive(Default)]
struct Group {
    count: usize,
    places: BTreeSet<String>,
    examples: BTreeMap<(Operation, String), (usize, String)>,
}

/// Returns the row that explains a difference.
pub(crate) fn explanation(case: &Case<'_>, difference: &Difference) -> Option<usize> {
    explained().position(|row| row.matches(case, difference))
}

impl Report {
    pub(crate) fn add(&mut self, case: &Case<'_>, verdict: &Verdict) {
        self.cases += 1;
        self.both_accept += usize::from(verdict.we_accept && verdict.java_accepts);
        self.both_refuse += usize::from(!verdict.we_accept && !verdict.java_accepts);
        self.differ += usize::from(!verdict.differences.is_empty());
        self.hits.resize(explained().count(), 0);
        let mut open = 0;
        for difference in &verdict.differences {
            if let Some(row) = explanation(case, difference) {
                self.hits[row] += 1;
                continue;
            }
            open += 1;
            let places = case.places();
            let fields: Vec<&str> = places.iter().map(|place| field(place)).collect();
            let group = self.groups.entry((difference.kind, fields.join(" and "))).or_default();
            group.count += 1;
            let example = || (0, format!("`{case}`: {}", difference.message.replace('\n', " | ")));
            group.examples.entry((case.source.operation, shape(&difference.message))).or_insert_with(example).0 += 1;
            group.places.extend(places);
        }
        self.explained += usize::from(open == 0 && !verdict.differences.is_empty());
        self.unexplained += usize::from(open > 0);
    }

    /// Returns whether there is an unexplained difference.
    pub(crate) fn is_bad(&self) -> bool {
        !self.groups.is_empty()
    }

    pub(crate) fn figures(&self) -> String {
        format!(
            "{} cases: {} both accept, {} both refuse, {} differ in some way: {} explained, {} unexplained ({} kinds)",
            self.cases,
            self.both_accept,
            self.both_refuse,
            self.differ,
            self.explained,
            self.unexplained,
            self.groups.len()
        )
    }

    /// Returns the rows without a case in a complete run. A row that needs two changes may be among them by chance.
    pub(crate) fn stale(&self) -> Vec<String> {
        if !self.complete {
            return Vec::new();
        }
        let hits = self.hits.iter().zip(explained());
        hits.filter(|(hits, _)| **hits == 0).map(|(_, row)| row.to_string()).collect()
    }

    /// Returns the report as a page.
    pub(crate) fn page(&self) -> String {
        let mut page = format!("# Differences between core and Iceberg's own classes\n\n{}\n", self.figures());
        for row in self.stale() {
            let _ = writeln!(page, "\nNo case hits this row any more: {row}");
        }
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|((kind, _), group)| (*kind, std::cmp::Reverse(group.count)));
        let mut last = None;
        for ((kind, field), group) in groups {
            if last != Some(*kind) {
                let _ = writeln!(page, "\n## {kind}");
                last = Some(*kind);
            }
            let _ = writeln!(page, "\n### {} x {field}\n", group.count);
            let places: Vec<&str> = group.places.iter().map(String::as_str).take(8).collect();
            let _ = writeln!(page, "At {}\n", places.join(" "));
            let mut examples: Vec<_> = group.examples.values().collect();
            examples.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
            for (count, example) in examples.into_iter().take(EXAMPLES) {
                let _ = writeln!(page, "- {count} x {example}");
            }
        }
        page
    }
}

/// Returns the last name in a place: `+doc` for `/schemas/*/fields/*/+doc`.
fn field(place: &str) -> &str {
    place.rsplit('/').find(|step| *step != "*" && !step.is_empty()).unwrap_or("(all of it)")
}

/// Returns a message without values and numbers, which differ in each case.
fn shape(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let without_values = line.split(['{', '"', '[', '`']).next().unwrap_or_default();
    let mut shape = String::new();
    for part in without_values.split(": ").take(4) {
        for c in part.chars().take(90).map(|c| if c.is_ascii_digit() { 'N' } else { c }) {
            if c != 'N' || !shape.ends_with('N') {
                shape.push(c);
            }
        }
        shape.push_str(": ");
    }
    shape.trim_end_matches([':', ' ']).to_owned()
}
