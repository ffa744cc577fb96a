//! Records into another topic, each once, into the partition of the same number.
//!
//! A replay is one idempotent producer from its beginning to its end, over any number of processes.
//! Who goes on looks for what the producer wrote after the checkpoint: batches carry its id, so
//! their number tells how many records of the source are there. It goes on with the producer's own
//! numbers: a batch that the dead process still had on its way then has a number that is taken, and
//! is either the same batch or refused.
//!
//! Invariant: a record counts as written when it was acknowledged by all replicas.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};

use super::checkpoint::{Target, Written};
use crate::cli::client::{
    self, Batches, Connection, EARLIEST, Fetcher, LATEST, Producer, ProducerName, Topic, offsets,
};
use crate::model::{Offset, ProducerEpoch, ProducerId, Sequence};
use crate::record::BatchBuilder;

/// The topic that is written.
pub(super) struct TopicSink {
    topic: Topic,
    producer: Producer,
    /// Up to where each partition is known, before this process wrote to it.
    ends: BTreeMap<i32, Offset>,
}

impl TopicSink {
    /// A new producer for some partitions of a topic.
    pub(super) async fn create(
        broker: &mut Connection,
        name: &str,
        partitions: &[i32],
    ) -> anyhow::Result<Self> {
        let topic = target(broker, name, partitions).await?;
        let ends = ends(&topic, partitions, LATEST).await?;
        let producer = Producer::open(broker, &topic).await?;
        Ok(Self { topic, producer, ends })
    }

    /// Goes on as the producer of a checkpoint; with it, how many records each partition was given
    /// after the checkpoint.
    pub(super) async fn go_on(
        broker: &mut Connection,
        name: &str,
        before: &Target,
    ) -> anyhow::Result<(Self, BTreeMap<i32, u64>)> {
        let partitions: Vec<_> = before.partitions.keys().copied().collect();
        let topic = target(broker, name, &partitions).await?;
        ensure!(
            topic.id.to_string() == before.topic_id,
            "topic {name} was deleted and made anew since the checkpoint was written: remove the \
             checkpoint to begin anew"
        );
        let producer = ProducerName {
            id: ProducerId(before.producer_id),
            epoch: ProducerEpoch(before.producer_epoch),
        };
        let ends = self::ends(&topic, &partitions, LATEST).await?;
        let wrote = written_after(&topic, producer, &before.partitions, &ends).await?;
        let sequence = |(number, written): (&i32, &Written)| {
            let more = wrote.get(number).copied().unwrap_or_default();
            (*number, later(Sequence(written.sequence), more))
        };
        let sequences = before.partitions.iter().map(sequence).collect();
        let producer = Producer::named(&topic, producer, sequences).await?;
        Ok((Self { topic, producer, ends }, wrote))
    }

    /// Refuses to write what is read.
    pub(super) fn check_source(&self, source: &Topic) -> anyhow::Result<()> {
        if self.topic.id == source.id {
            bail!("--to-topic is the topic that is replayed: its end would never be reached");
        }
        Ok(())
    }

    /// Sends batches on, in order.
    pub(super) async fn send(
        &mut self,
        partition: i32,
        batches: impl IntoIterator<Item = BatchBuilder>,
    ) -> anyhow::Result<()> {
        for batch in batches {
            let batch = self.producer.number(partition, batch);
            let sent = self.producer.send(partition, &batch).await;
            sent.with_context(|| self.told())?;
        }
        Ok(())
    }

    /// Waits until everything is acknowledged; where that is.
    pub(super) async fn sync(&mut self) -> anyhow::Result<Target> {
        let flushed = self.producer.flush().await;
        flushed.with_context(|| self.told())?;
        let ProducerName { id, epoch } = self.producer.name();
        let written = |(number, before): (&i32, &Offset)| {
            let end = self.producer.ends().get(number).unwrap_or(before).get();
            let sequence = self.producer.sequences().get(number).map_or(0, |sequence| sequence.0);
            (*number, Written { sequence, end })
        };
        Ok(Target {
            topic_id: self.topic.id.to_string(),
            producer_id: id.0,
            producer_epoch: epoch.0,
            partitions: self.ends.iter().map(written).collect(),
        })
    }

