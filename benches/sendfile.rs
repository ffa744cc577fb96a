//! What the server adds to the bare system calls.
//!
//! Three figures, each beside its limit of the same run: replies of a mebibyte from the page cache
//! (beside a task that does the same calls and nothing else), the time of a small request alone and with a reader of
//! pages that are not in the page cache beside it, and resident memory with idle connections.
//!
//! `cargo bench --bench sendfile` (or `--profile perf`, which builds faster).

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use icecore::metrics::SocketMetrics;
use icecore::model::FileSlice;
use icecore::server::{Aside, Limits, Listening, Server};
use icecore::wire::exchange::{Piece, Reply, ReplyFrame, RequestFrame, Service, Started};
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const FILE_BYTES: usize = 1 << 30;
const REPLY_BYTES: usize = 1 << 20;
const ROUND_BYTES: usize = 4 << 30;
const ROUNDS: usize = 5;
/// Before the records of a reply: about what a fetch response of one partition has.
const HEAD_BYTES: usize = 96;
const IDLE_CONNECTIONS: usize = 1000;
const PINGS: usize = 20_000;

fn main() -> io::Result<()> {
    let folder = std::env::var_os("CARGO_TARGET_TMPDIR").unwrap_or_else(|| "target".into());
    let hot = Arc::new(file(&folder)?);
    let cold = Arc::new(file(&folder)?);
    let server = serve(Arc::clone(&hot), Arc::clone(&cold))?;
    throughput(server.address, &hot)?;
    latency(&server, &cold)?;
    memory(server.address)
}

fn file(folder: &std::ffi::OsStr) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(folder)?;
    let block = vec![7; 1 << 20];
    for _ in 0..FILE_BYTES / block.len() {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    Ok(file)
}

/// Answers with the next mebibyte of the hot file, of the cold file, or with nothing.
struct Files {
    hot: Arc<File>,
    cold: Arc<File>,
}

const HOT: i16 = 0;
const COLD: i16 = 1;
const PING: i16 = 2;

impl Service for Files {
    async fn start(&self, frame: RequestFrame) -> Started {
        let api = i16::from_be_bytes([frame.bytes[0], frame.bytes[1]]);
        let number =
            u32::from_be_bytes([frame.bytes[4], frame.bytes[5], frame.bytes[6], frame.bytes[7]]);
        let mut pieces = Vec::new();
        if api != PING {
            let file = Arc::clone(if api == HOT { &self.hot } else { &self.cold });
            let position = number as usize * REPLY_BYTES % FILE_BYTES;
            let slice = FileSlice::new(file, position as u64, REPLY_BYTES as u64);
            pieces.push(Piece { at: HEAD_BYTES, slice });
        }
        let mut head = vec![0; HEAD_BYTES];
        let length = HEAD_BYTES - 4 + pieces.len() * REPLY_BYTES;
        head[..4].copy_from_slice(&(length as u32).to_be_bytes());
        Started::Ready(Reply::Frame(ReplyFrame { head: head.into(), pieces }))
    }
}

struct Running {
    address: SocketAddr,
    metrics: SocketMetrics,
}

/// The server's threads are named, so that their time can be told from the clients'.
const SERVER_THREADS: &str = "bench-server";
const FLOOR_THREADS: &str = "bench-floor";

fn serve(hot: Arc<File>, cold: Arc<File>) -> io::Result<Running> {
    let listener = StdListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let metrics = SocketMetrics::unregistered();
    let runtime = runtime(2, SERVER_THREADS)?;
    let aside = Aside { threads: runtime.handle().clone(), replays: Arc::default() };
    let files = Arc::new(Files { hot, cold });
    let server = Server::new(files, Limits::default(), aside, metrics.clone());
    thread::spawn(move || {
        runtime.block_on(async {
            let socket = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let listeners = vec![Listening { name: "PLAINTEXT".into(), socket }];
            server.run(listeners, CancellationToken::new()).await;
        });
    });
    Ok(Running { address, metrics })
}

fn runtime(threads: usize, name: &str) -> io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name(name).enable_all().build()
}

