//! Tries all that a server needs to start, and starts nothing: `tidewater serve --check`.
//!
//! Each check is a function in [`CHECKS`]. A section of settings adds its own there.

mod audit;
mod catalog;
mod database;
mod files;
mod folder;
mod found;
mod network;
mod storage;
mod subject;
mod system;
mod tls;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::config::Config;
use found::Found;
pub use found::{CheckOutcome, CheckResult};
use subject::Subject;

/// How long one check may take.
const LONGEST: Duration = Duration::from_secs(60);

type Checking<'a> = Pin<Box<dyn Future<Output = Vec<Found>> + Send + 'a>>;

/// A check: its name, and its function.
type Check = (&'static str, for<'a> fn(&'a Subject) -> Checking<'a>);

/// All checks, in the order in which they are reported.
const CHECKS: [Check; 13] = [
    ("data folder", |subject| Box::pin(folder::check(subject))),
    ("database", |subject| Box::pin(catalog::database(subject))),
    ("master key", |subject| Box::pin(catalog::master_key(subject))),
    ("signing keys", |subject| Box::pin(catalog::signing_keys(subject))),
    ("file", |subject| Box::pin(files::check(subject))),
    ("TLS", |subject| Box::pin(tls::check(subject))),
    ("audit", |subject| Box::pin(audit::check(subject))),
    ("listen", |subject| Box::pin(network::listen(subject))),
    ("identity provider", |subject| Box::pin(network::providers(subject))),
    ("warehouse", |subject| Box::pin(storage::warehouses(subject))),
    ("backups", |subject| Box::pin(storage::backups(subject))),
    ("descriptors", |_| Box::pin(system::descriptors())),
    ("clock", |subject| Box::pin(system::clock(subject))),
];

/// Tries all that a server with these settings needs. Starts nothing, and changes nothing but test objects in storage, which it removes.
/// The checks run at the same time, each for at most a minute.
pub async fn check(config: Config) -> Vec<CheckResult> {
    let subject = Subject::new(config);
    let run = |(name, check): &Check| {
        let (name, checking) = (*name, check(&subject));
        async move {
            let found = timeout(LONGEST, checking).await;
            found
                .unwrap_or_else(|_| {
                    let detail =
                        format!("was not over after {} s: a service or disk does not answer", LONGEST.as_secs());
                    vec![Found::failed("", detail)]
                })
                .into_iter()
                .map(|Found(object, outcome, detail)| CheckResult { check: name, object, outcome, detail })
                .collect::<Vec<_>>()
        }
    };
    join_all(CHECKS.iter().map(run)).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
