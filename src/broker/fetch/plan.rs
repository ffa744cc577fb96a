//! What a fetch asks for, taken out of the frame: bounds, isolation, and the partitions of its
//! session in the order in which they are due.

use std::sync::Arc;
use std::time::Duration;

use super::Broker;
use super::session::{SessionError, SessionFetch, SessionRequest, TopicKey, Wanted};
use crate::pace::ReaderId;
use crate::replica::Isolation;
use crate::wire::messages::fetch::{FetchRequest, FetchTopic, ForgottenTopic};

/// A fetch that is under way.
#[derive(Debug)]
pub(super) struct FetchPlan {
    /// Who asks.
    pub(super) reader: ReaderId,
    /// How long to wait for `min_bytes`.
    pub(super) wait: Duration,
    /// Answer as soon as so many bytes of records are there.
    pub(super) min_bytes: usize,
    /// Most bytes of records in all, but for the first batch.
    pub(super) max_bytes: usize,
    /// Which records may be seen.
    pub(super) isolation: Isolation,
    /// The session and its partitions.
    pub(super) session: SessionFetch,
}

/// From this version on, topics are named by id.
const TOPIC_IDS_FROM: i16 = 13;

impl FetchPlan {
    pub(super) fn new(
        broker: &Broker,
        version: i16,
        reader: ReaderId,
        request: &FetchRequest<'_>,
    ) -> Result<Self, SessionError> {
        let by_id = version >= TOPIC_IDS_FROM;
        let session = broker.sessions.begin(
            SessionRequest {
                id: request.session_id,
                epoch: request.session_epoch,
                by_id,
                wanted: request.topics.iter().flat_map(|topic| wanted(topic, by_id)).collect(),
                forgotten: request
                    .forgotten_topics_data
                    .iter()
                    .flat_map(|topic| forgotten(topic, by_id))
                    .collect(),
            },
            broker.clock.now_ms(),
        )?;
        let bytes = |value: i32| usize::try_from(value).unwrap_or(0);
        let max_bytes = bytes(request.max_bytes).min(broker.config.fetch_max_bytes());
        Ok(Self {
            reader,
            wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
            // More than one reply may hold would be waited for in vain.
            min_bytes: bytes(request.min_bytes).min(max_bytes),
            max_bytes,
            isolation: match request.isolation_level {
                1 => Isolation::ReadCommitted,
                _ => Isolation::ReadUncommitted,
            },
            session,
        })
    }
}

fn key(name: &str, id: crate::model::TopicId, by_id: bool) -> TopicKey {
    if by_id { TopicKey::Id(id) } else { TopicKey::Name(Arc::from(name)) }
}

fn wanted<'r>(topic: &'r FetchTopic<'_>, by_id: bool) -> impl Iterator<Item = Wanted> + 'r {
    let topic_key = key(&topic.topic, topic.topic_id, by_id);
    topic.partitions.iter().map(move |partition| Wanted {
        topic: topic_key.clone(),
        partition: partition.partition,
        current_leader_epoch: partition.current_leader_epoch,
        fetch_offset: partition.fetch_offset,
        last_fetched_epoch: partition.last_fetched_epoch,
        max_bytes: partition.partition_max_bytes,
    })
}

fn forgotten<'r>(
    topic: &'r ForgottenTopic<'_>,
    by_id: bool,
) -> impl Iterator<Item = (TopicKey, i32)> + 'r {
    let topic_key = key(&topic.topic, topic.topic_id, by_id);
    topic.partitions.iter().map(move |partition| (topic_key.clone(), *partition))
}
