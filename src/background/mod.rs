//! The work that runs beside requests: one runner starts, spaces, watches and stops all of it.
//!
//! A [`Task`] is a name, a schedule and the work of one run. The [`Runner`] repeats the run until the server stops. A run that
//! fails or panics is repeated after a pause that grows, and affects no other task. [`Runner::states`] shows each task.

mod runner;
mod task;
#[cfg(test)]
mod tests;

pub use runner::{Runner, Stage, TaskState};
pub use task::{Task, TaskError};
