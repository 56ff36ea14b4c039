package tidewater.planning;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.StreamSupport;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.IncrementalAppendScan;
import org.apache.iceberg.PartitionField;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableScan;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.ExpressionParser;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.util.SnapshotUtil;

/**
 * One scan of a table: as a scan of Iceberg's library, and as the body of a request.
 *
 * @param reference a branch or a tag; null for none
 * @param snapshotId a point in time; null for none
 * @param start the first snapshot of an incremental scan, which is not part of it; null for other scans
 * @param end the last snapshot of an incremental scan
 * @param select the columns; null for all
 * @param stats the columns whose statistics are wanted; null for none
 */
record Scan(
    String reference, Long snapshotId, Long start, Long end, Expression filter, List<String> select, boolean caseSensitive,
    List<String> stats) {
  private static final ObjectMapper JSON = new ObjectMapper();

  static Scan random(Values values, History.Made made) {
    Table table = made.table();
    boolean caseSensitive = values.chance(0.85);
    String reference = null;
    Long snapshotId = null;
    List<Snapshot> snapshots = StreamSupport.stream(table.snapshots().spliterator(), false).toList();
    List<String> references = table.refs().keySet().stream().filter(name -> !name.equals("main")).sorted().toList();
    if (values.chance(0.12) && !references.isEmpty()) {
      reference = values.one(references);
    } else if (values.chance(0.15)) {
      snapshotId = values.one(snapshots).snapshotId();
    } else if (values.chance(0.1)) {
      Snapshot end = values.one(snapshots);
      List<Long> ancestors = new ArrayList<>();
      SnapshotUtil.ancestorsOf(end.snapshotId(), table::snapshot).forEach(one -> ancestors.add(one.snapshotId()));
      Expression filter = filter(values, made, table.schema(), caseSensitive);
      return new Scan(null, null, values.one(ancestors), end.snapshotId(), filter, null, caseSensitive, null);
    }
    Scan plain = new Scan(reference, snapshotId, null, null, null, null, caseSensitive, null);
    Schema schema = plain.schema(table);
    List<String> names = Columns.leaves(schema).stream().map(Columns.Leaf::name).toList();
    List<String> select = values.chance(0.3) ? names.stream().filter(name -> values.chance(0.4)).toList() : null;
    // The client cannot name statistics of columns that are not selected: it would send null.
    List<String> of = select == null ? names : select;
    List<String> stats = values.chance(0.2) ? of.stream().filter(name -> values.chance(0.5)).toList() : null;
    return new Scan(reference, snapshotId, null, null, filter(values, made, schema, caseSensitive), select, caseSensitive, stats);
  }

  private static Expression filter(Values values, History.Made made, Schema schema, boolean caseSensitive) {
    if (values.chance(0.08)) {
      return Expressions.alwaysTrue();
    }
    List<Integer> sources = made.table().specs().values().stream().flatMap(spec -> spec.fields().stream()).map(PartitionField::sourceId).toList();
    List<Row> rows = made.contents().rows.entrySet().stream().sorted(java.util.Map.Entry.comparingByKey()).flatMap(entry -> entry.getValue().stream()).toList();
    return new Filters(values, schema, sources, rows, caseSensitive).tree(values.below(4));
  }

  /** Returns the same scan with another filter. */
  Scan with(Expression other) {
    return new Scan(reference, snapshotId, start, end, other, select, caseSensitive, stats);
  }

  boolean isIncremental() {
    return start != null;
  }

  /** Returns the schema that names in the scan are of. */
  Schema schema(Table table) {
    if (snapshotId != null) {
      return SnapshotUtil.schemaFor(table, snapshotId);
    }
    return reference == null ? table.schema() : SnapshotUtil.schemaFor(table, reference);
  }

  private Long snapshot(Table table) {
    return reference == null ? snapshotId : Long.valueOf(table.refs().get(reference).snapshotId());
  }

  /** Plans with Iceberg's library. A table of the REST client lets the server plan. */
  List<FileScanTask> plan(Table table) throws IOException {
    try (CloseableIterable<FileScanTask> tasks = isIncremental() ? increment(table).planFiles() : point(table).planFiles()) {
      List<FileScanTask> planned = new ArrayList<>();
      tasks.forEach(planned::add);
      return planned;
    }
  }

  private IncrementalAppendScan increment(Table table) {
    return table.newIncrementalAppendScan().fromSnapshotExclusive(start).toSnapshot(end).filter(filter).caseSensitive(caseSensitive);
  }

  private TableScan point(Table table) {
    TableScan scan = table.newScan();
    scan = reference == null ? scan : scan.useRef(reference);
    scan = snapshotId == null ? scan : scan.useSnapshot(snapshotId);
    scan = scan.caseSensitive(caseSensitive).filter(filter);
    scan = select == null ? scan : scan.select(select);
    return stats == null ? scan : scan.includeColumnStats(stats);
  }

  /** Returns the body of the request. */
  ObjectNode request(Table table) throws IOException {
    ObjectNode body = JSON.createObjectNode();
    if (isIncremental()) {
      body.put("start-snapshot-id", start).put("end-snapshot-id", end);
    } else if (snapshot(table) != null) {
      body.put("snapshot-id", snapshot(table));
      body.put("use-snapshot-schema", snapshotId != null || table.refs().get(reference).isTag());
    }
    body.set("filter", JSON.readTree(ExpressionParser.toJson(filter)));
    body.put("case-sensitive", caseSensitive);
    if (select != null) {
      select.forEach(body.putArray("select")::add);
    }
    if (stats != null) {
      stats.forEach(body.putArray("stats-fields")::add);
    }
    return body;
  }
}
