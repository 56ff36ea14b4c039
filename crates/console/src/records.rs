//! A page with facts, lists and forms. The pages of administration have this shape.

use askama::Template;

use crate::format;
use crate::frame::{Frame, NavItem};
use crate::keys::NewKey;
use crate::link::Link;
use crate::texts as t;
use serde_json::Value;

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The parameter's name.
    pub name: &'static str,
    /// Its label.
    pub label: &'static str,
    /// The value at the start.
    pub value: String,
    /// How it is entered.
    pub input: Input,
    /// Whether it must have a value.
    pub is_required: bool,
    /// An example that the empty field shows.
    pub example: &'static str,
}

/// How a value is entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A line.
    Line,
    /// Several lines.
    Lines,
    /// One of some texts.
    Choice(Vec<String>),
    /// Yes or nothing.
    Check,
}

impl Field {
    /// Returns a field for a line that must have a value.
    #[must_use]
    pub fn required(name: &'static str, label: &'static str) -> Self {
        Self { is_required: true, ..Self::line(name, label, String::new()) }
    }

    /// Returns a field for a line that may be empty.
    #[must_use]
    pub fn line(name: &'static str, label: &'static str, value: String) -> Self {
        Self { name, label, value, input: Input::Line, is_required: false, example: "" }
    }

    /// Returns a field for several lines.
    #[must_use]
    pub fn lines(name: &'static str, label: &'static str) -> Self {
        Self { input: Input::Lines, ..Self::line(name, label, String::new()) }
    }

    /// Returns a choice among texts.
    #[must_use]
    pub fn choice(name: &'static str, label: &'static str, value: String, options: Vec<String>) -> Self {
        Self { input: Input::Choice(options), ..Self::line(name, label, value) }
    }

    /// Returns a field for yes or nothing. `is_set` is its state at the start.
    #[must_use]
    pub fn check(name: &'static str, label: &'static str, is_set: bool) -> Self {
        let value = if is_set { "yes" } else { "" };
        Self { input: Input::Check, ..Self::line(name, label, value.to_owned()) }
    }

    /// Returns the value that its form shows: what was entered if the form was refused.
    #[must_use]
    pub fn shown<'a>(&'a self, frame: &'a Frame, form: &Form) -> &'a str {
        frame.kept(form.change, &form.hidden).map_or(&self.value, |kept| kept.value(self.name))
    }

    /// Adds an example.
    #[must_use]
    pub fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }
}

/// A form that makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The beginning of the ids of its fields, unique on the page.
    pub id: String,
    /// The change's name.
    pub change: &'static str,
    /// What it does.
    pub label: &'static str,
    /// The object, for a form of a row.
    pub about: String,
    /// What happens then.
    pub hint: &'static str,
    /// Parameters that are not entered.
    pub hidden: Vec<(&'static str, String)>,
    /// Its fields.
    pub fields: Vec<Field>,
    /// Whether it removes something.
    pub is_danger: bool,
}

impl Form {
    /// Returns a form without fields.
    #[must_use]
    pub fn new(change: &'static str, label: &'static str) -> Self {
        Self {
            id: change.to_owned(),
            change,
            label,
            about: String::new(),
            hint: "",
            hidden: Vec::new(),
            fields: Vec::new(),
            is_danger: false,
        }
    }

    /// Makes it a form of the row with a number, about the object of a name.
    #[must_use]
    pub fn of_row(self, row: usize, about: &str) -> Self {
        Self { id: format!("{}-{row}", self.id), about: about.to_owned(), ..self }
    }

    /// Returns whether the form was refused, and is open on the page of a frame.
    #[must_use]
    pub fn is_kept(&self, frame: &Frame) -> bool {
        frame.kept(self.change, &self.hidden).is_some()
    }

