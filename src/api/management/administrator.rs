//! Who administers the catalog.

use std::sync::Arc;

/// The machine itself: a command over the Unix socket in the data folder, or in this process. The socket adds it to a
/// request's extensions; nothing that comes over TCP can have it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The user who runs the command, as the system names them.
    pub user: Arc<str>,
}
