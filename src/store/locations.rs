//! Records of what is to be learned about tables and views from before their locations were kept.

use tidewater_core::ids::TableId;
use tidewater_core::location::Location;

use super::TableKind;

/// Where a table's or view's document is, live or dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// The catalog's own id of it.
    pub id: TableId,
    /// Table or view.
    pub kind: TableKind,
    /// Where its document is.
    pub metadata_location: String,
}

/// What a document said of a table's or view's locations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// Whose it is.
    pub id: TableId,
    /// Which document.
    pub metadata_location: String,
    /// The locations that its properties name; none when it could not be read, or names what nothing is vended for.
    pub others: Option<Vec<Location>>,
}
