package tidewater.planning;

import java.util.List;
import java.util.stream.IntStream;
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
 * Decides whether rows match an expression. Engines disagree about three things: whether a null value matches "is not 5", how NaN
 * compares, and whether -0.0 is equal to 0.0.
 *
 * @param nullMatchesNegation whether a null value matches "is not"; it never does in SQL
 * @param nanIsLargest whether NaN is larger than all numbers, as in Spark; otherwise it matches only "is not"
 * @param zerosAreEqual whether -0.0 is equal to 0.0, as in SQL; for Iceberg's library it is less
 */
record Truth(boolean nullMatchesNegation, boolean nanIsLargest, boolean zerosAreEqual) {
  /** The rules of all engines. */
  private static final List<Truth> RULES =
      IntStream.range(0, 8).mapToObj(bits -> new Truth((bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0)).toList();

  /** An expression for rows of a schema. */
  record Bound(Schema schema, Expression expression) {
    static Bound of(Schema schema, Expression expression, boolean caseSensitive) {
      return new Bound(schema, Binder.bind(schema.asStruct(), Expressions.rewriteNot(expression), caseSensitive));
    }
  }

  static boolean everyEngineMatches(Bound bound, Row row) {
    return RULES.stream().allMatch(rule -> rule.matches(bound, row));
  }

  static boolean someEngineMatches(Bound bound, Row row) {
    return RULES.stream().anyMatch(rule -> rule.matches(bound, row));
  }

  /**
   * Returns whether a plan without the row is wrong: the row matches for some engine. If files have no counts of NaN, the specification
   * lets planners take NaN as larger than nothing, so that NaN alone does not count.
   */
  static boolean mustBeRead(Bound bound, Row row) {
    return RULES.stream().anyMatch(rule -> rule.matches(bound, row) && rule.withOtherNan().matches(bound, row));
  }

  /** Returns whether two expressions decide the same about a row for every engine. */
  static boolean agree(Bound one, Bound other, Row row) {
    return RULES.stream().allMatch(rule -> rule.matches(one, row) == rule.matches(other, row));
  }

  private Truth withOtherNan() {
    return new Truth(nullMatchesNegation, !nanIsLargest, zerosAreEqual);
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
    if (NaNUtil.isNaN(value) && !nanIsLargest) {
      return negates;
    }
    return zerosAreEqual && isZero(value) ? testZero(predicate, value) : predicate.test(value);
  }

  private static boolean isZero(Object value) {
    return value instanceof Float || value instanceof Double ? ((Number) value).doubleValue() == 0 : false;
  }

  /** Tests a zero that is equal to both zeros, with the library, for which they differ. */
  @SuppressWarnings("unchecked") // Both zeros are of the type of the value.
  private static <T> boolean testZero(BoundPredicate<T> predicate, T value) {
    boolean isFloat = value instanceof Float;
    boolean positive = predicate.test((T) (isFloat ? (Object) 0.0f : (Object) 0.0d));
    boolean negative = predicate.test((T) (isFloat ? (Object) (-0.0f) : (Object) (-0.0d)));
    return switch (predicate.op()) {
      case EQ, IN, LT_EQ, GT_EQ -> positive || negative;
      default -> positive && negative;
    };
  }
}
