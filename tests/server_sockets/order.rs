//! Replies leave in the order of the requests, and no wait holds up a later request.

use bytes::Bytes;
use icecore::server::Limits;
use icecore::wire::exchange::Reply;

use super::toy::{ECHO, PREPARED, SILENT, SLOW_START, WAIT, reply, request, start};

#[tokio::test]
async fn later_requests_start_while_an_earlier_one_waits_and_replies_keep_the_order() {
    let server = start(Limits::default()).await;
    let mut client = server.client().await;
    let (first, fourth) = (server.toy.gate(1), server.toy.gate(4));
    for (api, correlation) in [(WAIT, 1), (ECHO, 2), (SILENT, 3), (WAIT, 4), (ECHO, 5)] {
        client.send(api, correlation, b"body").await;
    }
    assert_eq!(server.toy.started(5).await, [1, 2, 3, 4, 5]);
    fourth.send(reply(4, b"late")).unwrap();
    first.send(reply(1, b"last")).unwrap();
    for (correlation, body) in [(1, "last"), (2, "body"), (4, "late"), (5, "body")] {
        assert_eq!(client.receive().await, (correlation, Bytes::from(body)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pipelined_requests_start_and_are_answered_in_order() {
    let server = start(Limits::default()).await;
    let client = server.client().await;
    let (mut read, mut write) = client.0.into_split();
    let sender = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        for correlation in 0..1000_i32 {
            let api = if correlation % 3 == 0 { SLOW_START } else { ECHO };
            let body = vec![correlation as u8; correlation as usize * 37];
            write.write_all(&request(api, correlation, &body)).await.unwrap();
        }
        write
    });
    use tokio::io::AsyncReadExt as _;
    for correlation in 0..1000_i32 {
        let len = read.read_u32().await.unwrap() as usize;
        assert_eq!(read.read_i32().await.unwrap(), correlation);
        let mut body = vec![0; len - 4];
        read.read_exact(&mut body).await.unwrap();
        assert_eq!(body, vec![correlation as u8; correlation as usize * 37]);
    }
    assert_eq!(server.toy.started(1000).await, (0..1000).collect::<Vec<_>>());
    sender.await.unwrap();
}

#[tokio::test]
async fn a_wait_on_one_connection_holds_up_no_other() {
    let server = start(Limits::default()).await;
    let _gate = server.toy.gate(1);
    let mut waiting = server.client().await;
    waiting.send(WAIT, 1, b"").await;
    server.toy.started(1).await;
    server.client().await.echo(2).await;
}

#[tokio::test]
async fn a_wish_to_close_lets_earlier_replies_out_and_later_requests_are_not_started() {
    let server = start(Limits::default()).await;
    let mut client = server.client().await;
    let gate = server.toy.gate(1);
    client.send(WAIT, 1, b"").await;
    client.send(ECHO, 2, b"two").await;
    client.send(99, 3, b"unknown api").await;
    client.send(ECHO, 4, b"never").await;
    assert_eq!(server.toy.started(3).await, [1, 2, 3]);
    gate.send(reply(1, b"one")).unwrap();
    assert_eq!(client.receive().await, (1, Bytes::from("one")));
    assert_eq!(client.receive().await, (2, Bytes::from("two")));
    client.closed().await;
    server.closed("unknown_api").await;
    assert_eq!(server.toy.started_now(), 3);
}

#[tokio::test]
async fn a_client_that_ends_its_stream_still_gets_what_is_in_flight() {
    use tokio::io::AsyncWriteExt as _;
    let server = start(Limits::default()).await;
    let mut client = server.client().await;
    let gate = server.toy.gate(1);
    client.send(WAIT, 1, b"").await;
    client.0.shutdown().await.unwrap();
    server.toy.started(1).await;
    gate.send(reply(1, b"one")).unwrap();
    assert_eq!(client.receive().await, (1, Bytes::from("one")));
    client.closed().await;
    server.closed("client").await;
}

#[tokio::test]
async fn a_reply_whose_length_lies_ends_its_connection_and_nothing_else() {
    let server = start(Limits::default()).await;
    let Reply::Frame(mut frame) = reply(1, b"body") else { panic!("a frame") };
    frame.head = Bytes::from([&99_u32.to_be_bytes(), &frame.head[4..]].concat());
    server.toy.prepare(1, frame);
    let mut client = server.client().await;
    client.send(PREPARED, 1, b"").await;
    client.closed().await;
    server.client().await.echo(2).await;
    assert_eq!(server.metrics.connections.get(), 1);
}
