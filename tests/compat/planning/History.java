package tidewater.planning;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.apache.iceberg.AppendFiles;
import org.apache.iceberg.BaseTable;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.OverwriteFiles;
import org.apache.iceberg.PartitionField;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.RewriteFiles;
import org.apache.iceberg.RowDelta;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.UpdateSchema;
import org.apache.iceberg.exceptions.ValidationException;
import org.apache.iceberg.expressions.Literal;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;

/** Makes a table with a random history. The seed decides everything but the ids of snapshots and the names of metadata files. */
final class History {
  private final Values values;
  private final Contents contents;
  private final BaseTable table;
  private int named;

  /** Counts the steps by name; those that Iceberg refused have `refused` in it. */
  private final Map<String, Integer> steps = new TreeMap<>();

  private History(String folder, String name, long seed) {
    values = new Values(new Random(seed));
    int format = 1 + values.below(3);
    String location = folder + "/" + name;
    contents = new Contents(values, location);
    Schema schema = Columns.schema(values, format);
    Map<String, String> properties = new HashMap<>();
    properties.put("format-version", String.valueOf(format));
    // Some tables merge their manifests all the time, others never.
    properties.put("commit.manifest.min-count-to-merge", values.one("2", "4", "100"));
    properties.put("commit.manifest.target-size-bytes", values.one("9000", "8388608"));
    table = LocalTable.create(name, location, schema, Columns.spec(values, schema, format), properties);
  }

  /** A table and everything that is known of its rows. */
  record Made(BaseTable table, Contents contents, Map<String, Integer> steps) {}

  static Made make(String folder, String name, long seed) {
    History history = new History(folder, name, seed);
    history.step("append");
    for (int number = 4 + history.values.below(16); number > 0; number--) {
      history.step(history.choice());
    }
    return new Made(history.table, history.contents, history.steps);
  }

  private int format() {
    return table.operations().current().formatVersion();
  }

  private String choice() {
    List<String> fitting = new ArrayList<>(List.of("append", "append", "append", "spec", "schema", "delete", "overwrite", "rewrite", "manifests", "ref", "branch", "rollback", "properties"));
    if (format() > 1) {
      fitting.addAll(List.of("positions", "positions", "equality", "equality"));
    }
    if (format() < 3) {
      fitting.add("upgrade");
    }
    return values.one(fitting);
  }

  private void step(String name) {
    try {
      run(name);
      steps.merge(name, 1, Integer::sum);
    } catch (ValidationException | IllegalArgumentException | UnsupportedOperationException refusal) {
      // Random steps do not always fit the table, such as a second transform by day of a column.
      steps.merge("refused " + name, 1, Integer::sum);
    }
  }

  private void run(String name) {
    switch (name) {
      case "append" -> append(values.chance(0.5) ? table.newFastAppend() : table.newAppend());
      case "branch" -> branch();
      case "spec" -> changeSpec();
      case "schema" -> changeSchema();
      case "delete" -> delete();
      case "overwrite" -> overwrite();
      case "rewrite" -> rewrite();
      case "manifests" -> table.rewriteManifests().clusterBy(file -> values.below(2)).commit();
      case "ref" -> reference();
      case "rollback" -> rollBack();
      case "properties" -> table.updateProperties().set("commit.manifest.min-count-to-merge", values.one("2", "100")).commit();
      case "positions" -> positions();
      case "equality" -> equality();
      case "upgrade" -> upgrade();
      default -> throw new IllegalStateException(name);
    }
  }

  private void upgrade() {
    table.updateProperties().set("format-version", String.valueOf(format() + 1)).commit();
  }

  // ---- data ----

  private void append(AppendFiles append) {
    for (int number = 1 + values.below(6); number > 0; number--) {
      append.appendFile(contents.data(table.schema(), anySpec()));
    }
    append.commit();
  }

  /** Returns the current spec, sometimes an older one: writers that started earlier still use theirs. */
  private PartitionSpec anySpec() {
    List<PartitionSpec> usable = new ArrayList<>(table.specs().values());
    usable.removeIf(spec -> spec.fields().stream().anyMatch(field -> table.schema().findField(field.sourceId()) == null));
    return usable.isEmpty() || usable.contains(table.spec()) && values.chance(0.8) ? table.spec() : values.one(usable);
  }

