//! Avro files (Avro specification 1.12). Nothing is unpacked beyond a limit, and nothing is read beyond a depth, since tenants
//! write these files.

mod codec;
mod error;
mod file;
mod input;
mod schema;
#[cfg(test)]
mod tests;
mod texts;

pub use error::AvroError;
pub(crate) use file::AvroFile;
pub(crate) use input::Input;
pub(crate) use schema::{Kind, Logical, Node, NodeId, RecordField, Schema, Slot};
pub(crate) use texts::read_texts;
