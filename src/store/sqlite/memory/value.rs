//! The values of cache entries.

use std::mem::size_of;
use std::sync::Arc;

use tidewater_core::name::NamespaceIdent;

use crate::store::{PageRequest, Properties, SharedPage, TableKind, TableRecord};

/// The value of an entry.
#[derive(Debug)]
pub(super) enum Value {
    /// No value yet: the first read is running.
    Unread,
    /// The table or view with a name. `None` if the name is free.
    Table(Option<TableRecord>),
    /// The properties of a namespace. `None` if the namespace does not exist.
    Namespace(Option<Properties>),
    /// Pages of the tables and views in a namespace.
    Tables(Vec<KeptPage<String>>),
    /// Pages of the namespaces below another, or at the top.
    Children(Vec<KeptPage<NamespaceIdent>>),
}

#[derive(Debug)]
pub(super) struct KeptPage<T> {
    /// The kind of a list of tables or views. None for namespaces.
    pub(super) kind: Option<TableKind>,
    pub(super) request: PageRequest,
    pub(super) page: Arc<SharedPage<T>>,
}

impl Value {
    /// Estimates the memory of the value's heap data, in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Unread | Self::Table(None) | Self::Namespace(None) => 0,
            Self::Table(Some(record)) => {
                record.metadata_location.len() + record.labels.as_ref().map_or(0, |labels| labels.size_bytes())
            }
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
        size_of::<Self>() + items + self.page.room_bytes() + self.request.after.as_ref().map_or(0, String::len)
    }
}
