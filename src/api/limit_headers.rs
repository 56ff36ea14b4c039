//! What is left of the day, as headers of an answer.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use bytes::Bytes;

use crate::tenancy::quota::Budget;

/// What is left of an organisation's day.
pub(super) struct Left(Budget);

impl Left {
    /// Of a request that was counted, or refused since the day is spent.
    pub(super) const fn new(budget: Budget) -> Self {
        Self(budget)
    }

    /// Says it in an answer.
    pub(super) fn tell(&self, mut response: Response) -> Response {
        say_what_is_left(response.headers_mut(), &self.0);
        response
    }
}

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Both forms in use: the three headers of the older drafts, and the two structured fields of
/// draft-ietf-httpapi-ratelimit-headers.
fn say_what_is_left(headers: &mut HeaderMap, budget: &Budget) {
    let Some(limit) = budget.limit else { return };
    let mut buffers = [itoa::Buffer::new(); 3];
    let [for_limit, for_remaining, for_reset] = &mut buffers;
    let (limit, remaining) = (for_limit.format(limit), for_remaining.format(budget.remaining));
    let reset = for_reset.format(budget.reset_s);
    // This is on the way of every request: one text, of which all five values are pieces.
    let [policy_start, policy_end, state_start, state_middle] = ["\"day\";q=", ";w=86400", "\"day\";r=", ";t="];
    let text = Bytes::from([policy_start, limit, policy_end, state_start, remaining, state_middle, reset].concat());
    let policy = 0..policy_start.len() + limit.len() + policy_end.len();
    let state = policy.end..text.len();
    let limit = policy_start.len()..policy_start.len() + limit.len();
    let remaining = state.start + state_start.len()..state.start + state_start.len() + remaining.len();
    let reset = state.end - reset.len()..state.end;
    for (name, piece) in [(POLICY, policy), (STATE, state), (LIMIT, limit), (REMAINING, remaining), (RESET, reset)] {
        if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(piece)) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_limits_say_the_same() {
        let mut headers = HeaderMap::new();
        say_what_is_left(&mut headers, &Budget { limit: Some(250_000), remaining: 7, reset_s: 86_399 });
        let said = |name: &str| headers[name].to_str().unwrap();
        assert_eq!(
            [said("ratelimit-limit"), said("ratelimit-remaining"), said("ratelimit-reset")],
            ["250000", "7", "86399"]
        );
        assert_eq!(said("ratelimit-policy"), "\"day\";q=250000;w=86400");
        assert_eq!(said("ratelimit"), "\"day\";r=7;t=86399");
    }

    #[test]
    fn without_a_limit_nothing_is_said_of_it() {
        let mut headers = HeaderMap::new();
        say_what_is_left(&mut headers, &Budget { limit: None, remaining: u64::MAX, reset_s: 1 });
        assert!(headers.is_empty());
    }
}
