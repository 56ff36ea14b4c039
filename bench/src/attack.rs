//! Attacks of one organisation on a catalog that it shares with others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use clap::ValueEnum;
use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::bodies;
use crate::catalog::{Catalog, TableName};
use crate::client::{self, Connection, Outgoing};
use crate::stop::Stop;
use crate::targets::Target;

/// How long an attacker waits before it connects again.
const PAUSE: Duration = Duration::from_millis(100);

/// A kind of attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// Two connections commit schemas of 40,000 columns
    Columns,
    /// Two connections commit 20,000 updates at once
    Updates,
    /// Two hundred connections send nothing
    Silent,
    /// Eight connections send malformed bodies and unknown keys, as fast as the server refuses them
    Rubbish,
    /// Sixty-four connections repeat the request of `--request`
    Requests,
}

impl Attack {
    /// All attacks.
    pub const ALL: [Self; 5] = [Self::Columns, Self::Updates, Self::Silent, Self::Rubbish, Self::Requests];

    /// Returns its name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Columns => "columns",
            Self::Updates => "updates",
            Self::Silent => "silent",
            Self::Rubbish => "rubbish",
            Self::Requests => "requests",
        }
    }

    const fn connections(self) -> usize {
        match self {
            Self::Columns | Self::Updates => 2,
            Self::Silent => 200,
            Self::Rubbish => 8,
            Self::Requests => 64,
        }
    }
}

/// The attacking organisation: the catalog that it attacks, its namespace and its request.
#[derive(Clone, Debug)]
pub struct Attacker {
    /// The catalog, as the attacking organisation reaches it.
    pub target: Target,
    /// The namespace of the attackers' tables.
    pub namespace: String,
    /// The request of [`Attack::Requests`].
    pub request: Option<Outgoing>,
}

/// The number of responses to the attackers by status; `closed` and `lost` count connections.
pub type Answers = Arc<Mutex<BTreeMap<String, u64>>>;

fn count(answers: &Answers, what: &str) {
    *answers.lock().unwrap_or_else(PoisonError::into_inner).entry(what.to_owned()).or_default() += 1;
}

/// Runs an attack until `stop` is requested, and waits for the last responses.
///
/// # Errors
/// Fails if a request cannot be built.
pub async fn run(attack: Attack, attacker: Attacker, stop: Stop, answers: Answers) -> Result<()> {
    let mut attackers = JoinSet::new();
    for number in 0..attack.connections() {
        let (Attacker { target, namespace, request }, stop, answers) =
            (attacker.clone(), stop.clone(), Arc::clone(&answers));
        let table = TableName { namespace, name: format!("{}_{number}", attack.name()) };
        attackers.spawn(async move {
            match attack {
                Attack::Columns => heavy(&target, &table, columns(), &stop, &answers).await,
                Attack::Updates => heavy(&target, &table, updates(), &stop, &answers).await,
                Attack::Silent => {
                    silent(&target, &stop, &answers).await;
                    Ok(())
                }
                Attack::Rubbish => rubbish(&target, &stop, &answers).await,
                Attack::Requests => repeat(&target, request.as_slice(), &stop, &answers, 1).await,
            }
        });
    }
    while let Some(ended) = attackers.join_next().await {
        ended??;
    }
    Ok(())
}

fn commit(updates: &[Value]) -> Bytes {
    json!({ "requirements": [], "updates": updates }).to_string().into()
}

fn columns() -> Bytes {
    let field = |id: u32| json!({ "id": id, "name": format!("c{id}"), "required": false, "type": "string" });
    let fields: Vec<Value> = (1..=40_000).map(field).collect();
    commit(&[json!({ "action": "add-schema", "schema": { "type": "struct", "fields": fields } })])
}

fn updates() -> Bytes {
    let update = |number| json!({ "action": "set-properties", "updates": { format!("k{number}"): "v" } });
    commit(&(0..20_000).map(update).collect::<Vec<_>>())
}

