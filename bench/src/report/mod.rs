//! The results of a run, in the shape of its JSON. `docs/benchmark.md` documents it.

pub mod ratio;
pub mod text;

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::machine::Machine;
use crate::tally::{Failures, Figures, Tally};
use ratio::{Growth, Ratio};

/// The version of the JSON. It changes when the JSON would mislead a reader of the old version.
pub const SCHEMA: u32 = 1;

/// The subject of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// The catalog at `--uri`.
    Target,
    /// The catalog at `--versus-uri`.
    Versus,
    /// The machine without a catalog.
    Floor,
}

impl Who {
    /// Returns its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Versus => "versus",
            Self::Floor => "floor",
        }
    }
}

/// The rounds of one subject.
#[derive(Debug)]
pub struct Measured {
    /// The subject.
    pub who: Who,
    /// The rounds, in order.
    pub rounds: Vec<Tally>,
}

/// The results of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The version of this program.
    pub version: &'static str,
    /// The machine of the run. The client and the servers share it.
    pub machine: Machine,
    /// The settings of the loads.
    pub settings: Settings,
    /// The catalogs.
    pub targets: Vec<TargetFacts>,
    /// The figures.
    pub rows: Vec<Row>,
    /// The cost of more snapshots.
    pub growth: Vec<Growth>,
    /// Notes for the reader.
    pub notes: Vec<String>,
    /// Failed measurements and clean-ups.
    pub problems: Vec<String>,
    /// Whether the run finished.
    pub complete: bool,
}

/// The settings of the loads.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Settings {
    pub seconds: f64,
    pub warm_up_seconds: f64,
    pub rounds: usize,
    pub client_threads: usize,
}

/// A measured catalog.
#[derive(Clone, Debug, Serialize)]
pub struct TargetFacts {
    /// Which one of the two.
    pub who: Who,
    /// Its URI as given on the command line.
    pub uri: String,
    /// The prefix from its configuration.
    pub prefix: Option<String>,
    /// Its `Server` header.
    pub server: Option<String>,
}

/// One load: a workload, a size and a number of connections.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The name of the load, such as `load` or `list-tables`.
    pub workload: String,
    /// The number of snapshots of the table, if it matters.
    pub snapshots: Option<u64>,
    /// The number of connections (or threads, for durable writes).
    pub connections: usize,
    /// The size of the first target's response, in bytes.
    pub answer_bytes: Option<u64>,
    /// The size of the floor's document, in bytes.
    pub document_bytes: Option<u64>,
    /// A description of the floor's work.
    pub floor: Option<String>,
    /// One outcome for each subject.
    pub results: Vec<Outcome>,
    /// The ratios of each pair of subjects.
    pub ratios: Vec<Ratio>,
}

/// The figures of one subject.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The subject.
    pub who: Who,
    /// The sum of all rounds.
    #[serde(flatten)]
    pub figures: Figures,
    /// Each round separately.
    pub rounds: Vec<Figures>,
    /// Unexpected responses by status, or `connection`.
    pub failures: BTreeMap<String, Failures>,
}

impl Row {
    /// Creates a row without figures.
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

    /// Adds the figures. Omits subjects without a round.
    ///
    /// # Errors
    /// Never for this program's own tallies.
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
    /// Returns whether all responses were expected, every row has requests, and there were no problems.
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

    /// Returns a second with `requests` responses, each after `latency_ms`.
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
    fn outcome_has_the_sum_and_each_round() {
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
    fn report_with_a_failure_or_an_empty_row_is_not_clean() {
        let row = |tally| Row::new("load", 8).finish(vec![Measured { who: Who::Target, rounds: vec![tally] }]).unwrap();
        assert!(report(vec![row(round(1, 1))]).is_clean());
        assert!(!report(vec![row(round(1, 1)), row(round(0, 1))]).is_clean());
        let mut failed = round(5, 1);
        failed.fail("500".into(), || "oops".into());
        assert!(!report(vec![row(failed)]).is_clean());
    }
}
