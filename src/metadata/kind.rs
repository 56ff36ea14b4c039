//! The two kinds of documents: tables' and views'.

use std::sync::Arc;

use tidewater_core::document::{DocumentError, Properties, TableMetadata};
use tidewater_core::view::ViewMetadata;

use super::document::Document;
use super::prepared::LoadResult;

/// What a document says: a table's metadata or a view's.
pub trait Metadata: Sized + Send + Sync + 'static {
    /// What it is metadata of.
    const KIND: &'static str;

    /// Reads its JSON.
    ///
    /// # Errors
    /// When it is not metadata of this kind.
    fn parse(json: &[u8]) -> Result<Self, DocumentError>;

    /// Its JSON.
    fn to_json(&self) -> Vec<u8>;

    /// An estimate of the heap that it takes, in bytes.
    fn size_bytes(&self) -> usize;

    /// Why readers refuse it as it stands in `json`, or may: a sentence for each thing that breaks a rule of the specification.
    fn problems(&self, json: &[u8]) -> Vec<String>;

    /// Of [`Metadata::problems`] those that are found without parsing more than reading did.
    fn known_problems(&self) -> Vec<String>;

    /// Where the files are.
    fn location(&self) -> &str;

    /// The properties.
    fn properties(&self) -> &Properties;

    /// The document as the cache holds it.
    fn keep(document: Arc<Document<Self>>) -> Kept;

    /// What the cache holds, if it is of this kind.
    fn kept(kept: Kept) -> Option<Arc<Document<Self>>>;
}

impl<M: Metadata> Document<M> {
    /// Why readers refuse the document, or may: a sentence for each thing that breaks a rule of the specification.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.metadata.problems(&self.json)
    }
}

/// A document as the cache holds it.
#[derive(Debug, Clone)]
pub enum Kept {
    /// A table's.
    Table(Arc<Document<TableMetadata>>),
    /// A view's.
    View(Arc<Document<ViewMetadata>>),
    /// The answer to a load of a table that asks for fewer snapshots; nothing where these are all.
    Refs(Option<LoadResult>),
}

impl Kept {
    pub(super) fn size_bytes(&self) -> usize {
        fn of<M: Metadata>(document: &Document<M>) -> usize {
            // The location is there a second time, in the proof of it.
            2 * document.location.len() + document.load_result.size_bytes() + document.metadata.size_bytes()
        }
        match self {
            Self::Table(document) => of(document),
            Self::View(document) => of(document),
            Self::Refs(made) => made.as_ref().map_or(0, LoadResult::size_bytes),
        }
    }
}

macro_rules! metadata {
    ($kind:ident, $name:ident, $what:literal) => {
        impl Metadata for $name {
            const KIND: &'static str = $what;

            fn parse(json: &[u8]) -> Result<Self, DocumentError> {
                Self::parse(json)
            }

            fn to_json(&self) -> Vec<u8> {
                self.to_json()
            }

            fn size_bytes(&self) -> usize {
                self.size_bytes()
            }

            fn problems(&self, json: &[u8]) -> Vec<String> {
                self.problems_of_text(json)
            }

            fn known_problems(&self) -> Vec<String> {
                self.known_problems()
            }

            fn location(&self) -> &str {
                self.location()
            }

            fn properties(&self) -> &Properties {
                self.properties()
            }

            fn keep(document: Arc<Document<Self>>) -> Kept {
                Kept::$kind(document)
            }

            fn kept(kept: Kept) -> Option<Arc<Document<Self>>> {
                match kept {
                    Kept::$kind(document) => Some(document),
                    _ => None,
                }
            }
        }
    };
}

metadata!(Table, TableMetadata, "table");
metadata!(View, ViewMetadata, "view");
