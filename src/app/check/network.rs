//! Checks the addresses on which the server listens, and the identity providers.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use futures_util::future::join_all;
use rustix::process::geteuid;

use super::found::Found;
use super::subject::Subject;
use crate::auth::check_provider;
use crate::config::{IssuerConfig, ListenAddress};
use crate::data_folder::process_of_server;

/// The state of a listening socket in `/proc/net/tcp` (proc(5)).
const LISTENING: &str = "0A";

/// Checks that the addresses are free, or taken by this catalog's own server.
pub(super) async fn listen(subject: &Subject) -> Vec<Found> {
    let config = &subject.config;
    let own = config.data_folder().and_then(process_of_server);
    let mut found = vec![check_address("listen", &config.listen, own).await];
    if let Some(address) = &config.telemetry.listen {
        found.push(check_address("telemetry.listen", address, own).await);
    }
    found
}

async fn check_address(setting: &str, listen: &ListenAddress, own: Option<i32>) -> Found {
    let object = format!("{setting} {listen}");
    let addresses: Vec<SocketAddr> = match tokio::net::lookup_host((listen.host(), listen.port())).await {
        Ok(found) => found.collect(),
        Err(error) => return Found::failed(object, format!("is not known: {error}. Write an IP address")),
    };
    let error = match TcpListener::bind(&addresses[..]) {
        Ok(_) => return Found::ok(object, "is free"),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::AddrInUse => taken(object, listen.port(), own),
        ErrorKind::PermissionDenied => Found::failed(
            object,
            format!("{error}: ports below 1024 need CAP_NET_BIND_SERVICE (`AmbientCapabilities=` in a systemd unit)"),
        ),
        ErrorKind::AddrNotAvailable => {
            Found::failed(object, "is not an address of this machine: 0.0.0.0 means all of them")
        }
        _ => Found::failed(object, error),
    }
}

/// Returns the finding for an address that is in use.
fn taken(object: String, port: u16, own: Option<i32>) -> Found {
    let processes = processes_that_listen(port);
    if let Some(own) = own
        && processes.contains(&own)
    {
        return Found::ok(object, format!("is taken by the server that runs on the data folder (process {own})"));
    }
    let names: Vec<String> =
        processes.iter().map(|process| format!("{} (process {process})", name_of(*process))).collect();
    let by = match (names.is_empty(), geteuid().is_root()) {
        (false, _) => names.join(", "),
        (true, true) => "a process that cannot be found".to_owned(),
        (true, false) => "a process of another user".to_owned(),
    };
    Found::failed(object, format!("is taken by {by}: stop it, or choose another address"))
}

/// Returns the processes that listen on a port, as far as this user may see them.
fn processes_that_listen(port: u16) -> BTreeSet<i32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| fs::read_to_string(file).unwrap_or_default());
    let sockets: BTreeSet<String> = tables.iter().flat_map(|table| sockets_in(table, port)).collect();
    let Ok(processes) = fs::read_dir("/proc") else { return BTreeSet::new() };
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(|process| has_socket(*process, &sockets)).collect()
}

/// Returns the inodes of the sockets that listen on a port, from the text of `/proc/net/tcp`.
fn sockets_in(table: &str, port: u16) -> Vec<String> {
    let port = format!(":{port:04X}");
    let listening = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_wanted = fields.get(1)?.ends_with(&port) && *fields.get(3)? == LISTENING;
        is_wanted.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
    });
    listening.collect()
}

fn has_socket(process: i32, sockets: &BTreeSet<String>) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    files.flatten().any(|file| {
        fs::read_link(file.path()).is_ok_and(|target| target.to_str().is_some_and(|target| sockets.contains(target)))
    })
}

fn name_of(process: i32) -> String {
    let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    name.trim().to_owned()
}

/// Checks that the discovery document and the keys of each identity provider can be read.
pub(super) async fn providers(subject: &Subject) -> Vec<Found> {
    let mut checks = Vec::new();
    for issuer in &subject.config.auth.issuers {
        checks.push(provider(issuer));
    }
    join_all(checks).await
}

async fn provider(issuer: &IssuerConfig) -> Found {
    match check_provider(issuer).await {
        Ok(()) => Found::ok(&issuer.name, format!("the keys of {} were read", issuer.issuer)),
        Err(why) => Found::failed(&issuer.name, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_of_a_port_are_found() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1FF5 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1FF5 0100007F:A000 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: 0100007F:1FF6 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
";
        assert_eq!(sockets_in(table, 8181), ["socket:[4711]"]);
        assert!(sockets_in("", 8181).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn process_that_listens_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(processes_that_listen(port), BTreeSet::from([own]));
        let Found(_, outcome, detail) = taken(String::new(), port, Some(own));
        assert_eq!(outcome, super::super::found::CheckOutcome::Ok, "{detail}");
        let Found(_, outcome, detail) = taken(String::new(), port, None);
        assert_eq!(outcome, super::super::found::CheckOutcome::Failed);
        assert!(detail.contains(&format!("(process {own})")), "{detail}");
    }
}
