//! Tidewater: an Apache Iceberg REST catalog.
//!
//! `ARCHITECTURE.md` describes the modules: their dependencies, and which module handles what.

pub mod access;
pub mod admin;
pub mod api;
pub mod app;
pub mod audit;
pub mod auth;
pub mod background;
pub mod backup;
pub mod base;
pub mod catalog;
pub mod config;
pub mod copy;
pub mod data_folder;
pub mod delivery;
pub mod heavy;
pub mod history;
pub mod maintenance;
pub mod manifests;
pub mod metadata;
pub mod planning;
pub mod sample;
pub mod sealing;
pub mod server;
pub mod storage;
pub mod store;
pub mod telemetry;
pub mod tenancy;
pub mod upkeep;
pub mod vending;
pub mod warehouse;
