//! A PostgreSQL server for the tests of this process, and an empty schema for each test.
//!
//! The server at `TIDEWATER_TEST_POSTGRES` is used, if it is set. Otherwise the first test starts one from Debian's package
//! `postgresql`, which ends with the process. Other test programs include this file by its path, so it uses nothing of the crate.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The start of the name of a server's folder. The id of the test's process follows.
const FOLDER: &str = "tidewater-test-postgres-";

/// The longest start of a server.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// Runs the server until the shell or its parent ends, and removes its folder. A server that ends before is started again.
const RUN: &str = r#"
starts=0
trap 'starts=9; kill -QUIT "$server"' TERM
while [ "$starts" -lt 9 ]; do
    starts=$((starts + 1))
    "$1" -D "$2/data" -k "$2" -p "$3" & server=$!
    wait "$server"; wait "$server"
done
cd / && rm -rf "$2"
"#;

/// The settings of a server for tests. Its data is lost with it, so nothing has to be durable.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
max_connections = 200
shared_buffers = '64MB'
fsync = off
full_page_writes = off
autovacuum = off
log_min_messages = log
lc_messages = 'C'
";

/// A server of this process. It ends when this is dropped, or with the process.
pub(super) struct TestServer {
    shell: Child,
    folder: PathBuf,
    port: u16,
}

impl TestServer {
    /// Starts a server with further settings. `hba` tells who may connect over TCP; if it is empty, everybody.
    pub(super) fn start(settings: &str, hba: &str) -> Self {
        Self::start_with(settings, hba, &[])
    }

