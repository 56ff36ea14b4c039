package tidewater.planning;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DataFiles;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.FileMetadata;
import org.apache.iceberg.MetadataColumns;
import org.apache.iceberg.Metrics;
import org.apache.iceberg.PartitionField;
import org.apache.iceberg.PartitionKey;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.types.Comparators;
import org.apache.iceberg.types.Conversions;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;
import org.apache.iceberg.util.BinaryUtil;
import org.apache.iceberg.util.NaNUtil;
import org.apache.iceberg.util.UnicodeUtil;

/**
 * Makes entries of manifests from random rows: there is no Parquet behind them, but partitions and statistics are those of the
 * rows. So it is known which rows a file that is left out would have had.
 */
final class Contents {
  private static final int MOST_ROWS = 4;

  private final Values values;
  private final String folder;
  private int made;

  /** The rows of every data file, by location. */
  final Map<String, List<Row>> rows = new HashMap<>();

  /** The data files that a position delete file names, by {@link #key}. */
  final Map<String, Set<String>> deletes = new HashMap<>();

  /** The rows of equality delete files, by location. */
  final Map<String, List<Row>> deletedRows = new HashMap<>();

  Contents(Values values, String folder) {
    this.values = values;
    this.folder = folder;
  }

  /** Returns the name of a delete file: deletion vectors share the location of their Puffin file. */
  static String key(DeleteFile file) {
    return file.contentOffset() == null ? file.location() : file.location() + "#" + file.contentOffset();
  }

  private String location(String kind, String extension) {
    made++;
    return "%s/%s/%05d.%s".formatted(folder, kind, made, extension);
  }

  /** Makes a data file of new rows, all in one partition. */
  DataFile data(Schema schema, PartitionSpec spec) {
    List<Row> of = new ArrayList<>(List.of(row(schema)));
    StructLike partition = partition(schema, spec, of.get(0));
    for (int number = 1 + values.below(MOST_ROWS); number > 1; number--) {
      of.add(rowBeside(schema, spec, of.get(0), partition));
    }
    return data(schema, spec, of);
  }

  /** Makes a data file of these rows, which are of one partition. */
  DataFile data(Schema schema, PartitionSpec spec, List<Row> written) {
    List<Row> of = complete(schema, written);
    String location = location("data", "parquet");
    rows.put(location, of);
    DataFiles.Builder file =
        DataFiles.builder(spec)
            .withPath(location)
            .withFormat(values.chance(0.9) ? FileFormat.PARQUET : FileFormat.ORC)
            .withFileSizeInBytes(1_000 + values.below(1_000_000))
            .withMetrics(metrics(Columns.leaves(schema), of));
    if (spec.isPartitioned()) {
      file.withPartition(partition(schema, spec, of.get(0)));
    }
    if (values.chance(0.2)) {
      file.withSplitOffsets(List.of(4L, 500L));
    }
    if (values.chance(0.1)) {
      file.withEncryptionKeyMetadata(ByteBuffer.wrap(new byte[] {1, (byte) 0xab}));
    }
    return file.build();
  }

  /** Returns rows with all columns of the schema. */
  static List<Row> complete(Schema schema, List<Row> rows) {
    return rows.stream().map(row -> rewritten(schema, row)).toList();
  }

  /** Returns a row with all columns of the schema, as a writer writes it that read it from an older file. */
  private static Row rewritten(Schema schema, Row row) {
    Row complete = row.copy();
    for (Columns.Leaf leaf : Columns.leaves(schema)) {
      complete.set(leaf.id(), row.valueOf(schema.findField(leaf.id())));
    }
    return complete;
  }

  /** Makes a file of position deletes for these data files, which are of one partition. */
  DeleteFile positions(PartitionSpec spec, List<DataFile> of) {
    DeleteFile file = withPartition(FileMetadata.deleteFileBuilder(spec).ofPositionDeletes(), spec, of.get(0).partition())
        .withPath(location("deletes", "parquet"))
        .withFormat(FileFormat.PARQUET)
        .withFileSizeInBytes(500)
        .withMetrics(pathMetrics(of))
        .withReferencedDataFile(of.size() == 1 && values.chance(0.4) ? of.get(0).location() : null)
        .build();
    deletes.put(key(file), new HashSet<>(of.stream().map(DataFile::location).toList()));
    return file;
  }

