//! The settings of the web console.

use serde::{Deserialize, Serialize};

/// The most rows of a preview.
const MAX_PREVIEW_ROWS: u32 = 1_000;

/// Settings of the web console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleConfig {
    /// Whether the server has the console, below `/console`.
    pub enabled: bool,
    /// The most rows of the preview of a table. 0: no preview.
    pub preview_rows: u32,
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        Self { enabled: true, preview_rows: 50 }
    }
}

impl ConsoleConfig {
    /// Returns what is wrong.
    pub(super) fn check(&self) -> Option<&'static str> {
        (self.preview_rows > MAX_PREVIEW_ROWS).then_some("`console.preview_rows` must be from 0 to 1000")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preview_has_a_largest_number_of_rows() {
        let with = |preview_rows| ConsoleConfig { preview_rows, ..ConsoleConfig::default() }.check();
        assert_eq!([with(0), with(1_000)], [None, None]);
        assert!(with(1_001).is_some_and(|why| why.contains("console.preview_rows")));
    }
}
