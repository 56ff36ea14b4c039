//! Loads that ask for the same thing again and again: config, tables, lists.

use anyhow::Result;
use bytes::Bytes;
use hyper::header::IF_NONE_MATCH;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use crate::catalog::{Catalog, Table};
use crate::client::Outgoing;
use crate::driver::{Script, Source};
use crate::targets::Target;

/// Something that can be asked for any number of times.
#[derive(Clone, Debug)]
pub struct Reading {
    what: What,
    /// The status of its answer.
    pub expected: StatusCode,
    /// The size of its answer's body.
    pub body_bytes: u64,
    /// A word on what the answer holds, where it is not what was asked for.
    pub remark: Option<String>,
}

#[derive(Clone, Debug)]
enum What {
    Config,
    Path(String),
    PathIfChanged { path: String, etag: String },
}

impl What {
    // Made anew for each round: the token may have changed.
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
    /// One script for each connection, all alike.
    ///
    /// # Errors
    /// When a path cannot be part of a URI.
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

/// Asks once, so that mistakes show before the load begins.
async fn try_out(target: &Target, what: What) -> Result<(Reading, Bytes)> {
    let (_, body) = Catalog::open(target).await?.call(&what.outgoing(target)?, &[StatusCode::OK]).await?;
    let reading = Reading { what, expected: StatusCode::OK, body_bytes: body.len() as u64, remark: None };
    Ok((reading, body))
}

/// The catalog's configuration.
///
/// # Errors
/// When the catalog does not answer 200.
pub async fn config(target: &Target) -> Result<Reading> {
    Ok(try_out(target, What::Config).await?.0)
}

/// A table.
///
/// # Errors
/// When the catalog does not answer 200.
pub async fn load(target: &Target, table: &Table) -> Result<Reading> {
    Ok(try_out(target, What::Path(table.name.path())).await?.0)
}

/// A table that has not changed. The inner error says why the catalog cannot be asked so.
///
/// # Errors
/// When the catalog does not answer 200 to the request without a condition.
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

/// All tables of a namespace in one page, if the catalog makes pages that large.
///
/// # Errors
/// When the catalog does not answer 200, or with what is no list.
pub async fn list_tables(target: &Target, namespace: &str, count: usize) -> Result<Reading> {
    let path = format!("namespaces/{namespace}/tables?pageToken=&pageSize={count}");
    let (mut reading, body) = try_out(target, What::Path(path)).await?;
    let listed = serde_json::from_slice::<ListAnswer>(&body)?.identifiers.len();
    if listed != count {
        reading.remark = Some(format!("a page of this catalog holds {listed} of {count} tables"));
    }
    Ok(reading)
}

/// The namespaces at the root.
///
/// # Errors
/// When the catalog does not answer 200.
pub async fn list_namespaces(target: &Target) -> Result<Reading> {
    Ok(try_out(target, What::Path("namespaces".to_owned())).await?.0)
}
