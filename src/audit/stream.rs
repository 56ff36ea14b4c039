//! Pages of the stream: the events of changes and all other records, newest first.

use std::fmt;
use std::str::FromStr;

use tidewater_core::ids::OrganisationId;

use super::line::{AuditLine, entry_of_change};
use crate::store::{
    AuditDecision, AuditFilter, AuditPage, AuditType, EventFilter, EventPage, Operation, Store, StoreError,
};

/// Where a page begins: before which event and which record. A part that has ended is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamToken {
    event: Option<i64>,
    record: Option<i64>,
}

impl StreamToken {
    const START: Self = Self { event: Some(i64::MAX), record: Some(i64::MAX) };
}

impl fmt::Display for StreamToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |part: Option<i64>| part.map_or_else(|| "-".to_owned(), |part| part.to_string());
        write!(f, "{}.{}", text(self.event), text(self.record))
    }
}

/// The text is not a page token of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a page token of the stream")]
pub struct NotAPageToken;

impl FromStr for StreamToken {
    type Err = NotAPageToken;

    fn from_str(text: &str) -> Result<Self, NotAPageToken> {
        let part = |text: &str| match text {
            "-" => Ok(None),
            number => number.parse().map(Some).map_err(|_| NotAPageToken),
        };
        let (event, record) = text.split_once('.').ok_or(NotAPageToken)?;
        Ok(Self { event: part(event)?, record: part(record)? })
    }
}

/// A page of the stream, newest first.
#[derive(Debug)]
pub struct AuditStreamPage {
    /// The records. The list may be empty although older records follow, since the store reads a bounded number for one page.
    pub lines: Vec<AuditLine>,
    /// The token of the next page; none when no more records follow.
    pub next: Option<StreamToken>,
}

/// Lists the records of an organisation, or of all and of the server, that match a filter.
///
/// # Errors
/// Fails if the store does not answer.
pub async fn audit_page(
    store: &dyn Store,
    organisation: Option<OrganisationId>,
    filter: &AuditFilter,
    token: Option<StreamToken>,
    limit: u32,
) -> Result<AuditStreamPage, StoreError> {
    let token = token.unwrap_or(StreamToken::START);
    let events = match (token.event, event_filter(filter)) {
        (Some(before), Some(events)) => store.event_list(organisation, &events, Some(before), limit).await?,
        _ => EventPage { events: Vec::new(), before: None },
    };
    let records = match token.record {
        Some(before) if filter.kind != Some(AuditType::Change) => {
            store.audit_list(organisation, filter, Some(before), limit).await?
        }
        _ => AuditPage { records: Vec::new(), before: None },
    };
    Ok(merge(token, events, records, filter, usize::try_from(limit).unwrap_or(usize::MAX)))
}

/// Returns the filter of events. `None` if no event can match.
fn event_filter(filter: &AuditFilter) -> Option<EventFilter> {
    if filter.kind.is_some_and(|kind| kind != AuditType::Change) || filter.decision == Some(AuditDecision::Denied) {
        return None;
    }
    let operation: Option<Operation> = match &filter.operation {
        Some(operation) => Some(operation.parse().ok()?),
        None => None,
    };
    Some(EventFilter {
        warehouse: None,
        object: filter.object.clone(),
        actor: filter.actor.clone(),
        operation,
        since_ms: filter.since_ms,
        until_ms: filter.until_ms,
    })
}

/// Merges the newest of both lists. Ends the page where one list is used up and may go on.
fn merge(
    token: StreamToken,
    EventPage { events, before: events_before }: EventPage,
    AuditPage { records, before: records_before }: AuditPage,
    filter: &AuditFilter,
    limit: usize,
) -> AuditStreamPage {
    let (mut event, mut record) = (token.event, token.record);
    let (mut events, mut records) = (events.into_iter().peekable(), records.into_iter().peekable());
    let mut lines = Vec::new();
    loop {
        if events.peek().is_none() {
            event = events_before;
        }
        if records.peek().is_none() {
            record = records_before;
        }
        let may_go_on = |is_empty: bool, before: Option<i64>| is_empty && before.is_some();
        if lines.len() == limit
            || may_go_on(events.peek().is_none(), events_before)
            || may_go_on(records.peek().is_none(), records_before)
        {
            break;
        }
        let takes_event = match (events.peek(), records.peek()) {
            (Some(event), Some(record)) => event.at_ms > record.at_ms,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => break,
        };
        if takes_event {
            let Some(next) = events.next() else { break };
            event = Some(next.id);
            // The store filters events by all but the address.
            if filter.address.is_none() || filter.matches(next.at_ms, &entry_of_change(next.clone())) {
                lines.push(next.into());
            }
        } else if let Some(next) = records.next() {
            record = Some(next.id);
            lines.push(next.into());
        }
    }
    let next = (event.is_some() || record.is_some()).then_some(StreamToken { event, record });
    AuditStreamPage { lines, next }
}
