//! How much work commits ask for, as bytes of the JSON that they came as: enough to tell heavy requests from small ones.

use tidewater_core::commit::TableCommit;

/// The bytes of commits.
pub(super) fn commits_bytes(commits: &[TableCommit]) -> u64 {
    commits.iter().map(|commit| commit.body_bytes).sum()
}
