//! What has to be done to a catalog before and after a load: making tables, and removing them.

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

/// Connections that create and drop tables side by side.
const HANDS: usize = 4;
/// Snapshots that one commit adds while a table is made: about 200 KB, which every catalog accepts.
const SNAPSHOTS_PER_COMMIT: u64 = 250;

/// A table by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// Its namespace, of one level.
    pub namespace: String,
    /// Its own name.
    pub name: String,
}

impl TableName {
    /// The table's path beneath the prefix.
    #[must_use]
    pub fn path(&self) -> String {
        format!("namespaces/{}/tables/{}", self.namespace, self.name)
    }
}

/// A table that was made.
#[derive(Clone, Debug)]
pub struct Table {
    /// How it is called.
    pub name: TableName,
    /// What commits to it have to say.
    pub facts: TableFacts,
}

/// What a load of a table tells.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The answer's `ETag`.
    pub etag: Option<String>,
    /// Size of the metadata document within the answer.
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
        .with_context(|| format!("a table's answer cannot be read: {}", client::shorten(body)))?;
    let document = answer.metadata.get();
    Ok((serde_json::from_str(document)?, document.len() as u64))
}

/// A connection that makes and removes things.
#[derive(Debug)]
pub struct Catalog {
    target: Target,
    connection: Connection,
}

impl Catalog {
    /// Connects.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn open(target: &Target) -> Result<Self> {
        Ok(Self { connection: Connection::open(target.addr).await?, target: target.clone() })
    }

    /// Sends a request and keeps the whole answer.
    ///
    /// # Errors
    /// When the connection breaks or the answer is none of `accepted`.
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

    /// Makes a namespace.
    ///
    /// # Errors
    /// When the catalog refuses.
    pub async fn namespace_create(&mut self, name: &str) -> Result<()> {
        self.post("namespaces", &json!({"namespace": [name], "properties": {}})).await?;
        Ok(())
    }

    /// Makes a table with this many snapshots. `now_ms` is the time of the last one, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the catalog refuses.
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
    /// When the catalog refuses or answers nonsense.
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

    /// Drops a table; one that is not there is dropped already.
    ///
    /// # Errors
    /// When the catalog refuses.
    pub async fn table_drop(&mut self, name: &TableName) -> Result<()> {
        self.delete(&name.path()).await
    }

    /// Drops an empty namespace.
    ///
    /// # Errors
    /// When the catalog refuses.
    pub async fn namespace_drop(&mut self, name: &str) -> Result<()> {
        self.delete(&format!("namespaces/{name}")).await
    }
}

/// Shares work out among a few hands.
fn shares<T>(items: Vec<T>) -> Vec<Vec<(usize, T)>> {
    let mut shares: Vec<Vec<(usize, T)>> = (0..HANDS).map(|_| Vec::new()).collect();
    for (number, item) in items.into_iter().enumerate() {
        shares[number % HANDS].push((number, item));
    }
    shares.retain(|share| !share.is_empty());
    shares
}

/// Makes many tables without snapshots, in the order of their names.
///
/// # Errors
/// When the catalog refuses one, or somebody asked to stop.
pub async fn tables_create(target: &Target, names: Vec<TableName>, stop: &Stop) -> Result<Vec<Table>> {
    let mut hands = JoinSet::new();
    for share in shares(names) {
        let (target, stop) = (target.clone(), stop.clone());
        hands.spawn(async move {
            let mut catalog = Catalog::open(&target).await?;
            let mut made = Vec::with_capacity(share.len());
            for (number, name) in share {
                if stop.requested() {
                    bail!("stopped while tables were made");
                }
                made.push((number, catalog.table_create(name, 0, 0).await?));
            }
            Ok(made)
        });
    }
    let mut made = Vec::new();
    // All hands finish, even when one failed: nothing may be made after the cleaning up began.
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
/// When the catalog refuses one; the others are tried all the same.
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
    fn the_document_is_measured_as_it_stands_in_the_answer() {
        let document = r#"{"table-uuid": "u",  "location": "s3://b/t", "last-sequence-number": 7}"#;
        let body = format!(r#"{{"metadata-location":"x","metadata":{document},"config":{{}}}}"#);
        let (facts, bytes) = read_load_answer(body.as_bytes()).unwrap();
        assert_eq!(bytes, document.len() as u64);
        assert_eq!((facts.table_uuid.as_str(), facts.last_sequence_number), ("u", 7));
    }

    #[test]
    fn an_answer_that_is_no_table_is_shown() {
        let error = read_load_answer(b"<html>oops</html>").err().unwrap();
        assert!(error.to_string().contains("<html>oops</html>"));
    }

    #[test]
    fn work_is_shared_out_without_loss() {
        let shared = shares((0..10).collect());
        assert_eq!(shared.len(), HANDS);
        let mut all: Vec<_> = shared.into_iter().flatten().collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).map(|n| (n, n)).collect::<Vec<_>>());
        assert!(shares(Vec::<u8>::new()).is_empty());
    }
}
