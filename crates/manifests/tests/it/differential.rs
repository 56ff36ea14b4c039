//! Manifests and manifest lists that the `iceberg` crate writes, compared with its own reader.

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::io::FileIO;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, FormatVersion, Literal, ManifestContentType,
    ManifestEntry, ManifestFile as TheirFile, ManifestList as TheirList, ManifestListWriter, ManifestStatus,
    ManifestWriter, ManifestWriterBuilder, NestedField, PartitionSpec, PrimitiveLiteral, PrimitiveType, Schema,
    SchemaRef, Struct, Transform, Type,
};
use proptest::prelude::*;
use tidewater_core::scan::statistics::FileStatistics;
use tidewater_core::scan::value::Value;
use tidewater_manifests::{Entry, FileContent, ManifestContent, ManifestFile, Status};

use crate::support::{parse, parse_list};

const PARTITION_TYPES: [(PrimitiveType, Transform); 9] = [
    (PrimitiveType::Int, Transform::Identity),
    (PrimitiveType::Long, Transform::Identity),
    (PrimitiveType::String, Transform::Identity),
    (PrimitiveType::Date, Transform::Identity),
    (PrimitiveType::Timestamp, Transform::Identity),
    (PrimitiveType::Boolean, Transform::Identity),
    (PrimitiveType::Double, Transform::Identity),
    (PrimitiveType::Timestamptz, Transform::Day),
    (PrimitiveType::String, Transform::Bucket(16)),
];

fn schema() -> SchemaRef {
    let fields = PARTITION_TYPES
        .iter()
        .zip(1..)
        .map(|((kind, _), id)| Arc::new(NestedField::optional(id, format!("c{id}"), Type::Primitive(kind.clone()))));
    Arc::new(Schema::builder().with_schema_id(3).with_fields(fields).build().unwrap())
}

fn spec(schema: &SchemaRef) -> PartitionSpec {
    let mut builder = PartitionSpec::builder(Arc::clone(schema)).with_spec_id(7);
    for ((_, transform), id) in PARTITION_TYPES.iter().zip(1..) {
        builder = builder.add_partition_field(format!("c{id}"), format!("p{id}"), *transform).unwrap();
    }
    builder.build().unwrap()
}

/// The values of an entry to write.
#[derive(Debug, Clone)]
struct Written {
    status: u8,
    number: i64,
    sequence_number: i64,
    partition: Vec<bool>,
    counts: Vec<(i32, u64)>,
    bounds: Vec<(i32, i32)>,
    is_null: bool,
}

fn written() -> impl Strategy<Value = Written> {
    let column = 1..10_i32;
    (
        0_u8..3,
        0_i64..1_000_000,
        1_i64..20,
        prop::collection::vec(any::<bool>(), PARTITION_TYPES.len()),
        prop::collection::vec((column.clone(), 0_u64..3_000_000_000), 0..6),
        prop::collection::vec((prop_oneof![Just(1), Just(4)], any::<i32>()), 0..3),
        any::<bool>(),
    )
        .prop_map(|(status, number, sequence_number, partition, counts, bounds, is_null)| Written {
            status,
            number,
            sequence_number,
            partition,
            counts,
            bounds,
            is_null,
        })
}

impl Written {
    fn literal(&self, position: usize) -> Option<Literal> {
        let small = (self.number % 3) as i32;
        let literal = match position {
            0 => Literal::int(small),
            1 => Literal::long(i64::from(small) << 40),
            2 => Literal::string(format!("é{small}")),
            3 => Literal::date(19_000 + small),
            4 => Literal::timestamp(1_700_000_000_000_000 + i64::from(small)),
            5 => Literal::bool(small == 0),
            6 => Literal::double(f64::from(small) / 4.0),
            7 => Literal::date(-small),
            _ => Literal::int(small),
        };
        self.partition[position].then_some(literal)
    }

    fn file(&self, content: DataContentType, version: FormatVersion) -> DataFile {
        let mut file = DataFileBuilder::default();
        let counts: HashMap<_, _> = self.counts.iter().copied().collect();
        let bound = |id: i32, value: i32| if id == 1 { Datum::int(value) } else { Datum::date(value) };
        let bounds: HashMap<_, _> = self.bounds.iter().map(|(id, value)| (*id, bound(*id, *value))).collect();
        file.content(content)
            .file_path(format!("s3://bucket/table/data/{}.parquet", self.number))
            .file_format(DataFileFormat::Parquet)
            .partition((0..PARTITION_TYPES.len()).map(|position| self.literal(position)).collect::<Struct>())
            .record_count(self.number as u64 + 1)
            .file_size_in_bytes(1_000 + self.number as u64)
            .column_sizes(counts.clone())
            .value_counts(counts.clone())
            .null_value_counts(counts.iter().map(|(id, count)| (*id, count / 2)).collect())
            .nan_value_counts(if self.is_null { HashMap::new() } else { counts })
            .lower_bounds(bounds.clone())
            .upper_bounds(bounds)
            .partition_spec_id(7)
            .split_offsets((!self.is_null).then(|| vec![4, self.number + 4]));
        if !self.is_null {
            file.sort_order_id(2);
        }
        if content == DataContentType::EqualityDeletes {
            file.equality_ids(Some(vec![1, 3]));
        }
        if version == FormatVersion::V3 && content == DataContentType::Data && self.status != 1 {
            file.first_row_id(Some(self.number * 10));
        }
        if version == FormatVersion::V3 && content == DataContentType::PositionDeletes {
            file.file_format(DataFileFormat::Puffin)
                .referenced_data_file(Some(format!("s3://bucket/table/data/{}.parquet", self.number % 7)))
                .content_offset(Some(4))
                .content_size_in_bytes(Some(40));
        }
        file.build().unwrap()
    }

