//! Opening the store: refused starts, TLS, passwords, and migrations while servers of two versions run.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tidewater_core::ids::OrganisationId;

use super::server::{TestDatabase, TestServer, execute};
use super::{PostgresSettings, PostgresStore, settings};
use crate::base::clock::fresh_uuid;
use crate::base::secret::Secret;
use crate::store::postgres::PostgresOpenError;
use crate::store::postgres::migrations::{Migration, all};
use crate::store::postgres::params::params;
use crate::store::{Change, Organisation, OrganisationStore, SchemaError, Store, UsageStore};

async fn open(url: String) -> Result<PostgresStore, PostgresOpenError> {
    PostgresStore::open(&settings(url)).await
}

/// Returns the error of a start that is refused, whose text is no secret.
async fn refused(url: String) -> PostgresOpenError {
    let error = open(url).await.err().unwrap();
    assert!(!error.to_string().contains("hush"), "{error}");
    error
}

/// Runs openssl, for certificates of tests.
fn openssl(folder: &Path, arguments: &str) {
    let run = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is not installed: install Debian's package 'openssl'");
    assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
}

/// Creates the key and certificate of an issuer.
fn issue_root(folder: &Path, name: &str) {
    openssl(
        folder,
        &format!("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"),
    );
}

/// Creates the key and certificate of a server or client.
fn issue(folder: &Path, root: &str, name: &str, subject: &str, extensions: &str) {
    openssl(folder, &format!("req -newkey rsa:2048 -nodes -subj /CN={subject} -keyout {name}.key -out {name}.csr"));
    fs::write(folder.join("extensions"), extensions).unwrap();
    openssl(
        folder,
        &format!(
            "x509 -req -days 2 -in {name}.csr -CA {root}.pem -CAkey {root}.key -CAcreateserial -extfile extensions -out {name}.pem"
        ),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked_as_sslmode_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for root in ["root", "other"] {
        issue_root(path, root);
    }
    issue(path, "root", "server", "db", "subjectAltName=DNS:localhost");
    issue(path, "root", "client", "tide", "extendedKeyUsage=clientAuth");
    issue(path, "other", "stranger", "tide", "extendedKeyUsage=clientAuth");
    let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
    let hba = "hostssl all tide 127.0.0.1/32 cert\nhostssl all postgres 127.0.0.1/32 trust\n";
    let files =
        [("server.crt", read("server.pem")), ("server.key", read("server.key")), ("root.pem", read("root.pem"))];
    let server = TestServer::start_with("ssl = on\nssl_ca_file = 'root.pem'\n", hba, &files);
    let place = |host: &str, user: &str| format!("postgres://{user}@{host}:{}/postgres", server.port());
    let file = |name: &str| path.join(name).display().to_string();
    let with = |host: &str, mode: &str, root: &str| {
        format!("{}?sslmode={mode}&sslrootcert={}", place(host, "postgres"), file(root))
    };
    execute_through_socket(&server, "CREATE ROLE tide LOGIN SUPERUSER");

    for (host, mode, root) in [
        ("localhost", "verify-full", "root.pem"),
        ("127.0.0.1", "verify-ca", "root.pem"),
        ("127.0.0.1", "require", "root.pem"),
    ] {
        open(with(host, mode, root)).await.unwrap().ping().await.unwrap();
    }
    open(format!("{}?sslmode=require", place("127.0.0.1", "postgres"))).await.unwrap();
    open(format!("{}?sslmode=prefer", place("127.0.0.1", "postgres"))).await.unwrap();

    for url in [
        // The certificate has the name localhost alone.
        with("127.0.0.1", "verify-full", "root.pem"),
        with("localhost", "verify-full", "other.pem"),
        with("localhost", "verify-ca", "other.pem"),
        with("localhost", "require", "other.pem"),
        // No certificate of the system issued it.
        format!("{}?sslmode=verify-full", place("localhost", "postgres")),
        // Its file is not there, or has no certificate.
        with("localhost", "verify-full", "missing.pem"),
        with("localhost", "verify-full", "server.key"),
        // The server accepts no connection without TLS, and none without the certificate of a client.
        format!("{}?sslmode=disable", place("127.0.0.1", "postgres")),
        format!("{}?sslmode=require", place("127.0.0.1", "tide")),
    ] {
        let error = refused(url.clone()).await;
        assert!(matches!(error, PostgresOpenError::Refused(_)), "{url}: {error:?}");
    }

    let client = |name: &str| {
        let (certificate, key) = (file(&format!("{name}.pem")), file(&format!("{name}.key")));
        let checked = format!("sslmode=verify-full&sslrootcert={}", file("root.pem"));
        format!("{}?{checked}&sslcert={certificate}&sslkey={key}", place("localhost", "tide"))
    };
    let store = open(client("client")).await.unwrap();
    let row = store.read_first("SELECT current_user::text", params![]).await.unwrap().unwrap();
    assert_eq!(row.get::<_, &str>(0), "tide");
    // The server closes the connection because of the client's certificate.
    let stranger = open(client("stranger")).await.err().unwrap();
    assert!(matches!(stranger, PostgresOpenError::Refused(_) | PostgresOpenError::Database(_)), "{stranger:?}");

    let slow = PostgresSettings { statement_timeout: Duration::from_millis(300), ..settings(client("client")) };
    let store = PostgresStore::open(&slow).await.unwrap();
    assert!(store.read("SELECT pg_sleep(600)", params![]).await.is_err());
    let running =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()";
    while store.read_first(running, params![]).await.unwrap().unwrap().get::<_, i64>(0) > 0 {}
}

/// Runs a statement as the superuser through the socket file of a server.
fn execute_through_socket(server: &TestServer, sql: &str) {
    let socket = server.folder().display().to_string().replace('/', "%2F");
    let url = format!("postgres://postgres@{socket}:{}/postgres", server.port());
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(execute(&url, sql))).unwrap();
}

