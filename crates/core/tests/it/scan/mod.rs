//! Scan planning: projections, residuals, statistics and deletes, compared with a direct evaluation of rows.

mod deletes;
mod generate;
mod rows;
mod soundness;
