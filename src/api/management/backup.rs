//! `POST /management/v1/backup`: writes a backup of the database into a file of the server's machine.
//!
//! The answer is a line of JSON for each step, the last with the outcome. An empty line tells that the work goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::administrator::Machine;
use super::status::machine_only;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::backup;
use crate::store::sqlite::{CopyProgress, Proceed};

/// How long the answer may be silent.
const SILENCE: Duration = Duration::from_secs(5);

/// How many lines wait for the client.
const LINES: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    file: PathBuf,
    #[serde(default)]
    overwrite: bool,
}

/// Begins a backup, and answers with its progress. It ends, and leaves no file, when the client goes away.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    machine: Option<Extension<Machine>>,
    body: Bytes,
) -> Result<Response, ApiError> {
    machine_only(machine)?;
    let wanted: Wanted = serde_json::from_slice(&body).map_err(|error| ApiError::bad_request(error.to_string()))?;
    if !wanted.file.is_absolute() {
        return Err(ApiError::bad_request("file must be an absolute path on the server's machine"));
    }
    let (sender, receiver) = mpsc::channel(LINES);
    let database = api.process.database().to_owned();
    tokio::task::spawn_blocking(move || {
        let outcome = write(&database, &wanted, &sender);
        // Without a client nobody is left to tell.
        let _ = sender.blocking_send(line(&outcome));
    });
    let lines = stream::unfold(receiver, |mut receiver| async move {
        let next = tokio::time::timeout(SILENCE, receiver.recv()).await;
        let line = next.unwrap_or_else(|_elapsed| Some(Bytes::from_static(b"\n")))?;
        Some((Ok::<_, std::convert::Infallible>(line), receiver))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// Writes the backup, and tells `sender` of each hundredth. Returns the last line.
fn write(database: &std::path::Path, wanted: &Wanted, sender: &mpsc::Sender<Bytes>) -> Value {
    let mut told_bytes = 0;
    let done = backup::create(database, &wanted.file, wanted.overwrite, &mut |progress| {
        let CopyProgress { done_bytes, total_bytes } = progress;
        if done_bytes >= told_bytes + total_bytes / 100 {
            told_bytes = done_bytes;
            let told = line(&json!({ "done-bytes": done_bytes, "total-bytes": total_bytes }));
            // A line that has no room is followed by others.
            let _ = sender.try_send(told);
        }
        if sender.is_closed() { Proceed::No } else { Proceed::Yes }
    });
    match done {
        Ok(done) => json!({
            "done": true,
            "size-bytes": done.size_bytes,
            "warehouse-roots": done.not_inside.roots,
            "warehouses-with-sealed-credentials": done.not_inside.sealed,
        }),
        Err(error) => {
            let mut message = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                if !message.contains(&error.to_string()) {
                    message.push_str(&format!(": {error}"));
                }
                cause = error.source();
            }
            json!({ "error": { "message": message, "type": "BackupFailedException", "code": 500 } })
        }
    }
}

fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}