/// Creates a table, commits to it and drops it, repeatedly, so that the table stays small.
async fn heavy(target: &Target, table: &TableName, body: Bytes, stop: &Stop, answers: &Answers) -> Result<()> {
    let create = Bytes::from(bodies::create_table(&table.name).to_string());
    let steps = [
        target.at_prefix(Method::POST, &format!("namespaces/{}/tables", table.namespace), create)?,
        target.at_prefix(Method::POST, &table.path(), body)?,
        target.at_prefix(Method::DELETE, &format!("{}?purgeRequested=true", table.path()), Bytes::new())?,
    ];
    repeat(target, &steps, stop, answers, steps.len()).await
}

async fn rubbish(target: &Target, stop: &Stop, answers: &Answers) -> Result<()> {
    let deep = Bytes::from("[".repeat(50_000));
    let mut unknown = target.at_prefix(Method::GET, "namespaces", Bytes::new())?;
    unknown.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer nobody"));
    let steps = [
        target.at_prefix(Method::POST, "namespaces", deep)?,
        target.at_prefix(Method::POST, "transactions/commit", Bytes::from_static(b"{\"table-changes\":7}"))?,
        unknown,
    ];
    repeat(target, &steps, stop, answers, 1).await
}

/// Sends the steps in turn until the stop, then the rest of the present `turn`.
async fn repeat(target: &Target, steps: &[Outgoing], stop: &Stop, answers: &Answers, turn: usize) -> Result<()> {
    let mut connection: Option<Connection> = None;
    for (number, step) in steps.iter().cycle().enumerate() {
        if number % turn == 0 && stop.requested() {
            break;
        }
        let mut open = match connection.take() {
            Some(open) => open,
            None => match Connection::open(target.addr).await {
                Ok(open) => open,
                Err(_) => {
                    count(answers, "lost");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        match open.send(step).await {
            Ok(response) => {
                count(answers, response.status().as_str());
                let is_last = client::is_last(&response);
                if client::drain(response.into_body()).await.is_ok() && !is_last {
                    connection = Some(open);
                }
            }
            Err(_) => count(answers, "lost"),
        }
    }
    Ok(())
}

/// Holds a connection that sends nothing. Opens another one when the server closes it.
async fn silent(target: &Target, stop: &Stop, answers: &Answers) {
    while !stop.requested() {
        match TcpStream::connect(target.addr).await {
            Ok(mut stream) => {
                count(answers, "opened");
                while !stop.requested() {
                    match tokio::time::timeout(PAUSE, stream.read(&mut [0; 512])).await {
                        Err(_) => {}
                        Ok(Ok(read)) if read > 0 => {}
                        Ok(_) => {
                            count(answers, "closed");
                            break;
                        }
                    }
                }
            }
            Err(_) => count(answers, "lost"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Creates the attackers' namespace.
///
/// # Errors
/// Fails if the catalog refuses.
pub async fn prepare(target: &Target, namespace: &str) -> Result<()> {
    Catalog::open(target).await?.namespace_create(namespace).await
}

/// Drops the attackers' namespace. Their tables are gone by then.
///
/// # Errors
/// Fails if the catalog refuses.
pub async fn clean_up(target: &Target, namespace: &str) -> Result<()> {
    Catalog::open(target).await?.namespace_drop(namespace).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_has_the_same_name_on_the_command_line_and_in_reports() {
        for attack in Attack::ALL {
            assert_eq!(attack.to_possible_value().unwrap().get_name(), attack.name());
            assert_eq!(serde_json::to_value(attack).unwrap(), attack.name());
        }
    }

    #[test]
    fn heavy_bodies_have_the_documented_size() {
        let parsed: Value = serde_json::from_slice(&columns()).unwrap();
        assert_eq!(parsed["updates"][0]["schema"]["fields"].as_array().unwrap().len(), 40_000);
        let parsed: Value = serde_json::from_slice(&updates()).unwrap();
        assert_eq!(parsed["updates"].as_array().unwrap().len(), 20_000);
    }
}
