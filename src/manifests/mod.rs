//! Reads manifest lists and manifests, with bounds on memory and work. Keeps parsed ones in memory.

mod cache;
mod error;
mod read;
#[cfg(test)]
mod tests;

pub use cache::{DEFAULT_CACHE_BYTES, ManifestCache};
pub use error::ManifestError;
pub(crate) use read::Manifests;
