//! `tidewater subscription`.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::client::{Client, encoded, has_status, with_message};
use super::output::{self, Format, text};
use super::scope::{IfNotExists, OrganisationArgument};
use super::time;

/// The owner of subscriptions.
#[derive(Debug, Args)]
pub(crate) struct Owner {
    #[command(flatten)]
    organisation: OrganisationArgument,
    /// Work on the operators' subscriptions, which get the events of all organisations
    #[arg(long, conflicts_with = "org")]
    all: bool,
}

impl Owner {
    /// Returns the path of its subscriptions in the management API.
    async fn path(&self, client: &Client) -> Result<String> {
        match self.all {
            true => Ok("/management/v1/subscriptions".to_owned()),
            false => Ok(self.organisation.find(client).await?.path("/subscriptions")),
        }
    }
}

/// A subscription.
#[derive(Debug, Args)]
pub(crate) struct SubscriptionArgument {
    /// Its id, or its name
    #[arg(value_name = "ID|NAME")]
    subscription: String,
    #[command(flatten)]
    owner: Owner,
    #[command(flatten)]
    format: Format,
}

/// The events of a subscription.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only send events in this warehouse
    #[arg(long, value_name = "NAME")]
    warehouse: Option<String>,
    /// Only send events of this table, view or namespace; `sales.*` stands for all below `sales`. May be repeated
    #[arg(long, value_name = "NAME")]
    object: Vec<String>,
    /// Only send this operation, such as update-table. May be repeated
    #[arg(long, value_name = "OPERATION")]
    operation: Vec<String>,
}

impl Filter {
    fn add_to(&self, body: &mut Map<String, Value>) {
        if let Some(warehouse) = &self.warehouse {
            body.insert("warehouse".to_owned(), json!(warehouse));
        }
        for (field, values) in [("objects", &self.object), ("operations", &self.operation)] {
            if !values.is_empty() {
                body.insert(field.to_owned(), json!(values));
            }
        }
    }
}

/// Commands for subscriptions.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a subscription, and print its secret once: it cannot be shown again
    #[command(after_help = "\
Examples:
  tidewater subscription create orders --url https://example.com/hook --object sales.orders --operation update-table
  tidewater subscription create audit --url https://example.com/hook --all

It begins with the next change. docs/events.md shows how a receiver checks the signatures.")]
    Create {
        /// Its name: what it is for
        name: String,
        /// The https URL of the receiver
        #[arg(long)]
        url: String,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        if_not_exists: IfNotExists,
        #[command(flatten)]
        owner: Owner,
        #[command(flatten)]
        format: Format,
    },
    /// List subscriptions
    List {
        #[command(flatten)]
        owner: Owner,
        #[command(flatten)]
        format: Format,
    },
    /// Show a subscription, and how its deliveries go
    Show(SubscriptionArgument),
    /// Change a subscription's name, URL or events
    #[command(after_help = "Example:\n  tidewater subscription update orders --url https://example.com/new")]
    Update {
        #[command(flatten)]
        subscription: SubscriptionArgument,
        /// Its new name
        #[arg(long)]
        name: Option<String>,
        /// The new https URL of the receiver
        #[arg(long)]
        url: Option<String>,
        #[command(flatten)]
        filter: Filter,
    },
    /// Enable a disabled subscription: it continues where it was
    Enable(SubscriptionArgument),
    /// Disable a subscription: its events wait as long as events are kept
    Disable(SubscriptionArgument),
    /// Replace a subscription's secret, and print the new one once
    Rotate {
        #[command(flatten)]
        subscription: SubscriptionArgument,
        /// For how long the old secret signs too, such as 1h
        #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
        overlap: Option<i64>,
    },
    /// Send a test event to the receiver now
    Test(SubscriptionArgument),
    /// Delete a subscription, with its dead letters
    Delete(SubscriptionArgument),
    /// List the events that the receiver did not accept
    DeadLetters(SubscriptionArgument),
    /// Send dead letters again
    Replay {
        #[command(flatten)]
        subscription: SubscriptionArgument,
        /// Only this event's id. May be repeated
        #[arg(long, value_name = "ID")]
        event: Vec<String>,
    },
    /// Remove dead letters without sending them
    Discard {
        #[command(flatten)]
        subscription: SubscriptionArgument,
        /// Only this event's id. May be repeated
        #[arg(long, value_name = "ID")]
        event: Vec<String>,
    },
}

