//! The record of removed events, by which readers of the feed notice that they missed some.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::store::Result;

/// Records the removal of events, given as their organisations (zeros for the server) and positions.
pub(super) fn note_removed(
    connection: &Connection,
    removed: impl IntoIterator<Item = (Option<[u8; 16]>, i64)>,
) -> Result<u64> {
    let (mut highest, mut total) = (BTreeMap::new(), 0);
    for (organisation, position) in removed {
        let known = highest.entry(organisation.unwrap_or_default()).or_insert(position);
        *known = position.max(*known);
        total += 1;
    }
    let mut note = connection.prepare_cached(
        "INSERT INTO feed_removed (organisation, position) VALUES (?1, ?2)
         ON CONFLICT (organisation) DO UPDATE SET position = max(position, excluded.position)",
    )?;
    for (organisation, position) in highest {
        note.execute(params![organisation, position])?;
    }
    Ok(total)
}
