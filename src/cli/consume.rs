//! `icecore consume`: records as lines or as JSON.
//!
//! Offsets are committed only for what was written to standard output.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Stdout};
use std::time::{Duration, Instant};

use clap::Parser;

use super::broker_address::BrokerArgs;
use super::client::{self, Batches, Fetched, Fetcher, Group, Topic};
use super::output::unless_closed;
use super::position::{self, TIME_HELP, check_range, resolve};
use super::record_line::{self, Format, Style};
use crate::model::{Offset, Place};

const COMMIT_INTERVAL: Duration = Duration::from_secs(5);
const BUFFER_BYTES: usize = 256 << 10;

/// `icecore consume ...`.
#[derive(Debug, Parser)]
#[command(after_help = TIME_HELP)]
pub(super) struct Args {
    /// The topic.
    topic: String,
    /// One partition. Default: all of them
    #[arg(long, value_name = "P")]
    partition: Option<i32>,
    /// Where to begin: beginning, end, an offset, or a time (the first record at or after it).
    /// Default: where the group stands, or the beginning
    #[arg(long, value_name = "beginning|end|OFFSET|TIME", value_parser = position::parse)]
    from: Option<Place>,
    /// Where to stop: before an offset, before the first record at or after a time, or at the end
    /// as it is now. Default: go on as records come
    #[arg(long, value_name = "OFFSET|TIME|end", value_parser = position::parse)]
    to: Option<Place>,
    /// Go on where this group has stopped, and commit what was written. --from wins over where the
    /// group stands
    #[arg(long, value_name = "G")]
    group: Option<String>,
    /// Stop after so many records.
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// Write the key before each value, and this between them.
    #[arg(long, value_name = "S")]
    key_separator: Option<String>,
    /// How to write records: values as lines, or one JSON object a line with everything.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    broker: BrokerArgs,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let mut connection = args.broker.connect().await?;
    let topic = client::topic(&mut connection, &args.topic).await?;
    let partitions = topic.chosen(args.partition)?;
    let mut group = match &args.group {
        Some(id) => Some(Group::open(&mut connection, id).await?),
        None => None,
    };
    let starts = starts(args, &topic, &partitions, group.as_mut()).await?;
    let ends = match args.to {
        Some(place) => Some(resolve(place, &topic, &partitions).await?),
        None => None,
    };
    let style = match args.output {
        Format::Lines => Style::Lines { separator: args.key_separator.clone() },
        Format::Json => Style::Json { topic: topic.name.clone() },
    };
    let mut consumer = Consumer {
        fetcher: Fetcher::open(&topic, starts).await?,
        topic: topic.name.clone(),
        ends: ends.unwrap_or_default(),
        left: args.max.unwrap_or(u64::MAX),
        style,
        to: BufWriter::with_capacity(BUFFER_BYTES, io::stdout()),
    };
    let done = tokio::select! {
        done = consumer.run(&mut group) => done,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    // What was written counts, also when something failed later.
    if let Some(group) = &mut group
        && unless_closed(io::Write::flush(&mut consumer.to))?
    {
        group.commit(&consumer.topic, consumer.fetcher.next()).await?;
    }
    done
}

async fn starts(
    args: &Args,
    topic: &Topic,
    partitions: &[i32],
    group: Option<&mut Group>,
) -> anyhow::Result<BTreeMap<i32, Offset>> {
    if let Some(place) = args.from {
        let starts = resolve(place, topic, partitions).await?;
        if matches!(place, Place::Offset(_)) {
            check_range(topic, &starts).await?;
        }
        return Ok(starts);
    }
    let mut starts = resolve(Place::Beginning, topic, partitions).await?;
    if let Some(group) = group {
        // What retention has ended since is passed over.
        for (partition, committed) in group.committed(&topic.name, partitions).await? {
            let first = starts.get(&partition).copied().unwrap_or_default();
            starts.insert(partition, committed.max(first));
        }
    }
    Ok(starts)
}

struct Consumer {
    fetcher: Fetcher,
    topic: String,
    /// Where to stop, exclusive; empty for nowhere.
    ends: BTreeMap<i32, Offset>,
    /// Records that may still be written.
    left: u64,
    style: Style,
    to: BufWriter<Stdout>,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    On,
    Ended,
}

impl Consumer {
    async fn run(&mut self, group: &mut Option<Group>) -> anyhow::Result<()> {
        let mut committed = Instant::now();
        self.finish_reached();
        while self.left > 0 && !self.fetcher.is_finished() {
            for fetched in self.fetcher.fetch().await? {
                if self.write(fetched)? == Went::Ended {
                    break;
                }
            }
            if !unless_closed(io::Write::flush(&mut self.to))? {
                return Ok(());
            }
            self.finish_reached();
            if let Some(group) = group
                && committed.elapsed() >= COMMIT_INTERVAL
            {
                group.commit(&self.topic, self.fetcher.next()).await?;
                committed = Instant::now();
            }
        }
        Ok(())
    }

    /// Asks no more of partitions that were read up to where to stop.
    fn finish_reached(&mut self) {
        let next = self.fetcher.next();
        let reached = |(number, end): &(&i32, &Offset)| next.get(number).is_some_and(|n| n >= *end);
        let reached: Vec<_> = self.ends.iter().filter(reached).map(|(number, _)| *number).collect();
        reached.into_iter().for_each(|number| self.fetcher.finish(number));
    }

    fn write(&mut self, fetched: Fetched) -> anyhow::Result<Went> {
        let number = fetched.partition;
        let partition = format!("{}-{number}", self.topic);
        let end = self.ends.get(&number).copied().unwrap_or(Offset::MAX);
        for batch in Batches::new(&partition, fetched.batches) {
            let batch = batch?;
            for record in batch.records(&partition) {
                let record = record?;
                let next = self.fetcher.next().get(&number).copied().unwrap_or_default();
                // A batch may begin before what was asked for.
                if record.offset < next {
                    continue;
                }
                if record.offset >= end {
                    self.fetcher.advance(number, end);
                    return Ok(Went::On);
                }
                if self.left == 0 {
                    return Ok(Went::Ended);
                }
                let written = record_line::write(&mut self.to, &self.style, number, &record);
                if !unless_closed(written)? {
                    self.left = 0;
                    return Ok(Went::Ended);
                }
                self.left -= 1;
                self.fetcher.advance(number, record.offset.next());
            }
            // Records that compaction removed, or a transaction's markers, leave offsets behind.
            let next = batch.header.last_offset().next();
            self.fetcher.advance(number, next.min(end));
        }
        Ok(Went::On)
    }
}