    /// Starts a server with further settings, and with files in its folder of data, which only its user may read.
    pub(super) fn start_with(settings: &str, hba: &str, files: &[(&str, String)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        remove_left_folders();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("{FOLDER}{}-{number}", std::process::id()));
        let user = User::unprivileged();
        fs::create_dir(&folder).unwrap();
        user.own(&folder);
        let data = folder.join("data");
        let made = user
            .command(&binary("initdb"))
            .args(["--no-sync", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--pgdata"])
            .arg(&data)
            .stdout(Stdio::null())
            .current_dir("/")
            .status();
        assert!(made.unwrap().success(), "initdb failed in {}", folder.display());
        append(&data.join("postgresql.conf"), &format!("{SETTINGS}{settings}"));
        if !hba.is_empty() {
            fs::write(data.join("pg_hba.conf"), format!("local all all trust\n{hba}")).unwrap();
        }
        for (name, text) in files {
            let file = data.join(name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            user.own(&file);
        }
        let port = free_port();
        let shell = run(&user, &folder, port);
        Self { shell, folder, port }
    }

    /// Returns the folder, whose user the server is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of the superuser.
    pub(super) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops the server at once, as a crash does. It starts again by itself, with the same data.
    pub(super) fn crash(&self) {
        let pid = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap();
        assert!(Command::new("kill").args(["-QUIT", pid]).status().unwrap().success());
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let told = Command::new("kill").args(["-TERM", &self.shell.id().to_string()]).status();
        if told.is_ok_and(|told| told.success()) {
            let _ = self.shell.wait();
        }
    }
}

/// Starts the server, and waits until it is ready.
fn run(user: &User, folder: &Path, port: u16) -> Child {
    let (ready, is_ready) = mpsc::channel();
    let mut command = user.command(Path::new("/bin/sh"));
    command.args(["-c", RUN, "sh"]).arg(binary("postgres")).arg(folder).arg(port.to_string()).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // A child ends with the thread that started it, so this thread lives as long as the process.
    thread::spawn(move || {
        let mut shell = command.spawn().unwrap();
        let log = BufReader::new(shell.stderr.take().unwrap());
        let mut lines = log.lines().map_while(Result::ok);
        let before: Vec<_> = lines.by_ref().take_while(|line| !line.contains("is ready to accept")).collect();
        let _ = ready.send((shell, before));
        lines.for_each(drop);
        loop {
            thread::park();
        }
    });
    let (mut shell, log) = is_ready.recv_timeout(START_TIMEOUT).expect("PostgreSQL did not start in time");
    let ended = shell.try_wait().unwrap();
    assert!(ended.is_none(), "PostgreSQL did not start: {log:?}");
    shell
}

/// The user of the server, which must not be root.
struct User {
    /// The ids of user and group, if this process is root.
    ids: Option<(u32, u32)>,
}

impl User {
    fn unprivileged() -> Self {
        let is_root = fs::metadata("/proc/self").is_ok_and(|of| of.uid() == 0);
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let named = |name: &str| {
            let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:")))?;
            let mut ids = line.split(':').skip(2).map(str::parse);
            Some((ids.next()?.ok()?, ids.next()?.ok()?))
        };
        let ids = || named("postgres").or_else(|| named("nobody")).expect("no user 'postgres' or 'nobody'");
        Self { ids: is_root.then(ids) }
    }

    fn own(&self, path: &Path) {
        if let Some((user, group)) = self.ids {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }

    /// Returns a command that runs as this user, and ends with the thread that starts it.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        if let Some((user, group)) = self.ids {
            command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
        }
        command.args(["--pdeathsig", "TERM"]).arg(program);
        command
    }
}

/// Returns a program of the newest installed version.
fn binary(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin").join(name))))
        .filter(|(_, program)| program.exists())
        .collect();
    found.sort();
    let missing = "PostgreSQL is not installed: install Debian's package 'postgresql', or set TIDEWATER_TEST_POSTGRES to the URL of a \
                   server for tests, for example postgres://postgres@127.0.0.1/postgres";
    found.pop().map(|(_, program)| program).unwrap_or_else(|| panic!("{missing}"))
}

/// Removes the folders of processes that no longer run, whose shell could not.
fn remove_left_folders() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(FOLDER)).and_then(|rest| rest.split('-').next());
        let process = process.and_then(|process| process.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists()) {
            // Its server may be ending.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn append(file: &Path, text: &str) {
    let mut whole = fs::read_to_string(file).unwrap();
    whole.push_str(text);
    fs::write(file, whole).unwrap();
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Returns the URL of the server for tests.
pub(super) fn server() -> String {
    static SERVER: OnceLock<TestServer> = OnceLock::new();
    let given = std::env::var("TIDEWATER_TEST_POSTGRES").ok().filter(|url| !url.is_empty());
    given.unwrap_or_else(|| SERVER.get_or_init(|| TestServer::start("", "")).url())
}

/// An empty schema of a test's own in the server for tests. It is removed when this is dropped.
pub(super) struct TestDatabase {
    server: String,
    schema: String,
}

impl TestDatabase {
    /// Creates the schema.
    pub(super) async fn create() -> Self {
        let server = tokio::task::spawn_blocking(server).await.unwrap();
        Self::create_in(server).await
    }

    /// Creates the schema in another server.
    pub(super) async fn create_in(server: String) -> Self {
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        let schema = format!("t_{:016x}", u64::from_ne_bytes(random));
        execute(&server, &format!("CREATE SCHEMA {schema}")).await.unwrap();
        Self { server, schema }
    }

    /// Returns the name of the schema.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// Returns the URL whose connections use the schema.
    pub(super) fn url(&self) -> String {
        format!("{}?options=-c%20search_path%3D{}", self.server, self.schema)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drops = format!("SET lock_timeout = '5s'; DROP SCHEMA IF EXISTS {} CASCADE", self.schema);
        let server = self.server.clone();
        // In a thread of its own: a test's runtime cannot be waited for in a drop.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(&server, &drops))
        });
        // The server may be one that the test stopped.
        let _ = dropped.join();
    }
}

/// Runs statements in a connection of their own.
pub(super) async fn execute(url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(sql).await
}
