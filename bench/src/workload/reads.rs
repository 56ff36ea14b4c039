//! Loads that repeat the same request: config, tables, lists.

use anyhow::Result;
use bytes::Bytes;
use hyper::header::IF_NONE_MATCH;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use crate::catalog::{Catalog, Table};
use crate::client::Outgoing;
use crate::driver::{Script, Source};
use crate::targets::Target;

/// A repeatable request.
#[derive(Clone, Debug)]
pub struct Reading {
    what: What,
    /// The expected status.
    pub expected: StatusCode,
    /// The size of the response's body, in bytes.
    pub body_bytes: u64,
    /// A remark if the response does not contain everything that was requested.
    pub remark: Option<String>,
}

#[derive(Clone, Debug)]
enum What {
    Config,
    Path(String),
    PathIfChanged { path: String, etag: String },
}

impl What {
    // Built for each round, since the token may have changed.
    fn outgoing(&self, target: &Target) -> Result<Outgoing> {
        match self {
            Self::Config => target.at_root(Method::GET, &target.config_path(), Bytes::new()),
            Self::Path(path) => target.at_prefix(Method::GET, path, Bytes::new()),
            Self::PathIfChanged { path, etag } => target.at_prefix_with(Method::GET, path, IF_NONE_MATCH, etag),
        }
    }
}

struct Again(Outgoing);

impl Source for Again {
    fn next(&mut self) -> Outgoing {
        self.0.clone()
    }
}

impl Reading {
    /// Returns one script for each connection, all alike.
    ///
    /// # Errors
    /// Fails if a path is not valid in a URI.
    pub fn scripts(&self, target: &Target, connections: usize) -> Result<Vec<Script>> {
        let outgoing = self.what.outgoing(target)?;
        Ok((0..connections)
            .map(|_| Script {
                source: Box::new(Again(outgoing.clone())),
                expected: self.expected,
                retry_conflicts: false,
            })
            .collect())
    }
}

/// Sends the request once, so that mistakes show before the load begins.
async fn try_out(target: &Target, what: What) -> Result<(Reading, Bytes)> {
    let (_, body) = Catalog::open(target).await?.call(&what.outgoing(target)?, &[StatusCode::OK]).await?;
    let reading = Reading { what, expected: StatusCode::OK, body_bytes: body.len() as u64, remark: None };
    Ok((reading, body))
}

/// Returns requests for the catalog's configuration.
///
/// # Errors
/// Fails if the status is not 200.
pub async fn config(target: &Target) -> Result<Reading> {
    Ok(try_out(target, What::Config).await?.0)
}

/// Returns loads of a table.
///
/// # Errors
/// Fails if the status is not 200.
pub async fn load(target: &Target, table: &Table) -> Result<Reading> {
    Ok(try_out(target, What::Path(table.name.path())).await?.0)
}

/// Returns loads of an unchanged table with `If-None-Match`. The inner error says why the catalog does not support them.
///
/// # Errors
/// Fails if the status without the condition is not 200.
pub async fn load_not_modified(target: &Target, table: &Table) -> Result<Result<Reading, String>> {
    let mut catalog = Catalog::open(target).await?;
    let Some(etag) = catalog.table_load(&table.name).await?.etag else {
        return Ok(Err("the catalog sends no ETag".to_owned()));
    };
    let what = What::PathIfChanged { path: table.name.path(), etag };
    let expected = StatusCode::NOT_MODIFIED;
    if let Err(error) = catalog.call(&what.outgoing(target)?, &[expected]).await {
        return Ok(Err(format!("the catalog sends an ETag but does not honour If-None-Match: {error:#}")));
    }
    Ok(Ok(Reading { what, expected, body_bytes: 0, remark: None }))
}

#[derive(Deserialize)]
struct ListAnswer {
    identifiers: Vec<serde::de::IgnoredAny>,
}

/// Returns lists of all tables of a namespace in one page, if the catalog has pages of that size.
///
/// # Errors
/// Fails if the status is not 200, or the response is not a list.
pub async fn list_tables(target: &Target, namespace: &str, count: usize) -> Result<Reading> {
    let path = format!("namespaces/{namespace}/tables?pageToken=&pageSize={count}");
    let (mut reading, body) = try_out(target, What::Path(path)).await?;
    let listed = serde_json::from_slice::<ListAnswer>(&body)?.identifiers.len();
    if listed != count {
        reading.remark = Some(format!("a page of this catalog has only {listed} of {count} tables"));
    }
    Ok(reading)
}

/// Returns lists of the top-level namespaces.
///
/// # Errors
/// Fails if the status is not 200.
pub async fn list_namespaces(target: &Target) -> Result<Reading> {
    Ok(try_out(target, What::Path("namespaces".to_owned())).await?.0)
}
