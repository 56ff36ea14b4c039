package tidewater.planning;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.iceberg.ContentFile;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileContent;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.types.Comparators;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;
import org.apache.iceberg.util.NaNUtil;

/** Compares a server's plans of one table with Iceberg's own, and with the rows that the files have. */
final class Judge {
  private static final int SAMPLES = 4;

  private final Report report;
  private final History.Made made;
  private final Values values;
  private final Map<List<Object>, List<Answer>> unfiltered = new HashMap<>();

  Judge(Report report, History.Made made, Values values) {
    this.report = report;
    this.made = made;
    this.values = values;
  }

  /** A scan with what decides about it. */
  private record Case(Scan scan, ObjectNode request, Schema schema, Truth.Bound filter) {}

  private void differs(Case one, String kind, String detail) {
    report.differs(kind, made.table().name(), one.request(), detail);
  }

  /**
   * Compares one plan.
   *
   * @param expected the plan of Iceberg's library, or null where it fails: then only the rows decide
   * @param kind precedes the kinds of differences
   */
  void compare(Scan scan, ObjectNode request, List<Answer> expected, List<Answer> got, String kind) throws IOException {
    Schema schema = scan.schema(made.table());
    Case one = new Case(scan, request, schema, Truth.Bound.of(schema, scan.filter(), scan.caseSensitive()));
    Map<String, Answer> ours = new TreeMap<>();
    for (Answer answer : got) {
      if (ours.put(answer.file().location(), answer) != null) {
        differs(one, kind + "file twice", answer.file().location());
      }
    }
    noRowIsLost(one, ours, kind);
    if (expected != null) {
      Map<String, Answer> theirs = expected.stream().collect(Collectors.toMap(answer -> answer.file().location(), answer -> answer, (a, b) -> a, TreeMap::new));
      compareFiles(one, theirs, ours, kind);
    }
    for (Answer answer : got) {
      compareResidual(one, answer, kind);
    }
  }

  /** Checks with the rows of all files of the snapshot, whatever Iceberg's library says. */
  private void noRowIsLost(Case one, Map<String, Answer> ours, String kind) throws IOException {
    for (Answer file : all(one.scan())) {
      if (!ours.containsKey(file.file().location()) && hasMatch(one, file.file())) {
        differs(one, kind + "rows lost", file.file().location());
      }
    }
  }

  private boolean hasMatch(Case one, DataFile file) {
    return made.contents().rows.get(file.location()).stream().anyMatch(row -> Truth.everyEngineMatches(one.filter(), row));
  }

  /** Returns whether a file that the scan could read has NaN in its partition. */
  boolean hasNanPartition(Scan scan) throws IOException {
    for (Answer answer : all(scan)) {
      StructLike partition = answer.file().partition();
      for (int position = 0; position < partition.size(); position++) {
        if (NaNUtil.isNaN(partition.get(position, Object.class))) {
          return true;
        }
      }
    }
    return false;
  }

  private List<Answer> all(Scan scan) throws IOException {
    List<Object> key = new ArrayList<>();
    key.add(scan.reference());
    key.add(scan.snapshotId());
    key.add(scan.start());
    key.add(scan.end());
    List<Answer> known = unfiltered.get(key);
    if (known == null) {
      Scan plain = new Scan(scan.reference(), scan.snapshotId(), scan.start(), scan.end(), Expressions.alwaysTrue(), null, true, null);
      known = new ArrayList<>();
      for (FileScanTask task : plain.plan(made.table())) {
        known.add(Answer.of(task));
      }
      unfiltered.put(key, known);
    }
    return known;
  }

  private void compareFiles(Case one, Map<String, Answer> theirs, Map<String, Answer> ours, String kind) {
    for (Answer answer : theirs.values()) {
      Answer mine = ours.get(answer.file().location());
      if (mine == null) {
        boolean isProved = !hasMatch(one, answer.file());
        differs(one, kind + (isProved ? "file pruned that Java keeps" : "file missing"), shown(answer.file()));
      } else {
        compareFields(one, answer.file(), mine.file(), kind);
        compareDeletes(one, answer, mine, kind);
      }
    }
    for (Answer mine : ours.values()) {
      if (!theirs.containsKey(mine.file().location())) {
        boolean isNeeded = hasMatch(one, mine.file());
        differs(one, kind + (isNeeded ? "file that Java loses" : kept(one)), shown(mine.file()));
      }
    }
  }

