//! The real broker, driven by real clients over a real object store.
//!
//! `cargo xtask test` installs and starts all that these tests need and tells them by the
//! environment where it is: ICECORE_E2E_COMPONENTS (clients and Kafka's tools),
//! ICECORE_TEST_S3_ENDPOINT (LocalStack) and ICECORE_TEST_HDFS_URL. Built only with the feature
//! `e2e`: without it these tests do not exist, so that nothing is skipped in silence.
//!
//! What was written is known from the producers' ledgers, what was read from the consumers'
//! transcripts (`clients/records.py`); the tests compare them record by record.

#[cfg(test)]
mod harness;

#[cfg(test)]
mod admin;
#[cfg(test)]
mod dashboard;
#[cfg(test)]
mod exchange;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod read_only;
#[cfg(test)]
mod restore;
#[cfg(test)]
mod sendfile;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod tiered;
#[cfg(test)]
mod tools;
