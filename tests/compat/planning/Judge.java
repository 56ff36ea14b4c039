package tidewater.planning;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.apache.iceberg.ContentFile;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileContent;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.expressions.ResidualEvaluator;
import org.apache.iceberg.types.Comparators;
import org.apache.iceberg.types.Types;
import org.apache.iceberg.util.NaNUtil;

/** Compares a server's plans of one table with Iceberg's own, and with the rows that the files have. */
final class Judge {
  private static final int SAMPLES = 4;

  /** What precedes the kinds of differences. */
  private static final String WIRE = "wire: ";
  private static final String CLIENT = "client: ";

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
  private record Case(Scan scan, ObjectNode request, Schema schema, Truth.Bound filter) {
    boolean hasTransform() {
      return request.get("filter").findValue("transform") != null;
    }
  }

  private Case of(Scan scan, ObjectNode request) {
    Schema schema = scan.schema(made.table());
    return new Case(scan, request, schema, Truth.Bound.of(schema, scan.filter(), scan.caseSensitive()));
  }

  private Reasons reasons(Case one) {
    return new Reasons(made.table(), one.scan(), one.schema());
  }

  private void differs(Case one, String kind, String detail) {
    report.differs(kind, made.table().name(), one.request(), detail);
  }

  /**
   * Compares a server's answer as it is on the wire.
   *
   * @param expected the plan of Iceberg's library, or null where it fails: then only the rows decide
   */
  void compare(Scan scan, ObjectNode request, List<Answer> expected, List<Answer> got) throws IOException {
    Case one = of(scan, request);
    Map<String, Answer> ours = byLocation(one, got, WIRE);
    noRowIsLost(one, ours);
    if (expected != null) {
      compareFiles(one, byLocation(one, expected, "library: "), ours);
    }
    for (Answer answer : got) {
      compareResidual(one, answer);
    }
  }

  /** Compares what the REST client has read with the answer on the wire. The client simplifies residuals by its own rules. */
  void compareClient(Scan scan, ObjectNode request, List<Answer> wire, List<Answer> got) {
    Case one = of(scan, request);
    Map<String, Answer> sent = byLocation(one, wire, WIRE);
    Map<String, Answer> read = byLocation(one, got, CLIENT);
    if (!sent.keySet().equals(read.keySet())) {
      differs(one, CLIENT + "other files than on the wire", "%s, not %s".formatted(read.keySet(), sent.keySet()));
      return;
    }
    for (Answer answer : sent.values()) {
      Answer mine = read.get(answer.file().location());
      compareFields(one, answer.file(), mine.file(), CLIENT);
      Map<String, DeleteFile> deletes = byKey(mine.deletes());
      if (!deletes.keySet().equals(byKey(answer.deletes()).keySet())) {
        differs(one, CLIENT + "other deletes than on the wire", shown(answer.file()));
        continue;
      }
      byKey(answer.deletes()).forEach((key, delete) -> compareFields(one, delete, deletes.get(key), CLIENT));
      PartitionSpec spec = made.table().specs().get(answer.file().specId());
      Expression simplified = ResidualEvaluator.of(spec, answer.residual(), scan.caseSensitive()).residualFor(mine.file().partition());
      if (!simplified.toString().equals(mine.residual().toString())) {
        differs(one, CLIENT + "other residual than on the wire", "%s, not %s".formatted(mine.residual(), simplified));
      }
    }
  }

  /** Returns whether the REST client cannot read the answer because it looks for the names of an older schema in the current one. */
  boolean hasOtherNames(Scan scan, ObjectNode request) {
    return reasons(of(scan, request)).hasOtherNames();
  }

  private Map<String, Answer> byLocation(Case one, List<Answer> answers, String kind) {
    Map<String, Answer> files = new TreeMap<>();
    for (Answer answer : answers) {
      if (files.put(answer.file().location(), answer) != null) {
        differs(one, kind + "file twice", answer.file().location());
      }
    }
    return files;
  }

  /** Checks with the rows of all files of the snapshot, whatever Iceberg's library says. */
  private void noRowIsLost(Case one, Map<String, Answer> ours) throws IOException {
    for (Answer file : all(one.scan())) {
      if (!ours.containsKey(file.file().location()) && has(file.file(), row -> Truth.mustBeRead(one.filter(), row))) {
        differs(one, WIRE + "rows lost", shown(file.file()));
      }
    }
  }

