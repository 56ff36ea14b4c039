//! Tests of the rules from outside: what a catalog that uses them sees.

mod columns;
mod creation;
mod documents;
mod history;
mod requirements;
mod support;
