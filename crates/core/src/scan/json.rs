//! A JSON text as a list of nodes, read without recursion: a chain of thousands of `or` is a text that is nested as deep.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::FilterError;
use crate::document::json::excerpt;

/// The maximum number of values in a text. A literal in its longest form has four.
const MAX_VALUES: usize = 500_000;

/// A JSON value. Nested values are positions in [`Json`].
#[derive(Debug)]
pub(super) enum Node<'t> {
    Null,
    Boolean(bool),
    /// The text of a number.
    Number(&'t str),
    String(Cow<'t, str>),
    Array(Vec<usize>),
    Object(Vec<(Cow<'t, str>, usize)>),
}

/// The values of a JSON text. The last is the outermost, and each comes after the values nested in it.
#[derive(Debug)]
pub(super) struct Json<'t> {
    nodes: Vec<Node<'t>>,
}

/// An array or object that has not ended.
enum Open<'t> {
    Array(Vec<usize>),
    Object(Vec<(Cow<'t, str>, usize)>, Option<Cow<'t, str>>),
}

impl<'t> Json<'t> {
    /// Parses a text.
    ///
    /// # Errors
    /// Fails if it is not JSON, an object has a field twice, or there are too many values.
    pub(super) fn parse(text: &'t str) -> Result<Self, FilterError> {
        // Checks the syntax, and does not recurse. The reader below relies on it.
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| malformed(&error.to_string()))?;
        Reader { text: raw.get(), at: 0, nodes: Vec::new(), open: Vec::new() }.read()
    }

    /// Returns the position of the outermost value.
    pub(super) fn root(&self) -> usize {
        self.nodes.len().saturating_sub(1)
    }

    pub(super) fn node(&self, at: usize) -> &Node<'t> {
        &self.nodes[at]
    }

    /// Returns the position of a field's value, if the value at `at` is an object with the field. A null is a value.
    pub(super) fn field(&self, at: usize, key: &str) -> Option<usize> {
        let Node::Object(fields) = self.node(at) else { return None };
        fields.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// Returns the string at `at`, if it is one.
    pub(super) fn string(&self, at: usize) -> Option<&str> {
        match self.node(at) {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a short description of the value at `at` for a message.
    pub(super) fn describe(&self, at: usize) -> String {
        match self.node(at) {
            Node::Null => "null".to_owned(),
            Node::Boolean(value) => value.to_string(),
            Node::Number(text) => excerpt(text),
            Node::String(text) => format!("'{}'", excerpt(text)),
            Node::Array(_) => "an array".to_owned(),
            Node::Object(fields) => {
                let keys: Vec<String> = fields.iter().take(5).map(|(key, _)| excerpt(key)).collect();
                format!("an object with the fields {}", keys.join(", "))
            }
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    nodes: Vec<Node<'t>>,
    open: Vec<Open<'t>>,
}

impl<'t> Reader<'t> {
    fn read(mut self) -> Result<Json<'t>, FilterError> {
        while let Some(byte) = self.text.as_bytes().get(self.at).copied() {
            match byte {
                b'{' => self.begin(Open::Object(Vec::new(), None)),
                b'[' => self.begin(Open::Array(Vec::new())),
                b'}' | b']' => self.end()?,
                b'"' => {
                    let text = self.string()?;
                    match self.open.last_mut() {
                        Some(Open::Object(_, key @ None)) => *key = Some(text),
                        _ => self.add(Node::String(text))?,
                    }
                }
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => self.at += 1,
                _ => {
                    let node = match self.word() {
                        "null" => Node::Null,
                        "true" => Node::Boolean(true),
                        "false" => Node::Boolean(false),
                        number => Node::Number(number),
                    };
                    self.add(node)?;
                }
            }
        }
        Ok(Json { nodes: self.nodes })
    }

    fn begin(&mut self, open: Open<'t>) {
        self.open.push(open);
        self.at += 1;
    }

    fn end(&mut self) -> Result<(), FilterError> {
        self.at += 1;
        match self.open.pop() {
            Some(Open::Array(elements)) => self.add(Node::Array(elements)),
            Some(Open::Object(fields, _)) => {
                let mut keys: Vec<&str> = fields.iter().map(|(key, _)| key.as_ref()).collect();
                keys.sort_unstable();
                if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
                    return Err(malformed(&format!("field '{}' appears twice", excerpt(twice[0]))));
                }
                self.add(Node::Object(fields))
            }
            None => Err(malformed("unexpected end of an array or object")),
        }
    }

    /// Adds a value, and puts it into the array or object that it is in.
    fn add(&mut self, node: Node<'t>) -> Result<(), FilterError> {
        let at = self.nodes.len();
        if at >= MAX_VALUES {
            return Err(FilterError::TooLarge(format!("it has more than {MAX_VALUES} JSON values")));
        }
        self.nodes.push(node);
        match self.open.last_mut() {
            Some(Open::Array(elements)) => elements.push(at),
            Some(Open::Object(fields, key)) => fields.push((key.take().unwrap_or_default(), at)),
            None => {}
        }
        Ok(())
    }

    /// Reads the string that begins here. Borrows it if it has no escapes.
    fn string(&mut self) -> Result<Cow<'t, str>, FilterError> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        let mut end = start + 1;
        while bytes.get(end).is_some_and(|byte| *byte != b'"') {
            let step = if bytes[end] == b'\\' { 2 } else { 1 };
            escaped |= step == 2;
            end += step;
        }
        let whole = self.text.get(start..=end).ok_or_else(|| malformed("a string does not end"))?;
        self.at = end + 1;
        if !escaped {
            return Ok(Cow::Borrowed(&whole[1..whole.len() - 1]));
        }
        serde_json::from_str::<String>(whole).map(Cow::Owned).map_err(|error| malformed(&error.to_string()))
    }

    /// Reads a number or one of the words `null`, `true` and `false`.
    fn word(&mut self) -> &'t str {
        let rest = &self.text[self.at..];
        let length = rest.find([',', ':', '}', ']', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}

fn malformed(why: &str) -> FilterError {
    FilterError::Malformed(why.to_owned())
}
