package tidewater.planning;

import java.io.IOException;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.apache.iceberg.AppendFiles;
import org.apache.iceberg.BaseTable;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DataFiles;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.FileMetadata;
import org.apache.iceberg.ManifestFiles;
import org.apache.iceberg.ManifestWriter;
import org.apache.iceberg.Metrics;
import org.apache.iceberg.PartitionData;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.RowDelta;
import org.apache.iceberg.Schema;
import org.apache.iceberg.types.Conversions;
import org.apache.iceberg.types.Types;

/**
 * Makes a table of many data files that exist only in manifests: {@code LargeTable FOLDER NAME FILES [DELETES]}. It has {@value #DAYS} days in
 * order, 16 buckets, ten columns with statistics and manifests of {@value #FILES_IN_MANIFEST} entries. The first {@code
 * DELETES} data files have a file of position deletes each. Prints the location of its metadata document.
 *
 * <p>One day is 0.1 % of the files, in few manifests; {@code amount = n + 0.5} for a whole number below 1,000 is 0.1 % too, in all
 * manifests.
 */
public final class LargeTable {
  static final int DAYS = 1_000;
  static final int FILES_IN_MANIFEST = 10_000;
  private static final int BUCKETS = 16;
  private static final int ROWS = 50_000;
  private static final int FIRST_DAY = 19_000;
  private static final long DAY_US = TimeUnit.DAYS.toMicros(1);

  private static final Schema SCHEMA =
      new Schema(
          Types.NestedField.required(1, "id", Types.LongType.get()),
          Types.NestedField.optional(2, "seen", Types.TimestampType.withZone()),
          Types.NestedField.optional(3, "city", Types.StringType.get()),
          Types.NestedField.optional(4, "amount", Types.DoubleType.get()),
          Types.NestedField.optional(5, "price", Types.DecimalType.of(12, 2)),
          Types.NestedField.optional(6, "number", Types.IntegerType.get()),
          Types.NestedField.optional(7, "device", Types.UUIDType.get()),
          Types.NestedField.optional(8, "valid", Types.BooleanType.get()),
          Types.NestedField.optional(9, "note", Types.StringType.get()),
          Types.NestedField.optional(10, "born", Types.DateType.get()));

  private LargeTable() {}

  public static void main(String[] arguments) throws IOException {
    int files = Integer.parseInt(arguments[2]);
    int deletes = arguments.length > 3 ? Integer.parseInt(arguments[3]) : 0;
    PartitionSpec spec = PartitionSpec.builderFor(SCHEMA).day("seen").bucket("id", BUCKETS).build();
    BaseTable table =
        LocalTable.create(arguments[1], arguments[0] + "/" + arguments[1], SCHEMA, spec, Map.of("format-version", "2"));
    Random random = new Random(files);
    AppendFiles append = table.newFastAppend();
    RowDelta delta = table.newRowDelta();
    for (int first = 0; first < files; first += FILES_IN_MANIFEST) {
      String location = table.location() + "/metadata/large-" + first + ".avro";
      ManifestWriter<DataFile> writer = ManifestFiles.write(2, table.spec(), table.io().newOutputFile(location), null);
      try (writer) {
        for (int number = first; number < Math.min(files, first + FILES_IN_MANIFEST); number++) {
          DataFile file = file(table.spec(), table.location(), number, files, random);
          writer.add(file);
          if (number < deletes) {
            delta.addDeletes(delete(table.spec(), file));
          }
        }
      }
      append.appendManifest(writer.toManifestFile());
    }
    append.commit();
    if (deletes > 0) {
      delta.commit();
    }
    System.out.println(table.operations().current().metadataFileLocation());
  }

  private static DataFile file(PartitionSpec spec, String location, int number, int files, Random random) {
    int day = FIRST_DAY + (int) ((long) number * DAYS / files);
    PartitionData partition = new PartitionData(spec.partitionType());
    partition.set(0, day);
    partition.set(1, number % BUCKETS);
    return DataFiles.builder(spec)
        .withPath("%s/data/seen_day=%d/bucket=%d/%08d-%s.parquet".formatted(location, day, number % BUCKETS, number, uuid(random)))
        .withFormat(FileFormat.PARQUET)
        .withPartition(partition)
        .withFileSizeInBytes(100_000_000L + random.nextInt(50_000_000))
        .withMetrics(metrics(day, random))
        .build();
  }

  private static DeleteFile delete(PartitionSpec spec, DataFile file) {
    return FileMetadata.deleteFileBuilder(spec)
        .ofPositionDeletes()
        .withPath(file.location().replace(".parquet", "-deletes.parquet"))
        .withFormat(FileFormat.PARQUET)
        .withPartition(file.partition())
        .withFileSizeInBytes(10_000)
        .withRecordCount(100)
        .withReferencedDataFile(file.location())
        .build();
  }

  private static Metrics metrics(int day, Random random) {
    Map<Integer, Long> sizes = new HashMap<>();
    Map<Integer, Long> counts = new HashMap<>();
    Map<Integer, Long> nulls = new HashMap<>();
    Map<Integer, ByteBuffer> lower = new HashMap<>();
    Map<Integer, ByteBuffer> upper = new HashMap<>();
    SCHEMA.columns().forEach(column -> {
      sizes.put(column.fieldId(), 1_000_000L + random.nextInt(1_000_000));
      counts.put(column.fieldId(), (long) ROWS);
      nulls.put(column.fieldId(), column.isOptional() ? (long) random.nextInt(100) : 0L);
    });
    Object[][] bounds = bounds(day, random);
    for (int index = 0; index < bounds.length; index++) {
      Types.NestedField column = SCHEMA.columns().get(index);
      lower.put(column.fieldId(), Conversions.toByteBuffer(column.type(), bounds[index][0]));
      upper.put(column.fieldId(), Conversions.toByteBuffer(column.type(), bounds[index][1]));
    }
    return new Metrics((long) ROWS, sizes, counts, nulls, Map.of(4, 0L), lower, upper);
  }

  /** Returns the bounds of each column. */
  private static Object[][] bounds(int day, Random random) {
    long id = random.nextInt(1_000_000_000);
    long seen = day * DAY_US + random.nextInt(3_600) * 1_000_000L;
    double amount = random.nextInt(1_000) + 0.1;
    int number = random.nextInt(1_000_000);
    String text = Long.toString(random.nextLong() >>> 1, 36);
    return new Object[][] {
      {id, id + ROWS}, {seen, seen + DAY_US / 2}, {"A" + text.substring(0, 6), "Z" + text}, {amount, amount + 0.8},
      {new BigDecimal("1.00"), BigDecimal.valueOf(100_000L + number, 2)}, {number, number + ROWS},
      {new UUID(1, id), new UUID(-1L, id)}, {false, true}, {"note " + text, "note z" + text}, {day - 20_000, day - 5_000}
    };
  }

  private static UUID uuid(Random random) {
    return new UUID(random.nextLong(), random.nextLong());
  }
}
