//! Rows in the form that both databases read and write, and their bytes for digests and positions.

use std::fmt;

use uuid::Uuid;

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyValue {
    /// No value.
    Null,
    /// An id.
    Id(Uuid),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A row: the values of a table's columns, in their order.
pub type CopyRow = Vec<CopyValue>;

/// The bytes cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl CopyValue {
    /// Returns the bytes of its content, for limits of memory.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Null | Self::Id(_) | Self::Number(_) | Self::Flag(_) => 16,
        }
    }

    /// Returns whether it is a text with the character U+0000, which PostgreSQL cannot store.
    #[must_use]
    pub fn has_nul(&self) -> bool {
        matches!(self, Self::Text(text) if text.contains('\0'))
    }
}

impl fmt::Display for CopyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Id(id) => id.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if !text.chars().any(char::is_control) => write!(f, "{text:?}"),
                _ => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            },
        }
    }
}

/// Appends the bytes of values. Equal values have equal bytes, and different ones different bytes.
pub fn encode_values(values: &[CopyValue], into: &mut Vec<u8>) {
    for value in values {
        match value {
            CopyValue::Null => into.push(0),
            CopyValue::Id(id) => {
                into.push(1);
                into.extend_from_slice(id.as_bytes());
            }
            CopyValue::Number(number) => {
                into.push(2);
                into.extend_from_slice(&number.to_be_bytes());
            }
            CopyValue::Flag(flag) => into.extend_from_slice(&[3, u8::from(*flag)]),
            CopyValue::Text(text) => encode_bytes(4, text.as_bytes(), into),
            CopyValue::Bytes(bytes) => encode_bytes(5, bytes, into),
        }
    }
}

fn encode_bytes(tag: u8, bytes: &[u8], into: &mut Vec<u8>) {
    into.push(tag);
    into.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    into.extend_from_slice(bytes);
}

/// Decodes the bytes of [`encode_values`].
///
/// # Errors
/// Fails for other bytes.
pub fn decode_values(mut bytes: &[u8]) -> Result<Vec<CopyValue>, Malformed> {
    let mut values = Vec::new();
    while let Some((tag, rest)) = bytes.split_first() {
        let mut rest = rest;
        values.push(match tag {
            0 => CopyValue::Null,
            1 => CopyValue::Id(Uuid::from_bytes(take(&mut rest)?)),
            2 => CopyValue::Number(i64::from_be_bytes(take(&mut rest)?)),
            3 => CopyValue::Flag(take::<1>(&mut rest)? != [0]),
            4 => CopyValue::Text(String::from_utf8(take_bytes(&mut rest)?).map_err(|_| Malformed)?),
            5 => CopyValue::Bytes(take_bytes(&mut rest)?),
            _ => return Err(Malformed),
        });
        bytes = rest;
    }
    Ok(values)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (taken, left) = rest.split_first_chunk().ok_or(Malformed)?;
    *rest = left;
    Ok(*taken)
}

fn take_bytes(rest: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
    let length = usize::try_from(u64::from_be_bytes(take(rest)?)).map_err(|_| Malformed)?;
    let (taken, left) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = left;
    Ok(taken.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = CopyValue> {
        prop_oneof![
            Just(CopyValue::Null),
            any::<u128>().prop_map(|id| CopyValue::Id(Uuid::from_u128(id))),
            any::<i64>().prop_map(CopyValue::Number),
            any::<bool>().prop_map(CopyValue::Flag),
            any::<String>().prop_map(CopyValue::Text),
            any::<Vec<u8>>().prop_map(CopyValue::Bytes),
        ]
    }

    proptest! {
        #[test]
        fn encoded_values_decode_to_themselves(values in proptest::collection::vec(any_value(), 0..8)) {
            let mut bytes = Vec::new();
            encode_values(&values, &mut bytes);
            prop_assert_eq!(decode_values(&bytes), Ok(values));
        }

        #[test]
        fn foreign_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = decode_values(&bytes);
        }
    }

    #[test]
    fn values_show_for_people() {
        let shown = |value: CopyValue| value.to_string();
        assert_eq!(shown(CopyValue::Text("a\u{1f}b".into())), "\"a\\u{1f}b\"");
        assert_eq!(shown(CopyValue::Bytes(b"s3://b/t".to_vec())), "\"s3://b/t\"");
        assert_eq!(shown(CopyValue::Bytes(vec![0, 255])), "00ff");
        assert_eq!(shown(CopyValue::Id(Uuid::nil())), "00000000-0000-0000-0000-000000000000");
    }
}
