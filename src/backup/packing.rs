//! Compresses a copy of the database, and reads backups with or without compression.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The level of compression. Higher ones take much longer for databases and save little.
const LEVEL: i32 = 3;

/// The bytes with which compressed data begins (RFC 8878, section 3.1.1).
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// After how many bytes a file that is being written is synced. One sync of a large file at the end would make the commits of the
/// server wait.
const SYNC_BYTES: u64 = 8 << 20;

/// A file whose content is synced bit by bit. It ends with an error when its writer is to stop.
struct Steady<'a> {
    file: &'a File,
    unsynced_bytes: u64,
    is_stopped: &'a dyn Fn() -> bool,
}

impl Write for Steady<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.is_stopped)() {
            return Err(io::Error::other("the backup was stopped before its end"));
        }
        let written = self.file.write(bytes)?;
        self.unsynced_bytes += written as u64;
        if self.unsynced_bytes >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced_bytes = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Compresses the file `from` into the open file `to`, with a checksum, and syncs it.
///
/// # Errors
/// The system's error; an error if `is_stopped` returns true.
pub(super) fn pack(from: &Path, to: &File, is_stopped: &dyn Fn() -> bool) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut encoder = zstd::Encoder::new(Steady { file: to, unsynced_bytes: 0, is_stopped }, LEVEL)?;
    encoder.include_checksum(true)?;
    io::copy(&mut from, &mut encoder)?;
    encoder.finish()?;
    to.sync_all()
}

/// Copies the file `from`, decompressed if it is compressed, into the open file `to`. Does not sync it.
///
/// # Errors
/// The system's error; an error if the content is damaged or incomplete.
pub(super) fn unpack(from: &mut File, to: &File, is_stopped: &dyn Fn() -> bool) -> io::Result<()> {
    let mut first = [0; MAGIC.len()];
    let read = read_up_to(from, &mut first)?;
    from.seek(SeekFrom::Start(0))?;
    let mut to = Steady { file: to, unsynced_bytes: 0, is_stopped };
    if first[..read] == MAGIC {
        io::copy(&mut zstd::Decoder::new(BufReader::new(from))?, &mut to)?;
    } else {
        io::copy(from, &mut to)?;
    }
    Ok(())
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> bool {
        false
    }

    #[test]
    fn packed_file_is_smaller_and_unpacks_to_the_same_content() {
        let folder = tempfile::tempdir().unwrap();
        let [plain, packed, again] = ["plain", "packed", "again"].map(|name| folder.path().join(name));
        let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7 % 251) as u8).collect();
        std::fs::write(&plain, &content).unwrap();
        pack(&plain, &File::create(&packed).unwrap(), &never).unwrap();
        assert!(std::fs::metadata(&packed).unwrap().len() < 1_000_000);
        for from in [&packed, &plain] {
            unpack(&mut File::open(from).unwrap(), &File::create(&again).unwrap(), &never).unwrap();
            assert_eq!(std::fs::read(&again).unwrap(), content);
        }
    }

    #[test]
    fn damaged_or_cut_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [plain, packed, again] = ["plain", "packed", "again"].map(|name| folder.path().join(name));
        std::fs::write(&plain, (0..100_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
        pack(&plain, &File::create(&packed).unwrap(), &never).unwrap();
        let whole = std::fs::read(&packed).unwrap();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        for broken in [&whole[..whole.len() - 1], &whole[..middle], &flipped] {
            std::fs::write(&packed, broken).unwrap();
            unpack(&mut File::open(&packed).unwrap(), &File::create(&again).unwrap(), &never).unwrap_err();
        }
    }

    #[test]
    fn stopped_work_ends_with_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        std::fs::write(&plain, vec![7; 1 << 20]).unwrap();
        let to = File::create(folder.path().join("packed")).unwrap();
        assert!(pack(&plain, &to, &|| true).unwrap_err().to_string().contains("stopped"));
    }
}
