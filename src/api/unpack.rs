//! Unpacks gzip request bodies (`Content-Encoding`), up to the limit for bodies.

use std::io::{self, Read};

use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use uuid::Uuid;

use super::error::ApiError;
use crate::heavy::{Heavy, INLINE_BYTES};

/// The buffer of one read, in bytes.
const STEP_BYTES: usize = 64 << 10;

/// The most bytes that one packed byte can unpack to (zlib's technical details, "Maximum Compression Factor").
const MOST_UNPACKED_PER_BYTE: usize = 1_032;

/// A body's content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
}

impl Packing {
    /// Reads the coding from a request's headers.
    ///
    /// # Errors
    /// 415 if the body has another coding, or several.
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut packing = Self::Plain;
        for value in headers.get_all(CONTENT_ENCODING) {
            for coding in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
                if is("identity") || coding.is_empty() {
                    continue;
                }
                if packing != Self::Plain || !(is("gzip") || is("x-gzip")) {
                    return Err(ApiError::unsupported_encoding());
                }
                packing = Self::Gzip;
            }
        }
        Ok(packing)
    }
}

/// Unpacks a body, on a worker unless it must be small. Returns `None` if it unpacks to more than `most` bytes. Never uses
/// more memory than that for the result.
///
/// # Errors
/// 400 if the body is not gzip; 503 if no worker is free in time.
pub(super) async fn gunzip(heavy: &Heavy, owner: Uuid, packed: Bytes, most: usize) -> Result<Option<Bytes>, ApiError> {
    let largest = packed.len().saturating_mul(MOST_UNPACKED_PER_BYTE);
    let work_bytes = if (largest as u64) < INLINE_BYTES { 0 } else { INLINE_BYTES.max(most as u64) };
    let unpack = move || read_bounded(MultiGzDecoder::new(packed.as_ref()), most);
    match heavy.run(owner, work_bytes, unpack).await? {
        Ok(unpacked) => Ok(unpacked.map(Bytes::from)),
        Err(error) => {
            Err(ApiError::bad_request(format!("Invalid request body: it cannot be unpacked as gzip: {error}")))
        }
    }
}

/// Reads to the end. Returns `None` if there are more than `limit` bytes.
fn read_bounded(mut from: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut step = vec![0; STEP_BYTES];
    let mut read = Vec::new();
    loop {
        let count = match from.read(&mut step) {
            Ok(0) => return Ok(Some(read)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let wanted = read.len() + count;
        if wanted > limit {
            return Ok(None);
        }
        if wanted > read.capacity() {
            // Doubled, as a vector grows, but never beyond the limit.
            let capacity = wanted.max(read.capacity() * 2).min(limit);
            read.reserve_exact(capacity - read.len());
        }
        read.extend_from_slice(&step[..count]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn unpacking_stops_at_the_limit_and_allocates_no_more() {
        let bomb = gzip(&vec![b' '; 16 << 20]);
        assert!(bomb.len() < 32 << 10);
        for limit in [0, 1, 1_000, STEP_BYTES, 1 << 20, (16 << 20) - 1] {
            assert_eq!(read_bounded(MultiGzDecoder::new(&bomb[..]), limit).unwrap(), None, "{limit}");
        }
        for limit in [16 << 20, 20 << 20] {
            let read = read_bounded(MultiGzDecoder::new(&bomb[..]), limit).unwrap().unwrap();
            assert!(read.len() == 16 << 20 && read.capacity() <= limit, "{limit}: {}", read.capacity());
        }
    }

    #[test]
    fn coding_other_than_one_gzip_is_refused() {
        let of = |value: &'static str| {
            Packing::from_headers(&HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(value))])).ok()
        };
        assert_eq!(Packing::from_headers(&HeaderMap::new()).ok(), Some(Packing::Plain));
        assert_eq!([of(""), of("identity")], [Some(Packing::Plain); 2]);
        assert_eq!([of("gzip"), of("GZIP"), of("x-gzip"), of("identity, gzip")], [Some(Packing::Gzip); 4]);
        assert_eq!([of("gzip, gzip"), of("br"), of("zstd"), of("deflate"), of("gzip, br"), of("?")], [None; 6]);
    }
}
