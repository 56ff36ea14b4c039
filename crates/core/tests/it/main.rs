//! Tests of the rules from outside: what a catalog that uses them sees.

mod documents;
mod support;
