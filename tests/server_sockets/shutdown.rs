//! A server that stops answers what it has taken up.

use std::time::Duration;

use bytes::Bytes;
use icecore::server::Limits;
use tokio::net::TcpStream;

use super::toy::{ECHO, HANG, SOON, WAIT, reply, start};

#[tokio::test]
async fn what_is_in_flight_is_answered_and_nothing_new_is_taken_up() {
    let server = start(Limits::default()).await;
    let mut client = server.client().await;
    let (first, second) = (server.toy.gate(1), server.toy.gate(2));
    client.send(WAIT, 1, b"").await;
    client.send(WAIT, 2, b"").await;
    server.toy.started(2).await;
    server.shutdown.cancel();
    // The listener is gone before the connections are.
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    client.send(ECHO, 3, b"too late").await;
    second.send(reply(2, b"two")).unwrap();
    first.send(reply(1, b"one")).unwrap();
    assert_eq!(client.receive().await, (1, Bytes::from("one")));
    assert_eq!(client.receive().await, (2, Bytes::from("two")));
    client.closed().await;
    drop(client);
    tokio::time::timeout(SOON, server.task).await.expect("the server stops").unwrap();
    assert_eq!(server.toy.started_now(), 2);
    assert_eq!(server.metrics.closed("shutdown"), 1);
    assert_eq!(server.metrics.connections.get(), 0);
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_a_shutdown() {
    let server = start(Limits::default()).await;
    let mut clients = Vec::new();
    for n in 0..20 {
        let mut client = server.client().await;
        client.echo(n).await;
        clients.push(client);
    }
    server.shutdown.cancel();
    tokio::time::timeout(SOON, server.task).await.expect("the server stops").unwrap();
    for mut client in clients {
        client.closed().await;
    }
    assert_eq!(server.metrics.closed("shutdown"), 20);
}

#[tokio::test]
async fn an_answer_that_never_comes_holds_up_a_shutdown_only_so_long() {
    let drain_timeout = Duration::from_millis(50);
    let server = start(Limits { drain_timeout, ..Limits::default() }).await;
    let mut client = server.client().await;
    let _gate = server.toy.gate(1);
    client.send(WAIT, 1, b"").await;
    let mut hanging = server.client().await;
    hanging.send(HANG, 2, b"").await;
    server.toy.started(2).await;
    server.shutdown.cancel();
    tokio::time::timeout(SOON, server.task).await.expect("the server stops").unwrap();
    client.closed().await;
    hanging.closed().await;
    assert_eq!(server.metrics.closed("drain_timeout"), 2);
}
