//! No rule excludes a row that matches, for any reader; and residuals are equivalent to the filter.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tidewater_core::scan::bound::Bound;
use tidewater_core::scan::residual::Residuals;
use tidewater_core::scan::statistics::FileStatistics;
use tidewater_core::scan::{metrics, partition, project};

use super::generate::{self, Random};
use super::rows::{readers, schema, spec};

/// The number of random tables, files and filters.
const CASES: u32 = 20_000;

/// How often rules came to each result, so that a rule that never excludes anything fails the test.
#[derive(Default)]
struct Results {
    partition_excluded: Cell<u32>,
    summaries_excluded: Cell<u32>,
    metrics_excluded: Cell<u32>,
    strict_matched: Cell<u32>,
    residual_changed: Cell<u32>,
}

fn count(results: &Cell<u32>, happened: bool) {
    results.set(results.get() + u32::from(happened));
}

#[test]
fn file_with_a_matching_row_is_never_excluded_and_its_residual_is_equivalent() {
    let results = Results::default();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(CASES));
    runner.run(&any::<u64>(), |seed| check(seed, &results)).unwrap();
    let least = CASES / 100;
    for (name, count) in [
        ("partitions", &results.partition_excluded),
        ("summaries", &results.summaries_excluded),
        ("statistics", &results.metrics_excluded),
        ("strict projections", &results.strict_matched),
        ("residuals", &results.residual_changed),
    ] {
        assert!(count.get() > least, "{name} decided only {} cases", count.get());
    }
}

fn check(seed: u64, results: &Results) -> Result<(), TestCaseError> {
    let mut random = Random(seed);
    let columns = random.columns();
    let fields = random.spec(&columns);
    let filter = random.filter(&columns, &fields, 2);
    let old_writer = random.once_in(3);
    let mut rows = random.rows(&columns);
    let Some(partition) = generate::partition(&rows[0], &fields, old_writer) else { return Ok(()) };
    let same = |other: &[_]| format!("{other:?}") == format!("{partition:?}");
    rows.retain(|row| generate::partition(row, &fields, old_writer).is_some_and(|other| same(&other)));

    let (schema, spec) = (schema(), spec(&fields));
    let schema = schema.index().unwrap();
    let inclusive = project::inclusive(&filter, &spec, &schema);
    let strict = project::strict(&filter, &spec, &schema);
    let residual = Residuals::new(&filter, &spec, &schema).of(&partition);

    let others: Vec<_> =
        (0..random.below(3)).filter_map(|_| generate::partition(&random.row(), &fields, false)).collect();
    let types = partition::field_types(&spec, &schema);
    let summaries: Vec<_> = (0..fields.len())
        .map(|n| {
            let values: Vec<_> = std::iter::once(&partition).chain(&others).map(|values| values[n].clone()).collect();
            random.summary(&values, types[n])
        })
        .collect();
    let statistics = random.statistics(&rows);

    let by_partition = inclusive.matches(&partition);
    let by_summaries = inclusive.may_match_summaries(&summaries);
    let by_metrics = metrics::may_match(&filter, &statistics);
    let all = strict.matches(&partition);
    let case = || format!("{filter:#?}\nspec {fields:?}\npartition {partition:?}\nold writer {old_writer}");
    // Without counts of NaN, the rules follow the specification, for which a NaN is not above a number.
    let knows_nans = |id| statistics.nan_value_count(id).is_some() && statistics.value_count(id).is_some();
    let nans_in_statistics = columns.iter().all(|id| knows_nans(*id));
    let nans_in_summaries = summaries.iter().all(|summary| summary.contains_nan.is_some());
    for row in &rows {
        for reader in readers() {
            let matches = reader.matches(&filter, row);
            let follows = |counted: bool| matches && (counted || !reader.nan_is_highest);
            let shown = || format!("{row:?}\n{reader:?}\n{}", case());
            prop_assert!(!matches || by_partition, "the partition excludes {}", shown());
            prop_assert!(
                !follows(nans_in_summaries) || by_summaries,
                "the summaries {summaries:?} exclude {}",
                shown()
            );
            prop_assert!(
                !follows(nans_in_statistics) || by_metrics,
                "the statistics {statistics:?} exclude {}",
                shown()
            );
            prop_assert!(matches || !all, "the strict projection includes {}", shown());
            let rest = reader.matches(&residual, row);
            prop_assert_eq!(matches, rest, "the residual {:?} differs for {}", residual, shown());
        }
    }
    count(&results.partition_excluded, !by_partition);
    count(&results.summaries_excluded, !by_summaries);
    count(&results.metrics_excluded, !by_metrics);
    count(&results.strict_matched, all && filter != Bound::True);
    count(&results.residual_changed, residual != filter);
    Ok(())
}
