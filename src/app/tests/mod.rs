//! Tests of several servers over one store: a change through one holds for the next request to another.

mod commits;
mod limits;
mod replicas;
mod world;
