//! `/readyz` while a broker starts, ends, and serves although something is amiss.

use std::collections::BTreeSet;
use std::time::Instant;

use parking_lot::Mutex;

use super::metrics::Seen;
use crate::broker::{SOON, bound, start};
use crate::client::http_get;
use crate::store::{Away, TIERED, tiered, value};

#[tokio::test(flavor = "multi_thread")]
async fn a_start_tells_how_many_partitions_are_open() {
    let dir = tempfile::tempdir().expect("dir");
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    for number in 0..150 {
        assert_eq!(client.create(&format!("t{number}"), &[]).await.0, 0);
    }
    broker.stop().await;
    let broker = bound(dir.path(), None, &[]).await;
    let told = Mutex::new(BTreeSet::new());
    broker
        .until("ready", async || {
            let (code, text) = broker.get("/readyz").await;
            told.lock().insert(text);
            code == 200
        })
        .await;
    let told = told.into_inner();
    let step = |text: &&String| {
        text.starts_with("not ready: starting: recovering the logs, ")
            && text.ends_with(" of 150 partitions are open\n")
    };
    assert!(told.iter().any(|text| step(&text)), "{told:?}");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_ends_is_not_ready_while_its_last_answers_are_sent() {
    let dir = tempfile::tempdir().expect("dir");
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    assert_eq!(client.create("t", &[]).await.0, 0);
    let seen = Seen::at(&broker);
    let waits = tokio::spawn(async move { client.wait_at("t", 0, 2_000).await });
    seen.wait_for(&broker, "kafka_server_delayedoperationpurgatory_purgatorysize").await;
    seen.looking.abort();
    let http = broker.http;
    let ending = tokio::spawn(broker.stop());
    let until = Instant::now() + SOON;
    loop {
        let (code, text) = http_get(http, "/readyz").await;
        if code == 503 {
            assert_eq!(text, "not ready: ending: the last answers are sent\n");
            break;
        }
        assert!(Instant::now() < until, "ready for too long: {text}");
    }
    assert_eq!(waits.await.expect("an answer"), 0, "the last answer is sent");
    ending.await.expect("an orderly end");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_fail_are_amiss_though_the_broker_is_ready() {
    let (topic, dir) = ("told-amiss", tempfile::tempdir().expect("dir"));
    let broker = start(dir.path()).await;
    let mut client = broker.client().await;
    tiered(&broker, &mut client, topic).await;
    let store = Away::of(&broker);
    for number in TIERED + 1..=2 * TIERED {
        client.acked(topic, &value(number)).await;
    }
    let amiss = format!("uploads of 1 partitions fail and are tried again, that of {topic}-0: ");
    broker
        .until("amiss", async || {
            let (code, text) = broker.get("/readyz").await;
            assert_eq!(code, 200, "{text}");
            text.starts_with("ready\n") && text.contains(&amiss)
        })
        .await;
    store.back();
    broker.until("well", async || broker.get("/readyz").await.1 == "ready\n").await;
    broker.stop().await;
}
