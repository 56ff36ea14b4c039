//! Settings that are read again while a server runs: on SIGHUP, and when `tidewater reload` asks for it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logs::Levels;
use super::output;
use tidewater::app::{App, Running};
use tidewater::config::{Config, Reload, SettingChange};
use tidewater::control::{ControlSocket, Reply, Request};

/// Reads the settings from where they were read at the start.
pub(crate) type ReadSettings = Arc<dyn Fn() -> Result<Config> + Send + Sync>;

/// Waits for SIGHUP. From the call on, that signal ends the process no longer.
pub(crate) fn hang_up_signal() -> Result<Signal> {
    signal(SignalKind::hangup()).context("cannot wait for SIGHUP")
}

/// The settings of a server, and how they are read again.
pub(crate) struct LiveSettings {
    pub(crate) read: ReadSettings,
    pub(crate) levels: Levels,
    pub(crate) hang_up: Signal,
}

impl LiveSettings {
    /// Takes the control socket for a server that has its data folder. It answers once the server serves.
    pub(crate) fn with_socket(self, app: &App) -> Reachable {
        let folder = app.running().config().data_dir;
        let socket = match ControlSocket::bind(&folder) {
            Ok(socket) => Some(socket),
            Err(error) => {
                let folder = folder.display().to_string();
                tracing::warn!(folder, %error, "no control socket: `tidewater reload` will not work, but SIGHUP does");
                None
            }
        };
        Reachable { settings: self, socket }
    }
}

/// A server that commands can reach.
pub(crate) struct Reachable {
    settings: LiveSettings,
    socket: Option<ControlSocket>,
}

impl Reachable {
    /// Serves until `stop`, and takes other settings meanwhile.
    pub(crate) async fn serve_until(self, app: App, stop: impl Future<Output = ()>) -> Result<()> {
        let running = Arc::clone(app.running());
        let Self { settings: LiveSettings { read, levels, mut hang_up }, socket } = self;
        let reloading = Arc::new(Reloading { read, levels, running, turn: tokio::sync::Mutex::new(()) });
        let by_signal = Arc::clone(&reloading);
        let watching = tokio::spawn(async move {
            let signals = async {
                while hang_up.recv().await.is_some() {
                    by_signal.reload("SIGHUP").await;
                }
            };
            let commands = async {
                if let Some(socket) = &socket {
                    socket.serve(move |request| Arc::clone(&reloading).answer(request)).await;
                }
            };
            tokio::join!(signals, commands);
        });
        app.run_until(async move {
            stop.await;
            // The socket goes before the data folder is another server's. Later signals are caught and passed over.
            watching.abort();
            let _ = watching.await;
        })
        .await
    }
}

struct Reloading {
    read: ReadSettings,
    levels: Levels,
    running: Arc<Running>,
    /// One reload at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Reloading {
    async fn answer(self: Arc<Self>, request: Request) -> Reply {
        match request {
            Request::Reload => self.reload("tidewater reload").await,
            Request::Status => Reply::Status {
                process: std::process::id(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                tiers: self.running.config().tiers,
            },
        }
    }

    /// Takes the settings as they are now, or says in the log why not.
    async fn reload(&self, asked_by: &'static str) -> Reply {
        let _turn = self.turn.lock().await;
        match self.take().await {
            Ok(Reload { taken, needs_restart, .. }) => {
                let shown =
                    |changes: &[SettingChange]| changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                tracing::info!(asked_by, changed = shown(&taken), "settings were read again");
                if !needs_restart.is_empty() {
                    tracing::warn!(asked_by, settings = shown(&needs_restart), "settings need a restart to be taken");
                }
                Reply::Reloaded { taken, needs_restart }
            }
            Err(error) => {
                let error = output::with_causes(&error);
                tracing::warn!(asked_by, error, "settings were read again and cannot be used: nothing was changed");
                Reply::Refused(error)
            }
        }
    }

    async fn take(&self) -> Result<Reload> {
        let read = Arc::clone(&self.read);
        // A file may be on a disk that is slow.
        let config = tokio::task::spawn_blocking(move || read()).await.context("reading the settings has failed")??;
        self.levels.set(&config.log.level)?;
        Ok(self.running.reload(config))
    }
}
