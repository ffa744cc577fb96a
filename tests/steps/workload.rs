//! What clients do with the broker: few and small things, but every kind that changes what is
//! stored.

use std::io;
use std::time::{Duration, Instant};

use icecore::model::{ProducerEpoch, ProducerId, Sequence};
use icecore::record::{BatchBuilder, Codec, NewRecord};
use icecore::wire::ErrorCode;
use icecore::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use icecore::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use icecore::wire::messages::find_coordinator::FindCoordinatorRequest;
use icecore::wire::messages::init_producer_id::InitProducerIdRequest;
use icecore::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use icecore::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::client::{Client, http_get};
use super::history::{History, Partition, Record, Topic};
use super::topics::creation;

pub(crate) const GROUP: &str = "readers";
/// No wait of the walk is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at what is waited for.
pub(crate) const LOOK: Duration = Duration::from_millis(5);
/// Three records fill a segment.
const RECORD_BYTES: usize = 600;
const SEGMENT_BYTES: &str = "2100";
/// In 2017: all of it old data, as in an archive.
const FIRST_TIMESTAMP_MS: i64 = 1_500_000_000_000;

/// How the topics of the walk differ.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    partitions: i32,
    settings: &'static [(&'static str, &'static str)],
    kept_min: Option<usize>,
}

/// Uploads, and frees the local disk of all that was uploaded.
const TIERED: Kind = Kind {
    name: "tiered",
    partitions: 2,
    settings: &[("local.retention.bytes", "1")],
    kept_min: None,
};
/// Loses its oldest records, in the store.
const SHORT: Kind = Kind {
    name: "short",
    partitions: 1,
    settings: &[("local.retention.bytes", "1"), ("retention.bytes", "4200")],
    kept_min: Some(6),
};
/// Loses its oldest records, on the disk.
const LOCAL: Kind = Kind {
    name: "local",
    partitions: 1,
    settings: &[("remote.storage.enable", "false"), ("retention.bytes", "4200")],
    kept_min: Some(6),
};
/// Is deleted and made again.
const DOOMED: Kind = Kind { name: "doomed", partitions: 1, settings: &[], kept_min: None };

