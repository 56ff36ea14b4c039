//! Scan planning: projections, residuals, statistics and deletes, compared with a direct evaluation of rows.

mod deletes;
mod examples;
mod generate;
mod ranges;
mod rows;
mod soundness;
