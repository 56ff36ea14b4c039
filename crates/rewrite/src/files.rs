//! The objects of a table, as the caller's storage gives them. Calls block: they run on worker threads.

use std::io::Write;
use std::ops::Range;

use bytes::Bytes;

use crate::error::FilesError;

/// Reads and writes objects by their location.
pub trait Files: Send + Sync {
    /// Returns whether an object belongs to the table, so that its rows may be copied into the table's new files.
    fn owns(&self, location: &str) -> bool;

    /// Reads an object, if it has at most `limit_bytes` bytes.
    ///
    /// # Errors
    /// Fails if the object is missing or too large, or storage does not answer.
    fn read(&self, location: &str, limit_bytes: u64) -> Result<Bytes, FilesError>;

    /// Reads a range of bytes of an object. Returns exactly as many bytes as asked for.
    ///
    /// # Errors
    /// Fails if the object is missing or ends earlier, or storage does not answer.
    fn read_range(&self, location: &str, range: Range<u64>) -> Result<Bytes, FilesError>;

    /// Writes a new object, never over an existing one.
    ///
    /// # Errors
    /// Fails if the object exists, or storage does not answer.
    fn write(&self, location: &str, content: Bytes) -> Result<(), FilesError>;

    /// Begins a new object that is written piece by piece.
    ///
    /// # Errors
    /// Fails if storage does not answer.
    fn create(&self, location: &str) -> Result<Box<dyn NewObject>, FilesError>;
}

/// An object that is being written. It appears when it is finished. A drop before that discards it.
pub trait NewObject: Write + Send {
    /// Ends the object. It is durable when this returns.
    ///
    /// # Errors
    /// Fails if storage does not answer. The object may exist then.
    fn finish(self: Box<Self>) -> Result<(), FilesError>;
}
