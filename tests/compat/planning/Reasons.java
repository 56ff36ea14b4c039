package tidewater.planning;

import java.io.IOException;
import java.util.HashSet;
import java.util.Set;
import java.util.function.Predicate;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileContent;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expression.Operation;
import org.apache.iceberg.expressions.ExpressionVisitors;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.expressions.UnboundPredicate;
import org.apache.iceberg.expressions.UnboundTransform;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;

/** Finds out why a server's plan differs from that of Iceberg's library, by tests that only the named reason passes. */
final class Reasons {
  private final Table table;
  private final Scan scan;
  private final Schema schema;

  /** {@code schema} is that of the names in the scan. */
  Reasons(Table table, Scan scan, Schema schema) {
    this.table = table;
    this.scan = scan;
    this.schema = schema;
  }

  /**
   * Returns why a file is kept that the library prunes although none of its rows match: because of some predicates, if the library keeps
   * the file too once they are true.
   */
  String kept(String location) throws IOException {
    Predicate<UnboundPredicate<?>> uuids = predicate -> predicate.literals() != null && type(predicate) == Type.TypeID.UUID;
    Predicate<UnboundPredicate<?>> transforms = predicate -> predicate.term() instanceof UnboundTransform;
    Predicate<UnboundPredicate<?>> aboveNumbers = predicate ->
        (predicate.op() == Operation.GT || predicate.op() == Operation.GT_EQ)
            && Set.of(Type.TypeID.FLOAT, Type.TypeID.DOUBLE).contains(type(predicate));
    if (keeps(location, aboveNumbers)) {
      return "file kept for NaN";
    }
    if (keeps(location, uuids)) {
      return "file kept for the order of UUIDs";
    }
    if (keeps(location, transforms)) {
      return "file kept for a transform";
    }
    return keeps(location, uuids.or(transforms)) ? "file kept for the order of UUIDs and a transform" : "file kept that Java prunes";
  }

  private boolean keeps(String location, Predicate<UnboundPredicate<?>> taken) throws IOException {
    for (FileScanTask task : scan.with(ExpressionVisitors.visit(Expressions.rewriteNot(scan.filter()), new Weakened(taken))).plan(table)) {
      if (task.file().location().equals(location)) {
        return true;
      }
    }
    return false;
  }

  private Type.TypeID type(UnboundPredicate<?> predicate) {
    return find(schema, predicate.ref().name()).type().typeId();
  }

  private Types.NestedField find(Schema in, String name) {
    return scan.caseSensitive() ? in.findField(name) : in.caseInsensitiveFindField(name);
  }

  /** Returns whether an equality delete compares UUIDs: then the server does not compare the bounds of both files. */
  boolean comparesUuids(DeleteFile delete) {
    return delete.content() == FileContent.EQUALITY_DELETES
        && delete.equalityFieldIds().stream().map(schema::findField).anyMatch(field -> field != null && field.type().typeId() == Type.TypeID.UUID);
  }

  /**
   * Returns whether an equality delete compares a required column. Without a count of its nulls, the library relies on the schema, and the server
   * does not: it keeps the delete.
   */
  boolean comparesRequired(DeleteFile delete) {
    return delete.content() == FileContent.EQUALITY_DELETES
        && delete.equalityFieldIds().stream().map(schema::findField).anyMatch(field -> field != null && field.isRequired());
  }

  /** Returns whether a name of the filter is that of another column, or of none, in the table's current schema. */
  boolean hasOtherNames() {
    Set<String> names = new HashSet<>();
    ExpressionVisitors.visit(Expressions.rewriteNot(scan.filter()), new Weakened(predicate -> names.add(predicate.ref().name())));
    return names.stream().anyMatch(name -> {
      Types.NestedField own = find(schema, name);
      Types.NestedField current = find(table.schema(), name);
      return current == null || current.fieldId() != own.fieldId() || !current.type().equals(own.type());
    });
  }

  /** Makes some predicates true. The expression has no negation, so it only becomes weaker. */
  private static final class Weakened extends ExpressionVisitors.ExpressionVisitor<Expression> {
    private final Predicate<UnboundPredicate<?>> taken;

    Weakened(Predicate<UnboundPredicate<?>> taken) {
      this.taken = taken;
    }

    @Override
    public Expression alwaysTrue() {
      return Expressions.alwaysTrue();
    }

    @Override
    public Expression alwaysFalse() {
      return Expressions.alwaysFalse();
    }

    @Override
    public Expression and(Expression left, Expression right) {
      return Expressions.and(left, right);
    }

    @Override
    public Expression or(Expression left, Expression right) {
      return Expressions.or(left, right);
    }

    @Override
    public <T> Expression predicate(UnboundPredicate<T> predicate) {
      return taken.test(predicate) ? Expressions.alwaysTrue() : predicate;
    }
  }
}
