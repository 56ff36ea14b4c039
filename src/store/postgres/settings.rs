//! How the database is reached: the settings, and what the URL says.

use std::fmt;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::base::secret::Secret;

/// The folder of the server's socket if the URL has no host, as in Debian.
const SOCKET_FOLDER: &str = "/var/run/postgresql";

/// How long a connection may be silent before the system asks whether the other side is still there. Three questions without an answer
/// end the connection.
const SILENCE: Duration = Duration::from_secs(30);

/// The time between these questions.
const QUESTIONS: Duration = Duration::from_secs(10);

/// The settings of the PostgreSQL store.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// The URL, for example `postgres://user@host/database?sslmode=verify-full`. It may contain a password.
    pub url: Secret<String>,
    /// The password, instead of that in the URL.
    pub password: Option<Secret<String>>,
    /// A file with the password, instead of all others. It is read for each connection, so that a new password needs no restart.
    pub password_file: Option<PathBuf>,
    /// The most connections of this server. Fewer than 3 count as 3.
    pub connections: usize,
    /// Whether statements are prepared once for each connection. PgBouncer before 1.21 does not support it.
    pub prepared_statements: bool,
    /// The maximum time to connect, for each host of the URL.
    pub connect_timeout: Duration,
    /// The maximum time that a request waits for a free connection.
    pub acquire_timeout: Duration,
    /// The maximum time of a statement. Then it is cancelled.
    pub statement_timeout: Duration,
    /// How long a read, or a change that was surely not made, is tried again while the database cannot be reached.
    pub retry_timeout: Duration,
}

impl PostgresSettings {
    /// Returns the settings of a database with the defaults of all others.
    #[must_use]
    pub fn new(url: Secret<String>) -> Self {
        Self {
            url,
            password: None,
            password_file: None,
            connections: Self::default_connections(),
            prepared_statements: true,
            connect_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
            retry_timeout: Duration::from_secs(10),
        }
    }

    /// Returns the default number of connections: four for each core of this machine, from 12 to 40.
    ///
    /// A server spends about as much time on a request as the database, so more connections than a few for each of its cores would be idle.
    /// Changes also wait for the database's disk. The most is less than half of PostgreSQL's default `max_connections` of 100, so
    /// that two servers fit.
    #[must_use]
    pub fn default_connections() -> usize {
        thread::available_parallelism().map_or(1, NonZero::get).saturating_mul(4).clamp(12, 40)
    }
}

/// Why the URL or a file that it names cannot be used. No text contains the URL or a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The URL cannot be read.
    #[error("the URL of the database cannot be read: {0}")]
    Unreadable(String),
    /// A parameter of the URL is not supported.
    #[error("the URL of the database has the parameter {name}, which is not supported{instead}")]
    Unsupported {
        /// The parameter.
        name: String,
        /// What to do, after a colon.
        instead: &'static str,
    },
}

/// What is checked of the database's certificate, as `sslmode` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verification {
    /// Nothing: the connection is encrypted, but the other side may be anybody.
    Nothing,
    /// Its issuer.
    Issuer,
    /// Its issuer, and the name of the host.
    IssuerAndHost,
}

/// Where the certificates of trusted issuers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// In the system's store.
    System,
    /// In a PEM file.
    File(PathBuf),
}

/// The files of the client's certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// How TLS is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TlsSettings {
    pub(super) verification: Verification,
    pub(super) roots: Roots,
    pub(super) identity: Option<Identity>,
}