    fn add_to(&self, writer: &mut ManifestWriter, content: DataContentType, version: FormatVersion) {
        let file = self.file(content, version);
        match self.status {
            // A negative sequence number is inherited.
            1 => writer.add_file(file, -1).unwrap(),
            0 => writer.add_existing_file(file, 5, self.sequence_number, Some(self.sequence_number)).unwrap(),
            _ => writer.add_delete_file(file, self.sequence_number, Some(self.sequence_number)).unwrap(),
        }
    }
}

const KINDS: [(FormatVersion, DataContentType); 6] = [
    (FormatVersion::V1, DataContentType::Data),
    (FormatVersion::V2, DataContentType::Data),
    (FormatVersion::V2, DataContentType::PositionDeletes),
    (FormatVersion::V2, DataContentType::EqualityDeletes),
    (FormatVersion::V3, DataContentType::Data),
    (FormatVersion::V3, DataContentType::PositionDeletes),
];

const MANIFEST: &str = "memory:///t/m.avro";
const LIST: &str = "memory:///t/list.avro";

/// Writes a manifest and its list.
async fn write(io: &FileIO, version: FormatVersion, content: DataContentType, rows: &[Written]) {
    let schema = schema();
    let spec = spec(&schema);
    let builder = ManifestWriterBuilder::new(io.new_output(MANIFEST).unwrap(), Some(11), schema, spec);
    let is_data = content == DataContentType::Data;
    let mut writer = match version {
        FormatVersion::V1 => builder.build_v1(),
        FormatVersion::V2 if is_data => builder.build_v2_data(),
        FormatVersion::V2 => builder.build_v2_deletes(),
        FormatVersion::V3 if is_data => builder.build_v3_data(),
        FormatVersion::V3 => builder.build_v3_deletes(),
    };
    for row in rows {
        row.add_to(&mut writer, content, version);
    }
    let manifest = writer.write_manifest_file().await.unwrap();
    let list = io.new_output(LIST).unwrap().writer().await.unwrap();
    let mut list = match version {
        FormatVersion::V1 => ManifestListWriter::v1(list, 11, None),
        FormatVersion::V2 => ManifestListWriter::v2(list, 11, Some(10), 30),
        FormatVersion::V3 => ManifestListWriter::v3(list, 11, Some(10), 30, Some(1_000)),
    };
    list.add_manifests(std::iter::once(manifest)).unwrap();
    list.close().await.unwrap();
}

fn compare_file(ours: &ManifestFile, theirs: &TheirFile) {
    let content = match theirs.content {
        ManifestContentType::Data => ManifestContent::Data,
        ManifestContentType::Deletes => ManifestContent::Deletes,
    };
    assert_eq!(&*ours.path, theirs.manifest_path);
    assert_eq!((ours.length, ours.spec_id, ours.content), (theirs.manifest_length, theirs.partition_spec_id, content));
    assert_eq!(
        (ours.sequence_number, ours.min_sequence_number, ours.added_snapshot_id),
        (theirs.sequence_number, theirs.min_sequence_number, Some(theirs.added_snapshot_id))
    );
    let files = [ours.added_files_count, ours.existing_files_count, ours.deleted_files_count];
    let their_files = [theirs.added_files_count, theirs.existing_files_count, theirs.deleted_files_count];
    assert_eq!(files.map(|count| count.map(|count| count as u32)), their_files);
    let rows = [ours.added_rows_count, ours.existing_rows_count, ours.deleted_rows_count];
    let their_rows = [theirs.added_rows_count, theirs.existing_rows_count, theirs.deleted_rows_count];
    assert_eq!(rows.map(|count| count.map(|count| count as u64)), their_rows);
    assert_eq!(ours.first_row_id.map(|id| id as u64), theirs.first_row_id);
    assert_eq!(ours.key_metadata.as_deref(), theirs.key_metadata.as_deref());
    let their_summaries = theirs.partitions.as_deref().unwrap_or_default();
    assert_eq!(ours.partitions.len(), their_summaries.len());
    for (ours, theirs) in ours.partitions.iter().zip(their_summaries) {
        assert_eq!((ours.contains_null, ours.contains_nan), (theirs.contains_null, theirs.contains_nan));
        assert_eq!(ours.lower_bound.as_deref(), theirs.lower_bound.as_ref().map(|bound| &bound[..]));
        assert_eq!(ours.upper_bound.as_deref(), theirs.upper_bound.as_ref().map(|bound| &bound[..]));
    }
}

