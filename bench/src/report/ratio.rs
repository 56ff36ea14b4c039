//! Ratios between subjects measured in alternating rounds. Each round is compared with its neighbour, so a slowdown of the
//! machine affects both sides of a ratio.

use serde::Serialize;

use super::{Outcome, Row, Who};
use crate::tally::Figures;

/// The median, minimum and maximum of a ratio over several rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Returns the spread of the finite values, or `None` if there are none.
    #[must_use]
    pub fn from_values(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let median = if values.len() % 2 == 1 { upper } else { f64::midpoint(*values.get(middle - 1)?, upper) };
        Some(Self { median, min, max })
    }
}

/// The comparison of two subjects in the same row.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    /// The numerator.
    pub of: Who,
    /// The denominator.
    pub to: Who,
    /// Above 1: `of` handles more requests.
    pub requests_per_s: Option<Spread>,
    /// Above 1: `of` takes longer.
    pub p50: Option<Spread>,
    /// Same as `p50`.
    pub p90: Option<Spread>,
    /// Same as `p50`.
    pub p99: Option<Spread>,
}

/// Returns the ratios of a row: each subject to each later one.
#[must_use]
pub fn pairs(outcomes: &[Outcome]) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for (number, of) in outcomes.iter().enumerate() {
        for to in outcomes.iter().skip(number + 1) {
            let by_round = |figure: fn(&Figures) -> f64| {
                // A round without requests has no percentiles, so it has no ratio.
                let comparable = of.rounds.iter().zip(&to.rounds).filter(|(a, b)| a.requests > 0 && b.requests > 0);
                Spread::from_values(comparable.map(|(a, b)| figure(a) / figure(b)))
            };
            ratios.push(Ratio {
                of: of.who,
                to: to.who,
                requests_per_s: by_round(|figures| figures.requests_per_s),
                p50: by_round(|figures| figures.latency_ms.p50),
                p90: by_round(|figures| figures.latency_ms.p90),
                p99: by_round(|figures| figures.latency_ms.p99),
            });
        }
    }
    ratios
}

/// The cost of many snapshots, compared with the smallest table of the same workload and connections.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Growth {
    /// The workload.
    pub workload: String,
    /// The number of connections.
    pub connections: usize,
    /// The subject.
    pub who: Who,
    /// The number of snapshots of the smaller table.
    pub from_snapshots: u64,
    /// The number of snapshots of the larger table.
    pub to_snapshots: u64,
    /// The larger table's p50 divided by the smaller one's.
    pub p50_ratio: f64,
}

/// Returns the growth for each workload with several numbers of snapshots.
#[must_use]
pub fn growth(rows: &[Row]) -> Vec<Growth> {
    let mut all = Vec::new();
    for row in rows {
        let Some(snapshots) = row.snapshots else { continue };
        let same = |other: &&Row| other.workload == row.workload && other.connections == row.connections;
        let Some(base) = rows.iter().filter(same).min_by_key(|other| other.snapshots) else { continue };
        let Some(from_snapshots) = base.snapshots.filter(|&base| base < snapshots) else { continue };
        for outcome in row.results.iter().filter(|outcome| outcome.who != Who::Floor) {
            let Some(smaller) = base.results.iter().find(|other| other.who == outcome.who) else { continue };
            if smaller.figures.requests == 0 || outcome.figures.requests == 0 {
                continue;
            }
            all.push(Growth {
                workload: row.workload.clone(),
                connections: row.connections,
                who: outcome.who,
                from_snapshots,
                to_snapshots: snapshots,
                p50_ratio: outcome.figures.latency_ms.p50 / smaller.figures.latency_ms.p50,
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::Measured;
    use super::super::tests::round;
    use super::*;

    #[test]
    fn median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!(Spread::from_values([4.0, 1.0, 3.0, 2.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::from_values([3.0, 1.0, 2.0]).unwrap().median, 2.0);
        assert_eq!(Spread::from_values([f64::NAN, f64::INFINITY]), None);
    }

    #[test]
    fn each_round_is_compared_with_its_neighbour() {
        // The machine is half as fast in the second round; the ratio stays the same.
        let target = Measured { who: Who::Target, rounds: vec![round(800, 2), round(400, 4)] };
        let floor = Measured { who: Who::Floor, rounds: vec![round(1000, 1), round(500, 2)] };
        let row = Row::new("load", 8).finish(vec![target, floor]).unwrap();
        let ratio = &row.ratios[0];
        assert_eq!((ratio.of, ratio.to), (Who::Target, Who::Floor));
        assert_eq!(ratio.requests_per_s, Some(Spread { median: 0.8, min: 0.8, max: 0.8 }));
        assert!((ratio.p50.unwrap().median - 2.0).abs() < 0.01);
    }

    #[test]
    fn three_subjects_make_three_pairs_and_an_empty_round_none() {
        let measured = |who, requests| Measured { who, rounds: vec![round(requests, 1)] };
        let all = vec![measured(Who::Target, 10), measured(Who::Versus, 5), measured(Who::Floor, 0)];
        let row = Row::new("load", 8).finish(all).unwrap();
        let pairs: Vec<_> = row.ratios.iter().map(|ratio| (ratio.of, ratio.to)).collect();
        assert_eq!(pairs, [(Who::Target, Who::Versus), (Who::Target, Who::Floor), (Who::Versus, Who::Floor)]);
        assert_eq!(row.ratios[0].requests_per_s.unwrap().median, 2.0);
        assert_eq!(row.ratios[1].requests_per_s, None);
    }

    #[test]
    fn growth_compares_with_the_smallest_table_of_the_same_load() {
        let row = |snapshots, latency_ms| {
            let mut row = Row::new("commit-sequential", 1);
            row.snapshots = Some(snapshots);
            row.finish(vec![Measured { who: Who::Target, rounds: vec![round(10, latency_ms)] }]).unwrap()
        };
        let growth = growth(&[row(1, 4), row(100, 5), row(1000, 7)]);
        assert_eq!(growth.len(), 2);
        assert_eq!((growth[1].from_snapshots, growth[1].to_snapshots), (1, 1000));
        assert!((growth[1].p50_ratio - 1.75).abs() < 0.01);
    }
}
