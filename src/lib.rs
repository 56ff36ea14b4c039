//! Tidewater: an Apache Iceberg REST catalog.
