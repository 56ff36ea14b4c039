//! Usage against limits, with a chart.

use std::collections::HashMap;

use askama::Template;
use serde_json::Value;

use crate::format;
use crate::frame::Frame;
use crate::texts as t;

/// The most days of the chart.
pub const MAX_DAYS: usize = 31;

/// The size of the chart in pixels.
const WIDTH: usize = MAX_DAYS * STEP;
const HEIGHT: usize = 160;

/// The width of a day with its space, and the room for the numbers above the bars and the dates below them, in pixels.
const STEP: usize = 40;
const ABOVE: usize = 18;
const BELOW: usize = 20;

/// The milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// A day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// The day.
    pub day: String,
    /// The number of requests, for people.
    pub requests: String,
    /// The number of requests in few characters, such as `12k`.
    pub short: String,
    /// Its place in the chart: left, top, width, height in pixels.
    pub at: [usize; 4],
}

impl Bar {
    /// Returns the day without its year.
    #[must_use]
    pub fn date(&self) -> &str {
        self.day.get(5..).unwrap_or_default()
    }

    /// Returns the middle of the bar from the left.
    #[must_use]
    pub const fn middle(&self) -> usize {
        self.at[0] + self.at[2] / 2
    }

    /// Returns where the bar's number is from the top.
    #[must_use]
    pub const fn number_at(&self) -> usize {
        self.at[1] - 4
    }
}

/// The usage of some days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chart {
    /// The days.
    pub bars: Vec<Bar>,
    /// The limit's height in the chart in pixels from its top, if it is within it.
    pub limit_at: Option<usize>,
    /// Facts: the tier and its limits.
    pub facts: Vec<(&'static str, String)>,
}

impl Chart {
    /// Reads the API's answer, which leaves out days without requests. The last day is that of `now_ms`, in milliseconds since 1970.
    #[must_use]
    pub fn parse(usage: &Value, now_ms: i64) -> Self {
        let rows = usage["usage"].as_array().into_iter().flatten();
        let known: HashMap<&str, u64> = rows
            .map(|row| (row["day"].as_str().unwrap_or_default(), row["requests"].as_u64().unwrap_or_default()))
            .collect();
        let first_ms = now_ms.saturating_sub((MAX_DAYS as i64 - 1) * DAY_MS);
        let days: Vec<(String, u64)> = (0..MAX_DAYS as i64)
            .map(|day| format::time(first_ms.saturating_add(day * DAY_MS)).chars().take(10).collect::<String>())
            .map(|day| {
                let requests = known.get(day.as_str()).copied().unwrap_or_default();
                (day, requests)
            })
            .collect();
        let today = days.last().map(|(_, requests)| *requests).unwrap_or_default();
        let most = days.iter().map(|(_, requests)| *requests).max().unwrap_or_default();
        let limit = usage["limit"].as_u64();
        // The limit's line is shown if the usage comes near it. Otherwise it would flatten all bars.
        let top = limit.filter(|limit| most.saturating_mul(4) >= *limit).unwrap_or_default().max(most).max(1);
        let scaled = |value: u64| -> usize {
            let pixels = u128::from(value) * (HEIGHT as u128) / u128::from(top);
            usize::try_from(pixels).unwrap_or(HEIGHT).min(HEIGHT)
        };
        let bars = days.iter().enumerate().map(|(at, (day, requests))| {
            let height = scaled(*requests).max(usize::from(*requests > 0));
            Bar {
                day: day.clone(),
                requests: number(*requests),
                short: short(*requests),
                at: [at * STEP, ABOVE + HEIGHT - height, STEP * 3 / 4, height],
            }
        });
        let text = |name: &str| usage[name].as_str().unwrap_or_default().to_owned();
        let or_none = |name: &str| usage[name].as_u64().map_or_else(|| t::NO_LIMIT.to_owned(), number);
        Self {
            bars: bars.collect(),
            limit_at: limit.filter(|limit| *limit <= top).map(|limit| ABOVE + HEIGHT - scaled(limit)),
            facts: vec![
                (t::TODAY, t::requests(&number(today))),
                (t::TIER, text("tier")),
                (t::DAILY_LIMIT, or_none("limit")),
                (t::TABLES, usage["tables"].as_u64().map(number).unwrap_or_default()),
                (t::TABLE_LIMIT, or_none("max-tables")),
                (t::PER_SECOND, or_none("requests-per-second")),
            ],
        }
    }
}

