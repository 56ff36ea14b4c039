//! The API, resource by resource, as the URLs are.

mod bad_input;
mod commit;
mod conditional_load;
mod config;
mod direct_load;
mod functions;
mod health;
mod idempotency;
mod isolation;
mod limits;
mod locations;
mod management;
mod metrics;
mod namespaces;
mod oauth;
mod openapi;
mod plus;
mod register;
mod roles;
mod sign;
mod tables;
mod transactions;
mod views;
