//! What a credential may do.

/// What a credential may do with the files of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read files.
    Read,
    /// Read, write and remove files.
    ReadWrite,
}
