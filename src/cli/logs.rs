//! Sets up the log. It goes to standard error, so that standard output has only results.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use tracing_subscriber::fmt::{MakeWriter, Subscriber};
use tracing_subscriber::{EnvFilter, reload};

use tidewater::config::{LogConfig, LogFormat};

/// Changes the levels of the log while the process runs.
#[derive(Clone)]
pub(crate) struct Levels(Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl Levels {
    /// Sets the levels, in the syntax of `log.level`.
    ///
    /// # Errors
    /// If the levels cannot be parsed.
    pub(crate) fn set(&self, levels: &str) -> Result<()> {
        (self.0)(EnvFilter::try_new(levels)?).context("cannot change the levels of the log")
    }
}

/// Starts the log as configured. Returns a handle that changes the levels.
///
/// # Errors
/// If the levels cannot be parsed, or the process has a log already.
pub(crate) fn start(config: &LogConfig) -> Result<Levels> {
    let filter = EnvFilter::try_new(&config.level)?;
    let colours = io::stderr().is_terminal();
    let log = Subscriber::builder()
        .with_env_filter(filter)
        .with_writer(OneLine { colours })
        .with_ansi(colours)
        // Otherwise the subscriber reports a failed write on standard error, which panics if standard error is closed.
        .log_internal_errors(false);
    let (started, levels) = match config.format {
        LogFormat::Text => {
            let log = log.with_filter_reloading();
            let handle = log.reload_handle();
            let levels: Levels = Levels(Arc::new(move |filter| handle.reload(filter)));
            (tracing::subscriber::set_global_default(log.finish()), levels)
        }
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_filter_reloading();
            let handle = log.reload_handle();
            let levels: Levels = Levels(Arc::new(move |filter| handle.reload(filter)));
            (tracing::subscriber::set_global_default(log.finish()), levels)
        }
    };
    started.map_err(|error| anyhow!("cannot start the log: {error}"))?;
    Ok(levels)
}

/// Writes each event on one line. So no text from a client or a storage service can forge a log line.
#[derive(Clone, Copy)]
struct OneLine {
    /// Whether events have colours. Colour codes begin with a control character.
    colours: bool,
}

impl<'a> MakeWriter<'a> for OneLine {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for OneLine {
    /// Writes one whole event: the subscriber calls this once per event.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(&one_line(event, self.colours))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Escapes the control characters of an event, except the final line break.
fn one_line(event: &[u8], colours: bool) -> Cow<'_, [u8]> {
    let line = event.strip_suffix(b"\n").unwrap_or(event);
    let is_plain = |byte: &u8| !byte.is_ascii_control() || (colours && *byte == b'\x1b');
    if line.iter().all(is_plain) {
        return Cow::Borrowed(event);
    }
    let mut plain = Vec::with_capacity(event.len() + 16);
    for byte in line {
        if is_plain(byte) {
            plain.push(*byte);
        } else {
            plain.extend(byte.escape_ascii());
        }
    }
    plain.push(b'\n');
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_with_control_characters_stays_one_line() {
        let forged = "INFO it\r\n2026-01-01 INFO forged\u{1b}[31m größe\n".as_bytes();
        assert_eq!(&*one_line(forged, false), "INFO it\\r\\n2026-01-01 INFO forged\\x1b[31m größe\n".as_bytes());
        assert_eq!(&*one_line(b"\x1b[32m INFO\x1b[0m a\n", true), b"\x1b[32m INFO\x1b[0m a\n");
        assert!(matches!(one_line(b"INFO a\n", false), Cow::Borrowed(b"INFO a\n")));
    }
}
