//! Reports the state of the server to systemd, or to another supervisor with its protocol (`sd_notify(3)`).
//!
//! A message is a datagram of assignments to the socket in `NOTIFY_SOCKET`. The crate sd-notify 0.5 knows no abstract sockets.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::pin::pin;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How often a time-out of the supervisor is extended, and by how much.
const EXTEND_EVERY: Duration = Duration::from_secs(5);
const EXTEND_BY: Duration = Duration::from_secs(20);

/// How long one message may take. The supervisor reads at once, unless it hangs.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// How many reports the watchdog gets in its time-out.
const REPORTS: u32 = 3;

/// The supervisor of this process, if it has one.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// The watchdog's time-out.
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// Finds the supervisor in the environment. Reports from then on have no effect without one.
    pub(crate) fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let watchdog =
            watchdog(variable("WATCHDOG_USEC").as_deref(), variable("WATCHDOG_PID").as_deref(), std::process::id());
        match std::env::var_os("NOTIFY_SOCKET") {
            None => Self::default(),
            Some(name) => Self::new(&name, watchdog).unwrap_or_else(|error| {
                tracing::warn!(%error, socket = ?name, "the supervisor's socket cannot be used: it learns no state of this server");
                Self::default()
            }),
        }
    }

    fn new(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Self { socket: Some((socket, address(name)?)), watchdog })
    }

    /// Reports that the server answers requests, or answers them with new settings.
    pub(crate) fn ready(&self, status: &str) {
        self.report(&["READY=1", &format!("STATUS={status}")]);
    }

    /// Reports that the server reads its settings again, until [`Self::ready`].
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let now_us = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.report(&["RELOADING=1", &format!("MONOTONIC_USEC={now_us}"), "STATUS=Reading the settings again"]);
    }

    /// Reports that the server stops.
    pub(crate) fn stopping(&self, status: &str) {
        self.report(&["STOPPING=1", &format!("STATUS={status}")]);
    }

    /// Does work that may take longer than the supervisor waits. Extends its time-out as long as the work goes on and this task runs.
    pub(crate) async fn extend_while<F: Future>(&self, status: &str, work: F) -> F::Output {
        self.report(&[&format!("STATUS={status}")]);
        self.extend_until_end(work).await
    }

    /// Does work, and extends the supervisor's time-out meanwhile. See [`Self::extend_while`].
    pub(crate) async fn extend_until_end<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        loop {
            match tokio::time::timeout(EXTEND_EVERY, work.as_mut()).await {
                Ok(done) => return done,
                Err(_elapsed) => self.report(&[&format!("EXTEND_TIMEOUT_USEC={}", EXTEND_BY.as_micros())]),
            }
        }
    }

    /// Reports to the watchdog as long as `probe` returns true. Never ends. If a probe does not end, no report is sent, and the
    /// supervisor restarts the server.
    pub(crate) async fn report_work<P: Future<Output = bool>>(&self, probe: impl Fn() -> P) -> Infallible {
        let Some(timeout) = self.watchdog else { return std::future::pending().await };
        let pause = timeout / REPORTS;
        loop {
            let mut probed = pin!(probe());
            let works = match tokio::time::timeout(pause, probed.as_mut()).await {
                Ok(works) => works,
                Err(_elapsed) => {
                    tracing::error!(
                        after_s = pause.as_secs_f64(),
                        watchdog_s = timeout.as_secs_f64(),
                        "the server's own request or its read of the database does not end: the watchdog restarts the server"
                    );
                    probed.await
                }
            };
            if works {
                self.report(&["WATCHDOG=1"]);
            } else {
                tracing::error!(
                    "the server's own request or its read of the database fails: the watchdog restarts the server"
                );
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends assignments in one message.
    fn report(&self, assignments: &[&str]) {
        let Some((socket, address)) = &self.socket else { return };
        let lines: Vec<String> = assignments.iter().map(|line| line.replace('\n', " ")).collect();
        if let Err(error) = socket.send_to_addr(lines.join("\n").as_bytes(), address) {
            tracing::warn!(%error, "the supervisor did not take a report: {}", assignments[0]);
        }
    }
}

/// Returns the address of a socket: a path, or the name of an abstract socket after `@`.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "it is neither a path nor an abstract socket")),
    }
}