  private static String kept(Case one) {
    String filter = one.request().get("filter").toString();
    boolean hasUuid = Columns.leaves(one.schema()).stream().anyMatch(leaf -> leaf.type().typeId() == Type.TypeID.UUID && filter.toLowerCase(Locale.ROOT).contains("\"" + leaf.name().toLowerCase(Locale.ROOT) + "\""));
    return hasUuid ? "file kept for the order of UUIDs" : filter.contains("transform") ? "file kept for a transform" : "file kept that Java prunes";
  }

  private String shown(DataFile file) {
    PartitionSpec spec = made.table().specs().get(file.specId());
    return file.location() + " in " + spec.partitionToPath(file.partition()) + " of spec " + spec.specId();
  }

  private void compareDeletes(Case one, Answer theirs, Answer ours, String kind) {
    Map<String, DeleteFile> expected = byKey(theirs.deletes());
    Map<String, DeleteFile> got = byKey(ours.deletes());
    if (got.size() != ours.deletes().size()) {
      differs(one, kind + "delete twice", ours.file().location());
    }
    for (Map.Entry<String, DeleteFile> delete : expected.entrySet()) {
      DeleteFile mine = got.get(delete.getKey());
      if (mine != null) {
        compareFields(one, delete.getValue(), mine, kind);
        continue;
      }
      boolean isNeeded = deletesRows(one, delete.getValue(), ours.file());
      differs(one, kind + (isNeeded ? "delete missing" : "delete of other rows left out"), delete.getKey() + " for " + shown(ours.file()));
    }
    for (Map.Entry<String, DeleteFile> delete : got.entrySet()) {
      if (!expected.containsKey(delete.getKey())) {
        boolean isOfOthers = delete.getValue().content() == FileContent.EQUALITY_DELETES && noRowMatches(one, delete.getValue());
        differs(one, kind + (isOfOthers ? "delete of rows that the filter excludes" : "delete too many"), delete.getKey() + " for " + shown(ours.file()));
      }
    }
  }

  /** Returns whether a delete file names rows of a data file. */
  private boolean deletesRows(Case one, DeleteFile delete, DataFile file) {
    if (delete.content() == FileContent.POSITION_DELETES) {
      return made.contents().deletes.get(Contents.key(delete)).contains(file.location());
    }
    List<Row> deleted = made.contents().deletedRows.get(delete.location());
    return made.contents().rows.get(file.location()).stream()
        .anyMatch(row -> deleted.stream().anyMatch(other -> delete.equalityFieldIds().stream().allMatch(id -> isSame(one.schema(), id, row, other))));
  }

  private static boolean isSame(Schema schema, int id, Row one, Row other) {
    Types.NestedField field = schema.findField(id);
    // Without a field, the column is dropped: nothing is known of its values' form.
    return field == null || Objects.equals(one.valueOf(field), other.valueOf(field));
  }

  private boolean noRowMatches(Case one, DeleteFile delete) {
    return made.contents().deletedRows.get(delete.location()).stream().noneMatch(row -> Truth.everyEngineMatches(one.filter(), row));
  }

  private static Map<String, DeleteFile> byKey(List<DeleteFile> deletes) {
    return deletes.stream().collect(Collectors.toMap(Contents::key, delete -> delete, (a, b) -> a, TreeMap::new));
  }

