//! Reads one text field of each record. Skips other fields without storing them.

use super::error::AvroError;
use super::file::AvroFile;
use super::input::Input;
use super::schema::{Kind, NodeId, Schema};

/// The deepest nesting of a schema or value. Deeper ones are refused.
const MAX_DEPTH: usize = 64;

/// Returns the text at the end of `path`, field by field, in each record. None for a record without text there.
///
/// # Errors
/// All of [`AvroError`]; `TooLarge` when all blocks together unpack to more than `limit_bytes`.
pub(crate) fn read_texts(file: &[u8], path: &[&str], limit_bytes: u64) -> Result<Vec<Option<String>>, AvroError> {
    AvroFile::open(file, MAX_DEPTH)?.read_either_form(|file| {
        let schema = file.schema();
        let mut found = Vec::new();
        file.read_records(limit_bytes, |record| {
            found.push(read_text(schema, schema.root(), record, path, schema.depth())?);
            Ok::<_, AvroError>(())
        })?;
        Ok(found)
    })
}

/// Reads a value. Returns the text at the end of `path` in it. An empty path means the value itself.
fn read_text(
    schema: &Schema,
    id: NodeId,
    input: &mut Input<'_>,
    path: &[&str],
    depth: usize,
) -> Result<Option<String>, AvroError> {
    let below = depth.checked_sub(1).ok_or(AvroError::Malformed("it is nested too deeply"))?;
    match (&schema.node(id).kind, path) {
        (Kind::Bytes | Kind::String, []) => Ok(Some(input.text()?.to_owned())),
        (Kind::Union(branches), _) => {
            let branch =
                branches.get(input.length()?).ok_or(AvroError::Malformed("a union's branch does not exist"))?;
            read_text(schema, *branch, input, path, below)
        }
        (Kind::Record(fields), [first, rest @ ..]) => {
            let mut found = None;
            for field in fields {
                if field.name == *first {
                    found = found.or(read_text(schema, field.node, input, rest, below)?);
                } else {
                    schema.skip_below(field.node, input, below)?;
                }
            }
            Ok(found)
        }
        _ => {
            schema.skip_below(id, input, depth)?;
            Ok(None)
        }
    }
}