    /// Says what happens then.
    #[must_use]
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// Adds a parameter that is not entered.
    #[must_use]
    pub fn hidden(mut self, name: &'static str, value: &str) -> Self {
        self.hidden.push((name, value.to_owned()));
        self
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// Marks that it removes something.
    #[must_use]
    pub fn danger(self) -> Self {
        Self { is_danger: true, ..self }
    }
}

/// A row of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// The name, which is in the first column.
    pub name: String,
    /// Where the name leads.
    pub href: Option<String>,
    /// The other columns.
    pub cells: Vec<String>,
    /// A document about it, with its label. It is shown on request.
    pub document: Option<(String, String)>,
    /// What can be done with it.
    pub forms: Vec<Form>,
}

/// A list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// The heading. Empty for the only list of a page, which has the heading of the page.
    pub heading: &'static str,
    /// The text of the list without rows.
    pub empty: &'static str,
    /// The headings of the columns.
    pub columns: Vec<&'static str>,
    /// The number of the cell with a long text, which is broken into lines.
    pub wide: Option<usize>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Where the next page is.
    pub more: Option<String>,
}

impl Records {
    /// Returns whether the cell with a number has a long text.
    #[must_use]
    pub fn is_wide(&self, cell: &usize) -> bool {
        self.wide == Some(*cell)
    }

    /// Returns whether a row has a document.
    #[must_use]
    pub fn has_documents(&self) -> bool {
        self.rows.iter().any(|row| row.document.is_some())
    }

    /// Returns whether a row has a form.
    #[must_use]
    pub fn has_forms(&self) -> bool {
        self.rows.iter().any(|row| !row.forms.is_empty())
    }
}

/// A form that searches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The page.
    pub page: &'static str,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// A page with lists and forms.
#[derive(Debug, Template)]
#[template(path = "records.html")]
pub struct RecordsPage {
    /// The frame.
    pub frame: Frame,
    /// The heading.
    pub heading: String,
    /// What kind of object the heading names. Empty if it names none.
    pub kind: &'static str,
    /// What is listed.
    pub hint: &'static str,
    /// The label of the tabs, and the tabs.
    pub tabs: (&'static str, Vec<NavItem>),
    /// A secret that was just made, with its heading and hint.
    pub secret: Option<(&'static str, &'static str, NewKey)>,
    /// Facts about the object.
    pub facts: Vec<(&'static str, String)>,
    /// A document with its heading.
    pub document: Option<(&'static str, String)>,
    /// The form that searches.
    pub search: Option<Search>,
    /// The lists.
    pub lists: Vec<Records>,
    /// The forms that make changes.
    pub forms: Vec<Form>,
}

impl RecordsPage {
    /// Returns the address of the page without the secret that it shows, for a reload.
    #[must_use]
    pub fn without_secret(&self) -> String {
        let separator = if self.frame.own.contains('?') { '&' } else { '?' };
        format!("{}{separator}done=secret-shown", self.frame.own)
    }

    /// Returns a page without content.
    #[must_use]
    pub fn new(frame: Frame, heading: &str) -> Self {
        Self {
            frame,
            heading: heading.to_owned(),
            kind: "",
            hint: "",
            tabs: ("", Vec::new()),
            secret: None,
            facts: Vec::new(),
            document: None,
            search: None,
            lists: Vec::new(),
            forms: Vec::new(),
        }
    }
}

/// Returns a field of the API's JSON as text. Other values than texts are empty.
#[must_use]
pub fn text(entry: &Value, name: &str) -> String {
    entry[name].as_str().unwrap_or_default().to_owned()
}

/// Returns a time of the API's JSON for people, or an empty text.
#[must_use]
pub fn time(entry: &Value, name: &str) -> String {
    entry[name].as_i64().map(format::time).unwrap_or_default()
}

/// Returns the entries of a list in the API's JSON, numbered.
pub fn entries<'a>(found: &'a Value, name: &str) -> impl Iterator<Item = (usize, &'a Value)> + use<'a> {
    found[name].as_array().into_iter().flatten().enumerate()
}

/// Returns the link to the next page of a list, if the API's JSON names one.
#[must_use]
pub fn next(found: &Value, page: Link) -> Option<String> {
    found["next-page-token"].as_str().map(|token| page.with("page", token).text())
}
