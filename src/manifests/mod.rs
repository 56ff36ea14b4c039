//! Reads manifest lists and manifests, with bounds for what a file may take.

mod avro;
mod names;
mod read;
#[cfg(test)]
mod tests;

pub(crate) use read::{ManifestError, Manifests};
