//! Reads manifest lists and manifests, with bounds on memory and work.

mod avro;
mod names;

pub(crate) use names::{UnreadableError, files_of_manifest, manifests_of_list};