  private Metrics pathMetrics(List<DataFile> of) {
    int id = MetadataColumns.DELETE_FILE_PATH.fieldId();
    List<String> paths = of.stream().map(DataFile::location).sorted().toList();
    String lower = paths.get(0);
    String upper = paths.get(paths.size() - 1);
    if (values.chance(0.2)) {
      return new Metrics((long) of.size());
    }
    if (values.chance(0.25)) {
      int length = folder.length() + values.below(12);
      lower = UnicodeUtil.truncateStringMin(lower, length);
      upper = UnicodeUtil.truncateStringMax(upper, length);
    }
    return new Metrics((long) of.size(), null, null, null, null, Map.of(id, utf8(lower)), Map.of(id, utf8(upper)));
  }

  private static ByteBuffer utf8(String text) {
    return ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
  }

  /** Makes deletion vectors for these data files, in one Puffin file. */
  List<DeleteFile> vectors(Map<Integer, PartitionSpec> specs, List<DataFile> of) {
    String location = location("deletes", "puffin");
    List<DeleteFile> vectors = new ArrayList<>();
    for (DataFile data : of) {
      PartitionSpec spec = specs.get(data.specId());
      vectors.add(
          withPartition(FileMetadata.deleteFileBuilder(spec).ofPositionDeletes(), spec, data.partition())
              .withPath(location)
              .withFormat(FileFormat.PUFFIN)
              .withFileSizeInBytes(4_000)
              .withRecordCount(1)
              .withReferencedDataFile(data.location())
              .withContentOffset(4 + 50L * vectors.size())
              .withContentSizeInBytes(46)
              .build());
      deletes.put(key(vectors.get(vectors.size() - 1)), Set.of(data.location()));
    }
    return vectors;
  }

  /** Makes equality deletes by some columns, in the partition of a row. */
  DeleteFile equality(Schema schema, PartitionSpec spec, List<Row> of) {
    List<Columns.Leaf> leaves = new ArrayList<>(Columns.leaves(schema));
    // Iceberg has no equality deletes by floating point numbers.
    leaves.removeIf(leaf -> leaf.type().typeId() == Type.TypeID.FLOAT || leaf.type().typeId() == Type.TypeID.DOUBLE);
    List<Columns.Leaf> by = new ArrayList<>();
    for (int number = 1 + values.below(2); number > 0; number--) {
      by.add(leaves.remove(values.below(leaves.size())));
    }
    int[] ids = by.stream().mapToInt(Columns.Leaf::id).toArray();
    String location = location("deletes", "parquet");
    deletedRows.put(location, of);
    return withPartition(FileMetadata.deleteFileBuilder(spec).ofEqualityDeletes(ids), spec, partition(schema, spec, of.get(0)))
        .withPath(location)
        .withFormat(FileFormat.PARQUET)
        .withFileSizeInBytes(700)
        .withMetrics(metrics(by, of))
        .build();
  }

  private static FileMetadata.Builder withPartition(FileMetadata.Builder file, PartitionSpec spec, StructLike partition) {
    return spec.isPartitioned() ? file.withPartition(partition) : file;
  }

  Row row(Schema schema) {
    Map<Integer, Object> of = new HashMap<>();
    fill(schema.asStruct(), of, false);
    return new Row(of);
  }

  private void fill(Types.StructType struct, Map<Integer, Object> of, boolean isNull) {
    for (Types.NestedField field : struct.fields()) {
      boolean none = isNull || field.isOptional() && values.chance(0.2);
      if (field.type().isStructType()) {
        if (none) {
          of.put(field.fieldId(), Row.NULL_STRUCT);
        }
        fill(field.type().asStructType(), of, none);
      } else {
        of.put(field.fieldId(), none || field.type().isNestedType() ? null : values.next(field.type()));
      }
    }
  }

