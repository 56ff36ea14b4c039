//! Reads a Parquet file from storage in few and large requests.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::structures::check_page_header;
use crate::error::{FilesError, RewriteError};
use crate::files::Files;

/// A file of at most this size is read in one request, in bytes.
const WHOLE_BYTES: u64 = 32 << 20;

/// The least and the most bytes of a request for a part of a larger file.
const WINDOW_BYTES: std::ops::Range<u64> = (256 << 10)..(8 << 20);

/// A file in storage. Its parts that were read last stay in memory.
pub(crate) struct RangeReader {
    shared: Arc<Shared>,
}

struct Shared {
    files: Arc<dyn Files>,
    location: String,
    size_bytes: u64,
    window_bytes: u64,
    windows: usize,
    /// The most bytes of a page. `None` for a reader of the footer, which reads no pages.
    page_bytes: Option<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    read: VecDeque<(u64, Bytes)>,
    error: Option<FilesError>,
}

impl RangeReader {
    /// Creates a reader of a file with so many columns, in at most `memory_bytes`. No page may have more than that.
    pub(crate) fn new(
        files: Arc<dyn Files>,
        location: &str,
        size_bytes: u64,
        (columns, memory_bytes): (usize, u64),
    ) -> Self {
        Self::with_pages(files, location, size_bytes, (columns, memory_bytes), Some(memory_bytes))
    }

    fn with_pages(
        files: Arc<dyn Files>,
        location: &str,
        size_bytes: u64,
        (columns, memory_bytes): (usize, u64),
        page_bytes: Option<u64>,
    ) -> Self {
        // Columns are read side by side, each in its own window; one more is for the footer.
        let windows = columns.max(1) + 1;
        let share = (memory_bytes / windows as u64).clamp(WINDOW_BYTES.start, WINDOW_BYTES.end);
        let is_small = size_bytes <= WHOLE_BYTES.min(memory_bytes);
        let window_bytes = if is_small { size_bytes } else { share };
        let location = location.to_owned();
        let state = Mutex::default();
        let shared = Shared { files, location, size_bytes, window_bytes, windows, page_bytes, state };
        Self { shared: Arc::new(shared) }
    }

    /// Creates a reader of a file's footer.
    pub(crate) fn for_footer(files: Arc<dyn Files>, location: &str, size_bytes: u64, memory_bytes: u64) -> Self {
        Self::with_pages(files, location, size_bytes, (1, memory_bytes), None)
    }

    /// Returns the same reader: both share what was read.
    pub(crate) fn share(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }

    /// Reads a part.
    pub(crate) fn bytes(&self, start: u64, length: u64) -> Result<Bytes, ParquetError> {
        self.shared.get(start, usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Returns the error behind a failure of the Parquet reader: storage's, or that of a file that is left alone.
    pub(crate) fn explain(&self, error: &dyn std::fmt::Display) -> RewriteError {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.error {
            Some(storage) => RewriteError::Files(storage.clone()),
            None => RewriteError::unsupported(format!("{} cannot be read: {error}", self.shared.location)),
        }
    }
}

impl Shared {
    fn get(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.size_bytes);
        let end = end.ok_or_else(|| ParquetError::EOF("a part of the file lies behind its end".to_owned()))?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let found = state.read.iter().find(|(begin, bytes)| *begin <= start && end <= begin + bytes.len() as u64);
        if let Some((begin, bytes)) = found {
            let from = usize::try_from(start - begin).unwrap_or(usize::MAX);
            return Ok(bytes.slice(from..from + length));
        }
        let begin = if self.window_bytes == self.size_bytes { 0 } else { start };
        let window_end = end.max((begin + self.window_bytes).min(self.size_bytes));
        let read = self.files.read_range(&self.location, begin..window_end);
        let bytes = read.map_err(|error| {
            state.error = Some(error.clone());
            ParquetError::General(error.to_string())
        })?;
        if state.read.len() >= self.windows {
            state.read.pop_front();
        }
        state.read.push_back((begin, bytes.clone()));
        let from = usize::try_from(start - begin).unwrap_or(usize::MAX);
        if bytes.len() < from + length {
            return Err(ParquetError::EOF("storage returned fewer bytes than asked for".to_owned()));
        }
        Ok(bytes.slice(from..from + length))
    }
}

/// The bytes from the header of a page on. The first read checks the header.
///
/// The Parquet reader also asks for the bytes behind a header that it has read before, and does not read them.
pub(crate) struct PageStart {
    rest: Reader<Bytes>,
    page_bytes: Option<u64>,
}

impl Read for PageStart {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if let Some(most_bytes) = self.page_bytes.take() {
            check_page_header(self.rest.get_ref(), most_bytes).map_err(std::io::Error::other)?;
        }
        self.rest.read(buffer)
    }
}

impl Length for RangeReader {
    fn len(&self) -> u64 {
        self.shared.size_bytes
    }
}

impl ChunkReader for RangeReader {
    type T = PageStart;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        // Headers of pages are read this way.
        let length = (self.shared.size_bytes.saturating_sub(start)).min(WINDOW_BYTES.start);
        let bytes = self.shared.get(start, usize::try_from(length).unwrap_or(usize::MAX))?;
        Ok(PageStart { rest: bytes.reader(), page_bytes: self.shared.page_bytes })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.shared.get(start, length)
    }
}