/// Runs a command.
pub(crate) async fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::Create { name, url, filter, if_not_exists, owner, format } => {
            let mut body = Map::from_iter([("name".to_owned(), json!(name)), ("url".to_owned(), json!(url))]);
            filter.add_to(&mut body);
            let path = owner.path(client).await?;
            match client.post(&path, &Value::Object(body)).await {
                Err(error) if has_status(&error, StatusCode::CONFLICT) => {
                    if_not_exists.allow(&format!("subscription '{name}'"))?;
                    show(&load(client, &path, name).await?, *format)
                }
                created => issued(&created?, *format),
            }
        }
        Command::List { owner, format } => {
            let all = client.list(&owner.path(client).await?, "subscriptions").await?;
            list(&all, *format)
        }
        Command::Show(of) => show(&found(client, of).await?.1, of.format),
        Command::Update { subscription, name, url, filter } => {
            let mut body = Map::new();
            filter.add_to(&mut body);
            for (field, value) in [("name", name), ("url", url)] {
                if let Some(value) = value {
                    body.insert(field.to_owned(), json!(value));
                }
            }
            change(client, subscription, &Value::Object(body), "Changed").await
        }
        Command::Enable(of) => change(client, of, &json!({ "disabled": false }), "Enabled").await,
        Command::Disable(of) => change(client, of, &json!({ "disabled": true }), "Disabled").await,
        Command::Rotate { subscription, overlap } => {
            let (path, _) = found(client, subscription).await?;
            let body = overlap.map_or(json!({}), |overlap_ms| json!({ "overlap-s": overlap_ms / 1_000 }));
            issued(&client.post(&format!("{path}/rotate"), &body).await?, subscription.format)
        }
        Command::Test(of) => test(client, of).await,
        Command::Delete(of) => {
            let (path, known) = found(client, of).await?;
            client.send(Method::DELETE, &path, None).await?;
            output::done(of.format, &format!("Deleted subscription {}.", shown(&known)), &as_json(&known))
        }
        Command::DeadLetters(of) => {
            let (path, _) = found(client, of).await?;
            dead_letters(&client.list(&format!("{path}/dead-letters"), "dead-letters").await?, of.format)
        }
        Command::Replay { subscription, event } => {
            let (path, _) = found(client, subscription).await?;
            let sent = client.post(&format!("{path}/dead-letters/replay"), &events(event)).await?;
            let sentence = format!("{} dead letters are sent again.", sent["dead-letters"]);
            output::done(subscription.format, &sentence, &sent)
        }
        Command::Discard { subscription, event } => {
            let (path, _) = found(client, subscription).await?;
            let removed = client.send(Method::DELETE, &format!("{path}/dead-letters"), Some(&events(event))).await?;
            let sentence = format!("Removed {} dead letters.", removed["dead-letters"]);
            output::done(subscription.format, &sentence, &removed)
        }
    }
}

fn events(ids: &[String]) -> Value {
    if ids.is_empty() { json!({}) } else { json!({ "events": ids }) }
}

async fn load(client: &Client, path: &str, named: &str) -> Result<Value> {
    let found = client.get(&format!("{path}/{}", encoded(named))).await;
    found.map_err(|error| match has_status(&error, StatusCode::NOT_FOUND) {
        true => with_message(error, |refused| format!("{refused}: see `tidewater subscription list`")),
        false => error,
    })
}

/// Returns a subscription with its path.
async fn found(client: &Client, of: &SubscriptionArgument) -> Result<(String, Value)> {
    let path = of.owner.path(client).await?;
    let known = load(client, &path, &of.subscription).await?;
    Ok((format!("{path}/{}", text(&known, "id")), known))
}

