//! The size of commits, as bytes of their JSON. It tells heavy requests from small ones.

use tidewater_core::commit::TableCommit;

/// Returns the size of commits in bytes.
pub(super) fn commits_bytes(commits: &[TableCommit]) -> u64 {
    commits.iter().map(|commit| commit.body_bytes).sum()
}
