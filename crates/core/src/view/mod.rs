//! Views: their metadata document (view specification, format v1), which keeps unknown fields, and commits to it.
//!
//! The rules are those of the REST specification's `ViewRequirement` and `ViewUpdate`. Where it leaves a question open, the
//! rule of the reference implementation (Java) applies. Each function documents its differences, and a test covers them.

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
