//! The rights of a credential.

/// The rights of a credential on the files of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read files.
    Read,
    /// Read and write files, but not remove them.
    ReadWriteNoDelete,
    /// Read, write and remove files.
    ReadWrite,
}

impl Access {
    /// Returns the rights of a caller. `writes`: its role allows writing. `no_delete`: its key or the warehouse does not allow
    /// clients to remove files.
    #[must_use]
    pub const fn new(writes: bool, no_delete: bool) -> Self {
        match (writes, no_delete) {
            (false, _) => Self::Read,
            (true, true) => Self::ReadWriteNoDelete,
            (true, false) => Self::ReadWrite,
        }
    }

    /// Returns whether writing is allowed.
    #[must_use]
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_writer_without_no_delete_may_remove_files() {
        assert_eq!(Access::new(true, false), Access::ReadWrite);
        assert_eq!(Access::new(true, true), Access::ReadWriteNoDelete);
        assert_eq!((Access::new(false, false), Access::new(false, true)), (Access::Read, Access::Read));
    }
}
