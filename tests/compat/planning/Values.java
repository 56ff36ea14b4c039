package tidewater.planning;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;

/** Random values as Iceberg represents them in memory: from small ranges, so that they meet, and from the edges of types. */
final class Values {
  private static final long DAY_US = 86_400_000_000L;

  private static final String[] TEXTS = {
    "", "a", "A", "ab", "abc", "abd", "b", "ba", "z", "zz", "ä", "é", "~", "\u007f", "中", "中文", "\uffff", "\ue000",
    "\ud83d\ude00", "\ud83d\ude00a", "a\ud83d\ude00", "a\u0000", " ", "longer than sixteen characters", "longer than sixteen letters",
    "2024-01-01", "NaN", "null", "%", "_", "\\", "\"", "'"
  };
  private static final byte[] BYTES = {0, 1, 0x61, 0x7f, (byte) 0x80, (byte) 0xfe, (byte) 0xff};

  private final Random random;

  Values(Random random) {
    this.random = random;
  }

  boolean chance(double share) {
    return random.nextDouble() < share;
  }

  int below(int bound) {
    return random.nextInt(bound);
  }

  <T> T one(List<T> of) {
    return of.get(below(of.size()));
  }

  @SafeVarargs
  final <T> T one(T... of) {
    return of[below(of.length)];
  }

  /** Returns a value that is not null. The least numbers are left out: truncated, they are outside of their type. */
  Object next(Type type) {
    return switch (type.typeId()) {
      case BOOLEAN -> chance(0.5);
      case INTEGER -> chance(0.05) ? one(Integer.MIN_VALUE + 10, Integer.MAX_VALUE) : below(30) - 6;
      case LONG -> chance(0.05) ? one(Long.MIN_VALUE + 10, Long.MAX_VALUE, 1L << 40) : (Object) (long) (below(30) - 6);
      case FLOAT -> chance(0.25) ? one(Float.NaN, -0.0f, 0.0f, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.MIN_VALUE) : (below(40) - 10) / 2f;
      case DOUBLE -> chance(0.25) ? one(Double.NaN, -0.0, 0.0, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, 1e300) : (below(40) - 10) / 2d;
      case DECIMAL -> decimal((Types.DecimalType) type);
      case DATE -> day();
      case TIME -> chance(0.1) ? one(0L, DAY_US - 1) : (Object) (below(24) * 3_600_000_000L + below(3) * 500_001L);
      case TIMESTAMP -> day() * DAY_US + below(24) * 3_600_000_000L + below(4) * 250_000_001L;
      case TIMESTAMP_NANO -> (day() * DAY_US + below(24) * 3_600_000_000L) * 1_000 + below(3) * 501L;
      case STRING -> one(TEXTS);
      case UUID -> new UUID(one(0L, 1L, -1L, Long.MIN_VALUE, 0x0123456789abcdefL), one(0L, -1L, Long.MIN_VALUE, 7L));
      case FIXED -> bytes(((Types.FixedType) type).length());
      case BINARY -> bytes(below(5));
      default -> throw new IllegalArgumentException("no values of " + type);
    };
  }

  /** Returns the value, or one beside it. */
  Object near(Type type, Object value) {
    int step = below(3) - 1;
    return switch (type.typeId()) {
      case INTEGER, DATE -> {
        int number = ((Number) value).intValue();
        yield number + (Math.abs((long) number) < Integer.MAX_VALUE ? step : 0);
      }
      case LONG, TIME, TIMESTAMP -> {
        long number = ((Number) value).longValue();
        if (type.typeId() == Type.TypeID.TIME) {
          yield Math.max(0, Math.min(DAY_US - 1, number + step));
        }
        yield number + (Math.abs(number / 2) < Long.MAX_VALUE / 4 ? step : 0);
      }
      case TIMESTAMP_NANO -> (Long) value + step * 1_000L;
      case FLOAT -> ((Number) value).floatValue() + step / 2f;
      case DOUBLE -> ((Number) value).doubleValue() + step / 2d;
      case DECIMAL -> nearDecimal((Types.DecimalType) type, (BigDecimal) value, step);
      case STRING -> nearText((String) value);
      default -> value;
    };
  }

  private int day() {
    return chance(0.5) ? below(800) - 400 : 19_700 + below(60);
  }

  private BigDecimal decimal(Types.DecimalType type) {
    BigInteger largest = BigInteger.TEN.pow(type.precision()).subtract(BigInteger.ONE);
    BigInteger unscaled = chance(0.05) ? one(largest, largest.negate().add(BigInteger.TEN)) : BigInteger.valueOf(below(300) - 100);
    return new BigDecimal(unscaled, type.scale());
  }

  private static BigDecimal nearDecimal(Types.DecimalType type, BigDecimal value, int step) {
    BigDecimal moved = new BigDecimal(value.unscaledValue().add(BigInteger.valueOf(step)), type.scale());
    return moved.precision() > type.precision() ? value : moved;
  }

  private String nearText(String value) {
    int end = value.isEmpty() ? 0 : value.offsetByCodePoints(value.length(), -1);
    return switch (below(4)) {
      case 0 -> value.substring(0, end);
      case 1 -> value + one("a", "\u0000", "\ud83d\ude00");
      default -> value;
    };
  }

  private ByteBuffer bytes(int length) {
    byte[] made = new byte[length];
    for (int index = 0; index < length; index++) {
      made[index] = BYTES[below(BYTES.length)];
    }
    return ByteBuffer.wrap(made);
  }
}
