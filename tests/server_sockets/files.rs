//! Replies with ranges of files.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use icecore::model::FileSlice;
use icecore::server::Limits;
use icecore::wire::exchange::{Piece, ReplyFrame};

use super::toy::{ECHO, PREPARED, SOON, request, start};

/// Bytes that tell their place.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

/// In the build's own folder: a temporary folder may lie in memory, which evicts nothing.
fn file(bytes: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

fn evict(file: &File) {
    file.sync_all().unwrap();
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

/// A reply of `texts` with a slice after each.
fn interleaved(correlation: i32, parts: &[(&[u8], FileSlice)]) -> ReplyFrame {
    let mut head = vec![0; 4];
    head.extend_from_slice(&correlation.to_be_bytes());
    let mut pieces = Vec::new();
    for (text, slice) in parts {
        head.extend_from_slice(text);
        pieces.push(Piece { at: head.len(), slice: slice.clone() });
    }
    let from_files: u64 = pieces.iter().map(|piece| piece.slice.len).sum();
    let length = (head.len() - 4) as u32 + from_files as u32;
    head[..4].copy_from_slice(&length.to_be_bytes());
    ReplyFrame { head: head.into(), pieces }
}

#[tokio::test]
async fn pieces_arrive_byte_exact_at_all_sizes_between_bytes_of_memory() {
    let server = start(Limits::default()).await;
    let bytes = pattern(5 << 20);
    let file = file(&bytes);
    let mut client = server.client().await;
    let sizes = [0, 1, 61, 4095, 4096, 4097, 65_536, 1 << 20, (3 << 20) + 17];
    for (correlation, position) in [0_usize, 1, 4095, 70_001].into_iter().enumerate() {
        let slices: Vec<_> = sizes
            .iter()
            .map(|&len| FileSlice::new(Arc::clone(&file), position as u64, len as u64))
            .collect();
        let texts: Vec<_> = (0..sizes.len()).map(|n| pattern(n * n * 100)).collect();
        let parts: Vec<_> = texts.iter().map(Vec::as_slice).zip(slices).collect();
        server.toy.prepare(correlation as i32, interleaved(correlation as i32, &parts));
        client.send(PREPARED, correlation as i32, b"").await;
        let expected: Vec<u8> = texts
            .iter()
            .zip(sizes)
            .flat_map(|(text, len)| [text, &bytes[position..position + len]].concat())
            .collect();
        let (answered, body) = client.receive().await;
        assert_eq!(answered, correlation as i32);
        assert!(body == expected, "from position {position} on");
    }
    assert_eq!(server.metrics.sendfile_bytes.get(), 4 * sizes.iter().sum::<usize>() as u64);
    assert_eq!(server.metrics.cold_reads.get(), 0);
}

#[tokio::test]
async fn a_file_that_became_shorter_ends_the_connection_and_is_counted() {
    let server = start(Limits::default()).await;
    for (correlation, kept) in [(1, 0), (2, 100_000)] {
        let file = file(&pattern(200_000));
        let slice = FileSlice::new(Arc::clone(&file), 0, 200_000);
        server.toy.prepare(correlation, interleaved(correlation, &[(b"text", slice)]));
        file.set_len(kept).unwrap();
        let mut client = server.client().await;
        client.send(PREPARED, correlation, b"").await;
        let mut all = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut client.0, &mut all);
        let _ = tokio::time::timeout(SOON, read).await.expect("an end in time");
        assert!(all.len() < 200_000);
    }
    server.closed("file_read_error").await;
    server.client().await.echo(3).await;
}

#[tokio::test]
async fn a_pin_lives_until_its_slice_is_sent_and_no_longer() {
    let server = start(Limits::default()).await;
    let pin: Arc<()> = Arc::default();
    let held = Arc::downgrade(&pin);
    let mut slice = FileSlice::new(file(b"records"), 0, 7);
    slice.pin = Some(pin);
    server.toy.prepare(1, interleaved(1, &[(b"", slice)]));
    assert!(held.upgrade().is_some());
    let mut client = server.client().await;
    client.send(PREPARED, 1, b"").await;
    assert_eq!(client.receive().await, (1, Bytes::from("records")));
    client.echo(2).await;
    assert!(held.upgrade().is_none());
}

/// Bytes that each thread of this process whose name begins so has read from a disk.
fn disk_reads(threads: &str) -> HashMap<String, u64> {
    let mut reads = HashMap::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        // A thread may end in between.
        let (Ok(name), Ok(io)) =
            (fs::read_to_string(task.join("comm")), fs::read_to_string(task.join("io")))
        else {
            continue;
        };
        if name.starts_with(threads) {
            let line = io.lines().find_map(|line| line.strip_prefix("read_bytes: "));
            reads.insert(task.display().to_string(), line.unwrap().parse().unwrap());
        }
    }
    reads
}

