//! The texts of the metrics that were written last.

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The last text of each format, and the turn to write the next.
#[derive(Debug, Default)]
pub(super) struct LastTexts(pub(super) Mutex<[Option<Written>; 2]>);

/// A text, and when its writing began.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) begun: Instant,
    pub(super) text: Bytes,
}
