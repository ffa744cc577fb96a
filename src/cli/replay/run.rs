//! `icecore replay run`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use clap::Parser;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::checkpoint::{Checkpoint, CheckpointFile};
use super::file_sink::FileSink;
use super::form::{Course, Form, Piece};
use super::job::Job;
use super::lane::Lane;
use super::sink::Sink;
use super::topic_sink::TopicSink;
use super::{RangeArgs, rate};
use crate::cli::broker_address::BrokerArgs;
use crate::cli::client::{self, Connection, Topic};
use crate::cli::position::{TIME_HELP, check_range, resolve};
use crate::cli::record_line::{Format, Style};
use crate::cli::status::HttpArgs;
use crate::cli::view::tell_of_nothing_to_read;
use crate::model::{Offset, Place};
use crate::pace::Limit;

/// Asked for at a time, at most.
const FETCH_BYTES_MAX: u64 = 8 << 20;
/// With a limit to the rate, no less than this and about a quarter of a second's worth.
const FETCH_BYTES_MIN: u64 = 64 << 10;

const ABOUT_CHECKPOINTS: &str = "With --checkpoint a replay that was stopped or killed goes on where it \
    was: give the same command again. --from and --to then are those it began with. A file and a \
    topic get each record once; standard output may get those of the last second twice. Into a topic \
    records keep key, value, headers, time and partition, and get new offsets. Give it a retention.ms \
    that keeps records as old as those: -1 keeps all.";

/// For who goes on to standard output, of which nobody knows how much of it was taken.
const STDOUT_AGAIN: &str = "what standard output was given since the last checkpoint is written again, \
    and the line at which the replay stopped may be cut; into a file go on with >>, since > empties it";

/// `icecore replay run ...`.
#[derive(Debug, Parser)]
#[command(after_help = format!("{ABOUT_CHECKPOINTS}\n\n{TIME_HELP}"))]
pub(super) struct Args {
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    to: Destination,
    /// Any broker of the cluster that --to-topic is in. Default: the same as --broker
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["to_stdout", "to_file"])]
    to_broker: Option<String>,
    /// How to write records to a file or standard output: one JSON object a line with everything,
    /// or values as lines. Default: json
    #[arg(long, value_name = "FORMAT", value_enum, conflicts_with = "to_topic")]
    output: Option<Format>,
    /// At most so much in all, in bytes a second, such as 20MiB/s. Default: as fast as it goes
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate_limit: Option<u64>,
    /// Where to note how far it is. Default: nowhere, and a replay that is killed begins anew
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    #[command(flatten)]
    broker: BrokerArgs,
    // Asked only where there is nothing to read, for how old the view of a read-only server is.
    #[command(flatten)]
    http: HttpArgs,
}

#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Destination {
    /// To standard output.
    #[arg(long)]
    to_stdout: bool,
    /// Into a file that is not there yet.
    #[arg(long, value_name = "PATH")]
    to_file: Option<PathBuf>,
    /// Into a topic that has as many partitions.
    #[arg(long, value_name = "NAME")]
    to_topic: Option<String>,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let mut broker = args.broker.connect().await?;
    let topic = client::topic(&mut broker, &args.range.topic).await?;
    let file = args.checkpoint.as_deref().map(CheckpointFile::at).transpose()?;
    let before = file.as_ref().map(CheckpointFile::load).transpose()?.flatten();
    let destination = args.destination()?;
    let (checkpoint, sink) = match before {
        Some(mut before) => {
            before.check((&topic.name, &topic.id.to_string()), &destination)?;
            if before.done {
                eprintln!("the checkpoint says that all {} records are there", before.records);
                return Ok(());
            }
            let sink = args.reopen(broker, &topic, &mut before).await?;
            (before, sink)
        }
        None => {
            let ranges = ranges(args, &topic).await?;
            let names = (topic.name.clone(), topic.id.to_string());
            let checkpoint = Checkpoint::new(names, destination, &ranges);
            if checkpoint.has_ended() {
                let why = args.range.why_nothing(Some(&offsets(&topic, &checkpoint).await?));
                tell_of_nothing_to_read(&args.http, &why).await;
            }
            let sink = args.open(broker, &topic, &checkpoint).await?;
            (checkpoint, sink)
        }
    };
    let topic = Arc::new(topic);
    let (lanes, pieces) = args.lanes(&topic, &checkpoint);
    let done = Job::new(sink, checkpoint, file).run(lanes, pieces).await;
    done.with_context(|| match args.checkpoint {
        Some(_) => "the replay stopped; the same command goes on with it",
        None => "the replay stopped; with --checkpoint it could go on",
    })
}

/// The offsets that are meant, by partition.
async fn ranges(args: &Args, topic: &Topic) -> anyhow::Result<BTreeMap<i32, (Offset, Offset)>> {
    let count = i32::try_from(topic.partitions.len())?;
    let partitions = match &args.range.partitions {
        None => topic.chosen(None)?,
        Some(set) => set.of(count).map_err(|missing| {
            anyhow!("topic {} has no partition {missing}: it has {count}, from 0 on", topic.name)
        })?,
    };
    let starts = resolve(args.range.from, topic, &partitions).await?;
    let mut ends = resolve(args.range.to, topic, &partitions).await?;
    for (place, offsets) in [(args.range.from, &starts), (args.range.to, &ends)] {
        if matches!(place, Place::Offset(_)) {
            check_range(topic, offsets).await?;
        }
    }
    let range = |(number, start): (i32, Offset)| {
        let end = ends.remove(&number).unwrap_or(start);
        (number, (start, end.max(start)))
    };
    Ok(starts.into_iter().map(range).collect())
}