fn value(literal: Option<&Literal>, position: usize) -> Option<Value> {
    let Literal::Primitive(literal) = literal? else { panic!("a primitive") };
    Some(match (literal, position) {
        (PrimitiveLiteral::Boolean(value), _) => Value::Boolean(*value),
        (PrimitiveLiteral::Int(value), 3 | 7) => Value::Date(*value),
        (PrimitiveLiteral::Int(value), _) => Value::Int(*value),
        (PrimitiveLiteral::Long(value), 4) => Value::Timestamp(*value),
        (PrimitiveLiteral::Long(value), _) => Value::Long(*value),
        (PrimitiveLiteral::Double(value), _) => Value::Double(value.0),
        (PrimitiveLiteral::String(value), _) => Value::String(value.as_str().into()),
        other => panic!("{other:?}"),
    })
}

fn compare_entry(ours: &Entry<'_>, theirs: &ManifestEntry) {
    let status = match theirs.status() {
        ManifestStatus::Added => Status::Added,
        ManifestStatus::Existing => Status::Existing,
        ManifestStatus::Deleted => Status::Deleted,
    };
    let file = theirs.data_file();
    let content = match file.content_type() {
        DataContentType::Data => FileContent::Data,
        DataContentType::PositionDeletes => FileContent::PositionDeletes,
        DataContentType::EqualityDeletes => FileContent::EqualityDeletes,
    };
    assert_eq!((ours.status(), ours.content()), (status, content));
    assert_eq!((ours.snapshot_id(), Some(ours.sequence_number())), (theirs.snapshot_id(), theirs.sequence_number()));
    assert_eq!(ours.path(), file.file_path());
    assert_eq!(ours.format(), file.file_format().to_string());
    assert_eq!(ours.record_count() as u64, file.record_count());
    assert_eq!(ours.file_size_bytes() as u64, file.file_size_in_bytes());
    assert_eq!(ours.sort_order_id(), file.sort_order_id());
    assert_eq!(ours.split_offsets().map(Iterator::collect::<Vec<_>>).as_deref(), file.split_offsets());
    assert_eq!(ours.equality_ids().map(Iterator::collect::<Vec<_>>), file.equality_ids());
    assert_eq!(ours.referenced_data_file().map(|path| path.to_string()), file.referenced_data_file());
    assert_eq!(
        (ours.content_offset(), ours.content_size_bytes(), ours.key_metadata()),
        (file.content_offset(), file.content_size_in_bytes(), file.key_metadata())
    );
    let partition = file.partition().iter().enumerate();
    let partition: Vec<_> = partition.map(|(position, literal)| value(literal, position)).collect();
    assert_eq!(ours.partition(), partition);
    for id in 0..11 {
        let theirs = |counts: &HashMap<i32, u64>| counts.get(&id).map(|count| *count as i64);
        assert_eq!(ours.column_size_bytes(id), theirs(file.column_sizes()));
        assert_eq!(ours.value_count(id), theirs(file.value_counts()));
        assert_eq!(ours.null_value_count(id), theirs(file.null_value_counts()));
        assert_eq!(ours.nan_value_count(id), theirs(file.nan_value_counts()));
        let theirs = |bounds: &HashMap<i32, Datum>| bounds.get(&id).map(|bound| bound.to_bytes().unwrap().to_vec());
        assert_eq!(ours.lower_bound(id).map(<[u8]>::to_vec), theirs(file.lower_bounds()));
        assert_eq!(ours.upper_bound(id).map(<[u8]>::to_vec), theirs(file.upper_bounds()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn manifest_is_read_as_by_the_iceberg_crate(rows in prop::collection::vec(written(), 0..40), kind in 0..KINDS.len()) {
        let (version, content) = KINDS[kind];
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let io = FileIO::new_with_memory();
            write(&io, version, content, &rows).await;
            let list = io.new_input(LIST).unwrap().read().await.unwrap();
            let their_list = TheirList::parse_with_version(&list, version).unwrap();
            let list = parse_list(&list).unwrap();
            assert_eq!(list.files().len(), their_list.entries().len());
            let (file, their_file) = (&list.files()[0], &their_list.entries()[0]);
            compare_file(file, their_file);

            let theirs = their_file.load_manifest(&io).await.unwrap();
            let manifest = parse(&io.new_input(MANIFEST).unwrap().read().await.unwrap()).unwrap();
            assert_eq!((manifest.spec_id(), manifest.schema_id()), (Some(7), Some(3)));
            assert_eq!((manifest.content(), manifest.format_version()), (file.content, version as u8));
            let entries = manifest.entries(file).unwrap();
            assert_eq!(entries.len(), theirs.entries().len());
            for (ours, theirs) in entries.iter().zip(theirs.entries()) {
                compare_entry(&ours, theirs);
            }
        });
    }
}
