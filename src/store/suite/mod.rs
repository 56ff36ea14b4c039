//! The conformance suite of the stores.
