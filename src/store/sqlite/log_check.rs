//! Inspects the database's log after an unclean stop, before the database is opened.
//!
//! SQLite reads the log up to the first damaged frame, and does not report the frames after it ("WAL-mode File Format",
//! sections 4 and 5). This module reads the same frames and also the frames after them. The log's index in shared memory
//! survives a killed process. It has the number of committed frames.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The magic number. If its last bit is set, checksums read the words in big-endian order.
const MAGIC: u32 = 0x377f_0682;
/// Both copies of the index's header and the checkpoint's progress behind them.
const INDEX_BYTES: usize = 136;
const INDEX_HEADER_BYTES: usize = 48;

/// The content of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogFound {
    /// The size of the log's file.
    pub size_bytes: u64,
    /// Frames up to the last valid commit: what SQLite reads.
    pub frames: u64,
    /// Commits among them.
    pub commits: u64,
    /// Bytes after these that belong to the same run of the log.
    pub left_out_bytes: u64,
    /// Whole commits among these, behind a frame that is damaged.
    pub later_commits: u64,
    /// Frames that are committed according to the index, but are neither readable nor in the database.
    pub missing_frames: u64,
}

impl LogFound {
    /// Returns whether acknowledged changes are lost.
    #[must_use]
    pub const fn is_damaged(&self) -> bool {
        self.later_commits > 0 || self.missing_frames > 0
    }
}

/// Reads the log beside the database at `database`, which no process may be using. Changes nothing.
///
/// # Errors
/// Fails if the log or its index exists and cannot be read.
pub(super) fn inspect(database: &Path) -> io::Result<LogFound> {
    let index = read_index(&beside(database, "-shm"))?;
    let mut found = LogFound::default();
    let mut salts = None;
    match File::open(beside(database, "-wal")) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(file) => {
            found.size_bytes = file.metadata()?.len();
            salts = read_frames(&mut BufReader::with_capacity(1 << 20, file), &mut found)?;
            if salts.is_none() {
                found.left_out_bytes = found.size_bytes;
            }
        }
    }
    // An index with other salts belongs to an earlier run of the log.
    if let Some(index) = index.filter(|index| salts.is_none_or(|salts| salts == index.salts)) {
        found.missing_frames = index.committed.saturating_sub(found.frames.max(index.folded_back));
    }
    Ok(found)
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The content of the log's index.
struct Index {
    salts: [u8; 8],
    /// Frames that are committed.
    committed: u64,
    /// The number of these frames that are in the database too.
    folded_back: u64,
}

/// Reads the log's index. Returns `None` if the index does not exist or is incomplete.
fn read_index(path: &Path) -> io::Result<Option<Index>> {
    let mut bytes = [0; INDEX_BYTES];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut bytes));
    match read {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => return Ok(None),
        Err(error) => return Err(error),
    }
    let (first, second) = bytes[..2 * INDEX_HEADER_BYTES].split_at(INDEX_HEADER_BYTES);
    let is_whole = first == second && first[12] == 1;
    // All numbers are in the machine's byte order, except the salts, which are copied from the log.
    let number = |at: usize| u64::from(u32::from_ne_bytes(word(&bytes, at)));
    let mut salts = [0; 8];
    salts.copy_from_slice(&bytes[32..40]);
    Ok(is_whole.then(|| Index { salts, committed: number(16), folded_back: number(2 * INDEX_HEADER_BYTES) }))
}

/// Reads the frames into `found`. Returns the salts of this run of the log, or `None` if the header is invalid.
fn read_frames(log: &mut impl Read, found: &mut LogFound) -> io::Result<Option<[u8; 8]>> {
    let mut header = [0; HEADER_BYTES];
    if !read_whole(log, &mut header)? {
        return Ok(None);
    }
    let magic = big_endian(&header, 0);
    let page_bytes = big_endian(&header, 8) as usize;
    let is_sane = magic & !1 == MAGIC && page_bytes.is_power_of_two() && (512..=65_536).contains(&page_bytes);
    let sum = Sum { is_big_endian: magic & 1 == 1 };
    let mut last = sum.add((0, 0), &header[..24]);
    if !is_sane || last != (big_endian(&header, 24), big_endian(&header, 28)) {
        return Ok(None);
    }
    let salts = {
        let mut salts = [0; 8];
        salts.copy_from_slice(&header[16..24]);
        salts
    };
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    let (mut read, mut is_whole) = (0, true);
    while read_whole(log, &mut frame)? {
        let stored = (big_endian(&frame, 16), big_endian(&frame, 20));
        let is_of_this_run = frame[8..16] == salts;
        let is_intact = is_of_this_run && sum.add(sum.add(last, &frame[..8]), &frame[FRAME_HEADER_BYTES..]) == stored;
        let is_commit = big_endian(&frame, 4) != 0;
        last = stored;
        is_whole &= is_intact;
        read += 1;
        if is_whole && is_commit {
            (found.frames, found.commits, found.left_out_bytes) = (read, found.commits + 1, 0);
        } else if is_of_this_run {
            found.left_out_bytes += frame.len() as u64;
            found.later_commits += u64::from(!is_whole && is_intact && is_commit);
        }
    }
    Ok(Some(salts))
}

/// Computes checksums of the log (section 4.2).
struct Sum {
    is_big_endian: bool,
}

impl Sum {
    fn add(&self, (mut first, mut second): (u32, u32), bytes: &[u8]) -> (u32, u32) {
        let number = |at: usize| {
            let word = word(bytes, at);
            if self.is_big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
        };
        for at in (0..bytes.len()).step_by(8) {
            first = first.wrapping_add(number(at)).wrapping_add(second);
            second = second.wrapping_add(number(at + 4)).wrapping_add(first);
        }
        (first, second)
    }
}

fn word(bytes: &[u8], at: usize) -> [u8; 4] {
    [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
}

fn big_endian(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(word(bytes, at))
}

/// Fills the buffer. Returns false at the end of the file.
fn read_whole(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
