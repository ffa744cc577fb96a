//! Tiering against real stores, whose addresses the environment names. `cargo xtask test` and
//! `cargo xtask stores` start them.
//!
//! Built only with the feature `store-tests`: without it these tests do not exist, so that nothing is
//! skipped in silence. With one store alone, name its module: `--test stores localstack::`.

#[cfg(test)]
#[path = "../tiering/calls.rs"]
mod calls;
#[cfg(test)]
#[path = "../tiering/conformance.rs"]
mod conformance;
#[cfg(test)]
#[path = "../tiering/death.rs"]
mod death;
#[cfg(test)]
#[path = "../tiering/fixture.rs"]
mod fixture;
#[cfg(test)]
#[path = "../tiering/place.rs"]
mod place;
#[cfg(test)]
mod places;
#[cfg(test)]
#[path = "../tiering/watch.rs"]
mod watch;

#[cfg(test)]
mod azure;
#[cfg(test)]
mod bad_s3;
#[cfg(test)]
mod gcs;
#[cfg(test)]
mod hdfs;
#[cfg(test)]
mod localstack;
#[cfg(test)]
mod s3;
#[cfg(test)]
mod versitygw;

use fixture::Fixture;
use icecore_tiering::StoreSettings;

#[cfg(test)]
fn fixture_over(settings: StoreSettings) -> Fixture {
    Fixture::with_store(tempfile::tempdir().unwrap(), settings)
}
