//! Connections over the Unix socket in the data folder. They are served like TCP connections, and their requests carry
//! [`Machine`].

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::PAUSE_AFTER_FAILED_ACCEPT;
use super::admission::Admission;
use super::connection::{Origin, Serving};
use super::watched::WatchedWrites;
use crate::api::Machine;
use crate::config::ConnectionsConfig;
use crate::data_folder::control::ControlSocket;

/// The most open connections. Further ones wait.
const CONNECTIONS: usize = 32;

/// Returns the admission of connections over the socket.
pub(super) fn admission() -> Arc<Admission> {
    Arc::new(Admission::new(&ConnectionsConfig {
        // Never the limit: connections that were accepted have their permit of `CONNECTIONS`.
        max: CONNECTIONS + 1,
        max_per_address: 0,
        ..ConnectionsConfig::default()
    }))
}

/// Accepts connections until its future is dropped. Accepted connections continue.
pub(super) async fn accept(socket: ControlSocket, admission: Arc<Admission>, serving: Arc<Serving>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let (stream, user) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection to the control socket was not accepted");
                if error.kind() != ErrorKind::PermissionDenied {
                    tokio::time::sleep(PAUSE_AFTER_FAILED_ACCEPT).await;
                }
                continue;
            }
        };
        let Some(permit) = admission.admit(IpAddr::V4(Ipv4Addr::LOCALHOST)) else { continue };
        let stream = WatchedWrites::new(stream, Arc::clone(&permit.connection.activity));
        let serving = Arc::clone(&serving);
        tokio::spawn(async move {
            serving.serve(stream, Origin::Machine(Machine { user }), permit).await;
            drop(place);
        });
    }
}
