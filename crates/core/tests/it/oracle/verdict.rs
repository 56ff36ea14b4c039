//! The verdict on a case: the differences between the sides.

use std::fmt;

/// The kind of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `core` panicked.
    Panic,
    /// We accept, and Java cannot read what we store.
    Unreadable,
    /// We cannot read what we store.
    UnreadableByUs,
    /// We accept, Java refuses; it can read what we store.
    OnlyWeAccept,
    /// Java accepts, we refuse.
    OnlyJavaAccepts,
    /// Both accept, with different results.
    Result,
    /// Both accept, and ours is not in Java's spelling.
    Spelling,
    /// We accept, and PyIceberg cannot read what we store.
    UnreadableByPython,
    /// We accept, and iceberg-rust cannot read what we store.
    UnreadableByRust,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panic => "core panics",
            Self::Unreadable => "we accept, and Java cannot read what we store",
            Self::UnreadableByUs => "we accept, and cannot read what we store",
            Self::OnlyWeAccept => "we accept, Java refuses (and can read what we store)",
            Self::OnlyJavaAccepts => "Java accepts, we refuse",
            Self::Result => "both accept, the results differ",
            Self::Spelling => "both accept, ours is not in Java's spelling",
            Self::UnreadableByPython => "we accept, and PyIceberg cannot read what we store",
            Self::UnreadableByRust => "we accept, and iceberg-rust cannot read what we store",
        })
    }
}

/// A difference in a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) kind: Kind,
    /// The message of the refusing side, or the place where the documents differ.
    pub(crate) message: String,
}

/// The verdict on a case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
    pub(crate) we_accept: bool,
    pub(crate) java_accepts: bool,
    pub(crate) differences: Vec<Difference>,
}
