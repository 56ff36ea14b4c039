//! Basic tools for all parts: time and new ids, stored times, secrets, files that settings name, deadlines, traces, shared calls, a lock for each key, and the line for
//! places.

pub mod clock;
pub mod deadline;
pub mod due;
pub(crate) mod flight;
pub(crate) mod keyed_lock;
pub mod latest;
pub(crate) mod line;
pub mod measure;
pub mod named_file;
pub mod pem_files;
pub mod secret;
pub mod trace;
pub mod url_text;
