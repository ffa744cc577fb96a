//! icecore: a tiered-storage log service that speaks Kafka's wire protocol.
//!
//! The modules are floors: each imports only from those listed above it here, and neighbours on
//! one floor never import each other (`tests/floors.rs` holds it).

pub mod config;
pub mod env;
pub mod metrics;
pub mod model;
pub mod pace;
pub mod task;
pub mod telemetry;

pub mod metadata;
pub mod record;
pub mod wire;

pub mod log;

pub mod replica;

pub mod cluster;
pub mod coordinator;

pub mod broker;

pub mod http;
pub mod server;

pub mod app;
pub mod cli;
