//! Who reads the remote tier, told to people and to dashboards.

use icecore_tiering::{CounterValues, ReplayStream, Tiering};

use crate::broker::Replay;
use crate::http::{ConsumerStatus, ReplayStatus, ReplaysStatus};
use crate::metrics::{ReaderAt, ReaderLabels};

/// What `/v1/replays` answers.
pub(super) fn status(tiering: &Tiering, consumers: Vec<Replay>) -> ReplaysStatus {
    let (replays, counters) = (tiering.replays(), tiering.counters());
    let CounterValues { index_gets, log_gets, replay_bytes, .. } = counters;
    ReplaysStatus {
        first_byte_ms: u64::try_from(replays.first_byte.as_millis()).unwrap_or(u64::MAX),
        request_bytes_per_second: replays.request_bytes_per_second,
        total_bytes_per_second: replays.total_bytes_per_second,
        index_gets,
        log_gets,
        fetched_bytes: replay_bytes,
        consumers: consumers.into_iter().map(consumer).collect(),
        readers: replays.streams.into_iter().map(reader).collect(),
    }
}

fn consumer(replay: Replay) -> ConsumerStatus {
    ConsumerStatus {
        group: replay.group,
        client_id: replay.client_id,
        client_host: replay.client_host.to_string(),
        topic: replay.partition.topic.to_string(),
        partition: replay.partition.partition,
        offset: replay.offset.get(),
        end_offset: replay.end_offset.get(),
        time_ms: (replay.time_ms >= 0).then_some(replay.time_ms),
        bytes: replay.bytes,
        bytes_per_second: replay.bytes_per_second,
        since_ms: replay.since_ms,
    }
}

fn reader(stream: ReplayStream) -> ReplayStatus {
    ReplayStatus {
        topic: stream.partition.topic.to_string(),
        partition: stream.partition.partition,
        segment_base_offset: stream.segment_base.get(),
        segment_position: stream.position,
        bytes_per_second: stream.bytes_per_second,
        waits_for_store: stream.waits,
        window_bytes: stream.window_bytes,
        requests: stream.requests,
    }
}

/// The lines of one consumer in the metrics.
pub(super) fn line(replay: Replay) -> (ReaderLabels, ReaderAt) {
    let at = ReaderAt {
        behind: replay.end_offset - replay.offset,
        bytes_per_second: i64::try_from(replay.bytes_per_second).unwrap_or(i64::MAX),
        time_seconds: if replay.time_ms < 0 { -1 } else { replay.time_ms / 1000 },
    };
    let labels = ReaderLabels {
        reader: replay.group.unwrap_or(replay.client_id),
        topic: replay.partition.topic.to_string(),
        partition: replay.partition.partition,
    };
    (labels, at)
}