    fn told(&self) -> String {
        format!("cannot write topic {}", self.topic.name)
    }
}

/// The topic, which has to have every partition that is to be written.
async fn target(broker: &mut Connection, name: &str, partitions: &[i32]) -> anyhow::Result<Topic> {
    let topic = client::topic(broker, name).await.with_context(|| {
        format!("cannot replay into topic {name}: make it with `icecore topic create`")
    })?;
    let (has, needs) = (topic.partitions.len(), partitions.last().map_or(0, |last| last + 1));
    ensure!(
        usize::try_from(needs).is_ok_and(|needs| needs <= has),
        "topic {name} has {has} partitions, and the replay needs {needs}: records keep their \
         partition. `icecore topic alter {name} --partitions {needs}` gives it as many"
    );
    Ok(topic)
}

async fn ends(
    topic: &Topic,
    partitions: &[i32],
    timestamp_ms: i64,
) -> anyhow::Result<BTreeMap<i32, Offset>> {
    let found = offsets(topic, partitions, timestamp_ms).await?;
    Ok(found.into_iter().map(|(number, offset)| (number, offset.unwrap_or_default())).collect())
}

/// How many records of the producer lie behind the checkpoint, by partition.
async fn written_after(
    topic: &Topic,
    producer: ProducerName,
    before: &BTreeMap<i32, Written>,
    ends: &BTreeMap<i32, Offset>,
) -> anyhow::Result<BTreeMap<i32, u64>> {
    let partitions: Vec<_> = before.keys().copied().collect();
    let firsts = self::ends(topic, &partitions, EARLIEST).await?;
    let mut wrote = BTreeMap::new();
    for (number, written) in before {
        let (from, first) = (Offset::new(written.end), firsts.get(number).copied());
        ensure!(
            first.is_none_or(|first| first <= from),
            "records of {}-{number} were deleted since the checkpoint was written, so nobody knows \
             which of them are to be written again: give the topic a retention.ms of -1, and begin \
             anew",
            topic.name
        );
        let end = ends.get(number).copied().unwrap_or(from);
        wrote.insert(*number, count(topic, *number, producer, from, end).await?);
    }
    Ok(wrote)
}

/// How many records of a producer lie in a part of a partition.
async fn count(
    topic: &Topic,
    partition: i32,
    producer: ProducerName,
    from: Offset,
    end: Offset,
) -> anyhow::Result<u64> {
    let name = format!("{}-{partition}", topic.name);
    let mut fetcher = Fetcher::open(topic, BTreeMap::from([(partition, from)])).await?;
    let (mut next, mut records) = (from, 0);
    while next < end {
        for fetched in fetcher.fetch().await? {
            for batch in Batches::new(&name, fetched.batches) {
                let header = batch?.header;
                let is_ours = (header.producer_id, header.producer_epoch)
                    == (producer.id, producer.epoch)
                    && (next..end).contains(&header.base_offset);
                records += if is_ours { u64::from(header.count.unsigned_abs()) } else { 0 };
                next = next.max(header.last_offset().next());
            }
            fetcher.advance(partition, next);
        }
    }
    Ok(records)
}

/// The number so many records later.
fn later(sequence: Sequence, records: u64) -> Sequence {
    let period = u64::from(i32::MAX.unsigned_abs()) + 1;
    let steps = i32::try_from(records % period).unwrap_or_default();
    sequence.advance(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_over_their_end() {
        assert_eq!(later(Sequence(5), 3), Sequence(8));
        assert_eq!(later(Sequence(i32::MAX), 1), Sequence(0));
        assert_eq!(later(Sequence(7), 1 << 31), Sequence(7));
    }
}
