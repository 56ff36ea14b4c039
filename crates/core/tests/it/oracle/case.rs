//! One question for both sides, and where it comes from.

use std::fmt;

use serde_json::Value;

use super::corpus::Source;
use super::mutation::Mutation;
use super::text::to_text;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operation {
    /// A table's document, as it is registered.
    Table,
    /// A commit to a table.
    Commit,
    /// The commit of a staged create.
    CreateCommit,
    /// A request to create a table.
    Create,
    /// A view's document, as it is registered.
    View,
    /// A commit to a view.
    ViewCommit,
    /// A request to create a view.
    CreateView,
}

impl Operation {
    /// Its name in questions to the oracle, and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Commit => "commit",
            Self::CreateCommit => "create-commit",
            Self::Create => "create",
            Self::View => "view",
            Self::ViewCommit => "view-commit",
            Self::CreateView => "create-view",
        }
    }

    /// Whether it is about a view.
    pub(crate) fn is_of_view(self) -> bool {
        matches!(self, Self::View | Self::ViewCommit | Self::CreateView)
    }

    /// What reads the document that it makes.
    pub(crate) fn reading(self) -> Self {
        if self.is_of_view() { Self::View } else { Self::Table }
    }

    /// Whether the document that it makes has an id of its own each time.
    pub(crate) fn makes_an_id(self) -> bool {
        matches!(self, Self::Create | Self::CreateView | Self::CreateCommit)
    }
}

/// In place of a place: the source as it is.
pub(crate) const UNCHANGED: &str = "unchanged";

/// A source with one or two changes, or as it is.
#[derive(Debug, Clone)]
pub(crate) struct Case<'a> {
    pub(crate) source: &'a Source,
    pub(crate) mutations: Vec<Mutation>,
}

impl Case<'_> {
    /// The mutated text; none if the changes do not fit together.
    pub(crate) fn input(&self) -> Option<String> {
        let mut value: Value = self.source.input.clone();
        for mutation in &self.mutations {
            mutation.apply(&mut value)?;
        }
        Some(to_text(&value))
    }

    /// The place of each change, with `*` for positions in arrays; [`UNCHANGED`] where there is none.
    pub(crate) fn places(&self) -> Vec<String> {
        if self.mutations.is_empty() {
            return vec![UNCHANGED.to_owned()];
        }
        self.mutations.iter().map(|mutation| mutation.place(&self.source.input)).collect()
    }
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source.operation.name(), self.source.name)?;
        for mutation in &self.mutations {
            write!(f, "; {mutation}")?;
        }
        Ok(())
    }
}
