//! A case: one question for both sides, with its source and changes.

use std::fmt;

use serde_json::Value;

use super::corpus::Source;
use super::mutation::Mutation;
use super::text::to_text;

/// The kind of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operation {
    /// A table's document to register.
    Table,
    /// A commit to a table.
    Commit,
    /// The commit of a staged create.
    CreateCommit,
    /// A request to create a table.
    Create,
    /// A view's document to register.
    View,
    /// A commit to a view.
    ViewCommit,
    /// A request to create a view.
    CreateView,
}

impl Operation {
    /// Returns its name in questions to the oracle, and in reports.
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

    /// Returns whether it is about a view.
    pub(crate) fn is_of_view(self) -> bool {
        matches!(self, Self::View | Self::ViewCommit | Self::CreateView)
    }

    /// Returns the operation that parses its document.
    pub(crate) fn reading(self) -> Self {
        if self.is_of_view() { Self::View } else { Self::Table }
    }

    /// Returns whether its document has a new id each time.
    pub(crate) fn makes_an_id(self) -> bool {
        matches!(self, Self::Create | Self::CreateView | Self::CreateCommit)
    }
}

/// Stands for the place of a change in a case without changes.
pub(crate) const UNCHANGED: &str = "unchanged";

/// A source with up to two changes.
#[derive(Debug, Clone)]
pub(crate) struct Case<'a> {
    pub(crate) source: &'a Source,
    pub(crate) mutations: Vec<Mutation>,
}

impl Case<'_> {
    /// Returns the changed text, or `None` if the changes do not fit together.
    pub(crate) fn input(&self) -> Option<String> {
        let mut value: Value = self.source.input.clone();
        for mutation in &self.mutations {
            mutation.apply(&mut value)?;
        }
        Some(to_text(&value))
    }

    /// Returns the place of each change, with `*` for positions in arrays; [`UNCHANGED`] if there is none.
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
