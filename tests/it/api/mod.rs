//! The API, resource by resource, as the URLs are.

mod bad_input;
mod browsers;
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
mod packed_bodies;
mod plus;
mod register;
mod request_log;
mod roles;
mod sign;
mod tables;
mod transactions;
mod views;
