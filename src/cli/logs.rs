//! Sets up the log. It goes to standard error, so that standard output has only results.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, anyhow};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{MakeWriter, Subscriber};
use tracing_subscriber::{EnvFilter, reload};

use tidewater::base::trace::{self, Ids};
use tidewater::config::{LogConfig, LogFormat};

/// Changes the levels of the log while the process runs.
#[derive(Clone)]
pub(crate) struct Levels(Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl Levels {
    /// Sets the levels, in the syntax of `log.level`.
    ///
    /// # Errors
    /// Fails if the levels cannot be parsed.
    pub(crate) fn set(&self, levels: &str) -> Result<()> {
        (self.0)(EnvFilter::try_new(levels)?).context("cannot change the levels of the log")
    }
}

/// Starts the log as configured. Returns a handle that changes the levels.
///
/// # Errors
/// Fails if the levels cannot be parsed, or the process has a log already.
pub(crate) fn start(config: &LogConfig) -> Result<Levels> {
    let filter = EnvFilter::try_new(&config.level)?;
    let colours = io::stderr().is_terminal();
    let log = Subscriber::builder()
        .with_env_filter(filter)
        .with_writer(Lines { colours, format: config.format, lost: AtomicU64::new(0) })
        .with_ansi(colours)
        // Otherwise the subscriber reports a failed write on standard error, which panics if standard error is closed. `Lines`
        // counts failed writes.
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

/// Writes each event on one line. So no text from a client or a storage service can forge a log line. Counts the lines that
/// could not be written, and writes their number before the next line that can be written.
struct Lines {
    /// Whether events have colours. Colour codes begin with a control character.
    colours: bool,
    format: LogFormat,
    /// The number of lost lines since the last line that was written.
    lost: AtomicU64,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Lines {
    /// Writes one whole event to `output`.
    fn write_to(&self, output: &mut impl Write, event: &[u8]) -> io::Result<()> {
        let event = one_line(event, self.colours);
        let event = with_trace(self.format, event, trace::ids());
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let written = if lost == 0 {
            output.write_all(&event)
        } else {
            output.write_all(&[lost_lines(self.format, lost).as_bytes(), &event].concat())
        };
        if written.is_err() {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
        written
    }
}

impl Write for &Lines {
    /// Writes one whole event: the subscriber calls this once per event.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.write_to(&mut io::stderr(), event)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Returns the log line about lost lines.
fn lost_lines(format: LogFormat, lines: u64) -> String {
    const MESSAGE: &str = "log lines before this one could not be written";
    let (mut time, target) = (String::new(), module_path!());
    // The time of the system is always formatted.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    match format {
        LogFormat::Text => format!("{time}  WARN {target}: {MESSAGE} lines={lines}\n"),
        LogFormat::Json => {
            let line = serde_json::json!(
                { "timestamp": time, "level": "WARN", "message": MESSAGE, "lines": lines, "target": target }
            );
            format!("{line}\n")
        }
    }
}

/// Adds the ids of the trace to the line of a traced request.
fn with_trace(format: LogFormat, line: Cow<'_, [u8]>, ids: Option<Ids>) -> Cow<'_, [u8]> {
    let Some(ids) = ids else { return line };
    let (trace_id, span_id) = (ids.trace_id(), ids.span_id());
    let (end, added) = match format {
        LogFormat::Text => (&b"\n"[..], format!(" trace_id={trace_id} span_id={span_id}\n")),
        LogFormat::Json => (&b"}\n"[..], format!(",\"trace_id\":\"{trace_id}\",\"span_id\":\"{span_id}\"}}\n")),
    };
    match line.strip_suffix(end) {
        Some(start) => Cow::Owned([start, added.as_bytes()].concat()),
        None => line,
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
    use tidewater::base::clock::Clock;
    use tidewater::base::trace::{Sampling, Tracer};

    use super::*;

    #[test]
    fn event_with_control_characters_stays_one_line() {
        let forged = "INFO it\r\n2026-01-01 INFO forged\u{1b}[31m größe\n".as_bytes();
        assert_eq!(&*one_line(forged, false), "INFO it\\r\\n2026-01-01 INFO forged\\x1b[31m größe\n".as_bytes());
        assert_eq!(&*one_line(b"\x1b[32m INFO\x1b[0m a\n", true), b"\x1b[32m INFO\x1b[0m a\n");
        assert!(matches!(one_line(b"INFO a\n", false), Cow::Borrowed(b"INFO a\n")));
    }

    #[test]
    fn line_of_a_traced_request_has_the_ids_in_both_formats() {
        let sampling = Sampling { per_million: 1_000_000, from_clients: false, failures: false };
        let (tracer, _queue) = Tracer::new(sampling, 1, Clock::System);
        let span = tracer.work("task".to_owned()).unwrap();
        let ids = span.context().ids();
        let (trace_id, span_id) = (ids.trace_id().to_string(), ids.span_id().to_string());
        for (format, line) in [(LogFormat::Text, "INFO a b=1\n"), (LogFormat::Json, "{\"message\":\"a\"}\n")] {
            let lines = Lines { colours: false, format, lost: AtomicU64::new(0) };
            let mut output = Output { is_open: true, text: Vec::new() };
            let write = |output: &mut Output| lines.write_to(output, line.as_bytes()).unwrap();
            trace::sync_scope(Some(span.context().clone()), || write(&mut output));
            write(&mut output);
            let text = String::from_utf8(output.text).unwrap();
            let (traced, plain) = text.split_once('\n').unwrap();
            assert_eq!(plain, line);
            match format {
                LogFormat::Text => assert_eq!(traced, format!("INFO a b=1 trace_id={trace_id} span_id={span_id}")),
                LogFormat::Json => {
                    let traced: serde_json::Value = serde_json::from_str(traced).unwrap();
                    let expected = serde_json::json!({ "message": "a", "trace_id": trace_id, "span_id": span_id });
                    assert_eq!(traced, expected);
                }
            }
        }
    }

    /// An output that fails while it is closed.
    struct Output {
        is_open: bool,
        text: Vec<u8>,
    }

    impl Write for Output {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            if self.is_open { self.text.write(piece) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lost_lines_are_counted_before_the_next_written_line() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let lines = Lines { colours: false, format, lost: AtomicU64::new(0) };
            let mut output = Output { is_open: true, text: Vec::new() };
            lines.write_to(&mut output, b"first\n").unwrap();
            output.is_open = false;
            lines.write_to(&mut output, b"second\n").unwrap_err();
            lines.write_to(&mut output, b"third\n").unwrap_err();
            output.is_open = true;
            lines.write_to(&mut output, b"fourth\n").unwrap();
            lines.write_to(&mut output, b"fifth\n").unwrap();
            let text = String::from_utf8(output.text).unwrap();
            let written: Vec<&str> = text.lines().collect();
            let [first, note, fourth, fifth] = written[..] else { panic!("{text}") };
            assert_eq!((first, fourth, fifth), ("first", "fourth", "fifth"));
            match format {
                LogFormat::Text => assert!(note.ends_with("could not be written lines=2"), "{note}"),
                LogFormat::Json => {
                    let note: serde_json::Value = serde_json::from_str(note).unwrap();
                    assert_eq!((&note["level"], &note["lines"]), (&"WARN".into(), &2.into()), "{note}");
                }
            }
        }
    }
}
