//! Reads manifest lists and manifests, with bounds on memory and work.

mod read;
#[cfg(test)]
mod tests;

pub(crate) use read::{ManifestError, Manifests};
