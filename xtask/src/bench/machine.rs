//! What the machine itself can do, with no broker: the bound of some figures.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::time::{ClockId, clock_gettime};

use super::cases::Case;
use super::client::{Latency, Run};
use super::figures::{Figure, of_latency, of_run};

/// Sent or received.
const BYTES: u64 = 1 << 30;
/// One call.
const STEP: usize = 512 * 1024;
/// Appends that are timed, at the pace of the brokers' case.
const APPENDS: u32 = 60_000;
const APPENDS_PER_SECOND: u32 = 5_000;
/// A batch of one record of 1 KiB.
const APPEND_BYTES: usize = 1100;

/// The bounds of the cases that have one.
pub(super) fn run(folder: &Path, cases: &[Case]) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if cases.contains(&Case::OneKib) {
        figures.extend(of_run("produce 1 KiB", &receive(folder)?));
        figures.extend(of_run("consume 1 KiB", &send_file(folder)?));
    }
    if cases.contains(&Case::Latency) {
        figures.extend(of_latency("ack at 5,000/s, acks=all", &sync(folder)?));
    }
    Ok(figures)
}

/// From the loopback into a file that is synced at the end: two copies, and nothing looked at.
fn receive(folder: &Path) -> Result<Run> {
    let mut file = tempfile::tempfile_in(folder)?;
    let (mut socket, mut sender) = connection()?;
    let sending = std::thread::spawn(move || -> Result<()> {
        let step = vec![7; STEP];
        for _ in 0..BYTES / STEP as u64 {
            sender.write_all(&step)?;
        }
        Ok(())
    });
    let (begun, mut buffer) = (Begun::now(), vec![0; STEP]);
    loop {
        match socket.read(&mut buffer)? {
            0 => break,
            read => file.write_all(&buffer[..read])?,
        }
    }
    file.sync_data()?;
    sending.join().ok().context("the sender panicked")??;
    Ok(begun.end())
}

/// sendfile from the page cache over the loopback to one who throws it away.
fn send_file(folder: &Path) -> Result<Run> {
    let mut file = tempfile::tempfile_in(folder)?;
    let step = vec![7; STEP];
    for _ in 0..BYTES / STEP as u64 {
        file.write_all(&step)?;
    }
    let (socket, mut reader) = connection()?;
    let reading = std::thread::spawn(move || -> Result<()> {
        let mut buffer = vec![0; STEP];
        while reader.read(&mut buffer)? > 0 {}
        Ok(())
    });
    let (begun, mut at) = (Begun::now(), 0);
    while at < BYTES {
        if rustix::fs::sendfile(&socket, &file, Some(&mut at), STEP)? == 0 {
            bail!("the file ends at {at}");
        }
    }
    drop(socket);
    reading.join().ok().context("the reader panicked")??;
    Ok(begun.end())
}

/// Both ends of a connection over the loopback.
fn connection() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((listener.accept()?.0, client))
}

/// What the clocks showed when this thread began to move [`BYTES`].
struct Begun {
    cpu: f64,
    at: Instant,
}

impl Begun {
    fn now() -> Self {
        Self { cpu: thread_seconds(), at: Instant::now() }
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
    fn end(&self) -> Run {
        let (seconds, cpu) = (self.at.elapsed().as_secs_f64(), thread_seconds() - self.cpu);
        Run {
            mb_per_s: BYTES as f64 / 1e6 / seconds,
            cpu_s_per_gib: cpu / (BYTES as f64 / f64::from(1 << 30)),
        }
    }
}

fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).map_or(0.0, |time| time.as_secs_f64())
}

/// A thread that appends to a file what has become due, and syncs it, with nothing else to do.
fn sync(folder: &Path) -> Result<Latency> {
    let file: File = tempfile::tempfile_in(folder)?;
    let (append, began) = ([7; APPEND_BYTES], Instant::now());
    let pace = Duration::from_secs(1) / APPENDS_PER_SECOND;
    let mut micros = Vec::with_capacity(APPENDS as usize);
    let mut done = 0;
    while done < APPENDS {
        std::thread::sleep((pace * done).saturating_sub(began.elapsed()));
        let mut due = done;
        while due < APPENDS && began.elapsed() >= pace * due {
            file.write_all_at(&append, u64::from(due) * APPEND_BYTES as u64)?;
            due += 1;
        }
        file.sync_data()?;
        let now = began.elapsed();
        micros.extend((done..due).map(|at| (now - pace * at).as_secs_f64() * 1000.0));
        done = due;
    }
    Ok(Latency::of(micros))
}
