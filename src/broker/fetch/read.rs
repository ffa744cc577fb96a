//! One partition of a fetch.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::super::call::whole;
use super::super::check_leader_epoch;
use super::Broker;
use super::plan::FetchPlan;
use super::session::{TopicKey, Wanted};
use crate::log::{ReadError, TieredRead};
use crate::metadata::{ClusterImage, TopicImage};
use crate::model::{FileSlice, LeaderEpoch, Offset, TopicPartition};
use crate::pace::ReplayGate;
use crate::replica::{Partition, Replicas};
use crate::wire::ErrorCode;

/// A partition's part of a reply.
#[derive(Default)]
pub(super) struct PartitionRead {
    /// Which one; none when it is not hosted here.
    pub(super) partition: Option<Arc<Partition>>,
    /// Where the partition stands; -1 each when there is an error.
    pub(super) bounds: Bounds,
    /// What went wrong.
    pub(super) error: Option<ErrorCode>,
    /// Where the reader's history and ours part (KIP-595): epoch and its end here.
    pub(super) diverging: Option<(LeaderEpoch, Offset)>,
    /// The records, as ranges of files.
    pub(super) slices: Vec<FileSlice>,
    /// Told of records that come from the remote tier.
    pub(super) remote: Option<RemoteRead>,
}

/// Of which partition the records are, and how far in its history.
#[derive(Clone, Debug)]
pub(super) struct RemoteRead {
    pub(super) partition: TopicPartition,
    /// The time of the first batch, in milliseconds since 1970; -1 when it carries none.
    pub(super) time_ms: i64,
}

impl PartitionRead {
    pub(super) fn failed(error: ErrorCode) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// Bytes of records.
    pub(super) fn len(&self) -> usize {
        self.slices.iter().map(|slice| usize::try_from(slice.len).unwrap_or(usize::MAX)).sum()
    }
}

/// The offsets that a reply tells with every partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) high_watermark: i64,
    pub(super) last_stable: i64,
    pub(super) log_start: i64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { high_watermark: -1, last_stable: -1, log_start: -1 }
    }
}

/// What a first look at a partition gives.
pub(super) enum Looked {
    /// The answer: records from the page cache, nothing new, or an error.
    Here(PartitionRead),
    /// Records that have to come from the disk or the store first.
    Elsewhere(ElsewhereRead),
}

/// A read that is to run beside the network threads.
pub(super) struct ElsewhereRead {
    replicas: Arc<Replicas>,
    by_id: bool,
    pub(super) partition: Arc<Partition>,
    pub(super) bounds: Bounds,
    pub(super) from: Offset,
    pub(super) end: Offset,
    pub(super) max_bytes: usize,
    pub(super) min_one: bool,
    /// The gate of its topic, where it has to pass one.
    topic_gate: Option<Arc<ReplayGate>>,
    /// Until when that gate was closed, if it was when it was looked at.
    held_back: Option<Instant>,
}

/// Looks at a partition without waiting for a disk. `left` is what remains of the request's
/// bytes; `min_one` asks for a whole batch even above every limit.
pub(super) fn look(
    broker: &Broker,
    image: &ClusterImage,
    plan: &FetchPlan,
    wanted: &Wanted,
    left: usize,
    min_one: bool,
) -> Looked {
    let partition = match find(broker, image, wanted) {
        Ok(partition) => partition,
        Err(code) => return Looked::Here(PartitionRead::failed(code)),
    };
    let max_bytes = usize::try_from(wanted.max_bytes).unwrap_or(0).min(left);
    match look_at(&partition, plan, wanted, max_bytes, min_one) {
        Ok(Some(read)) => Looked::Here(PartitionRead { partition: Some(partition), ..read }),
        Ok(None) => {
            let from = Offset::new(wanted.fetch_offset);
            let (bounds, end) = (bounds(&partition), partition.readable_end(plan.isolation));
            let topic_gate = match from < partition.log().local_log_start() {
                true => partition.paces().replays().cloned(),
                false => None,
            };
            let held_back = topic_gate.as_ref().and_then(|gate| gate.busy_until());
            Looked::Elsewhere(ElsewhereRead {
                replicas: broker.replicas.clone(),
                by_id: matches!(wanted.topic, TopicKey::Id(_)),
                partition,
                bounds,
                from,
                end,
                max_bytes,
                min_one,
                topic_gate,
                held_back,
            })
        }
        Err(code) => {
            let failed = PartitionRead::failed(code);
            Looked::Here(PartitionRead { partition: Some(partition), ..failed })
        }
    }
}

/// What the page cache has of a hosted partition; `None` when it has to come from elsewhere.
fn look_at(
    partition: &Partition,
    plan: &FetchPlan,
    wanted: &Wanted,
    max_bytes: usize,
    min_one: bool,
) -> Result<Option<PartitionRead>, ErrorCode> {
    check_leader_epoch(partition, wanted.current_leader_epoch)?;
    let bounds = bounds(partition);
    let diverging = diverging(partition, wanted)?;
    if diverging.is_some() {
        return Ok(Some(PartitionRead { bounds, diverging, ..PartitionRead::default() }));
    }
    let (from, end) = (Offset::new(wanted.fetch_offset), partition.readable_end(plan.isolation));
    in_range(partition, from)?;
    if from >= end || (max_bytes == 0 && !min_one) {
        return Ok(Some(PartitionRead { bounds, ..PartitionRead::default() }));
    }
    if from < partition.tail_start() {
        return Ok(None);
    }
    match partition.log().local().read(from, max_bytes, end, min_one) {
        Ok(slice) => {
            let slices = slice.into_iter().map(|slice| slice.slice).collect();
            Ok(Some(PartitionRead { bounds, slices, ..PartitionRead::default() }))
        }
        // Written lately, and given up to the remote tier already.
        Err(ReadError::BelowLocal { .. }) => Ok(None),
        Err(error) => Err(read_error(partition, &error)),
    }
}

