package tidewater.planning;

import org.apache.iceberg.Schema;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.expressions.Binder;
import org.apache.iceberg.expressions.And;
import org.apache.iceberg.expressions.BoundPredicate;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.expressions.Or;
import org.apache.iceberg.util.NaNUtil;

/**
 * Decides whether rows match an expression. Engines disagree about two things: whether a null value matches "is not 5", and how NaN
 * compares.
 *
 * @param nullMatchesNegation whether a null value matches "is not"; it never does in SQL
 * @param nanIsLargest whether NaN is larger than all numbers, as in Spark; otherwise it matches only "is not"
 */
record Truth(boolean nullMatchesNegation, boolean nanIsLargest) {
  /** A row that matches under each of these rules matches for every engine. */
  static final Truth[] RULES = {new Truth(false, true), new Truth(false, false), new Truth(true, true), new Truth(true, false)};

  /** An expression for rows of a schema. */
  record Bound(Schema schema, Expression expression) {
    static Bound of(Schema schema, Expression expression, boolean caseSensitive) {
      return new Bound(schema, Binder.bind(schema.asStruct(), Expressions.rewriteNot(expression), caseSensitive));
    }
  }

  static boolean everyEngineMatches(Bound bound, Row row) {
    return java.util.Arrays.stream(RULES).allMatch(rule -> rule.matches(bound, row));
  }

  /** Returns whether two expressions decide the same about a row, at least by the rules of one engine. */
  static boolean agree(Bound one, Bound other, Row row) {
    return java.util.Arrays.stream(RULES).anyMatch(rule -> rule.matches(one, row) == rule.matches(other, row));
  }

  boolean matches(Bound bound, Row row) {
    return matches(bound.expression(), row.as(bound.schema().asStruct()));
  }

  private boolean matches(Expression expression, StructLike row) {
    return switch (expression.op()) {
      case TRUE -> true;
      case FALSE -> false;
      case AND -> matches(((And) expression).left(), row) && matches(((And) expression).right(), row);
      case OR -> matches(((Or) expression).left(), row) || matches(((Or) expression).right(), row);
      default -> test((BoundPredicate<?>) expression, row);
    };
  }

  private <T> boolean test(BoundPredicate<T> predicate, StructLike row) {
    T value = predicate.term().eval(row);
    if (predicate.isUnaryPredicate()) {
      return predicate.test(value);
    }
    boolean negates =
        switch (predicate.op()) {
          case NOT_EQ, NOT_IN, NOT_STARTS_WITH -> true;
          default -> false;
        };
    if (value == null) {
      return negates && nullMatchesNegation;
    }
    return NaNUtil.isNaN(value) && !nanIsLargest ? negates : predicate.test(value);
  }
}
