//! Compressed metadata files. Both ways run beside the threads that serve requests: a large document takes milliseconds.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// The largest document that is unpacked: a small file must not be able to fill the memory.
const MAX_UNPACKED_BYTES: u64 = 2 << 30;

/// Whether these bytes begin as a gzip file does (RFC 1952); JSON never does.
pub(super) fn is_compressed(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

pub(super) async fn compress(json: Bytes) -> io::Result<Bytes> {
    off_thread(move || {
        let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 4), flate2::Compression::default());
        encoder.write_all(&json)?;
        encoder.finish().map(Bytes::from)
    })
    .await
}

pub(super) async fn decompress(stored: Bytes) -> io::Result<Bytes> {
    off_thread(move || {
        let mut json = Vec::new();
        MultiGzDecoder::new(stored.as_ref()).take(MAX_UNPACKED_BYTES + 1).read_to_end(&mut json)?;
        if json.len() as u64 > MAX_UNPACKED_BYTES {
            return Err(io::Error::other(format!("it unpacks to more than {MAX_UNPACKED_BYTES} bytes")));
        }
        Ok(Bytes::from(json))
    })
    .await
}

async fn off_thread(work: impl FnOnce() -> io::Result<Bytes> + Send + 'static) -> io::Result<Bytes> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
}
