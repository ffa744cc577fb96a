//! `icecore check`: whether a broker serves clients.
//!
//! Invariant: what is written to is a topic that this run makes under a name that nobody has, and it is
//! deleted whatever comes of the rest. Only who is killed leaves it behind.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Parser;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};

use super::applied::patiently;
use super::broker_address::BrokerArgs;
use super::client::{
    self, Batches, ClientError, Fetcher, Group, Producer, Topic, create_topic, delete_topic,
};
use super::output::OutputArgs;
use super::produce::now_ms;
use crate::model::Offset;
use crate::record::NewRecord;
use crate::wire::ErrorCode;

/// What the name of the topic begins with, and that of the group.
const NAME: &str = "icecore-check-";
const RECORDS: [&str; 3] = ["snow", "firn", "ice"];
/// The topic's only one.
const PARTITION: i32 = 0;

/// `icecore check ...`.
#[derive(Debug, Parser)]
#[command(
    after_help = "The topic is called icecore-check- and a number that nobody has. It is deleted at the end, \
    also when something failed or the command was told to stop."
)]
pub(super) struct Args {
    /// Try for so long to reach a broker that does not answer yet, such as 5m.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    wait: Duration,
    /// How long all of it may take once the broker answers.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = humantime::parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let mut connection = tokio::select! {
        connected = patiently(args.wait, || args.broker.connect()) => connected?,
        () = stop.told() => bail!("interrupted"),
    };
    let (name, deadline) =
        (format!("{NAME}{}", uuid::Uuid::new_v4().simple()), Instant::now() + args.timeout);
    // Not to be broken off: a broker makes a topic also for who has left.
    let done = match create_topic(&mut connection, &name, Some(1), &[]).await {
        Err(refused) if nothing_is_made(&refused) => return Err(refused.into()),
        Err(unknown) => Err(unknown.into()),
        Ok(_) => tokio::select! {
            done = timeout_at(deadline, round_trip(&args.broker, &name)) => {
                let within = humantime::format_duration(args.timeout);
                done.unwrap_or_else(|_| Err(anyhow!("it did not come to its end within {within}")))
            }
            () = stop.told() => Err(anyhow!("interrupted")),
        },
    };
    // By a connection of its own: the other one may wait for an answer.
    match (done, delete(&args.broker, &name).await) {
        (Ok(()), deleted) => deleted.with_context(|| format!("topic {name} stays"))?,
        (failed, Ok(())) => return failed,
        (Err(failed), Err(stays)) => bail!("{failed:#}; and topic {name} stays: {stays}"),
    }
    let count = RECORDS.len();
    args.output.show(&json!({ "topic": name, "records": count }), || {
        format!(
            "{count} records were written and read back, their offset was kept, the topic is gone\n"
        )
    })
}

/// Whether a broker has said that it makes no topic, and not that it took too long.
fn nothing_is_made(error: &ClientError) -> bool {
    error.code().is_some_and(|code| code != ErrorCode::RequestTimedOut)
}

/// Signals that end the command, from the moment on when they are listened for.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        let (terminate, interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Writes to the topic, reads it, and has a group keep where it stands.
async fn round_trip(broker: &BrokerArgs, name: &str) -> anyhow::Result<()> {
    let mut connection = broker.connect().await?;
    let topic = client::topic(&mut connection, name).await?;
    let mut producer = Producer::open(&mut connection, &topic).await?;
    let mut batch = producer.begin(PARTITION);
    for value in RECORDS {
        let (timestamp_ms, value) = (now_ms(), Some(value.as_bytes()));
        batch.push(&NewRecord { timestamp_ms, value, ..NewRecord::default() });
    }
    producer.send(PARTITION, &batch).await?;
    producer.flush().await?;
    let read = read(&topic).await?;
    ensure!(read == RECORDS, "{read:?} was read, and {RECORDS:?} was written");
    let next = BTreeMap::from([(PARTITION, Offset::new(RECORDS.len() as i64))]);
    let mut group = Group::open(&mut connection, name).await?;
    // Asked first: that waits for a coordinator that was just made, as on a broker without groups.
    let before = group.committed(name, &[PARTITION]).await?;
    ensure!(before.is_empty(), "a new group stands at {before:?}");
    group.commit(name, &next).await?;
    let kept = group.committed(name, &[PARTITION]).await?;
    ensure!(kept == next, "the group stands at {kept:?}, and {next:?} was committed");
    Ok(())
}

/// The values of the first records, as many as were written.
async fn read(topic: &Topic) -> anyhow::Result<Vec<String>> {
    let mut fetcher = Fetcher::open(topic, BTreeMap::from([(PARTITION, Offset::ZERO)])).await?;
    let mut values = Vec::new();
    while values.len() < RECORDS.len() {
        for fetched in fetcher.fetch().await? {
            for batch in Batches::new(&topic.name, fetched.batches) {
                let batch = batch?;
                for record in batch.records(&topic.name) {
                    let value = record?.value.unwrap_or_default();
                    values.push(String::from_utf8_lossy(&value).into_owned());
                }
                fetcher.advance(PARTITION, batch.header.last_offset().next());
            }
        }
    }
    Ok(values)
}

/// One that was never made is gone as well.
async fn delete(broker: &BrokerArgs, name: &str) -> Result<(), ClientError> {
    let mut connection = broker.connect().await?;
    match delete_topic(&mut connection, name).await {
        Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => Ok(()),
        deleted => deleted,
    }
}
