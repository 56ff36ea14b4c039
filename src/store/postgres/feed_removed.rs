//! The record of removed events, by which readers of the feed notice that they missed some.

/// Completes a statement whose common table expression `gone` removes events and has their `organisation` and `position`: records the
/// highest position of each organisation. Returns a row for each event.
pub(super) const NOTE_REMOVED: &str = ", noted AS (
        INSERT INTO feed_removed AS known (organisation, position)
        SELECT organisation, max(position) FROM gone WHERE position IS NOT NULL GROUP BY organisation ORDER BY organisation
        ON CONFLICT (organisation) DO UPDATE SET position = greatest(known.position, excluded.position))
    SELECT 1 FROM gone";
