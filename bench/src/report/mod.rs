//! What a run found, in the shape of the JSON that it writes. `docs/benchmark.md` documents it.

pub mod ratio;
pub mod text;

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::machine::Machine;
use crate::tally::{Failures, Figures, Tally};
use ratio::{Growth, Ratio};

/// Version of the JSON; it changes when a reader of the old one would be misled.
pub const SCHEMA: u32 = 1;

/// Who was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// The catalog at `--uri`.
    Target,
    /// The catalog at `--versus-uri`.
    Versus,
    /// The machine.
    Floor,
}

impl Who {
    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Versus => "versus",
            Self::Floor => "floor",
        }
    }
}

/// The rounds of one contestant.
#[derive(Debug)]
pub struct Measured {
    /// Who it was.
    pub who: Who,
    /// In the order in which they ran.
    pub rounds: Vec<Tally>,
}

/// Everything that a run found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// Version of this program.
    pub version: &'static str,
    /// The machine that everything ran on, this program included.
    pub machine: Machine,
    /// How long each load was.
    pub settings: Settings,
    /// The catalogs.
    pub targets: Vec<TargetFacts>,
    /// The figures.
    pub rows: Vec<Row>,
    /// What more snapshots cost.
    pub growth: Vec<Growth>,
    /// What a reader has to know besides.
    pub notes: Vec<String>,
    /// What could not be measured, or not be cleaned up.
    pub problems: Vec<String>,
    /// Whether the run came to its end.
    pub complete: bool,
}

/// How the loads ran.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Settings {
    pub seconds: f64,
    pub warm_up_seconds: f64,
    pub rounds: usize,
    pub client_threads: usize,
}

/// A catalog that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct TargetFacts {
    /// Which one.
    pub who: Who,
    /// As it was given.
    pub uri: String,
    /// What its configuration asked for.
    pub prefix: Option<String>,
    /// Its `Server` header.
    pub server: Option<String>,
}

/// One load: a workload, a size and a number of connections.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was asked for, such as `load` or `list-tables`.
    pub workload: String,
    /// Snapshots of the table, where that matters.
    pub snapshots: Option<u64>,
    /// Connections (threads, for durable writes).
    pub connections: usize,
    /// Size of the first target's answer.
    pub answer_bytes: Option<u64>,
    /// Size of the document that the floor wrote or sent.
    pub document_bytes: Option<u64>,
    /// What the floor did.
    pub floor: Option<String>,
    /// One for each contestant.
    pub results: Vec<Outcome>,
    /// Of each pair of them.
    pub ratios: Vec<Ratio>,
}

/// The figures of one contestant.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Who it was.
    pub who: Who,
    /// All rounds together.
    #[serde(flatten)]
    pub figures: Figures,
    /// Each round by itself.
    pub rounds: Vec<Figures>,
    /// By status, or `connection`.
    pub failures: BTreeMap<String, Failures>,
}

impl Row {
    /// A row without figures.
    #[must_use]
    pub fn new(workload: &str, connections: usize) -> Self {
        Self {
            workload: workload.to_owned(),
            snapshots: None,
            connections,
            answer_bytes: None,
            document_bytes: None,
            floor: None,
            results: Vec::new(),
            ratios: Vec::new(),
        }
    }

    /// Puts the figures in. Contestants without a round are left out.
    ///
    /// # Errors
    /// Never with tallies that this program made.
    pub fn finish(mut self, measured: Vec<Measured>) -> Result<Self> {
        for Measured { who, rounds } in measured {
            if rounds.is_empty() {
                continue;
            }
            let mut all = Tally::new()?;
            for round in &rounds {
                all.append(round)?;
            }
            let outcome = Outcome {
                who,
                figures: all.figures(),
                rounds: rounds.iter().map(Tally::figures).collect(),
                failures: all.failures,
            };
            self.results.push(outcome);
        }
        self.ratios = ratio::pairs(&self.results);
        Ok(self)
    }
}

impl Report {
    /// Whether every answer was the one that was hoped for, every row has some, and nothing else went wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let mut outcomes = self.rows.iter().flat_map(|row| &row.results);
        self.problems.is_empty() && outcomes.all(|outcome| outcome.failures.is_empty() && outcome.figures.requests > 0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    /// A second in which `requests` were answered, each after `latency_ms`.
    pub(crate) fn round(requests: u64, latency_ms: u64) -> Tally {
        let mut tally = Tally::new().unwrap();
        for _ in 0..requests {
            tally.complete(Duration::from_millis(latency_ms), 1000);
        }
        tally.measured = Duration::from_secs(1);
        tally
    }

    pub(crate) fn report(rows: Vec<Row>) -> Report {
        Report {
            schema: SCHEMA,
            version: "0.0.0",
            machine: Machine {
                cores: 2,
                processor: None,
                memory_bytes: Some(24_000_000_000),
                kernel: "linux 6.1".into(),
                file_system: Some("ext4".into()),
                sqlite: "3.50.0".into(),
            },
            settings: Settings { seconds: 10.0, warm_up_seconds: 3.0, rounds: 2, client_threads: 1 },
            targets: Vec::new(),
            growth: ratio::growth(&rows),
            rows,
            notes: Vec::new(),
            problems: Vec::new(),
            complete: true,
        }
    }

    #[test]
    fn rounds_add_up_and_are_kept_apart_too() {
        let measured = vec![
            Measured { who: Who::Target, rounds: vec![round(100, 2), round(300, 2)] },
            Measured { who: Who::Versus, rounds: Vec::new() },
        ];
        let row = Row::new("load", 8).finish(measured).unwrap();
        assert_eq!(row.results.len(), 1);
        assert_eq!(row.results[0].figures.requests, 400);
        assert!((row.results[0].figures.requests_per_s - 200.0).abs() < 1e-9);
        assert_eq!(row.results[0].rounds.iter().map(|r| r.requests).collect::<Vec<_>>(), [100, 300]);
    }

    #[test]
    fn a_failure_or_a_row_without_requests_is_not_clean() {
        let row = |tally| Row::new("load", 8).finish(vec![Measured { who: Who::Target, rounds: vec![tally] }]).unwrap();
        assert!(report(vec![row(round(1, 1))]).is_clean());
        assert!(!report(vec![row(round(1, 1)), row(round(0, 1))]).is_clean());
        let mut failed = round(5, 1);
        failed.fail("500".into(), || "oops".into());
        assert!(!report(vec![row(failed)]).is_clean());
    }
}
