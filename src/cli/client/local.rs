//! The catalog of a data folder on this machine, or of the configured PostgreSQL database.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::answer::{Answer, answer};
use crate::cli::output;
use tidewater::api::Machine;
use tidewater::app::InProcess;
use tidewater::config::Config;
use tidewater::data_folder::control;
use tidewater::data_folder::owner::user_name;
use tidewater::data_folder::{FolderError, FolderLock, check_database_is_there, prepare, process_of_server};

/// How long to wait for a server that starts or stops.
const SERVER_TIME: Duration = Duration::from_secs(5);

/// How long to wait for the first byte of an answer. Longer than any request may take on the server.
const ANSWER_TIME: Duration = Duration::from_secs(120);

/// How long to wait for it before a note is printed.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often to try the socket and the lock again.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Whether the database must exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    /// The command needs an existing catalog.
    MustExist,
    /// The command may create the catalog.
    MayBeNew,
}

/// A client of the catalog in a data folder or in a shared database.
pub(super) struct Local {
    config: Config,
    way: Way,
}

enum Way {
    /// Requests go to the server on the data folder, over its socket.
    Socket,
    /// Requests are answered in this process.
    InProcess(Box<InProcess>, Machine),
}

impl Local {
    /// Connects to the server on the data folder. Without a server, opens the shared database, or locks the folder for this
    /// process.
    ///
    /// # Errors
    /// Fails if there is no catalog, a server has the lock and cannot be reached, or the database does not answer.
    pub(super) async fn open(config: Config, database: Database) -> Result<Self> {
        if config.store.url.is_shared() {
            return Self::open_shared(config).await;
        }
        let until = Instant::now() + SERVER_TIME;
        loop {
            if control::connect(&config.data_dir)?.is_some() {
                return Ok(Self { config, way: Way::Socket });
            }
            check_catalog(&config, database)?;
            prepare(&config.data_dir, &config.database())?;
            match FolderLock::take(&config.data_dir) {
                Ok(lock) => {
                    let process = InProcess::open(&config, lock).await?;
                    return Ok(Self::in_process(config, process));
                }
                Err(error @ FolderError::InUse { .. }) if Instant::now() >= until => {
                    return Err(anyhow::Error::new(error).context(format!(
                        "the server does not answer on the control socket in {}: it is starting or stopping, or the socket was \
                         removed. Try again, restart the server, or pass its address with --uri",
                        config.data_dir.display()
                    )));
                }
                Err(FolderError::InUse { .. }) => tokio::time::sleep(LOOK_INTERVAL).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Connects to the server on the data folder, if there is one. Otherwise opens the shared database in this process. No lock is
    /// needed: other servers notice the change, as they notice each other's.
    async fn open_shared(config: Config) -> Result<Self> {
        if let Some(folder) = config.data_folder()
            && control::connect(folder)?.is_some()
        {
            return Ok(Self { config, way: Way::Socket });
        }
        let process = InProcess::open_shared(&config).await?.context("the settings name no shared database")?;
        Ok(Self::in_process(config, process))
    }

    fn in_process(config: Config, process: InProcess) -> Self {
        let user = user_name(rustix::process::geteuid().as_raw()).into();
        Self { config, way: Way::InProcess(Box::new(process), Machine { user }) }
    }

    /// Connects to the server on the data folder.
    ///
    /// # Errors
    /// Fails if no server runs, or it cannot be reached.
    pub(super) fn server(config: Config) -> Result<Self> {
        ensure!(
            config.data_folder().is_some(),
            "several servers may use the database {}: name one by its address with --uri, or by its data folder with --data-dir",
            config.store.url
        );
        let folder = config.data_dir.display();
        if control::connect(&config.data_dir)?.is_none() {
            match process_of_server(&config.data_dir) {
                Some(process) => bail!(
                    "the server on {folder} (process {process}) does not answer: it is starting or stopping, or its control \
                     socket was removed. Try again, or restart it"
                ),
                None => bail!("no server runs on the data folder {folder}: choose another with --data-dir or --config"),
            }
        }
        Ok(Self { config, way: Way::Socket })
    }

    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    pub(super) const fn is_in_process(&self) -> bool {
        matches!(self.way, Way::InProcess(..))
    }

    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Answer> {
        match &self.way {
            Way::Socket => {
                let stream = control::connect(&self.config.data_dir)?;
                let stream = stream.context("the server has stopped")?;
                let answer = within(ANSWER_TIME, exchange(stream, request)).await;
                answer.with_context(|| format!("the server on {} does not answer", self.config.data_dir.display()))
            }
            Way::InProcess(process, machine) => {
                let response = process.handle(machine.clone(), request).await;
                Ok(answer(response))
            }
        }
    }
}

/// Fails if the command needs an existing catalog and there is none. Prints a note if it creates one.
fn check_catalog(config: &Config, database: Database) -> Result<()> {
    let (folder, file) = (&config.data_dir, config.database());
    check_database_is_there(folder, &file)?;
    let folder = folder.display();
    ensure!(
        database == Database::MayBeNew || file.exists(),
        "there is no catalog in {folder}: choose another folder with --data-dir, or create a catalog with `tidewater org create`"
    );
    if !file.exists() {
        output::note(&format!("making a new catalog in {folder}"));
    }
    Ok(())
}

/// Waits up to `time` for an answer. Prints a note if it takes long: the server may be stopped or busy.
async fn within(time: Duration, answer: impl Future<Output = Result<Answer>>) -> Result<Answer> {
    let mut answer = pin!(answer);
    if let Ok(answer) = timeout(PATIENCE, &mut answer).await {
        return answer;
    }
    output::note("the server has not answered yet: waiting for it");
    match timeout(time - PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => bail!(
            "no answer came within {} s: the server may have done it or not. Check, then try again",
            time.as_secs()
        ),
    }
}

/// Sends one request over a new connection.
async fn exchange(stream: UnixStream, request: Request<Bytes>) -> Result<Answer> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = request.map(Full::new);
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    let response = sender.send_request(request).await?;
    Ok(answer(response))
}
