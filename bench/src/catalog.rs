//! Creates the tables of a load before it starts, and removes them afterwards.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use hyper::header::ETAG;
use hyper::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::bodies::{self, TableFacts};
use crate::client::{self, Connection, Outgoing};
use crate::stop::Stop;
use crate::targets::Target;

/// The number of connections that create and drop tables in parallel.
const HANDS: usize = 4;
/// The number of snapshots that one commit adds to a new table: about 200 KB, which every catalog accepts.
const SNAPSHOTS_PER_COMMIT: u64 = 250;

/// A table by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// Its namespace, which has one level.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl TableName {
    /// Returns the table's path below the prefix.
    #[must_use]
    pub fn path(&self) -> String {
        format!("namespaces/{}/tables/{}", self.namespace, self.name)
    }
}

/// A created table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// The facts that commits to it need.
    pub facts: TableFacts,
}

/// The facts in the response to a load.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The response's `ETag`.
    pub etag: Option<String>,
    /// The size of the metadata document in the response.
    pub document_bytes: u64,
    /// The table's `last-sequence-number`.
    pub last_sequence_number: u64,
}

#[derive(Deserialize)]
struct LoadAnswer<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MetadataFacts {
    table_uuid: String,
    location: String,
    #[serde(default)]
    last_sequence_number: u64,
}

fn read_load_answer(body: &[u8]) -> Result<(MetadataFacts, u64)> {
    let answer: LoadAnswer<'_> = serde_json::from_slice(body)
        .with_context(|| format!("cannot read the response to a load: {}", client::shorten(body)))?;
    let document = answer.metadata.get();
    Ok((serde_json::from_str(document)?, document.len() as u64))
}

/// A connection that creates and drops objects.
#[derive(Debug)]
pub struct Catalog {
    target: Target,
    connection: Connection,
}

impl Catalog {
    /// Opens a connection.
    ///
    /// # Errors
    /// Fails if no server listens.
    pub async fn open(target: &Target) -> Result<Self> {
        Ok(Self { connection: Connection::open(target.addr).await?, target: target.clone() })
    }

    /// Sends a request and returns the whole response.
    ///
    /// # Errors
    /// Fails if the connection breaks or the status is not in `accepted`.
    pub async fn call(&mut self, outgoing: &Outgoing, accepted: &[StatusCode]) -> Result<(HeaderMap, Bytes)> {
        let response = self.connection.send(outgoing).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = client::collect(response.into_body()).await?;
        if !accepted.contains(&status) {
            bail!("{} {} answered {status}: {}", outgoing.method, outgoing.uri, client::shorten(&body));
        }
        Ok((headers, body))
    }

    async fn post(&mut self, path: &str, body: &Value) -> Result<Bytes> {
        let outgoing = self.target.at_prefix(Method::POST, path, Bytes::from(body.to_string()))?;
        Ok(self.call(&outgoing, &[StatusCode::OK]).await?.1)
    }

    /// Creates a namespace.
    ///
    /// # Errors
    /// Fails if the catalog refuses.
    pub async fn namespace_create(&mut self, name: &str) -> Result<()> {
        self.post("namespaces", &json!({"namespace": [name], "properties": {}})).await?;
        Ok(())
    }

    /// Creates a table with this many snapshots. `now_ms` is the time of the last one, in milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the catalog refuses.
    pub async fn table_create(&mut self, name: TableName, snapshots: u64, now_ms: u64) -> Result<Table> {
        let path = format!("namespaces/{}/tables", name.namespace);
        let answer = self.post(&path, &bodies::create_table(&name.name)).await?;
        let (facts, _) = read_load_answer(&answer)?;
        let location = facts.location.trim_end_matches('/').to_owned();
        let table = Table { name, facts: TableFacts { uuid: facts.table_uuid, location } };
        let mut first = 1;
        while first <= snapshots {
            let last = snapshots.min(first + SNAPSHOTS_PER_COMMIT - 1);
            let batch_ms = now_ms.saturating_sub(snapshots - last);
            self.post(&table.name.path(), &bodies::add_snapshots(&table.facts, first, last, batch_ms)).await?;
            first = last + 1;
        }
        Ok(table)
    }