/// Seconds of processor time of all threads whose name begins so.
fn cpu_seconds(threads: &str) -> io::Result<f64> {
    let mut nanoseconds = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.starts_with(threads) {
            let stat = fs::read_to_string(task.join("schedstat"))?;
            let run = stat.split(' ').next().and_then(|run| run.parse::<u64>().ok());
            nanoseconds += run.unwrap_or_default();
        }
    }
    Ok(nanoseconds as f64 / 1e9)
}

fn request(api: i16, number: u32) -> [u8; 12] {
    let mut frame = [0; 12];
    frame[3] = 8;
    frame[4..6].copy_from_slice(&api.to_be_bytes());
    frame[8..].copy_from_slice(&number.to_be_bytes());
    frame
}

fn throughput(address: SocketAddr, hot: &Arc<File>) -> io::Result<()> {
    let mut ours = Vec::new();
    let mut floor = Vec::new();
    let calls = runtime(1, FLOOR_THREADS)?;
    for _ in 0..ROUNDS {
        ours.push(measure(SERVER_THREADS, || replies(address))?);
        floor.push(measure(FLOOR_THREADS, || bare_sendfile(&calls, hot))?);
    }
    println!("mebibytes from the page cache, one connection, medians of {ROUNDS} rounds:");
    let ours = median(ours);
    let floor = median(floor);
    println!("  server         {:6.0} MB/s  {:.3} server CPU-s per GiB", ours.0, ours.1);
    println!("  bare sendfile  {:6.0} MB/s  {:.3} server CPU-s per GiB", floor.0, floor.1);
    println!("  the server costs {:.2} times the bare calls", ours.1 / floor.1);
    Ok(())
}

/// MB/s and CPU-s per GiB of one round.
fn measure(threads: &str, round: impl FnOnce() -> io::Result<()>) -> io::Result<(f64, f64)> {
    let (start, before) = (Instant::now(), cpu_seconds(threads)?);
    round()?;
    let spent = cpu_seconds(threads)? - before;
    let gib = ROUND_BYTES as f64 / f64::from(1 << 30);
    Ok((ROUND_BYTES as f64 / 1e6 / start.elapsed().as_secs_f64(), spent / gib))
}

fn median(mut rounds: Vec<(f64, f64)>) -> (f64, f64) {
    let middle = rounds.len() / 2;
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let rate = rounds[middle].0;
    rounds.sort_by(|a, b| a.1.total_cmp(&b.1));
    (rate, rounds[middle].1)
}

/// A consumer with two fetches under way.
fn replies(address: SocketAddr) -> io::Result<()> {
    consume(TcpStream::connect(address)?)
}

fn consume(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    let replies = (ROUND_BYTES / REPLY_BYTES) as u32;
    stream.write_all(&request(HOT, 0))?;
    for number in 1..=replies {
        if number < replies {
            stream.write_all(&request(HOT, number))?;
        }
        skip(&mut stream, HEAD_BYTES + REPLY_BYTES, &mut buffer)?;
    }
    Ok(())
}

fn skip(stream: &mut TcpStream, bytes: usize, buffer: &mut [u8]) -> io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let part = left.min(buffer.len());
        match stream.read(&mut buffer[..part])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => left -= read,
        }
    }
    Ok(())
}

/// The limit: a task that reads a request and does the calls.
fn bare_sendfile(floor: &Runtime, file: &Arc<File>) -> io::Result<()> {
    let listener = StdListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (socket, _) = listener.accept()?;
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    let file = Arc::clone(file);
    let sender = floor.spawn(async move {
        let mut socket = tokio::net::TcpStream::from_std(socket)?;
        for number in 0..ROUND_BYTES / REPLY_BYTES {
            socket.read_exact(&mut [0; 12]).await?;
            let position = (number * REPLY_BYTES % FILE_BYTES) as u64;
            bare_reply(&socket, &file, position).await?;
        }
        io::Result::Ok(())
    });
    consume(client)?;
    floor.block_on(sender)?
}

async fn bare_reply(socket: &tokio::net::TcpStream, file: &File, mut at: u64) -> io::Result<()> {
    let head = [0; HEAD_BYTES];
    let send = || Ok(rustix::net::send(socket, &head, rustix::net::SendFlags::MORE)?);
    let sent = socket.async_io(Interest::WRITABLE, send).await?;
    assert_eq!(sent, HEAD_BYTES, "a socket that takes anything takes a header");
    let end = at + REPLY_BYTES as u64;
    while at < end {
        let left = (end - at) as usize;
        let send = || Ok(rustix::fs::sendfile(socket, file, Some(&mut at), left)?);
        socket.async_io(Interest::WRITABLE, send).await?;
    }
    Ok(())
}

