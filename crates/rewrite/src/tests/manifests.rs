//! Rewrites of manifests.

use serde_json::json;
use tidewater_core::scan::value::Value;
use tidewater_manifests::ManifestContent;

use super::table::{Lake, id_and_name, ids_and_names};
use crate::{ManifestRule, rewrite_manifests};

const RULE: ManifestRule = ManifestRule { target_bytes: 8 << 20, min_manifests: 2 };

/// Rewrites the manifests, and commits.
fn rewrite(lake: &mut Lake, rule: &ManifestRule) -> crate::ManifestsReport {
    let table = lake.table.clone();
    let mut job = lake.job_on(&table);
    let (proposal, report) = rewrite_manifests(&mut job, rule).unwrap();
    lake.commit(&proposal.unwrap().body);
    report
}

#[test]
fn rewritten_manifests_list_the_same_files_with_the_same_numbers_in_all_formats() {
    for version in 1..=3 {
        let mut lake = Lake::plain(version);
        let files: Vec<_> = (0..5).map(|number| lake.append(number * 10..number * 10 + 10)).collect();
        if version == 2 {
            lake.delete_positions(&[(&files[0], 3), (&files[1], 4)], Vec::new());
            let doomed = ids_and_names(&lake.schema(), vec![25]);
            lake.delete_equal(&[1], &doomed, Vec::new());
        }
        let before = (lake.rows(), lake.listed(ManifestContent::Data), lake.listed(ManifestContent::Deletes));
        let row_ids = lake.first_row_ids();
        assert_eq!(row_ids[0].1, (version == 3).then_some(10), "{row_ids:?}");
        let report = rewrite(&mut lake, &RULE);
        let deletes = if version == 2 { 1 } else { 0 };
        assert_eq!((report.created, report.kept), (1 + deletes, 0), "{report:?}");
        assert_eq!(report.entries, if version == 2 { 7 } else { 5 });
        let after = (lake.rows(), lake.listed(ManifestContent::Data), lake.listed(ManifestContent::Deletes));
        assert!(after == before, "format {version}: {after:#?} instead of {before:#?}");
        assert_eq!(lake.first_row_ids(), row_ids);
        let (count, summary) = lake.manifests();
        assert_eq!(count as u64, 1 + deletes);
        assert_eq!(summary["operation"], "replace");
        assert_eq!(summary["manifests-created"], (1 + deletes).to_string());
        assert_eq!(summary["manifests-kept"], "0");
        assert_eq!(summary["manifests-replaced"], report.replaced.to_string());
        assert_eq!(summary["entries-processed"], report.entries.to_string());
        assert_eq!(summary["total-records"], "1000", "totals stay");
        let (again, report) = rewrite_manifests(&mut lake.job(), &RULE).unwrap();
        assert_eq!((again, report.replaced), (None, 0), "nothing is left to do");
    }
}

#[test]
fn entries_are_in_the_order_of_their_partitions_in_manifests_of_the_target_size() {
    let spec = json!([{ "source-id": 2, "field-id": 1000, "transform": "identity", "name": "name" }]);
    let mut lake = Lake::new(2, id_and_name(), spec, json!({}));
    for number in 0..40_i64 {
        let batch = ids_and_names(&lake.schema(), vec![number]);
        let name = (number % 4 != 0).then(|| Value::String(format!("name {}", number % 7).into()));
        let file = lake.file(&batch, vec![name]);
        lake.add(&[file]);
    }
    let before = lake.listed(ManifestContent::Data);
    let rule = ManifestRule { target_bytes: 6_000, min_manifests: 2 };
    let report = rewrite(&mut lake, &rule);
    assert!((2..20).contains(&report.created), "{report:?}");
    assert_eq!(lake.listed(ManifestContent::Data), before);
    let base = crate::snapshot::Base::current(&lake.table).unwrap().unwrap();
    let job = lake.job();
    let list = job.read_list(&base.manifest_list).unwrap();
    let bounds: Vec<_> = list.files().iter().map(|file| file.partitions[0].clone()).collect();
    for pair in bounds.windows(2) {
        assert!(pair[0].upper_bound <= pair[1].lower_bound, "{bounds:?}");
    }
    assert!(bounds[0].contains_null);
}

#[test]
fn failed_write_leaves_the_table_as_it_is() {
    let mut lake = Lake::plain(2);
    (0..3).for_each(|number| drop(lake.append(number..number + 1)));
    let before = lake.rows();
    for writes in 0..2 {
        let disk = super::table::Disk { writes_left: Some(writes.into()) };
        lake.disk = std::sync::Arc::new(disk);
        let mut job = lake.job();
        assert!(rewrite_manifests(&mut job, &RULE).is_err());
        assert_eq!(job.written().len(), writes + 1);
        assert_eq!(lake.rows(), before);
    }
}

#[test]
fn selection_takes_small_manifests_that_fewer_can_replace() {
    let file = |length, spec_id| tidewater_manifests::ManifestFile { length, spec_id, ..Default::default() };
    let rule = ManifestRule { target_bytes: 1000, min_manifests: 2 };
    assert_eq!(rule.select(&[file(10, 0)]), Vec::<Vec<usize>>::new());
    assert_eq!(rule.select(&[file(10, 0), file(10, 1)]), Vec::<Vec<usize>>::new());
    assert_eq!(rule.select(&[file(10, 0), file(900, 0), file(10, 1), file(10, 0)]), [[0, 3]]);
    assert_eq!(rule.select(&[file(740, 0), file(740, 0)]), Vec::<Vec<usize>>::new(), "two are needed");
}
