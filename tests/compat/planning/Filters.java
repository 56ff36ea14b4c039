package tidewater.planning;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.apache.iceberg.Schema;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expression.Operation;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.expressions.UnboundTerm;
import org.apache.iceberg.transforms.Transforms;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.util.NaNUtil;

/** Random filters over the columns of a schema, with literals that are values of rows, or beside them. */
final class Filters {
  private static final Operation[] COMPARISONS = {
    Operation.LT, Operation.LT_EQ, Operation.GT, Operation.GT_EQ, Operation.EQ, Operation.NOT_EQ
  };

  private final Values values;
  private final Schema schema;
  private final List<Columns.Leaf> leaves;
  private final List<Integer> sources;
  private final List<Row> rows;
  private final boolean caseSensitive;

  /** {@code sources} are the ids of partition columns, which filters name more often. */
  Filters(Values values, Schema schema, List<Integer> sources, List<Row> rows, boolean caseSensitive) {
    this.values = values;
    this.schema = schema;
    this.leaves = Columns.leaves(schema);
    this.sources = sources;
    this.rows = rows;
    this.caseSensitive = caseSensitive;
  }

  Expression tree(int depth) {
    if (depth == 0 || values.chance(0.3)) {
      return predicate();
    }
    return switch (values.below(5)) {
      case 0 -> Expressions.not(tree(depth - 1));
      case 1, 2 -> Expressions.or(tree(depth - 1), tree(depth - 1));
      default -> Expressions.and(tree(depth - 1), tree(depth - 1));
    };
  }

  private Expression predicate() {
    Columns.Leaf leaf = values.one(leaves);
    if (!sources.isEmpty() && values.chance(0.5)) {
      int id = values.one(sources);
      leaf = leaves.stream().filter(one -> one.id() == id).findFirst().orElse(leaf);
    }
    List<String> transforms = Columns.transforms(leaf.type());
    if (transforms.size() > 1 && values.chance(0.06)) {
      return transformed(leaf, transforms.get(1 + values.below(transforms.size() - 1)));
    }
    String name = name(leaf);
    boolean floating = leaf.type().typeId() == Type.TypeID.FLOAT || leaf.type().typeId() == Type.TypeID.DOUBLE;
    return switch (values.below(10)) {
      case 0 -> Expressions.isNull(name);
      case 1 -> Expressions.notNull(name);
      case 2 -> floating ? values.chance(0.5) ? Expressions.isNaN(name) : Expressions.notNaN(name) : comparison(name, leaf);
      case 3 -> set(name, leaf);
      case 4 -> leaf.type().typeId() == Type.TypeID.STRING ? prefix(name, leaf) : comparison(name, leaf);
      default -> comparison(name, leaf);
    };
  }

  private String name(Columns.Leaf leaf) {
    if (caseSensitive) {
      return leaf.name();
    }
    return values.chance(0.5) ? leaf.name().toUpperCase(Locale.ROOT) : leaf.name().toLowerCase(Locale.ROOT);
  }

  private Expression comparison(String name, Columns.Leaf leaf) {
    return Expressions.predicate(values.one(COMPARISONS), name, literal(leaf));
  }

  private Expression set(String name, Columns.Leaf leaf) {
    // The Java client writes no sets of bytes that a server can read.
    if (leaf.type().typeId() == Type.TypeID.BINARY || leaf.type().typeId() == Type.TypeID.FIXED) {
      return comparison(name, leaf);
    }
    List<Object> of = new ArrayList<>();
    for (int number = 1 + values.below(4); number > 0; number--) {
      of.add(literal(leaf));
    }
    // The forms of a literal do not mix in one set.
    of.removeIf(one -> one.getClass() != of.get(0).getClass());
    return Expressions.predicate(values.chance(0.6) ? Operation.IN : Operation.NOT_IN, name, of);
  }

  private Expression prefix(String name, Columns.Leaf leaf) {
    String text = (String) literal(leaf);
    String prefix = text.isEmpty() ? "a" : text.substring(0, text.offsetByCodePoints(0, 1));
    return values.chance(0.6) ? Expressions.startsWith(name, prefix) : Expressions.notStartsWith(name, prefix);
  }

  /** Returns a predicate over a transform, such as Spark sends for its functions of partitions. */
  private Expression transformed(Columns.Leaf leaf, String transform) {
    Columns.Leaf named = new Columns.Leaf(leaf.id(), name(leaf), leaf.type(), leaf.optional());
    @SuppressWarnings("unchecked") // The literal is of the term's type, which only the transform knows.
    UnboundTerm<Object> term = (UnboundTerm<Object>) (UnboundTerm<?>) Columns.term(values, named, transform);
    Object literal =
        switch (transform) {
          case "bucket" -> values.below(5);
          case "truncate" -> literal(leaf);
          case "year" -> 50 + values.below(8);
          case "month" -> 640 + values.below(20);
          case "day" -> 19_700 + values.below(60);
          default -> 19_700 * 24 + values.below(1_440);
        };
    return switch (values.below(4)) {
      case 0 -> Expressions.lessThan(term, literal);
      case 1 -> Expressions.greaterThanOrEqual(term, literal);
      case 2 -> Expressions.notEqual(term, literal);
      default -> Expressions.equal(term, literal);
    };
  }

  private Object literal(Columns.Leaf leaf) {
    Object value = values.one(rows).valueOf(schema.findField(leaf.id()));
    value = value == null ? values.next(leaf.type()) : values.near(leaf.type(), value);
    if (value instanceof Float number && (NaNUtil.isNaN(number) || Float.isInfinite(number))) {
      return 1.5f;
    }
    if (value instanceof Double number && (NaNUtil.isNaN(number) || Double.isInfinite(number))) {
      return 1.5d;
    }
    return switch (leaf.type().typeId()) {
      case DATE, TIME, TIMESTAMP -> values.chance(0.3) ? text(leaf.type(), value) : value;
      // The client sends microseconds for nanoseconds too.
      case TIMESTAMP_NANO -> Math.floorDiv((Long) value, 1_000L);
      case FLOAT -> ((Number) value).floatValue();
      default -> value;
    };
  }

  private static String text(Type type, Object value) {
    return Transforms.identity().toHumanString(type, value);
  }
}