/// Returns the watchdog's time-out, if the variables are for the process `own`.
fn watchdog(time: Option<&str>, process: Option<&str>, own: u32) -> Option<Duration> {
    let is_own = process.is_none_or(|process| process.parse() == Ok(own));
    let time_us = time?.parse().ok().filter(|time_us| is_own && *time_us > 0)?;
    Some(Duration::from_micros(time_us))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Listener {
        socket: UnixDatagram,
        _folder: tempfile::TempDir,
    }

    impl Listener {
        fn new(watchdog: Option<Duration>) -> (Self, Supervisor) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            socket.set_nonblocking(true).unwrap();
            let supervisor = Supervisor::new(path.as_os_str(), watchdog).unwrap();
            (Self { socket, _folder: folder }, supervisor)
        }

        /// Returns all messages that have arrived.
        fn messages(&self) -> Vec<String> {
            let (mut bytes, mut messages) = ([0; 4096], Vec::new());
            while let Ok(len) = self.socket.recv(&mut bytes) {
                messages.push(String::from_utf8(bytes[..len].to_vec()).unwrap());
            }
            messages
        }
    }

    #[test]
    fn states_are_sent_in_the_form_of_sd_notify() {
        let (listener, supervisor) = Listener::new(None);
        supervisor.ready("Serving on\nhttp://a");
        supervisor.reloading();
        supervisor.stopping("Stopping");
        let messages = listener.messages();
        assert_eq!(messages[0], "READY=1\nSTATUS=Serving on http://a");
        let clock = messages[1].strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(clock.split('\n').next().unwrap().parse::<u64>().unwrap() > 0, "{clock}");
        assert_eq!(messages[2], "STOPPING=1\nSTATUS=Stopping");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn abstract_socket_gets_messages() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("tidewater-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Supervisor::new(format!("@{name}").as_ref(), None).unwrap().ready("x");
        let mut bytes = [0; 64];
        let len = socket.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..len], b"READY=1\nSTATUS=x");
    }

    #[test]
    fn other_kinds_of_sockets_are_refused() {
        assert!(Supervisor::new("vsock:2:1234".as_ref(), None).is_err());
        assert!(Supervisor::new("".as_ref(), None).is_err());
    }

    #[test]
    fn watchdog_of_another_process_is_ignored() {
        let minute = Some(Duration::from_secs(60));
        assert_eq!(watchdog(Some("60000000"), Some("7"), 7), minute);
        assert_eq!(watchdog(Some("60000000"), None, 7), minute);
        for (time, process) in [(Some("60000000"), Some("8")), (None, Some("7")), (Some("0"), None), (Some("x"), None)]
        {
            assert_eq!(watchdog(time, process, 7), None, "{time:?} {process:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn timeout_is_extended_while_work_goes_on() {
        let (listener, supervisor) = Listener::new(None);
        let work = tokio::time::sleep(Duration::from_secs(12));
        supervisor.extend_while("Waiting", work).await;
        assert_eq!(
            listener.messages(),
            ["STATUS=Waiting", "EXTEND_TIMEOUT_USEC=20000000", "EXTEND_TIMEOUT_USEC=20000000"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn watchdog_gets_a_report_only_after_a_probe_that_succeeds() {
        let (listener, supervisor) = Listener::new(Some(Duration::from_secs(60)));
        let probes = AtomicU32::new(0);
        // The second probe fails, and the fourth never ends.
        let probe = || {
            let number = probes.fetch_add(1, Ordering::Relaxed);
            async move { if number == 3 { std::future::pending().await } else { number != 1 } }
        };
        let hour = Duration::from_secs(3_600);
        assert!(tokio::time::timeout(hour, supervisor.report_work(probe)).await.is_err(), "it never ends");
        assert_eq!(listener.messages(), ["WATCHDOG=1", "WATCHDOG=1"]);
        assert_eq!(probes.into_inner(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_watchdog_nothing_is_probed() {
        let (listener, supervisor) = Listener::new(None);
        let probe = || async { panic!("probed") };
        let hour = Duration::from_secs(3_600);
        assert!(tokio::time::timeout(hour, supervisor.report_work(probe)).await.is_err());
        assert!(listener.messages().is_empty());
    }
}
