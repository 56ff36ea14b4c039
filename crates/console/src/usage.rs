//! Usage against limits, with a chart.

use askama::Template;
use serde_json::Value;

use crate::format;
use crate::frame::Frame;
use crate::texts as t;

/// The most days of the chart.
pub const MAX_DAYS: usize = 31;

/// The size of the chart in pixels.
const WIDTH: usize = 744;
const HEIGHT: usize = 160;

/// A day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// The day.
    pub day: String,
    /// The number of requests, for people.
    pub requests: String,
    /// Its place in the chart: left, top, width, height in pixels.
    pub at: [usize; 4],
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
    /// Reads the API's answer.
    #[must_use]
    pub fn parse(usage: &Value) -> Self {
        let all = usage["usage"].as_array().map(Vec::as_slice).unwrap_or_default();
        let days: Vec<(&str, u64)> = all
            .iter()
            .rev()
            .take(MAX_DAYS)
            .rev()
            .map(|row| (row["day"].as_str().unwrap_or_default(), row["requests"].as_u64().unwrap_or_default()))
            .collect();
        let most = days.iter().map(|(_, requests)| *requests).max().unwrap_or_default();
        let limit = usage["limit"].as_u64();
        // The limit's line is shown if the usage comes near it. Otherwise it would flatten all bars.
        let top = limit.filter(|limit| most.saturating_mul(4) >= *limit).unwrap_or_default().max(most).max(1);
        let scaled = |value: u64| -> usize {
            let pixels = u128::from(value) * (HEIGHT as u128) / u128::from(top);
            usize::try_from(pixels).unwrap_or(HEIGHT).min(HEIGHT)
        };
        let step = WIDTH / days.len().max(1);
        let bars = days.iter().enumerate().map(|(at, (day, requests))| {
            let height = scaled(*requests).max(usize::from(*requests > 0));
            Bar {
                day: (*day).to_owned(),
                requests: number(*requests),
                at: [at * step, HEIGHT - height, (step * 3 / 4).clamp(1, 48), height],
            }
        });
        let text = |name: &str| usage[name].as_str().unwrap_or_default().to_owned();
        let or_none = |name: &str| usage[name].as_u64().map_or_else(|| t::NO_LIMIT.to_owned(), number);
        Self {
            bars: bars.collect(),
            limit_at: limit.filter(|limit| *limit <= top).map(|limit| HEIGHT - scaled(limit)),
            facts: vec![
                (t::TIER, text("tier")),
                (t::DAILY_LIMIT, or_none("limit")),
                (t::TABLES, usage["tables"].as_u64().map(number).unwrap_or_default()),
                (t::TABLE_LIMIT, or_none("max-tables")),
                (t::PER_SECOND, or_none("requests-per-second")),
            ],
        }
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
        HEIGHT
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chart(limit: &Value, requests: &[u64]) -> Chart {
        let rows: Vec<Value> =
            requests.iter().map(|requests| json!({ "day": "2026-08-01", "requests": requests })).collect();
        Chart::parse(&json!({ "tier": "free", "limit": limit, "tables": 3, "usage": rows }))
    }

    #[test]
    fn bars_are_scaled_to_the_largest_or_to_the_limit() {
        let near = chart(&json!(1_000), &[500, 250, 0]);
        let heights: Vec<usize> = near.bars.iter().map(|bar| bar.at[3]).collect();
        assert_eq!((heights, near.limit_at), (vec![80, 40, 0], Some(0)));
        let far = chart(&json!(1_000_000), &[10, 1]);
        assert_eq!((far.bars[0].at[3], far.bars[1].at[3], far.limit_at), (160, 16, None));
        let beyond = chart(&json!(10), &[20]);
        assert_eq!((beyond.bars[0].at[3], beyond.limit_at), (160, Some(80)));
    }

    #[test]
    fn chart_has_bounds() {
        assert_eq!(chart(&json!(null), &[1; 400]).bars.len(), MAX_DAYS);
        let huge = chart(&json!(u64::MAX), &[u64::MAX, 1]);
        assert!(huge.bars.iter().all(|bar| bar.at[3] >= 1 && bar.at[3] <= HEIGHT));
        assert!(Chart::parse(&json!(null)).bars.is_empty());
    }
}
