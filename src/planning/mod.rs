//! Scan planning for clients (REST specification, `planTableScan`, `fetchScanTasks`): which files of a table match a filter, and which deletes
//! apply to them.
//!
//! A plan reads the manifest list of its snapshot, leaves out manifests by their partition summaries, then files by their partitions and
//! statistics. Manifests come from a cache. The work on their entries runs on the workers for heavy work, in slices that end with the request.
//! What does not fit into the answer to a plan becomes plan tasks: sealed tokens with a range of manifests, which any server answers.

mod content;
mod deletes;
mod departure;
mod error;
mod indexed;
mod indexes;
mod measures;
mod parts;
mod planner;
mod position;
mod prepared;
mod reader;
mod scan;
mod source;
mod token;
mod wanted;
mod within;
mod work;

pub use error::PlanError;
pub use measures::PlanningMeasures;
pub use parts::{Broken, Parts};
pub use planner::{Answer, Planned, Planning};
