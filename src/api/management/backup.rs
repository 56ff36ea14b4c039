//! `POST /management/v1/backup`: the answer has a line of JSON for each step. The last line has the outcome.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::administrator::OnMachine;
use super::fields::Fields;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::backup::Done;
use crate::store::{CopyProgress, Proceed};

/// The number of lines that wait for a slow client. Further progress lines are left out.
const LINES: usize = 64;

/// How long without progress until an empty line is sent. Proxies close a connection that is silent for long.
const SILENCE: Duration = Duration::from_secs(5);

/// The size of a page of the database, in bytes. Progress is counted in pages.
const PAGE_BYTES: u64 = 4_096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::api) struct Backup {
    file: PathBuf,
    #[serde(default)]
    overwrite: bool,
}

/// Writes a backup of the database to a file on the server's machine. Stops if the client disconnects.
pub(in crate::api) async fn create(
    State(api): State<Arc<Api>>,
    _: OnMachine,
    Fields(Backup { file, overwrite }): Fields<Backup>,
) -> Result<Response, ApiError> {
    let (lines, received) = mpsc::channel::<Value>(LINES);
    let ended = lines.clone();
    let shown = file.display().to_string();
    let progress = move |done: CopyProgress| {
        let line = json!({
            "pages-done": done.done_bytes.div_ceil(PAGE_BYTES), "pages-total": done.total_bytes.div_ceil(PAGE_BYTES),
            "bytes-done": done.done_bytes, "bytes-total": done.total_bytes,
        });
        match lines.try_send(line) {
            Err(mpsc::error::TrySendError::Closed(_)) => Proceed::No,
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Proceed::Yes,
        }
    };
    tokio::spawn(async move {
        let last = match api.admin.backup(file, overwrite, progress).await {
            Ok(done) => finished(&done, &shown),
            Err(error) => ApiError::from(error).body(),
        };
        // Fails only if the client has disconnected.
        let _ = ended.send(last).await;
    });
    let lines = stream::unfold(received, |mut received| async move {
        let line = match timeout(SILENCE, received.recv()).await {
            Ok(line) => format!("{}\n", line?),
            Err(_) => "\n".to_owned(),
        };
        Some((Ok::<_, Infallible>(Bytes::from(line)), received))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

fn finished(done: &Done, file: &str) -> Value {
    json!({
        "done": true,
        "file": file,
        "size-bytes": done.size_bytes,
        "warehouse-roots": done.not_inside.roots,
        "warehouses-with-sealed-credentials": done.not_inside.sealed,
        "has-master-key": done.not_inside.has_master_key,
    })
}
