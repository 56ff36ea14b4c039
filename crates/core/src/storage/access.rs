//! What a credential may do.

/// What a credential may do with the files of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read files.
    Read,
    /// Read and write files, and remove none.
    ReadWriteNoDelete,
    /// Read, write and remove files.
    ReadWrite,
}

impl Access {
    /// Returns what a caller may do: `writes` says whether its role allows it to write, `no_delete` whether its key or its
    /// warehouse keeps clients from removing files.
    #[must_use]
    pub const fn new(writes: bool, no_delete: bool) -> Self {
        match (writes, no_delete) {
            (false, _) => Self::Read,
            (true, true) => Self::ReadWriteNoDelete,
            (true, false) => Self::ReadWrite,
        }
    }

    /// Returns whether files may be written.
    #[must_use]
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_writers_that_nothing_keeps_from_it_may_remove_files() {
        assert_eq!(Access::new(true, false), Access::ReadWrite);
        assert_eq!(Access::new(true, true), Access::ReadWriteNoDelete);
        assert_eq!((Access::new(false, false), Access::new(false, true)), (Access::Read, Access::Read));
    }
}
