//! Short loads against servers in this process. Checks the counts, never the speed.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tidewater_bench::driver::{self, Pace, Script};
use tidewater_bench::floor::bare::{self, BareAnswer};
use tidewater_bench::floor::durable::{self, Steps, Writes};
use tidewater_bench::floor::measure::get_scripts;
use tidewater_bench::stop::Stop;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

fn pace(threads: usize) -> Pace {
    Pace {
        threads,
        warm_up: Duration::ZERO,
        measure: Duration::from_millis(200),
        timeout: Duration::from_secs(10),
        stop: Stop::default(),
    }
}

/// Starts a server on a free port. It ends with the runtime.
fn serve(router: Router) -> std::io::Result<(Runtime, SocketAddr)> {
    let runtime = Runtime::new()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let addr = listener.local_addr()?;
    runtime.spawn(async move { axum::serve(listener, router).await });
    Ok((runtime, addr))
}

#[test]
fn responses_of_the_bare_server_are_counted_with_their_bytes() {
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let addr = listener.local_addr().unwrap();
    runtime.spawn(bare::serve(listener, BareAnswer::new(StatusCode::OK, 2400)));
    let tally = driver::drive(addr, get_scripts(3), &pace(2)).unwrap();
    assert!(tally.completed > 0);
    assert_eq!(tally.body_bytes, tally.completed * 2400);
    assert!(tally.failures.is_empty(), "{:?}", tally.failures);
    assert_eq!(tally.conflicts, 0);
    assert_eq!(tally.measured, Duration::from_millis(200));
}

#[test]
fn unexpected_responses_are_counted_by_status_with_the_first_body() {
    let failing = get(async || (StatusCode::SERVICE_UNAVAILABLE, "too busy"));
    let (_runtime, addr) = serve(Router::new().route("/", failing)).unwrap();
    let tally = driver::drive(addr, get_scripts(2), &pace(1)).unwrap();
    assert_eq!(tally.completed, 0);
    assert_eq!(tally.failures.keys().collect::<Vec<_>>(), ["503"]);
    assert_eq!(tally.failures["503"].sample, "too busy");
    assert!(tally.failures["503"].count >= 2);
}

#[test]
fn conflict_is_retried_and_counted_separately() {
    // The server refuses every second request, so each success follows one conflict.
    let asked = Arc::new(AtomicU64::new(0));
    let flaky = get(move || {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        async move { if number.is_multiple_of(2) { StatusCode::CONFLICT } else { StatusCode::OK } }
    });
    let (_runtime, addr) = serve(Router::new().route("/", flaky)).unwrap();
    let scripts = get_scripts(1).into_iter().map(|script| Script { retry_conflicts: true, ..script }).collect();
    let tally = driver::drive(addr, scripts, &pace(1)).unwrap();
    assert!(tally.completed > 0);
    assert!(tally.failures.is_empty(), "{:?}", tally.failures);
    assert!(tally.conflicts.abs_diff(tally.completed) <= 1, "{} and {}", tally.conflicts, tally.completed);
}

#[test]
fn connection_closed_by_the_server_is_reopened_without_a_failure() {
    let closing = get(async || ([("connection", "close")], "bye"));
    let (_runtime, addr) = serve(Router::new().route("/", closing)).unwrap();
    let tally = driver::drive(addr, get_scripts(1), &pace(1)).unwrap();
    assert!(tally.completed > 1);
    assert!(tally.failures.is_empty(), "{:?}", tally.failures);
}

#[test]
fn connection_that_breaks_within_a_body_is_a_failure() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream?;
            let _ = stream.read(&mut [0; 4096])?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")?;
        }
        std::io::Result::Ok(())
    });
    let tally = driver::drive(addr, get_scripts(1), &pace(1)).unwrap();
    assert_eq!(tally.completed, 0);
    assert_eq!(tally.failures.keys().collect::<Vec<_>>(), ["connection"]);
}

#[test]
fn stopped_load_ends_at_once() {
    let (_runtime, addr) = serve(Router::new().route("/", get(async || "ok"))).unwrap();
    let pace = Pace { measure: Duration::from_secs(3600), ..pace(1) };
    pace.stop.request();
    let tally = driver::drive(addr, get_scripts(4), &pace).unwrap();
    assert_eq!(tally.completed, 0);
    assert!(tally.measured < Duration::from_secs(3600));
}

#[test]
fn address_without_a_listener_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    assert!(driver::drive(addr, get_scripts(4), &pace(2)).is_err());
}

#[test]
fn durable_writes_are_counted_and_leave_no_files() {
    let folder = tempfile::tempdir().unwrap();
    for steps in [Steps::FileAndRow, Steps::File, Steps::Row] {
        let writes = Writes { folder: folder.path().to_owned(), threads: 3, bytes: 100, tables: 2, steps };
        let tally = durable::measure(&writes, &pace(1)).unwrap();
        assert!(tally.completed > 0, "{steps:?}");
        assert_eq!(tally.body_bytes, tally.completed * 100);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
