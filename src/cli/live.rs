//! Reloads settings while a server runs: on SIGHUP, and on `tidewater reload`.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logs::Levels;
use super::output;
use super::supervisor::Supervisor;
use tidewater::admin::Reloaded;
use tidewater::app::{App, Running};
use tidewater::config::{Config, Reload, SettingChange};

/// Reads the settings again from the same sources as at the start.
pub(crate) type ReadSettings = Arc<dyn Fn() -> Result<Config> + Send + Sync>;

/// Registers for SIGHUP. From this call on, the signal no longer ends the process.
pub(crate) fn hang_up_signal() -> Result<Signal> {
    signal(SignalKind::hangup()).context("cannot wait for SIGHUP")
}

/// What a server needs to reload its settings.
pub(crate) struct LiveSettings {
    pub(crate) read: ReadSettings,
    pub(crate) levels: Levels,
    pub(crate) hang_up: Signal,
    pub(crate) supervisor: Supervisor,
}

impl LiveSettings {
    /// Serves until `stop` ends, and reloads settings meanwhile. Reports all of it to the supervisor.
    pub(crate) async fn serve_until(self, app: App, stop: impl Future<Output = ()>) -> Result<()> {
        let Self { read, levels, mut hang_up, supervisor } = self;
        let serving = format!("Serving on {}://{}", app.scheme(), app.local_addr()?);
        let (running, supervisor) = (Arc::clone(app.running()), Arc::new(supervisor));
        let reloading = Arc::new(Reloading {
            read,
            levels,
            running: Arc::clone(&running),
            supervisor: Arc::clone(&supervisor),
            serving: serving.clone(),
            turn: tokio::sync::Mutex::new(()),
        });
        // The server keeps this closure. A strong reference would be a circle that keeps the database open for ever.
        let by_command = Arc::downgrade(&reloading);
        app.set_reload(Arc::new(move || {
            let reloading = by_command.upgrade();
            Box::pin(async move {
                match reloading {
                    Some(reloading) => reloading.reload("tidewater reload").await,
                    None => Err("the server is stopping".to_owned()),
                }
            })
        }));
        let watching = tokio::spawn(async move {
            while hang_up.recv().await.is_some() {
                // The outcome is in the log.
                let _ = reloading.reload("SIGHUP").await;
            }
        });
        let (stopped, stopping) = tokio::sync::oneshot::channel();
        let report = Arc::clone(&supervisor);
        let serve = app.run_until(async move {
            stop.await;
            // Later signals are caught and ignored.
            watching.abort();
            let _ = watching.await;
            report.stopping("Stopping: requests that have begun are answered");
            let _ = stopped.send(());
        });
        supervisor.ready(&serving);
        let extend = async {
            let _ = stopping.await;
            supervisor.extend_until_end(std::future::pending::<Infallible>()).await
        };
        // In one task with the connections' arrival, so that no report is sent when that hangs.
        tokio::select! {
            ended = serve => ended,
            never = supervisor.report_work(|| running.is_working()) => match never {},
            never = extend => match never {},
        }
    }
}

struct Reloading {
    read: ReadSettings,
    levels: Levels,
    running: Arc<Running>,
    supervisor: Arc<Supervisor>,
    /// The supervisor's text about a server that serves.
    serving: String,
    /// Held during a reload, so that there is one at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Reloading {
    /// Applies the present settings. Logs the outcome.
    async fn reload(&self, asked_by: &'static str) -> Result<Reloaded, String> {
        let _turn = self.turn.lock().await;
        self.supervisor.reloading();
        let reloaded = self.reload_and_log(asked_by).await;
        let after = if reloaded.is_err() { ". The last reload failed, see the log" } else { "" };
        self.supervisor.ready(&format!("{}{after}", self.serving));
        reloaded
    }

    async fn reload_and_log(&self, asked_by: &'static str) -> Result<Reloaded, String> {
        match self.take().await {
            Ok(Reload { taken, needs_restart, .. }) => {
                let shown =
                    |changes: &[SettingChange]| changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                tracing::info!(asked_by, changed = shown(&taken), "settings were read again");
                if !needs_restart.is_empty() {
                    tracing::warn!(
                        asked_by,
                        settings = shown(&needs_restart),
                        "settings take effect only after a restart"
                    );
                }
                Ok(Reloaded { taken, needs_restart })
            }
            Err(error) => {
                let error = output::with_causes(&error);
                tracing::warn!(asked_by, error, "settings were read again and are invalid: nothing was changed");
                Err(error)
            }
        }
    }

    async fn take(&self) -> Result<Reload> {
        let read = Arc::clone(&self.read);
        // The disk may be slow.
        let config = tokio::task::spawn_blocking(move || read()).await.context("reading the settings failed")??;
        self.running.reload_certificate().await?;
        self.levels.set(&config.log.level)?;
        Ok(self.running.reload(config))
    }
}