async fn change(client: &Client, of: &SubscriptionArgument, body: &Value, done: &str) -> Result<()> {
    let (path, _) = found(client, of).await?;
    let changed = client.send(Method::PATCH, &path, Some(body)).await?;
    output::done(of.format, &format!("{done} subscription {}.", shown(&changed)), &as_json(&changed))
}

async fn test(client: &Client, of: &SubscriptionArgument) -> Result<()> {
    let (path, known) = found(client, of).await?;
    let result = client.post(&format!("{path}/test"), &json!({})).await?;
    if result["accepted"] == true {
        return output::done(of.format, &format!("The receiver of {} accepted a test event.", shown(&known)), &result);
    }
    bail!("the receiver of {} did not accept a test event: {}", shown(&known), text(&result, "error"))
}

fn issued(created: &Value, format: Format) -> Result<()> {
    if format.json {
        let mut shown = as_json(created);
        shown["secret"] = created["secret"].clone();
        return output::json(&shown);
    }
    output::note(&format!("secret of subscription {}; store it now, it cannot be shown again:", shown(created)));
    output::line(&text(created, "secret"))
}

fn shown(subscription: &Value) -> String {
    format!("'{}' (id {})", text(subscription, "name"), text(subscription, "id"))
}

fn names(list: &Value) -> String {
    let names = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
    if names.is_empty() { "all".to_owned() } else { names.join(", ") }
}

fn list(all: &[Value], format: Format) -> Result<()> {
    if format.json {
        return output::json(&all.iter().map(as_json).collect::<Vec<_>>());
    }
    let row = |one: &Value| {
        vec![
            text(one, "id"),
            text(one, "name"),
            text(one, "url"),
            names(&one["objects"]),
            text(one, "state"),
            time::shown_or(one["delivered-ms"].as_i64(), "never"),
        ]
    };
    let headings = ["id", "name", "url", "objects", "state", "last delivery"];
    output::table(&headings, &all.iter().map(row).collect::<Vec<_>>(), "there is no subscription yet")
}

fn show(one: &Value, format: Format) -> Result<()> {
    if format.json {
        return output::json(&as_json(one));
    }
    output::fields(&[
        ("subscription", text(one, "name")),
        ("id", text(one, "id")),
        ("url", text(one, "url")),
        ("warehouse", one["warehouse-id"].as_str().unwrap_or("all").to_owned()),
        ("objects", names(&one["objects"])),
        ("operations", names(&one["operations"])),
        ("state", text(one, "state")),
        ("created", time::shown_or(one["created-ms"].as_i64(), "")),
        ("last delivery", time::shown_or(one["delivered-ms"].as_i64(), "never")),
        ("failing since", time::shown_or(one["failing-since-ms"].as_i64(), "not failing")),
        ("last error", text(one, "last-error")),
        ("disabled", time::shown_or(one["disabled-ms"].as_i64(), "no")),
    ])
}

fn dead_letters(letters: &[Value], format: Format) -> Result<()> {
    if format.json {
        return output::json(&letters);
    }
    let row = |letter: &Value| {
        vec![
            time::shown_or(letter["at-ms"].as_i64(), ""),
            text(letter, "event-id"),
            text(&letter["event"], "type"),
            text(&letter["event"], "subject"),
            text(letter, "reason"),
        ]
    };
    let headings = ["time", "event", "type", "subject", "reason"];
    output::table(&headings, &letters.iter().map(row).collect::<Vec<_>>(), "there is no dead letter")
}

fn as_json(one: &Value) -> Value {
    let time = |field: &str| one[field].as_i64().map(time::shown);
    json!({
        "id": one["id"],
        "name": one["name"],
        "url": one["url"],
        "warehouse-id": one["warehouse-id"],
        "objects": one["objects"],
        "operations": one["operations"],
        "state": one["state"],
        "created": time("created-ms"),
        "last-delivery": time("delivered-ms"),
        "failing-since": time("failing-since-ms"),
        "last-error": one["last-error"],
        "disabled": time("disabled-ms"),
    })
}
