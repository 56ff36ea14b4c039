//! Measures the floors: in alternating rounds with a catalog, or alone.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use anyhow::Result;
use bytes::Bytes;
use hyper::header::{HOST, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode};

use super::bare::BareProcess;
use super::durable::{self, Steps, Writes};
use crate::client::Outgoing;
use crate::driver::{self, Pace, Script, Source};
use crate::report::{Measured, Row, Who};
use crate::tally::Tally;

/// The floors. Bare servers start when first needed, and are idle between rounds.
#[derive(Debug)]
pub struct Floors {
    folder: PathBuf,
    tables: usize,
    bare: BTreeMap<(u16, u64), BareProcess>,
}

impl Floors {
    /// Creates the floors. `folder`: for durable writes. `tables`: the number of rows that they alternate between.
    #[must_use]
    pub fn new(folder: PathBuf, tables: usize) -> Self {
        Self { folder, tables, bare: BTreeMap::new() }
    }

    /// Measures a bare server that sends `bytes` bytes, under the same load as a catalog.
    ///
    /// # Errors
    /// Fails if the server cannot be started or reached.
    pub fn bare(&mut self, bytes: u64, scripts: Vec<Script>, pace: &Pace) -> Result<Tally> {
        let status = scripts.first().map_or(StatusCode::OK, |script| script.expected).as_u16();
        let server = match self.bare.entry((status, bytes)) {
            Entry::Occupied(running) => running.into_mut(),
            Entry::Vacant(none) => none.insert(BareProcess::start(status, bytes)?),
        };
        driver::drive(server.addr, scripts, pace)
    }

    /// Measures durable writes of a document of this size.
    ///
    /// # Errors
    /// Fails if the folder cannot be written.
    pub fn durable(&self, bytes: u64, threads: usize, steps: Steps, pace: &Pace) -> Result<Tally> {
        let writes = Writes { folder: self.folder.clone(), threads, bytes, tables: self.tables, steps };
        durable::measure(&writes, pace)
    }
}

/// The measurements of the command `floor`.
#[derive(Clone, Debug)]
pub struct FloorPlan {
    /// Sizes of the bare server's responses in bytes; empty to skip it.
    pub bare_bytes: Vec<u64>,
    /// Sizes of the durable documents in bytes; empty to skip them.
    pub durable_bytes: Vec<u64>,
    /// Numbers of connections, or of writing threads.
    pub connections: Vec<usize>,
    /// The number of rounds of each.
    pub rounds: usize,
}

struct Get(Outgoing);

impl Source for Get {
    fn next(&mut self) -> Outgoing {
        self.0.clone()
    }
}

/// Returns scripts that send GET requests to a bare server.
#[must_use]
pub fn get_scripts(connections: usize) -> Vec<Script> {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    let outgoing = Outgoing { method: Method::GET, uri: hyper::Uri::from_static("/"), headers, body: Bytes::new() };
    (0..connections)
        .map(|_| Script { source: Box::new(Get(outgoing.clone())), expected: StatusCode::OK, retry_conflicts: false })
        .collect()
}

impl FloorPlan {
    /// Returns the total number of rounds.
    #[must_use]
    pub fn loads(&self) -> usize {
        (self.bare_bytes.len() + self.durable_bytes.len() * 3) * self.connections.len() * self.rounds
    }
}

/// Measures the floors alone.
///
/// # Errors
/// Fails if a measurement fails.
pub fn run(plan: &FloorPlan, floors: &mut Floors, pace: &Pace, tell: &dyn Fn(&str)) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let row = |name: &str, bytes: u64, connections: usize, tallies: Vec<Tally>| {
        let mut row = Row::new(name, connections);
        row.document_bytes = Some(bytes);
        row.finish(vec![Measured { who: Who::Floor, rounds: tallies }])
    };
    for &bytes in &plan.bare_bytes {
        for &connections in &plan.connections {
            let mut tallies = Vec::new();
            for _ in 0..rounds_left(plan, pace) {
                tell(&format!("bare handler, {bytes} bytes, {connections} connections"));
                tallies.push(floors.bare(bytes, get_scripts(connections), pace)?);
            }
            rows.push(row("bare-handler", bytes, connections, tallies)?);
        }
    }
    for (steps, name) in
        [(Steps::FileAndRow, "durable-write"), (Steps::File, "durable-file-only"), (Steps::Row, "durable-row-only")]
    {
        for &bytes in &plan.durable_bytes {
            for &threads in &plan.connections {
                let mut tallies = Vec::new();
                for _ in 0..rounds_left(plan, pace) {
                    tell(&format!("{name}, {bytes} bytes, {threads} threads"));
                    tallies.push(floors.durable(bytes, threads, steps, pace)?);
                }
                rows.push(row(name, bytes, threads, tallies)?);
            }
        }
    }
    rows.retain(|row| !row.results.is_empty());
    Ok(rows)
}

fn rounds_left(plan: &FloorPlan, pace: &Pace) -> usize {
    if pace.stop.requested() { 0 } else { plan.rounds }
}