/// What a URL says.
#[derive(Clone)]
pub(super) struct Target {
    /// Each host, in the order of the URL.
    pub(super) hosts: Vec<tokio_postgres::Config>,
    pub(super) tls: TlsSettings,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(|host| (host.get_hosts(), host.get_hostaddrs())).collect();
        f.debug_struct("Target").field("hosts", &hosts).field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// The parameters of a URL that concern TLS.
#[derive(Default)]
struct TlsParameters {
    mode: Option<String>,
    roots: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl Target {
    /// Parses a URL. `sslmode`, `sslrootcert`, `sslcert` and `sslkey` mean what they mean in libpq, except that `verify-ca` and
    /// `verify-full` without `sslrootcert` trust the system's certificates.
    pub(super) fn parse(url: &str, connect_timeout: Duration) -> Result<Self, UrlError> {
        let (place, parameters) = split_parameters(url);
        let (mut tls, mut rest, mut names) = (TlsParameters::default(), Vec::new(), Vec::new());
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let decoded = || decoded(value);
            match name {
                "sslmode" => tls.mode = Some(decoded()?),
                "sslrootcert" => tls.roots = Some(decoded()?),
                "sslcert" => tls.certificate = Some(decoded()?),
                "sslkey" => tls.key = Some(decoded()?),
                // Encryption with Kerberos, which libpq prefers to TLS: it is never used here.
                "gssencmode" if value != "require" => {}
                "target_session_attrs" if value == "primary" => rest.push("target_session_attrs=read-write".to_owned()),
                "sslpassword" => return Err(unsupported(name, ": use a key that is not encrypted")),
                "passfile" | "service" => return Err(unsupported(name, ": set `store.password_file`")),
                _ if name.starts_with("ssl") && name != "sslnegotiation" => return Err(unsupported(name, "")),
                _ => rest.push(parameter.to_owned()),
            }
            names.push(name);
        }
        let separator = if rest.is_empty() { "" } else { "?" };
        let mut config: tokio_postgres::Config =
            format!("{place}{separator}{}", rest.join("&")).parse().map_err(|error| unreadable(&error, url))?;
        let is_set = |name: &str| names.contains(&name);
        set_defaults(&mut config, is_set, connect_timeout);
        let (mode, tls) = tls.settings()?;
        // As in libpq, a socket file needs no TLS.
        let is_local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        config.ssl_mode(if is_local { SslMode::Disable } else { mode });
        Ok(Self { hosts: hosts(&config)?, tls })
    }
}

/// Returns the settings of each host. Each is tried with a time-out of its own, so that one that accepts a connection and then says
/// nothing does not prevent the next.
fn hosts(all: &tokio_postgres::Config) -> Result<Vec<tokio_postgres::Config>, UrlError> {
    let (names, addresses, ports) = (all.get_hosts(), all.get_hostaddrs(), all.get_ports());
    let number = names.len().max(addresses.len());
    let fits = |given: usize| given == 0 || given == number;
    if !fits(names.len()) || !fits(addresses.len()) || !(fits(ports.len()) || ports.len() == 1) {
        return Err(UrlError::Unreadable("the numbers of hosts, addresses and ports differ".to_owned()));
    }
    Ok((0..number).map(|at| host(all, at)).collect())
}

fn host(all: &tokio_postgres::Config, at: usize) -> tokio_postgres::Config {
    let mut one = tokio_postgres::Config::new();
    match all.get_hosts().get(at) {
        Some(Host::Tcp(name)) => {
            one.host(name.as_str());
        }
        Some(Host::Unix(folder)) => {
            one.host_path(folder);
        }
        None => {}
    }
    let one_of = |ports: &[u16]| ports.get(at).or_else(|| ports.first()).copied();
    set(all.get_hostaddrs().get(at), |address| one.hostaddr(*address));
    set(one_of(all.get_ports()), |port| one.port(port));
    set(all.get_user(), |user| one.user(user));
    set(all.get_password(), |password| one.password(password));
    set(all.get_dbname(), |database| one.dbname(database));
    set(all.get_options(), |options| one.options(options));
    set(all.get_application_name(), |name| one.application_name(name));
    set(all.get_connect_timeout(), |timeout| one.connect_timeout(*timeout));
    set(all.get_tcp_user_timeout(), |timeout| one.tcp_user_timeout(*timeout));
    set(all.get_keepalives_interval(), |interval| one.keepalives_interval(interval));
    set(all.get_keepalives_retries(), |retries| one.keepalives_retries(retries));
    one.ssl_mode(all.get_ssl_mode())
        .ssl_negotiation(all.get_ssl_negotiation())
        .keepalives(all.get_keepalives())
        .keepalives_idle(all.get_keepalives_idle())
        .target_session_attrs(all.get_target_session_attrs())
        .channel_binding(all.get_channel_binding());
    one
}

/// Sets a parameter of a host that has a value.
fn set<'a, T>(value: Option<T>, set: impl FnOnce(T) -> &'a mut tokio_postgres::Config) {
    if let Some(value) = value {
        set(value);
    }
}

