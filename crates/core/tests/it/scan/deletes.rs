//! Which delete files apply to a data file, compared with a naive reading of the specification.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tidewater_core::document::Transform;
use tidewater_core::scan::deletes::{DataFile, DeleteFile, DeleteIndexBuilder, DeleteKind, DeletesError, Scratch};
use tidewater_core::scan::value::{Value, ValueType};

use super::generate::Random;
use super::rows::{ColumnStatistics, Row, Statistics, schema, spec};

const FILE_PATH_ID: i32 = 2_147_483_546;

/// The specs of the table: 0 is unpartitioned, 1 and 2 have one field.
const PARTITIONED: [i32; 2] = [1, 2];

#[derive(Debug, Clone)]
enum Content {
    Vector(String),
    Positions { paths: Vec<String>, referenced: bool },
    Equality { ids: Vec<i32>, rows: Vec<Row> },
}

#[derive(Debug, Clone)]
struct Deletes {
    content: Content,
    sequence_number: i64,
    spec_id: i32,
    partition: Vec<Option<Value>>,
    statistics: Statistics,
}

#[derive(Debug, Clone)]
struct Data {
    path: String,
    sequence_number: i64,
    spec_id: i32,
    partition: Vec<Option<Value>>,
    rows: Vec<Row>,
    statistics: Statistics,
}

impl Random {
    fn place(&mut self) -> (i32, Vec<Option<Value>>) {
        let spec_id = self.pick(&[0, 1, 1, 2]);
        let value = self.pick(&[None, Some(Value::Int(0)), Some(Value::Int(1)), Some(Value::Long(1))]);
        (spec_id, if spec_id == 0 { Vec::new() } else { vec![value] })
    }

    fn data(&mut self, n: usize) -> Data {
        let (spec_id, partition) = self.place();
        let rows: Vec<Row> = (0..=self.below(2)).map(|_| self.row()).collect();
        let statistics = self.statistics(&rows);
        Data {
            path: format!("s3://b/data/{n}.parquet"),
            sequence_number: self.number(1, 4),
            spec_id,
            partition,
            rows,
            statistics,
        }
    }

    fn deletes(&mut self, data: &[Data], free_vectors: &mut Vec<usize>) -> Deletes {
        let (mut spec_id, mut partition) = self.place();
        let sequence_number = self.number(1, 5);
        let mut statistics = Statistics { rows: 1, ..Statistics::default() };
        let content = match self.below(4) {
            0 if !free_vectors.is_empty() => {
                let of = self.below(free_vectors.len());
                Content::Vector(data[free_vectors.swap_remove(of)].path.clone())
            }
            0 | 1 => {
                let first = self.pick(data);
                (spec_id, partition) = (first.spec_id, first.partition.clone());
                let mut paths = vec![first.path];
                paths.extend((0..self.below(3)).map(|_| self.pick(data).path));
                paths.sort();
                paths.dedup();
                let referenced = paths.len() == 1 && self.once_in(2);
                statistics.columns.insert(FILE_PATH_ID, self.path_statistics(&paths));
                Content::Positions { paths, referenced }
            }
            _ => {
                let ids = self.pick(&[vec![1], vec![3], vec![4], vec![10], vec![1, 4], vec![99]]);
                let rows: Vec<Row> = (0..=self.below(2)).map(|_| self.row()).collect();
                statistics = self.statistics(&rows);
                Content::Equality { ids, rows }
            }
        };
        Deletes { content, sequence_number, spec_id, partition, statistics }
    }

    fn path_statistics(&mut self, paths: &[String]) -> ColumnStatistics {
        let (lower, upper) = (paths[0].as_bytes(), paths[paths.len() - 1].as_bytes());
        match self.below(4) {
            0 => ColumnStatistics::default(),
            // Cut off without making it larger, as no writer should.
            1 if lower != upper => {
                let end = upper.len() - self.below(9);
                ColumnStatistics {
                    lower: Some(lower[..8].into()),
                    upper: Some(upper[..end].into()),
                    ..Default::default()
                }
            }
            _ => ColumnStatistics { lower: Some(lower.into()), upper: Some(upper.into()), ..Default::default() },
        }
    }
}

