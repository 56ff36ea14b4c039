//! A load generator for any Iceberg REST catalog.

fn main() {}