    /// Loads a table.
    ///
    /// # Errors
    /// Fails if the catalog refuses or its response is malformed.
    pub async fn table_load(&mut self, name: &TableName) -> Result<Loaded> {
        let outgoing = self.target.at_prefix(Method::GET, &name.path(), Bytes::new())?;
        let (headers, body) = self.call(&outgoing, &[StatusCode::OK]).await?;
        let (facts, document_bytes) = read_load_answer(&body)?;
        Ok(Loaded {
            etag: headers.get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned),
            document_bytes,
            last_sequence_number: facts.last_sequence_number,
        })
    }

    async fn delete(&mut self, path: &str) -> Result<()> {
        let outgoing = self.target.at_prefix(Method::DELETE, path, Bytes::new())?;
        self.call(&outgoing, &[StatusCode::NO_CONTENT, StatusCode::OK, StatusCode::NOT_FOUND]).await?;
        Ok(())
    }

    /// Drops a table. Succeeds for a table that does not exist.
    ///
    /// # Errors
    /// Fails if the catalog refuses.
    pub async fn table_drop(&mut self, name: &TableName) -> Result<()> {
        self.delete(&name.path()).await
    }

    /// Drops an empty namespace.
    ///
    /// # Errors
    /// Fails if the catalog refuses.
    pub async fn namespace_drop(&mut self, name: &str) -> Result<()> {
        self.delete(&format!("namespaces/{name}")).await
    }
}

/// Divides items evenly among the connections.
fn shares<T>(items: Vec<T>) -> Vec<Vec<(usize, T)>> {
    let mut shares: Vec<Vec<(usize, T)>> = (0..HANDS).map(|_| Vec::new()).collect();
    for (number, item) in items.into_iter().enumerate() {
        shares[number % HANDS].push((number, item));
    }
    shares.retain(|share| !share.is_empty());
    shares
}

/// Creates many tables without snapshots, in the order of their names.
///
/// # Errors
/// Fails if the catalog refuses one, or a stop was requested.
pub async fn tables_create(target: &Target, names: Vec<TableName>, stop: &Stop) -> Result<Vec<Table>> {
    let mut hands = JoinSet::new();
    for share in shares(names) {
        let (target, stop) = (target.clone(), stop.clone());
        hands.spawn(async move {
            let mut catalog = Catalog::open(&target).await?;
            let mut made = Vec::with_capacity(share.len());
            for (number, name) in share {
                if stop.requested() {
                    bail!("stopped while creating tables");
                }
                made.push((number, catalog.table_create(name, 0, 0).await?));
            }
            Ok(made)
        });
    }
    let mut made = Vec::new();
    // All connections finish, even if one failed: nothing may be created after the clean-up began.
    let mut failure = None;
    while let Some(share) = hands.join_next().await {
        match share? {
            Ok(tables) => made.extend(tables),
            Err(error) => failure = Some(error),
        }
    }
    if let Some(error) = failure {
        return Err(error);
    }
    made.sort_by_key(|(number, _)| *number);
    Ok(made.into_iter().map(|(_, table)| table).collect())
}

/// Drops many tables.
///
/// # Errors
/// Fails if the catalog refuses one; still tries the others.
pub async fn tables_drop(target: &Target, names: Vec<TableName>) -> Result<()> {
    let mut hands = JoinSet::new();
    for share in shares(names) {
        let target = target.clone();
        hands.spawn(async move {
            let mut catalog = Catalog::open(&target).await?;
            let mut outcome = Ok(());
            for (_, name) in share {
                if let Err(error) = catalog.table_drop(&name).await {
                    outcome = Err(error);
                    catalog = Catalog::open(&target).await?;
                }
            }
            outcome
        });
    }
    let mut outcome = Ok(());
    while let Some(share) = hands.join_next().await {
        outcome = outcome.and(share?);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_size_is_its_length_in_the_response() {
        let document = r#"{"table-uuid": "u",  "location": "s3://b/t", "last-sequence-number": 7}"#;
        let body = format!(r#"{{"metadata-location":"x","metadata":{document},"config":{{}}}}"#);
        let (facts, bytes) = read_load_answer(body.as_bytes()).unwrap();
        assert_eq!(bytes, document.len() as u64);
        assert_eq!((facts.table_uuid.as_str(), facts.last_sequence_number), ("u", 7));
    }

    #[test]
    fn malformed_response_is_shown_in_the_error() {
        let error = read_load_answer(b"<html>oops</html>").err().unwrap();
        assert!(error.to_string().contains("<html>oops</html>"));
    }

    #[test]
    fn every_item_is_in_exactly_one_share() {
        let shared = shares((0..10).collect());
        assert_eq!(shared.len(), HANDS);
        let mut all: Vec<_> = shared.into_iter().flatten().collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).map(|n| (n, n)).collect::<Vec<_>>());
        assert!(shares(Vec::<u8>::new()).is_empty());
    }
}
