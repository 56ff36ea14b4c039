package tidewater.planning;

import java.util.HashMap;
import java.util.Map;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;

/** A row's values by field id, so that it can be read with any later schema. */
final class Row {
  /** The value of a struct that is null, so that all its fields are null too. */
  static final Object NULL_STRUCT = new Object();

  private final Map<Integer, Object> values;

  Row(Map<Integer, Object> values) {
    this.values = values;
  }

  Row copy() {
    return new Row(new HashMap<>(values));
  }

  Object get(int id) {
    return values.get(id);
  }

  void set(int id, Object value) {
    values.put(id, value);
  }

  /** Returns the value of a field that is not a struct. A file that is older than the column has its default. */
  Object valueOf(Types.NestedField field) {
    return values.containsKey(field.fieldId()) ? widened(values.get(field.fieldId()), field.type()) : field.initialDefault();
  }

  StructLike as(Types.StructType type) {
    return new View(type, this);
  }

  private record View(Types.StructType type, Row row) implements StructLike {
    @Override
    public int size() {
      return type.fields().size();
    }

    @Override
    public <T> T get(int position, Class<T> javaClass) {
      return javaClass.cast(read(type.fields().get(position)));
    }

    private Object read(Types.NestedField field) {
      if (field.type().isStructType()) {
        return row.get(field.fieldId()) == NULL_STRUCT ? null : new View(field.type().asStructType(), row);
      }
      return row.valueOf(field);
    }

    @Override
    public <T> void set(int position, T value) {
      throw new UnsupportedOperationException("a row is only read");
    }
  }

  private static Object widened(Object value, Type type) {
    if (value instanceof Integer number && type.typeId() == Type.TypeID.LONG) {
      return number.longValue();
    }
    return value instanceof Float number && type.typeId() == Type.TypeID.DOUBLE ? (Object) number.doubleValue() : value;
  }
}
