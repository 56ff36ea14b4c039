//! Values that the memory keeps.

use std::mem::size_of;
use std::sync::Arc;

use tidewater_core::name::NamespaceIdent;

use crate::store::{Page, PageRequest, Properties, TableKind, TableRecord};

/// What is kept under a key.
#[derive(Debug)]
pub(super) enum Value {
    /// It is being read for the first time.
    Unread,
    /// The table or view of a name; `None` when the name is free.
    Table(Option<TableRecord>),
    /// The properties of a namespace; `None` when there is no such namespace.
    Namespace(Option<Properties>),
    /// Pages of the tables and views in a namespace.
    Tables(Vec<KeptPage<String>>),
    /// Pages of the namespaces below another, or at the top.
    Children(Vec<KeptPage<NamespaceIdent>>),
}

#[derive(Debug)]
pub(super) struct KeptPage<T> {
    /// Of a list of tables or views, which.
    pub(super) kind: Option<TableKind>,
    pub(super) request: PageRequest,
    pub(super) page: Arc<Page<T>>,
}

impl Value {
    /// The memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Unread | Self::Table(None) | Self::Namespace(None) => 0,
            Self::Table(Some(record)) => record.metadata_location.len(),
            Self::Namespace(Some(properties)) => {
                properties.iter().map(|(key, value)| 2 * size_of::<String>() + key.len() + value.len()).sum()
            }
            Self::Tables(pages) => pages.iter().map(|page| page.bytes(String::len)).sum(),
            Self::Children(pages) => pages.iter().map(|page| page.bytes(|name| name.as_key().len())).sum(),
        }
    }
}

impl<T> KeptPage<T> {
    fn bytes(&self, length: impl Fn(&T) -> usize) -> usize {
        let items = self.page.items.iter().map(|item| size_of::<T>() + length(item)).sum::<usize>();
        size_of::<Self>() + items + self.request.after.as_ref().map_or(0, String::len)
    }
}
