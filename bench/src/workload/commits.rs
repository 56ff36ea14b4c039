//! Loads that commit.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use hyper::{Method, StatusCode};

use crate::bodies::{self, SetProperty, TableFacts};
use crate::catalog::{Catalog, Table};
use crate::client::Outgoing;
use crate::clock::Clock;
use crate::driver::{Script, Source};
use crate::targets::Target;

/// Tables, and the commits to them.
#[derive(Clone, Debug)]
pub struct Writing {
    tables: Arc<Vec<Table>>,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// All connections commit to the same table.
    SameTable,
    /// Each connection commits to its own tables.
    OwnTables,
    /// One connection appends snapshots; the table keeps this many.
    Append { kept: u64 },
}

/// Returns commits that set properties of one table.
#[must_use]
pub fn one_table(table: Table) -> Writing {
    Writing { tables: Arc::new(vec![table]), what: What::SameTable }
}

/// Returns commits that set properties of many tables, divided among the connections.
#[must_use]
pub fn many_tables(tables: Vec<Table>) -> Writing {
    Writing { tables: Arc::new(tables), what: What::OwnTables }
}

/// Returns appends to one table.
#[must_use]
pub fn appends(table: Table, kept: u64) -> Writing {
    Writing { tables: Arc::new(vec![table]), what: What::Append { kept } }
}

impl Writing {
    /// Returns whether connections commit to different tables, so that nothing serialises them.
    #[must_use]
    pub fn is_parallel(&self) -> bool {
        matches!(self.what, What::OwnTables)
    }

    /// Returns the number of tables.
    #[must_use]
    pub fn tables(&self) -> usize {
        self.tables.len()
    }

    /// Returns the present size of the first table's document, in bytes.
    ///
    /// # Errors
    /// Fails if the catalog does not answer.
    pub async fn document_bytes(&self, target: &Target) -> Result<u64> {
        match self.tables.first() {
            Some(table) => Ok(Catalog::open(target).await?.table_load(&table.name).await?.document_bytes),
            None => Ok(0),
        }
    }

    /// Returns one script for each connection; see [`super::site::Subject::scripts`].
    ///
    /// # Errors
    /// Fails if the catalog does not answer.
    pub async fn scripts(&self, target: &Target, connections: usize, salt: &str, clock: Clock) -> Result<Vec<Script>> {
        let script = |source| Script { source, expected: StatusCode::OK, retry_conflicts: true };
        if let (What::Append { kept }, Some(table)) = (self.what, self.tables.first()) {
            let last = Catalog::open(target).await?.table_load(&table.name).await?.last_sequence_number;
            let outgoing = target.at_prefix(Method::POST, &table.name.path(), Bytes::from_static(b"{}"))?;
            let source = Appends { outgoing, facts: table.facts.clone(), last, kept, clock, last_ms: 0 };
            return Ok(vec![script(Box::new(source))]);
        }
        let mut scripts = Vec::with_capacity(connections);
        for connection in 0..connections {
            let mine = self.share(connection, connections);
            let mut tables = Vec::with_capacity(mine.len());
            for table in mine {
                let outgoing = target.at_prefix(Method::POST, &table.name.path(), Bytes::from_static(b"{}"))?;
                tables.push((outgoing, SetProperty::new(&table.facts)));
            }
            let source = Properties { tables, salt: format!("{salt}-c{connection}"), count: 0 };
            scripts.push(script(Box::new(source)));
        }
        Ok(scripts)
    }

    fn share(&self, connection: usize, connections: usize) -> Vec<&Table> {
        match self.what {
            What::OwnTables => self.tables.iter().skip(connection).step_by(connections.max(1)).collect(),
            What::SameTable | What::Append { .. } => self.tables.iter().collect(),
        }
    }
}

/// Sets a property of each table in turn. Each value is new, since a catalog may skip a change without effect.
struct Properties {
    tables: Vec<(Outgoing, SetProperty)>,
    salt: String,
    count: usize,
}

impl Source for Properties {
    fn next(&mut self) -> Outgoing {
        let (outgoing, property) = &self.tables[self.count % self.tables.len()];
        let body = property.body(&format!("{}-n{}", self.salt, self.count));
        self.count += 1;
        Outgoing { body, ..outgoing.clone() }
    }
}

/// Appends snapshots one after the other.
struct Appends {
    outgoing: Outgoing,
    facts: TableFacts,
    last: u64,
    kept: u64,
    clock: Clock,
    last_ms: u64,
}

impl Source for Appends {
    fn next(&mut self) -> Outgoing {
        self.last += 1;
        self.last_ms = self.clock.now_ms().max(self.last_ms + 1);
        Outgoing { body: bodies::append(&self.facts, self.last, self.kept, self.last_ms), ..self.outgoing.clone() }
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use serde_json::Value;

    use super::*;
    use crate::catalog::TableName;

    fn table(number: usize) -> Table {
        Table {
            name: TableName { namespace: "n".into(), name: format!("t{number}") },
            facts: TableFacts { uuid: format!("uuid-{number}"), location: format!("s3://b/t{number}") },
        }
    }

    fn outgoing() -> Outgoing {
        Outgoing { method: Method::POST, uri: "/t".parse().unwrap(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    #[test]
    fn each_table_belongs_to_one_connection() {
        let writing = many_tables((0..10).map(table).collect());
        let mut seen: Vec<_> = (0..3).flat_map(|c| writing.share(c, 3)).map(|table| table.name.name.clone()).collect();
        seen.sort();
        assert_eq!(seen, (0..10).map(|n| format!("t{n}")).collect::<Vec<_>>());
        assert!(writing.is_parallel());
    }

    #[test]
    fn all_connections_share_a_single_table() {
        let writing = one_table(table(0));
        assert_eq!(writing.share(0, 8).len(), 1);
        assert_eq!(writing.share(7, 8).len(), 1);
        assert!(!writing.is_parallel());
    }

    #[test]
    fn connection_cycles_through_its_tables_with_new_values() {
        let tables = (0..2).map(|n| (outgoing(), SetProperty::new(&table(n).facts))).collect();
        let mut source = Properties { tables, salt: "r0-c0".into(), count: 0 };
        let bodies: Vec<Value> = (0..3).map(|_| serde_json::from_slice(&source.next().body).unwrap()).collect();
        let uuid = |body: &Value| body["requirements"][0]["uuid"].clone();
        let value = |body: &Value| body["updates"][0]["updates"]["bench.last-write"].clone();
        assert_eq!(bodies.iter().map(uuid).collect::<Vec<_>>(), ["uuid-0", "uuid-1", "uuid-0"]);
        assert_eq!(bodies.iter().map(value).collect::<Vec<_>>(), ["r0-c0-n0", "r0-c0-n1", "r0-c0-n2"]);
    }

    #[test]
    fn each_append_follows_the_last() {
        let clock = Clock::starting_at(5);
        let mut source = Appends { outgoing: outgoing(), facts: table(0).facts, last: 10, kept: 10, clock, last_ms: 0 };
        let numbers: Vec<_> = (0..2)
            .map(|_| {
                let commit: Value = serde_json::from_slice(&source.next().body).unwrap();
                let snapshot = &commit["updates"][0]["snapshot"];
                (snapshot["sequence-number"].as_u64().unwrap(), snapshot["timestamp-ms"].as_u64().unwrap())
            })
            .collect();
        assert_eq!((numbers[0].0, numbers[1].0), (11, 12));
        assert!(numbers[0].1 >= 5 && numbers[1].1 > numbers[0].1);
    }
}
