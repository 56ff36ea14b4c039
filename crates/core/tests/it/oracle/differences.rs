//! The differences that are meant, each with its reason.

use super::case::{Case, Operation};
use super::verdict::{Difference, Kind};

/// A set of differences that have one reason. Empty lists and texts match all.
pub(crate) struct Explained {
    pub(crate) kind: Kind,
    pub(crate) operations: &'static [Operation],
    /// What the place of a change ends with.
    pub(crate) place: &'static str,
    /// What the message holds.
    pub(crate) message: &'static str,
    pub(crate) reason: &'static str,
}

impl Explained {
    pub(crate) fn matches(&self, case: &Case<'_>, difference: &Difference) -> bool {
        self.kind == difference.kind
            && (self.operations.is_empty() || self.operations.contains(&case.source.operation))
            && difference.message.contains(self.message)
            && (self.place.is_empty() || case.places().iter().any(|place| place.ends_with(self.place)))
    }
}

/// All of them.
pub(crate) const EXPLAINED: &[Explained] = &[
    Explained {
        kind: Kind::OnlyJavaAccepts,
        operations: &[],
        place: "",
        message: "appears twice",
        reason: "a key that stands twice is refused: readers disagree on which one counts, and Java takes the last",
    },
    Explained {
        kind: Kind::OnlyJavaAccepts,
        operations: &[],
        place: "",
        message: "duplicate field",
        reason: "a key that stands twice is refused: readers disagree on which one counts, and Java takes the last",
    },
    Explained {
        kind: Kind::OnlyJavaAccepts,
        operations: &[],
        place: "",
        message: "'source-ids' must be",
        reason: "Java lags behind: it does not know the specification's source-ids, and so does not check them",
    },
    Explained {
        kind: Kind::OnlyJavaAccepts,
        operations: &[],
        place: "",
        message: "Cannot reassign table UUID",
        reason: "the specification says otherwise: a table's UUID must not change, since clients that hold the table then fail",
    },
    Explained {
        kind: Kind::OnlyJavaAccepts,
        operations: &[],
        place: "",
        message: "Invalid UUID",
        reason: "the specification says otherwise: it is a UUID, for which Java takes any text",
    },
    Explained {
        kind: Kind::OnlyJavaAccepts,
        operations: &[],
        place: "",
        message: "unsupported version 4",
        reason: "format version 4 is not adopted yet",
    },
    Explained {
        kind: Kind::OnlyJavaAccepts,
        operations: &[],
        place: "",
        message: "Unsupported format version: v4",
        reason: "format version 4 is not adopted yet",
    },
];
