//! The two kinds of documents: tables' and views'.

use std::sync::Arc;

use tidewater_core::document::{DocumentError, Properties, TableMetadata};
use tidewater_core::view::ViewMetadata;

use super::document::Document;
use super::prepared::LoadResult;

/// The parsed content of a document: a table's metadata or a view's.
pub trait Metadata: Sized + Send + Sync + 'static {
    /// The object's kind, for messages.
    const KIND: &'static str;

    /// Parses JSON.
    ///
    /// # Errors
    /// Fails if the JSON is not metadata of this kind.
    fn parse(json: &[u8]) -> Result<Self, DocumentError>;

    /// Serialises the metadata as JSON.
    fn to_json(&self) -> Vec<u8>;

    /// Estimates the used heap memory, in bytes.
    fn size_bytes(&self) -> usize;

    /// Lists the violations of the specification in `json`, for which readers may refuse the document: a sentence for each.
    fn problems(&self, json: &[u8]) -> Vec<String>;

    /// Lists those of [`Metadata::problems`] that parsing found already.
    fn known_problems(&self) -> Vec<String>;

    /// Returns the table's or view's location.
    fn location(&self) -> &str;

    /// Returns the properties.
    fn properties(&self) -> &Properties;

    /// Wraps a document for the cache.
    fn to_cached(document: Arc<Document<Self>>) -> Cached;

    /// Returns the document of a cache entry, if it is of this kind.
    fn from_cached(cached: Cached) -> Option<Arc<Document<Self>>>;
}

impl<M: Metadata> Document<M> {
    /// Lists the violations of the specification, for which readers may refuse the document: a sentence for each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.metadata.problems(&self.json)
    }
}

/// An entry of the cache.
#[derive(Debug, Clone)]
pub enum Cached {
    /// A table's document.
    Table(Arc<Document<TableMetadata>>),
    /// A view's document.
    View(Arc<Document<ViewMetadata>>),
    /// The answer to a load with only the snapshots that refs lead to. None if these are all snapshots.
    Refs(Option<LoadResult>),
}

impl Cached {
    /// Returns the used memory in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        fn document_bytes<M: Metadata>(document: &Document<M>) -> usize {
            // The checked locations contain the location a second time.
            2 * document.location.len() + document.load_result.size_bytes() + document.metadata.size_bytes()
        }
        match self {
            Self::Table(document) => document_bytes(document),
            Self::View(document) => document_bytes(document),
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

            fn to_cached(document: Arc<Document<Self>>) -> Cached {
                Cached::$kind(document)
            }

            fn from_cached(cached: Cached) -> Option<Arc<Document<Self>>> {
                match cached {
                    Cached::$kind(document) => Some(document),
                    _ => None,
                }
            }
        }
    };
}

metadata!(Table, TableMetadata, "table");
metadata!(View, ViewMetadata, "view");