  private void branch() {
    List<String> branches = table.refs().keySet().stream().filter(name -> name.startsWith("branch")).sorted().toList();
    if (branches.isEmpty()) {
      reference();
    } else {
      append(table.newFastAppend().toBranch(values.one(branches)));
    }
  }

  private List<FileScanTask> live() {
    try (CloseableIterable<FileScanTask> tasks = table.newScan().planFiles()) {
      List<FileScanTask> live = new ArrayList<>();
      tasks.forEach(live::add);
      // Planning runs in several threads, and each run of the seed shall choose the same files.
      live.sort((one, other) -> one.file().location().compareTo(other.file().location()));
      return live;
    } catch (java.io.IOException error) {
      throw new java.io.UncheckedIOException(error);
    }
  }

  private void delete() {
    List<FileScanTask> live = live();
    table.newDelete().deleteFile(values.one(live).file()).commit();
  }

  private void overwrite() {
    OverwriteFiles overwrite = table.newOverwrite().deleteFile(values.one(live()).file());
    overwrite.addFile(contents.data(table.schema(), anySpec())).commit();
  }

  /** Rewrites a file with the rows of itself and of another one in its partition, with the older sequence number. */
  private void rewrite() {
    List<FileScanTask> live = live();
    DataFile first = values.one(live).file();
    List<DataFile> together = new ArrayList<>(List.of(first));
    live.stream().map(FileScanTask::file)
        .filter(file -> file.specId() == first.specId() && file.partition().equals(first.partition()) && file != first)
        .findFirst().ifPresent(together::add);
    PartitionSpec spec = table.specs().get(first.specId());
    List<Row> rows = together.stream().flatMap(file -> contents.rows.get(file.location()).stream()).toList();
    RewriteFiles rewrite = table.newRewrite().validateFromSnapshot(table.currentSnapshot().snapshotId());
    together.forEach(rewrite::deleteFile);
    rewrite.addFile(contents.data(table.schema(), spec, rows));
    if (format() > 1) {
      rewrite.dataSequenceNumber(together.stream().mapToLong(DataFile::dataSequenceNumber).min().orElse(0));
    }
    rewrite.commit();
  }

  // ---- deletes ----

  private void positions() {
    List<FileScanTask> live = live();
    RowDelta delta = table.newRowDelta();
    if (format() > 2) {
      vectors(live, delta);
    } else {
      DataFile target = values.one(live).file();
      List<DataFile> of = new ArrayList<>(List.of(target));
      live.stream().map(FileScanTask::file)
          .filter(file -> file.specId() == target.specId() && file.partition().equals(target.partition()) && file != target)
          .filter(file -> values.chance(0.4)).forEach(of::add);
      delta.addDeletes(contents.positions(table.specs().get(target.specId()), of));
    }
    if (values.chance(0.3)) {
      // Rows of the same commit are not deleted by equality, but they are by position.
      delta.addRows(contents.data(table.schema(), table.spec()));
    }
    delta.commit();
  }

  private void vectors(List<FileScanTask> live, RowDelta delta) {
    // Otherwise the commit would take each older vector for one of a concurrent writer.
    delta.validateFromSnapshot(table.currentSnapshot().snapshotId());
    Set<DataFile> of = new LinkedHashSet<>();
    for (int number = 1 + values.below(3); number > 0; number--) {
      FileScanTask task = values.one(live);
      if (of.add(task.file())) {
        // A data file has at most one vector, which replaces the one before and older position deletes.
        for (DeleteFile old : task.deletes()) {
          if (old.format() == FileFormat.PUFFIN) {
            delta.removeDeletes(old);
          }
        }
      }
    }
    contents.vectors(table.specs(), new ArrayList<>(of)).forEach(delta::addDeletes);
  }