/// One thing that a client or an operator asks for.
pub(crate) enum Action {
    Create(&'static Kind),
    /// A record to each partition of a topic.
    Produce(&'static str),
    Commit(&'static str),
    DeleteRecords(&'static str, i32, i64),
    DeleteTopic(&'static str),
    /// Waits until everything is uploaded and freed that is to be.
    Settle,
    /// An orderly end, and another start.
    Restart,
}

/// Everything, in its order.
pub(crate) fn actions() -> Vec<Action> {
    use Action::{Commit, Create, DeleteRecords, DeleteTopic, Produce, Restart, Settle};
    let mut actions = vec![Create(&TIERED), Create(&SHORT), Create(&LOCAL), Create(&DOOMED)];
    let write = |actions: &mut Vec<Action>, topics: &[&'static str], times: usize| {
        for topic in (0..times).flat_map(|_| topics) {
            actions.extend([Produce(topic), Commit(topic)]);
        }
    };
    write(&mut actions, &["tiered", "short", "local", "doomed"], 8);
    actions.push(Settle);
    // Within the store, and within the local segment.
    actions.extend([DeleteRecords("tiered", 0, 4), DeleteRecords("tiered", 1, 7)]);
    write(&mut actions, &["tiered", "short"], 5);
    actions.extend([DeleteTopic("doomed"), Create(&DOOMED)]);
    write(&mut actions, &["doomed"], 4);
    actions.extend([Settle, Restart]);
    write(&mut actions, &["tiered", "short", "local", "doomed"], 2);
    actions.push(Settle);
    actions
}

impl Action {
    /// Does it, and notes what was asked and what was acked. May be done again after the broker
    /// died meanwhile. A restart is not the client's to do.
    pub(crate) fn perform(
        &self,
        client: &mut Client,
        http: &str,
        history: &mut History,
    ) -> io::Result<()> {
        match self {
            Self::Create(kind) => create(client, history, kind),
            Self::Produce(topic) => {
                let partitions = history.topics[topic].partitions.len();
                (0..partitions).try_for_each(|index| produce(client, history, topic, index))
            }
            Self::Commit(topic) => commit(client, history, topic),
            Self::DeleteRecords(topic, partition, until) => {
                delete_records(client, history, topic, *partition, *until)
            }
            Self::DeleteTopic(topic) => delete_topic(client, history, topic),
            Self::Settle => settle(http),
            Self::Restart => Ok(()),
        }
    }
}

fn create(client: &mut Client, history: &mut History, kind: &Kind) -> io::Result<()> {
    let partitions = (0..kind.partitions).map(|_| Partition::default()).collect();
    let topic = Topic { partitions, uncertain: true, kept_min: kind.kept_min };
    let again = history.topics.insert(kind.name, topic).is_some();
    let of_all = [("retention.ms", "-1"), ("internal.segment.bytes", SEGMENT_BYTES)];
    let settings: Vec<_> = of_all.iter().chain(kind.settings).copied().collect();
    let request = creation(kind.name, kind.partitions, &settings);
    let code = client.ask(7, &request, |answer| answer.topics[0].error_code)?;
    let exists = again && code == ErrorCode::TopicAlreadyExists.as_i16();
    assert!(code == 0 || exists, "creating {}: {code}", kind.name);
    history.topics.get_mut(kind.name).expect("noted").uncertain = false;
    Ok(())
}

fn produce(
    client: &mut Client,
    history: &mut History,
    topic: &'static str,
    index: usize,
) -> io::Result<()> {
    let (id, epoch) = match history.producer {
        Some(producer) => producer,
        None => *history.producer.insert(new_producer(client)?),
    };
    let partition = &mut history.topics.get_mut(topic).expect("a topic").partitions[index];
    let offset = partition.acked.len() as i64;
    let record = record(topic, index, offset);
    partition.sent = Some(record.clone());
    let first = Sequence(i32::try_from(offset).expect("few records"));
    let mut batch =
        BatchBuilder::new(Codec::None).idempotent(ProducerId(id), ProducerEpoch(epoch), first);
    let (timestamp_ms, value) = (record.timestamp_ms, Some(&record.value[..]));
    batch.push(&NewRecord { timestamp_ms, value, ..NewRecord::default() });
    let batch = batch.build().expect("a batch");
    let data = PartitionProduceData { index: index as i32, records: Some(batch.bytes()) };
    let topic_data = vec![TopicProduceData {
        name: topic.into(),
        partition_data: vec![data],
        ..TopicProduceData::default()
    }];
    let request =
        ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data, ..ProduceRequest::default() };
    let answer = client.ask(9, &request, |answer| {
        let answer = &answer.responses[0].partition_responses[0];
        (answer.error_code, answer.base_offset)
    })?;
    assert_eq!(answer, (0, offset), "producing to {topic}-{index}: error, offset");
    partition.acked.extend(partition.sent.take());
    Ok(())
}

fn record(topic: &str, index: usize, offset: i64) -> Record {
    let mut value = format!("{topic}-{index} at {offset} ").into_bytes();
    value.resize(RECORD_BYTES, b'.');
    Record { timestamp_ms: FIRST_TIMESTAMP_MS + offset * 1000, value }
}

fn new_producer(client: &mut Client) -> io::Result<(i64, i16)> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdRequest::default()
    };
    client.ask(4, &request, |answer| {
        assert_eq!(answer.error_code, 0, "a producer's id");
        (answer.producer_id, answer.producer_epoch)
    })
}

/// Commits that all was read that was acked.
fn commit(client: &mut Client, history: &mut History, topic: &'static str) -> io::Result<()> {
    let partitions = &history.topics[topic].partitions;
    let ends = (0..).zip(partitions).map(|(index, partition)| (index, partition.acked.len()));
    let wanted: Vec<(i32, i64)> = ends.map(|(index, end)| (index, end as i64)).collect();
    history.committing = wanted.iter().map(|(index, end)| ((topic, *index), *end)).collect();
    let partition = |(partition_index, committed_offset): &(i32, i64)| {
        let (partition_index, committed_offset) = (*partition_index, *committed_offset);
        OffsetCommitRequestPartition {
            partition_index,
            committed_offset,
            committed_leader_epoch: -1,
            ..OffsetCommitRequestPartition::default()
        }
    };
    let topics = vec![OffsetCommitRequestTopic {
        name: topic.into(),
        partitions: wanted.iter().map(partition).collect(),
        ..OffsetCommitRequestTopic::default()
    }];
    let request = OffsetCommitRequest {
        group_id: GROUP.into(),
        generation_id_or_member_epoch: -1,
        topics,
        ..OffsetCommitRequest::default()
    };
    find_coordinator(client)?;
    when_loaded(|| {
        client.ask(8, &request, |answer| {
            let mut codes = answer.topics[0].partitions.iter().map(|found| found.error_code);
            codes.find(|code| *code != 0).unwrap_or(0)
        })
    })?;
    history.committed.append(&mut history.committing);
    Ok(())
}

/// The first question of this kind makes the topic that holds the offsets.
pub(crate) fn find_coordinator(client: &mut Client) -> io::Result<()> {
    let coordinator_keys = vec![GROUP.into()];
    let request = FindCoordinatorRequest { coordinator_keys, ..FindCoordinatorRequest::default() };
    when_loaded(|| client.ask(4, &request, |answer| answer.coordinators[0].error_code))
}

/// Asks again while the coordinator reads its groups back.
pub(crate) fn when_loaded(mut ask: impl FnMut() -> io::Result<i16>) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask()? {
            0 => return Ok(()),
            loading
                if loading == ErrorCode::CoordinatorLoadInProgress.as_i16()
                    || loading == ErrorCode::CoordinatorNotAvailable.as_i16() =>
            {
                assert!(Instant::now() < until, "the groups are not read back: {loading}");
                std::thread::sleep(LOOK);
            }
            code => panic!("the coordinator answers {code}"),
        }
    }
}

