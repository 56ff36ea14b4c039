//! The rows of a source as the target stores them, in the order of their keys.

use sha2::{Digest as _, Sha256};

use super::CopyError;
use crate::store::{CopyRow, CopyState, CopyStore, CopyTable, CopyValue, Malformed, decode_values, encode_values};

/// The tables whose ids a copy may change.
const NUMBERED: [&str; 2] = ["event", "audit"];

/// Some rows.
pub(super) struct Batch {
    /// The rows, with the ids that the target stores.
    pub(super) rows: Vec<CopyRow>,
    /// The key of the last one in the source.
    pub(super) after: Vec<CopyValue>,
}

/// Reads the rows of a table.
pub(super) struct Rows<'a> {
    store: &'a dyn CopyStore,
    table: &'static CopyTable,
    after: Option<Vec<CopyValue>>,
    ids: Option<Ids>,
}

impl<'a> Rows<'a> {
    /// Reads all rows of a source.
    pub(super) fn from_start(store: &'a dyn CopyStore, table: &'static CopyTable) -> Self {
        let ids = NUMBERED.contains(&table.name).then(Ids::default);
        Self { store, table, after: None, ids }
    }

    /// Reads all rows of a target.
    pub(super) fn unchanged(store: &'a dyn CopyStore, table: &'static CopyTable) -> Self {
        Self { store, table, after: None, ids: None }
    }

    /// Reads the rows of a source that are not copied yet.
    pub(super) fn after_state(
        store: &'a dyn CopyStore,
        table: &'static CopyTable,
        state: &CopyState,
    ) -> Result<Self, CopyError> {
        let decoded = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(decode_values).transpose();
        let malformed = |_: Malformed| CopyError::State { table: table.name };
        let after = decoded(&state.after).map_err(malformed)?;
        let written = decoded(&state.written).map_err(malformed)?;
        let mut rows = Self { after, ..Self::from_start(store, table) };
        if let (Some(ids), Some([CopyValue::Number(last), ..])) = (&mut rows.ids, written.as_deref()) {
            ids.last = *last;
        }
        Ok(rows)
    }

    /// Returns the next rows, or `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Batch>, CopyError> {
        let mut rows = self.store.rows_after(self.table, self.after.as_deref()).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        let after = self.table.key_of(last);
        self.after = Some(after.clone());
        if let (Some(ids), Some(position)) = (&mut self.ids, self.table.position("id")) {
            rows.iter_mut().for_each(|row| ids.change(&mut row[position]));
        }
        Ok(Some(Batch { rows, after }))
    }
}

/// Gives each event, or each audit record, an id of its own. Two organisations on PostgreSQL may have the same id, which SQLite does not allow. The order of
/// rows stays, and every id that is larger than the one before it stays too.
#[derive(Debug)]
struct Ids {
    last: i64,
}

impl Default for Ids {
    fn default() -> Self {
        Self { last: i64::MIN }
    }
}

impl Ids {
    fn change(&mut self, id: &mut CopyValue) {
        if let CopyValue::Number(id) = id {
            *id = (*id).max(self.last.saturating_add(1));
            self.last = *id;
        }
    }
}

/// The digest of rows in their order.
#[derive(Default)]
pub(super) struct Digest {
    pub(super) rows: u64,
    hash: Sha256,
    bytes: Vec<u8>,
}

impl Digest {
    /// Adds the next row.
    pub(super) fn add(&mut self, row: &CopyRow) {
        self.bytes.clear();
        encode_values(row, &mut self.bytes);
        self.hash.update(&self.bytes);
        self.rows += 1;
    }

    /// Returns the digest.
    pub(super) fn finish(self) -> Vec<u8> {
        self.hash.finalize().to_vec()
    }
}

/// Encodes a key.
pub(super) fn key_bytes(key: &[CopyValue]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_values(key, &mut bytes);
    bytes
}

/// Returns a row's name for messages: its table and its key.
pub(super) fn named(table: &CopyTable, row: &CopyRow) -> String {
    let key = table.key_columns().map(|at| format!("{} {}", table.columns[at].name, row[at]));
    format!("table '{}', row with {}", table.name, key.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_id_becomes_the_next_one_and_others_stay() {
        let mut ids = Ids::default();
        let changed = [5, 5, 5, 6, 9, 9, 20].map(|id| {
            let mut id = CopyValue::Number(id);
            ids.change(&mut id);
            id
        });
        assert_eq!(changed, [5, 6, 7, 8, 9, 10, 20].map(CopyValue::Number));
    }
}
