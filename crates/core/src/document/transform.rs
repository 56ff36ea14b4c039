//! Partition and sort transforms.

use std::fmt;

use super::types::{Primitive, Type};

/// A function of a column's value. An unknown function is kept by its name, and accepts any type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Transform {
    /// The value itself.
    Identity,
    /// A hash into this many buckets.
    Bucket(u32),
    /// The value truncated to this width.
    Truncate(u32),
    /// Years since 1970.
    Year,
    /// Months since 1970.
    Month,
    /// Days since 1970.
    Day,
    /// Hours since 1970.
    Hour,
    /// Always null: a dropped field.
    Void,
    /// Any other function, unchanged.
    Unknown(String),
}

impl Transform {
    /// Parses a transform. For known transforms, ignores case and surrounding spaces.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lower = text.trim().to_ascii_lowercase();
        let width = |name: &str| -> Option<u32> {
            let width = lower.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            // As in the reference implementation, a width is a positive signed integer.
            width.trim().parse().ok().filter(|width| *width > 0 && *width <= i32::MAX as u32)
        };
        match lower.as_str() {
            "identity" => Self::Identity,
            "year" => Self::Year,
            "month" => Self::Month,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "void" => Self::Void,
            _ => width("bucket")
                .map(Self::Bucket)
                .or_else(|| width("truncate").map(Self::Truncate))
                .unwrap_or_else(|| Self::Unknown(text.to_owned())),
        }
    }

    /// Returns whether it accepts values of this type, which [`Type::is_primitive`].
    #[must_use]
    pub fn applies_to(&self, source: &Type) -> bool {
        use Primitive as P;
        let Type::Primitive(source, _) = source else { return matches!(self, Self::Void) };
        match self {
            _ if *source == P::Other => true,
            Self::Void | Self::Unknown(_) => true,
            Self::Identity => !matches!(source, P::Variant | P::Geometry | P::Geography),
            Self::Bucket(_) => matches!(
                source,
                P::Int
                    | P::Long
                    | P::Date
                    | P::Time
                    | P::Timestamp
                    | P::TimestampNano
                    | P::String
                    | P::Binary
                    | P::Fixed
                    | P::Decimal
                    | P::Uuid
            ),
            Self::Truncate(_) => matches!(source, P::Int | P::Long | P::String | P::Binary | P::Decimal),
            Self::Year | Self::Month | Self::Day => matches!(source, P::Date | P::Timestamp | P::TimestampNano),
            Self::Hour => matches!(source, P::Timestamp | P::TimestampNano),
        }
    }

    /// Returns whether it is a known function with an invalid width, such as `bucket[0]`, or without one. Some readers take
    /// every text with this beginning for the function.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        let Self::Unknown(text) = self else { return false };
        let lower = text.trim().to_ascii_lowercase();
        lower.starts_with("bucket") || lower.starts_with("truncate")
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity => f.write_str("identity"),
            Self::Bucket(buckets) => write!(f, "bucket[{buckets}]"),
            Self::Truncate(width) => write!(f, "truncate[{width}]"),
            Self::Year => f.write_str("year"),
            Self::Month => f.write_str("month"),
            Self::Day => f.write_str("day"),
            Self::Hour => f.write_str("hour"),
            Self::Void => f.write_str("void"),
            Self::Unknown(text) => f.write_str(text),
        }
    }
}
