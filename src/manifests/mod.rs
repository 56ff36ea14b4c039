//! Reads manifest lists and manifests, with bounds for what a file may take.

mod avro;
mod names;

pub(crate) use names::{UnreadableError, files_of_manifest, manifests_of_list};
