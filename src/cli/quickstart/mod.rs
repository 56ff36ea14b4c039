//! `tidewater quickstart`: starts a catalog with a sample table that a newcomer can query at once.

mod memory;
mod moved;
mod set_up;
mod welcome;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Result, ensure};
use clap::Args;

pub(crate) use welcome::Welcome;

use super::live::{LiveSettings, ReadSettings, hang_up_signal};
use super::output::{self, Format};
use super::serve::{ServerArguments, stop_signal};
use super::supervisor::Supervisor;
use super::{logs, snippets};
use tidewater::app::{App, raise_descriptor_limit};
use tidewater::config::Flags;

const EXAMPLES: &str = "\
Examples:
  tidewater quickstart
  tidewater quickstart --data-dir /tmp/tide --listen 127.0.0.1:9000

With --json, it prints one line of JSON as soon as the catalog answers: uri, warehouse, api_key, namespace and table.
A second start on the same folder prints the same values and keeps all data.";

/// Arguments of `quickstart`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    format: Format,
}

impl Arguments {
    /// Returns the settings that these arguments set.
    pub(crate) fn flags(&self) -> Flags {
        self.server.flags()
    }
}

/// Starts the catalog, creates the missing sample objects, prints how to query them, and serves until a signal stops it.
pub(crate) async fn run(read: ReadSettings, arguments: &Arguments) -> Result<()> {
    let hang_up = hang_up_signal()?;
    let config = read()?;
    ensure!(
        config.data_folder().is_some(),
        "the quickstart keeps its sample warehouse in a data folder: name one with --data-dir beside the database {}",
        config.store.url
    );
    let levels = logs::start(&config.log)?;
    let stop = stop_signal()?;
    raise_descriptor_limit();
    let data_dir = config.data_dir.clone();
    let supervisor = Supervisor::from_environment();
    let app = supervisor.extend_while("Opening the database", App::start(config)).await?;
    let live = LiveSettings { read, levels, hang_up, supervisor };
    let (scheme, listening) = (app.scheme(), app.local_addr()?);
    let api_key = set_up::complete(app.store().as_ref(), app.catalog(), &data_dir).await?;
    let welcome = Welcome {
        uri: uri(scheme, listening),
        warehouse: set_up::NAME,
        api_key,
        namespace: tidewater::sample::NAMESPACE,
        table: tidewater::sample::TABLE,
    };
    if arguments.format.json {
        output::line(&serde_json::to_string(&welcome)?)?;
    } else {
        output::line(&snippets::banner(&welcome, &data_dir))?;
    }
    // The port is open since `start`: clients that connect now are answered once the next line runs.
    live.serve_until(app, stop).await
}

/// Returns the address at which clients on this machine reach a server that listens on `listening`.
fn uri(scheme: &str, listening: SocketAddr) -> String {
    let host = match listening.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    format!("{scheme}://{}", SocketAddr::new(host, listening.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_of_an_unspecified_address_is_loopback() {
        for (listening, expected) in [
            ("127.0.0.1:8181", "http://127.0.0.1:8181"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80", "http://[::1]:80"),
            ("10.0.0.7:80", "http://10.0.0.7:80"),
        ] {
            assert_eq!(uri("http", listening.parse().unwrap()), expected);
        }
    }

    #[test]
    fn welcome_as_json_has_the_documented_fields() {
        let welcome = Welcome { uri: "u".into(), warehouse: "w", api_key: "k".into(), namespace: "n", table: "t" };
        assert_eq!(
            serde_json::to_string(&welcome).unwrap(),
            r#"{"uri":"u","warehouse":"w","api_key":"k","namespace":"n","table":"t"}"#
        );
    }
}
