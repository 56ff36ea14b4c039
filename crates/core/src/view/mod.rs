//! Views: their metadata document (view specification, format v1), kept whole as a table's is, and commits to it.
//!
//! The rules are those of the REST specification's `ViewRequirement` and `ViewUpdate`; where it leaves something open, those
//! of the reference implementation (Java). Where we differ from it, the function says so, and a test holds it.

mod apply;
mod commit;
mod create;
mod metadata;
mod update;
mod version;

pub use apply::apply_view_updates;
pub use commit::{RegisterView, ViewCommit, ViewRequirement, check_view_requirements};
pub use create::{CreateView, create_view};
pub use metadata::{VersionLogEntry, ViewMetadata};
pub use update::ViewUpdate;
pub use version::ViewVersion;

/// The only format version of views.
pub const VIEW_FORMAT_VERSION: i32 = 1;
