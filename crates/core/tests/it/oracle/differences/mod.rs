//! The intended differences, each with its reason. A fault of `core` has no row here.

mod java_accepts;
mod readers;
mod we_accept;

use std::fmt;

use super::case::{Case, Operation};
use super::verdict::{Difference, Kind};

/// A set of differences with the same reason.
pub(crate) struct Explained {
    kind: Kind,
    /// The operations; empty means all.
    operations: &'static [Operation],
    /// The end of the place of a change; empty means any.
    place: &'static str,
    /// A part of the case, as reports show it; empty means any.
    case: &'static str,
    /// A part of the message.
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

/// The operations that register documents, which stay unchanged.
const REGISTERED: &[Operation] = &[Operation::Table, Operation::View];

/// Returns all rows, in a fixed order.
pub(crate) fn explained() -> impl Iterator<Item = &'static Explained> {
    [java_accepts::ROWS, we_accept::ROWS, readers::ROWS].into_iter().flatten()
}
