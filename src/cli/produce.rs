//! `icecore produce`: a record per line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::Parser;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::broker_address::BrokerArgs;
use super::client::{self, Partitioner, Producer};
use super::output;
use crate::record::{BatchBuilder, NewRecord};

/// A batch is sent when it has so many bytes, or when no further line is there.
const BATCH_BYTES: usize = 256 << 10;
/// Longer lines are refused: no broker takes such a record without being told to.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// Lines that are handed over at once, in bytes.
const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS_WAITING: usize = 16;
/// When no line came for so long, what is on its way is waited for.
const QUIET: Duration = Duration::from_millis(50);

/// `icecore produce ...`.
#[derive(Debug, Parser)]
#[command(
    after_help = "Records are acknowledged by all replicas, each once and in order. Without \
    a key they go to the partitions in turn; those with one key go to one partition, the same that \
    Kafka's own clients choose."
)]
pub(super) struct Args {
    /// The topic; it must be there (see `icecore topic create`).
    topic: String,
    /// Everything to this partition. Default: by key, or in turn
    #[arg(long, value_name = "P")]
    partition: Option<i32>,
    /// What stands between key and value. Default: lines are values
    #[arg(long, value_name = "S", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key_separator: Option<String>,
    /// The lines. Default: standard input
    file: Option<PathBuf>,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// Lines of the input, and the number of the first.
struct Chunk {
    first_line: u64,
    lines: Vec<Vec<u8>>,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let input: Box<dyn Read + Send> = match &args.file {
        Some(path) => {
            Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)
        }
        None => Box::new(io::stdin()),
    };
    let input = BufReader::with_capacity(CHUNK_BYTES, input);
    let mut connection = args.broker.connect().await?;
    let topic = client::topic(&mut connection, &args.topic).await?;
    let partitions = topic.chosen(args.partition)?;
    let mut sender = LineSender {
        producer: Producer::open(&mut connection, &topic).await?,
        partitioner: Partitioner::new(partitions),
        fixed: args.partition,
        separator: args.key_separator.clone().map(String::into_bytes),
        open: BTreeMap::new(),
        bytes: 0,
    };
    let (to, from) = mpsc::channel(CHUNKS_WAITING);
    // A thread of its own, which the end of the process ends: a read of a terminal cannot be
    // called off.
    std::thread::spawn(move || read_lines(input, &to));
    let began = Instant::now();
    let done = sender.send_all(from).await;
    let (records, took) = (sender.producer.acknowledged(), began.elapsed());
    report(records, sender.bytes, took);
    done.with_context(|| {
        format!("{records} records were acknowledged; later ones may or may not be in the topic")
    })
}

fn report(records: u64, bytes: u64, took: Duration) {
    let per_second = |count: u64| (count as f64 / took.as_secs_f64().max(1e-6)) as u64;
    let noun = if records == 1 { "record" } else { "records" };
    eprintln!(
        "{records} {noun} acknowledged, {} read in {:.1} s ({} records/s, {}/s)",
        output::bytes(bytes),
        took.as_secs_f64(),
        per_second(records),
        output::bytes(per_second(bytes)),
    );
}

/// Hands lines over as they come: a chunk ends when it is large, or when the next line would have
/// to be waited for.
fn read_lines(mut input: BufReader<Box<dyn Read + Send>>, to: &Sender<io::Result<Chunk>>) {
    let (mut next_line, mut lines, mut bytes) = (1, Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        let read = input.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line);
        let ended = matches!(read, Ok(0) | Err(_));
        let long = line.len() as u64 > LINE_BYTES_MAX;
        if !ended && !long {
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            bytes += line.len();
            lines.push(line);
            let waits = input.buffer().is_empty();
            if bytes < CHUNK_BYTES && !waits {
                continue;
            }
        }
        let first_line = next_line;
        next_line += lines.len() as u64;
        let chunk = Chunk { first_line, lines: std::mem::take(&mut lines) };
        bytes = 0;
        if to.blocking_send(Ok(chunk)).is_err() {
            return;
        }
        let failure = match read {
            Err(error) => Some(error),
            Ok(_) if long => {
                let limit = output::bytes(LINE_BYTES_MAX);
                Some(io::Error::other(format!("line {next_line} is longer than {limit}")))
            }
            Ok(_) => None,
        };
        if let Some(error) = failure {
            drop(to.blocking_send(Err(error)));
            return;
        }
        if ended {
            return;
        }
    }
}

struct LineSender {
    producer: Producer,
    partitioner: Partitioner,
    fixed: Option<i32>,
    separator: Option<Vec<u8>>,
    /// Batches that are being filled, by partition.
    open: BTreeMap<i32, BatchBuilder>,
    /// Of the lines so far.
    bytes: u64,
}

impl LineSender {
    async fn send_all(&mut self, mut from: Receiver<io::Result<Chunk>>) -> anyhow::Result<()> {
        loop {
            let chunk = match from.try_recv() {
                Ok(chunk) => chunk,
                Err(mpsc::error::TryRecvError::Disconnected) => break,
                Err(mpsc::error::TryRecvError::Empty) => {
                    self.send_open().await?;
                    match tokio::time::timeout(QUIET, from.recv()).await {
                        Ok(Some(chunk)) => chunk,
                        Ok(None) => break,
                        Err(_) => {
                            self.producer.flush().await?;
                            match from.recv().await {
                                Some(chunk) => chunk,
                                None => break,
                            }
                        }
                    }
                }
            };
            let chunk = chunk.context("cannot read the input")?;
            for (line, number) in chunk.lines.iter().zip(chunk.first_line..) {
                self.push(line, number).await?;
            }
        }
        self.send_open().await?;
        Ok(self.producer.flush().await?)
    }

    async fn push(&mut self, line: &[u8], number: u64) -> anyhow::Result<()> {
        let (key, value) = match &self.separator {
            None => (None, line),
            Some(separator) => match split(line, separator) {
                Some((key, value)) => (Some(key), value),
                None => bail!(
                    "line {number} has no {:?} between key and value",
                    String::from_utf8_lossy(separator)
                ),
            },
        };
        let partition = self.fixed.unwrap_or_else(|| self.partitioner.of(key));
        let record = NewRecord { timestamp_ms: now_ms(), key, value: Some(value), headers: &[] };
        let producer = &self.producer;
        let batch = self.open.entry(partition).or_insert_with(|| producer.begin(partition));
        batch.push(&record);
        self.bytes += line.len() as u64;
        if batch.body_len() >= BATCH_BYTES {
            self.send(partition).await?;
        }
        Ok(())
    }

    async fn send(&mut self, partition: i32) -> anyhow::Result<()> {
        if let Some(batch) = self.open.remove(&partition) {
            self.producer.send(partition, &batch).await?;
            self.partitioner.turn();
        }
        Ok(())
    }

    async fn send_open(&mut self) -> anyhow::Result<()> {
        for partition in self.open.keys().copied().collect::<Vec<_>>() {
            self.send(partition).await?;
        }
        Ok(())
    }
}

fn split<'a>(line: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = line.windows(separator.len()).position(|window| window == separator)?;
    Some((&line[..at], &line[at + separator.len()..]))
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
