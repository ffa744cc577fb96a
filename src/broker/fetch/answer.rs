//! The reply of a fetch: which partitions it carries, and where their records lie.

use super::plan::FetchPlan;
use super::read::PartitionRead;
use super::session::{Answer, Told, TopicKey, Wanted};
use super::{Broker, Call};
use crate::broker::replays::Given;
use crate::model::{FileSlice, Offset, TopicId};
use crate::replica::Isolation;
use crate::wire::Records;
use crate::wire::exchange::Reply;
use crate::wire::messages::fetch::{
    EpochEndOffset, FetchResponse, FetchableTopicResponse, PartitionData,
};

/// Builds the reply; the session decides which partitions an incremental one leaves out.
pub(super) fn answer(
    broker: &Broker,
    call: &Call,
    plan: &FetchPlan,
    reads: Vec<PartitionRead>,
) -> Reply {
    note_replays(broker, call, plan, &reads);
    count(broker, &reads);
    let answers: Vec<_> = reads.iter().map(describe).collect();
    let send = broker.sessions.finish(&plan.session, &answers);
    let mut responses: Vec<FetchableTopicResponse<'_>> = Vec::new();
    let mut slices = Vec::new();
    for ((wanted, read), _) in plan.session.wanted.iter().zip(reads).zip(send).filter(|(_, s)| *s) {
        let data = partition_data(plan, wanted, read, &mut slices);
        let (name, topic_id) = names(&wanted.topic);
        match responses.last_mut() {
            Some(topic) if topic.topic == name && topic.topic_id == topic_id => {
                topic.partitions.push(data);
            }
            _ => responses.push(FetchableTopicResponse {
                topic: name.into(),
                topic_id,
                partitions: vec![data],
            }),
        }
    }
    let session_id = plan.session.id;
    call.reply_with(&FetchResponse { session_id, responses, ..Default::default() }, &slices)
}

fn count(broker: &Broker, reads: &[PartitionRead]) {
    for read in reads {
        let Some(partition) = &read.partition else { continue };
        let traffic = partition.traffic(&broker.metrics.topics);
        traffic.fetch_requests.inc();
        traffic.bytes_out.inc_by(read.len() as u64);
        if read.error.is_some() {
            traffic.failed_fetch_requests.inc();
        }
    }
}

/// Who is given something of the remote tier reads the history.
fn note_replays(broker: &Broker, call: &Call, plan: &FetchPlan, reads: &[PartitionRead]) {
    for (wanted, read) in plan.session.wanted.iter().zip(reads) {
        let Some(remote) = &read.remote else { continue };
        let given = Given {
            partition: remote.partition.clone(),
            offset: Offset::new(wanted.fetch_offset),
            time_ms: remote.time_ms,
            bytes: read.len() as u64,
        };
        let (now_ms, host) = (broker.clock.now_ms(), call.frame.connection.peer.ip());
        broker.replays.given(now_ms, call.client_id(), host, &given);
    }
}

fn describe(read: &PartitionRead) -> Answer {
    let has_records = !read.slices.is_empty();
    Answer {
        told: Told { high_watermark: read.bounds.high_watermark, log_start: read.bounds.log_start },
        must_send: has_records || read.error.is_some() || read.diverging.is_some(),
        has_records,
    }
}

fn names(topic: &TopicKey) -> (&str, TopicId) {
    match topic {
        TopicKey::Name(name) => (name, TopicId::ZERO),
        TopicKey::Id(id) => ("", *id),
    }
}

fn partition_data(
    plan: &FetchPlan,
    wanted: &Wanted,
    read: PartitionRead,
    slices: &mut Vec<Vec<FileSlice>>,
) -> PartitionData<'static> {
    let mut data = PartitionData {
        partition_index: wanted.partition,
        error_code: read.error.map_or(0, |code| code.as_i16()),
        high_watermark: read.bounds.high_watermark,
        last_stable_offset: read.bounds.last_stable,
        log_start_offset: read.bounds.log_start,
        // Null where the reader sees undecided records anyway.
        aborted_transactions: (plan.isolation == Isolation::ReadCommitted).then(Vec::new),
        records: Records::EMPTY,
        ..Default::default()
    };
    if let Some((epoch, end)) = read.diverging {
        data.diverging_epoch = EpochEndOffset { epoch: epoch.get(), end_offset: end.get() };
    }
    let len = read.len();
    if let (1.., Ok(index), Ok(len)) = (len, u32::try_from(slices.len()), u32::try_from(len)) {
        data.records = Records::External { index, len };
        slices.push(read.slices);
    }
    data
}
