//! A store that misbehaves, seen from a broker and its client, over HTTP. Each line of what a store
//! can do badly ends with: every record is read once, in order, and right; uploads have caught up; the
//! log says what happened; a metric counted it.

use std::path::Path;
use std::time::Duration;

use axum::http::Method;

use crate::broker::{Running, bound};
use crate::log_lines::line_with;
use crate::store::{TIERED, tiered, value};
use crate::toy_s3::{Fault, ToyS3};

/// A fault, and how many requests meet it: of this method, on names with these parts.
type Faults = Vec<(Method, [&'static str; 2], Fault, usize)>;

/// A segment that is uploaded while the store misbehaves.
const NEW: &str = "/00000000000000000004-";
/// One that was uploaded before, and is read for the first time while it does.
const OLD: &str = "/00000000000000000000-";
const LOG: &str = ".log";
const INDEX: &str = ".index";
/// A call is tried so often by the client library before it fails.
const TRIES: usize = 5;

/// Quick deadlines: a call may take `call`, each of its requests `request`.
struct Times {
    call: &'static str,
    request: &'static str,
    /// How often garbage is collected, in milliseconds: each time, the store is asked for lists.
    collect_ms: &'static str,
}

const TIMES: Times = Times { call: "4s", request: "3s", collect_ms: "3600000" };
/// The deadline of a call comes before that of its request, and nothing is tried again.
const ONE_TRY: Times = Times { call: "1s", request: "10s", ..TIMES };

/// What a store does, and how one is told of it.
struct Line {
    topic: &'static str,
    times: Times,
    uploads: Faults,
    reads: Faults,
    /// Words of one line of the log.
    says: &'static [&'static str],
    /// The beginning of a line of `/metrics`, whose number is not 0.
    counts: &'static str,
}

async fn is_outlived(line: Line) {
    let dir = tempfile::tempdir().expect("dir");
    let toy = ToyS3::start(dir.path()).await;
    add_times(dir.path(), &line.times);
    let settings = [("tiering.gc.interval.ms", line.times.collect_ms)];
    let broker = bound(dir.path(), Some("s3"), &settings).await;
    broker.ready().await;
    toy.remember();
    let mut client = broker.client().await;
    tiered(&broker, &mut client, line.topic).await;
    order(&toy, line.uploads);
    for number in TIERED + 1..=2 * TIERED {
        client.acked(line.topic, &value(number)).await;
    }
    let everything: Vec<_> = (0..=2 * TIERED).map(value).collect();
    assert!(client.values_at_last(line.topic, 1).await == everything[1..], "while uploads fail");
    caught_up(&broker, line.topic).await;
    order(&toy, line.reads);
    assert!(client.values_at_last(line.topic, 0).await == everything, "while reads fail");
    broker.until("told of every fault", async || toy.unmet() == 0).await;
    line_with(line.says).await;
    broker.until(line.counts, async || counted(&broker, line.counts).await > 0).await;
    broker.stop().await;
}

fn order(toy: &ToyS3, faults: Faults) {
    for (method, parts, fault, times) in faults {
        toy.order(method, parts, fault, times);
    }
}

async fn caught_up(broker: &Running, topic: &str) {
    let end = i64::from(2 * TIERED);
    broker
        .until("caught up", async || broker.status(topic).await["local_log_start_offset"] == end)
        .await;
}

async fn counted(broker: &Running, metric: &str) -> u64 {
    let page = broker.get("/metrics").await.1;
    let line = page.lines().find(|line| line.starts_with(metric));
    let number = line.and_then(|line| line.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Adds to the store's table, which ends the file.
fn add_times(dir: &Path, times: &Times) {
    let file = dir.join("icecore.toml");
    let table = std::fs::read_to_string(&file).expect("a configuration");
    let Times { call, request, .. } = times;
    let more = format!("{table}call_timeout = {call:?}\nrequest_timeout = {request:?}\n");
    std::fs::write(file, more).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_is_outlived() {
    let late = Fault::Late(Duration::from_millis(2_100));
    is_outlived(Line {
        topic: "bad-slow",
        times: TIMES,
        uploads: vec![(Method::PUT, [NEW, LOG], late, 1)],
        reads: vec![(Method::GET, [OLD, INDEX], late, 1)],
        says: &["the object store is slow", "bad-slow"],
        counts: "icecore_store_slow_total",
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_a_narrow_pipe_is_outlived() {
    is_outlived(Line {
        topic: "bad-narrow",
        times: Times { call: "2s", request: "30s", ..TIMES },
        uploads: vec![],
        reads: vec![(Method::GET, [OLD, LOG], Fault::Narrow(200_000), 1)],
        says: &["the object store is slow", "bad-narrow"],
        counts: "icecore_store_slow_total",
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_answers_500_is_outlived() {
    let fault = Fault::Status(500);
    is_outlived(Line {
        topic: "bad-500",
        times: TIMES,
        uploads: vec![(Method::PUT, [NEW, LOG], fault, TRIES)],
        reads: vec![(Method::GET, [OLD, LOG], fault, TRIES)],
        says: &["bad-500", "tiering failed and is tried again", "status code: 500"],
        counts: "icecore_store_failures_total{kind=\"busy\"}",
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_asks_for_pauses_again_and_again_gets_them() {
    is_outlived(Line {
        topic: "bad-busy",
        times: Times { call: "30s", request: "10s", ..TIMES },
        uploads: vec![(Method::PUT, [NEW, LOG], Fault::Busy(1), 2)],
        reads: vec![(Method::GET, [OLD, LOG], Fault::Busy(1), 2)],
        says: &["the object store is busy and asks for a pause", "503"],
        counts: "icecore_store_throttled_total",
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_denies_for_a_while_is_outlived() {
    let fault = Fault::Status(403);
    is_outlived(Line {
        topic: "bad-denied",
        times: TIMES,
        uploads: vec![(Method::PUT, [NEW, INDEX], fault, 1)],
        reads: vec![(Method::GET, [OLD, LOG], fault, 2)],
        says: &["bad-denied", "tiering failed and is tried again", "check the credentials"],
        counts: "icecore_store_failures_total{kind=\"denied\"}",
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_is_outlived() {
    is_outlived(Line {
        topic: "bad-silent",
        times: ONE_TRY,
        uploads: vec![(Method::PUT, [NEW, LOG], Fault::Silence, 1)],
        reads: vec![(Method::GET, [OLD, LOG], Fault::Silence, 2)],
        says: &["bad-silent", "tiering failed and is tried again", "within 1 s"],
        counts: "icecore_store_failures_total{kind=\"timed_out\"}",
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_bodies_stall_is_left_alone_and_outlived() {
    is_outlived(Line {
        topic: "bad-stall",
        times: ONE_TRY,
        uploads: vec![],
        reads: vec![(Method::GET, [OLD, INDEX], Fault::Stall, 7)],
        says: &["the object store fails again and again and is left alone", "bad-stall"],
        counts: "icecore_store_left_alone_total",
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_full_for_a_while_is_outlived() {
    is_outlived(Line {
        topic: "bad-full",
        times: TIMES,
        uploads: vec![(Method::PUT, [NEW, LOG], Fault::Status(507), TRIES)],
        reads: vec![],
        says: &["bad-full", "tiering failed and is tried again", "status code: 507"],
        counts: "icecore_store_failures_total{kind=\"busy\"}",
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cuts_connections_is_outlived() {
    is_outlived(Line {
        topic: "bad-cut",
        times: TIMES,
        uploads: vec![],
        reads: vec![(Method::GET, [OLD, LOG], Fault::Cut, 3 * TRIES + 1)],
        says: &["bad-cut", "could not read"],
        counts: "icecore_store_failures_total{kind=\"busy\"}",
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_sends_too_little_is_outlived() {
    is_outlived(Line {
        topic: "bad-short",
        times: TIMES,
        uploads: vec![],
        reads: vec![
            (Method::GET, [OLD, LOG], Fault::Short, 2),
            (Method::GET, [OLD, INDEX], Fault::Short, 1),
        ],
        says: &["bad-short", "were asked for"],
        counts: "icecore_store_failures_total{kind=\"wrong_bytes\"}",
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_sends_a_wrong_byte_is_outlived() {
    let fault = Fault::WrongByte;
    is_outlived(Line {
        topic: "bad-byte",
        times: TIMES,
        uploads: vec![],
        reads: vec![(Method::GET, [OLD, LOG], fault, 2), (Method::GET, [OLD, INDEX], fault, 1)],
        says: &["bad-byte", "wrong bytes"],
        counts: "icecore_store_failures_total{kind=\"wrong_bytes\"}",
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_the_work_and_says_that_it_failed_is_outlived() {
    is_outlived(Line {
        topic: "bad-afterwards",
        times: TIMES,
        uploads: vec![(Method::PUT, [NEW, LOG], Fault::FailAfterwards, TRIES)],
        reads: vec![],
        says: &["bad-afterwards", "tiering failed and is tried again", "status code: 500"],
        counts: "icecore_store_failures_total{kind=\"busy\"}",
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_nothing_and_says_that_it_did_is_outlived() {
    is_outlived(Line {
        topic: "bad-pretends",
        times: TIMES,
        uploads: vec![
            (Method::PUT, [NEW, LOG], Fault::Pretend, 1),
            (Method::PUT, [NEW, INDEX], Fault::Pretend, 1),
        ],
        reads: vec![],
        says: &["bad-pretends", "tiering failed and is tried again", "no object"],
        counts: "kafka_server_brokertopicmetrics_remotecopyerrors_total",
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_lists_lag_is_outlived() {
    // As they were before the first upload.
    is_outlived(Line {
        topic: "bad-lists",
        times: Times { collect_ms: "1000", ..TIMES },
        uploads: vec![(Method::GET, ["list-type", ""], Fault::Outdated, 4)],
        reads: vec![],
        says: &["a list of the object store left out what is there", "bad-lists"],
        counts: "icecore_store_unlisted_total",
    })
    .await;
}