/// Returns why a ping fails over a new connection: the first pings may still meet connections that the server is ending.
async fn failed_ping(store: &PostgresStore) -> String {
    loop {
        let failed = store.ping().await.unwrap_err().to_string();
        if !failed.contains("57P01") {
            return failed;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn password_comes_from_the_file_at_each_connection() {
    let server = TestServer::start("", "host all all 127.0.0.1/32 scram-sha-256\n");
    execute_through_socket(&server, "CREATE ROLE tide LOGIN SUPERUSER PASSWORD 'first'");
    let url = format!("postgres://tide:hush@127.0.0.1:{}/postgres", server.port());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "first\n").unwrap();
    let with_file = PostgresSettings { password_file: Some(file.clone()), ..settings(url.clone()) };
    let store = PostgresStore::open(&with_file).await.unwrap();
    let given = PostgresSettings { password: Some(Secret::new("first".to_owned())), ..settings(url.clone()) };
    PostgresStore::open(&given).await.unwrap();
    assert!(matches!(refused(url).await, PostgresOpenError::Refused(_)), "the URL's password is another");

    execute_through_socket(&server, "ALTER ROLE tide PASSWORD 'second'");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tide'";
    execute_through_socket(&server, end);
    let failed = failed_ping(&store).await;
    assert!(failed.contains("28P01"), "{failed}");
    fs::write(&file, "second\n").unwrap();
    store.ping().await.unwrap();
    fs::remove_file(&file).unwrap();
    execute_through_socket(&server, end);
    let failed = failed_ping(&store).await;
    assert!(failed.contains(&file.display().to_string()), "{failed}");
}

#[tokio::test]
async fn refused_start_says_whether_to_wait() {
    let database = TestDatabase::create().await;
    let url = database.url();
    assert!(matches!(refused("postgres://h/d?sslmode=hush".to_owned()).await, PostgresOpenError::Url(_)));
    let (place, parameters) = url.split_once('?').unwrap();
    let missing = format!("{}/missing?{parameters}", place.rsplit_once('/').unwrap().0);
    assert!(matches!(refused(missing).await, PostgresOpenError::Refused(_)));
    // Nobody listens at a port that was just free.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("postgres://tide:hush@127.0.0.1:{port}/d");
    assert!(matches!(refused(nobody.clone()).await, PostgresOpenError::Database(_)));
    // One of several hosts is enough.
    let other = place.split_once('@').unwrap().1;
    open(format!("postgres://postgres@127.0.0.1:{port},{other}?{parameters}")).await.unwrap();
}

/// Returns the migrations of this version, with one more that is made for tests.
fn with_next(compatible_from: i64, sql: &str) -> Vec<Migration> {
    let mut known = all();
    let version = known.last().unwrap().version + 1;
    known.push(Migration { version, name: "next".to_owned(), compatible_from, sql: sql.to_owned() });
    known
}

#[tokio::test(flavor = "multi_thread")]
async fn older_server_serves_during_and_after_a_compatible_migration() {
    let database = TestDatabase::create().await;
    let settings = settings(database.url());
    let older = PostgresStore::open(&settings).await.unwrap();
    let newest = all().last().unwrap().version;
    let next = with_next(newest, "ALTER TABLE usage ADD COLUMN next bigint; CREATE INDEX usage_next ON usage (next)");
    let organisation = Organisation::new(OrganisationId(fresh_uuid()), "acme", "free", 0);
    older.organisation_create(&organisation, &Change::by_catalog(0)).await.unwrap();
    // A statement of the older server is open while the newer one begins to migrate: the migration waits for it.
    let ended = AtomicBool::new(false);
    let serve = async {
        let mut taken = 0;
        while !ended.load(Ordering::Acquire) {
            older.usage_take(organisation.id, 1, 1, None).await.unwrap();
            older.usage_get(organisation.id, 1).await.unwrap();
            taken += 1;
        }
        taken
    };
    let migrate = async {
        // Three servers of the newer version start at once.
        let opened = join_all((0..3).map(|_| PostgresStore::open_with(&settings, &next))).await;
        ended.store(true, Ordering::Release);
        opened.into_iter().collect::<Result<Vec<_>, _>>().unwrap()
    };
    let (taken, newer) = futures_util::future::join(serve, migrate).await;
    let both = [&older, &newer[0]];
    for store in both {
        store.usage_take(organisation.id, 1, 1, None).await.unwrap();
    }
    assert_eq!(older.usage_get(organisation.id, 1).await.unwrap(), taken + 2);
    newer[0].read("SELECT next FROM usage", params![]).await.unwrap();
    // An older server starts again.
    PostgresStore::open(&settings).await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn older_server_is_refused_after_an_incompatible_migration() {
    let database = TestDatabase::create().await;
    let settings = settings(database.url());
    let newest = all().last().unwrap().version;
    PostgresStore::open_with(&settings, &with_next(newest + 1, "ALTER TABLE usage DROP COLUMN granted")).await.unwrap();
    let error = PostgresStore::open(&settings).await.err().unwrap();
    assert!(matches!(error, PostgresOpenError::Schema(SchemaError::TooNew { .. })), "{error:?}");
    assert!(error.to_string().contains("use a newer version of Tidewater"), "{error}");
}

#[tokio::test]
async fn failed_migration_changes_nothing() {
    let database = TestDatabase::create().await;
    let settings = settings(database.url());
    let bad = with_next(1, "CREATE TABLE half (id bigint); SELECT 1 / 0");
    assert!(PostgresStore::open_with(&settings, &bad).await.is_err());
    let store = PostgresStore::open(&settings).await.unwrap();
    let half = store.read_first("SELECT to_regclass('half')::text", params![]).await.unwrap().unwrap();
    assert_eq!(half.get::<_, Option<&str>>(0), None);
}

#[tokio::test]
async fn database_of_another_encoding_is_refused() {
    let database = TestDatabase::create().await;
    let name = format!("latin_{}", database.schema());
    let create = format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    execute(&database.url(), &create).await.unwrap();
    let url = database.url();
    let (place, _) = url.split_once('?').unwrap();
    let error = refused(format!("{}/{name}", place.rsplit_once('/').unwrap().0)).await;
    assert!(error.to_string().contains("LATIN1"), "{error}");
    execute(&database.url(), &format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
}