impl ElsewhereRead {
    /// Whether the remote tier alone has it.
    pub(super) fn is_replay(&self) -> bool {
        self.from < self.partition.log().local_log_start()
    }

    /// The gate of its topic; `None` where there is none to pass.
    pub(super) fn topic_gate(&self) -> Option<Arc<ReplayGate>> {
        self.topic_gate.clone()
    }

    /// Until when at least it has to wait for its topic's rate; `None` if it need not.
    pub(super) fn held_back(&self) -> Option<Instant> {
        self.held_back
    }

    /// What is answered of it until it has been read.
    pub(super) fn nothing_yet(&self) -> PartitionRead {
        let (partition, bounds) = (Some(self.partition.clone()), self.bounds);
        PartitionRead { partition, bounds, ..PartitionRead::default() }
    }

    /// Reads it; runs to its end even when nobody waits any more. Its trace is a part of that of the
    /// request that is being answered now.
    pub(super) fn run(self) -> impl Future<Output = PartitionRead> + Send + 'static {
        let span = self.span();
        self.read(span.clone()).instrument(span)
    }

    fn span(&self) -> Span {
        if !self.is_replay() {
            return Span::none();
        }
        let name = self.partition.name();
        tracing::info_span!(
            "remote fetch",
            topic = &*name.topic,
            partition = name.partition,
            offset = self.from.get(),
            bytes = Empty,
            otel.status_code = Empty,
        )
    }

    async fn read(self, span: Span) -> PartitionRead {
        let log = self.partition.log();
        let read = match log.read(self.from, self.max_bytes, self.end, self.min_one).await {
            Ok(TieredRead { slices, remote_time_ms }) => {
                let partition = self.partition.name();
                let remote = remote_time_ms
                    .map(|time_ms| RemoteRead { partition: partition.clone(), time_ms });
                PartitionRead { bounds: self.bounds, slices, remote, ..PartitionRead::default() }
            }
            Err(error) => {
                span.record("otel.status_code", "ERROR");
                PartitionRead::failed(self.failure(&error).await)
            }
        };
        span.record("bytes", whole(read.len()));
        PartitionRead { partition: Some(self.partition), ..read }
    }

    /// What a failure means. Where another broker owns the store, an object that is gone was ended by it:
    /// it is looked again before anything is said.
    async fn failure(&self, error: &ReadError) -> ErrorCode {
        let name = self.partition.name();
        if let (true, Some(suspects)) = (error.is_gone(), self.replicas.suspects()) {
            suspects.look_at(name.clone()).await;
            let now = self.replicas.partition(&name.topic, name.partition);
            if now.is_none_or(|now| now.topic_id() != self.partition.topic_id()) {
                return match self.by_id {
                    true => ErrorCode::UnknownTopicId,
                    false => ErrorCode::UnknownTopicOrPartition,
                };
            }
            if let Err(code) = in_range(&self.partition, self.from) {
                return code;
            }
        }
        read_error(&self.partition, error)
    }
}

fn find(
    broker: &Broker,
    image: &ClusterImage,
    wanted: &Wanted,
) -> Result<Arc<Partition>, ErrorCode> {
    let topic: &Arc<TopicImage> = match &wanted.topic {
        TopicKey::Id(id) => image.topic_by_id(*id).ok_or(ErrorCode::UnknownTopicId)?,
        TopicKey::Name(name) => image.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?,
    };
    let partition = broker.replicas.partition(&topic.name, wanted.partition);
    partition.ok_or(ErrorCode::UnknownTopicOrPartition)
}

fn bounds(partition: &Partition) -> Bounds {
    let high_watermark = partition.high_watermark();
    Bounds {
        high_watermark: high_watermark.get(),
        last_stable: partition.log().local().last_stable().min(high_watermark).get(),
        log_start: partition.log().log_start().get(),
    }
}

fn in_range(partition: &Partition, from: Offset) -> Result<(), ErrorCode> {
    if from < partition.log().log_start() || from > partition.log().local().log_end() {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    Ok(())
}

/// Whether the reader's last epoch ends elsewhere in our log than where it reads on (KIP-595). An
/// epoch that this log never had says that the reader's log is another one.
fn diverging(
    partition: &Partition,
    wanted: &Wanted,
) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
    if wanted.last_fetched_epoch < 0 {
        return Ok(None);
    }
    let fetched = LeaderEpoch::new(wanted.last_fetched_epoch);
    let found = partition.log().epoch_end(fetched).ok_or(ErrorCode::OffsetOutOfRange)?;
    let (epoch, end) = found;
    let parted = epoch < fetched || end < Offset::new(wanted.fetch_offset);
    Ok(parted.then_some(found))
}

fn read_error(partition: &Partition, error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        // Told once, when it was left alone: not for each fetch that comes meanwhile.
        ReadError::Remote(error) if error.is_left_alone() => {
            tracing::debug!(partition = %partition.name(), %error, "a fetch could not be read");
            ErrorCode::KafkaStorageError
        }
        error => {
            tracing::error!(partition = %partition.name(), %error, "a fetch could not be read");
            ErrorCode::KafkaStorageError
        }
    }
}
