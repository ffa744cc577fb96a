//! Frames that break the protocol: closed with a reason that is counted, nothing else harmed.

use std::time::Duration;

use bytes::Bytes;
use icecore::server::Limits;
use tokio::io::AsyncWriteExt as _;

use super::toy::{ECHO, Running, WAIT, reply, request, start};

async fn small_frames() -> Running {
    start(Limits { frame_bytes_max: 100_000, ..Limits::default() }).await
}

/// Sends bytes beside an innocent connection and expects the reason.
async fn is_closed_for(bytes: &[u8], end_stream: bool, reason: &'static str) {
    let server = small_frames().await;
    let mut innocent = server.client().await;
    innocent.echo(1).await;
    let mut hostile = server.client().await;
    hostile.send_raw(bytes).await;
    if end_stream {
        hostile.0.shutdown().await.unwrap();
    }
    hostile.closed().await;
    server.closed(reason).await;
    innocent.echo(2).await;
    assert_eq!(server.metrics.request_memory_bytes.get(), 0);
}

#[tokio::test]
async fn a_negative_length_closes_the_connection() {
    for length in [-1_i32, i32::MIN] {
        is_closed_for(&length.to_be_bytes(), false, "frame_length").await;
    }
}

#[tokio::test]
async fn a_length_beyond_the_limit_closes_the_connection_before_anything_is_reserved() {
    for length in [100_001_i32, i32::MAX] {
        is_closed_for(&length.to_be_bytes(), false, "frame_length").await;
    }
}

#[tokio::test]
async fn a_frame_shorter_than_a_header_closes_the_connection() {
    for length in [0_i32, 7] {
        is_closed_for(&length.to_be_bytes(), false, "frame_too_short").await;
    }
}

#[tokio::test]
async fn a_torn_frame_closes_the_connection() {
    let frame = request(ECHO, 1, &[7; 50_000]);
    for torn in [1, 3, 4, 5, 100, 20_000, frame.len() - 1] {
        is_closed_for(&frame[..torn], true, "torn_frame").await;
    }
}

#[tokio::test]
async fn a_frame_of_exactly_the_limit_is_served() {
    let server = small_frames().await;
    let mut client = server.client().await;
    let body = vec![5; 100_000 - 8];
    client.send(ECHO, 1, &body).await;
    assert_eq!(client.receive().await, (1, Bytes::from(body)));
}

#[tokio::test]
async fn replies_in_flight_are_sent_before_a_broken_frame_closes_the_connection() {
    let server = small_frames().await;
    let mut client = server.client().await;
    let gate = server.toy.gate(1);
    client.send(WAIT, 1, b"").await;
    client.send_raw(&(-5_i32).to_be_bytes()).await;
    server.toy.started(1).await;
    gate.send(reply(1, b"one")).unwrap();
    assert_eq!(client.receive().await, (1, Bytes::from("one")));
    client.closed().await;
    server.closed("frame_length").await;
}

#[tokio::test]
async fn frames_arrive_whole_however_their_bytes_are_cut() {
    let server = start(Limits::default()).await;
    let mut client = server.client().await;
    client.0.set_nodelay(true).unwrap();
    let bytes: Vec<u8> =
        (0..20).flat_map(|n| request(ECHO, n, &vec![n as u8; 1 << n.min(17)])).collect();
    for (n, cut) in bytes.chunks(7001).enumerate() {
        let (first, second) = cut.split_at(cut.len() * (n % 5) / 5);
        client.send_raw(first).await;
        tokio::task::yield_now().await;
        client.send_raw(second).await;
    }
    for n in 0..20 {
        assert_eq!(client.receive().await, (n, Bytes::from(vec![n as u8; 1 << n.min(17)])));
    }
}

#[tokio::test]
async fn a_frame_that_drips_in_is_ended_and_an_honest_client_goes_on() {
    let frame_timeout = Duration::from_millis(200);
    let server = start(Limits { frame_timeout, ..Limits::default() }).await;
    let mut honest = server.client().await;
    let mut dripping = server.client().await;
    let frame = request(ECHO, 1, &[0; 1000]);
    let drip = async {
        for byte in frame {
            if dripping.0.write_all(&[byte]).await.is_err() {
                return;
            }
            honest.echo(2).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the frame got through");
    };
    drip.await;
    server.closed("frame_timeout").await;
}

#[tokio::test]
async fn a_length_alone_takes_no_request_memory() {
    let limits =
        Limits { frame_bytes_max: 1 << 20, request_memory_bytes: 1 << 20, ..Limits::default() };
    let server = start(limits).await;
    let mut liars = Vec::new();
    for _ in 0..20 {
        let mut liar = server.client().await;
        liar.send_raw(&(1_i32 << 20).to_be_bytes()).await;
        liars.push(liar);
    }
    let mut honest = server.client().await;
    let body = vec![1; 500_000];
    honest.send(ECHO, 1, &body).await;
    assert_eq!(honest.receive().await.1, body);
}
