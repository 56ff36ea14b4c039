//! Where connections go to: each address of a host.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::lookup_host;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// The port of a URL without one.
const DEFAULT_PORT: u16 = 5432;

/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;

/// An address of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A socket file.
    File(PathBuf),
}

/// One address of a host, and what is needed to connect to it.
pub(super) struct Destination {
    pub(super) config: Config,
    /// `None` if the name could not be resolved: the connection fails with a message that says so.
    pub(super) address: Option<Address>,
}

/// Resolves a host's name. `host` has the settings of one host.
pub(super) async fn destinations(host: &Config) -> Vec<Destination> {
    let port = host.get_ports().first().copied().unwrap_or(DEFAULT_PORT);
    let one = |address| vec![Destination { config: host.clone(), address }];
    if let Some(ip) = host.get_hostaddrs().first() {
        return one(Some(Address::Ip(SocketAddr::new(*ip, port))));
    }
    let name = match host.get_hosts().first() {
        Some(Host::Unix(folder)) => return one(Some(Address::File(folder.join(format!(".s.PGSQL.{port}"))))),
        Some(Host::Tcp(name)) => name,
        None => return one(None),
    };
    let Ok(found) = lookup_host((name.as_str(), port)).await else { return one(None) };
    let destination = |found: SocketAddr| {
        let mut config = host.clone();
        config.hostaddr(found.ip());
        Destination { config, address: Some(Address::Ip(found)) }
    };
    let all: Vec<_> = found.take(MAX_ADDRESSES).map(destination).collect();
    if all.is_empty() { one(None) } else { all }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn addresses(url: &str) -> Vec<Option<Address>> {
        destinations(&url.parse().unwrap()).await.into_iter().map(|destination| destination.address).collect()
    }

    #[tokio::test]
    async fn address_is_the_given_one_the_socket_file_or_that_of_the_name() {
        let ip = |text: &str| Some(Address::Ip(text.parse().unwrap()));
        assert_eq!(addresses("host=db.invalid hostaddr=127.0.0.9").await, [ip("127.0.0.9:5432")]);
        assert_eq!(addresses("host=127.0.0.1 port=7").await, [ip("127.0.0.1:7")]);
        assert_eq!(addresses("host=/run/pg port=7").await, [Some(Address::File("/run/pg/.s.PGSQL.7".into()))]);
        assert_eq!(addresses("host=db.invalid").await, [None]);
    }

    #[tokio::test]
    async fn resolved_host_keeps_its_name_for_its_certificate() {
        let found = destinations(&"host=localhost port=7".parse().unwrap()).await;
        assert!(found.iter().all(|found| found.config.get_hosts() == [Host::Tcp("localhost".to_owned())]));
        assert!(found.iter().all(|found| found.config.get_hostaddrs().len() == 1));
    }
}
