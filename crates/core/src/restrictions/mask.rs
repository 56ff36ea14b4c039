//! The masks of columns (REST specification, `Action`).

use std::fmt;
use std::str::FromStr;

use crate::document::{Column, Primitive, SchemaIndex, Type};

/// How the values of a column are masked. A null stays null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mask {
    /// Replaces letters and digits.
    MaskAlphanum,
    /// Replaces every value with one that its type defines.
    MaskToFixedValue,
    /// Replaces every value with null.
    ReplaceWithNull,
    /// Replaces letters and digits after the first four characters.
    ShowFirst4,
    /// Replaces letters and digits before the last four characters.
    ShowLast4,
    /// Keeps the year of a date or time.
    TruncateToYear,
    /// Keeps the year and month of a date or time.
    TruncateToMonth,
    /// Replaces a value with its SHA-256.
    Sha256Global,
    /// Replaces a value with its SHA-256, salted for each query.
    Sha256QueryLocal,
}

/// The text is not the name of a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "The action must be mask-alphanum, mask-to-fixed-value, replace-with-null, show-first-4, show-last-4, truncate-to-year, \
     truncate-to-month, sha-256-global or sha-256-query-local"
)]
pub struct UnknownMask;

/// Why a mask cannot be applied to a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The schema has no such column.
    #[error("the column does not exist")]
    Missing,
    /// The column's type has no such mask.
    #[error("{mask} cannot mask the type {column_type}")]
    Type {
        /// The mask.
        mask: Mask,
        /// The column's type.
        column_type: String,
    },
    /// A required column cannot be null.
    #[error("the column is required, so it cannot be replaced with null")]
    Required,
    /// The column is the key of a map, or inside one.
    #[error("the keys of a map cannot be masked: mask the map")]
    MapKey,
}

impl Mask {
    /// All masks.
    pub const ALL: [Self; 9] = [
        Self::MaskAlphanum,
        Self::MaskToFixedValue,
        Self::ReplaceWithNull,
        Self::ShowFirst4,
        Self::ShowLast4,
        Self::TruncateToYear,
        Self::TruncateToMonth,
        Self::Sha256Global,
        Self::Sha256QueryLocal,
    ];

    /// Returns its name in the specification.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaskAlphanum => "mask-alphanum",
            Self::MaskToFixedValue => "mask-to-fixed-value",
            Self::ReplaceWithNull => "replace-with-null",
            Self::ShowFirst4 => "show-first-4",
            Self::ShowLast4 => "show-last-4",
            Self::TruncateToYear => "truncate-to-year",
            Self::TruncateToMonth => "truncate-to-month",
            Self::Sha256Global => "sha-256-global",
            Self::Sha256QueryLocal => "sha-256-query-local",
        }
    }

    /// Returns whether the specification has it for columns of a type.
    #[must_use]
    pub fn masks(self, column_type: &Type) -> bool {
        use Primitive as P;
        match (self, column_type) {
            (Self::ReplaceWithNull, _) | (Self::MaskToFixedValue, Type::List(_) | Type::Map(_)) => true,
            (Self::MaskToFixedValue, Type::Primitive(primitive, _)) => !matches!(primitive, P::Unknown | P::Other),
            (Self::MaskAlphanum | Self::ShowFirst4 | Self::ShowLast4, Type::Primitive(P::String, _)) => true,
            (Self::TruncateToYear | Self::TruncateToMonth, Type::Primitive(primitive, _)) => {
                matches!(primitive, P::Date | P::Timestamp | P::TimestampNano)
            }
            (Self::Sha256Global | Self::Sha256QueryLocal, Type::Primitive(primitive, _)) => {
                matches!(primitive, P::String | P::Int | P::Long | P::Binary)
            }
            _ => false,
        }
    }

    /// Checks that it can be applied to a column of a schema.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check(self, index: &SchemaIndex<'_>, field_id: i32) -> Result<(), Misfit> {
        let column = index.column(field_id).ok_or(Misfit::Missing)?;
        if ancestors(index, field_id).any(|(id, above)| is_key_of(above, id)) {
            return Err(Misfit::MapKey);
        }
        if !self.masks(column.column_type) {
            return Err(Misfit::Type { mask: self, column_type: column.column_type.to_string() });
        }
        if self == Self::ReplaceWithNull && column.required {
            return Err(Misfit::Required);
        }
        Ok(())
    }
}

fn is_key_of(above: Column<'_>, id: i32) -> bool {
    matches!(above.column_type, Type::Map(map) if map.key_id == id)
}

/// Returns the columns around a nested field, from the inside out, each with the id of the field inside that led to it.
fn ancestors<'i>(index: &'i SchemaIndex<'_>, field_id: i32) -> impl Iterator<Item = (i32, Column<'i>)> {
    let mut next = Some(field_id);
    std::iter::from_fn(move || {
        let id = next?;
        next = index.column(id)?.parent;
        Some((id, index.column(next?)?))
    })
}

/// Returns the ids of the columns around a nested field.
pub(super) fn ancestor_ids(index: &SchemaIndex<'_>, field_id: i32) -> impl Iterator<Item = i32> {
    let mut next = index.column(field_id).and_then(|column| column.parent);
    std::iter::from_fn(move || {
        let id = next?;
        next = index.column(id).and_then(|column| column.parent);
        Some(id)
    })
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mask {
    type Err = UnknownMask;

    fn from_str(text: &str) -> Result<Self, UnknownMask> {
        Self::ALL.into_iter().find(|mask| mask.as_str() == text).ok_or(UnknownMask)
    }
}
