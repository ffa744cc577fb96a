//! Where the real stores are, and how a test gets a place of its own in each.

pub(crate) mod azure;
pub(crate) mod gcs;
pub(crate) mod hdfs;
pub(crate) mod s3;

use icecore_tiering::{Store, StoreSettings};

use crate::place::Place;

/// What the environment says of a store.
pub(crate) fn told(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: use `cargo xtask stores`"))
}

pub(crate) async fn place(settings: StoreSettings) -> Place {
    Place::new(Store::open(settings).await.unwrap())
}

/// A name that no other test has.
pub(crate) fn fresh(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::new_v4().simple())
}
