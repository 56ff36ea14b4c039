//! Packs and unpacks compressed metadata files. A large file takes milliseconds, so callers do both on a worker.

use std::io::{self, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Returns whether the bytes begin like a gzip file (RFC 1952). JSON never does.
pub(super) fn is_compressed(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Returns the unpacked size in bytes that a file states (RFC 1952, ISIZE). The statement can be wrong, and a file of several
/// members states only the size of the last.
pub(super) fn promised_bytes(stored: &[u8]) -> u64 {
    stored.last_chunk().map_or(0, |size| u64::from(u32::from_le_bytes(*size)))
}

pub(super) fn compress(json: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 4), flate2::Compression::default());
    encoder.write_all(json)?;
    encoder.finish()
}

/// Unpacks a file. Stops and returns none if the result is larger than `limit_bytes`.
pub(super) fn decompress(stored: &[u8], limit_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut json = Vec::new();
    MultiGzDecoder::new(stored).take(limit_bytes.saturating_add(1)).read_to_end(&mut json)?;
    Ok((json.len() as u64 <= limit_bytes).then_some(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_over_the_limit_is_not_unpacked() {
        let packed = compress(&vec![b' '; 1 << 20]).unwrap();
        assert!(packed.len() < 4_096);
        assert_eq!(promised_bytes(&packed), 1 << 20);
        assert_eq!(decompress(&packed, (1 << 20) - 1).unwrap(), None);
        assert_eq!(decompress(&packed, 1 << 20).unwrap().map(|json| json.len()), Some(1 << 20));
    }

    #[test]
    fn file_of_several_members_states_the_size_of_the_last() {
        let twice = [compress(&[b' '; 100]).unwrap(), compress(&[b' '; 10]).unwrap()].concat();
        assert_eq!(promised_bytes(&twice), 10);
        assert_eq!(decompress(&twice, 110).unwrap().map(|json| json.len()), Some(110));
        assert_eq!(promised_bytes(&[0x1f, 0x8b]), 0);
    }
}
