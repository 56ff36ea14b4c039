//! Tidewater: an Apache Iceberg REST catalog.
//!
//! `ARCHITECTURE.md` tells the shape: who may use whom, and where a thing is handled.

pub mod admin;
pub mod api;
pub mod app;
pub mod auth;
pub mod backup;
pub mod catalog;
pub mod clock;
pub mod config;
pub mod control;
pub mod data_folder;
pub mod deadline;
pub mod events;
mod flight;
pub mod heavy;
pub mod idempotency;
pub mod locations;
pub mod maintenance;
pub mod master_key;
pub mod metadata;
pub mod newer_documents;
pub mod owner;
pub mod reports;
pub mod sample;
pub mod sealing;
pub mod secret;
pub mod server;
pub mod storage;
pub mod store;
pub mod tenancy;
mod turns;
pub mod vending;
pub mod warehouse;