  private boolean has(DataFile file, Predicate<Row> wanted) {
    return made.contents().rows.get(file.location()).stream().anyMatch(wanted);
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

  private void compareFiles(Case one, Map<String, Answer> theirs, Map<String, Answer> ours) throws IOException {
    for (Answer answer : theirs.values()) {
      Answer mine = ours.get(answer.file().location());
      if (mine == null) {
        boolean isProved = !has(answer.file(), row -> Truth.mustBeRead(one.filter(), row));
        differs(one, WIRE + (isProved ? "file pruned that Java keeps" : "file missing"), shown(answer.file()));
      } else {
        compareFields(one, answer.file(), mine.file(), WIRE);
        compareDeletes(one, answer, mine);
      }
    }
    for (Answer mine : ours.values()) {
      if (!theirs.containsKey(mine.file().location())) {
        differs(one, WIRE + kept(one, mine.file()), shown(mine.file()));
      }
    }
  }

  /** Returns why a file is kept that the library prunes. */
  private String kept(Case one, DataFile file) throws IOException {
    if (has(file, row -> Truth.everyEngineMatches(one.filter(), row))) {
      return one.hasTransform() ? "file that Java loses for a transform" : "file that Java loses";
    }
    if (has(file, row -> Truth.someEngineMatches(one.filter(), row))) {
      return "file that Java loses for some engines";
    }
    return reasons(one).kept(file.location());
  }

  private String shown(DataFile file) {
    PartitionSpec spec = made.table().specs().get(file.specId());
    return file.location() + " in " + spec.partitionToPath(file.partition()) + " of spec " + spec.specId();
  }

  private void compareDeletes(Case one, Answer theirs, Answer ours) {
    Map<String, DeleteFile> expected = byKey(theirs.deletes());
    Map<String, DeleteFile> got = byKey(ours.deletes());
    if (got.size() != ours.deletes().size()) {
      differs(one, WIRE + "delete twice", ours.file().location());
    }
    for (Map.Entry<String, DeleteFile> delete : expected.entrySet()) {
      DeleteFile mine = got.get(delete.getKey());
      if (mine != null) {
        compareFields(one, delete.getValue(), mine, WIRE);
        continue;
      }
      boolean isNeeded = deletesRows(one, delete.getValue(), ours.file());
      differs(one, WIRE + (isNeeded ? "delete missing" : "delete of other rows left out"), delete.getKey() + " for " + shown(ours.file()));
    }
    for (Map.Entry<String, DeleteFile> delete : got.entrySet()) {
      if (!expected.containsKey(delete.getKey())) {
        differs(one, WIRE + tooMany(one, delete.getValue(), ours.file()), delete.getKey() + " for " + shown(ours.file()));
      }
    }
  }

  /** Returns why a data file has a delete file that it does not have for the library. */
  private String tooMany(Case one, DeleteFile delete, DataFile file) {
    if (delete.content() == FileContent.EQUALITY_DELETES && noRowMatches(one, delete)) {
      return "delete of rows that the filter excludes";
    }
    if (deletesRows(one, delete, file)) {
      return "delete too many";
    }
    if (reasons(one).comparesUuids(delete)) {
      return "delete kept for the order of UUIDs";
    }
    return reasons(one).comparesRequired(delete) ? "delete kept for an unknown number of nulls" : "delete too many";
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
    return made.contents().deletedRows.get(delete.location()).stream().noneMatch(row -> Truth.someEngineMatches(one.filter(), row));
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
      if (!isSamePartition(spec, theirs.partition(), ours.partition())) {
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

  private static boolean isSamePartition(PartitionSpec spec, StructLike one, StructLike other) {
    try {
      return Comparators.forType(spec.partitionType()).compare(one, other) == 0;
    } catch (IllegalArgumentException promoted) {
      // The library has values as they were before their column was promoted, and does not compare those.
      return one.toString().equals(other.toString());
    }
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
  private void compareResidual(Case one, Answer answer) {
    Truth.Bound residual;
    try {
      residual = Truth.Bound.of(one.schema(), answer.residual(), one.scan().caseSensitive());
    } catch (RuntimeException error) {
      differs(one, WIRE + "residual unusable", answer.residual() + ": " + error.getMessage());
      return;
    }
    for (Row row : samples(one, answer.file())) {
      if (!Truth.agree(one.filter(), residual, row)) {
        differs(one, WIRE + "residual wrong", answer.residual() + " for " + shown(answer.file()));
        return;
      }
    }
  }

  private List<Row> samples(Case one, DataFile file) {
    List<Row> rows = new ArrayList<>(made.contents().rows.get(file.location()));
    Set<Integer> sources = new HashSet<>();
    made.table().specs().get(file.specId()).fields().forEach(field -> sources.add(field.sourceId()));
    for (int number = 0; number < SAMPLES; number++) {
      Row row = rows.get(number % rows.size()).copy();
      // Values of the scan's schema: a column of an older one may have another type by now.
      for (Columns.Leaf leaf : Columns.leaves(one.schema())) {
        // Structs that are null stay so: nested columns keep their values.
        if (!sources.contains(leaf.id()) && one.schema().asStruct().field(leaf.id()) != null) {
          row.set(leaf.id(), leaf.optional() && values.chance(0.1) ? null : values.next(leaf.type()));
        }
      }
      rows.add(row);
    }
    return rows;
  }
}