impl TlsParameters {
    fn settings(self) -> Result<(SslMode, TlsSettings), UrlError> {
        let roots = match self.roots.as_deref() {
            None | Some("" | "system") => Roots::System,
            Some(file) => Roots::File(file.into()),
        };
        let is_system = self.roots.as_deref() == Some("system");
        let (mode, verification) =
            match self.mode.as_deref().unwrap_or(if is_system { "verify-full" } else { "prefer" }) {
                // As in libpq: anybody can get a certificate from one of the system's issuers.
                mode if is_system && mode != "verify-full" => {
                    return Err(UrlError::Unreadable("sslrootcert=system needs sslmode=verify-full".to_owned()));
                }
                "disable" => (SslMode::Disable, Verification::Nothing),
                "prefer" => (SslMode::Prefer, Verification::Nothing),
                // libpq checks the issuer if there is a file of issuers.
                "require" if roots != Roots::System => (SslMode::Require, Verification::Issuer),
                "require" => (SslMode::Require, Verification::Nothing),
                "verify-ca" => (SslMode::Require, Verification::Issuer),
                "verify-full" => (SslMode::Require, Verification::IssuerAndHost),
                "allow" => return Err(unsupported("sslmode=allow", ": use sslmode=prefer")),
                _ => {
                    let known = "disable, prefer, require, verify-ca or verify-full";
                    return Err(UrlError::Unreadable(format!("sslmode must be {known}")));
                }
            };
        let identity = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some(Identity { certificate: certificate.into(), key: key.into() }),
            (None, None) => None,
            _ => return Err(UrlError::Unreadable("sslcert and sslkey belong together".to_owned())),
        };
        Ok((mode, TlsSettings { verification, roots, identity }))
    }
}

/// Sets what the URL leaves out.
fn set_defaults(config: &mut tokio_postgres::Config, is_set: impl Fn(&str) -> bool, connect_timeout: Duration) {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        config.host_path(SOCKET_FOLDER);
    }
    if !is_set("application_name") {
        config.application_name("tidewater");
    }
    if !is_set("connect_timeout") {
        config.connect_timeout(connect_timeout);
    }
    if !is_set("keepalives_idle") {
        config.keepalives_idle(SILENCE).keepalives_interval(QUESTIONS).keepalives_retries(3);
    }
    if !is_set("tcp_user_timeout") {
        config.tcp_user_timeout(SILENCE + QUESTIONS * 3);
    }
    // A server that became a standby, or still is one, cannot be used: the next host may be the primary.
    if !is_set("target_session_attrs") {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
}

/// Splits a URL before its parameters. A password may contain `?`.
fn split_parameters(url: &str) -> (&str, &str) {
    let after_user = url.find('@').map_or(0, |at| at + 1);
    match url[after_user..].find('?') {
        Some(at) => (&url[..after_user + at], &url[after_user + at + 1..]),
        None => (url, ""),
    }
}

fn decoded(value: &str) -> Result<String, UrlError> {
    let text = percent_encoding::percent_decode_str(value).decode_utf8();
    text.map(|text| text.into_owned()).map_err(|error| UrlError::Unreadable(error.to_string()))
}

fn unsupported(name: &str, instead: &'static str) -> UrlError {
    UrlError::Unsupported { name: name.to_owned(), instead }
}