impl Deletes {
    fn file(&self) -> DeleteFile<'_> {
        let kind = match &self.content {
            Content::Vector(path) => DeleteKind::Vector(path),
            Content::Positions { paths, referenced } => DeleteKind::Positions(referenced.then(|| paths[0].as_str())),
            Content::Equality { ids, .. } => DeleteKind::Equality(ids),
        };
        DeleteFile {
            kind,
            sequence_number: self.sequence_number,
            spec_id: self.spec_id,
            partition: &self.partition,
            statistics: &self.statistics,
        }
    }

    fn has_place_of(&self, data: &Data) -> bool {
        let number = |value: &Option<Value>| match value {
            None => None,
            Some(Value::Int(number)) => Some(i64::from(*number)),
            Some(Value::Long(number)) => Some(*number),
            other => panic!("{other:?}"),
        };
        self.spec_id == data.spec_id && self.partition.iter().map(number).eq(data.partition.iter().map(number))
    }

    /// Returns whether a deletion vector or position delete file has to apply.
    fn must_apply(&self, data: &Data) -> bool {
        match &self.content {
            Content::Vector(path) => *path == data.path && self.sequence_number >= data.sequence_number,
            Content::Positions { paths, .. } => {
                paths.contains(&data.path) && self.has_place_of(data) && self.sequence_number >= data.sequence_number
            }
            Content::Equality { ids, rows } => {
                let applies = self.spec_id == 0 || self.has_place_of(data);
                applies && self.sequence_number > data.sequence_number && share_a_row(ids, rows, &data.rows)
            }
        }
    }

    /// Returns whether it may apply, as far as the rules without statistics say.
    fn may_apply(&self, data: &Data) -> bool {
        match &self.content {
            Content::Vector(_) => self.must_apply(data),
            Content::Positions { paths, referenced } => {
                self.has_place_of(data)
                    && self.sequence_number >= data.sequence_number
                    && (!referenced || paths.contains(&data.path))
            }
            Content::Equality { .. } => {
                (self.spec_id == 0 || self.has_place_of(data)) && self.sequence_number > data.sequence_number
            }
        }
    }

    fn is_vector(&self) -> bool {
        matches!(self.content, Content::Vector(_))
    }

    fn is_positions(&self) -> bool {
        matches!(self.content, Content::Positions { .. })
    }
}

/// Returns whether a row of both has equal values, for some reader: nulls are equal, NaN are, and perhaps both zeros.
fn share_a_row(ids: &[i32], one: &[Row], other: &[Row]) -> bool {
    let text = |row: &Row, id: i32| {
        usize::try_from(id).ok().and_then(|id| row.get(id - 1)).map(|value| format!("{value:?}").replace("-0.0", "0.0"))
    };
    one.iter().any(|one| other.iter().any(|other| ids.iter().all(|id| text(one, *id) == text(other, *id))))
}

#[test]
fn found_deletes_are_those_of_the_specification() {
    let left_out = Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(10_000));
    runner.run(&any::<u64>(), |seed| check(seed, &left_out)).unwrap();
    assert!(left_out.get() > 1000, "statistics left out only {} deletes", left_out.get());
}

fn check(seed: u64, left_out: &Cell<u32>) -> Result<(), TestCaseError> {
    let mut random = Random(seed);
    let data: Vec<Data> = (0..6).map(|n| random.data(n)).collect();
    let mut free_vectors: Vec<usize> = (0..data.len()).collect();
    let deletes: Vec<Deletes> = (0..random.below(12)).map(|_| random.deletes(&data, &mut free_vectors)).collect();

    let specs = specs();
    let schema = schema();
    let schema = schema.index().unwrap();
    let mut builder = DeleteIndexBuilder::new(&specs, &schema);
    for (number, file) in deletes.iter().enumerate() {
        prop_assert_eq!(builder.add(&file.file()), Ok(u32::try_from(number).unwrap()));
    }
    let index = builder.build();
    prop_assert_eq!(index.is_empty(), deletes.is_empty());

    let (mut scratch, mut found) = (Scratch::default(), vec![77]);
    for file in &data {
        index.find(&data_file(file), &mut scratch, &mut found);
        prop_assert!(found.is_sorted());
        let has_vector = deletes.iter().any(|deletes| deletes.is_vector() && deletes.must_apply(file));
        for (number, one) in deletes.iter().enumerate() {
            let applied = found.contains(&u32::try_from(number).unwrap());
            let replaced = has_vector && one.is_positions();
            let case = || format!("{one:?}\n{file:?}");
            prop_assert!(applied || replaced || !one.must_apply(file), "not applied: {}", case());
            prop_assert!(!applied || (one.may_apply(file) && !replaced), "applied: {}", case());
            left_out.set(left_out.get() + u32::from(!applied && !replaced && one.may_apply(file)));
        }
    }
    Ok(())
}

fn specs() -> Vec<tidewater_core::document::PartitionSpec> {
    let with_id = |id: i32, fields: &[(i32, Transform)]| {
        let json = spec(fields).json().replace("\"spec-id\":1", &format!("\"spec-id\":{id}"));
        tidewater_core::document::PartitionSpec::parse(&json).unwrap()
    };
    let mut specs = vec![with_id(0, &[])];
    specs.extend(PARTITIONED.map(|id| with_id(id, &[(1, Transform::Identity)])));
    specs
}

fn data_file(data: &Data) -> DataFile<'_> {
    DataFile {
        path: &data.path,
        sequence_number: data.sequence_number,
        spec_id: data.spec_id,
        partition: &data.partition,
        statistics: &data.statistics,
    }
}