  private void compareFields(Case one, ContentFile<?> theirs, ContentFile<?> ours, String kind) {
    Set<String> different = new TreeSet<>();
    check(different, "spec", theirs.specId(), ours.specId());
    check(different, "format", theirs.format(), ours.format());
    check(different, "content", theirs.content(), ours.content());
    check(different, "records", theirs.recordCount(), ours.recordCount());
    check(different, "size", theirs.fileSizeInBytes(), ours.fileSizeInBytes());
    check(different, "split offsets", theirs.splitOffsets(), ours.splitOffsets());
    check(different, "key metadata", theirs.keyMetadata(), ours.keyMetadata());
    check(different, "sort order", theirs.sortOrderId(), ours.sortOrderId());
    check(different, "first row id", theirs.firstRowId(), ours.firstRowId());
    check(different, "equality ids", theirs.equalityFieldIds(), ours.equalityFieldIds());
    if (theirs.specId() == ours.specId()) {
      PartitionSpec spec = made.table().specs().get(theirs.specId());
      if (Comparators.forType(spec.partitionType()).compare(theirs.partition(), ours.partition()) != 0) {
        different.add("partition: %s, not %s".formatted(ours.partition(), theirs.partition()));
      }
    }
    if (theirs instanceof DeleteFile expected && ours instanceof DeleteFile got) {
      check(different, "offset", expected.contentOffset(), got.contentOffset());
      check(different, "content size", expected.contentSizeInBytes(), got.contentSizeInBytes());
      check(different, "referenced file", expected.referencedDataFile(), got.referencedDataFile());
    } else {
      compareStatistics(one, different, theirs, ours);
    }
    different.forEach(what -> differs(one, kind + "field differs", what + " of " + ours.location()));
  }

  private void compareStatistics(Case one, Set<String> different, ContentFile<?> theirs, ContentFile<?> ours) {
    Set<Integer> wanted = one.scan().stats() == null ? Set.of() : ids(one);
    check(different, "column sizes", only(wanted, theirs.columnSizes()), only(null, ours.columnSizes()));
    check(different, "value counts", only(wanted, theirs.valueCounts()), only(null, ours.valueCounts()));
    check(different, "null counts", only(wanted, theirs.nullValueCounts()), only(null, ours.nullValueCounts()));
    check(different, "NaN counts", only(wanted, theirs.nanValueCounts()), only(null, ours.nanValueCounts()));
    check(different, "lower bounds", only(wanted, theirs.lowerBounds()), only(null, ours.lowerBounds()));
    check(different, "upper bounds", only(wanted, theirs.upperBounds()), only(null, ours.upperBounds()));
  }

  private static Set<Integer> ids(Case one) {
    return one.scan().stats().stream().map(name -> one.schema().findField(name).fieldId()).collect(Collectors.toSet());
  }

  /** Returns the statistics of some columns, or of all. Without any, absent and empty are the same. */
  private static <T> Map<Integer, T> only(Set<Integer> ids, Map<Integer, T> statistics) {
    Map<Integer, T> kept = new HashMap<>(statistics == null ? Map.of() : statistics);
    kept.keySet().removeIf(id -> ids != null && !ids.contains(id));
    return kept;
  }

  private static void check(Set<String> different, String what, Object theirs, Object ours) {
    if (!Objects.equals(theirs, ours)) {
      different.add("%s: %s, not %s".formatted(what, ours, theirs));
    }
  }

  /** Checks that the residual decides about the file's rows, and about others of its partition, as the filter does. */
  private void compareResidual(Case one, Answer answer, String kind) {
    Truth.Bound residual;
    try {
      residual = Truth.Bound.of(one.schema(), answer.residual(), one.scan().caseSensitive());
    } catch (RuntimeException error) {
      differs(one, kind + "residual unusable", answer.residual() + ": " + error.getMessage());
      return;
    }
    for (Row row : samples(answer.file())) {
      if (!Truth.agree(one.filter(), residual, row)) {
        differs(one, kind + "residual wrong", answer.residual() + " for " + shown(answer.file()));
        return;
      }
    }
  }

  private List<Row> samples(DataFile file) {
    List<Row> rows = new ArrayList<>(made.contents().rows.get(file.location()));
    Set<Integer> sources = new HashSet<>();
    made.table().specs().get(file.specId()).fields().forEach(field -> sources.add(field.sourceId()));
    for (int number = 0; number < SAMPLES; number++) {
      Row row = rows.get(number % rows.size()).copy();
      for (Columns.Leaf leaf : Columns.leaves(made.table().schema())) {
        // Structs that are null stay so: nested columns keep their values.
        if (!sources.contains(leaf.id()) && made.table().schema().asStruct().field(leaf.id()) != null) {
          row.set(leaf.id(), leaf.optional() && values.chance(0.1) ? null : values.next(leaf.type()));
        }
      }
      rows.add(row);
    }
    return rows;
  }
}