fn latency(server: &Running, cold: &Arc<File>) -> io::Result<()> {
    println!("a small request, {PINGS} times:");
    println!("  alone                                 {}", pings(server.address)?);
    for (name, other) in [
        ("a client that reads the cache ", Other::CacheClient),
        ("a client that reads the disk  ", Other::DiskClient),
        ("a thread that reads the disk  ", Other::DiskThread),
    ] {
        let (times, rate) = beside(server.address, cold, other)?;
        println!("  beside {name} {times}  ({rate:.0} MB/s)");
    }
    println!("  {} cold reads", server.metrics.cold_reads.get());
    Ok(())
}

/// Who is busy while small requests are timed.
#[derive(Clone, Copy, PartialEq)]
enum Other {
    /// A client of the server, throttled to about the disk's rate.
    CacheClient,
    /// A client of the server that wants pages which are not in the page cache.
    DiskClient,
    /// Not a client: the disk's share of what is felt, without the server.
    DiskThread,
}

/// The times of small requests beside another, and the other's rate.
fn beside(address: SocketAddr, cold: &Arc<File>, other: Other) -> io::Result<(String, f64)> {
    let stop = Arc::new(AtomicBool::new(false));
    let (cold, ended) = (Arc::clone(cold), Arc::clone(&stop));
    let busy = thread::spawn(move || -> io::Result<usize> {
        let mut stream = TcpStream::connect(address)?;
        let mut buffer = vec![0; REPLY_BYTES];
        let mut number = 0;
        while !ended.load(Ordering::Relaxed) {
            let position = number as usize * REPLY_BYTES % FILE_BYTES;
            if position == 0 {
                rustix::fs::fadvise(&cold, 0, None, rustix::fs::Advice::DontNeed)?;
            }
            if other == Other::DiskThread {
                cold.read_exact_at(&mut buffer, position as u64)?;
            } else {
                let api = if other == Other::DiskClient { COLD } else { HOT };
                stream.write_all(&request(api, number))?;
                skip(&mut stream, HEAD_BYTES + REPLY_BYTES, &mut buffer)?;
            }
            if other == Other::CacheClient {
                thread::sleep(Duration::from_millis(1));
            }
            number += 1;
        }
        Ok(number as usize * REPLY_BYTES)
    });
    let start = Instant::now();
    let times = pings(address)?;
    stop.store(true, Ordering::Relaxed);
    let bytes = busy.join().map_err(|_| io::Error::other("the other one panicked"))??;
    Ok((times, bytes as f64 / 1e6 / start.elapsed().as_secs_f64()))
}

fn pings(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut buffer = [0; HEAD_BYTES];
    let mut times = Vec::with_capacity(PINGS);
    for number in 0..PINGS {
        let start = Instant::now();
        stream.write_all(&request(PING, number as u32))?;
        stream.read_exact(&mut buffer)?;
        times.push(start.elapsed());
    }
    times.sort();
    let at = |share: f64| times[(PINGS as f64 * share) as usize].as_secs_f64() * 1e6;
    Ok(format!("p50 {:.0} µs, p99 {:.0} µs, p99.9 {:.0} µs", at(0.5), at(0.99), at(0.999)))
}

fn memory(address: SocketAddr) -> io::Result<()> {
    let before = resident()?;
    let mut buffer = [0; HEAD_BYTES];
    let mut idle = Vec::new();
    for _ in 0..IDLE_CONNECTIONS {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(&request(PING, 0))?;
        stream.read_exact(&mut buffer)?;
        idle.push(stream);
    }
    thread::sleep(Duration::from_millis(100));
    let each = (resident()? - before) as f64 / IDLE_CONNECTIONS as f64;
    println!("{IDLE_CONNECTIONS} idle connections: {each:.1} KiB each");
    Ok(())
}

/// Resident memory in KiB.
fn resident() -> io::Result<i64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other("no VmRSS in /proc/self/status"))
}
