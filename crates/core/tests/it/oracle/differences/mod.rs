//! The differences that are meant, each with its reason. A fault of `core` has no row here.

mod java_accepts;
mod readers;
mod we_accept;

use std::fmt;

use super::case::{Case, Operation};
use super::verdict::{Difference, Kind};

/// A set of differences that have one reason.
pub(crate) struct Explained {
    kind: Kind,
    /// The operations; empty: all.
    operations: &'static [Operation],
    /// What the place of a change ends with; empty: any.
    place: &'static str,
    /// What the case holds, as reports show it; empty: any.
    case: &'static str,
    /// What the message holds.
    message: &'static str,
    reason: &'static str,
}

impl Explained {
    const fn new(kind: Kind, message: &'static str, reason: &'static str) -> Self {
        Self { kind, operations: &[], place: "", case: "", message, reason }
    }

    const fn of(self, operations: &'static [Operation]) -> Self {
        Self { operations, ..self }
    }

    const fn at(self, place: &'static str) -> Self {
        Self { place, ..self }
    }

    const fn case(self, case: &'static str) -> Self {
        Self { case, ..self }
    }

    pub(crate) fn matches(&self, case: &Case<'_>, difference: &Difference) -> bool {
        self.kind == difference.kind
            && (self.operations.is_empty() || self.operations.contains(&case.source.operation))
            && difference.message.contains(self.message)
            && (self.place.is_empty() || case.places().iter().any(|place| place.ends_with(self.place)))
            && (self.case.is_empty() || case.to_string().contains(self.case))
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, place, case, message, reason, .. } = self;
        write!(f, "{kind}; message {message:?}, place {place:?}, case {case:?} ({reason})")
    }
}

/// Documents that are registered: they stay as they came.
const REGISTERED: &[Operation] = &[Operation::Table, Operation::View];

/// All of them, in one order.
pub(crate) fn explained() -> impl Iterator<Item = &'static Explained> {
    [java_accepts::ROWS, we_accept::ROWS, readers::ROWS].into_iter().flatten()
}