/// The kernel itself says which thread waited for the disk.
#[test]
fn pages_outside_the_page_cache_are_never_read_on_a_network_thread() {
    const LEN: usize = 16 << 20;
    let network = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("net-under-test")
        .enable_all()
        .build()
        .unwrap();
    let server = network.block_on(async { tokio::spawn(start(Limits::default())).await.unwrap() });
    let bytes = pattern(LEN);
    let file = file(&bytes);
    evict(&file);
    let before = disk_reads("net-under-test");
    assert_eq!(before.len(), 2);

    let clients = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("clients")
        .enable_all()
        .build()
        .unwrap();
    clients.block_on(async {
        let slice = FileSlice::new(Arc::clone(&file), 0, LEN as u64);
        server.toy.prepare(1, interleaved(1, &[(b"", slice)]));
        let mut cold = server.client().await;
        cold.send(PREPARED, 1, b"").await;
        // A hot client beside it, as long as the cold one reads.
        let done = tokio_util::sync::CancellationToken::new();
        let (mut hot, stop) = (server.client().await, done.clone());
        let hot = tokio::spawn(async move {
            let mut echoes = 0;
            while !stop.is_cancelled() {
                hot.echo(echoes).await;
                echoes += 1;
            }
            echoes
        });
        let (_, body) = cold.receive().await;
        assert!(body == bytes);
        done.cancel();
        assert!(hot.await.unwrap() > 0);
    });

    assert_eq!(disk_reads("net-under-test"), before, "a network thread read from the disk");
    let metrics = &server.metrics;
    // Each cold read of a mebibyte lets the kernel begin with one more, and no further.
    assert!(metrics.cold_reads.get() >= 8, "{}", metrics.cold_reads.get());
    assert_eq!(metrics.cold_reads_waiting.get(), 0);
    let sent = metrics.sendfile_bytes.get() + metrics.file_copied_bytes.get();
    assert_eq!(sent, LEN as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_costs_no_memory_and_holds_up_nobody() {
    const REPLY: usize = 8 << 20;
    let limits = Limits { in_flight_requests_max: 10, ..Limits::default() };
    let server = start(limits).await;
    let file = file(&pattern(REPLY));
    let mut slow = server.client().await;
    let mut requests = Vec::new();
    for correlation in 0..100 {
        let slice = FileSlice::new(Arc::clone(&file), 0, REPLY as u64);
        server.toy.prepare(correlation, interleaved(correlation, &[(b"", slice)]));
        requests.extend(request(PREPARED, correlation, b""));
    }
    slow.send_raw(&requests).await;
    server.toy.started(10).await;
    let mut other = server.client().await;
    for correlation in 0..1000 {
        other.echo(1000 + correlation).await;
    }
    // Ten were started, and another for each reply that went into the socket's buffers.
    let started = server.toy.started_now() - 1000;
    assert!(started <= 12, "{started} requests were started");
    assert!(server.metrics.request_memory_bytes.get() < 1000);
    for correlation in 0..100 {
        let (answered, body) = slow.receive().await;
        assert_eq!((answered, body.len()), (correlation, REPLY));
    }
    other.send(ECHO, 5, b"").await;
    other.receive().await;
}