  private void equality() {
    PartitionSpec spec = anySpec();
    if (values.chance(0.4)) {
      spec = table.specs().values().stream().filter(PartitionSpec::isUnpartitioned).findFirst().orElse(spec);
    }
    List<Row> rows = new ArrayList<>(List.of(contents.row(table.schema())));
    RowDelta delta = table.newRowDelta();
    if (values.chance(0.7)) {
      // Rows that exist, so that partitions and bounds meet.
      FileScanTask task = values.one(live());
      rows.set(0, contents.rows.get(task.file().location()).get(0));
    }
    delta.addDeletes(contents.equality(table.schema(), spec, Contents.complete(table.schema(), rows)));
    if (values.chance(0.4)) {
      delta.addRows(contents.data(table.schema(), anySpec()));
    }
    delta.commit();
  }

  // ---- references ----

  private void reference() {
    named++;
    List<Long> ids = new ArrayList<>();
    table.snapshots().forEach(snapshot -> ids.add(snapshot.snapshotId()));
    if (values.chance(0.5)) {
      table.manageSnapshots().createBranch("branch" + named, values.one(ids)).commit();
    } else {
      table.manageSnapshots().createTag("tag" + named, values.one(ids)).commit();
    }
  }

  private void rollBack() {
    Snapshot current = table.currentSnapshot();
    if (current != null && current.parentId() != null && values.chance(0.5)) {
      table.manageSnapshots().rollbackTo(current.parentId()).commit();
    }
  }

  // ---- evolution ----

  private void changeSpec() {
    List<PartitionField> fields = table.spec().fields();
    named++;
    if (!fields.isEmpty() && values.chance(0.5)) {
      String name = values.one(fields).name();
      if (values.chance(0.3)) {
        table.updateSpec().renameField(name, "r" + named).commit();
      } else {
        table.updateSpec().removeField(name).commit();
      }
    } else {
      table.updateSpec().addField("q" + named, Columns.term(values, values.one(Columns.leaves(table.schema())))).commit();
    }
  }

  private void changeSchema() {
    named++;
    List<Columns.Leaf> leaves = Columns.leaves(table.schema());
    Columns.Leaf leaf = values.one(leaves);
    UpdateSchema update = table.updateSchema();
    switch (values.below(6)) {
      case 0 -> update.renameColumn(leaf.name(), "n" + named);
      case 1 -> update.deleteColumn(leaf.name());
      case 2 -> addColumn(update);
      case 3 -> widen(update, leaves);
      case 4 -> {
        if (!leaf.optional()) {
          update.makeColumnOptional(leaf.name());
        }
        update.moveFirst(leaf.name());
      }
      default -> swapNames(update, leaf, values.one(leaves));
    }
    update.commit();
  }

  private void addColumn(UpdateSchema update) {
    Type type = values.one(Columns.types(format()));
    String name = "a" + named;
    if (table.schema().findField("st") != null && table.schema().findField("st").type().isStructType() && values.chance(0.3)) {
      update.addColumn("st", name, type);
    } else if (format() > 2 && values.chance(0.6)) {
      Object initial = values.next(Types.IntegerType.get());
      update.addColumn(name, Types.IntegerType.get(), Literal.of((Integer) initial));
    } else {
      update.addColumn(name, type);
    }
  }

  private void widen(UpdateSchema update, List<Columns.Leaf> leaves) {
    for (Columns.Leaf leaf : leaves) {
      switch (leaf.type().typeId()) {
        case INTEGER -> update.updateColumn(leaf.name(), Types.LongType.get());
        case FLOAT -> update.updateColumn(leaf.name(), Types.DoubleType.get());
        case DECIMAL -> {
          Types.DecimalType type = (Types.DecimalType) leaf.type();
          update.updateColumn(leaf.name(), Types.DecimalType.of(38, type.scale()));
        }
        default -> {}
      }
    }
  }

  /** Gives one column's name to another, so that a name means another column in older schemas. */
  private void swapNames(UpdateSchema update, Columns.Leaf one, Columns.Leaf other) {
    if (one.id() == other.id() || one.name().contains("st.") || other.name().contains("st.")) {
      update.renameColumn(one.name(), "n" + named);
    } else {
      update.renameColumn(one.name(), other.name()).renameColumn(other.name(), one.name());
    }
  }
}
