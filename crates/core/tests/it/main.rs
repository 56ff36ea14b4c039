//! Tests of the rules from outside: what a catalog that uses them sees.

mod columns;
mod creation;
mod differential;
mod disagreements;
mod documents;
mod generated;
mod history;
mod properties;
mod requirements;
mod support;
