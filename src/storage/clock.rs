//! The time of a storage, which may differ from that of this server.

use bytes::Bytes;
use object_store::ObjectStoreExt;
use tidewater_core::location::Location;

use super::{Backend, Storage, StorageError, translate};

impl Storage {
    /// Returns the time of the storage in milliseconds since 1970, or a little less: the last change of an object that is written to
    /// `probe` and removed again. `None` for the local disk, which has this machine's clock.
    ///
    /// # Errors
    /// Those of [`Storage::create`]; `NotFound`. The object may stay if it cannot be removed.
    pub async fn time_ms(&self, probe: &Location) -> Result<Option<i64>, StorageError> {
        if matches!(self.backend, Backend::Local(_)) {
            return Ok(None);
        }
        self.create(probe, Bytes::from_static(b"clock")).await?;
        let changed = async {
            let (store, path) = self.resolve(probe)?;
            store.head(&path).await.map_err(|error| translate(probe, error))
        };
        let changed = self.measured("read", probe, changed).await;
        if let Err(error) = self.remove(probe).await {
            tracing::debug!(%probe, %error, "an object that showed the time of the storage stays");
        }
        Ok(Some(changed?.last_modified.timestamp_millis()))
    }
}
