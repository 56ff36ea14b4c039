//! Values of primitive types, as filters, partitions and bounds have them (specification, "Primitive Types").

/// A primitive type whose values a filter can compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// `boolean`
    Boolean,
    /// `int`
    Int,
    /// `long`
    Long,
    /// `float`
    Float,
    /// `double`
    Double,
    /// `decimal(precision,scale)`
    Decimal {
        /// The number of digits, at most 38.
        precision: u8,
        /// The number of digits after the decimal point.
        scale: u8,
    },
    /// `date`
    Date,
    /// `time`
    Time,
    /// `timestamp`, or `timestamptz` with `zoned`
    Timestamp {
        /// Whether it is a `timestamptz`.
        zoned: bool,
    },
    /// `timestamp_ns`, or `timestamptz_ns` with `zoned`
    TimestampNano {
        /// Whether it is a `timestamptz_ns`.
        zoned: bool,
    },
    /// `string`
    String,
    /// `uuid`
    Uuid,
    /// `fixed[length]`
    Fixed(u32),
    /// `binary`
    Binary,
}

/// A value that is not null.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A `boolean`.
    Boolean(bool),
    /// An `int`. Also the result of `bucket`, `year`, `month` and `hour`.
    Int(i32),
    /// A `long`.
    Long(i64),
    /// A `float`.
    Float(f32),
    /// A `double`.
    Double(f64),
    /// The unscaled value of a `decimal`. The scale is in the type.
    Decimal(i128),
    /// Days since 1970-01-01. Also the result of `day`.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01T00:00 (in UTC if the type is zoned).
    Timestamp(i64),
    /// Nanoseconds since 1970-01-01T00:00 (in UTC if the type is zoned).
    TimestampNano(i64),
    /// A `string`.
    String(Box<str>),
    /// A `uuid`, as a big-endian number.
    Uuid(u128),
    /// A `fixed` or `binary`.
    Binary(Box<[u8]>),
}