/// Returns the error of a URL that is not read. The text of its cause may name a part of the URL, which may be a part of a password.
fn unreadable(error: &tokio_postgres::Error, url: &str) -> UrlError {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let is_harmless = !url.contains('@') && !url.contains("pass");
    UrlError::Unreadable(if is_harmless && !cause.is_empty() {
        cause
    } else {
        "write postgres://USER@HOST/DATABASE, with each special character of a password as %XX".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, UrlError> {
        Target::parse(url, Duration::from_secs(5))
    }

    #[test]
    fn sslmode_means_what_libpq_means() {
        let tls = |parameters: &str| {
            let target = parse(&format!("postgres://tide@db.example/tide?{parameters}")).unwrap();
            (target.hosts[0].get_ssl_mode(), target.tls.verification)
        };
        use Verification::{Issuer, IssuerAndHost, Nothing};
        assert_eq!(tls(""), (SslMode::Prefer, Nothing));
        assert_eq!(tls("sslmode=disable"), (SslMode::Disable, Nothing));
        assert_eq!(tls("sslmode=require"), (SslMode::Require, Nothing));
        assert_eq!(tls("sslmode=require&sslrootcert=/ca.pem"), (SslMode::Require, Issuer));
        assert_eq!(tls("sslmode=verify-ca"), (SslMode::Require, Issuer));
        assert_eq!(tls("sslmode=verify-full&connect_timeout=3"), (SslMode::Require, IssuerAndHost));
        assert_eq!(tls("sslrootcert=system"), (SslMode::Require, IssuerAndHost));
        assert!(parse("postgres://h/d?sslmode=require&sslrootcert=system").is_err());
    }

    #[test]
    fn files_of_tls_are_named_by_the_url() {
        let url = "postgres://h/d?sslcert=%2Fc%20c.pem&sslkey=/k.pem&sslrootcert=/r.pem&sslmode=verify-full";
        let tls = parse(url).unwrap().tls;
        assert_eq!(tls.roots, Roots::File("/r.pem".into()));
        assert_eq!(tls.identity, Some(Identity { certificate: "/c c.pem".into(), key: "/k.pem".into() }));
        assert_eq!(parse("postgres://h/d?sslmode=verify-full&sslrootcert=system").unwrap().tls.roots, Roots::System);
    }

    #[test]
    fn unset_parameters_have_defaults() {
        let config = &parse("postgres:///tide?user=tide").unwrap().hosts[0];
        assert_eq!(config.get_hosts(), [Host::Unix(SOCKET_FOLDER.into())]);
        assert_eq!(config.get_ssl_mode(), SslMode::Disable, "a socket file has no TLS");
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(config.get_application_name(), Some("tidewater"));
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(5)));
        let config = &parse("postgres://a/d?target_session_attrs=any&application_name=x").unwrap().hosts[0];
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::Any);
        assert_eq!(config.get_application_name(), Some("x"));
        let config = &parse("postgres://a/d?target_session_attrs=primary").unwrap().hosts[0];
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    }

    #[test]
    fn each_host_has_all_settings() {
        let url =
            "postgres://tide:hush@a,b:5433/d?options=-c%20a%3Db&connect_timeout=7&keepalives_idle=9&tcp_user_timeout=8";
        let hosts = parse(url).unwrap().hosts;
        let [a, b] = hosts.as_slice() else { panic!("{}", hosts.len()) };
        assert_eq!((a.get_hosts(), a.get_ports()), ([Host::Tcp("a".to_owned())].as_slice(), [5432].as_slice()));
        assert_eq!((b.get_hosts(), b.get_ports()), ([Host::Tcp("b".to_owned())].as_slice(), [5433].as_slice()));
        // Equal but for the host, and equal to what the driver reads.
        let driver: tokio_postgres::Config = url.replace("a,b:5433", "b:5433").parse().unwrap();
        let mut expected = driver.clone();
        expected.application_name("tidewater").target_session_attrs(TargetSessionAttrs::ReadWrite);
        assert_eq!(*b, expected);
        assert!(parse("postgres://a:1,b:2,c/d?hostaddr=127.0.0.1").is_err());
    }

    #[test]
    fn refused_url_is_not_repeated() {
        for url in [
            "postgres://tide:hush@h/d?sslmode=allow",
            "postgres://tide:hush@h/d?sslmode=hush",
            "postgres://tide:hush@h/d?sslpassword=hush",
            "postgres://tide:hush@h/d?passfile=hush",
            "postgres://tide:hush@h/d?hush=1",
            "postgres://tide:hush@h:hush/d",
            "postgres://h:hush/d?password=hush",
            "postgres://tide:hush@h/d?sslcert=hush",
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
        let debug = format!("{:?}", parse("postgres://tide:hush@h/d?password=hush").unwrap());
        assert!(!debug.contains("hush"), "{debug}");
        let settings = format!("{:?}", PostgresSettings::new(Secret::new("postgres://tide:hush@h/d".to_owned())));
        assert!(!settings.contains("hush"), "{settings}");
    }

    #[test]
    fn password_may_contain_a_question_mark() {
        let config = &parse("postgres://tide:hu?sh@h/d?sslmode=disable").unwrap().hosts[0];
        assert_eq!(config.get_password(), Some(b"hu?sh".as_slice()));
        assert_eq!(config.get_ssl_mode(), SslMode::Disable);
    }
}
