//! The restriction of a principal role on a table.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::str::FromStr;

use super::filter::{by_id, to_json};
use super::mask::{Mask, Misfit, UnknownMask, ancestor_ids};
use crate::document::SchemaIndex;
use crate::document::json::excerpt;
use crate::scan::FilterError;
use crate::scan::bound::bind;
use crate::scan::expression::Expression;

/// The longest JSON of a restriction, in bytes.
pub const MAX_BYTES: usize = 16 << 10;

/// The most masked columns of a restriction.
pub const MAX_MASKS: usize = 1_000;

/// What callers get that are not trusted engines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Others {
    /// The metadata, without credentials. The catalog plans their scans.
    Plan,
    /// Nothing.
    #[default]
    Refuse,
}

/// A column in a request: by its full name in the current schema, or by its field id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnReference {
    /// By its full name.
    Name(String),
    /// By its field id.
    Id(i32),
}

/// A restriction, with columns by field id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    filter: Option<Expression>,
    masks: BTreeMap<i32, Mask>,
    others: Others,
}

/// Why a restriction is refused. The message is for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestrictionError {
    /// The filter is malformed, or does not fit the columns.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The filter tests a function of a column.
    #[error("A restriction's filter tests columns themselves, not {0} of a column")]
    Function(String),
    /// The action is unknown.
    #[error(transparent)]
    UnknownMask(#[from] UnknownMask),
    /// A mask does not fit its column.
    #[error("Column '{column}' cannot be masked: {misfit}")]
    Misfit {
        /// The column, as the request names it.
        column: String,
        /// What does not fit.
        misfit: Misfit,
    },
    /// A column has several masks.
    #[error("Column '{0}' has more than one mask: give one")]
    MaskedTwice(String),
    /// A column and one that contains it are masked.
    #[error("Column '{0}' is inside another masked column: mask one of them")]
    MaskedAround(String),
    /// It restricts nothing.
    #[error("Give a filter or a mask. Remove the restriction if the role may read everything")]
    Empty,
    /// It is too large.
    #[error("Restriction is too large: {0}")]
    TooLarge(String),
    /// The value of `others` is unknown.
    #[error("others must be refuse or plan")]
    UnknownOthers,
    /// The stored text is not a restriction.
    #[error("Cannot read the restriction: {0}")]
    Unreadable(String),
}

impl Others {
    /// Returns its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Refuse => "refuse",
        }
    }
}

impl FromStr for Others {
    type Err = RestrictionError;

    fn from_str(text: &str) -> Result<Self, RestrictionError> {
        match text {
            "plan" => Ok(Self::Plan),
            "refuse" => Ok(Self::Refuse),
            _ => Err(RestrictionError::UnknownOthers),
        }
    }
}

impl fmt::Display for ColumnReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&excerpt(name)),
            Self::Id(id) => write!(f, "{id}"),
        }
    }
}

impl Restriction {
    /// Creates a restriction from a request, and checks it against the current schema. `filter` is the JSON of the filter, with columns by
    /// name or id.
    ///
    /// # Errors
    /// Fails if it restricts nothing, is too large, or does not fit the schema.
    pub fn new(
        filter: Option<&str>,
        masks: &[(ColumnReference, Mask)],
        others: Others,
        index: &SchemaIndex<'_>,
    ) -> Result<Self, RestrictionError> {
        if filter.is_none() && masks.is_empty() {
            return Err(RestrictionError::Empty);
        }
        if masks.len() > MAX_MASKS {
            return Err(RestrictionError::TooLarge(format!("it has more than {MAX_MASKS} masks")));
        }
        let filter = filter.map(|text| resolved(text, index)).transpose()?;
        let mut by_field = BTreeMap::new();
        for (column, mask) in masks {
            let id = match column {
                ColumnReference::Name(name) => index.id_of(name).ok_or_else(|| misfit(column, Misfit::Missing))?,
                ColumnReference::Id(id) => *id,
            };
            mask.check(index, id).map_err(|why| misfit(column, why))?;
            if by_field.insert(id, *mask).is_some() {
                return Err(RestrictionError::MaskedTwice(column.to_string()));
            }
        }
        for id in by_field.keys() {
            if ancestor_ids(index, *id).any(|above| by_field.contains_key(&above)) {
                return Err(RestrictionError::MaskedAround(index.full_name(*id)));
            }
        }
        let made = Self { filter, masks: by_field, others };
        let bytes = made.to_json().len();
        if bytes > MAX_BYTES {
            return Err(RestrictionError::TooLarge(format!("it has {bytes} bytes, of {MAX_BYTES} allowed")));
        }
        Ok(made)
    }

    /// Parses the text of [`Self::to_json`].
    ///
    /// # Errors
    /// `Unreadable`.
    pub fn parse(text: &str) -> Result<Self, RestrictionError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Stored<'a> {
            #[serde(borrow, default)]
            filter: Option<&'a serde_json::value::RawValue>,
            masks: BTreeMap<i32, String>,
            others: String,
        }
        let unreadable = |error: &dyn fmt::Display| RestrictionError::Unreadable(error.to_string());
        let stored: Stored<'_> = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
        let filter = stored.filter.map(|filter| Expression::parse(filter.get())).transpose();
        let masks = stored.masks.into_iter().map(|(id, mask)| Ok((id, mask.parse()?)));
        Ok(Self {
            filter: filter.map_err(|error| unreadable(&error))?,
            masks: masks.collect::<Result<_, UnknownMask>>().map_err(|error| unreadable(&error))?,
            others: stored.others.parse()?,
        })
    }

    /// Returns its JSON, as stores keep it. Equal restrictions have equal texts.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = "{".to_owned();
        if let Some(filter) = &self.filter {
            text.extend(["\"filter\":", &to_json(filter), ","]);
        }
        text.push_str("\"masks\":{");
        for (position, (id, mask)) in self.masks.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{comma}\"{id}\":\"{mask}\"");
        }
        text.extend(["},\"others\":\"", self.others.as_str(), "\"}"]);
        text
    }

    /// Returns the filter.
    #[must_use]
    pub const fn filter(&self) -> Option<&Expression> {
        self.filter.as_ref()
    }

    /// Returns the JSON of the filter, with columns by id.
    #[must_use]
    pub fn filter_json(&self) -> Option<String> {
        self.filter.as_ref().map(to_json)
    }

    /// Returns the masks by field id.
    #[must_use]
    pub const fn masks(&self) -> &BTreeMap<i32, Mask> {
        &self.masks
    }

    /// Returns what callers get that are not trusted engines.
    #[must_use]
    pub const fn others(&self) -> Others {
        self.others
    }
}

/// Parses a filter, names its columns by id, and checks that it fits the schema.
fn resolved(text: &str, index: &SchemaIndex<'_>) -> Result<Expression, RestrictionError> {
    if text.len() > MAX_BYTES {
        return Err(RestrictionError::TooLarge(format!("its filter has more than {MAX_BYTES} bytes")));
    }
    let filter = by_id(&Expression::parse(text)?, index)?;
    bind(&filter, index, true)?;
    // In the form that the parser gives it, so that equal filters have equal texts.
    Ok(Expression::parse(&to_json(&filter))?)
}

fn misfit(column: &ColumnReference, misfit: Misfit) -> RestrictionError {
    RestrictionError::Misfit { column: column.to_string(), misfit }
}

#[cfg(test)]
mod tests;