/// The first and the next offset that each of these partitions has.
async fn offsets(topic: &Topic, checkpoint: &Checkpoint) -> anyhow::Result<Vec<(i64, i64)>> {
    let partitions: Vec<_> = checkpoint.partitions.keys().copied().collect();
    let starts = resolve(Place::Beginning, topic, &partitions).await?;
    let ends = resolve(Place::End, topic, &partitions).await?;
    let next = |number: &i32| ends.get(number).copied().unwrap_or_default();
    Ok(starts.iter().map(|(number, start)| (start.get(), next(number).get())).collect())
}

impl Args {
    /// In words that tell destinations apart.
    fn destination(&self) -> anyhow::Result<String> {
        let format = match self.output.unwrap_or(Format::Json) {
            Format::Json => "JSON",
            Format::Lines => "lines",
        };
        Ok(match (&self.to.to_file, &self.to.to_topic) {
            (Some(path), _) => {
                let path = std::path::absolute(path).context("--to-file names no file")?;
                format!("the file {} as {format}", path.display())
            }
            (_, Some(topic)) => format!("the topic {topic}"),
            _ => format!("standard output as {format}"),
        })
    }

    fn form(&self, topic: &str) -> Form {
        match (&self.to.to_topic, self.output.unwrap_or(Format::Json)) {
            (Some(_), _) => Form::Batches,
            (None, Format::Json) => Form::Lines(Style::Json { topic: topic.to_owned() }),
            (None, Format::Lines) => Form::Lines(Style::Lines { separator: None }),
        }
    }

    async fn target_broker(&self, broker: Connection) -> anyhow::Result<Connection> {
        match &self.to_broker {
            Some(address) => Ok(Connection::open(address).await?),
            None => Ok(broker),
        }
    }

    async fn open(
        &self,
        broker: Connection,
        source: &Topic,
        checkpoint: &Checkpoint,
    ) -> anyhow::Result<Sink> {
        if let Some(path) = &self.to.to_file {
            return Ok(Sink::File(FileSink::create(path)?));
        }
        let Some(name) = &self.to.to_topic else { return Ok(Sink::stdout()) };
        let partitions: Vec<_> = checkpoint.partitions.keys().copied().collect();
        let mut broker = self.target_broker(broker).await?;
        let sink = TopicSink::create(&mut broker, name, &partitions).await?;
        sink.check_source(source)?;
        Ok(Sink::Topic(Box::new(sink)))
    }

    /// Goes on with a destination; notes what it was given after the checkpoint.
    async fn reopen(
        &self,
        broker: Connection,
        source: &Topic,
        before: &mut Checkpoint,
    ) -> anyhow::Result<Sink> {
        eprintln!("going on behind {} records", before.records);
        match (&self.to.to_file, &self.to.to_topic, &before.target) {
            (Some(path), ..) => {
                let sink = FileSink::go_on(path, before.file_bytes.unwrap_or(0))?;
                Ok(Sink::File(sink))
            }
            (None, Some(name), Some(target)) => {
                let mut broker = self.target_broker(broker).await?;
                let (sink, there) = TopicSink::go_on(&mut broker, name, target).await?;
                sink.check_source(source)?;
                for (number, records) in there {
                    before.partitions.entry(number).and_modify(|part| part.ahead += records);
                }
                Ok(Sink::Topic(Box::new(sink)))
            }
            (None, Some(_), None) => {
                bail!("the checkpoint does not say how far the topic was written: remove it")
            }
            (None, None, _) => {
                eprintln!("{STDOUT_AGAIN}");
                Ok(Sink::stdout())
            }
        }
    }

    /// Begins to read.
    fn lanes(
        &self,
        topic: &Arc<Topic>,
        checkpoint: &Checkpoint,
    ) -> (JoinSet<anyhow::Result<()>>, mpsc::Receiver<Piece>) {
        let left = checkpoint.partitions.iter().filter(|(_, part)| part.next < part.to);
        let course = left.map(|(number, part)| Course {
            partition: *number,
            next: Offset::new(part.next),
            end: Offset::new(part.to),
            there: part.ahead,
        });
        let queue = Arc::new(Mutex::new(course.collect()));
        let (to, pieces) = mpsc::channel(self.range.parallel as usize);
        let quarter = self.rate_limit.map_or(u64::MAX, |rate| rate / 4);
        let lane = Lane {
            topic: topic.clone(),
            form: self.form(&topic.name),
            rate: Arc::new(Limit::new(self.rate_limit)),
            fetch_bytes: quarter.clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX),
            to,
        };
        let mut lanes = JoinSet::new();
        for _ in 0..self.range.parallel {
            lanes.spawn(lane.clone().run(Arc::clone(&queue)));
        }
        (lanes, pieces)
    }
}
