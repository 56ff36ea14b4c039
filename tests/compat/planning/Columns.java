package tidewater.planning;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.expressions.Term;
import org.apache.iceberg.transforms.Transforms;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;

/** Random schemas, and the partition transforms that fit their columns. */
final class Columns {
  private static final List<Type> OF_EVERY_FORMAT =
      List.of(
          Types.BooleanType.get(), Types.IntegerType.get(), Types.LongType.get(), Types.FloatType.get(), Types.DoubleType.get(),
          Types.DecimalType.of(9, 2), Types.DecimalType.of(18, 4), Types.DecimalType.of(38, 10), Types.DateType.get(),
          Types.TimeType.get(), Types.TimestampType.withoutZone(), Types.TimestampType.withZone(), Types.StringType.get(),
          Types.UUIDType.get(), Types.FixedType.ofLength(5), Types.BinaryType.get());
  private static final List<Type> OF_FORMAT_3 = List.of(Types.TimestampNanoType.withoutZone(), Types.TimestampNanoType.withZone());
  private static final String[] ODD_NAMES = {"Mixed_Case", "with space", "naïve", "dot.ted", "select"};

  private Columns() {}

  static List<Type> types(int format) {
    List<Type> types = new ArrayList<>(OF_EVERY_FORMAT);
    if (format > 2) {
      types.addAll(OF_FORMAT_3);
    }
    return types;
  }

  /** Returns a schema with about half of all types, most of them optional, and often a struct, a list and a map. */
  static Schema schema(Values values, int format) {
    List<Types.NestedField> fields = new ArrayList<>();
    List<String> odd = new ArrayList<>(List.of(ODD_NAMES));
    fields.add(Types.NestedField.required(1, "id", Types.LongType.get()));
    for (Type type : types(format)) {
      if (values.chance(0.55)) {
        int id = fields.size() + 1;
        String name = values.chance(0.12) && !odd.isEmpty() ? odd.remove(values.below(odd.size())) : "c" + id;
        fields.add(Types.NestedField.of(id, values.chance(0.8), name, type));
      }
    }
    if (values.chance(0.6)) {
      Types.StructType inner = Types.StructType.of(Types.NestedField.optional(103, "d", Types.DateType.get()));
      fields.add(
          Types.NestedField.of(100, values.chance(0.7), "st",
              Types.StructType.of(
                  Types.NestedField.optional(101, "a", Types.IntegerType.get()),
                  Types.NestedField.required(102, "s", Types.StringType.get()),
                  Types.NestedField.optional(104, "in", inner))));
    }
    if (values.chance(0.4)) {
      fields.add(Types.NestedField.optional(110, "li", Types.ListType.ofOptional(111, Types.IntegerType.get())));
      fields.add(
          Types.NestedField.optional(112, "ma", Types.MapType.ofOptional(113, 114, Types.StringType.get(), Types.LongType.get())));
    }
    return new Schema(fields);
  }

  /** A column of a primitive type that is not inside a list or a map, with its full name. */
  record Leaf(int id, String name, Type.PrimitiveType type, boolean optional) {}

  static List<Leaf> leaves(Schema schema) {
    List<Leaf> leaves = new ArrayList<>();
    collect(schema, schema.asStruct(), leaves);
    return leaves;
  }

  private static void collect(Schema schema, Types.StructType struct, List<Leaf> leaves) {
    for (Types.NestedField field : struct.fields()) {
      if (field.type().isPrimitiveType()) {
        String name = schema.findColumnName(field.fieldId());
        leaves.add(new Leaf(field.fieldId(), name, field.type().asPrimitiveType(), field.isOptional()));
      } else if (field.type().isStructType()) {
        collect(schema, field.type().asStructType(), leaves);
      }
    }
  }

  /** Returns a random partition spec with up to three fields, also an unpartitioned one. */
  static PartitionSpec spec(Values values, Schema schema, int format) {
    for (int attempt = 0; attempt < 20; attempt++) {
      try {
        PartitionSpec.Builder builder = PartitionSpec.builderFor(schema);
        IntStream.range(0, values.below(4)).forEach(number -> add(values, builder, values.one(leaves(schema)), "p" + number));
        return builder.build();
      } catch (IllegalArgumentException redundant) {
        continue;
      }
    }
    return PartitionSpec.unpartitioned();
  }

  private static void add(Values values, PartitionSpec.Builder builder, Leaf leaf, String name) {
    String transform = values.one(transforms(leaf.type()));
    switch (transform) {
      case "identity" -> builder.identity(leaf.name(), name);
      case "bucket" -> builder.bucket(leaf.name(), 1 + values.below(5), name);
      case "truncate" -> builder.truncate(leaf.name(), 1 + values.below(4), name);
      case "year" -> builder.year(leaf.name(), name);
      case "month" -> builder.month(leaf.name(), name);
      case "day" -> builder.day(leaf.name(), name);
      case "hour" -> builder.hour(leaf.name(), name);
      default -> throw new IllegalStateException(transform);
    }
  }

  /** Returns a random term for a new field of a spec. */
  static Term term(Values values, Leaf leaf) {
    return term(values, leaf, values.one(transforms(leaf.type())));
  }

  static Term term(Values values, Leaf leaf, String transform) {
    return switch (transform) {
      case "identity" -> Expressions.ref(leaf.name());
      case "bucket" -> Expressions.bucket(leaf.name(), 1 + values.below(5));
      case "truncate" -> Expressions.truncate(leaf.name(), 1 + values.below(4));
      case "year" -> Expressions.year(leaf.name());
      case "month" -> Expressions.month(leaf.name());
      case "day" -> Expressions.day(leaf.name());
      case "hour" -> Expressions.hour(leaf.name());
      default -> throw new IllegalStateException(transform);
    };
  }

  static List<String> transforms(Type type) {
    List<String> fitting = new ArrayList<>(List.of("identity"));
    if (Transforms.bucket(4).canTransform(type)) {
      fitting.add("bucket");
    }
    if (Transforms.truncate(4).canTransform(type)) {
      fitting.add("truncate");
    }
    switch (type.typeId()) {
      case DATE -> fitting.addAll(List.of("year", "month", "day"));
      case TIMESTAMP, TIMESTAMP_NANO -> fitting.addAll(List.of("year", "month", "day", "hour"));
      default -> {}
    }
    return fitting;
  }
}
