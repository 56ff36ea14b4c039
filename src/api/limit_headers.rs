//! Rate-limit headers: the organisation's remaining requests of the day, or the limit per second that a request exceeds.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use bytes::{BufMut, BytesMut};

use crate::config::LimitHeaders;
use crate::tenancy::TooFast;
use crate::tenancy::quota::Budget;

/// An organisation's remaining requests of the day.
pub(super) struct BudgetHeaders {
    budget: Budget,
    form: LimitHeaders,
}

impl BudgetHeaders {
    /// Creates the headers of a request that was counted, or refused because the budget is spent. `form` selects the headers.
    pub(super) const fn new(budget: Budget, form: LimitHeaders) -> Self {
        Self { budget, form }
    }

    /// Adds the headers to an answer.
    pub(super) fn add_to(&self, mut response: Response) -> Response {
        add_headers(response.headers_mut(), &DAY, &self.budget, self.form);
        response
    }
}

/// Adds the headers of a limit per second to the answer to a request that exceeds it.
pub(super) fn add_burst(mut response: Response, exceeded: &TooFast, form: LimitHeaders) -> Response {
    let budget = Budget { limit: Some(exceeded.per_second), remaining: 0, reset_s: exceeded.retry_after_s };
    add_headers(response.headers_mut(), &SECOND, &budget, form);
    response
}

/// The fixed texts of the structured fields: before and after the quota, and before the remaining requests and the reset.
struct Policy([&'static str; 4]);

const DAY: Policy = Policy(["\"day\";q=", ";w=86400", "\"day\";r=", ";t="]);
const SECOND: Policy = Policy(["\"second\";q=", ";w=1", "\"second\";r=", ";t="]);

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// What the values take together at most: two fixed texts of 33 bytes, three numbers of up to 20 digits.
const MOST_BYTES: usize = 96;

/// Adds the headers that `api.limit_headers` asks for: the two structured fields of
/// draft-ietf-httpapi-ratelimit-headers, the three fields of its older versions, or both.
fn add_headers(headers: &mut HeaderMap, policy: &Policy, budget: &Budget, form: LimitHeaders) {
    let Some(limit) = budget.limit else { return };
    let mut buffers = [itoa::Buffer::new(); 3];
    let [for_limit, for_remaining, for_reset] = &mut buffers;
    let (limit, remaining) = (for_limit.format(limit), for_remaining.format(budget.remaining));
    let reset = for_reset.format(budget.reset_s);
    // Every request takes this path: one allocation holds all values.
    let Policy([policy_start, policy_end, state_start, state_middle]) = policy;
    let mut text = BytesMut::with_capacity(MOST_BYTES);
    for piece in [policy_start, limit, policy_end, state_start, remaining, state_middle, reset] {
        text.put_slice(piece.as_bytes());
    }
    let text = text.freeze();
    let mut say = |name, piece| {
        if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(piece)) {
            headers.insert(name, value);
        }
    };
    let policy = 0..policy_start.len() + limit.len() + policy_end.len();
    let state = policy.end..text.len();
    if form != LimitHeaders::Structured {
        let remaining_start = state.start + state_start.len();
        say(LIMIT, policy_start.len()..policy_start.len() + limit.len());
        say(REMAINING, remaining_start..remaining_start + remaining.len());
        say(RESET, state.end - reset.len()..state.end);
    }
    if form != LimitHeaders::Separate {
        say(POLICY, policy);
        say(STATE, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(form: LimitHeaders) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        add_headers(&mut headers, &DAY, &Budget { limit: Some(250_000), remaining: 7, reset_s: 86_399 }, form);
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    fn texts(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn limits_are_told_in_the_form_that_is_set() {
        let separate = [("ratelimit-limit", "250000"), ("ratelimit-remaining", "7"), ("ratelimit-reset", "86399")];
        let structured = [("ratelimit-policy", "\"day\";q=250000;w=86400"), ("ratelimit", "\"day\";r=7;t=86399")];
        assert_eq!(said(LimitHeaders::Structured), texts(&structured));
        assert_eq!(said(LimitHeaders::Separate), texts(&separate));
        assert_eq!(said(LimitHeaders::Both), [texts(&separate), texts(&structured)].concat());
    }

    #[test]
    fn answer_without_a_limit_has_no_limit_headers() {
        let mut headers = HeaderMap::new();
        let unlimited = Budget { limit: None, remaining: u64::MAX, reset_s: 1 };
        add_headers(&mut headers, &DAY, &unlimited, LimitHeaders::Both);
        assert!(headers.is_empty());
    }
}