  /** Returns a new row in the same partition: different from the first in the columns of the spec only where that is possible. */
  private Row rowBeside(Schema schema, PartitionSpec spec, Row first, StructLike partition) {
    Comparator<StructLike> comparator = Comparators.forType(spec.partitionType());
    for (int attempt = 0; attempt < 8; attempt++) {
      Row row = row(schema);
      if (attempt > 3) {
        // Only one of the spec's columns changes, or none of them.
        PartitionField changed = spec.isPartitioned() && attempt < 7 ? values.one(spec.fields()) : null;
        row = mixed(schema, spec, first, row, changed);
      }
      if (comparator.compare(partition(schema, spec, row), partition) == 0) {
        return row;
      }
    }
    return first.copy();
  }

  private Row mixed(Schema schema, PartitionSpec spec, Row first, Row row, PartitionField changed) {
    if (spec.fields().stream().anyMatch(field -> schema.asStruct().field(field.sourceId()) == null)) {
      // A source inside of a struct: whether the struct is null belongs to the partition too.
      return first.copy();
    }
    spec.fields().stream()
        .filter(field -> changed == null || field.sourceId() != changed.sourceId())
        .forEach(field -> row.set(field.sourceId(), first.get(field.sourceId())));
    return row;
  }

  static StructLike partition(Schema schema, PartitionSpec spec, Row row) {
    PartitionKey key = new PartitionKey(spec, schema);
    key.partition(row.as(schema.asStruct()));
    return key;
  }

  /** Returns the statistics of rows; some files lack some, as older and smaller writers leave them out. */
  private Metrics metrics(List<Columns.Leaf> leaves, List<Row> of) {
    long count = of.size();
    if (values.chance(0.08)) {
      return new Metrics(count);
    }
    boolean complete = values.chance(0.5);
    Map<Integer, Long> sizes = new HashMap<>();
    Map<Integer, Long> counts = new HashMap<>();
    Map<Integer, Long> nulls = new HashMap<>();
    Map<Integer, Long> nans = new HashMap<>();
    Map<Integer, ByteBuffer> lower = new HashMap<>();
    Map<Integer, ByteBuffer> upper = new HashMap<>();
    for (Columns.Leaf leaf : leaves) {
      if (!complete && values.chance(0.15)) {
        continue;
      }
      List<Object> present = of.stream().map(row -> row.get(leaf.id())).filter(value -> value != null).toList();
      sizes.put(leaf.id(), 10L + values.below(90));
      counts.put(leaf.id(), count);
      if (complete || values.chance(0.85)) {
        nulls.put(leaf.id(), count - present.size());
      }
      List<Object> numbers = present.stream().filter(value -> !NaNUtil.isNaN(value)).toList();
      boolean isFloating = leaf.type().typeId() == Type.TypeID.FLOAT || leaf.type().typeId() == Type.TypeID.DOUBLE;
      if (isFloating && (complete || values.chance(0.7))) {
        nans.put(leaf.id(), (long) present.size() - numbers.size());
      }
      if (!numbers.isEmpty() && (complete || values.chance(0.85))) {
        bounds(leaf, numbers, complete, lower, upper);
      }
    }
    return new Metrics(count, sizes, counts, nulls, nans, lower, upper);
  }

  private void bounds(
      Columns.Leaf leaf, List<Object> present, boolean complete, Map<Integer, ByteBuffer> lower, Map<Integer, ByteBuffer> upper) {
    Comparator<Object> comparator = Comparators.forType(leaf.type());
    Object least = present.stream().min(comparator).orElseThrow();
    Object most = present.stream().max(comparator).orElseThrow();
    int length = values.chance(0.5) ? 16 : 1 + values.below(3);
    if (leaf.type().typeId() == Type.TypeID.STRING) {
      least = UnicodeUtil.truncateStringMin((String) least, length);
      most = UnicodeUtil.truncateStringMax((String) most, length);
    } else if (leaf.type().typeId() == Type.TypeID.BINARY) {
      least = BinaryUtil.truncateBinaryMin((ByteBuffer) least, length);
      most = BinaryUtil.truncateBinaryMax((ByteBuffer) most, length);
    }
    if (complete || values.chance(0.9)) {
      lower.put(leaf.id(), Conversions.toByteBuffer(leaf.type(), least));
    }
    // Text of which every character is the last one has no upper bound that is shorter.
    if (most != null && (complete || values.chance(0.9))) {
      upper.put(leaf.id(), Conversions.toByteBuffer(leaf.type(), most));
    }
  }
}
