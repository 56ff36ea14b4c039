//! `tidewater events`.

use anyhow::{Result, bail};
use clap::Args;

use super::output::{self, Format};
use super::session::{OrganisationArgument, Session};
use super::time;
use tidewater::events::EventEntry;
use tidewater::store::{Event, EventFilter, Operation};

/// How many events a page of the store has.
const PAGE: u32 = 1_000;

/// Which events are shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidewater events --object sales.orders
  tidewater events --operation drop-table --since 7d
  tidewater events --actor ci --limit 20 --json

The newest come first. A table's name has its namespace before it, joined by dots.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    organisation: OrganisationArgument,
    /// Of all organisations, and of the server itself
    #[arg(long, conflicts_with = "org")]
    all: bool,
    /// Only about what has this name, or was given it
    #[arg(long, value_name = "NAME")]
    object: Option<String>,
    /// Only by the key of this name or id, by this user of the machine, or by the catalog
    #[arg(long, value_name = "NAME|ID")]
    actor: Option<String>,
    /// Only of this operation, such as drop-table
    #[arg(long, value_name = "OPERATION")]
    operation: Option<Operation>,
    /// Only those of so long ago or less, such as 12h
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration_ms)]
    since: Option<i64>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_name = "NUMBER")]
    limit: usize,
    #[command(flatten)]
    format: Format,
}

/// Shows what was changed.
pub(crate) async fn run(session: &Session, arguments: &Arguments) -> Result<()> {
    let store = session.store()?;
    let organisation = match arguments.all {
        true => None,
        false => Some(arguments.organisation.find(store.as_ref()).await?.id),
    };
    if arguments.limit == 0 {
        bail!("--limit must be above 0");
    }
    let filter = EventFilter {
        warehouse: None,
        object: arguments.object.clone(),
        actor: arguments.actor.clone(),
        operation: arguments.operation,
        since_ms: arguments.since.map(|ago_ms| session.clock.now_ms() - ago_ms),
        until_ms: None,
    };
    let (mut events, mut before) = (Vec::new(), None);
    while events.len() < arguments.limit {
        let missing = u32::try_from(arguments.limit - events.len()).unwrap_or(PAGE).min(PAGE);
        let page = store.event_list(organisation, &filter, before, missing).await?;
        events.extend(page.events);
        before = page.before;
        if before.is_none() {
            break;
        }
    }
    if arguments.format.json {
        return output::json(&events.into_iter().map(EventEntry::from).collect::<Vec<_>>());
    }
    let headings = ["time", "actor", "operation", "object", "address", "request"];
    output::table(&headings, &events.iter().map(row).collect::<Vec<_>>(), "no event fits")
}

fn row(event: &Event) -> Vec<String> {
    let object = match &event.object.new_name {
        Some(new_name) => format!("{} -> {new_name}", event.object.name),
        None => event.object.name.clone(),
    };
    vec![
        time::shown(event.at_ms),
        event.actor.name().unwrap_or(event.actor.kind()).to_owned(),
        event.operation.as_str().to_owned(),
        object,
        event.client.map(|client| client.to_string()).unwrap_or_default(),
        event.request_id.as_deref().unwrap_or_default().to_owned(),
    ]
}
