//! Entries of manifests, as the answer's rules take them.

use std::fmt::Write;

use tidewater_core::scan::answer::{Content, ContentFile};
use tidewater_manifests::{Entry, FileContent};

/// Memory for the texts and lists of an entry. Its next use replaces them.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    path: String,
    referenced: String,
    split_offsets: Vec<i64>,
    equality_ids: Vec<i32>,
}

impl Buffers {
    /// Returns an entry with a partition spec as a content file. `hides` leaves out the key that decrypts it.
    pub(super) fn content_file<'a>(&'a mut self, entry: &'a Entry<'a>, spec_id: i32, hides: bool) -> ContentFile<'a> {
        set(&mut self.path, entry.path());
        let has_reference = entry.referenced_data_file().map(|path| set(&mut self.referenced, path)).is_some();
        let splits = entry.split_offsets();
        let has_splits = splits.is_some();
        self.split_offsets.clear();
        self.split_offsets.extend(splits.into_iter().flatten());
        self.equality_ids.clear();
        self.equality_ids.extend(entry.equality_ids().into_iter().flatten());
        ContentFile {
            content: match entry.content() {
                FileContent::Data => Content::Data,
                FileContent::PositionDeletes => Content::PositionDeletes,
                FileContent::EqualityDeletes => Content::EqualityDeletes,
            },
            path: &self.path,
            format: entry.format(),
            spec_id,
            partition: entry.partition(),
            record_count: tidewater_core::scan::statistics::FileStatistics::record_count(entry),
            file_size_bytes: entry.file_size_bytes(),
            key_metadata: entry.key_metadata().filter(|_| !hides),
            split_offsets: has_splits.then_some(self.split_offsets.as_slice()),
            sort_order_id: entry.sort_order_id(),
            first_row_id: entry.first_row_id(),
            content_offset: entry.content_offset(),
            content_size_bytes: entry.content_size_bytes(),
            referenced_data_file: has_reference.then_some(self.referenced.as_str()),
            equality_ids: &self.equality_ids,
            statistics: entry,
        }
    }
}

fn set(text: &mut String, value: impl std::fmt::Display) {
    text.clear();
    // Writing to a string cannot fail.
    let _ = write!(text, "{value}");
}