/// Formats a number in at most five characters up to ten thousand millions, to fit over a bar.
fn short(value: u64) -> String {
    match value {
        0..10_000 => number(value),
        10_000..10_000_000 => format!("{}k", value / 1_000),
        _ => format!("{}M", value / 1_000_000),
    }
}

fn number(value: u64) -> String {
    format::count(i64::try_from(value).unwrap_or(i64::MAX))
}

/// The page of an organisation's usage.
#[derive(Debug, Template)]
#[template(path = "usage.html")]
pub struct UsagePage {
    /// The frame.
    pub frame: Frame,
    /// The chart.
    pub chart: Chart,
}

impl UsagePage {
    /// Returns the chart's width in pixels.
    #[must_use]
    pub const fn width(&self) -> usize {
        WIDTH
    }

    /// Returns the chart's height in pixels.
    #[must_use]
    pub const fn height(&self) -> usize {
        ABOVE + HEIGHT + BELOW
    }

    /// Returns where the dates are from the top.
    #[must_use]
    pub const fn dates_at(&self) -> usize {
        ABOVE + HEIGHT + 15
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Noon of 2026-08-31.
    const NOW_MS: i64 = 1_788_177_600_000;

    /// Returns the chart of the last days, the last of which is today.
    fn chart(limit: &Value, requests: &[u64]) -> Chart {
        let first = 32 - requests.len();
        let rows: Vec<Value> = (first..)
            .zip(requests)
            .map(|(day, requests)| json!({ "day": format!("2026-08-{day:02}"), "requests": requests }))
            .collect();
        Chart::parse(&json!({ "tier": "free", "limit": limit, "tables": 3, "usage": rows }), NOW_MS)
    }

    fn heights(chart: &Chart) -> Vec<usize> {
        chart.bars[MAX_DAYS - 3..].iter().map(|bar| bar.at[3]).collect()
    }

    #[test]
    fn bars_are_scaled_to_the_largest_or_to_the_limit() {
        let near = chart(&json!(1_000), &[500, 250, 0]);
        assert_eq!((heights(&near), near.limit_at), (vec![80, 40, 0], Some(ABOVE)));
        let far = chart(&json!(1_000_000), &[0, 10, 1]);
        assert_eq!((heights(&far), far.limit_at), (vec![0, 160, 16], None));
        let beyond = chart(&json!(10), &[0, 0, 20]);
        assert_eq!((heights(&beyond), beyond.limit_at), (vec![0, 0, 160], Some(ABOVE + 80)));
    }

    #[test]
    fn every_day_of_the_range_has_a_date_and_a_number() {
        let chart = Chart::parse(&json!({ "usage": [{ "day": "2026-08-30", "requests": 12_345 }] }), NOW_MS);
        let days: Vec<&str> = chart.bars.iter().map(Bar::date).collect();
        assert_eq!((days.len(), days[0], days[MAX_DAYS - 1]), (MAX_DAYS, "08-01", "08-31"));
        let shorts: Vec<&str> = chart.bars[MAX_DAYS - 2..].iter().map(|bar| bar.short.as_str()).collect();
        assert_eq!(shorts, ["12k", "0"]);
        assert_eq!(chart.facts[0], (t::TODAY, t::requests("0")));
    }

    #[test]
    fn chart_has_bounds() {
        let huge = chart(&json!(u64::MAX), &[u64::MAX, 1]);
        assert!(huge.bars.iter().rev().take(2).all(|bar| bar.at[3] >= 1 && bar.at[3] <= HEIGHT));
        assert!(huge.bars.iter().all(|bar| bar.number_at() < bar.at[1] && bar.short.len() < 16));
        assert_eq!(Chart::parse(&json!(null), i64::MIN).bars.len(), MAX_DAYS);
    }
}
