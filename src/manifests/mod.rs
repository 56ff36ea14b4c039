//! Reads manifest lists and manifests, with bounds on memory and work. Keeps parsed ones in memory.

mod cache;
mod error;
mod held;
mod read;
#[cfg(test)]
mod tests;

pub use cache::{DEFAULT_CACHE_BYTES, ManifestCache};
pub use error::ManifestError;
pub use held::Held;
pub(crate) use read::Manifests;
