//! Past a limit the server reads no further, or refuses; it never grows.

use std::time::Duration;

use icecore::server::Limits;

use super::toy::{ECHO, WAIT, reply, request, start};

#[tokio::test]
async fn a_connection_reads_no_further_than_its_requests_in_flight_allow() {
    let server = start(Limits { in_flight_requests_max: 3, ..Limits::default() }).await;
    let mut client = server.client().await;
    let gates: Vec<_> = (0..6).map(|n| server.toy.gate(n)).collect();
    for n in 0..6 {
        client.send(WAIT, n, b"").await;
    }
    server.toy.started(3).await;
    // Time for a fourth, if there were one; another connection is served meanwhile.
    let mut other = server.client().await;
    for n in 0..100 {
        other.echo(n).await;
    }
    assert_eq!(server.toy.started_now(), 103);
    for (n, gate) in gates.into_iter().enumerate() {
        gate.send(reply(n as i32, b"")).unwrap();
        assert_eq!(client.receive().await.0, n as i32);
    }
}

#[tokio::test]
async fn a_connection_reads_no_further_than_its_bytes_in_flight_allow() {
    let server = start(Limits { in_flight_bytes_max: 100_000, ..Limits::default() }).await;
    let mut client = server.client().await;
    let first = server.toy.gate(1);
    client.send(WAIT, 1, &[0; 60_000]).await;
    client.send(ECHO, 2, &[0; 60_000]).await;
    server.toy.started(1).await;
    let mut other = server.client().await;
    for n in 10..110 {
        other.echo(n).await;
    }
    assert_eq!(server.toy.started_now(), 101);
    first.send(reply(1, b"")).unwrap();
    assert_eq!(client.receive().await.0, 1);
    assert_eq!(client.receive().await.0, 2);
}

#[tokio::test]
async fn frames_of_all_connections_share_one_memory_and_wait_for_it() {
    let limits =
        Limits { frame_bytes_max: 300_000, request_memory_bytes: 500_000, ..Limits::default() };
    let server = start(limits).await;
    let mut holder = server.client().await;
    let gate = server.toy.gate(1);
    holder.send(WAIT, 1, &[0; 290_000]).await;
    server.toy.started(1).await;
    let mut waiting = server.client().await;
    let frame = request(ECHO, 2, &vec![2; 290_000]);
    let (mut read, mut write) = waiting.0.split();
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let send = async { write.write_all(&frame).await.unwrap() };
    let receive = async {
        while server.metrics.request_memory_waits.get() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(server.toy.started_now(), 1);
        assert!(server.metrics.request_memory_bytes.get() <= 500_000);
        gate.send(reply(1, b"")).unwrap();
        assert_eq!(read.read_u32().await.unwrap(), 290_004);
        read.read_exact(&mut vec![0; 290_004]).await.unwrap();
    };
    tokio::join!(send, receive);
    assert_eq!(holder.receive().await.0, 1);
    assert_eq!(server.metrics.request_memory_bytes.get(), 0);
}

#[tokio::test]
async fn one_connection_too_many_is_refused_and_its_place_is_free_after_another_ends() {
    let server = start(Limits { connections_max: 2, ..Limits::default() }).await;
    let (mut first, mut second) = (server.client().await, server.client().await);
    first.echo(1).await;
    second.echo(2).await;
    server.client().await.closed().await;
    assert_eq!((server.metrics.refused.get(), server.metrics.connections.get()), (1, 2));
    first.echo(3).await;
    drop(second);
    server.closed("client").await;
    while server.metrics.connections.get() == 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.client().await.echo(4).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_that_waits_for_its_answer_is_not() {
    let idle_timeout = Duration::from_millis(150);
    let server = start(Limits { idle_timeout, ..Limits::default() }).await;
    let mut waiting = server.client().await;
    let gate = server.toy.gate(1);
    waiting.send(WAIT, 1, b"").await;
    let mut idle = server.client().await;
    idle.echo(2).await;
    idle.closed().await;
    server.closed("idle").await;
    gate.send(reply(1, b"")).unwrap();
    assert_eq!(waiting.receive().await.0, 1);
}

#[tokio::test]
async fn a_client_that_never_takes_its_replies_is_closed_in_the_end() {
    let idle_timeout = Duration::from_millis(300);
    let server = start(Limits { idle_timeout, ..Limits::default() }).await;
    let mut client = server.client().await;
    let body = vec![0; 4 << 20];
    let mut frames = Vec::new();
    for n in 0..20 {
        frames.extend(request(ECHO, n, &body));
    }
    // The client sends on and reads nothing; the server ends it while it does.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut client.0, &frames).await;
    server.closed("replies_not_taken").await;
}
