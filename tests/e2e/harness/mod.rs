//! What the tests share: a broker's process, a bucket, client programs, ledgers and transcripts.

mod broker;
mod bucket;
mod clients;
mod http;
mod ledger;
mod place;
mod random;
mod remote;
mod run;
mod wait;

pub(crate) use broker::{Broker, Partition, free_port};
pub(crate) use bucket::Bucket;
pub(crate) use clients::{Client, Reading, Topic, Writing, components, java, ledger};
pub(crate) use http::request;
pub(crate) use ledger::{Ack, Entry, assert_same, log_of, read_ledger, read_transcript};
pub(crate) use place::{Place, environment, number};
pub(crate) use random::Random;
pub(crate) use remote::{HdfsFolder, Remote};
pub(crate) use run::{Running, run};
pub(crate) use wait::until;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(now.as_millis()).unwrap()
}
