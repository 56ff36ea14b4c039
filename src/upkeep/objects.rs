//! The objects of one table for `tidewater-rewrite`, whose threads wait for them.

use std::io::{self, Write};
use std::ops::Range;

use bytes::Bytes;
use tidewater_core::location::Location;
use tidewater_core::purge::inside;
use tidewater_rewrite::{Files, FilesError};
use tokio::runtime::Handle;

use crate::storage::{NewObject, Storage, StorageError};

/// The objects in a table's own locations. Others are neither read nor written: their rows may not be for the readers of this
/// table.
pub(super) struct TableObjects {
    storage: Storage,
    locations: Vec<Location>,
    runtime: Handle,
}

impl TableObjects {
    /// Creates the objects below `locations`. `runtime` runs the requests of storage.
    pub(super) const fn new(storage: Storage, locations: Vec<Location>, runtime: Handle) -> Self {
        Self { storage, locations, runtime }
    }

    fn find(&self, location: &str) -> Result<Location, FilesError> {
        inside(location, &self.locations)
            .ok_or_else(|| FilesError(format!("{location} is outside of the table's own locations")))
    }
}

fn failed(error: StorageError) -> FilesError {
    FilesError(error.to_string())
}

impl Files for TableObjects {
    fn owns(&self, location: &str) -> bool {
        inside(location, &self.locations).is_some()
    }

    fn read(&self, location: &str, limit_bytes: u64) -> Result<Bytes, FilesError> {
        let location = self.find(location)?;
        self.runtime.block_on(self.storage.read_at_most(&location, limit_bytes)).map_err(failed)
    }

    fn read_range(&self, location: &str, range: Range<u64>) -> Result<Bytes, FilesError> {
        let location = self.find(location)?;
        self.runtime.block_on(self.storage.read_range(&location, range)).map_err(failed)
    }

    fn write(&self, location: &str, content: Bytes) -> Result<(), FilesError> {
        let location = self.find(location)?;
        self.runtime.block_on(self.storage.create(&location, content)).map_err(failed)
    }

    fn create(&self, location: &str) -> Result<Box<dyn tidewater_rewrite::NewObject>, FilesError> {
        let object = self.storage.begin_object(self.find(location)?);
        Ok(Box::new(TableObject { object: Some(object), runtime: self.runtime.clone() }))
    }
}

/// A new object of the table.
struct TableObject {
    object: Option<NewObject>,
    runtime: Handle,
}

impl Write for TableObject {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let object = self.object.as_mut().ok_or_else(|| io::Error::other("the object is finished"))?;
        self.runtime.block_on(object.write(piece)).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tidewater_rewrite::NewObject for TableObject {
    fn finish(mut self: Box<Self>) -> Result<(), FilesError> {
        let Some(object) = self.object.take() else { return Ok(()) };
        self.runtime.block_on(object.finish()).map_err(failed)
    }
}

impl Drop for TableObject {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            self.runtime.block_on(object.discard());
        }
    }
}
