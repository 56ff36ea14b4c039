//! The versions of a view: the queries, one for each dialect.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use crate::document::json::{Edits, Object, compact, excerpt, join_if_changed};
use crate::document::{DocumentError, Properties};

const KNOWN: [&str; 7] =
    ["version-id", "timestamp-ms", "schema-id", "summary", "representations", "default-catalog", "default-namespace"];

/// One version of a view, with its JSON text.
#[derive(Debug, Clone)]
pub struct ViewVersion {
    id: i32,
    timestamp_ms: i64,
    schema_id: i32,
    definition: Arc<Definition>,
    json: Arc<str>,
}

/// The fields that decide how a version behaves.
#[derive(Debug, PartialEq, Eq)]
struct Definition {
    summary: Properties,
    representations: Vec<Representation>,
    default_catalog: Option<String>,
    default_namespace: Vec<String>,
    others: Vec<(String, String)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Representation {
    Sql {
        sql: String,
        dialect: String,
        others: Vec<(String, String)>,
    },
    /// A representation of an unknown type, as compact JSON.
    Other(String),
}

impl Representation {
    fn parse(text: &str) -> Result<(Self, Cow<'_, str>), DocumentError> {
        let object = Object::parse("view representation", text)?;
        let written = object.string("type")?;
        if !written.trim().eq_ignore_ascii_case("sql") {
            return Ok((Self::Other(compact(text)), Cow::Borrowed(text)));
        }
        let mut edits = Edits::default();
        edits.correct_string("type", &written, "sql");
        let sql = Self::Sql {
            sql: object.string("sql")?,
            dialect: object.string("dialect")?,
            others: object.others(&["type", "sql", "dialect"]),
        };
        Ok((sql, edits.apply(&object, text)))
    }
}

impl ViewVersion {
    /// Parses a version. Keeps its JSON in the specification's spelling.
    pub(super) fn parse(text: &str) -> Result<Self, DocumentError> {
        let object = Object::parse("view version", text)?;
        let mut edits = Edits::default();
        edits.drop_nulls(&object, &["default-catalog"]);
        let read = object.array("representations")?.into_iter().map(Representation::parse);
        let (representations, spelled): (_, Vec<_>) = read.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        if let Some(representations) = join_if_changed(&spelled) {
            edits.set("representations", representations);
        }
        let definition = Definition {
            summary: object.read("summary", "a map of strings")?,
            representations,
            default_catalog: object.optional_string("default-catalog")?,
            default_namespace: object.read("default-namespace", "an array of strings")?,
            others: object.others(&KNOWN),
        };
        Ok(Self {
            id: object.i32("version-id")?,
            timestamp_ms: object.i64("timestamp-ms")?,
            schema_id: object.i32("schema-id")?,
            definition: Arc::new(definition),
            json: edits.apply(&object, text).into(),
        })
    }

    /// Returns its id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Returns the time of its creation, in milliseconds since 1970.
    #[must_use]
    pub fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// Returns the id of the schema of its rows.
    #[must_use]
    pub fn schema_id(&self) -> i32 {
        self.schema_id
    }

    /// Returns pairs of a dialect and its query.
    pub fn queries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.definition.representations.iter().filter_map(|one| match one {
            Representation::Sql { sql, dialect, .. } => Some((dialect.as_str(), sql.as_str())),
            Representation::Other(_) => None,
        })
    }

    /// Returns its JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Checks that the version has a query, and at most one for each dialect.
    ///
    /// # Errors
    /// Fails if it has no representation, a representation of a type other than `sql` (the only one in the specification), or two
    /// queries for one dialect; or if a namespace contains a null character, which readers refuse.
    pub(super) fn check_representations(&self) -> Result<(), DocumentError> {
        if self.definition.representations.is_empty() {
            return Err(DocumentError::invalid(
                "Invalid view version: it has no representations, so there is no query",
            ));
        }
        if let Some(Representation::Other(json)) =
            self.definition.representations.iter().find(|one| matches!(one, Representation::Other(_)))
        {
            let shown = excerpt(json);
            return Err(DocumentError::invalid(format!(
                "Invalid view version: unknown type of representation: {shown}"
            )));
        }
        if self.definition.default_namespace.iter().any(|level| level.contains('\0')) {
            return Err(DocumentError::invalid("Invalid view version: default-namespace contains a null character"));
        }
        let mut seen = HashSet::new();
        for (dialect, _) in self.queries() {
            let dialect = dialect.to_lowercase();
            if seen.contains(&dialect) {
                // The compatibility kit compares this text.
                return Err(DocumentError::invalid(format!(
                    "Invalid view version: Cannot add multiple queries for dialect {dialect}"
                )));
            }
            seen.insert(dialect);
        }
        Ok(())
    }

    /// Returns whether both versions behave alike. Ignores their ids and times.
    pub(super) fn same_definition(&self, other: &Self) -> bool {
        self.schema_id == other.schema_id && self.definition == other.definition
    }

    /// Returns the version with another id and schema.
    pub(super) fn with_ids(&self, id: i32, schema_id: i32) -> Result<Self, DocumentError> {
        if (id, schema_id) == (self.id, self.schema_id) {
            return Ok(self.clone());
        }
        let changes = [("version-id", Some(&*id.to_string())), ("schema-id", Some(&*schema_id.to_string()))];
        let json = Object::parse("view version", &self.json)?.rewrite(&changes);
        Ok(Self { id, schema_id, json: json.into(), ..self.clone() })
    }

    pub(super) fn size_bytes(&self) -> usize {
        // The typed fields hold a second copy of the texts.
        self.json.len() * 2 + size_of::<Self>() + size_of::<Definition>()
    }
}