fn delete_records(
    client: &mut Client,
    history: &mut History,
    topic: &'static str,
    index: i32,
    until: i64,
) -> io::Result<()> {
    let at = index.unsigned_abs() as usize;
    let partition = &mut history.topics.get_mut(topic).expect("a topic").partitions[at];
    partition.start_asked = until;
    let partitions = vec![DeleteRecordsPartition { partition_index: index, offset: until }];
    let topics = vec![DeleteRecordsTopic { name: topic.into(), partitions }];
    let request = DeleteRecordsRequest { topics, timeout_ms: 10_000 };
    let answer = client.ask(2, &request, |answer| {
        let answer = &answer.topics[0].partitions[0];
        (answer.error_code, answer.low_watermark)
    })?;
    assert_eq!(answer, (0, until), "deleting records of {topic}-{index}: error, low watermark");
    partition.start_acked = until;
    Ok(())
}

fn delete_topic(client: &mut Client, history: &mut History, topic: &'static str) -> io::Result<()> {
    let noted = history.topics.get_mut(topic).expect("a topic");
    let again = std::mem::replace(&mut noted.uncertain, true);
    // The group's offsets of the topic go with it, at a time of the broker's own.
    history.committed.retain(|(name, _), _| *name != topic);
    let state = DeleteTopicState { name: Some(topic.into()), ..DeleteTopicState::default() };
    let request = DeleteTopicsRequest {
        topics: vec![state],
        timeout_ms: 10_000,
        ..DeleteTopicsRequest::default()
    };
    let code = client.ask(6, &request, |answer| answer.responses[0].error_code)?;
    let gone = again && code == ErrorCode::UnknownTopicOrPartition.as_i16();
    assert!(code == 0 || gone, "deleting {topic}: {code}");
    history.topics.remove(topic);
    Ok(())
}

/// Waits until nothing is left to be uploaded, and all is freed that may be.
pub(crate) fn settle(http: &str) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let partitions: Vec<serde_json::Value> =
            serde_json::from_slice(&http_get(http, "/v1/partitions")?)?;
        let waits = |partition: &&serde_json::Value| {
            let (pending, local) = (&partition["pending"], &partition["local"]);
            let segments_max = match partition["topic"].as_str() {
                Some("tiered" | "short") => 1,
                Some("local") => 3,
                _ => u64::MAX,
            };
            pending["segments"] != 0 || local["segments"].as_u64() > Some(segments_max)
        };
        let Some(waiting) = partitions.iter().find(waits) else { return Ok(()) };
        assert!(Instant::now() < until, "still not uploaded or not freed: {waiting}");
        std::thread::sleep(LOOK);
    }
}