/// Returns the numbers of the deletes that apply to a data file of spec 1 with sequence number 5 and path `a`.
fn found(deletes: &[(DeleteKind<'_>, i64, i32)]) -> Vec<u32> {
    let (specs, schema, statistics) = (specs(), schema(), Statistics { rows: 1, ..Statistics::default() });
    let schema = schema.index().unwrap();
    let partition = |spec_id| if spec_id == 0 { Vec::new() } else { vec![Some(Value::Int(7))] };
    let mut builder = DeleteIndexBuilder::new(&specs, &schema);
    for (kind, sequence_number, spec_id) in deletes {
        let (partition, sequence_number) = (partition(*spec_id), *sequence_number);
        let file = DeleteFile {
            kind: *kind,
            sequence_number,
            spec_id: *spec_id,
            partition: &partition,
            statistics: &statistics,
        };
        builder.add(&file).unwrap();
    }
    let mut found = Vec::new();
    let partition = partition(1);
    let file = DataFile { path: "a", sequence_number: 5, spec_id: 1, partition: &partition, statistics: &statistics };
    builder.build().find(&file, &mut Scratch::default(), &mut found);
    found
}

#[test]
fn position_deletes_apply_from_the_files_sequence_number_on_and_equality_deletes_after_it() {
    let (all, of_a, of_b) =
        (DeleteKind::Positions(None), DeleteKind::Positions(Some("a")), DeleteKind::Positions(Some("b")));
    let equal = DeleteKind::Equality(&[1]);
    assert_eq!(found(&[(all, 4, 1), (all, 5, 1), (all, 6, 1)]), [1, 2]);
    assert_eq!(found(&[(of_a, 4, 1), (of_a, 5, 1), (of_b, 6, 1)]), [1]);
    assert_eq!(found(&[(equal, 4, 1), (equal, 5, 1), (equal, 6, 1)]), [2]);
}

#[test]
fn deletes_of_another_partition_do_not_apply_unless_they_are_unpartitioned_equality_deletes() {
    let (positions, equality) = (DeleteKind::Positions(None), DeleteKind::Equality(&[1]));
    assert_eq!(found(&[(positions, 6, 0), (positions, 6, 2), (equality, 6, 0), (equality, 6, 2)]), [2]);
}

#[test]
fn deletion_vector_replaces_position_deletes_only_if_it_is_not_older() {
    let (vector, positions) = (DeleteKind::Vector("a"), DeleteKind::Positions(None));
    assert_eq!(found(&[(positions, 6, 1), (vector, 5, 1)]), [1]);
    assert_eq!(found(&[(positions, 6, 1), (vector, 4, 1)]), [0]);
    assert_eq!(found(&[(positions, 6, 1), (DeleteKind::Vector("b"), 6, 1)]), [0]);
}

#[test]
fn second_deletion_vector_of_a_file_is_refused() {
    let (specs, schema, statistics) = (specs(), schema(), Statistics::default());
    let schema = schema.index().unwrap();
    let mut builder = DeleteIndexBuilder::new(&specs, &schema);
    let file = DeleteFile {
        kind: DeleteKind::Vector("a"),
        sequence_number: 1,
        spec_id: 0,
        partition: &[],
        statistics: &statistics,
    };
    builder.add(&file).unwrap();
    assert_eq!(builder.add(&file), Err(DeletesError::SeveralVectors("a".to_owned())));
}

#[test]
fn nan_rows_keep_their_deletes_though_bounds_do_not_include_them() {
    let bounds = |value: f64, nans| {
        let bytes = Value::Double(value).to_bytes();
        let column = ColumnStatistics {
            values: Some(2),
            nulls: Some(0),
            nans: Some(nans),
            lower: Some(bytes.clone()),
            upper: Some(bytes),
            ..Default::default()
        };
        Statistics { rows: 2, columns: [(3, column)].into() }
    };
    let (specs, schema) = (specs(), schema());
    let schema = schema.index().unwrap();
    assert_eq!(super::generate::source(3), ValueType::Double);
    for (nans, applies) in [(1, true), (0, false)] {
        let (deleted, data) = (bounds(1.0, 1), bounds(9.0, nans));
        let mut builder = DeleteIndexBuilder::new(&specs, &schema);
        let kind = DeleteKind::Equality(&[3]);
        let file = DeleteFile { kind, sequence_number: 2, spec_id: 0, partition: &[], statistics: &deleted };
        builder.add(&file).unwrap();
        let mut found = Vec::new();
        let file = DataFile { path: "a", sequence_number: 1, spec_id: 0, partition: &[], statistics: &data };
        builder.build().find(&file, &mut Scratch::default(), &mut found);
        assert_eq!(!found.is_empty(), applies);
    }
}
